"""Mutants that change nothing that a caller could observe: (file, change): why. See mutants.py.

A test checks that each can be made.
"""

EQUIVALENT = {
    (
        "xpnn/training/class_weight.py",
        "each = rows @ w + (1 - rows.sum(axis=1)) => each = rows @ w - (1 - rows.sum(axis=1))",
    ): "the bracket is 0 but for ignored samples, and their loss and gradient are 0 whatever their weight",
}
