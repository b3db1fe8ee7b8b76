"""ONNX's operations of training: losses at the end of a graph. Source: https://onnx.ai/onnx/operators/."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from xpnn import layers as L
from xpnn.interchange.onnx_pointwise import Inputs, Rule
from xpnn.interchange.onnx_values import Builder, Refusal, channels_last
from xpnn.losses import NegativeLogLikelihood, SoftmaxCrossEntropy

LOSS = "a loss"
"""The mark of a loss: it becomes the model's loss, and the network ends in the scores before it."""


def loss(b: Builder, inputs: Inputs, outputs: Sequence[str], a: dict[str, Any]) -> None:
    """SoftmaxCrossEntropyLoss and NegativeLogLikelihoodLoss, of scores (N, C, ...) and class ids (N, ...).

    Where the logarithms of the probabilities are an output as well, the network ends in them.
    """
    scores, ids = b.value(inputs[0]), b.value(inputs[1])
    if ids.shape != (scores.shape[0], *scores.shape[2:]):
        raise Refusal(f"scores of shape {scores.shape} with labels of shape {ids.shape}")
    if not any(ids is one for one in b.inputs) or not b.used_once(ids):
        raise Refusal("labels that are no input of the graph, or that another node takes too")
    if b.loss is not None:
        raise Refusal("a second loss")
    scores = b.wants(scores, channels_last(scores.rank))
    weight = b.optional(inputs, 2, "the weights of the classes")
    if a.get("reduction", "mean") == "none":
        b.notes.append("the file gives the loss of each sample; a model is trained on their mean")
    settings: dict[str, Any] = {
        "reduction": "sum" if a.get("reduction", "mean") == "sum" else "mean",
        "ignore_index": a.get("ignore_index"),
        "class_weight": None if weight is None else tuple(np.ravel(weight).tolist()),
    }
    cross_entropy = a["kind"] == "SoftmaxCrossEntropyLoss"
    if cross_entropy and len(outputs) > 1 and outputs[1] and b.uses.get(outputs[1]):
        scores = b.put(outputs[1], L.LogSoftmax(), scores, scores.shape, scores.layout)
        cross_entropy = False
    b.loss = (SoftmaxCrossEntropy if cross_entropy else NegativeLogLikelihood)(**settings)
    b.inputs = [x for x in b.inputs if x is not ids]
    b.marks[outputs[0]] = (LOSS, scores)


RULES: dict[str, Rule] = {"SoftmaxCrossEntropyLoss": loss, "NegativeLogLikelihoodLoss": loss}
