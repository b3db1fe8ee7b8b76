"""What is measured of pictures and done to them: each bound from both sides, on pictures of a few pixels."""

import numpy as np
import pytest
from PIL import Image

from xpnn.data import hash_split, image_file
from xpnn.data.image_file import (
    Look,
    as_sample,
    check_pixels,
    deep_range,
    grey_levels,
    is_grey,
    levels_for,
    look_at,
    own_levels,
    upright,
)
from xpnn.data.image_folder import image_dataset, whole_folder
from xpnn.data.image_preparation import (
    ImagePreparation,
    border_position,
    has_colour,
    like_mnist,
    measure,
    polarity,
    prepare,
    prepare_one,
    samples,
)
from xpnn.data.images import SUFFIXES, Wanted, is_picture, read_image_set, read_images
from xpnn.data.picture import centre, digits_of, picture_of, shrink
from xpnn.errors import DataError, UsageError


def bordered(*levels):
    """A picture of 4 x 4 for each level of the border; within are 0 and 200."""
    x = np.zeros((len(levels), 4, 4, 1), np.uint8)
    x[:, 1, 1:3] = 200
    for one, level in zip(x, levels, strict=True):
        one[[0, -1]] = level
        one[:, [0, -1]] = level
    return x


def test_where_the_border_lies_between_the_darkest_and_the_lightest():
    x = bordered(0, 50, 150, 200)
    assert border_position(x).tolist() == [0, 0.25, 0.75, 1]
    assert border_position(x + np.uint8(40)).tolist() == [0, 0.25, 0.75, 1]
    x[0, 0], x[0, -1], x[0, 1, 0] = 100, 100, 100  # the median of 16 numbers, corners twice: 9 of them
    assert border_position(x)[0] == 0.5
    assert border_position(np.full((1, 3, 3, 1), 7, np.uint8)).tolist() == [0]
    assert border_position(np.full((1, 1, 1, 3), [[[[0, 2, 1]]]], np.uint8)).tolist() == [0.5]


@pytest.mark.parametrize(("level", "wanted"), [
    (50, "light on dark"), (51, ""), (149, ""), (150, "dark on light"), (0, "light on dark"),
])  # fmt: skip
def test_the_polarity_of_one_picture(level, wanted):
    assert polarity(bordered(level)[0]) == wanted


@pytest.mark.parametrize(("levels", "wanted"), [
    ([50] * 9 + [51], "light on dark"), ([50] * 8 + [51] * 2, "as is"), ([50] * 10 + [150], "as is"),
    ([150] * 9 + [149], "dark on light"), ([150] * 8 + [149] * 2, "as is"), ([51] * 10, "as is"),
    ([150] * 10 + [50], "as is"),
])  # fmt: skip
def test_the_polarity_of_a_set_is_that_of_nine_in_ten(levels, wanted):
    found = measure(bordered(*levels), ("a", "b"))
    assert found == ImagePreparation(4, 4, 1, ("a", "b"), polarity=wanted)
    other = measure(bordered(*levels), ("a",), background=3, levels=(2.0, 9.0))
    assert other == ImagePreparation(4, 4, 1, ("a",), "none", wanted, 3, 2.0, 9.0)


def tinted(count, spread, pixels=400):
    """`count` pixels whose channels are so far apart, of others that are grey."""
    x = np.full((pixels, 3), 100, np.uint8)
    x[:count, 1] += spread
    return x.reshape(1, -1, 20, 3)


@pytest.mark.parametrize(("x", "coloured"), [
    (tinted(400, 65), True), (tinted(400, 64), False), (tinted(5, 65), True), (tinted(4, 65), False),
    (np.concatenate([tinted(0, 0)] * 9 + [tinted(400, 65)]), True),
    (np.concatenate([tinted(0, 0)] * 10 + [tinted(400, 65)]), False),
    (np.concatenate([tinted(0, 0, 20), tinted(20, 65, 20)] * 250), True),  # 500 pictures: all are looked at
    (np.concatenate([tinted(0, 0, 20), tinted(20, 65, 20)] * 251)[:501], False),  # 501: every second
])  # fmt: skip
def test_a_set_with_colours(x, coloured):
    assert has_colour(x) is coloured


def digit(left, top, width, height, level=255):
    x = np.zeros((1, 28, 28, 1), np.uint8)
    x[0, top : top + height, left : left + width] = level
    return x


