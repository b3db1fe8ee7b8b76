"""A program run in NumPy, operation by operation: what the exported files do, and where they learn their sizes."""

import operator
import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from xpnn.interchange import operations, operations_recurrent, operations_windows
from xpnn.interchange.program import Host, Node, Program
from xpnn.interchange.sequence_rows import Body

ARITHMETIC: dict[str, Callable[..., Any]] = {
    "Add": operator.add,
    "Sub": operator.sub,
    "Mul": operator.mul,
    "Div": operator.truediv,
    "MatMul": operator.matmul,
    "Greater": operator.gt,
    "Equal": operator.eq,
    "And": operator.and_,
    "Not": operator.invert,
    "Neg": operator.neg,
    "Tanh": np.tanh,
    "Exp": np.exp,
    "Sqrt": np.sqrt,
    "Abs": np.abs,
    "Cos": np.cos,
    "Sin": np.sin,
    "Range": np.arange,
}
LEFT_OUT = {"Resize": ("mode", "coordinate_transformation_mode", "nearest_mode")}
"""Attributes that the functions in `operations` take for granted."""


NEEDS: dict[str, list[str]] = {
    "conv": ["windows"],
    "max_pool": ["windows"],
    "average_pool": ["windows"],
    "lstm": ["sigmoid", "directions"],
    "gru": ["sigmoid", "directions"],
    "rnn": ["directions"],
}
"""The other functions that a function calls."""


def find(name: str) -> Callable[..., Any]:
    """The function of that name in one of the modules of operations."""
    for module in (operations, operations_windows, operations_recurrent):
        found: Callable[..., Any] | None = vars(module).get(name)
        if found is not None:
            return found
    raise KeyError(name)


def function_of(kind: str) -> str:
    """The name of an operation in `operations`."""
    known = {"Sum": "total", "PRelu": "prelu"}
    return known.get(kind) or re.sub(r"(?<=[a-z])(?=[A-Z])", "_", kind).lower()


def settings_of(node: Node) -> dict[str, Any]:
    """The attributes that its function takes."""
    return {k: v for k, v in node.attributes.items() if k not in LEFT_OUT.get(node.kind, ())}


def run(program: Program, inputs: Mapping[str, Host]) -> dict[str, Any]:
    """Every value of the program, by name, those inside of loops as they were in the last step."""
    values: dict[str, Any] = {**program.constants, **inputs}
    run_nodes(program.nodes, values)
    return values


def run_nodes(nodes: list[Node], values: dict[str, Any]) -> None:
    """Adds what the nodes give."""
    for node in nodes:
        given = [values[name] for name in node.inputs if name]
        if node.kind == "Scan":
            results: Any = loop(node, given, values)
        elif node.kind in ARITHMETIC:
            results = ARITHMETIC[node.kind](*given)
        else:
            results = find(function_of(node.kind))(*given, **settings_of(node))
        if len(node.outputs) == 1:
            results = (results,)
        values.update(zip(node.outputs, results, strict=True))


def loop(node: Node, given: list[Any], values: dict[str, Any]) -> Any:
    """Run a Scan."""
    body: Body = node.attributes["body"]
    states = len(body.inputs) - 2

    def step(*arguments: Any) -> Any:
        """Run the body of a Scan once."""
        values.update(zip(body.inputs, arguments, strict=True))
        run_nodes(body.nodes, values)
        return [values[name] for name in body.outputs]

    reverse = bool(node.attributes["scan_input_directions"][0])
    found = operations_recurrent.scan(step, given[:states], given[states:], reverse)
    return found if len(node.outputs) > 1 else found[0]
