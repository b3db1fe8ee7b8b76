"""What is put around a rule: averages, lookahead, accumulation, groups, constraints; alone and nested."""

import xpnn

SLOW, FROZEN = xpnn.Group("0.W", lr=0.25, decay=2.0), xpnn.Group("1.?", frozen=True)
ROWS = [
    xpnn.EMA(xpnn.SGD(0.1, momentum=0.9)),
    xpnn.EMA(xpnn.Adam(0.1), 0.5),
    xpnn.SWA(xpnn.SGD(0.1)),
    xpnn.SWA(xpnn.NAdam(0.1), 1, 2),
    xpnn.SWA(xpnn.SGD(0.1), 9),  # begins after the end
    xpnn.Lookahead(xpnn.SGD(0.1, momentum=0.9), 2),
    xpnn.Lookahead(xpnn.Adam(0.1), 3, 0.8),
    xpnn.Accumulate(xpnn.SGD(0.1, momentum=0.9), 2),
    xpnn.Accumulate(xpnn.NAdam(0.1, clip_norm=0.5), 2),
    xpnn.Accumulate(xpnn.Adam(0.1), 1),  # nothing to accumulate
    xpnn.EMA(xpnn.Lookahead(xpnn.Accumulate(xpnn.Adam(0.1), 2), 2), 0.9),  # three deep
    xpnn.Groups(xpnn.NAdam(0.1, l1=1e-2, weight_decay=0.1, clip_norm=0.5), (SLOW, FROZEN)),
    xpnn.Groups(xpnn.EMA(xpnn.Lookahead(xpnn.LAMB(0.1, weight_decay=0.1, clip_norm=0.5), 2)), (FROZEN, SLOW)),
    xpnn.Groups(
        xpnn.Constrained(xpnn.RAdam(0.1), (xpnn.NonNegative("1.*"), xpnn.UnitNorm("*.W"))),
        (xpnn.Group("1.b", lr=0.5, decay=1.0),),
    ),
    xpnn.Constrained(xpnn.SGD(0.5, 0.9), (xpnn.MaxNorm("0.W", 1.0, (0, 1)), xpnn.MaxNorm("*.b", 0.5))),
]
