"""Fashion-MNIST: 60,000 + 10,000 photographs of clothing, 28 x 28 grey, laid out as MNIST is.

Looked for, in this order, in the path given (nowhere else then), `$XPNN_DATA`, Debian's package, the
cache, and on the network. `$XPNN_OFFLINE=1` forbids the last.

Source: H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine
learning algorithms", arXiv:1708.07747, 2017. Licence of the data: MIT, (c) 2017 Zalando SE.
"""

import errno
import io
import os
import threading
from pathlib import Path
from typing import Any

from xpnn.data.folder import NAMES, Arrays, find_files, read_folder
from xpnn.data.idx import parse_idx, read_idx
from xpnn.durable import write_durably
from xpnn.errors import DataError, FileError, XpnnError
from xpnn.system import user_path

FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

# Of the unpacked bytes: Debian's copy is compressed differently.
SHA256 = dict(
    zip(
        NAMES,
        (
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
        strict=True,
    )
)

SUBFOLDER = "fashion-mnist"
SYSTEM = Path("/usr/share/datasets") / SUBFOLDER  # Debian's package dataset-fashion-mnist
MIRRORS = ("https://storage.googleapis.com/tensorflow/tf-keras-datasets/",)
DEADLINE, LARGEST = 300.0, 40 << 20
"""Seconds and bytes of one download; the largest file has 26 MB."""


def fashion(path: str | os.PathLike[str] | None = None) -> Arrays:
    """`x, y, x_test, y_test`: images uint8 (N, 28, 28, 1) of 0 to 255, labels int64 (N,) of 0 to 9.

    `path` is a folder with the four files, or one with such a folder `fashion-mnist`. The SHA-256 of
    what they hold is always checked. Raises `FileError` when `path` lacks them and `DataError` when
    they are damaged or found nowhere.
    """
    return find_fashion(path)[0]


def find_fashion(path: str | os.PathLike[str] | None = None) -> tuple[Arrays, str]:
    """What `fashion` returns, and where it was found."""
    if path is not None:
        folder = _inside(user_path(path))
        return read_folder(folder, SHA256), str(folder)
    given = os.environ.get("XPNN_DATA")
    looked = [] if given else ["$XPNN_DATA (not set)"]
    for folder in ([_inside(Path(given))] if given else []) + [SYSTEM]:
        count = len(find_files(folder))
        if count == len(NAMES):
            return read_folder(folder, SHA256), str(folder)
        looked.append(f"{folder} ({count} of the 4 files)")
    return _from_cache(looked)


def cache_folder() -> Path:
    """Where downloads are kept: `$XPNN_CACHE`, or `xpnn` in `$XDG_CACHE_HOME` or in ~/.cache."""
    if own := os.environ.get("XPNN_CACHE"):
        return Path(own)
    if xdg := os.environ.get("XDG_CACHE_HOME"):
        return Path(xdg) / "xpnn"
    try:
        return Path.home() / ".cache" / "xpnn"
    except RuntimeError as error:
        raise FileError(
            "cannot create the cache folder", why=str(error), fix="set XPNN_CACHE to a folder"
        ) from error


def _inside(folder: Path) -> Path:
    # The subfolder first: a folder of datasets may hold MNIST's own files beside it.
    return folder / SUBFOLDER if (folder / SUBFOLDER).is_dir() else folder


def _from_cache(looked: list[str]) -> tuple[Arrays, str]:
    cache = cache_folder() / SUBFOLDER
    try:
        return read_folder(cache, SHA256), str(cache)
    except (DataError, FileError) as error:  # damaged or missing
        looked = [*looked, error.what]
    if os.environ.get("XPNN_OFFLINE", "0") not in ("", "0"):
        raise _not_found(looked, ["XPNN_OFFLINE forbids the download"])
    failures: list[str] = []
    for mirror in MIRRORS:
        try:
            _complete(cache, mirror)
            return read_folder(cache, SHA256), f"{cache}, from {mirror}"
        except XpnnError as error:
            failures.append(f"{mirror}: {error.what}")
        except OSError as error:  # what the network or the disk said
            failures.append(f"{mirror}: {error.strerror or type(error).__name__}")
    raise _not_found(looked, failures)


def _complete(cache: Path, mirror: str) -> None:
    """Download what the cache lacks. A file gets its name there only once its hash is right."""
    held = find_files(cache)
    for name in NAMES:
        if name in held:
            try:
                read_idx(cache / held[name].name, SHA256[name])
                continue
            except DataError:
                (cache / held[name].name).unlink(missing_ok=True)
        url = f"{mirror}{name}.gz"
        data = download(url)
        parse_idx(io.BytesIO(data), url, SHA256[name])
        write_durably(cache / f"{name}.gz", data)


class Bounded(io.BytesIO):
    """Memory for a download that may not be endless. `write` raises OSError beyond `LARGEST` bytes."""

    def write(self, data: Any) -> int:
        """Write data, as every file does, up to LARGEST bytes."""
        if self.tell() + len(data) > LARGEST:
            raise OSError(errno.EFBIG, f"it is longer than {LARGEST:,} bytes")
        return super().write(data)


def download(url: str) -> bytes:
    """What is at a URL. Raises OSError, also for what is too long or does not come in time, drip by drip.

    In a thread of its own: however slowly the bytes come, the wait for them is over at the deadline.
    """
    import pooch

    memory, failed = Bounded(), list[str]()

    def work() -> None:
        try:
            pooch.HTTPDownloader()(url, memory, None)
        except (
            Exception
        ) as error:  # whatever the network or its libraries say; kept, it would hold the connection
            failed.append(getattr(error, "strerror", None) or type(error).__name__)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(DEADLINE)
    if thread.is_alive():
        raise OSError(errno.ETIMEDOUT, f"it did not come within {DEADLINE:g} seconds")
    if failed:
        raise OSError(errno.EIO, failed[0])
    return memory.getvalue()


def _not_found(looked: list[str], failures: list[str]) -> DataError:
    return DataError(
        "Fashion-MNIST was not found",
        why=f"looked in {'; '.join(looked)}; {'; '.join(failures)}",
        fix="--data PATH, or apt-get install dataset-fashion-mnist",
    )