@pytest.mark.parametrize(("place", "level", "fits"), [
    ((4, 4, 20, 20), 255, True), ((4, 4, 21, 20), 255, False), ((4, 4, 20, 21), 255, False),
    ((5, 5, 20, 20), 255, True),
    ((3, 3, 20, 20), 255, True), ((6, 4, 20, 20), 255, False), ((4, 6, 20, 20), 255, False),
    ((2, 4, 20, 20), 255, False),
    ((4, 2, 20, 20), 255, False), ((4, 4, 20, 20), 26, True), ((4, 4, 20, 20), 25, False), ((13, 13, 2, 2), 255, True),
    ((12, 12, 1, 1), 255, False), ((13, 14, 1, 1), 255, True),
])  # fmt: skip
def test_which_pictures_look_like_mnist(place, level, fits):
    x = digit(*place, level)
    assert like_mnist(x).tolist() == [fits]
    assert like_mnist(np.concatenate([x, digit(4, 4, 20, 20), 0 * x])).tolist() == [fits, True, False]
    faint = x.copy()
    faint[0, 0, 0] = faint[0, -1, -1] = 25  # counts for nothing
    assert like_mnist(faint).tolist() == [fits]


def test_a_set_like_mnist_is_cropped_to_its_ink():
    form = measure(np.concatenate([digit(4, 4, 20, 20), digit(5, 9, 18, 12)]), ("a", "b"))
    assert form == ImagePreparation(28, 28, 1, ("a", "b"), "ink", "light on dark")
    dark = measure(255 - np.concatenate([digit(4, 4, 20, 20), digit(5, 9, 18, 12)]), ("a", "b"))
    assert dark == ImagePreparation(28, 28, 1, ("a", "b"), "ink", "dark on light")
    assert measure(np.concatenate([digit(4, 4, 20, 20), digit(7, 4, 20, 20)]), ("a", "b")).crop == "none"


@pytest.mark.parametrize(("wanted", "level", "turned"), [
    ("light on dark", 150, True), ("light on dark", 149, False), ("light on dark", 50, False),
    ("dark on light", 50, True), ("dark on light", 51, False), ("dark on light", 150, False), ("as is", 50, False),
    ("as is", 150, False),
])  # fmt: skip
def test_a_picture_of_clearly_opposite_polarity_is_inverted(wanted, level, turned):
    x = bordered(level)[0]
    (seen,) = prepare(
        ImagePreparation(4, 4, 1, ("a", "b"), polarity=wanted), Image.fromarray(x[..., 0]), "it"
    )
    assert np.array_equal(seen.pixels, 255 - x if turned else x)
    assert (seen.inverted, seen.box, seen.size, seen.mode) == (turned, (0, 0, 4, 4), (4, 4), "L")
    assert (seen.cropped, seen.left_out, seen.doubt) == (False, (), "")
    assert seen.note == f"4×4 L → {'inverted, as in training' if turned else 'as it is'}"


def two_digits():
    page = np.full((100, 120), 255, np.uint8)
    page[20:60, 20:30] = page[30:70, 80:90] = 0
    return Image.fromarray(page)


def test_samples_of_pictures_with_several_digits(tmp_path):
    form = ImagePreparation(28, 28, 1, ("a", "b"), "ink", "light on dark")
    assert len(prepare(form, two_digits(), "page")) == 2
    one = prepare_one(form, two_digits(), "page")
    assert one.box == (20, 20, 90, 70)
    two_digits().save(tmp_path / "two.png")
    with pytest.raises(DataError, match=r"two\.png shows 2 digits, wanted one"):
        samples(form, [tmp_path / "two.png"])
    single = Image.fromarray(digit(4, 4, 20, 20)[0, ..., 0])
    with pytest.raises(DataError, match="image 1 shows 2 digits, wanted one"):
        samples(form, [single, two_digits()])
    for given in ([single, single], (single, single)):
        assert np.array_equal(form.inputs(given), np.repeat(digit(4, 4, 20, 20), 2, axis=0))
    assert np.array_equal(form.inputs(single), digit(4, 4, 20, 20))
    for given in ([], (), [single, 3], 3, b""):
        assert form.inputs(given) is given
    with pytest.raises(DataError, match="image 0 shows nothing"):
        samples(form, [Image.new("L", (30, 40), 9)])


