"""Rules that treat every number of theta alone."""

from dataclasses import replace

import xpnn

PENALTIES = [  # alone and together; the norm clipped always, and never
    {"l1": 1e-2, "l2": 1e-3},
    {"weight_decay": 0.1, "clip_norm": 0.5},
    {"l1": 1e-3, "l2": 1e-2, "weight_decay": 0.05, "clip_norm": 1e3},
]
ROWS = [
    # each with its defaults, then with every setting away from its own
    xpnn.SGD(0.1),
    xpnn.SGD(0.1, momentum=0.9),
    xpnn.SGD(0.1, momentum=0.5, nesterov=True),
    xpnn.AdaGrad(0.1),
    xpnn.AdaGrad(0.1, lr_decay=0.1, initial=0.5, eps=1e-3),
    xpnn.RMSProp(0.01),
    xpnn.RMSProp(0.01, rho=0.5, momentum=0.9),
    xpnn.RMSProp(0.01, centered=True, eps=1e-3),
    xpnn.RMSProp(0.01, momentum=0.3, centered=True, eps=1e-3),
    xpnn.Adam(0.1),
    xpnn.Adam(0.1, beta1=0.0, beta2=0.5, eps=1e-2),
    xpnn.AdamW(0.1),
    xpnn.AMSGrad(0.1),
    xpnn.AMSGrad(0.1, beta1=0.5, beta2=0.0, eps=1e-2, weight_decay=0.1),
    xpnn.NAdam(0.1),
    xpnn.NAdam(0.1, beta1=0.0, beta2=0.5, eps=1e-2),
    xpnn.NAdam(0.1, momentum_decay=0.5, l2=1e-2, clip_norm=0.5),
    xpnn.RAdam(0.1),
    xpnn.RAdam(0.1, beta2=0.9, weight_decay=0.1, l1=1e-2),
    xpnn.RAdam(0.1, beta1=0.0, beta2=0.5),
    xpnn.Adamax(0.1),
    xpnn.Adamax(0.1, beta1=0.0, beta2=0.5, eps=1e-2, l2=1e-2),
    xpnn.Adadelta(),
    xpnn.Adadelta(0.5, rho=0.5, eps=1e-2, weight_decay=0.1),
    xpnn.Lion(0.1),
    xpnn.Lion(0.01, beta1=0.3, beta2=0.5, weight_decay=0.5, clip_norm=0.5),
]
ROWS += [
    replace(rule, **penalty)
    for rule in (xpnn.SGD(0.1, momentum=0.9), xpnn.Adam(0.1, 0.0, 0.5, 1e-2))
    for penalty in PENALTIES
]
