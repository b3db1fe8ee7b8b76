"""Parameter groups: settings for parameters chosen by their paths."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from xpnn.backends.base import Backend
from xpnn.config import Config
from xpnn.errors import UsageError
from xpnn.kernels import Array
from xpnn.optimizers.base import Optimizer, State
from xpnn.optimizers.patterns import fitting
from xpnn.optimizers.wrapper import Wrapper
from xpnn.parameters import ParamInfo
from xpnn.settings import AtLeastZero


@dataclass(frozen=True)
class Group(Config):
    """The parameters whose path fits `pattern`, as file names fit theirs: "2.W", "0.*" (layer 0), "*.b", "[12].*".

    lr: a factor of the optimizer's learning rate, scheduled or not. frozen: they keep their values, bit for bit.
    decay: a factor of l1, l2 and weight_decay; None leaves it at 1 for weights, 0 for biases and gains.
    Raises UsageError for a factor below 0.
    """

    pattern: str
    lr: AtLeastZero = 1.0
    decay: AtLeastZero | None = None
    frozen: bool = False

    def apply(self, param: ParamInfo) -> ParamInfo:
        """Return the parameter's entry with this group's factors."""
        decay = param.decay if self.decay is None else self.decay
        return param._replace(decay=decay, lr=0.0 if self.frozen else self.lr)


@dataclass(frozen=True)
class Groups(Wrapper):
    """`optimizer` with settings for groups of parameters; the first that fits holds, the rest are as without groups.

    Groups(Adam(1e-3), [Group("0.*", frozen=True), Group("*.W", lr=0.1)]) trains all but layer 0, its weights slowly.
    `bind` hands the factors to the optimizer inside and is then done, so Groups goes outside all other wrappers.
    Raises UsageError for a pattern that fits no parameter, and where all are frozen.
    """

    groups: tuple[Group, ...]

    if TYPE_CHECKING:  # a list is as good as a tuple

        def __init__(self, optimizer: Optimizer, groups: Sequence[Group]) -> None: ...

    outermost: ClassVar = True

    def bind(self, params: tuple[ParamInfo, ...]) -> Optimizer:
        """The optimizer inside, bound to parameters with the groups' factors."""
        found = {param.path: param for param in params}
        left = set(found)
        for group in self.groups:
            paths = fitting(group.pattern, found)
            if left.isdisjoint(paths):
                raise UsageError(
                    f"the pattern {group.pattern!r} fits no parameter that groups before it leave",
                    fix="the narrower pattern goes first",
                )
            found |= {path: group.apply(found[path]) for path in paths if path in left}
            left -= set(paths)
        if not any(param.lr for param in found.values()):
            raise UsageError("Groups freezes every parameter: there is nothing left to train")
        return self.optimizer.bind(tuple(found.values()))

    def init(self, be: Backend, theta: Array) -> State:
        """Raises UsageError: the optimizer that `bind` gives has a state."""
        self.bound_params()
        raise NotImplementedError