def test_a_digit_of_the_right_size_that_is_not_centred_is_read_anew():
    form = ImagePreparation(28, 28, 1, ("a", "b"), "ink", "light on dark")
    off = digit(0, 0, 10, 20)
    (seen,) = prepare(form, Image.fromarray(off[0, ..., 0]), "it")
    assert np.array_equal(seen.pixels, digit(10, 4, 10, 20)[0])
    assert seen.cropped
    black = ImagePreparation(28, 28, 1, ("a", "b"), "ink", "dark on light")
    (seen,) = prepare(black, Image.fromarray(off[0, ..., 0]), "it")
    assert np.array_equal(seen.pixels, 255 - digit(10, 4, 10, 20)[0])
    (seen,) = prepare(black, Image.fromarray(255 - digit(4, 4, 20, 20)[0, ..., 0]), "it")
    assert np.array_equal(seen.pixels, 255 - digit(4, 4, 20, 20)[0])
    assert not seen.cropped


@pytest.mark.parametrize(("low", "high", "wanted"), [
    (0, 0.5, (0, 1)), (0, 1, (0, 1)), (0, 1.5, (0, 1.5)), (0, 63, (0, 63)), (0, 63.75, (0, 255)), (0, 64, (0, 255)),
    (0, 255, (0, 255)), (0, 256, (0, 1023)), (0, 255.5, (0, 255.5)), (0, 4095, (0, 4095)), (0, 4096, (0, 16383)),
    (0, 65535, (0, 65535)), (0, 2.0**24 - 1, (0, 2.0**24 - 1)), (0, 2.0**24, (0, 2.0**24)), (0, 2.0**32, (0, 2.0**32)),
    (0, 2.0**31, (0, 2.0**32 - 1)), (-3, 0.1, (-3, 1)), (5, 300, (0, 1023)), (0, 1024, (0, 4095)), (0, 0.1, (0, 1)),
])  # fmt: skip
def test_black_and_white_of_deep_pictures(low, high, wanted):
    """The next of the usual whites, where a quarter of it is used."""
    assert levels_for(low, high) == wanted


def test_levels_of_one_picture():
    deep = Image.fromarray(np.float32([[3, 9], [-1, 7]]))
    assert own_levels(deep) == deep_range(deep, "it") == (-1, 9)
    assert own_levels(Image.fromarray(np.uint8([[3, 9]]))) == (0, 255)
    gaps = Image.fromarray(np.float32([[np.nan, 9], [4, 7]]))
    assert own_levels(gaps) == (0, 9)
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(DataError, match="it holds NaN or infinity"):
            deep_range(Image.fromarray(np.float32([[1, bad]])), "it")
    found = grey_levels(deep, 255, (1.0, 5.0))
    assert (found.dtype, found.tolist()) == (np.float32, [[127.5, 255], [0, 255]])
    assert grey_levels(deep, 255, (4.0, 4.0)).tolist() == [[0, 0], [0, 0]]
    assert as_sample(deep, 1, 255, (1.0, 5.0)).tolist() == [[[128], [255]], [[0], [255]]]
    assert as_sample(deep, 3, 255, (1.0, 5.0))[0].tolist() == [[128] * 3, [255] * 3]


def test_transparent_pixels_show_the_background():
    layers = np.uint8([[[10, 10, 10, 255], [10, 10, 10, 0]], [[200, 0, 0, 255], [0, 0, 0, 0]]])
    image = Image.fromarray(layers)
    assert as_sample(image, 3, 77).tolist() == [[[10] * 3, [77] * 3], [[200, 0, 0], [77] * 3]]
    assert grey_levels(image, 77).tolist() == [[10, 77], [60, 77]]
    grey = Image.fromarray(np.uint8([[[10, 255], [10, 0]]]), "LA")
    assert as_sample(grey, 1, 77).tolist() == [[[10], [77]]]


def test_pictures_are_brought_to_a_size_of_rows_and_columns():
    image = Image.fromarray(np.uint8([[0, 100], [50, 150], [100, 200], [150, 250]]))
    assert as_sample(image, 1, 255, size=(4, 2)).shape == (4, 2, 1)
    assert as_sample(image, 1, 255, size=(2, 1)).shape == (2, 1, 1)
    assert as_sample(image, 3, 255, size=(3, 5)).shape == (3, 5, 3)
    assert as_sample(image, 1, 255).tolist() == np.asarray(image)[..., None].tolist()


