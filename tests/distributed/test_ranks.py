"""What keeps several processes alike, what they save, and what they send."""

import json
import subprocess
import sys

import pytest
from mpi_launch import ROOT, environment, run

WORKER = "tests/distributed/check_worker.py"
NAMES = ("planted", "seeds", "data", "beginning", "alone_to_all", "all_to_alone", "steps", "compressed", "local_norm",
         "control", "state", "accumulated")  # fmt: skip


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


CONTROL = [
    True, False, [0.0, 2.5, 5.0], "from 1 ä", "rank 1", "", [0, 3], [3.0, 6.0, 9.0], [[0], [1], [2]],
    [[0], [10], [20]],
]  # fmt: skip


def test_the_control_plane(found):
    assert found["control"] == CONTROL


@pytest.mark.oracle
def test_torch_distributed_does_the_same(tmp_path):
    pytest.importorskip("torch")
    launch = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "3"]
    ended = subprocess.run(
        [*launch, WORKER, tmp_path, "control", "steps", "compressed", "planted"],
        cwd=ROOT, env=environment(), text=True, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr[-3000:]
    found = dict(map(json.loads, ended.stdout.splitlines()))
    assert found["control"] == CONTROL
    assert found["steps"] < 1e-12
    assert found["compressed"] < 3 * 2**-8
    assert "rank 1 differs from rank 0 in parameter 4.W" in found["planted"]
