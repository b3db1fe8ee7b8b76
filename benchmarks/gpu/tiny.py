"""A few training steps so small that a sanitizer gets through them: `python -m benchmarks.gpu.tiny [--rehearse]`."""

import sys

from benchmarks.gpu.contenders import make
from benchmarks.gpu.nets import cell
from benchmarks.gpu.site import Site


def main(*flags: str) -> None:
    place = Site("--rehearse" in flags)
    if not place.rehearsal:
        place.cupy().cuda.set_allocator(
            None
        )  # each array its own block: a pool would hide what lies behind its end
    for net, batch in (("12-8-3", 5), ("tiny cnn", 3)):
        contender = make("xpnn-eager", cell(net, batch, "fp32", 3 * batch), place.rehearsal)
        contender.steps(3)
        contender.wait()
        print(net, contender.loss())


if __name__ == "__main__":
    main(*sys.argv[1:])
