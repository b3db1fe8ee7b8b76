"""The exported page in a real browser: drawn on by mouse, given pictures, and read by a program that checks pages."""

import base64
import io

import numpy as np
import pytest
from browser import draw, opened, seen, shown
from PIL import Image

import xpnn
from xpnn.errors import UsageError
from xpnn.interchange import save_html

pytestmark = pytest.mark.oracle
THREE = [(0.3, 0.25), (0.5, 0.2), (0.68, 0.3), (0.6, 0.45), (0.45, 0.5), (0.7, 0.7), (0.5, 0.82), (0.3, 0.75)]
ONE = [(0.55, 0.2), (0.5, 0.8)]
NAMES = [f"digit {i}" for i in range(10)]


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A trained model, its page with three examples, and their images."""
    x, y, x_test, _ = xpnn.data.mnist()
    layers = [
        xpnn.Rescale(1 / 255), xpnn.Conv2D(6, 5, 2), xpnn.BatchNorm(), xpnn.ReLU(), xpnn.MaxPool2D(2),
        xpnn.Flatten(), xpnn.Dense(32), xpnn.ReLU(), xpnn.Dense(10),
    ]  # fmt: skip
    model = xpnn.Model(layers, (28, 28, 1), seed=0)
    model.fit(x[:4000], y[:4000], optimizer=xpnn.Adam(3e-3), epochs=2, verbose=0)
    path = tmp_path_factory.mktemp("page") / "digits.html"
    save_html(model, path, classes=NAMES, examples=x_test[:3])
    return model, path, x_test[:3]


def same_answer(page, model):
    """The page's numbers are the model's for what it says the network sees."""
    wanted = model.predict_proba(seen(page)[None, :, :, :1])[0]
    found = shown(page)
    assert list(found) == NAMES
    np.testing.assert_allclose(list(found.values()), 100 * wanted, atol=0.0501)
    best = page.locator("#best").text_content()
    assert best.startswith(f"{NAMES[wanted.argmax()]} — ")
    return wanted


PAD = "document.getElementById('pad').getContext('2d').getImageData(0, 0, 280, 280).data"


def test_strokes_of_the_mouse_are_answered_as_by_the_model(digits):
    model, path, _ = digits
    with opened(path) as page:
        assert page.locator("#best").text_content() == "Draw something"
        draw(page, THREE)
        wanted = same_answer(page, model)
        inside = page.evaluate(f"Array.from(predict(sampleOf({PAD}, 280)))")
        np.testing.assert_allclose(inside, wanted, atol=1e-5)
        before = shown(page)
        draw(page, ONE)
        assert shown(page) != before
        same_answer(page, model)
        page.get_by_role("button", name="Undo").click()
        assert shown(page) == before
        page.keyboard.press("Control+z")
        assert page.locator("#best").text_content() == "Draw something"
        assert page.get_by_role("button", name="Undo").is_disabled()


def test_a_wider_brush_draws_wider(digits):
    _, path, _ = digits
    ink = []
    with opened(path) as page:
        for size in (8, 40):
            page.get_by_label("Brush").fill(str(size))
            draw(page, ONE)
            ink.append(page.evaluate(f"{PAD}.filter((v, i) => i % 4 === 0 && v > 127).length"))
            page.get_by_role("button", name="Clear").click()
    assert ink[1] > 3 * ink[0]


def dropped(page, data, kind="image/png"):
    """A file let go over the pad."""
    page.evaluate(
        """([text, kind]) => {
            const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0)), transfer = new DataTransfer();
            transfer.items.add(new File([bytes], "picture", { type: kind }));
            const drop = new DragEvent("drop", { dataTransfer: transfer, cancelable: true });
            document.getElementById("pad").dispatchEvent(drop);
        }""",
        [base64.b64encode(data).decode(), kind],
    )


def png(image):
    data = io.BytesIO()
    Image.fromarray(image).save(data, "PNG")
    return data.getvalue()


def test_a_picture_is_dropped_or_opened(digits, tmp_path):
    """One of MNIST's images, ten times as large: the network sees it as it was."""
    model, path, images = digits
    large = np.kron(images[0, :, :, 0], np.ones((10, 10), np.uint8))
    (tmp_path / "seven.png").write_bytes(png(large))
    with opened(path) as page:
        dropped(page, png(large))
        page.wait_for_function("document.getElementById('rows').children.length > 0")
        assert np.abs(seen(page)[:, :, 0].astype(int) - images[0, :, :, 0]).max() <= 1
        same_answer(page, model)
        page.get_by_role("button", name="Clear").click()
        page.get_by_label("Open a picture").set_input_files(tmp_path / "seven.png")
        page.wait_for_function("document.getElementById('rows').children.length > 0")
        same_answer(page, model)
        dropped(page, b"no picture", "text/plain")
        page.wait_for_function("document.getElementById('best').textContent === 'This is no picture.'")


