"""Requests at the edges, given to the application without a network: addresses, hosts, sizes and numbers."""

import asyncio
import base64
import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("starlette")

import xpnn
from xpnn.errors import DataError
from xpnn.web import guard, openapi, pages, predictor
from xpnn.web.app import App, Served
from xpnn.web.guard import Guard, RefusedError
from xpnn.web.predictor import MOST, Predictor
from xpnn.web.server import listen

pytestmark = pytest.mark.oracle
NAMES = ("cat", "dog")
FOLDER = Path(__file__).parent


def model():
    return xpnn.Model([xpnn.Dense(2)], (3,), seed=0)


def asked(app, path="/", method="GET", body=b"", query=b"", waits=False, **headers):
    """(status, {header: value}, text) of one request. waits: the other side stays until it has all."""
    given = {"host": "127.0.0.1:8000", "content-length": str(len(body))} | headers
    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query,
            "scheme": "http",
        "headers": [(key.replace("_", "-").encode(), value.encode()) for key, value in given.items()],
        "http_version": "1.1", "server": ("127.0.0.1", 8000), "client": ("127.0.0.1", 1),
    }  # fmt: skip
    sent, waiting = [], [{"type": "http.request", "body": body, "more_body": False}]

    async def receive():
        if waits and not waiting:
            await asyncio.sleep(3600)
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    found = {key.decode(): value.decode() for key, value in sent[0]["headers"]}
    return sent[0]["status"], found, b"".join(one.get("body", b"") for one in sent[1:]).decode()


SERVED = {
    "nothing": {}, "a model": {"served": True}, "runs": {"runs": FOLDER}, "both": {"served": True, "runs": FOLDER},
}  # fmt: skip
PAGES = {
    "nothing": ["/playground"], "a model": ["/", "/playground"], "runs": ["/runs", "/playground"],
    "both": ["/", "/runs", "/playground"],
}  # fmt: skip


@pytest.mark.parametrize("name", SERVED)
def test_each_page_that_is_offered_is_there_and_no_other(name):
    given = dict(SERVED[name])
    if given.pop("served", False):
        given["served"] = Served(model(), "animals", NAMES)
    app = App("127.0.0.1", **given)
    assert app.pages == PAGES[name]
    for path in ("/", "/runs", "/playground"):
        status, headers, text = asked(app, path)
        if path in app.pages:
            assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
            assert "script-src" in headers["content-security-policy"]
        elif path == "/":
            assert (status, headers["location"]) == (307, app.pages[0])
        else:
            assert status == 404
            assert json.loads(text)["error"]["what"] == f"nothing is at {path}"
    assert asked(app, "/favicon.ico")[0] == 204
    assert asked(app, "/openapi.json")[0] == (200 if "/" in app.pages else 404)


@pytest.mark.parametrize(("path", "method", "fix"), [
    ("/predict", "GET", "POST, with a body of JSON"), ("/", "POST", "GET"), ("/playground", "PUT", "GET"),
])  # fmt: skip
def test_a_method_that_is_not_taken(path, method, fix):
    status, headers, text = asked(App("127.0.0.1", served=Served(model(), "a", NAMES)), path, method)
    error = json.loads(text)["error"]
    assert status == 405
    assert error["what"] == f"{path} does not take {method}"
    assert error["fix"].startswith(fix)
    assert headers["x-frame-options"] == "DENY"


HOSTS = {
    # where it listens: names that are its own, and names that are not
    "127.0.0.1": (("127.0.0.1:8000", "127.0.0.1", "localhost", "LOCALHOST:1", "[::1]", "[::1]:8000", "localhost."), (
        "example.org", "10.0.0.1", "10.0.0.1:8000", "")),
    "10.0.0.1": (("10.0.0.1", "10.0.0.1:8000", "localhost"), ("127.0.0.1", "10.0.0.2", "[::1]")),
    "0.0.0.0": (("10.0.0.1", "127.0.0.1:80", "[::1]:80", "localhost"), ("example.org", "a.b:80")),
    "Mine.org": (("mine.org", "MINE.org:80"), ("other.org",)),
}  # fmt: skip


@pytest.mark.parametrize("host", HOSTS)
def test_which_names_are_the_servers_own(host):
    one = Guard(None, host, ("Also.org",))
    good, bad = HOSTS[host]
    assert [name for name in (*good, "also.org") if not one.is_ours(name)] == []
    assert [name for name in bad if one.is_ours(name)] == []


