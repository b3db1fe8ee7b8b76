"""From any picture to what MNIST would have stored: real digits in many disguises, and what is no digit."""

import io
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import xpnn
from xpnn.data.picture import centre, digits_of, read_digits, read_picture, shrink
from xpnn.errors import DataError, FileError

BICUBIC = Image.Resampling.BICUBIC


@pytest.fixture(scope="module")
def digits():
    x, y, x_test, y_test = xpnn.data.mnist()
    pick = np.random.default_rng(0).choice(len(y_test), 60, replace=False)
    return x[:20000], y[:20000], x_test[pick], y_test[pick]


@pytest.fixture(scope="module")
def model(digits):
    x, y, *_ = digits
    layers = [xpnn.Flatten(), xpnn.Rescale(1 / 255), xpnn.Dense(128), xpnn.ReLU(), xpnn.Dense(10)]
    model = xpnn.Model(layers, (28, 28, 1), seed=0)
    model.fit(x, y, epochs=4, verbose=0)
    return model


def grown(image, side):
    return np.asarray(Image.fromarray(image).resize((side, side), BICUBIC), dtype=np.float64)


def on_a_large_page(image, rng):
    page = np.full((480, 640), 255, np.uint8)
    top, left = rng.integers(0, 200), rng.integers(0, 360)
    page[top : top + 280, left : left + 280] -= grown(image, 280).astype(np.uint8)
    return Image.fromarray(page).convert("RGB")


def see_through(image, ink):
    layers = np.full((84, 84, 4), ink, np.uint8)
    layers[..., 3] = grown(image, 84)
    return Image.fromarray(layers)


def pencil_on_grey(image, rng):
    page = 170 - 0.5 * grown(image, 200) + rng.normal(0, 3, (200, 200))
    return Image.fromarray(page.clip(0, 255).astype(np.uint8))


def coloured(image):
    share = grown(image, 100)[..., None] / 255
    return Image.fromarray(
        (np.array([250, 230, 90]) * (1 - share) + np.array([20, 40, 200]) * share).astype("u1")
    )


def photograph(image, rng, light=225.0, ink=40.0, noise=0.0):
    """A digit of 280 pixels on a page of 640 x 480."""
    share = np.zeros((640, 480))
    share[150:430, 100:380] = grown(image, 280) / 255
    return light * (1 - share) + ink * share + rng.normal(0, noise, share.shape)


def saved_as_jpeg(page, quality):
    file = io.BytesIO()
    as_image(page).save(file, "JPEG", quality=quality)
    return Image.open(file)


def as_image(page):
    return Image.fromarray(page.clip(0, 255).astype(np.uint8))


def with_one_dark_pixel(page):
    page[6, 6] = 60
    return page


def in_a_frame(page, sides):
    for rows, columns in sides:
        page[rows, columns] = 8
    return page


DOWN, ACROSS = np.mgrid[-1:1:640j, -1:1:480j]
ALL = slice(None)
FOUR_SIDES = [(slice(24), ALL), (slice(-24, None), ALL), (ALL, slice(24)), (ALL, slice(-24, None))]
PHOTOGRAPHS = {
    "clean": lambda image, rng: as_image(photograph(image, rng)),
    "noise": lambda image, rng: as_image(photograph(image, rng, noise=15)),
    "JPEG": lambda image, rng: saved_as_jpeg(photograph(image, rng, noise=3), 25),
    "pencil grey": lambda image, rng: as_image(photograph(image, rng, ink=160, noise=3)),
    "one dark pixel": lambda image, rng: as_image(with_one_dark_pixel(photograph(image, rng))),
    "uneven light": lambda image, rng: as_image(photograph(image, rng, 165 + 60 * ACROSS, noise=4)),
    "a shadow": lambda image, rng: as_image(
        photograph(image, rng) * (1 - 0.4 / (1 + np.exp(-20 * (ACROSS + DOWN))))
    ),
    "vignette": lambda image, rng: as_image(photograph(image, rng, 225 - 55 * (ACROSS**2 + DOWN**2))),
    "black frame": lambda image, rng: as_image(in_a_frame(photograph(image, rng), FOUR_SIDES)),
    "black at two sides": lambda image, rng: as_image(in_a_frame(photograph(image, rng), FOUR_SIDES[::2])),
    "chalk": lambda image, rng: as_image(255 - photograph(image, rng, 200 + 20 * DOWN, noise=5)),
}

