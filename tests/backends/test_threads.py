"""How many threads BLAS uses: by made-up control groups and clocks, never by timing."""

import itertools

import pytest

from xpnn.backends.cpu import threads
from xpnn.backends.cpu.threads import AdaptiveThreads, blas_threads, quota, usable_threads

GROUPS = {
    "2, a limit": ("0::/a/b\n", {"a/b/cpu.max": "150000 100000\n"}, 1.5),
    "2, a limit above": ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n", "a/cpu.max": "50000 100000\n"}, 0.5),
    "2, the smaller": ("0::/a/b\n", {"a/b/cpu.max": "400000 100000", "a/cpu.max": "200000 100000"}, 2.0),
    "2, in a container": ("0::/\n", {"cpu.max": "300000 100000\n"}, 3.0),
    "2, a path of the host": ("0::/docker/0af\n", {"cpu.max": "300000 100000\n"}, 3.0),
    "2, no limit": ("0::/a\n", {"a/cpu.max": "max 100000\n"}, None),
    "2, none": ("0::/a\n", {}, None),
    "1": (
        "5:memory:/x\n4:cpu,cpuacct:/x\n",
        {"cpu,cpuacct/x/cpu.cfs_quota_us": "250000\n", "cpu,cpuacct/x/cpu.cfs_period_us": "100000\n"},
        2.5,
    ),
    "1, linked": ("4:cpu,cpuacct:/\n", {"cpu/cpu.cfs_quota_us": "1", "cpu/cpu.cfs_period_us": "4"}, 0.25),
    "1, no limit": ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
    "both, of which 2 has no controllers": (
        "4:cpu:/x\n0::/x\n",
        {"cpu/x/cpu.cfs_quota_us": "200000", "cpu/x/cpu.cfs_period_us": "100000"},
        2.0,
    ),
    "rubbish": ("0::/a\n", {"a/cpu.max": "lots of it\n"}, None),
    "a period of 0": ("0::/a\n", {"a/cpu.max": "100 0\n"}, None),
}


def placed(tmp_path, groups, files):
    for name, text in files.items():
        path = tmp_path / "root" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "groups").write_text(groups)
    return str(tmp_path / "groups"), str(tmp_path / "root")


@pytest.mark.parametrize(("groups", "files", "wanted"), GROUPS.values(), ids=GROUPS)
def test_the_quota_of_control_groups(tmp_path, groups, files, wanted):
    assert quota(*placed(tmp_path, groups, files)) == wanted


def test_without_control_groups(tmp_path):
    assert quota(str(tmp_path / "none"), str(tmp_path)) is None


@pytest.mark.parametrize(
    ("cores", "limit", "wanted"), [(8, None, 8), (8, 2.9, 2), (2, 16.0, 2), (4, 0.5, 1), (1, None, 1)]
)
def test_threads_follow_affinity_and_quota(monkeypatch, cores, limit, wanted):
    monkeypatch.setattr(threads, "cores", lambda: cores)
    monkeypatch.setattr(threads, "quota", lambda: limit)
    assert usable_threads() == wanted


def counts():
    from threadpoolctl import threadpool_info

    return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]


def test_the_number_is_set_changed_and_set_back():
    before = counts()
    with blas_threads(1) as use:
        assert set(counts()) == {1}
        use(2)
        assert max(counts()) == 2
    assert counts() == before


class Machine:
    """A machine whose steps take seconds[number of threads], with a clock that they alone move.

    others: processes that compute without a pause; the threads have their share of its cores beside them. reports:
    whether it says how many cores are idle.
    """

    def __init__(self, seconds, cores=2, others=0, reports=True):
        self.seconds, self.now, self.threads, self.spent = seconds, 0.0, max(seconds), {}
        self.cores, self.others, self.reports, self.used, self.idle = cores, others, reports, 0.0, 0.0

    def use(self, threads):
        self.threads = threads

    def pass_time(self, seconds):
        self.now += seconds
        wanted = self.threads + self.others
        self.used += seconds * self.threads * min(1, self.cores / wanted)
        self.idle += seconds * max(0, self.cores - wanted)

    def run(self, adaptive, seconds):
        """Steps for so long; the share of the time on each number of threads, and the number of steps."""
        end, spent, steps = self.now + seconds, dict.fromkeys(self.seconds, 0.0), 0
        while self.now < end:
            took = self.seconds[self.threads]
            spent[self.threads] += took / seconds
            self.pass_time(took)
            steps += 1
            adaptive.step()
        return spent, steps


def adaptive(machine):
    return AdaptiveThreads(
        max(machine.seconds),
        machine.use,
        lambda: machine.now,
        lambda: machine.used,
        lambda: machine.idle if machine.reports else None,
    )


QUIET, BUSY = {1: 7.0e-3, 2: 4.3e-3}, {1: 10.5e-3, 2: 34e-3}
"""Mean steps of 784-1024-1024-10 at batch 32 on two cores, alone and beside two busy processes."""


@pytest.mark.parametrize("reports", [True, False])
def test_threads_fall_on_a_busy_machine_and_rise_again(reports):
    machine = Machine(QUIET, reports=reports)
    chosen = adaptive(machine)
    spent, steps = machine.run(chosen, 60)
    assert chosen.threads == 2
    assert steps * QUIET[2] > 0.97 * 60  # what the trials cost
    machine.seconds, machine.others = BUSY, 2
    spent, steps = machine.run(chosen, 1)
    assert chosen.threads == 1
    spent, steps = machine.run(chosen, 60)
    assert spent[1] > 0.9
    assert steps * BUSY[1] > 0.9 * 60
    machine.seconds, machine.others = QUIET, 0
    machine.run(chosen, 3 if reports else 70)
    spent, steps = machine.run(chosen, 60)
    assert spent[2] > 0.95


