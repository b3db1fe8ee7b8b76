"""Where a run was made: the machine, and the commit of the working folder."""

import platform
import re
from pathlib import Path
from typing import Any

from xpnn.system import cores, open_regular

DEEPEST, MOST = 5, 16 << 20
"""References that may name references, and bytes of the list of packed ones."""


def machine() -> dict[str, Any]:
    """Return the processor's name, the cores this process may use, and the operating system."""
    return {"processor": processor(), "cores": cores(), "platform": platform.platform()}


def processor() -> str:
    """Return the processor's name from the system: on Linux Python's answer is empty or the architecture."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def git_state(folder: Path | None = None) -> dict[str, str] | None:
    """Return the commit of the folder (default: the working folder), read from git's files; or None.

    git itself is not asked: `git status` runs programs that the configuration of the folder names (`core.fsmonitor`,
    filters), and the folder may belong to another user. So nothing is said about files that differ from the commit.

    Source: gitrepository-layout(5).
    """
    try:
        here = (folder or Path.cwd()).resolve()
        git = next((found for above in (here, *here.parents) if (found := _git_folder(above / ".git"))), None)
        commit = None if git is None else _resolve(git, _text(git / "HEAD"))
    except (OSError, ValueError, RuntimeError):  # RuntimeError: links in a circle
        return None
    return None if commit is None else {"commit": commit}


def _git_folder(path: Path) -> Path | None:
    """Return `.git`, or the folder that this file of a worktree or submodule names: `gitdir: PATH`."""
    if path.is_file():
        word, _, place = _text(path).partition(": ")
        path = path.parent / place if word == "gitdir" else path
    return path if (path / "HEAD").is_file() else None


def _resolve(git: Path, text: str) -> str | None:
    """Return the commit for the text of HEAD or of a reference: a hash, or `ref: refs/heads/NAME`."""
    common = git / _text(git / "commondir") if (git / "commondir").is_file() else git
    for _ in range(DEEPEST):
        if re.fullmatch("[0-9a-f]{40}([0-9a-f]{24})?", text):
            return text
        name = text.removeprefix("ref: ")
        if not re.fullmatch(r"refs/[^\x00-\x20\x7f~^:?*\[\\]+", name) or ".." in name:
            return None
        loose = next((path for path in (git / name, common / name) if path.is_file()), None)
        text = _text(loose) if loose else _packed(common / "packed-refs", name)
    return None


def _packed(path: Path, name: str) -> str:
    """Return the hash of a reference in the list of packed ones; "" if it is not there."""
    if not path.is_file():
        return ""
    lines = (line.split(" ", 1) for line in _text(path).splitlines())
    return next((words[0] for words in lines if words[1:] == [name]), "")


def _text(path: Path) -> str:
    with open_regular(path) as file:
        return file.read(MOST).decode("utf-8", "replace").strip()
