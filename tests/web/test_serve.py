"""The server: a model's answers as JSON, what is refused, and that nothing is left behind."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from serving import HOST, accessible, asked, browsing, predicted, served, until

import xpnn
from xpnn.web import guard
from xpnn.web.app import Served
from xpnn.web.predictor import MOST

pytestmark = pytest.mark.oracle
NAMES = ("cat", "dog", "mouse")


def classifier(backend="numpy"):
    return xpnn.Model([xpnn.Dense(5), xpnn.ReLU(), xpnn.Dense(3)], (4,), backend=backend, seed=0)


@pytest.fixture(scope="module")
def model():
    return classifier()


@pytest.fixture(scope="module")
def address(model):
    with served(served=Served(model, "animals", NAMES)) as found:
        yield found


X = np.array([[1, 2.5, -3, 0.25], [0, 0, 0, 1]])


@pytest.mark.parametrize(
    "backend",
    ["numpy", "strict", *(pytest.param(name, marks=pytest.mark.oracle) for name in ("torch", "jax"))],
)
def test_the_answers_are_those_of_the_model(backend):
    model = classifier(backend)
    with served(served=Served(model, "animals", NAMES)) as address:
        status, answer = predicted(address, {"inputs": X.tolist()})
    assert status == 200
    x = X.astype(np.float32)
    np.testing.assert_allclose(answer["probabilities"], model.predict_proba(x), rtol=1e-6)
    np.testing.assert_allclose(answer["outputs"], model.forward(x), rtol=1e-6)
    assert answer["predictions"] == [NAMES[i] for i in model.predict(x)]


OTHERS = {
    "a regression": (
        lambda: xpnn.Model([xpnn.Dense(1)], (2,), loss="mse", seed=0),
        [[1, 2], [3, 4]],
        np.array([[1, 2], [3, 4]], np.float32),
    ),
    "ids": (
        lambda: xpnn.Model([xpnn.Embedding(7, 2), xpnn.Flatten(), xpnn.Dense(3)], (4,), seed=0),
        [[0, 1, 2, 6]],
        np.array([[0, 1, 2, 6]]),
    ),
    "bytes": (
        lambda: xpnn.Model([xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(3)], (2, 2, 1), seed=0),
        [[[[0], [255]], [[3], [4]]]],
        np.array([[[[0], [255]], [[3], [4]]]], np.uint8),
    ),
    "several inputs": (
        lambda: xpnn.Model(
            xpnn.Graph(("a", "b"), {"c": (xpnn.Add(), ("a", "b"))}, "c"), ((3,), (3,)), seed=0
        ),
        [[[1, 2, 3]], [[4, 5, 6.5]]],
        (np.array([[1, 2, 3]], np.float32), np.array([[4, 5, 6.5]], np.float32)),
    ),
    "any length": (
        lambda: xpnn.Model([xpnn.GRU(4), xpnn.Dense(2)], (None, 1), seed=0),
        [[[1], [2], [3]]],
        np.array([[[1], [2], [3]]], np.float32),
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_kinds_of_models(name):
    make, inputs, x = OTHERS[name]
    model = make()
    with served(served=Served(model, name)) as address:
        status, answer = predicted(address, {"inputs": inputs})
        assert status == 200, answer
        np.testing.assert_allclose(answer["outputs"], model.forward(x), rtol=1e-5)
        if name == "a regression":
            assert answer["probabilities"] is None
            np.testing.assert_allclose(answer["predictions"], model.predict(x), rtol=1e-5)
        assert asked(address)[0] == 200
        schema = json.loads(asked(address, path="/openapi.json")[2])
        assert "/predict" in schema["paths"]


def test_rows_of_a_table():
    rows = [{"age": 20 + i, "sex": "mf"[i % 2], "lived": ["no", "yes"][i % 2]} for i in range(40)]
    x, y, preparation = xpnn.data.prepare_table(rows, label="lived")
    net = [xpnn.Dense(8), xpnn.ReLU(), xpnn.Dense(2)]
    model = xpnn.Model(net, preparation.input_shape, seed=0, preparation=preparation)
    model.fit(x, y, epochs=2, verbose=0)
    with served(served=Served(model, "people")) as address:
        status, answer = predicted(address, {"rows": [{"age": 33, "sex": "f"}, {"age": 30, "sex": "m"}]})
        wanted = model.predict_table([{"age": 33, "sex": "f"}, {"age": 30, "sex": "m"}])
        assert (status, answer["predictions"], answer["remarks"]) == (200, wanted.tolist(), [])
        status, answer = predicted(address, {"rows": [{"age": 33, "sex": "x", "Sex": "f"}]})
        unknown, new = "'Sex' is not a column of the training table", "'x' not seen in training"
        assert status == 200
        assert [one in line for one, line in zip((unknown, new), answer["remarks"], strict=True)] == [
            True,
            True,
        ]
        status, answer = predicted(address, {"rows": [{"age": 33}]})
        assert status == 400
        assert "sex" in answer["error"]["what"]


def test_a_regression_answers_in_the_units_of_its_table():
    rows = [{"age": 20 + i, "height": 150.0 + i} for i in range(40)]
    _, _, preparation = xpnn.data.prepare_table(rows, label="height")
    model = xpnn.Model([xpnn.Dense(1)], preparation.input_shape, loss="mse", seed=0, preparation=preparation)
    with served(served=Served(model, "people")) as address:
        status, answer = predicted(address, {"rows": [{"age": 33}]})
    assert status == 200
    np.testing.assert_allclose(answer["predictions"], model.predict_table([{"age": 33}]))
    assert answer["predictions"] != answer["outputs"][0]


def test_the_description(address):
    status, _, text = asked(address, path="/openapi.json")
    about = json.loads(text)
    assert (status, about["openapi"], about["info"]["title"]) == (200, "3.1.0", "xpnn: animals")
    post = about["paths"]["/predict"]["post"]
    (body,) = post["requestBody"]["content"]["application/json"]["schema"]["oneOf"]
    sample = body["properties"]["inputs"]["items"]
    assert sample == {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4}
    _, answer = predicted(address, {"inputs": X.tolist()})
    said = post["responses"]["200"]["content"]["application/json"]["schema"]["required"]
    assert sorted(answer) == sorted(said)


REFUSED = {
    "no JSON": (b"{", 400),
    "no text": (b"\xff\xfe", 400),
    "nested very deeply": (b"[" * 100_000, 400),
    "a list": ([1], 400),
    "another key": ({"input": X.tolist()}, 400),
    "no samples": ({"inputs": []}, 400),
    "too many": ({"inputs": [[0] * 4] * (MOST + 1)}, 400),
    "another shape": ({"inputs": [[1, 2, 3]]}, 400),
    "of different lengths": ({"inputs": [[1, 2, 3, 4], [1]]}, 400),
    "words": ({"inputs": [["1", "2", "3", "4"]]}, 400),
    "nothing": ({"inputs": [[None] * 4]}, 400),
    "objects": ({"inputs": [{"a": 1}]}, 400),
    "truth": ({"inputs": [[True, False, True, False]]}, 400),
    "not a number": (b'{"inputs": [[NaN, 0, 0, 0]]}', 400),
    "infinity": (b'{"inputs": [[1e999, 0, 0, 0]]}', 400),
    "a number of many digits": (b'{"inputs": [[' + b"9" * 5000 + b", 0, 0, 0]]}", 400),
    "rows": ({"rows": [{"a": 1}]}, 400),
    "more than 1 MB": (b" " * (guard.LARGEST + 1), 413),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(address, name):
    body, code = REFUSED[name]
    status, answer = predicted(address, body)
    assert status == code, answer
    assert answer["error"]["what"]
    assert "Traceback" not in str(answer)
    assert predicted(address, {"inputs": X.tolist()})[0] == 200


def test_a_body_of_unknown_length_is_bounded_too(address):
    place = urlsplit(address)
    with socket.create_connection((place.hostname, place.port), timeout=20) as line:
        head = f"POST /predict HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
        line.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        received = b""
        try:
            for _ in range(140):
                line.sendall(b"8000\r\n" + b" " * 0x8000 + b"\r\n")
            received = line.recv(4096)
        except ConnectionError:
            received = line.recv(4096) or received
    assert received.startswith(b"HTTP/1.1 413")


def test_a_body_that_does_not_arrive(model, monkeypatch):
    monkeypatch.setattr(guard, "PATIENCE", 0.05)
    with served(served=Served(model, "animals")) as address:
        place = urlsplit(address)
        with socket.create_connection((place.hostname, place.port), timeout=20) as line:
            head = f"POST /predict HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
            line.sendall(f"{head}Content-Length: 10\r\n\r\n12".encode())
            assert line.recv(4096).startswith(b"HTTP/1.1 408")


def test_foreign_hosts_and_origins(address):
    """The name of a foreign server that was made to lead here, and the page of another one in the same browser."""
    good, body = urlsplit(address).netloc, {"inputs": X.tolist()}
    port = good.rpartition(":")[2]
    for host in (good, f"localhost:{port}", f"LOCALHOST:{port}"):
        assert predicted(address, body, Host=host)[0] == 200, host
    for host in ("evil.example", f"evil.example:{port}", "", "127.0.0.1.evil.example", "10.0.0.1", "[::2]"):
        assert predicted(address, body, Host=host)[0] in (400, 403), host
        assert asked(address, Host=host)[0] in (400, 403), host
    assert predicted(address, body, Origin=f"http://{good}")[0] == 200
    for origin in (
        "http://evil.example",
        "null",
        f"https://{good}",
        f"http://{good}.evil.example",
        "http://127.0.0.1:1",
    ):
        assert predicted(address, body, Origin=origin)[0] == 403, origin
    assert predicted(address, body, Sec_Fetch_Site="cross-site")[0] == 403
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data",
    ):  # what a form can send
        assert predicted(address, body, Content_Type=kind)[0] == 415


def test_names_that_are_allowed_and_addresses_of_a_server_for_all():
    ours = guard.Guard(None, "0.0.0.0", ("lab.example",)).is_ours
    assert all(
        map(ours, ("lab.example:80", "10.0.0.1:8000", "[::1]:8000", "localhost", socket.gethostname()))
    )
    assert not any(map(ours, ("evil.example", "10.0.0.1.evil.example", "")))


def test_every_answer_has_its_headers(address):
    for path, status in (("/", 200), ("/openapi.json", 200), ("/nothing", 404), ("/predict", 405)):
        found, headers, text = asked(address, path=path)
        assert found == status
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert "access-control-allow-origin" not in headers
        if status != 200:
            what = {404: "nothing is at /nothing", 405: "/predict does not take GET"}[status]
            assert json.loads(text)["error"]["what"] == what
    policy = asked(address)[1]["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy


def test_malformed_requests_and_dropped_connections_leave_nothing(address):
    """1,000 of the one and 100 of the other: the server answers, with no more open files and little more memory."""
    psutil = pytest.importorskip("psutil")
    place, process = urlsplit(address), psutil.Process()
    head = f"POST /predict HTTP/1.1\r\nHost: {place.netloc}\r\nContent-Type: application/json\r\n"
    bad = [
        b"\x00\xff\r\n\r\n", b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"POST /predict HTTP/1.1\r\n\r\n",
        f"{head}Content-Length: nine\r\n\r\n{{}}".encode(), f"{head}Content-Length: 4\r\n\r\n{{{{{{{{".encode(),
        f"{head}Content-Length: 9999999999\r\n\r\n".encode(),
        f"{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n".encode(),
        f"GET / HTTP/1.1\r\nHost: {place.netloc}\r\nX: {'x' * 70_000}\r\n\r\n".encode(),
        f"GET /{'%00' * 100} HTTP/1.1\r\nHost: {place.netloc}\r\n\r\n".encode(),
    ]  # fmt: skip

    def send(data, answer):
        with socket.create_connection((place.hostname, place.port), timeout=20) as line:
            try:
                line.sendall(data)
                line.shutdown(socket.SHUT_WR) if answer else None
                while answer and line.recv(65536):
                    pass
            except ConnectionError:
                pass

    for data in bad:
        send(data, True)
    files, memory = process.num_fds(), process.memory_info().rss
    for i in range(1000):
        send(bad[i % len(bad)], True)
    for _ in range(100):
        send(f"{head}Content-Length: 500000\r\n\r\n{' ' * 1000}".encode(), False)
    assert predicted(address, {"inputs": X.tolist()})[0] == 200
    for _ in range(100):  # the server sees the last of them go
        if process.num_fds() <= files:
            break
        assert asked(address, path="/openapi.json")[0] == 200
    assert process.num_fds() <= files
    assert process.memory_info().rss - memory < 30e6


# The command


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a run in it."""
    monkeypatch.chdir(tmp_path)
    folder = Path("runs/animals")
    folder.mkdir(parents=True)
    classifier().save(folder / "best.safetensors")
    (folder / "run.json").write_text(json.dumps({"classes": list(NAMES), "input_shape": [4]}))
    return folder


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("sent", "code", "word"), [("SIGINT", 130, "interrupted")])
def test_the_command_until_it_is_stopped(place, sent, code, word):
    root = str(Path(xpnn.__file__).parents[1])
    main = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from xpnn.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", main, "serve", "--port", "0", "--json", "--backend", "numpy"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": root},
    )  # fmt: skip
    event = json.loads(process.stdout.readline())
    assert (event["event"], event["pages"]) == ("serving", ["/", "/runs", "/playground"])
    assert event["address"].startswith("http://127.0.0.1:")
    status, answer = predicted(event["address"], {"inputs": X.tolist()})
    assert (status, answer["predictions"][0] in NAMES) == (200, True)
    with socket.create_connection((HOST, urlsplit(event["address"]).port)):  # somebody who never goes
        process.send_signal(getattr(signal, sent))
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (code, "", f"xpnn: {word}\n")


