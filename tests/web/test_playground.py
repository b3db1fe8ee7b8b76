"""The playground in Chromium: its numbers are xpnn's, and it is used by mouse, by keyboard and on a small screen."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line import workplace  # noqa: F401
from serving import accessible, browsing, served, until

import xpnn

LAYERS = {"tanh": xpnn.Tanh, "relu": xpnn.ReLU, "sigmoid": xpnn.Sigmoid}
STEP = """([layers, activation, x, y, settings]) => {
  const net = { layers: layers.map((one, i) => ({ ...one, activation: i < layers.length - 1 ? activation : "none" })) };
  const found = [1, 2, 3].map(() => step(net, x, y, settings)).at(0);
  return { loss: found.loss, p: found.p, z: found.visits.map((v) => v.z), dW: found.gradients.map((g) => g.dW),
           db: found.gradients.map((g) => g.db), layers: net.layers };
}"""


def write(xp, *args):
    assert xp("playground", *args)[0] == 0
    return Path("playground.html").absolute().as_uri()


@pytest.mark.oracle
@pytest.mark.usefixtures("workplace")
def test_its_steps_are_those_of_the_trainer(xp):
    """Values before, gradients, and the weights after three steps, for each activation and penalty."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(-1, 1, (16, 2)), rng.integers(0, 3, 16)
    with browsing(write(xp)) as page:
        for activation, penalty in (
            ("tanh", {}),
            ("relu", {"l1": 0.01}),
            ("sigmoid", {"l2": 0.1}),
            ("none", {}),
        ):
            between = [LAYERS[activation]()] if activation in LAYERS else []
            net = [xpnn.Dense(5), *between, xpnn.Dense(4), *between, xpnn.Dense(3)]
            model = xpnn.Model(net, (2,), dtype="float64", seed=1)
            named = model.parameters()
            paths = sorted({path.partition(".")[0] for path in named}, key=int)
            layers = [{"W": named[f"{i}.W"].tolist(), "b": named[f"{i}.b"].tolist()} for i in paths]
            settings = {"rate": 0.3, **penalty}
            got = page.evaluate(STEP, [layers, activation, x.tolist(), y.tolist(), settings])
            np.testing.assert_allclose(got["p"], model.predict_proba(x), rtol=1e-12)
            np.testing.assert_allclose(got["z"][-1], model.forward(x), rtol=1e-12, atol=1e-15)
            trainer = xpnn.Trainer(model, "softmax_cross_entropy", xpnn.SGD(0.3, **penalty))
            losses = [float(trainer.step(x, y)) for _ in range(3)]
            assert got["loss"] == pytest.approx(losses[0], rel=1e-12)
            for i, layer in zip(paths, got["layers"], strict=True):
                np.testing.assert_allclose(layer["W"], model.parameters()[f"{i}.W"], rtol=1e-10, atol=1e-14)
                np.testing.assert_allclose(layer["b"], model.parameters()[f"{i}.b"], rtol=1e-10, atol=1e-14)


def table(page, name):
    """The numbers of a table of the step, as they are shown."""
    rows = page.get_by_role("table", name=name).first.locator("tr").all()
    return np.array(
        [[float(c.replace("\u2212", "-")) for c in row.locator("td").all_text_contents()] for row in rows]
    )


@pytest.mark.oracle
@pytest.mark.usefixtures("workplace")
def test_used_by_mouse_and_keyboard(xp):
    with browsing(write(xp)) as page:
        for name in ("circles", "moons", "xor", "spiral"):
            page.locator("#set").select_option(name)
            assert name in page.locator("#plane").get_attribute("aria-label")
        page.locator("#set").select_option("moons")
        page.get_by_label("Hidden layers").fill("1")
        page.get_by_label("Units in each").fill("3")
        page.get_by_label("Units in each").press("Tab")
        assert page.locator("#net button").count() == 2 + 3 + 2
        page.locator("#batch").select_option("1")
        page.get_by_role("button", name="One step").press("Enter")
        assert page.get_by_text("a batch of 1.").is_visible()
        x, W, b, z = (table(page, name) for name in ("x, 1", "W, 2", "b, 1", "z, 1"))
        np.testing.assert_allclose(x @ W + b, z, atol=3e-4)
        np.testing.assert_allclose(np.tanh(z), table(page, "a, 1"), atol=1e-4)
        dW, new = table(page, "dW, 3"), table(page, "new W, 3")
        np.testing.assert_allclose(new, table(page, "W, 3") - 0.3 * dW, atol=2e-4)
        unit = page.get_by_role("button", name="Unit 1 of layer 1")
        unit.press("Enter")
        assert unit.get_attribute("aria-pressed") == "true"
        assert page.locator("#unit-text").text_content().startswith("z = ")
        page.locator("#batch").select_option("16")
        page.get_by_role("button", name="Train").click()
        until(page, "Number(byId('epoch').textContent) > 60")
        page.get_by_role("button", name="Pause").click()
        assert page.evaluate("scores(net, data.test.x, data.test.y).accuracy") > 0.8
        stopped = page.locator("#epoch").text_content()
        page.get_by_role("button", name="Start again").click()
        assert (page.locator("#epoch").text_content(), stopped) != (stopped, "0")
        assert page.locator("#epoch").text_content() == "0"


@pytest.mark.oracle
def test_accessible_on_a_small_screen_and_in_the_dark():
    with served() as address, browsing(address + "playground", width=360) as page:
        page.get_by_role("button", name="One step").click()
        accessible(page, 360)
        page.set_viewport_size({"width": 1100, "height": 900})
        page.emulate_media(color_scheme="dark")
        accessible(page, 1100)


@pytest.mark.usefixtures("workplace")
def test_a_file_of_others_stays(xp):
    Path("mine.html").write_text("my own")
    code, out, err = xp("playground", "--out", "mine.html")
    assert (code, out, Path("mine.html").read_text()) == (2, "", "my own")
    assert "another --out" in err
    assert json.loads(xp("playground", "--json")[1])["file"] == "playground.html"
    text = Path("playground.html").read_text()
    assert "{{" not in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
