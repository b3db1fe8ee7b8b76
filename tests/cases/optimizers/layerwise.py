"""Rules that treat each parameter by its path and shape."""

import xpnn

ROWS = [
    xpnn.LARS(),
    xpnn.LARS(5.0, 0.5, 1e-2, weight_decay=0.1, clip_norm=0.5),
    xpnn.LAMB(0.1),
    xpnn.LAMB(0.1, 0.0, 0.5, 1e-2, weight_decay=0.1, clip_norm=0.5),
    xpnn.Muon(),
    xpnn.Muon(0.1, 0.5, False, 2, (2.0, -1.5, 0.5), 1e-3, xpnn.Adam(0.1, l2=0.1, l1=0.01), weight_decay=0.1),
    xpnn.Muon(others=xpnn.AMSGrad(0.1), clip_norm=0.5),  # vectors by another rule
    xpnn.Adafactor(),
    xpnn.Adafactor(0.5, 0.5, 1e-2, 0.1, 2.0, weight_decay=0.1, clip_norm=0.5),
]