def test_small_products_end_on_one_thread():
    machine = Machine({1: 1e-3, 2: 1.3e-3, 4: 1.9e-3, 8: 3.0e-3}, cores=8)
    chosen = adaptive(machine)
    machine.run(chosen, 30)
    spent, _ = machine.run(chosen, 60)
    assert spent[1] > 0.9


def test_one_core_is_never_changed():
    machine = Machine({1: 1e-3})
    chosen = adaptive(machine)
    machine.use = None  # to call it would raise
    machine.run(chosen, 10)
    assert chosen.threads == 1


def test_what_lies_between_steps_counts_for_nothing():
    """A validation of ten seconds after every hundredth step starts no trial."""
    machine = Machine(QUIET)
    chosen = adaptive(machine)
    used = []
    chosen.use = lambda n: (used.append(n), machine.use(n))
    for _ in range(3):
        for _ in range(100):
            machine.pass_time(machine.seconds[machine.threads])
            chosen.step()
        chosen.pause()
        machine.now += 10
    assert used in ([1, 2], [1, 2, 1, 2])  # the regular trials


def test_a_trial_is_rare_where_it_gains_nothing():
    machine = Machine(QUIET)
    chosen, trials = adaptive(machine), []
    chosen.use = lambda n: (trials.append(machine.now), machine.use(n))
    machine.run(chosen, 500)
    began = trials[::2]
    gaps = [b - a for a, b in itertools.pairwise(began)]
    assert gaps == sorted(gaps)
    assert len(began) < 13


def test_a_run_that_begins_on_a_busy_machine_takes_fewer_threads():
    machine = Machine(BUSY, others=2)
    chosen = adaptive(machine)
    machine.run(chosen, 0.6)
    assert chosen.threads == 1


def test_no_trial_without_an_idle_core():
    machine = Machine(BUSY, others=2)
    chosen, trials = adaptive(machine), []
    machine.run(chosen, 1)
    chosen.use = lambda n: (trials.append(n), machine.use(n))
    machine.run(chosen, 100)
    assert trials == []


EIGHT = {1: 1e-3, 2: 1.3e-3, 4: 1.9e-3, 8: 3.0e-3}
"""Small products, which gain nothing by threads."""
GAINING = {1: 8e-3, 2: 4.4e-3, 4: 2.5e-3, 8: 1.5e-3}
HISTORIES = {
    "quiet: trials that gain nothing, ever further apart": (
        2, True, [(QUIET, 0, 100)],
        "2.0 1, 2.2 2, 6.3 1, 6.5 2, 14.6 1, 14.8 2, 30.9 1, 31.1 2, 63.3 1, 63.5 2",
    ),
    "busy for a while: down at once, up when cores are idle": (
        2, True, [(QUIET, 0, 20), (BUSY, 2, 12), (QUIET, 0, 20)],
        "2.0 1, 2.2 2, 6.3 1, 6.5 2, 14.6 1, 14.8 2, 20.2 1, 32.2 2, 34.4 1, 34.6 2, 38.7 1, 38.9 2, 47.0 1, 47.2 2",
    ),
    "the same where nobody says which cores are idle": (
        2, False, [(QUIET, 0, 20), (BUSY, 2, 30), (QUIET, 0, 50)],
        "2.0 1, 2.2 2, 6.3 1, 6.5 2, 14.6 1, 14.8 2, 20.2 1, 22.6 2, 22.8 1, 27.0 2, 27.2 1, 35.3 2, 35.6 1, 51.7 2, "
        "53.9 1, 54.1 2, 58.1 1, 58.3 2, 66.4 1, 66.6 2, 82.8 1, 83.0 2",
    ),
    "eight threads that gain nothing": (
        8, True, [(EIGHT, 0, 60)],
        "2.0 4, 4.2 8, 4.4 4, 8.5 2, 10.7 4, 10.9 2, 14.9 1, 17.1 2, 17.3 1, 21.3 2, 21.5 1, 29.5 2, 29.7 1, 45.7 2, "
        "45.9 1",
    ),
    "eight that gain, beside seven others": (
        8, True, [(GAINING, 0, 10), (GAINING, 7, 6), (GAINING, 0, 20)],
        "2.0 4, 2.2 8, 6.2 4, 6.4 8, 10.3 4, 10.5 8, 12.5 4, 12.7 8, 14.7 4, 14.9 8",
    ),
    "steps of half a second, eight to a block": (
        2, True, [({1: 0.5, 2: 0.3}, 0, 30)],
        "2.7 1, 6.7 2, 11.5 1, 15.5 2, 25.1 1, 29.1 2",
    ),
    "all at once twice as slow: tried every two seconds": (
        2, True, [({1: 7e-3, 2: 4e-3}, 0, 9), ({1: 14e-3, 2: 8e-3}, 0, 9)],
        "2.0 1, 2.2 2, 6.3 1, 6.5 2, 9.3 1, 9.5 2, 11.6 1, 11.8 2, 13.9 1, 14.1 2, 16.2 1, 16.4 2",
    ),
}  # fmt: skip
"""{what happens: (cores, whether idle ones are known, (seconds of a step, other processes, how long) one after the
other, when which number of threads was set)}."""


@pytest.mark.parametrize("name", HISTORIES)
def test_when_which_number_of_threads_is_tried(name):
    cores, reports, parts, wanted = HISTORIES[name]
    machine, found = Machine(parts[0][0], cores, reports=reports), []
    chosen = adaptive(machine)
    chosen.use = lambda n: (found.append(f"{machine.now:.1f} {n}"), machine.use(n))
    for seconds, others, duration in parts:
        machine.seconds, machine.others = seconds, others
        machine.run(chosen, duration)
    assert ", ".join(found) == wanted