DISGUISES = {
    "as it is": lambda image, rng: Image.fromarray(image),
    "dark on light": lambda image, rng: Image.fromarray(255 - image),
    "large page, RGB": on_a_large_page,
    "black, transparent": lambda image, rng: see_through(image, 0),
    "white, transparent": lambda image, rng: see_through(image, 255),
    "half the size": lambda image, rng: Image.fromarray(image).resize((14, 14), Image.Resampling.BOX),
    "grey paper, noise": pencil_on_grey,
    "16 bits": lambda image, rng: Image.fromarray(image.astype(np.uint16) * 257),
    "palette": lambda image, rng: Image.fromarray(image).convert("P"),
    "1 bit": lambda image, rng: Image.fromarray(grown(image, 224) > 100),
    "no margin": lambda image, rng: Image.fromarray(image).crop(Image.fromarray(image).getbbox()),
    "blue on yellow": lambda image, rng: coloured(image),
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_digits_are_recognised(disguise, digits, model, tmp_path):
    *_, x, y = digits
    rng, path = np.random.default_rng(1), tmp_path / "digit.png"
    seen = []
    for image in x[:, :, :, 0]:
        DISGUISES[disguise](image, rng).save(path, compress_level=1)
        seen.append(read_picture(path).pixels)
    plain = (model.predict(x) == y).mean()
    assert plain > 0.93
    lost = (
        0.05 if disguise == "half the size" else 0.02
    )  # three of sixty, where much cannot be seen any more; one
    assert (model.predict(np.stack(seen)) == y).mean() >= plain - lost


def ruled(page, squared):
    """Dark lines, some of them through the digit."""
    for at in range(30, 640, 60):
        page[at : at + 2] -= 150 * (page[at : at + 2] > 120)
        if squared:
            page[:, at : at + 2] -= 150 * (page[:, at : at + 2] > 120)
    return page


@pytest.mark.parametrize("squared", [False, True], ids=["ruled", "squared"])
def test_dark_lines_of_the_paper_are_left_out(squared, digits, model):
    *_, x, y = (a[:6] for a in digits)
    rng, seen = np.random.default_rng(1), []
    for image in x[:, :, :, 0]:
        (picture,) = digits_of(as_image(ruled(photograph(image, rng), squared)), "page")
        assert not picture.doubt
        seen.append(picture.pixels)
    assert (model.predict(np.stack(seen)) == y).sum() >= (model.predict(x) == y).sum() - 1


def test_what_may_be_no_single_digit_says_so(digits):
    """A deep shadow across the page, two digits that touch; and of one alone nothing is said."""
    image, rng = digits[2][0, :, :, 0], np.random.default_rng(0)
    page = photograph(image, rng)
    assert "unsure" not in digits_of(as_image(page), "page")[0].note
    shadow = page.copy()
    shadow[250:330] *= 0.5
    assert "unsure: it reaches from edge to edge" in digits_of(as_image(shadow), "page")[0].note
    two = np.full((640, 480), 225.0)
    two[200:340, 60:200] = two[200:340, 200:340] = 40  # two squares that touch
    assert "unsure: it is wide" in digits_of(as_image(two), "page")[0].note


@pytest.mark.parametrize("kind", PHOTOGRAPHS)
def test_digits_in_photographs_are_recognised(kind, digits, model, tmp_path):
    *_, x, y = (a[:10] for a in digits)
    rng, seen = np.random.default_rng(1), []
    for image in x[:, :, :, 0]:
        PHOTOGRAPHS[kind](image, rng).save(tmp_path / "page.bmp")  # a PNG of noise takes long to pack
        pictures = read_digits(tmp_path / "page.bmp")
        assert len(pictures) == 1
        seen.append(pictures[0].pixels)
    assert (model.predict(np.stack(seen)) == y).mean() >= (model.predict(x) == y).mean() - 0.1


@pytest.mark.parametrize(
    "light", [225, 165 + 60 * ACROSS, 225 - 55 * (ACROSS**2 + DOWN**2)], ids=["even", "uneven", "vignette"]
)
@pytest.mark.parametrize("noise", [0, 12])
def test_an_empty_page_shows_nothing_in_any_light(light, noise, tmp_path):
    page = photograph(np.zeros((28, 28), np.uint8), np.random.default_rng(0), light, noise=noise)
    as_image(page).save(tmp_path / "page.png")
    with pytest.raises(DataError, match="shows nothing"):
        read_digits(tmp_path / "page.png")


def numbers_on_a_page(x, rng, lines, across):
    """The digits x in lines, each `across`, 70 pixels high, with the corner of each."""
    page, corners = np.full((60 + 130 * lines, 60 + 110 * across), 220.0), []
    for i, image in enumerate(x):
        top = 30 + 130 * (i // across) + rng.integers(0, 12)
        left = 30 + 110 * (i % across) + rng.integers(0, 12)
        page[top : top + 98, left : left + 98] -= 170 * grown(image, 98) / 255
        corners.append((left, top))
    return as_image(page + rng.normal(0, 4, page.shape)), corners


@pytest.mark.parametrize(("lines", "across"), [(1, 2), (1, 7), (3, 4)])
def test_several_digits_are_read_line_by_line(lines, across, digits, model, tmp_path):
    x, y = digits[2][: lines * across], digits[3][: lines * across]
    page, corners = numbers_on_a_page(x[:, :, :, 0], np.random.default_rng(0), lines, across)
    page.save(tmp_path / "numbers.png")
    pictures = read_digits(tmp_path / "numbers.png")
    assert len(pictures) == len(y)
    for picture, (left, top) in zip(pictures, corners, strict=True):
        assert left <= picture.box[0] < picture.box[2] <= left + 98
        assert top <= picture.box[1] < picture.box[3] <= top + 98
    right = model.predict(np.stack([picture.pixels for picture in pictures])) == y
    assert right.sum() >= (model.predict(x) == y).sum() - 1


def test_small_digits_on_a_large_page(digits, model, tmp_path):
    page = np.full((1200, 900), 230.0)
    for i, image in enumerate(digits[2][:5, :, :, 0]):
        page[600:642, 150 + 100 * i : 192 + 100 * i] -= 180 * grown(image, 42) / 255
    as_image(page).save(tmp_path / "form.bmp")
    pictures = read_digits(tmp_path / "form.bmp")
    assert [round((picture.box[0] - 150) / 100) for picture in pictures] == [0, 1, 2, 3, 4]
    assert (model.predict(np.stack([p.pixels for p in pictures])) == digits[3][:5]).sum() >= 4


def test_the_note_names_what_was_left_out(digits, tmp_path):
    page = in_a_frame(photograph(digits[2][0, :, :, 0], np.random.default_rng(0)), FOUR_SIDES)
    page[60:66, 60:66] = 50
    as_image(page).save(tmp_path / "page.png")
    assert "without the frame, without a speck" in read_picture(tmp_path / "page.png").note


def test_an_image_of_mnist_stays_what_it_was(digits, tmp_path):
    *_, x, _ = digits
    off = []
    for image in x:
        Image.fromarray(image[:, :, 0]).save(tmp_path / "digit.png")
        seen = read_picture(tmp_path / "digit.png").pixels
        assert seen.shape == (28, 28, 1)
        assert seen.dtype == np.uint8
        off.append(np.abs(seen.astype(int) - image).max())
    assert (
        np.mean(np.array(off) <= 40) > 0.95
    )  # faint pixels are dropped; a shift by one pixel would be 255 off


def test_the_note_says_what_was_done(tmp_path):
    page = np.full((480, 640, 3), 255, np.uint8)
    page[100:400, 200:300] = 0
    Image.fromarray(page).save(tmp_path / "one.png")
    picture = read_picture(tmp_path / "one.png")
    left, top, right, bottom = picture.box
    what = f"cropped to {right - left}×{bottom - top}, centred"
    assert picture.note == f"640×480 RGB → grey, inverted (light background), {what}"
    np.testing.assert_allclose(picture.box, (200, 100, 300, 400), atol=2)  # it is found on a smaller page
    ink = np.argwhere(picture.pixels[:, :, 0] > 127)
    assert np.ptp(ink, axis=0).tolist() == [19, 6]  # 20 high, the ratio of the sides kept
    np.testing.assert_allclose(ink.mean(axis=0), 14, atol=0.5)


def test_the_centre_of_mass_decides_not_the_box():
    heavy = np.zeros((20, 11), np.float32)
    heavy[:, 0] = 1
    heavy[0, 10] = 1
    field = centre(heavy)
    assert np.flatnonzero(field.any(axis=0)).tolist() == [14, 24]  # the box would have been put at 8 to 18
    assert np.flatnonzero(field.any(axis=1)).tolist() == list(range(5, 25))


def test_nothing_is_cut_off():
    heavy = np.zeros((20, 20), np.float32)
    heavy[:, 0] = 1
    heavy[0, 19] = 0.5
    field = centre(heavy)
    assert np.flatnonzero(field.any(axis=0)).tolist() == [8, 27]
    assert field.sum(dtype=int) == 20 * 255 + 128


def test_scaling_keeps_the_ratio_of_the_sides():
    assert shrink(np.ones((200, 50), np.float32)).shape == (20, 5)
    assert shrink(np.ones((3, 1000), np.float32)).shape == (1, 20)
    assert shrink(np.ones((5, 5), np.float32)).shape == (20, 20)


def test_the_edge_of_a_stroke_makes_no_other_ink_fainter():
    """The filter overshoots beside a gap: that is cut off, not divided by."""
    ink = np.ones((200, 200), np.float32)
    ink[:, 95:105] = 0
    assert np.array_equal(shrink(ink)[:, :5], np.ones((20, 5)))
    assert shrink(ink).max() == 1
    assert shrink(ink / 2).max() == 1  # pencil is as black as ink


def test_a_photograph_that_lies_on_its_side(digits, tmp_path):
    image = digits[2][0, :, :, 0]
    Image.fromarray(image).save(tmp_path / "up.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees to see it upright
    Image.fromarray(np.rot90(image)).save(tmp_path / "side.png", exif=exif)
    upright, side = read_picture(tmp_path / "up.png"), read_picture(tmp_path / "side.png")
    np.testing.assert_array_equal(side.pixels, upright.pixels)


@pytest.mark.parametrize("level", [0, 90, 255])
def test_a_blank_page_shows_nothing(level, tmp_path):
    noise = np.random.default_rng(0).integers(0, 8, (50, 50))
    Image.fromarray(np.clip(level + noise, 0, 255).astype(np.uint8)).save(tmp_path / "blank.png")
    with pytest.raises(DataError, match=r"blank\.png shows nothing"):
        read_picture(tmp_path / "blank.png")


def test_a_fully_transparent_page_shows_nothing(tmp_path):
    Image.new("RGBA", (30, 30), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    with pytest.raises(DataError, match="shows nothing"):
        read_picture(tmp_path / "clear.png")


def test_what_is_no_picture(tmp_path, digits):
    (tmp_path / "text.png").write_text("seven")
    with pytest.raises(DataError, match="not a picture that can be read"):
        read_picture(tmp_path / "text.png")
    Image.fromarray(grown(digits[2][0, :, :, 0], 300).astype(np.uint8)).save(tmp_path / "whole.png")
    data = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "half.png").write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match="not a picture that can be read"):
        read_picture(tmp_path / "half.png")
    with pytest.raises(FileError, match=r"cannot read .*absent\.png"):
        read_picture(tmp_path / "absent.png")
    with pytest.raises(FileError, match="cannot read"):
        read_picture(tmp_path)


@pytest.mark.parametrize("side", [12, 15])
def test_a_picture_that_would_fill_the_memory(side, tmp_path, monkeypatch):
    Image.fromarray(np.zeros((side, side), np.uint8)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(
        Image, "MAX_IMAGE_PIXELS", 100
    )  # Pillow warns above this and refuses above its double
    with pytest.raises(DataError, match="too large"):
        read_picture(tmp_path / "bomb.png")


def test_a_picture_that_would_start_a_program(tmp_path, monkeypatch):
    """PostScript under any name: Pillow would hand it to Ghostscript."""
    program = tmp_path / "bin" / "gs"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/STARTED\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    text = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 28 28\n%%EndComments\nshowpage\n"
    dos = (
        b"\xc5\xd0\xd3\xc6" + (30).to_bytes(4, "little") + len(text).to_bytes(4, "little") + bytes(18) + text
    )
    for name in ("seven.png", "seven.eps", "seven"):
        for data in (text, dos):
            (tmp_path / name).write_bytes(data)
            with pytest.raises(DataError, match="not a picture that can be read"):
                read_picture(tmp_path / name)
    assert not (tmp_path / "STARTED").exists()


@pytest.mark.parametrize("side", [65_535, 9_000])
def test_few_bytes_that_promise_many_pixels(tmp_path, side):
    """A GIF of 35 bytes: its screen is as large as its header says."""
    size = side.to_bytes(2, "little")
    data = (
        b"GIF89a"
        + size * 2
        + b"\x80\0\0"
        + bytes(3)
        + b"\xff" * 3
        + b","
        + bytes(4)
        + b"\1\0\1\0\0\2\2D\1\0;"
    )
    (tmp_path / "bomb.gif").write_bytes(data)
    with pytest.raises(DataError, match="too large"):
        read_picture(tmp_path / "bomb.gif")


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "null"])
def test_what_is_no_regular_file(tmp_path, kind):
    path = tmp_path / "picture.png"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "folder":
        path.mkdir()
    else:
        path = tmp_path / "a\0b.png"
    with pytest.raises(FileError, match="cannot read"):
        read_picture(path)
