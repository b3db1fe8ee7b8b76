"""The benchmark's contenders compute the same: their losses over some steps from equal weights."""

import pytest
from tolerances import assert_close

from benchmarks import nets
from benchmarks.libraries import CONTENDERS, missing
from benchmarks.nets import Cell, Net

pytestmark = pytest.mark.oracle
BATCH, STEPS = 6, 4
CONV = ("conv", 4), ("relu", 0), ("conv", 3), ("pool", 2), ("flatten", 0), ("dense", 10)
NETS = {
    "mlp": nets.mlp(12, 9, 7, 10),
    "cnn": Net("cnn", (9, 8, 2), CONV),
    "lstm": Net("lstm", (5, 3), (("lstm", 6), ("dense", 10))),
}
ORACLES = ("torch", "torch-fused", "torch-last", "jax", "keras")


def losses(name, cell):
    """Of every step, before its update."""
    run = CONTENDERS[name].build("train", cell)
    return [run(1) for _ in range(STEPS)]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("rival", ORACLES)
def test_contenders_compute_the_same(rival, net, optimizer):
    if why := missing([rival]):
        pytest.skip(f"could not import '{CONTENDERS[rival].needs}': {why[rival]}")
    cell = Cell("small", NETS[net], BATCH, optimizer)
    ours = losses("xpnn", cell)
    assert len(set(ours)) == STEPS
    assert_close(losses(rival, cell), ours, "float32", f"{rival} {cell}")
