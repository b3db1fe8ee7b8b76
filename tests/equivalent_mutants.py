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
    (
        "xpnn/backends/cpu/contention.py",
        "if chosen < most and (not faster(chosen, most)): =>"
        " if chosen <= most and (not faster(chosen, most)):",
    ): "where nothing fewer was chosen, the answer is `most` whatever the last comparison says",
    (
        "xpnn/layers/erase.py",
        "chosen = xp.reshape(draws[:, 0] < self.rate, (n, 1, 1, 1)) =>"
        " chosen = xp.reshape(draws[:, 0] <= self.rate, (n, 1, 1, 1))",
    ): "a draw that equals the rate exactly, one of 2^24, belongs to either side",
    (
        "xpnn/backends/cpu/numba_windows.py",
        "if groups == 1 or dy.ndim > 4 or (not depthwise(W, groups)): =>"
        " if groups == 2 or dy.ndim > 4 or (not depthwise(W, groups)):",
    ): "what the loops of channels give, and it by col2im, is the same: where they apply, they are faster",
    (
        "xpnn/backends/cuda/cublaslt.py",
        "found, count = (Algorithm(), c_int(0)) => found, count = (Algorithm(), c_int(1))",
    ): "the library writes the number of algorithms before it is read",
    (
        "xpnn/network.py",
        "return (self._forward if n > 1 else self._forward_one)(self._tree(), on_device(be, x)) =>"
        " return (self._forward if n >= 1 else self._forward_one)(self._tree(), on_device(be, x))",
    ): "one sample is computed by both ways to the same numbers, by one of them in less time",
    (
        "xpnn/cli/workers.py",
        "trials = self.study.get_trials(deepcopy=False) => trials = self.study.get_trials(deepcopy=True)",
    ): "the trials are read alone: copies of them say the same",
    (
        "xpnn/losses/robust.py",
        "near = a < 1 => near = a <= 1",
    ): "both formulas are the same function, up to rounding: where one takes over is free",
    (
        "xpnn/optimizers/lbfgs_search.py",
        "start = self._at(theta, be.zeros(theta.shape), 0.0) => start = self._at(theta, be.zeros(theta.shape), 1.0)",
    ): "the direction is 0: a step of any length along it stays where it is",
    (
        "xpnn/training/trainer.py",
        "if is_pair_or_nothing(validation): / return (range(count(y)), None) => pass",
    ): "the same rows come from `hold_out`, as an array",
    (
        "xpnn/kernels/length.py",
        "s = xp.where(top > 4, top / 4, xp.where(top > 0, top, one) if up else one) =>"
        " s = xp.where(top >= 4, top / 4, xp.where(top > 0, top, one) if up else one)",
    ): "at 4 both scales leave the largest between 1 and 4, and come back as a factor",
}
