"""Rules that ask for the loss at points of their own choice. Checked by tests/optimizers/test_lbfgs.py."""

import xpnn

ON_ALL_DATA = [
    xpnn.LBFGS(),
    xpnn.LBFGS(3, 7, 1e-3, 0.0, l2=0.1),  # a short memory; other tolerances; a penalty
    xpnn.LBFGS(1, c1=1e-3, c2=0.1, max_evaluations=9),  # the shortest; another line search
]
