"""What keeps several processes alike, what they save, and what they send."""

import json

import numpy as np
import pytest
from check_worker import control_of
from mpi_launch import finish, run, torchrun
from thread_ranks import ThreadCommunicator, by_threads

import xpnn
from xpnn.distributed import connect
from xpnn.errors import BackendError, UsageError

WORKER = "tests/distributed/check_worker.py"
NAMES = ("planted", "seeds", "data", "beginning", "alone_to_all", "all_to_alone", "steps", "compressed", "local_norm",
         "control", "versions", "state", "accumulated")  # fmt: skip


def check(folder, ranks, *names):
    """{name: what it found}: all of them in one launch."""
    code, out, err = run(ranks, WORKER, folder, *names, deadline=120, places=folder)
    assert code == 0, err
    return dict(map(json.loads, out.splitlines()))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("ranks")


@pytest.fixture(scope="module")
def found(folder):
    return check(folder, 3, *NAMES)


def test_a_bit_that_differs_is_caught_and_named(found):
    assert found["planted"].startswith(
        "BackendError: rank 1 differs from rank 0 in parameter 4.W, after step "
    )


def test_another_seed_is_refused(found):
    assert "ranks 1, 2 differ from rank 0 in seed of the run" in found["seeds"]


def test_other_data_is_refused(found):
    assert "rank 2 differs from rank 0 in data of the run" in found["data"]


def test_all_begin_with_the_weights_of_rank_0(found):
    assert found["beginning"] is True


def test_a_run_goes_on_with_another_number_of_processes(found, folder):
    """Stopped inside an epoch; of gradients that are accumulated each rank has a part, and the state all."""
    assert found["alone_to_all"] < 1e-12
    assert found["all_to_alone"] < 1e-12
    again = check(folder, 2, "resumed", "accumulated_on")
    assert again["resumed"] < 1e-12
    assert again["accumulated_on"] < 1e-12


def test_single_steps_are_shared(found):
    assert found["steps"] < 1e-12


def test_gradients_of_16_bits_are_near(found):
    """Rounded twice to 8 bits: at most 2^-8 of the largest terms, which add up to more than the sum."""
    assert 1e-6 < found["compressed"] < 3 * 2**-8


def test_local_batch_norm_averages_the_running_statistics(found):
    assert found["local_norm"] < 1e-12


def test_the_control_plane(found):
    assert found["control"] == control_of(3)


def test_another_version_is_refused(found):
    assert found["versions"].startswith("BackendError: rank 2 differs from rank 0 in the version of xpnn")


class EqualRows(ThreadCommunicator):
    equal_rows = True


def test_a_batch_that_equal_shares_do_not_fill_is_refused():
    """One program of all ranks gives each as many rows."""

    def fit(group):
        group.__class__ = EqualRows
        model = xpnn.Model([xpnn.Dense(2)], (3,), seed=0)
        model.fit(np.ones((9, 3)), np.arange(9) % 2, batch_size=8, verbose=0, communicator=group)

    with pytest.raises(UsageError, match="batches of 8 samples for 3 processes") as refused:
        by_threads(3, fit)
    assert refused.value.fix == "a batch size of 6 or 9"


@pytest.mark.oracle
def test_torch_distributed_does_the_same(tmp_path):
    process = torchrun(2, WORKER, tmp_path, "control", "steps", "compressed", "planted")
    code, out, err = finish(process, 120, tmp_path)
    assert code == 0, err[-3000:]
    found = dict(map(json.loads, out.splitlines()))
    assert found["control"] == control_of(2)
    assert found["steps"] < 1e-12
    assert found["compressed"] < 3 * 2**-8
    assert "rank 1 differs from rank 0 in parameter 4.W" in found["planted"]


@pytest.mark.oracle
def test_torch_without_its_launcher_is_an_error_with_a_fix(monkeypatch):
    pytest.importorskip("torch")
    for name in ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(BackendError, match="the processes of PyTorch do not find each other") as found:
        connect("torch")
    assert "torchrun" in found.value.fix