@pytest.mark.parametrize(("image", "grey"), [
    (Image.new("L", (1, 1)), True), (Image.new("1", (1, 1)), True), (Image.new("LA", (1, 1)), True),
    (Image.new("I;16", (1, 1)), True), (Image.new("F", (1, 1)), True), (Image.new("RGB", (1, 1)), False),
    (Image.new("RGBA", (1, 1)), False), (Image.new("CMYK", (1, 1)), False),
])  # fmt: skip
def test_which_pictures_are_grey(image, grey):
    assert is_grey(image) is grey
    palette = Image.new("P", (1, 1))
    palette.putpalette([0, 0, 0, 9, 9, 9] if grey else [0, 0, 0, 9, 8, 9])
    assert is_grey(palette) is grey


def test_a_picture_that_is_upright_is_no_copy():
    image = Image.new("L", (2, 3))
    assert upright(image) is image


@pytest.mark.parametrize("tag", range(1, 9))
def test_a_picture_is_turned_as_the_camera_says(tag, tmp_path):
    """The eight ways to hold it; the head alone says which sides change places."""
    seen = np.uint8([[0, 50, 100], [150, 200, 250]])
    stored = {1: seen, 2: seen[:, ::-1], 3: seen[::-1, ::-1], 4: seen[::-1], 5: seen.T, 6: np.rot90(seen),
              7: seen[::-1, ::-1].T, 8: np.rot90(seen, -1)}[tag]  # fmt: skip
    exif = Image.Exif()
    exif[0x0112] = tag
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "a.png", exif=exif)
    assert np.asarray(upright(Image.open(tmp_path / "a.png"))).tolist() == seen.tolist()
    look, image = look_at(tmp_path / "a.png", lambda look: True)
    assert look == Look((2, 3), True, False, False, 1)
    assert np.asarray(image).tolist() == seen.tolist()
    assert look_at(tmp_path / "a.png", lambda look: look.size != (2, 3)) == (look, None)


def test_what_the_head_of_a_file_says(tmp_path):
    frames = [Image.fromarray(np.full((3, 5), level, np.uint8)) for level in (10, 200)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    look, image = look_at(tmp_path / "a.gif", lambda look: True)
    assert (look.size, look.grey, look.deep, look.transparent, look.frames) == ((3, 5), True, False, False, 2)
    assert np.unique(np.asarray(image.convert("L"))).tolist() == [10]
    Image.new("RGBA", (2, 1)).save(tmp_path / "b.png")
    assert look_at(tmp_path / "b.png", lambda look: False)[0] == Look((1, 2), False, False, True, 1)
    Image.fromarray(np.zeros((1, 2), np.uint16)).save(tmp_path / "c.png")
    assert look_at(tmp_path / "c.png", lambda look: False)[0] == Look((1, 2), True, True, False, 1)


@pytest.mark.parametrize(("side", "size", "most"), [
    ((1000, 1000), 0, None), ((1001, 1000), 0, 1_000_000), ((1001, 1000), 1, None), ((3000, 1000), 1000, None),
    ((3001, 1000), 1000, 3_000_000), ((10_000, 5_000), 1 << 30, None), ((10_001, 5_000), 1 << 30, 50_000_000),
])  # fmt: skip
def test_how_many_pixels_a_file_may_hold(side, size, most):
    class Head:
        pass

    Head.size = side
    if most is None:
        check_pixels(Head, size, "it")
    else:
        with pytest.raises(DataError, match="it is too large") as caught:
            check_pixels(Head, size, "it")
        assert f"at most {most:,} pixels" in caught.value.why
    assert image_file.FORMATS == ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "PPM")


def test_the_longer_side_becomes_20_pixels():
    for shape, wanted in (((40, 10), (20, 5)), ((10, 40), (5, 20)), ((3, 300), (1, 20)), ((7, 10), (14, 20))):
        found = shrink(np.ones(shape, np.float32))
        assert (found.shape, found.dtype) == (wanted, np.float32)
        assert np.array_equal(found, np.ones(wanted, np.float32))
    assert np.allclose(shrink(np.full((20, 20), 0.25, np.float32)), 1)