def test_a_port_in_use_is_refused(place, xp):
    with socket.socket() as other:
        other.bind((HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        code, out, err = xp("serve", place, "--port", port, "--backend", "numpy")
    assert (code, out) == (7, "")
    assert f"port {port} of {HOST} is in use" in err
    assert "--port 0" in err


@pytest.mark.parametrize(
    ("args", "code", "word"),
    [
        (["nowhere"], 7, "no run at nowhere"),
        (["--port", "70000"], 2, "--port"),
        (["--backend", "nmpy"], 2, "did you mean 'numpy'?"),
    ],
)
def test_what_cannot_be_served(place, xp, args, code, word):
    found, out, err = xp("serve", *args)
    assert (found, out, word in err) == (code, "", True), err


@pytest.mark.parametrize("command", [("serve",), ("train", "spiral", "--watch")])
def test_without_the_extra(place, xp, monkeypatch, command):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    code, out, err = xp(*command)
    assert (code, out) == (3, "")
    assert "pip install 'xpnn[web]'" in err
    assert sorted(path.name for path in Path("runs").iterdir()) == ["animals"]


def test_no_word_of_a_bug_goes_out(model, monkeypatch):
    monkeypatch.setattr("xpnn.web.predictor.Predictor.answer", lambda self, body: 1 / 0)
    with served(served=Served(model, "animals")) as address:
        status, answer = predicted(address, {"inputs": X.tolist()})
    assert status == 500
    assert re.fullmatch(r"unexpected ZeroDivisionError", answer["error"]["what"])


# The page of a model


def test_the_page_asks_the_server(model):
    """A line of numbers: the answers are those of the server's model, with the names of its classes."""
    with served(served=Served(model, "animals", NAMES)) as address, browsing(address, fine=("400",)) as page:
        page.get_by_label("4 numbers").fill("1, 2.5 -3 0.25")
        until(page, "document.getElementById('rows').children.length === 3")
        shown = [float(text.removesuffix(" %")) for text in page.locator("#rows .number").all_text_contents()]
        np.testing.assert_allclose(shown, 100 * model.predict_proba(X[:1].astype(np.float32))[0], atol=0.051)
        assert page.locator("#rows .name").all_text_contents() == list(NAMES)
        assert page.get_by_text("those of the model on the server").is_visible()
        page.get_by_role("link", name="Playground").click()
        page.get_by_role("heading", name="Playground").wait_for()


def test_the_page_of_pictures_and_of_tables():
    """A drawing by mouse is answered by the server; a table's page has a field for each column."""
    net = [xpnn.Rescale(1 / 255), xpnn.Conv2D(2, 5), xpnn.ReLU(), xpnn.Flatten(), xpnn.Dense(10)]
    model = xpnn.Model(net, (28, 28, 1), seed=0)
    with served(served=Served(model, "digits")) as address, browsing(address, width=360) as page:
        box = page.locator("#pad").bounding_box()
        page.mouse.move(box["x"] + 60, box["y"] + 60)
        page.mouse.down()
        page.mouse.move(box["x"] + 180, box["y"] + 200, steps=5)
        page.mouse.up()
        until(page, "document.getElementById('rows').children.length === 10")
        pixels = "document.getElementById('seen').getContext('2d').getImageData(0, 0, 28, 28).data"
        x = np.array(page.evaluate(f"Array.from({pixels})"), np.uint8).reshape(1, 28, 28, 4)[..., :1]
        numbers = "[...document.querySelectorAll('#rows .number')].map((one) => parseFloat(one.textContent))"
        wanted = np.round(100 * model.predict_proba(x)[0], 3).tolist()
        until(page, f"{numbers}.every((n, i) => Math.abs(n - {wanted}[i]) < 0.06)")
        accessible(page, 360)
        assert page.locator("#layers .layer").count() == 3
    rows = [{"age": 20 + i, "sex": "mf"[i % 2], "lived": ["no", "yes"][i % 2]} for i in range(40)]
    _, _, preparation = xpnn.data.prepare_table(rows, label="lived")
    table = xpnn.Model([xpnn.Dense(2)], preparation.input_shape, seed=0, preparation=preparation)
    with served(served=Served(table, "people")) as address, browsing(address, fine=("400",)) as page:
        page.get_by_label("age", exact=True).fill("33")
        page.get_by_label("sex", exact=True).fill("f")
        (wanted,) = table.predict_table([{"age": 33, "sex": "f"}])
        until(page, f"document.getElementById('best').textContent.startsWith('{wanted} ')")
