"""The optimizers here as ONNX's nodes of training describe them, for its own tests of Adam, Adagrad and Momentum.

Source: https://onnx.ai/onnx/operators/index_training.html.
"""

import numpy as np

from xpnn.errors import UsageError
from xpnn.optimizers import SGD, AdaGrad, Adam

NO_CORRECTION = 10**6
"""A count of steps at which Adam's bias corrections are 1, to float64's precision for betas up to 0.99996."""


def optimizer_of(kind, rate, step, settings):
    """The optimizer here whose next step is that of ONNX's Adam, Adagrad or Momentum at that rate and count of steps.

    settings: the node's attributes. ONNX's Adam adds its epsilon before the correction of the second moment, Adam
    here after it: so eps is that of this step alone, epsilon / sqrt(1 - beta^T). Raises UsageError for others.
    """
    l2 = settings.get("norm_coefficient", 0.0)
    if settings.get("norm_coefficient_post", 0.0):
        raise UsageError("norm_coefficient_post: a decay behind the step is no setting of optimizers here")
    if kind == "Adam":
        beta1, beta2 = settings.get("alpha", 0.9), settings.get("beta", 0.999)
        root = np.sqrt(1 - beta2**step) if step else 1.0
        return Adam(rate, beta1, beta2, settings.get("epsilon", 1e-6) / root, l2=l2)
    if kind == "Adagrad":
        decay = settings.get("decay_factor", 0.0)
        return AdaGrad(rate, decay, eps=settings.get("epsilon", 1e-6), l2=l2)
    if kind == "Momentum":
        nesterov = settings.get("mode", "standard") == "nesterov"
        if step and settings.get("beta", 1.0) != 1 and nesterov:
            raise UsageError("nesterov with a beta other than 1: no setting of SGD here")
        return SGD(rate, settings["alpha"], nesterov, l2=l2)
    raise UsageError(f"{kind!r} is none of ONNX's optimizers", fix="Adam, Adagrad, Momentum")


def optimizer_step(be, kind, rate, step, theta, grad, slots, settings):
    """One step of ONNX's Adam, Adagrad or Momentum on arrays: [new theta, *new slots], as the node gives them.

    step: its input T, how many steps came before (for Adam, this one counted; 0 is without corrections). slots: its
    moments, in the node's order. Raises UsageError as `optimizer_of` does.
    """
    scale = (
        settings.get("beta", 1.0) if kind == "Momentum" and step else 1.0
    )  # of the gradient in the velocity
    optimizer = optimizer_of(kind, rate * scale, step, settings)
    before = {"Adam": step - 1 if step else NO_CORRECTION}.get(kind, step)
    with be.device_context():
        flat = be.asarray(np.array(theta).reshape(-1))
        state = optimizer.init(be, flat) | {"t": be.scalar(before, be.xp.int64)}
        for name, a in zip(optimizer.slots, slots, strict=True):
            state[name] = be.asarray(np.reshape(a / scale, -1).astype(be.dtype_name))
        flat, state = optimizer.update(be, flat, be.asarray(np.array(grad).reshape(-1)), state)
        found = [be.to_numpy(flat), *(be.to_numpy(state[name]) * scale for name in optimizer.slots)]
    return [np.asarray(a, np.asarray(theta).dtype).reshape(np.shape(theta)) for a in found]
