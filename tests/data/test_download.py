"""Downloads, from a server of this machine: mirrors in turn, hashes of what is unpacked, whole files or none."""

import gzip
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from test_data import contents, fashion_module, places  # noqa: F401

from xpnn.data import load
from xpnn.data.folder import NAMES
from xpnn.errors import DataError

pytest.importorskip("pooch")
FILES = {f"{name}.gz": gzip.compress(data) for name, data in zip(NAMES, contents(), strict=True)}


class Handler(BaseHTTPRequestHandler):
    """/good/FILE as it is; /missing/ 404; /short/ breaks off; /other/ another file; /slow/ waits to be released."""

    def do_GET(self):
        _, kind, name = self.path.split("/")
        self.server.asked.append((kind, name))
        body = gzip.compress(b"\0\0\x08\x01\0\0\0\1x") if kind == "other" else FILES[name]
        if kind == "missing":
            return self.send_error(404)
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if kind == "slow":
            self.wfile.write(body[:20])
            self.wfile.flush()
            self.server.begun.set()
            self.server.released.wait(60)
            return None
        self.wfile.write(body[: len(body) // 2] if kind == "short" else body)
        return None

    def log_message(self, *_):
        pass


@pytest.fixture
def server(places, monkeypatch):  # noqa: F811
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.begun, server.released = [], threading.Event(), threading.Event()
    server.at = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.delenv("XPNN_OFFLINE")
    for proxy in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(proxy, raising=False)
    yield server
    server.released.set()
    server.shutdown()
    thread.join()
    server.server_close()


def mirrors(monkeypatch, server, *kinds):
    monkeypatch.setattr(fashion_module, "MIRRORS", tuple(f"{server.at}/{kind}/" for kind in kinds))


def cached(places):  # noqa: F811
    return sorted(p.name for p in (places / "cache" / "fashion-mnist").glob("*"))


def test_each_mirror_is_tried_until_one_has_the_files(server, places, monkeypatch):  # noqa: F811
    mirrors(monkeypatch, server, "missing", "short", "other", "good")
    data = load("fashion")
    assert f"from {server.at}/good/" in data.note
    assert [kind for kind, _ in server.asked] == ["missing", "short", "other", *["good"] * 4]
    assert cached(places) == sorted(FILES)
    assert load("fashion").note.endswith("(sha256 ok)")
    assert len(server.asked) == 7  # the second time nothing is asked


def test_a_failed_download_is_reported_and_leaves_nothing(server, places, monkeypatch):  # noqa: F811
    mirrors(monkeypatch, server, "missing", "short", "other")
    with pytest.raises(DataError) as caught:
        load("fashion")
    for kind, why in (("missing", "HTTPError"), ("short", ""), ("other", "is not the published file")):
        assert f"{server.at}/{kind}/" in caught.value.why
        assert why in caught.value.why
    assert cached(places) == []


def test_offline_nothing_is_asked(server, monkeypatch):
    mirrors(monkeypatch, server, "good")
    monkeypatch.setenv("XPNN_OFFLINE", "1")
    with pytest.raises(DataError, match="XPNN_OFFLINE forbids the download"):
        load("fashion")
    assert server.asked == []


CHILD = """
import sys
from xpnn.data import load
module = sys.modules["xpnn.data.fashion"]
module.MIRRORS = (sys.argv[1],)
module.SYSTEM = module.Path(sys.argv[1])
module.SHA256 = dict(zip(module.NAMES, sys.argv[2:]))
print(load("fashion").note)
"""


def child(server, kind):
    hashes = [fashion_module.SHA256[name] for name in NAMES]
    return subprocess.Popen(
        [sys.executable, "-c", CHILD, f"{server.at}/{kind}/", *hashes], stdout=subprocess.PIPE, text=True
    )


def test_killed_in_the_middle_no_file_has_its_name(server, places, monkeypatch):  # noqa: F811
    with child(server, "slow") as process:
        assert server.begun.wait(60)
        process.kill()
    assert not set(cached(places)) & set(FILES)
    server.released.set()
    mirrors(monkeypatch, server, "good")
    load("fashion")
    assert set(FILES) <= set(cached(places))


def test_several_at_once(server, places):  # noqa: F811
    children = [child(server, "good") for _ in range(3)]
    for process in children:
        with process:
            assert "fashion-mnist" in process.stdout.read()
        assert process.returncode == 0
    assert cached(places) == sorted(FILES)
