"""docs/interchange.md says how far each layer differs; single layers of PyTorch and Keras are held to the same."""

import os
import pathlib
import re

import pytest

os.environ.setdefault("KERAS_BACKEND", "torch")
for library in ("torch", "keras", "onnx", "onnxruntime"):
    pytest.importorskip(library)

from cases import LAYERS  # noqa: E402
from measure_layers import DIRECTIONS, direction_values, from_keras, from_torch  # noqa: E402
from onnx_runs import TOLERANCE  # noqa: E402
from weight_pairs import torch_pairs  # noqa: E402

from xpnn.interchange.leaves import KINDS  # noqa: E402
from xpnn.interchange.table import TABLE  # noqa: E402

TEXT = (pathlib.Path(__file__).parents[2] / "docs" / "interchange.md").read_text()
pytestmark = [
    pytest.mark.oracle,
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
]


def test_the_table_has_a_row_per_layer_and_small_numbers():
    """A class that came after the last `ci/interchange` is not in it yet."""
    rows = {name: cells.split(" | ") for name, cells in re.findall(r"^\| (\w+) \| (.*) \|$", TEXT, re.M)}
    assert tuple(rows.pop("layer")) == DIRECTIONS
    known = {cls.__name__ for cls in TABLE}
    assert set(rows) <= known, "run ci/interchange"
    assert len(rows) > 90
    for name, cells in rows.items():
        assert len(cells) == len(DIRECTIONS), name
        numbers = [float(cell.split(",")[0]) for cell in cells if cell[0].isdecimal()]
        assert len(numbers) >= 3, name
        assert max(numbers) <= TOLERANCE, name


def test_single_layers_of_pytorch():
    found = from_torch()
    assert {cls.__name__ for classes in KINDS.values() for cls in classes} - set(found) <= {
        "PositionalEncoding"
    }
    assert max(found.values()) <= TOLERANCE, found


def test_single_layers_of_keras():
    found = from_keras()
    assert len(found) >= len(torch_pairs()) - 2
    assert max(found.values()) <= TOLERANCE, found


def test_one_row_is_measured_in_all_directions(tmp_path):
    case = next(case for case in LAYERS if type(case.layer).__name__ == "Conv2D")
    found = direction_values(case, tmp_path)
    assert set(found) == set(DIRECTIONS) - {"PyTorch", "Keras"}
    assert max(found.values()) <= TOLERANCE
