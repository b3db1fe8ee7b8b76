"""A step as one graph for each signature: what is recorded, when, and what happens where it cannot be.

A new signature runs as it is, for many come only once; when it comes again it is recorded, and from then on replayed.
What cannot be recorded goes on as it is, and one warning says why.
"""

import threading
import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any, TypeAlias

from xpnn.backends.cuda.graph import Arrays, Graph, Recorder, clone
from xpnn.errors import XpnnError, first_line
from xpnn.trees import Path, flatten

GRAPHS = 8
"""The most signatures of one step that are kept. The least recently used is dropped first, and its memory freed."""
NEW, SEEN, REFUSED = "new", "seen", "refused"

Form: TypeAlias = frozenset[Hashable]


class Captured:
    """`step`, recorded and replayed; called as it is.

    donated, resident: positions of arguments, see `Graph`. A graph depends on the paths, shapes and dtypes of all
    arrays, on where the resident ones lie, and on every argument that is no array.
    """

    def __init__(
        self,
        step: Callable[..., Any],
        recorder: Recorder,
        donated: Sequence[int] = (),
        resident: Sequence[int] = (),
    ) -> None:
        self.step, self.recorder = step, recorder
        self.donated, self.resident = frozenset(donated), frozenset(resident)
        self.known: OrderedDict[Form, Graph | str] = OrderedDict()
        self.lock, self._warned = threading.RLock(), False

    def __call__(self, *args: Any) -> Any:
        """One call at a time: a graph has one set of buffers."""
        with self.lock:
            leaves = flatten(args)
            form = self._form(leaves)
            known = self.known.pop(form, NEW)
            refusal = ""
            if known == SEEN:
                known, refusal = self._record(args, leaves)
            self.known[form] = SEEN if known == NEW else known
            while len(self.known) > GRAPHS:
                self.known.popitem(last=False)
            self.warn_once(refusal)
            return known.replay(leaves) if isinstance(known, Graph) else self.step(*args)

    def _form(self, leaves: dict[Path, Any]) -> Form:
        is_array, resident = self.recorder.is_array, self.resident
        return frozenset(
            (path, a.shape, a.dtype, self.recorder.place(a) if path[0] in resident else None)
            if is_array(a)
            else (path, type(a), a or None)  # an empty branch is a leaf too
            for path, a in leaves.items()
        )

    def _record(self, args: Any, leaves: dict[Path, Any]) -> tuple[Graph | str, str]:
        """The graph and "", or REFUSED and why recording failed. XpnnErrors of the step are raised."""
        arrays = {path: a for path, a in leaves.items() if self.recorder.is_array(a)}
        donated = {path: a for path, a in arrays.items() if path[0] in self.donated}
        inputs = {path: a for path, a in arrays.items() if path[0] not in self.donated | self.resident}
        try:
            return Graph(self.recorder, self.step, args, self._buffers(donated, arrays), inputs), ""
        except XpnnError:
            raise
        except Exception as error:
            return REFUSED, f"{type(error).__name__}: {first_line(error)}"

    def _buffers(self, donated: Arrays, arrays: Arrays) -> Arrays:
        """The buffers of a graph whose donated arguments have the same shapes and dtypes, else new ones.

        An array that no other argument overlaps is used as its own buffer.
        """
        wanted = _shapes_and_dtypes(donated)
        for known in self.known.values():
            if isinstance(known, Graph) and _shapes_and_dtypes(known.buffers) == wanted:
                return known.buffers

        def alone(path: Path, a: Any) -> bool:
            others = (other for place, other in arrays.items() if place != path)
            return self.recorder.whole(a) and not any(self.recorder.overlap(a, other) for other in others)

        return {path: a if alone(path, a) else clone(self.recorder, a) for path, a in donated.items()}

    def warn_once(self, refusal: str) -> None:
        if refusal and not self._warned:
            self._warned = True
            warnings.warn(
                f"a step goes on without a CUDA graph, operation by operation: {refusal}",
                RuntimeWarning,
                stacklevel=3,
            )


def _shapes_and_dtypes(arrays: Arrays) -> dict[Path, Any]:
    return {path: (a.shape, a.dtype) for path, a in arrays.items()}
