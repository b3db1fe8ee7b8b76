"""Mutants that change nothing that a caller could observe: (file, change): why. See mutants.py.

A test checks that each can be made.
"""

EQUIVALENT = {
    (
        "xpnn/training/class_weight.py",
        "each = np.where(kept, w[np.where(kept, y, 0)], 1.0) => each = np.where(kept, w[np.where(kept, y, 0)], 2.0)",
    ): "the loss and gradient of an ignored sample are 0 whatever its weight",
    (
        "xpnn/layers/bidirectional.py",
        "if dx is None or back is None: => if dx is None and back is None:",
    ): "both directions have the same setting for dx: neither gives one, or both do",
    (
        "xpnn/data/tables/summary.py",
        "d = mean - self.mean if self.n else 0.0 => d = mean - self.mean if self.n else 1.0",
    ): "without numbers before it is multiplied by their count, 0, and not added to the mean",
    (
        "xpnn/interchange/torch_operations.py",
        "if ends[axis] or ends[axis + r]: => if ends[axis] or ends[axis - r]:",
    ): "of a list of 2 r numbers, number axis - r from behind is number axis + r",
    (
        "xpnn/training/averages.py",
        "if run.data[0] is None: => if run.data[1] is None:",
    ): "ready-made batches leave both x and y out",
}
