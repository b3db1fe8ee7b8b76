"""All contenders of `ci/gpu` train the same network: the same losses from the same weights, here on the CPU."""

import importlib.util

import numpy as np
import pytest

from benchmarks.gpu.arena import CHECK, Seat, Worker, take_turns, together
from benchmarks.gpu.contenders import CONTENDERS, OURS, RIVALS, make
from benchmarks.gpu.nets import NETS, PRECISIONS, cell
from benchmarks.gpu.site import Site
from benchmarks.gpu.stages.steps import ROUNDS, measure

TINY = [("12-8-3", 4), ("tiny cnn", 3)]
CLOSE = {"fp32": 1e-5, "tf32": 1e-5, "bf16": 2e-2}
"""Relative, after CHECK steps; a CPU has no TF32."""


def tiny(net, batch, precision="fp32"):
    """Three batches."""
    return cell(net, batch, precision, 3 * batch)


def losses(contender, n):
    found = []
    for _ in range(n):
        contender.steps(1)
        contender.wait()
        found.append(contender.loss())
    return found


def by_hand(net, batch):
    """The first loss of the dense network in NumPy, in float64, from the numbers that all begin with."""
    (W1, b1), (W2, b2) = NETS[net].parameters()
    x, y, order = NETS[net].data(3 * batch)
    rows = order[:batch]
    z = np.maximum(x[rows] / 255 @ W1.astype(np.float64) + b1, 0) @ W2 + b2
    return float(np.mean(np.log(np.exp(z).sum(1)) - z[np.arange(batch), y[rows]]))


@pytest.mark.parametrize("name", ["xpnn", "xpnn-eager"])
def test_the_first_loss_is_the_one_computed_by_hand(name):
    contender = make(name, tiny("12-8-3", 4), True)
    assert losses(contender, 1)[0] == pytest.approx(by_hand("12-8-3", 4), rel=1e-6)


@pytest.mark.parametrize(("net", "batch"), TINY)
def test_the_epoch_begins_anew_with_the_same_order(net, batch):
    """Steps beyond the last batch take the first ones again; Adam has moved on, so the losses fall."""
    found = losses(make(OURS, tiny(net, batch), True), 30)
    assert np.isfinite(found).all()
    assert np.mean(found[-3:]) < np.mean(found[:3])


@pytest.mark.oracle
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize(("net", "batch"), TINY)
@pytest.mark.parametrize("name", RIVALS)
def test_a_rival_trains_the_same_network(name, net, batch, precision, monkeypatch):
    """PyTorch's precision of products stays as it is: the other tests of this process rely on it."""
    pytest.importorskip("jax" if name == "jax" else "torch")
    if name != "jax":
        monkeypatch.setattr("benchmarks.gpu.contenders.torch_steps.pin", lambda precision: None)
    ours, theirs = (make(who, tiny(net, batch, precision), True) for who in (OURS, name))
    np.testing.assert_allclose(losses(theirs, CHECK), losses(ours, CHECK), rtol=CLOSE[precision])


def test_a_worker_builds_runs_and_measures():
    worker = Worker(OURS, True)
    built = worker.build(tiny("12-8-3", 4))
    assert worker.contender.done == CHECK + 3
    assert built["loss"] == pytest.approx(losses(make(OURS, tiny("12-8-3", 4), True), CHECK)[-1], rel=1e-6)
    assert worker.turn(2) > 0


def test_a_contender_that_is_missing_or_dies_is_a_word():
    """The others go on; a process that was lost is begun anew."""
    seats = {"ours": Seat(OURS, True), "nobody": Seat("no such contender", True)}
    try:
        answers = together(seats, dict.fromkeys(seats, ("build", tiny("12-8-3", 4))), 60)
        assert answers["ours"][0] == "ok"
        assert answers["nobody"] == ("refused", "KeyError: 'no such contender'")
        times = take_turns({"ours": seats["ours"]}, {"ours": 1e-3}, 5)
        assert len(times["ours"]) == 5
        seats["ours"].process.kill()
        seats["ours"].process.join()
        assert take_turns({"ours": seats["ours"]}, {"ours": 1e-3}, 5) == {"ours": "its process ended with -9"}
        again = together({"ours": seats["ours"]}, {"ours": ("build", tiny("12-8-3", 4))}, 60)
        assert again["ours"][0] == "ok"
        seats["ours"].send("turn", 10**9)
        assert seats["ours"].answer(0.1) == ("refused", "no answer in 0 s")
    finally:
        for seat in seats.values():
            seat.close()


def test_a_cell_has_a_row_for_each_precision_and_installed_library(monkeypatch):
    seats = {(name, "fp32"): Seat(name, True) for name in (OURS, "xpnn-eager", "no such contender")}
    monkeypatch.setattr("benchmarks.gpu.arena.TURN", 1e-3)
    try:
        (row,) = measure(Site(True), seats, "12-8-3", 4)
    finally:
        for seat in seats.values():
            seat.close()
    contenders = row["contenders"]
    assert [len(contenders[name]["seconds"]) for name in (OURS, "xpnn-eager")] == [ROUNDS, ROUNDS]
    assert contenders["no such contender"] == {"refused": "KeyError: 'no such contender'"}
    assert set(row["ratios"]) == {"xpnn-eager"}
    assert row["apart"] == 0.0


def test_a_cell_without_time_is_not_begun():
    place = Site(True, until=0.0)
    (row,) = measure(place, {(OURS, "fp32"): Seat(OURS, True)}, "12-8-3", 4)
    assert row == {"name": "12-8-3", "batch": 4, "precision": "fp32", "refused": "no time left"}


def test_every_contender_has_its_module():
    for module, _ in CONTENDERS.values():
        assert importlib.util.find_spec(f"benchmarks.gpu.contenders.{module}")
