"""What is shown of a run as it goes on: the table's lines, and the bar of a terminal."""

import io

import numpy as np
import pytest
from rich.console import Console

import xpnn
from xpnn.training import Row
from xpnn.training.progress import HEAD, Lasting, Progress, format_row


def shown(row):
    return format_row(Row(*row))


def test_a_row_stands_under_its_head():
    best = shown((7, 0.12345, 0.5, 0.98765, 0.001, 12.34, True, 0.5))
    assert best == "    7*      0.1235    50.00 %      0.5000    98.77 %  1.00e-03   12.3s"
    assert shown((12, 2.0, None, None, 0.5, 0.06, False)) == (
        "   12       2.0000          -           -          -  5.00e-01    0.1s"
    )
    assert shown((12, 2.0, None, None, 0.5, 0.06, False, None, {"f1": 0.5})).endswith("0.1s      0.5000")
    assert len(best) == len(HEAD)
    assert HEAD.index("valid_acc") + len("valid_acc") == best.rindex("%") + 1


def test_the_bar_counts_epochs_samples_and_the_time():
    """Of a run that goes on after three epochs, with two to come: 3 + 2 in all."""
    text = io.StringIO()
    bar = Progress(Console(file=text, force_terminal=True, width=90))
    run = xpnn.Trainer(xpnn.Model([xpnn.Dense(2)], (3,), seed=0), "softmax_cross_entropy")
    run.history = [Row(k, 1.0, None, None, 0.1, 1.0, True) for k in (1, 2, 3)]
    run.columns = []
    bar.start(run, epochs=2, samples=60, batch_size=30)
    try:
        (task,) = bar.bar.tasks
        assert (task.description, task.completed, task.total) == ("4/5", 0, 120)
        bar.progress(4, 30, 0.98765)
        assert (task.description, task.completed, task.fields["note"]) == ("4/5", 30, "loss 0.9877")
        bar.progress(5, 60, 0.5)
        assert (task.description, task.completed, task.percentage) == ("5/5", 120, 100)
        bar.bar.refresh()
    finally:
        bar.end(run)
    for word in (HEAD, "5/5", "100 %", "loss 0.5000", "eta"):
        assert word in text.getvalue()


@pytest.mark.parametrize("terminal", [True, False])
def test_only_a_terminal_sees_a_bar(terminal):
    text = io.StringIO()
    model = xpnn.Model([xpnn.Dense(2)], (3,), seed=0, loss="softmax_cross_entropy")
    watch = Progress(Console(file=text, force_terminal=terminal, width=90))
    xpnn.Trainer(model).fit(np.ones((8, 3), np.float32), np.arange(8) % 2, epochs=2, callbacks=[watch])
    assert ("eta" in text.getvalue()) is terminal


def test_a_stream_that_is_gone_ends_no_training():
    gone = io.StringIO()
    gone.close()
    stream = Lasting(gone)
    assert stream.write("abc") == 3
    stream.flush()
    assert stream.closed
