"""What stands beside the graph of an ONNX file: names of classes, and how pictures become samples."""

import json
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from xpnn.config import to_config
from xpnn.errors import CheckpointError, UsageError, XpnnError

if TYPE_CHECKING:
    from xpnn.data.preparation import Preparation
    from xpnn.model import Model

CLASSES, PREPARATION, INPUTS = "classes", "preparation", "inputs"
"""Keys of the metadata, all as JSON."""
LONGEST = 2**24
"""Characters of an entry."""


def metadata(
    model: "Model", classes: Sequence[str], *, preprocessing: bool, meanings: Sequence[str] = ()
) -> dict[str, str]:
    """The entries that an export has: a preparation only where the layers that scale its samples are in the file.

    meanings: of each input, what its numbers are.
    """
    found = {CLASSES: json.dumps(list(classes))} if classes else {}
    if meanings:
        found[INPUTS] = json.dumps(list(meanings))
    if model.preparation is not None and preprocessing:
        found[PREPARATION] = json.dumps(to_config(without_scale(model.preparation)))
    return found


def without_scale(preparation: "Preparation") -> "Preparation":
    """That of a file whose network scales the numbers of a table itself."""
    from xpnn.data.tables.feature_scale import unscaled
    from xpnn.data.tables.preparation import TablePreparation

    return unscaled(preparation) if isinstance(preparation, TablePreparation) else preparation


def entry(proto: Any, key: str) -> Any:
    """The JSON under that key; None without one. Raises CheckpointError for a damaged one."""
    text = next((str(one.value) for one in proto.metadata_props if one.key == key), None)
    if text is None:
        return None
    try:
        if len(text) > LONGEST:
            raise ValueError(f"{len(text):,} characters, at most {LONGEST:,} are read")
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CheckpointError(f"the file's metadata {key!r} is damaged", why=str(error)[:200]) from error


def remember(model: "Model", proto: Any, classes: Sequence[str]) -> None:
    """Give the model the preparation in the file, or one of pictures with these names, or the file's, of its classes.

    Raises UsageError for names that the model has no outputs or no place for; those in the file are then left out, and
    a warning says so.
    """
    saved = entry(proto, PREPARATION)
    if saved is not None and not classes:
        model.preparation = restored(model, saved)
        return
    names = list(classes) or names_in(proto)
    if not names:
        return
    try:
        model.preparation = pictures(model, names)
    except UsageError as error:
        if classes:
            raise
        warnings.warn(f"the file's names of classes are left out: {error.what}", stacklevel=4)


def restored(model: "Model", saved: Any) -> "Preparation":
    """That of our own export. Raises CheckpointError for one that is damaged, or does not fit the network."""
    from xpnn.training.checkpoint import read_preparation

    found = read_preparation({"preparation": saved})
    try:
        assert found is not None
        found.check_model(model.input_shape, model.output_shape)
    except XpnnError as error:
        raise CheckpointError(
            f"the saved preparation does not fit the network: {error.what}", why=error.why
        ) from error
    return found


def names_in(proto: Any) -> list[str]:
    """The names in the file's metadata; of other things under that key none."""
    try:
        found = entry(proto, CLASSES)
    except CheckpointError:  # other programs keep other things there
        return []
    return found if isinstance(found, list) and all(isinstance(name, str) for name in found) else []


def pictures(model: "Model", names: Sequence[str]) -> "Preparation":
    """Pictures resized to the size that the network takes. Raises UsageError where it takes none."""
    from xpnn.data.image_preparation import ImagePreparation

    shape, out = model.input_shape, model.output_shape
    if len(shape) != 3 or shape[-1] not in (1, 3) or not all(isinstance(n, int) for n in shape):
        raise UsageError(
            f"names of classes beside samples of shape {shape}", why="they are kept for pictures"
        )
    if tuple(out) != (len(names),):
        raise UsageError(f"{len(names)} names of classes for outputs of shape {out}")
    return ImagePreparation(*shape, tuple(names))
