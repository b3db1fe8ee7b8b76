"""The description of the JSON endpoint that other programs read: OpenAPI 3.1."""

from typing import TYPE_CHECKING, Any

from xpnn import __version__
from xpnn.data import TablePreparation
from xpnn.layers.base import is_multiple
from xpnn.web.predictor import MOST

if TYPE_CHECKING:
    from xpnn.model import Model

ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["what", "why", "fix"],
            "properties": {name: {"type": "string"} for name in ("what", "why", "fix")},
        }
    },
}
FAILURES = {
    "400": "The body is no JSON, or does not fit the model.",
    "403": "The request comes from a foreign host or origin.",
    "408": "The body did not arrive in time.",
    "413": "The body is larger than 1 MB.",
    "415": "The body is not application/json.",
}


def nested(shape: tuple[int | None, ...]) -> dict[str, Any]:
    """Return the schema of one sample: lists in lists, of numbers."""
    found: dict[str, Any] = {"type": "number"}
    for size in reversed(shape):
        found = {"type": "array", "items": found}
        if size is not None:
            found |= {"minItems": size, "maxItems": size}
    return found


def samples(shape: tuple[int | None, ...]) -> dict[str, Any]:
    """Return the schema of several samples."""
    return {"type": "array", "minItems": 1, "maxItems": MOST, "items": nested(shape)}


def description(model: "Model", name: str) -> dict[str, Any]:
    """Return the OpenAPI description of `POST /predict` for that model."""
    shape: Any = model.input_shape
    inputs = samples(shape)
    if is_multiple(shape):
        inputs = {"type": "array", "prefixItems": [samples(one) for one in shape], "items": False}
    remarks = {}
    bodies = [{"type": "object", "required": ["inputs"], "properties": {"inputs": inputs}}]
    if isinstance(model.preparation, TablePreparation):
        rows = {"type": "array", "minItems": 1, "maxItems": MOST, "items": {"type": "object"}}
        bodies.append({"type": "object", "required": ["rows"], "properties": {"rows": rows}})
        about = "Of rows: what they have that training had not, such as an unknown column."
        remarks = {"remarks": {"type": "array", "items": {"type": "string"}, "description": about}}
    answer = {
        "type": "object",
        "required": ["outputs", "probabilities", "predictions"],
        "properties": {
            "outputs": {"type": "array", "description": "The network's own outputs for each sample."},
            "probabilities": {
                "type": ["array", "null"],
                "description": "Of each class; null for a regression.",
            },
            "predictions": {
                "type": ["array", "null"],
                "description": "The class or the number for each sample.",
            },
            **remarks,
        },
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": f"xpnn: {name}", "version": __version__},
        "paths": {
            "/predict": {
                "post": {
                    "operationId": "predict",
                    "summary": "Answers of the trained model for samples.",
                    "requestBody": {
                        "required": True,
                        "content": {"application/json": {"schema": {"oneOf": bodies}}},
                    },
                    "responses": {
                        "200": {
                            "description": "The answers.",
                            "content": {"application/json": {"schema": answer}},
                        },
                        **{code: failure(text) for code, text in FAILURES.items()},
                    },
                }
            }
        },
    }


def failure(text: str) -> dict[str, Any]:
    """Return the description of a refusal."""
    return {"description": text, "content": {"application/json": {"schema": ERROR}}}