@pytest.mark.parametrize(("headers", "method", "fine"), [
    ({}, "POST", True), ({"origin": "http://localhost"}, "POST", True), ({"origin": "https://localhost"}, "POST",
        False),
    ({"origin": "http://localhost:1"}, "POST", False), ({"origin": "null"}, "GET", False),
    ({"sec-fetch-site": "cross-site"}, "POST", False), ({"sec-fetch-site": "cross-site"}, "GET", True),
    ({"sec-fetch-site": "same-origin"}, "POST", True),
])  # fmt: skip
def test_which_pages_may_ask(headers, method, fine):
    pairs = [(b"host", b"localhost"), *((key.encode(), value.encode()) for key, value in headers.items())]
    scope = {"headers": pairs, "method": method}
    one = Guard(None, "127.0.0.1")
    if fine:
        one.check(scope)
    else:
        with pytest.raises(RefusedError, match="another page") as caught:
            one.check(scope)
        assert caught.value.code == 403
    with pytest.raises(RefusedError, match="is not this server"):
        one.check({"headers": [*pairs, (b"host", b"localhost")], "method": method})


def received(*parts, declared=None):
    """What becomes of a body that comes in these parts."""
    messages = [
        {"type": "http.request", "body": part, "more_body": i < len(parts) - 1}
        for i, part in enumerate(parts)
    ]

    async def receive():
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    headers = [] if declared is None else [(b"content-length", str(declared).encode())]
    return asyncio.run(guard.read({"headers": headers}, receive))


def test_a_body_may_be_so_large(monkeypatch):
    monkeypatch.setattr(guard, "LARGEST", 10)
    monkeypatch.setattr(guard, "DRAINED", 20)
    assert received(b"12345", b"67890") == b"1234567890"
    assert received(declared=20) is None
    for parts, declared in (
        ((b"1" * 11,), None),
        ((b"1" * 6, b"2" * 6), None),
        ((b"1" * 21, b""), None),
        ((), 21),
    ):
        with pytest.raises(RefusedError) as caught:
            received(*parts, declared=declared)
        assert caught.value.code == 413


def test_a_connection_that_is_dropped_is_not_answered():
    assert received() is None


class TestNumbers:
    @pytest.mark.parametrize(("given", "dtype"), [
        ([0, 255], "uint8"), ([-1, 0], "int64"), ([0, 256], "int64"), ([0.0, 1.0], "float64"), ([[]], "float64"),
    ])  # fmt: skip
    def test_bytes_are_bytes(self, given, dtype):
        assert predictor.array("x", given).dtype == dtype

    @pytest.mark.parametrize("given", [[True], ["a"], [None], [[1], [1, 2]], [10**400], [], "ab", {}, 3])
    def test_what_is_no_list_of_numbers_is_refused(self, given):
        with pytest.raises(DataError, match=r"^x: "):
            predictor.array("x", given)

    def test_so_many_samples_may_be(self):
        assert len(predictor.array("x", [0] * MOST)) == MOST
        with pytest.raises(DataError, match="wanted a list of 1 to 1,024 samples"):
            predictor.array("x", [0] * (MOST + 1))

    def test_what_json_does_not_know_is_null(self):
        given = (np.array([1.0, np.inf]), [float("nan"), 2, "a"], np.array([3], np.int8), None)
        assert predictor.listed(given) == [[1.0, None], [None, 2, "a"], [3], None]

    @pytest.mark.parametrize(
        "text", [b"", b"[1]", b"{", b'{"a": NaN}', b'{"a": Infinity}', b"3", b"[" * 100_000]
    )
    def test_a_body_that_is_no_object(self, text):
        with pytest.raises(DataError, match="the body is no JSON"):
            predictor.parsed(text)


def test_a_class_without_a_name_is_its_number():
    answer = Predictor(model(), NAMES[:1]).answer(
        b'{"inputs": [[5, 0, 0], [-5, 0, 0], [0, 5, 0], [0, -5, 0]]}'
    )
    ids = model().predict(np.array([[5, 0, 0], [-5, 0, 0], [0, 5, 0], [0, -5, 0]], np.float32)).tolist()
    assert set(ids) == {0, 1}
    assert answer["predictions"] == ["cat" if i == 0 else 1 for i in ids]