def test_examples_pixels_put_out_and_units(digits):
    """What is inside is what the model computes; a unit of the first layer shows its kernel."""
    model, path, images = digits
    with opened(path) as page:
        page.get_by_role("button", name="Example 2").click()
        np.testing.assert_array_equal(seen(page)[:, :, 0], images[1, :, :, 0])
        same_answer(page, model)
        values = page.evaluate("layers.map((one) => [one.name, Array.from(one.values), one.first, one.form])")
        assert [name for name, *_ in values] == [
            "1 Conv2D",
            "3 ReLU",
            "4 MaxPool2D",
            "6 Dense",
            "7 ReLU",
            "8 Dense",
        ]
        cut = xpnn.Model(model.net.layers[:4], (28, 28, 1), seed=0)
        kept = {name: a for name, a in model.parameters().items() if name[0] in "12"}
        cut.load_parameters(kept)
        _, relu, first, _ = values[1]
        maps = np.moveaxis(np.reshape(relu, (6, 12, 12)), 0, -1) if first else np.reshape(relu, (12, 12, 6))
        np.testing.assert_allclose(maps, cut.forward(images[1:2])[0], rtol=1e-4, atol=1e-4)
        last = np.array(values[-1][1])
        np.testing.assert_allclose(last, model.forward(images[1:2])[0], rtol=1e-4, atol=1e-4)
        box = page.locator("#seen").bounding_box()
        page.mouse.move(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.5)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * 0.8, box["y"] + box["height"] * 0.5, steps=30)
        page.mouse.up()
        assert (seen(page)[14, 6:22] == 0).all()
        same_answer(page, model)
        button = page.get_by_role("button", name="Values of 1 Conv2D")
        button.focus()
        page.keyboard.press("Enter")
        assert page.get_by_role("img", name="The weights of unit 0").is_visible()


@pytest.mark.parametrize("width", [360, 1100])
def test_accessible_and_no_wider_than_the_screen(digits, width):
    """Checked by axe-core: names, contrast, roles, landmarks."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    _, path, _ = digits
    with opened(path, width=width) as page:
        draw(page, THREE)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = axe.Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


def test_a_page_for_numbers(tmp_path):
    model = xpnn.Model([xpnn.Dense(5), xpnn.ReLU(), xpnn.Dense(3)], (4,), seed=0)
    save_html(model, tmp_path / "m.html", classes=["cat", "dog", "mouse"])
    with opened(tmp_path / "m.html") as page:
        line = page.get_by_label("4 numbers, with blanks or commas between")
        line.fill("1, 2.5")
        assert page.locator("#best").text_content() == "2 of 4 numbers"
        line.fill("1, 2.5 -3 0.25")
        wanted = model.predict_proba(np.array([[1, 2.5, -3, 0.25]], np.float32))[0]
        np.testing.assert_allclose(list(shown(page).values()), 100 * wanted, atol=0.0501)


def test_examples_of_another_shape_are_refused(digits, tmp_path):
    model, *_ = digits
    with pytest.raises(UsageError, match="an example of shape"):
        save_html(model, tmp_path / "m.html", examples=np.zeros((2, 8, 8, 1), np.uint8))
