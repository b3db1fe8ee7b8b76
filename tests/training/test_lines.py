"""Rows in files that grow: what was appended is read back, and damage is noticed or said."""

import json

import pytest

from xpnn.cli.log import METRICS, Log, read_history
from xpnn.durable import append_durably
from xpnn.errors import CheckpointError, FileError
from xpnn.training.history import Row
from xpnn.training.json_lines import line_of, read_lines

ROWS = [Row(i, 1 / i, None, 0.5, 1e-3, 0.1, i == 1) for i in range(1, 6)]


class Trained:
    history = ROWS[:2]


@pytest.fixture
def written(tmp_path):
    log = Log(tmp_path / METRICS)
    log.start(Trained, 3, 10, 2)
    for row in ROWS[2:]:
        log.epoch(Trained, row)
    return tmp_path / METRICS


def test_what_was_appended_is_read(written):
    assert read_history(written.parent).rows == ROWS
    assert [json.loads(line)["epoch"] for line in written.read_text().splitlines()] == [1, 2, 3, 4, 5]


def test_every_bit_of_a_line_counts(written):
    """Any one changed byte of the third line is noticed, and the line is named."""
    good = written.read_bytes()
    start = good.index(b'{"epoch": 3')
    for i in range(start, good.index(b"\n", start)):
        written.write_bytes(good[:i] + bytes([good[i] ^ 1]) + good[i + 1 :])
        with pytest.raises(CheckpointError, match=r"metrics\.jsonl is damaged\n  why: line 3"):
            read_history(written.parent)


def test_a_line_that_was_cut_off_is_left_out_and_that_is_said(written, capsys):
    good = written.read_bytes()
    last = good.rindex(b"\n", 0, -1) + 1
    for end in range(last + 1, len(good)):
        written.write_bytes(good[:end])
        assert read_history(written.parent).rows == ROWS[:-1]
        assert "the last line is cut short, and left out" in capsys.readouterr().err


def test_lines_without_a_checksum_are_those_of_the_first_version(tmp_path):
    path = tmp_path / "a"
    path.write_text('{"epoch": 1}\n' + line_of({"epoch": 2}))
    assert read_lines(path, {"epoch": int}) == ([{"epoch": 1}, {"epoch": 2}], False)


@pytest.mark.parametrize(
    "entries",
    [{"epoch": True}, {"epoch": -1}, {"epoch": 1.0}, {"epoch": None}, {}, {"epoch": 1, "more": 1}, [1], 7],
)
def test_entries_of_other_types(tmp_path, entries):
    (tmp_path / "a").write_text(json.dumps(entries) + "\n")
    with pytest.raises(CheckpointError, match="line 1"):
        read_lines(tmp_path / "a", {"epoch": int})


@pytest.mark.parametrize(
    "text", ['{"epoch": 1e999}', '{"epoch": NaN}', '{"epoch": ' + "9" * 6000 + "}", "[" * 10**5]
)
def test_lines_with_wrong_numbers_or_too_deep(tmp_path, text):
    (tmp_path / "a").write_text(text + "\n")
    with pytest.raises(CheckpointError, match="line 1"):
        read_lines(tmp_path / "a", {"epoch": int})


def test_nothing_is_appended_to_what_is_no_file_of_its_own(tmp_path):
    (tmp_path / "mine").write_text("mine")
    (tmp_path / "link").symlink_to("mine")
    (tmp_path / "folder").mkdir()
    for name in ("link", "folder", "absent/file", "a\0b"):
        with pytest.raises(FileError, match="cannot write"):
            append_durably(tmp_path / name, b"x")
    assert (tmp_path / "mine").read_text() == "mine"
