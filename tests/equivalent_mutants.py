"""Mutants that change nothing that a caller could observe: (file, change): why. See mutants.py.

A test checks that each can be made.
"""

EQUIVALENT = {
    (
        "xpnn/interchange/onnx_shapes.py",
        "flat = np.concatenate([part + start for part, start in zip(parts, starts, strict=False)]) =>"
        " flat = np.concatenate([part + start for part, start in zip(starts, parts, strict=False)])",
    ): "a sum of two is the same in either order",
    (
        "xpnn/web/live.py",
        "self.version += 1 => self.version += 2",
    ): "of versions it counts alone which is the later one",
    (
        "xpnn/training/class_weight.py",
        "each = np.where(kept, w[y * kept], 1.0) => each = np.where(kept, w[y * kept], 2.0)",
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
        "xpnn/cli/workers.py",
        "for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)): =>"
        " for trial in self.study.get_trials(deepcopy=True, states=(TrialState.RUNNING,)):",
    ): "their numbers and attributes are read alone: copies say the same",
    (
        "xpnn/chunk_order.py",
        "self._window = functools.lru_cache(2)(self._shuffled) =>"
        " self._window = functools.lru_cache(3)(self._shuffled)",
    ): "a window that is not kept is shuffled again, to the same order",
    (
        "xpnn/window.py",
        "outside = (min(count, -(-before // s)), max((before + n - span(k, d)) // s + 1, 0)) =>"
        " outside = (min(count, -(-before // s)), max((before + n - span(k, d)) // s - 1, 0))",
    ): "two windows more are looked at, which hold samples",
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
    (
        "xpnn/backends/cpu/windows.py",
        "if not any(map(any, pads)): / return x => pass",
    ): "without pads what is made is a copy of x",
    (
        "xpnn/backends/cpu/numba_windows.py",
        "if groups == 1 or x.ndim > 4 or (not x.shape[-1] == groups == dy.shape[-1]): =>"
        " if groups == 2 or x.ndim > 4 or (not x.shape[-1] == groups == dy.shape[-1]):",
    ): "what the loops of channels give, and BLAS, is the same: where they apply, they are faster",
    (
        "xpnn/plots/style.py",
        "memory, milliseconds = (io.BytesIO(), 1000 // FRAMES_PER_SECOND) =>"
        " memory, milliseconds = (io.BytesIO(), 1001 // FRAMES_PER_SECOND)",
    ): "an eighth of 1001 milliseconds is 125 whole ones, too",
    (
        "xpnn/training/history.py",
        "self.counts = [a + b for a, b in zip(self.counts or [0] * len(more), more, strict=True)] =>"
        " self.counts = [a + b for a, b in zip(more, self.counts or [0] * len(more), strict=True)]",
    ): "a sum of two whole numbers is the same in either order",
    (
        "xpnn/training/threads.py",
        "if run.threads == blas().threads: / yield / return => pass",
    ): "BLAS is set to the number of threads that it has",
    (
        "xpnn/training/statistics.py",
        "self.gradient = run.model.backend.compile(run.trainer.objective.gradient(fuse=True)) =>"
        " self.gradient = run.model.backend.compile(run.trainer.objective.gradient(fuse=False))",
    ): "layer by layer the gradient is the same, up to rounding",
    (
        "xpnn/data/photos/components.py",
        "while above < begin[y] and here < begin[y + 1]: => while above <= begin[y] and here < begin[y + 1]:",
    ): "the first run of a row touches no other run of that row",
    (
        "xpnn/data/photos/components.py",
        "if last[above] < last[here]: => if last[above] <= last[here]:",
    ): "where both runs end in one column, neither touches the next of the other row",
    (
        "xpnn/data/photos/frame.py",
        "while right > left + 1 and bottom > top + 1: => while right > left + 1 and bottom > top + 2:",
    ): "two lines of pixels are less of a picture than a page takes, whether they are cut further or not",
    (
        "xpnn/data/photos/frame.py",
        "while right > left + 1 and bottom > top + 1: => while right > left + 2 and bottom > top + 1:",
    ): "two lines of pixels are less of a picture than a page takes, whether they are cut further or not",
}
AT_A_TIME = {
    "xpnn/backends/cpu/blocks.py": (
        "BLOCK = 1 << 15 => BLOCK = 2 << 15",
        "BLOCK = 1 << 15 => BLOCK = 1 << 16",
        "NARROW = 16 => NARROW = 17",
    ),
    "xpnn/backends/cpu/direct_loops.py": ("SUMMED = 256 => SUMMED = 257",),
    "xpnn/backends/cpu/distribution.py": (
        "BLOCK = 1 << 14 => BLOCK = 2 << 14",
        "BLOCK = 1 << 14 => BLOCK = 1 << 15",
    ),
    "xpnn/backends/cpu/draws.py": (
        "BLOCK = 1 << 15 => BLOCK = 2 << 15",
        "BLOCK = 1 << 15 => BLOCK = 1 << 16",
    ),
    "xpnn/backends/cpu/flat.py": (
        "SHARED, PART = (1 << 20, 1 << 17) => SHARED, PART = (2 << 20, 1 << 17)",
        "SHARED, PART = (1 << 20, 1 << 17) => SHARED, PART = (1 << 21, 1 << 17)",
        "SHARED, PART = (1 << 20, 1 << 17) => SHARED, PART = (1 << 20, 2 << 17)",
        "SHARED, PART = (1 << 20, 1 << 17) => SHARED, PART = (1 << 20, 1 << 18)",
    ),
    "xpnn/backends/cpu/loops.py": (
        "return numba.njit(nogil=True, cache=True, error_model='numpy', **options)(f) =>"
        " return numba.njit(nogil=False, cache=True, error_model='numpy', **options)(f)",
        "return numba.njit(nogil=True, cache=True, error_model='numpy', **options)(f) =>"
        " return numba.njit(nogil=True, cache=False, error_model='numpy', **options)(f)",
        "return numba.njit(nogil=True, error_model='numpy', **options)(f) =>"
        " return numba.njit(nogil=False, error_model='numpy', **options)(f)",
    ),
    "xpnn/backends/cpu/passes.py": ("LEAST = 16 => LEAST = 17",),
    "xpnn/backends/cpu/planned.py": ("MANY = 1 << 19 => MANY = 2 << 19", "MANY = 1 << 19 => MANY = 1 << 20"),
    "xpnn/backends/cpu/resample.py": (
        "POINTS = 1 << 15 => POINTS = 2 << 15",
        "POINTS = 1 << 15 => POINTS = 1 << 16",
    ),
    "xpnn/backends/cpu/rows.py": ("ROWS = 4096 => ROWS = 4097",),
    "xpnn/backends/cpu/updates.py": (
        "BLOCK = 1 << 18 => BLOCK = 2 << 18",
        "BLOCK = 1 << 18 => BLOCK = 1 << 19",
    ),
    "xpnn/backends/cpu/vectors.py": ("RESERVE = 8 * BLOCK => RESERVE = 9 * BLOCK",),
    "xpnn/backends/cpu/windows.py": (
        "COLUMNS = 1 << 20 => COLUMNS = 2 << 20",
        "COLUMNS = 1 << 20 => COLUMNS = 1 << 21",
    ),
    "xpnn/backends/cuda/capture.py": ("GRAPHS = 8 => GRAPHS = 9",),
    "xpnn/backends/cuda/fused/windows.py": (
        "COLUMNS = 1 << 23 => COLUMNS = 2 << 23",
        "COLUMNS = 1 << 23 => COLUMNS = 1 << 24",
    ),
    "xpnn/backends/cuda/products.py": ("PLANS = 1024 => PLANS = 1025",),
    "xpnn/layers/pool.py": ("if not window.is_padded: / return math.prod(window.kernel) => pass",),
}
"""{file: faults in how much is done or kept at a time, or from which size on}: the numbers are the same, some sooner,
some later; tests of blocks set these sizes themselves."""
EQUIVALENT |= {
    (file, change): "the same numbers, sooner or later"
    for file, changes in AT_A_TIME.items()
    for change in changes
}
EQUIVALENT[
    "xpnn/layers/warp.py",
    "found.append(along[:, :, None] + ((by_column * ones)[:, None] * columns)[:, None, :]) =>"
    " found.append(along[:, :, None] + ((by_column / ones)[:, None] * columns)[:, None, :])",
] = "a number divided by 1 is that number times 1"
EQUIVALENT[
    "xpnn/kernels/activations.py",
    "def relu_grad(be: Backend, dy: Array, y: Array, may_overwrite: bool=False) -> Array: =>"
    " def relu_grad(be: Backend, dy: Array, y: Array, may_overwrite: bool=True) -> Array:",
] = "the reference never writes over dy"
EQUIVALENT |= {
    (
        "xpnn/backends/cpu/gate_loops.py",
        "chosen = F(size < F(0.625)) => chosen = F(size <= F(0.625))",
    ): "at 0.625 both formulas are tanh, up to rounding: where one takes over is free",
    (
        "xpnn/backends/cuda/fused/rows.py",
        "if blocks > 1: => if blocks > 2:",
    ): "there is one block, or there are four at least",
    (
        "xpnn/layers/scale.py",
        "if dtype.kind != 'f' or dtype.itemsize > 4: => if dtype.kind != 'f' or dtype.itemsize > 5:",
    ): "no dtype has numbers of 5 bytes",
    (
        "xpnn/backends/cpu/axes.py",
        "step = int(ids[1] - ids[0]) if len(ids) > 1 else 1 => step = int(ids[1] - ids[0]) if len(ids) > 2 else 1",
    ): "two places are read by their numbers instead of by a slice",
    (
        "xpnn/data/photos/frame.py",
        "while right > left + 1 and bottom > top + 1: => while right > left + 1 and bottom >= top + 1:",
    ): "one line of pixels is less of a picture than a page takes, whether it is cut off or not",
    (
        "xpnn/data/photos/frame.py",
        "while right > left + 1 and bottom > top + 1: => while right >= left + 1 and bottom > top + 1:",
    ): "one line of pixels is less of a picture than a page takes, whether it is cut off or not",
    (
        "xpnn/layers/exponential.py",
        "return (cx.be.xp.where(x > 0, SCALE * x, low), (x, low)) =>"
        " return (cx.be.xp.where(x >= 0, SCALE * x, low), (x, low))",
    ): "at 0 both are 0",
    (
        "xpnn/backends/cpu/numba_kernels.py",
        "if least > WORD: => if least >= WORD:",
    ): "its low eight bits are 0, and those of the largest word are not",
    (
        "xpnn/backends/cpu/axes.py",
        "if step < 1 or np.any(np.diff(ids) != step): => if step < 2 or np.any(np.diff(ids) != step):",
    ): "places side by side are read by their numbers instead of by a slice",
    (
        "xpnn/layers/exponential.py",
        "return (cx.be.xp.where(x > 0, x, self.alpha * low), (x, low)) =>"
        " return (cx.be.xp.where(x >= 0, x, self.alpha * low), (x, low))",
    ): "at 0 both are 0",
    (
        "xpnn/layers/exponential.py",
        "return (cx.be.xp.where(x > 0, dy, dy * (low + 1)), {}) =>"
        " return (cx.be.xp.where(x >= 0, dy, dy * (low + 1)), {})",
    ): "at 0 both slopes are 1",
    (
        "xpnn/layers/exponential.py",
        "return cx.be.xp.where(x > 0, cx.be.xp.zeros_like(x), x) =>"
        " return cx.be.xp.where(x >= 0, cx.be.xp.zeros_like(x), x)",
    ): "0 stays 0",
    (
        "xpnn/layers/activation.py",
        "return (cx.be.xp.where(x > 0, x, self.slope * x), (x,)) =>"
        " return (cx.be.xp.where(x >= 0, x, self.slope * x), (x,))",
    ): "at 0 both are 0",
    (
        "xpnn/layers/activation.py",
        "return (xp.where(x > 0, x, low), (x, low)) => return (xp.where(x >= 0, x, low), (x, low))",
    ): "at 0 both are 0",
    (
        "xpnn/layers/activation.py",
        "low = self.alpha * xp.expm1(xp.where(x > 0, xp.zeros_like(x), x)) =>"
        " low = self.alpha * xp.expm1(xp.where(x >= 0, xp.zeros_like(x), x))",
    ): "0 stays 0",
    (
        "xpnn/layers/gated.py",
        "FAR = 40.0 => FAR = 80.0",
    ): "from 40 on P is 0 or 1 to the last digit, and its slope 0",
    (
        "xpnn/layers/gated.py",
        "near = cx.be.mask(x, cx.be.xp.abs(x) < FAR) => near = cx.be.mask(x, cx.be.xp.abs(x) <= FAR)",
    ): "at 40 P is 0 or 1 to the last digit, and its slope 0",
    (
        "xpnn/layers/gated.py",
        "n = xp.where(x >= 0, 1 + 2 * e, e * (e + 2)) => n = xp.where(x > 0, 1 + 2 * e, e * (e + 2))",
    ): "at 0 both are 3",
    (
        "xpnn/layers/gated.py",
        "t = n / (n + 2 * xp.where(x >= 0, e * e, xp.ones_like(e))) =>"
        " t = n / (n + 2 * xp.where(x > 0, e * e, xp.ones_like(e)))",
    ): "at 0 both are 1",
    (
        "xpnn/losses/ctc.py",
        "return (xp.where(y > NEVER, y, xp.full_like(y, NEVER)), e / total) =>"
        " return (xp.where(y >= NEVER, y, xp.full_like(y, NEVER)), e / total)",
    ): "where they are equal it is the same number",
    (
        "xpnn/fusion/chain.py",
        "if dx is None or stop <= first: => if dx is None or stop < first:",
    ): "the first group to train gives no dx where none is needed, which ends the walk as well",
}
EQUIVALENT |= {
    (
        "xpnn/backends/cuda/fused/windows.py",
        change,
    ): "where there are numbers and windows, the result has some"
    for change in (
        "if x.ndim > 4 or not be.launchable(x) or (not 0 < math.prod(shape) < LIMIT): =>"
        " if x.ndim > 4 or not be.launchable(x) or (not 0 <= math.prod(shape) < LIMIT):",
        "if len(shape) > 4 or not be.launchable(cols) or (not 0 < math.prod(shape) < LIMIT): =>"
        " if len(shape) > 4 or not be.launchable(cols) or (not 0 <= math.prod(shape) < LIMIT):",
        "if x.ndim > 4 or groups > 1 or (not be.launchable(x, W)) or (not 0 < math.prod(shape) < LIMIT): =>"
        " if x.ndim > 4 or groups > 1 or (not be.launchable(x, W)) or (not 0 <= math.prod(shape) < LIMIT):",
        "if dy.ndim > 4 or groups > 1 or (not be.launchable(dy, W)) or (not 0 < math.prod(shape) < LIMIT): =>"
        " if dy.ndim > 4 or groups > 1 or (not be.launchable(dy, W)) or (not 0 <= math.prod(shape) < LIMIT):",
        "if dy.ndim > 4 or not be.launchable(dy) or tap.dtype != be.xp.uint8 or (not 0 < math.prod(shape) < LIMIT): =>"
        " if dy.ndim > 4 or not be.launchable(dy) or tap.dtype != be.xp.uint8 or (not 0 <= math.prod(shape) < LIMIT):",
        "if dy.ndim > 4 or not be.launchable(dy) or (not 0 < math.prod(shape) < LIMIT): =>"
        " if dy.ndim > 4 or not be.launchable(dy) or (not 0 <= math.prod(shape) < LIMIT):",
    )
}
EQUIVALENT |= {
    (
        "xpnn/backends/cpu/predictions.py",
        "if took < self.best: => if took <= self.best:",
    ): "the same number is kept",
    (
        "xpnn/backends/cpu/predictions.py",
        "if self.usable >= setter()[0](): / return work(*args) => pass",
    ): "a limit that is no smaller than the number of threads leaves it as it is",
    (
        "xpnn/initializers/truncated.py",
        "while (outside := (np.abs(w) > self.limit)).any(): =>"
        " while (outside := (np.abs(w) >= self.limit)).any():",
    ): "no draw equals the limit to the last digit",
    (
        "xpnn/backends/cpu/windows.py",
        "if min(map(min, pads)) >= 0: => if min(map(min, pads)) > 0:",
    ): "col2im gives the same numbers as the convolution of dy",
    (
        "xpnn/layers/slicing.py",
        "if step > 1: => if step >= 1:",
    ): "without steps no zeros are between, and nothing is cut",
    (
        "xpnn/interchange/tensor_rows.py",
        "stop = stop if stop >= 0 else -2 ** 31 => stop = stop if stop >= 0 else -2 ** 32",
    ): "any number before the first place means the same",
    (
        "xpnn/backends/cpu/vectors.py",
        "if x.ndim == 0 and math.isfinite(x): / continue => pass",
    ): "a single number is looked at in the same way as a vector, later",
    (
        "xpnn/layers/attention.py",
        "if self.shared_heads == self.heads: / return a => pass",
    ): "heads of which none are shared are reshaped to the shape that they have",
}
