"""Softmax cross-entropy for class ids, with its gradient, the number of correct predictions, or both."""

from xpnn.kernels.base import Array, Backend


def softmax_cross_entropy(be: Backend, z: Array, ids: Array) -> tuple[Array, Array]:
    """Mean of -log softmax(z)[id] over (N, C) logits and N ids, and its gradient (softmax(z) - onehot) / N."""
    xp, (n, classes) = be.xp, z.shape
    z = z - xp.max(z, axis=1, keepdims=True)
    own, e = ids[:, None] == be.arange(classes)[None, :], xp.exp(z)
    total, hot = xp.sum(e, axis=1, keepdims=True), xp.astype(own, be.dtype)
    own = xp.sum(be.mask(z, own), axis=1)  # z * hot would be NaN where a logit is -inf
    return xp.mean(xp.log(total[:, 0]) - own), (e / total - hot) / n


def softmax_cross_entropy_and_correct(be: Backend, z: Array, ids: Array) -> tuple[Array, Array]:
    """The loss of `softmax_cross_entropy`, and in how many rows (0-d int64) the first largest logit is the id's."""
    xp, hits = be.xp, be.xp.astype(be.xp.argmax(z, axis=1) == ids, be.xp.int64)
    z = z - xp.max(z, axis=1, keepdims=True)
    own = xp.sum(be.mask(z, ids[:, None] == be.arange(z.shape[1])[None, :]), axis=1)
    return xp.mean(xp.log(xp.sum(xp.exp(z), axis=1)) - own), xp.sum(hits)


def softmax_cross_entropy_gradient_and_correct(
    be: Backend, z: Array, ids: Array
) -> tuple[Array, Array, Array]:
    """Loss and gradient of `softmax_cross_entropy`, and the number correct of `softmax_cross_entropy_and_correct`."""
    correct = be.xp.astype(be.xp.argmax(z, axis=1) == ids, be.xp.int64)
    return *be.softmax_cross_entropy(z, ids), be.xp.sum(correct)