def test_the_description_says_how_many_and_of_which_shape():
    about = openapi.description(xpnn.Model([xpnn.Flatten(), xpnn.Dense(2)], (4, 3), seed=0), "animals")
    (body,) = about["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["schema"][
        "oneOf"
    ]
    row = {"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3}
    sample = {"type": "array", "items": row, "minItems": 4, "maxItems": 4}
    assert body["properties"]["inputs"] == {"type": "array", "minItems": 1, "maxItems": MOST, "items": sample}
    assert openapi.nested((None, 3)) == {"type": "array", "items": row}
    assert about["paths"]["/predict"]["post"]["requestBody"]["required"] is True
    assert {*openapi.FAILURES, "200"} == about["paths"]["/predict"]["post"]["responses"].keys()
    two = xpnn.Model(
        xpnn.Graph(("a", "b"), [("c", xpnn.Concatenate(), ("a", "b"))], "c"), ((2,), (3,)), seed=0
    )
    asked_for = openapi.description(two, "two")["paths"]["/predict"]["post"]["requestBody"]["content"]
    (body,) = asked_for["application/json"]["schema"]["oneOf"]
    assert body["properties"]["inputs"]["items"] is False
    assert [one["items"]["minItems"] for one in body["properties"]["inputs"]["prefixItems"]] == [2, 3]


def test_a_stream_is_of_six_runs_at_most_and_ends(monkeypatch):
    """What has changed, a sign of life where nothing has, one more look after the end is asked for, and the end."""
    looks = []

    class Watcher:
        pause = 0

        def __init__(self, folder):
            assert folder == FOLDER

        def changes(self, names, seen, now):
            looks.append((names, now))
            app.stop()
            return [] if now else [("runs", {"more": 0}), ("run", None)]

    monkeypatch.setattr("xpnn.web.app.Watcher", Watcher)
    app = App("127.0.0.1", runs=FOLDER)
    query = b"&".join(b"run=%d" % i for i in range(8))
    status, headers, text = asked(app, "/events", query=query, waits=True)
    assert (status, headers["content-type"]) == (200, "text/event-stream; charset=utf-8")
    assert text == (
        'retry: 1000\n\nevent: runs\ndata: {"more": 0}\n\nevent: run\ndata: null\n\n: \n\nevent: end\ndata: {}\n\n'
    )
    assert looks == [(list("012345"), False), (list("012345"), True)]


def test_a_body_that_does_not_come_is_waited_for_ten_seconds(monkeypatch):
    waited, real = [], asyncio.timeout
    monkeypatch.setattr(guard.asyncio, "timeout", lambda seconds: waited.append(seconds) or real(0))

    async def never():
        await asyncio.sleep(3600)

    with pytest.raises(RefusedError, match="the body did not arrive within 10 seconds") as caught:
        asyncio.run(guard.read({"headers": []}, never))
    assert (caught.value.code, waited) == (408, [10])


def test_how_large_a_body_may_be():
    assert len(received(b"1" * 1_000_000)) == 1_000_000
    with pytest.raises(RefusedError, match="a body of more than 1,000,000 bytes"):
        received(b"1" * 1_000_001)
    assert received(declared=4_000_000) is None
    with pytest.raises(RefusedError, match=r"a body of 4,000,001 bytes\n.*at most 1,000,000"):
        received(declared=4_000_001)


def test_a_body_of_other_keys_names_five():
    with pytest.raises(DataError, match=r"a body with the keys 'a', 'b', 'c', 'd', 'e'\n"):
        Predictor(model()).answer(json.dumps(dict.fromkeys("abcdefg", 1)).encode())


@pytest.mark.parametrize(("layers", "loss", "wanted"), [
    ([xpnn.Rescale(1.0)], "binary_cross_entropy", ["dog", "cat"]),
    ([xpnn.Rescale(1.0)], "mean_squared_error", [2.0, -3.0]),
    ([xpnn.Rescale(1.0), xpnn.Sigmoid()], "mean_squared_error", None),
])  # fmt: skip
def test_answers_of_one_output(layers, loss, wanted):
    """Names of the two classes of a score; numbers of a regression."""
    one = xpnn.Model(layers, (1,), seed=0, loss=loss)
    answer = Predictor(one, NAMES).answer(b'{"inputs": [[2.0], [-3.0]]}')
    assert set(answer) == {"outputs", "probabilities", "predictions"}
    if wanted is not None:
        assert answer["predictions"] == wanted
        assert answer["outputs"] == [[2.0], [-3.0]]


def test_the_pages_lead_to_each_other_and_run_their_own_scripts_alone():
    assert pages.links(["/"], "/") == ""
    assert pages.links(["/", "/runs"], "/runs") == (
        '<nav aria-label="Pages"><a href="/">Model</a><a href="/runs" aria-current="page">Runs</a></nav>'
    )
    page = "<style>a</style><script>b</script><p>c</p><script id='d'>e</script>"
    hashes = {
        text: base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in ("a", "b", "e")
    }
    assert pages.policy(page).split("; ")[-2:] == [
        f"script-src 'sha256-{hashes['b']}' 'sha256-{hashes['e']}'", f"style-src 'sha256-{hashes['a']}'",
    ]  # fmt: skip
    assert pages.policy("<p></p>").startswith("default-src 'none'; ")
    assert "script-src" not in pages.policy("<style>a</style>")


def test_it_listens_where_it_is_asked_to():
    with listen("127.0.0.1", 0) as found:
        assert found.getsockname()[0] == "127.0.0.1"