@pytest.mark.parametrize(("ink", "top", "left"), [
    (np.ones((20, 6)), 4, 12), (np.ones((5, 20)), 12, 4), (np.eye(20), 4, 4), (np.ones((1, 1)), 14, 14),
    (np.outer(np.arange(20) > 16, np.ones(20)), 0, 4), (np.outer(np.ones(20), np.arange(20) < 3), 4, 8),
    (np.outer(np.ones(20), np.arange(20) > 16), 4, 0),
])  # fmt: skip
def test_the_centre_of_mass_is_pixel_14(ink, top, left):
    """As far as nothing is cut off."""
    field = np.zeros((28, 28), np.uint8)
    field[top : top + ink.shape[0], left : left + ink.shape[1]] = 255 * ink
    assert np.array_equal(centre(ink.astype(np.float32)), field)


def saved(folder, **pictures):
    for name, image in pictures.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path.with_suffix(".png"))
    return folder


def shades(mode="L", size=(3, 2), seed=0):
    rng = np.random.default_rng(seed)
    return Image.fromarray(rng.integers(0, 256, (size[1], size[0], 3)).astype(np.uint8)).convert(mode)


def test_a_set_is_read_as_another_one_was(tmp_path):
    """Channels, size, levels and background may be fixed; what they are otherwise, the set itself says."""
    saved(
        tmp_path,
        a__1=shades(),
        a__2=shades(seed=1),
        b__1=shades("RGB", seed=2),
        b__2=shades("RGBA", (4, 5), 3),
    )
    found = read_image_set(tmp_path, Wanted((2, 3), 1, 9, (0.0, 255.0)))
    assert (found.x.shape, found.background, found.levels) == ((4, 2, 3, 1), 9, (0.0, 255.0))
    assert np.array_equal(found.x[0], np.asarray(shades())[..., None])
    assert np.array_equal(found.x[2], np.asarray(shades("RGB", seed=2).convert("L"))[..., None])
    assert (found.y.tolist(), found.classes) == ([0, 0, 1, 1], ("a", "b"))
    assert found.form == Wanted((2, 3), 1, 9, (0.0, 255.0))
    assert found.notes == (
        "1 picture resized to 2 x 3, from 2 sizes", "transparent pixels laid over grey level 9",
    )  # fmt: skip
    free = read_image_set(tmp_path, Wanted((2, 3)))
    assert (free.x.shape, free.background) == ((4, 2, 3, 3), 255)
    assert np.array_equal(free.x[2], np.asarray(shades("RGB", seed=2)))
    assert np.array_equal(free.x[1], np.asarray(shades(seed=1).convert("RGB")))
    assert read_image_set(saved(tmp_path / "a", c__1=shades()), Wanted(classes=1)).classes == ("c",)


def test_pictures_are_counted_while_they_are_read(tmp_path, monkeypatch):
    saved(tmp_path, a__1=shades(), a__2=shades(), a__3=shades(), b__1=shades(), b__2=shades("RGB"))
    monkeypatch.setattr("xpnn.data.images.TOGETHER", 2)
    seen = []
    read_image_set(tmp_path, watch=lambda done, every: seen.append((done, every)))
    assert seen == [(2, 5), (4, 5), (5, 5), (2, 5), (4, 5), (5, 5)]  # grey at first, then all in colour


def test_what_is_passed_over_is_printed(tmp_path, capsys):
    saved(tmp_path, a__1=shades(), b__1=shades(), loose=shades(), other=shades(), a__hid=shades())
    (tmp_path / "a" / "hid.png").rename(tmp_path / "a" / ".hid.png")
    (tmp_path / ".git").mkdir()
    (tmp_path / "a" / "x.txt").touch()
    x, y, classes, files = read_images(tmp_path)
    assert (len(x), y.tolist(), classes, files) == (2, [0, 1], ("a", "b"), ("a/1.png", "b/1.png"))
    assert capsys.readouterr().err.splitlines() == [
        "left out: 1 file of other kinds, such as x.txt",
        "left out: 2 pictures in no folder of a class, such as loose.png",
    ]
    read_images(tmp_path, verbose=0)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("blank", "words"), [
    (1, "1/0.png: all of one colour"), (5, "1/4.png: all of one colour"), (6, "1/4.png and 1 more: all of one colour"),
])  # fmt: skip
def test_five_pictures_that_show_nothing_are_named(blank, words, tmp_path):
    saved(tmp_path, **{f"1__{i}": Image.new("L", (2, 2), 9) for i in range(blank)}, a__1=shades(size=(2, 2)))
    with pytest.raises(DataError) as caught:
        read_images(tmp_path)
    assert caught.value.what.endswith(words)
    assert caught.value.why == f"{blank} of {blank + 1} pictures"


