"""live.json: what a training shows of its inside, written by `Recorder` now and then and read by the pages."""

import re
from pathlib import Path
from typing import Any

from xpnn.errors import CheckpointError
from xpnn.reading import misfit, read_bounded
from xpnn.training.safetensors_reader import read_json

LIVE = "live.json"
MOST = 1 << 22
"""Bytes: 64 pictures of weights and 12 samples take a tenth."""
ALPHABET = re.compile("[A-Za-z0-9+/]*={0,2}")
"""What base64 is made of."""
NUMBER = (int, float, None)
PICTURE: dict[str, Any] = {"form": [int], "bytes": str}
"""form: (height, width, channels); bytes: of the pixels, as base64."""
RECORD: dict[str, Any] = {
    "epoch": int,
    "layers": [{"path": str, "layer": str, "units": int, "dead": int, "zeros": NUMBER}],
    "gradients": {"epoch": [int], "norm": [NUMBER], "parameters": {}},
    "weights": ({"path": str, "most": NUMBER, "units": int, "pictures": [PICTURE]}, None),
    "mistakes": [
        {
            "true": int,
            "taken_for": int,
            "share": NUMBER,
            "picture": (PICTURE, None),
            "numbers": ([NUMBER], None),
        }
    ],
    "judged": int,
}
"""What each entry may be. `judged`: the samples that the mistakes were looked for among."""


def read_record(folder: Path) -> dict[str, Any] | None:
    """Return the record; None without that file. Raises CheckpointError where it is damaged, FileError."""
    path = folder / LIVE
    if not path.exists():
        return None
    record = read_json(read_bounded(path, MOST), "file")
    if not isinstance(record, dict) or record.keys() != RECORD.keys():
        raise CheckpointError(f"{path} is damaged", why=f"wanted {', '.join(RECORD)}")
    gradients = record["gradients"]
    parameters = gradients.get("parameters") if isinstance(gradients, dict) else None
    each = {path: [NUMBER] for path in parameters} if isinstance(parameters, dict) else {}
    wanted = RECORD | {"gradients": RECORD["gradients"] | {"parameters": each}}
    if found := misfit(record, wanted):
        raise CheckpointError(f"{path} is damaged", why=found)
    if any(not fits(one) for one in pictures_of(record)):
        raise CheckpointError(f"{path} is damaged", why="a picture has another size than it says")
    return record


def pictures_of(record: dict[str, Any]) -> list[dict[str, Any]]:
    """Return all pictures of a record."""
    weights = record["weights"] or {"pictures": []}
    return [*weights["pictures"], *(one["picture"] for one in record["mistakes"] if one["picture"])]


def fits(picture: dict[str, Any]) -> bool:
    """Whether the number of bytes is what the form says."""
    form, text = picture["form"], picture["bytes"]
    if len(form) != 3:
        return False
    height, width, channels = form
    size: int = height * width * channels
    return ALPHABET.fullmatch(text) is not None and len(text) == 4 * -(-size // 3)
