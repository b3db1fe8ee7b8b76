"""Mutants that change nothing that a caller could observe: (file, change): why. See mutants.py.

A test checks that each can be made.
"""

EQUIVALENT = {
    (
        "xpnn/training/class_weight.py",
        "each = rows @ w + (1 - rows.sum(axis=1)) => each = rows @ w - (1 - rows.sum(axis=1))",
    ): "the bracket is 0 but for ignored samples, and their loss and gradient are 0 whatever their weight",
    (
        "xpnn/training/class_weight.py",
        "classes = outputs[0] if loss.kind == 'classes' else 2"
        " => classes = outputs[0] if loss.kind == 'classes' else 3",
    ): "the number is read for class ids alone",
    (
        "xpnn/training/class_weight.py",
        "p = y.reshape(len(y), -1)[:, 0].astype(np.float64) => p = y.reshape(len(y), -2)[:, 0].astype(np.float64)",
    ): "to NumPy any size below 0 is the one that it works out",
}