@pytest.mark.parametrize(("count", "what", "why"), [
    (0, "holds 0 folders of pictures", "wanted one for each class, two or more"),
    (1, "holds 1 folder of pictures", "wanted one for each class, two or more"),
])  # fmt: skip
def test_too_few_classes(count, what, why, tmp_path):
    saved(tmp_path, **{f"{i}__1": shades() for i in range(count)})
    with pytest.raises(DataError) as caught:
        read_images(tmp_path)
    assert (caught.value.what, caught.value.why) == (f"{tmp_path} {what}", why)
    if not count:
        with pytest.raises(DataError) as caught:
            read_image_set(tmp_path, Wanted(classes=1))
        assert caught.value.why == "wanted one for each class"
    (tmp_path / "none").mkdir()
    (tmp_path / "other").mkdir()
    with pytest.raises(DataError, match="none holds no pictures"):
        read_images(tmp_path)


def test_the_names_of_pictures(tmp_path):
    assert all(is_picture(tmp_path / f"a{suffix.upper()}") for suffix in SUFFIXES)
    assert not any(is_picture(tmp_path / name) for name in ("a", "a.txt", "png", "a.png.txt", ".png"))


def stack(*images):
    return np.stack([np.asarray(image)[..., None] for image in images])


def in_parts(folder):
    """a and b to train on, b to choose by, a and b to test with; one to choose by is larger."""
    names = {"train__a__1": 0, "train__a__2": 1, "train__b__1": 2, "test__a__1": 3, "test__b__1": 4}
    saved(folder, **{name: shades(seed=seed) for name, seed in names.items()})
    return saved(folder, valid__b__1=shades(size=(6, 4), seed=5), valid__b__2=shades(seed=6))


def test_parts_of_a_folder_are_one_dataset(tmp_path):
    data = image_dataset(in_parts(tmp_path), (2, 3))
    images, large = [shades(seed=seed) for seed in range(7)], shades(size=(6, 4), seed=5)
    assert np.array_equal(data.x, stack(*images[:3]))
    assert np.array_equal(data.x_test, stack(*images[3:5]))
    assert (data.y.tolist(), data.y_test.tolist(), data.classes) == ([0, 0, 1], [0, 1], ("a", "b"))
    x, y = data.validation
    assert np.array_equal(x, stack(large.resize((3, 2), Image.Resampling.BILINEAR), images[6]))
    assert y.tolist() == [1, 1]
    assert data.notes == ("valid: 1 picture resized to 2 x 3, from 2 sizes",)
    assert (data.name, data.note, data.held_out) == ("images", str(tmp_path), False)
    assert data.preparation == measure(data.x, ("a", "b"))
    assert image_dataset(tmp_path).notes == data.notes  # those to train on say the size
    shades(size=(6, 4)).save(tmp_path / "train" / "a" / "3.png")
    with pytest.raises(DataError, match=r"3\.png is 6 x 4 pixels, .*1\.png is 3 x 2"):
        image_dataset(tmp_path)


def test_pictures_for_a_model_that_goes_on(tmp_path):
    """They are read as its own were, whatever they would be by themselves."""
    known = ImagePreparation(2, 3, 3, ("x", "y", "z"), background=9, black=1.0, white=99.0)
    in_parts(tmp_path)
    for resize in (None, (2, 3)):
        data = image_dataset(tmp_path, resize, known)
        assert data.preparation == ImagePreparation(2, 3, 3, ("a", "b"), background=9, black=1.0, white=99.0)
        assert np.array_equal(data.x, np.repeat(stack(*(shades(seed=seed) for seed in range(3))), 3, axis=3))
        assert len(data.validation[0]) == 2
    for resize in ((3, 2), (2, 2)):
        with pytest.raises(UsageError, match="the model takes pictures of 2 x 3 pixels"):
            image_dataset(tmp_path, resize, known)


def test_a_whole_folder_to_test_a_model_with(tmp_path):
    """Of one with parts that for tests; classes are matched by their names."""
    known = ImagePreparation(2, 3, 1, ("z", "b", "a"))
    for path, place in ((in_parts(tmp_path), tmp_path / "test"), (tmp_path / "train", tmp_path / "train")):
        data = whole_folder(path, known)
        assert data.notes == (f"all {len(data.y_test)} pictures of {place} are used",)
        assert (data.preparation, data.classes, data.note) == (known, ("z", "b", "a"), str(place))
        assert (len(data.x), len(data.y)) == (0, 0)
    assert data.y_test.tolist() == [2, 2, 1]
    assert np.array_equal(data.x_test, stack(*(shades(seed=seed) for seed in range(3))))
    with pytest.raises(DataError, match="holds pictures of b, which the model does not know"):
        whole_folder(tmp_path, ImagePreparation(2, 3, 1, ("z", "a")))


def test_a_fifth_of_a_folder_is_held_out_by_the_names_of_files(tmp_path):
    names = [f"{'ab'[i % 2]}/{i}.png" for i in range(30)]
    saved(tmp_path, **{name[:-4].replace("/", "__"): shades(seed=i) for i, name in enumerate(names)})
    data = image_dataset(tmp_path)
    train, held = hash_split(sorted(names), 0.2)
    assert (len(data.y), len(data.y_test)) == (len(train), len(held))
    found = [shades(seed=names.index(sorted(names)[i])) for i in held]
    assert np.array_equal(data.x_test, stack(*found))
    assert (data.note, data.notes, data.validation) == (f"{tmp_path}, a fifth held out by hash", (), None)


@pytest.mark.parametrize(("specks", "frame", "left_out"), [
    (0, False, ()), (1, False, ("a speck",)), (2, False, ("2 specks",)), (0, True, ("the frame",)),
    (2, True, ("the frame", "2 specks")),
])  # fmt: skip
def test_what_is_left_out_of_a_page_of_digits(specks, frame, left_out):
    page = np.full((200, 220), 255, np.uint8)
    page[40:90, 40:60] = page[60:100, 120:136] = 0
    for k in range(specks):
        page[150:154, 60 + 60 * k : 64 + 60 * k] = 0
    if frame:
        page[:, :10] = 0
    found = digits_of(Image.fromarray(page), "page")
    assert [one.left_out for one in found] == [left_out] * 2
    assert [one.box for one in found] == [(40, 40, 60, 90), (120, 60, 136, 100)]
    assert {(one.size, one.mode, one.inverted, one.cropped, one.doubt) for one in found} == {
        ((220, 200), "L", True, True, "")
    }
    assert [one.pixels.shape for one in found] == [(28, 28, 1)] * 2
    assert picture_of(Image.fromarray(page), "page").box == (40, 40, 136, 100)


@pytest.mark.parametrize(("ink", "inverted"), [(0, True), (255, False)])
def test_ink_on_a_transparent_page(ink, inverted):
    """Over white, or over black where white shows nothing."""
    page = np.zeros((40, 40, 2), np.uint8)
    page[..., 0] = ink
    page[10:30, 15:20, 1] = 255
    (found,) = digits_of(Image.fromarray(page, "LA"), "page")
    assert (found.box, found.inverted, found.mode) == ((15, 10, 20, 30), inverted, "LA")
    assert np.array_equal(found.pixels, digit(12, 4, 5, 20)[0])


def test_deep_pictures_are_read_from_the_levels_that_are_wanted(tmp_path):
    pixels = np.uint8([[0, 51, 102], [153, 204, 255]])
    for name in ("a", "b"):
        saved(tmp_path, **{f"{name}__1": Image.fromarray(pixels.astype(np.uint16) * 100)})
    found = read_image_set(tmp_path, Wanted(levels=(0.0, 25500.0)))
    assert np.array_equal(found.x[..., 0], [pixels] * 2)
    assert (found.levels, found.notes) == ((0.0, 25500.0), ("grey levels 0 to 25500 read as 0 to 255",))
    free = read_image_set(tmp_path)
    assert free.levels == (0.0, 65535.0)
    assert np.array_equal(free.x[1, ..., 0], np.rint(pixels * 25500.0 / 65535))
