"""Folders of pictures: every depth on one scale, transparency, turned photographs, parts, and what is refused."""

import numpy as np
import pytest
from PIL import Image

import xpnn
from xpnn.data import load, read_images
from xpnn.data.image_file import levels_for
from xpnn.data.image_preparation import measure, prepare
from xpnn.data.images import read_image_set
from xpnn.errors import DataError, UsageError

RNG = np.random.default_rng(0)
SHADES = RNG.integers(0, 256, (10, 6, 5)).astype(np.uint8)


def folder(path, pictures, form, suffix="png", **options):
    """Half of them in PATH/a, the others in PATH/b."""
    for i, pixels in enumerate(pictures):
        place = path / ("a" if i < len(pictures) // 2 else "b") / f"{i:02}.{suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        form(pixels).save(place, **options)
    return path


DEEP = {
    "16 bits": (lambda a: Image.fromarray(a.astype(np.uint16) * 257), "png"),
    "16 bits in a TIFF": (lambda a: Image.fromarray(a.astype(np.uint16) * 257), "tif"),
    "12 bits": (lambda a: Image.fromarray((a.astype(int) * 4095 // 255).astype(np.uint16)), "tif"),
    "32 bits": (lambda a: Image.fromarray(a.astype(np.int32) * 257), "tif"),
    "floats to 1": (lambda a: Image.fromarray((a / 255).astype(np.float32)), "tif"),
    "floats to 255": (lambda a: Image.fromarray(a.astype(np.float32)), "tif"),
}


@pytest.mark.parametrize("form", DEEP)
def test_deep_pictures_are_read_on_one_scale(form, tmp_path):
    make, suffix = DEEP[form]
    pictures = SHADES.copy()
    pictures[0] //= 4  # dark all over: a scale of its own would brighten it
    pictures[1, 0, 0] = 255
    x, *_ = read_images(folder(tmp_path, pictures, make, suffix))
    assert np.abs(x[..., 0].astype(int) - pictures).max() <= 1


def test_levels_far_below_the_white_of_their_depth_keep_their_greys():
    levels = {high: levels_for(0.0, high)[1] for high in (0.2, 1.0, 2.0, 239.0, 900.0, 3000.0, 239_000.0)}
    assert levels == {0.2: 1, 1: 1, 2: 2, 239: 255, 900: 1023, 3000: 4095, 239_000: 239_000}


def test_a_model_remembers_the_scale(tmp_path):
    pictures = SHADES.copy()
    pictures[0, 0, 0] = 255
    data = load("images", folder(tmp_path, pictures, DEEP["16 bits"][0]))
    assert (data.preparation.black, data.preparation.white) == (0, 65535)
    for file, pixels in (("a/00.png", pictures[0]), ("b/09.png", pictures[9])):
        (seen,) = prepare(data.preparation, Image.open(tmp_path / file), file)
        assert np.abs(seen.pixels[..., 0].astype(int) - pixels).max() <= 1


def test_floats_that_are_no_numbers_are_named(tmp_path):
    pictures = SHADES.astype(np.float32)
    pictures[3, 2, 2] = np.nan
    with pytest.raises(DataError, match=r"03\.tif holds NaN"):
        read_images(folder(tmp_path, pictures, Image.fromarray, "tif"))


@pytest.mark.parametrize(("mode", "ink", "background"), [("RGBA", 0, 255), ("LA", 0, 255), ("LA", 255, 0)])
def test_transparent_pictures_over_the_background_that_shows_them(mode, ink, background, tmp_path):
    def form(a):
        return Image.merge(mode, [Image.new("L", (5, 6), ink)] * (len(mode) - 1) + [Image.fromarray(a)])

    found = read_image_set(folder(tmp_path, SHADES, form))
    assert found.background == background
    shown = 255 - SHADES if ink == 0 else SHADES
    assert np.abs(found.x.astype(int) - shown[..., np.newaxis]).max() <= 1
    data = load("images", tmp_path)
    (seen,) = prepare(data.preparation, Image.open(tmp_path / "a" / "00.png"), "it")
    assert np.array_equal(seen.pixels, found.x[0])


def test_photographs_that_lie_on_their_side(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    folder(tmp_path, np.rot90(SHADES, axes=(1, 2)), Image.fromarray, exif=exif)
    x, *_ = read_images(tmp_path)
    assert np.array_equal(x[..., 0], SHADES)


def test_pictures_of_one_colour_are_named(tmp_path):
    pictures = SHADES.copy()
    pictures[2], pictures[7] = 0, 200
    with pytest.raises(DataError, match=r"02\.png, .*07\.png: all of one colour") as caught:
        read_images(folder(tmp_path, pictures, Image.fromarray))
    assert "2 of 10" in caught.value.why


def test_folders_in_a_class_belong_to_it_and_what_is_left_out_is_named(tmp_path):
    folder(tmp_path, SHADES, Image.fromarray)
    Image.fromarray(SHADES[0]).save(tmp_path / "loose.png")
    (tmp_path / "b" / "more").mkdir()
    Image.fromarray(SHADES[1]).save(tmp_path / "b" / "more" / "x.png")
    (tmp_path / "a" / "notes.txt").write_text("")
    found = read_image_set(tmp_path)
    assert found.files[-1].replace("\\", "/") == "b/more/x.png"
    assert found.y.tolist() == [0] * 5 + [1] * 6
    assert any("loose.png" in note for note in found.notes)
    assert any("notes.txt" in note for note in found.notes)


def test_several_sizes_take_a_size(tmp_path):
    folder(tmp_path, SHADES, Image.fromarray)
    Image.fromarray(SHADES[0]).resize((10, 12)).save(tmp_path / "a" / "large.png")
    with pytest.raises(DataError, match="--resize 64") as caught:
        read_images(tmp_path)
    assert "large.png is 10 x 12 pixels" in str(caught.value)
    data = load("images", tmp_path, resize=(8, 9))
    assert data.input_shape == (8, 9, 1)
    assert (data.preparation.height, data.preparation.width) == (8, 9)
    assert any("11 pictures resized to 8 x 9, from 2 sizes" in note for note in data.notes)
    with pytest.raises(UsageError, match="--resize with dataset 'mnist'"):
        load("mnist", resize=(8, 9))


def test_one_picture_in_colour_makes_all_of_them_so_and_a_grey_palette_does_not(tmp_path):
    folder(tmp_path, SHADES, lambda a: Image.fromarray(a).convert("P"))
    assert read_images(tmp_path)[0].shape == (10, 6, 5, 1)
    Image.fromarray(np.stack([SHADES[0]] * 2 + [SHADES[1]], axis=-1)).save(tmp_path / "b" / "99.png")
    data = load("images", tmp_path)
    assert data.input_shape == (6, 5, 3)
    (seen,) = prepare(data.preparation, Image.fromarray(SHADES[3]), "grey")
    assert np.array_equal(seen.pixels, np.repeat(SHADES[3][..., np.newaxis], 3, axis=2))


class TestParts:
    def make(self, path, parts):
        for k, (part, classes) in enumerate(parts.items()):
            for name in classes:
                (path / part / name).mkdir(parents=True)
                for i in range(3):
                    Image.fromarray(SHADES[(3 * k + i) % 10]).save(path / part / name / f"{i}.png")
        return path

    def test_train_val_and_test_are_taken_as_they_are(self, tmp_path):
        data = load("images", self.make(tmp_path, {"train": "abc", "val": "bc", "test": "c"}))
        assert data.y.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
        assert data.validation[1].tolist() == [1, 1, 1, 2, 2, 2]
        assert data.y_test.tolist() == [2, 2, 2]
        assert not data.held_out

    def test_without_a_part_for_tests_a_fifth_is_held_out(self, tmp_path):
        self.make(tmp_path, {"training": "ab", "validation": "ab"})
        for name in "ab":
            for i in range(3, 40):
                Image.fromarray(SHADES[i % 10]).save(tmp_path / "training" / name / f"{i}.png")
        data = load("images", tmp_path)
        assert data.held_out
        assert len(data.validation[0]) == 6

    def test_a_class_that_is_only_in_another_part(self, tmp_path):
        with pytest.raises(DataError, match="pictures of d, which the model does not know"):
            load("images", self.make(tmp_path, {"train": "ab", "test": "ad"}))

    def test_other_folders_beside_the_parts(self, tmp_path):
        self.make(tmp_path, {"train": "ab", "test": "ab", "extra": "ab"})
        with pytest.raises(DataError, match="holds extra beside train, test"):
            load("images", tmp_path)

    def test_a_class_called_train(self, tmp_path):
        folder(tmp_path, SHADES, Image.fromarray)
        for i in range(3):
            (tmp_path / "train").mkdir(exist_ok=True)
            Image.fromarray(SHADES[i]).save(tmp_path / "train" / f"{i}.png")
        assert read_images(tmp_path)[2] == ("a", "b", "train")
        assert load("images", tmp_path).classes == ("a", "b", "train")


@pytest.fixture(scope="module")
def digits():
    return xpnn.data.mnist()[0][:200]


class TestMeasured:
    @pytest.mark.parametrize(("turn", "polarity"), [(0, "light on dark"), (255, "dark on light")])
    def test_digits_in_the_form_of_mnist(self, digits, turn, polarity):
        x = np.abs(turn - digits.astype(int)).astype(np.uint8)
        form = measure(x, tuple("0123456789"))
        assert (form.crop, form.polarity) == ("ink", polarity)
        for pixels in x[:20]:
            (seen,) = prepare(form, Image.fromarray(pixels[..., 0]), "it")
            assert np.array_equal(seen.pixels, pixels)
            (turned,) = prepare(form, Image.fromarray(255 - pixels[..., 0]), "it")
            assert np.array_equal(turned.pixels, pixels)

    def test_digits_that_fill_their_pictures_are_not(self, digits):
        images = [Image.fromarray(a[..., 0]) for a in digits]
        x = np.stack([np.asarray(i.crop(i.getbbox()).resize((28, 28)))[..., None] for i in images])
        form = measure(x, tuple("0123456789"))
        assert form.crop == "none"
        for pixels in x:
            (seen,) = prepare(form, Image.fromarray(pixels[..., 0]), "it")
            assert np.array_equal(seen.pixels, pixels)

    def test_pictures_both_ways_are_turned_neither_way(self, digits):
        x = np.concatenate([digits, 255 - digits[:50]])
        assert measure(x, tuple("0123456789")).polarity == "as is"

    def test_pictures_with_colours_are_turned_neither_way(self, digits):
        """A red apple would become a cyan one; dark ink on tinted paper is no colour."""
        ink = digits / 255
        for colour, polarity in (
            (np.array([200, 20, 20]), "as is"),
            (np.array([30, 30, 40]), "dark on light"),
        ):
            x = (240 - 5 * np.arange(3)) * (1 - ink) + colour * ink
            assert measure(x.astype(np.uint8), tuple("0123456789")).polarity == polarity

    def test_a_photograph_for_a_model_of_dark_digits(self, digits):
        form = measure(255 - digits, tuple("0123456789"))
        page = np.full((300, 300), 30, np.uint8)
        page[90:202, 90:202] = np.asarray(Image.fromarray(digits[0, :, :, 0]).resize((112, 112))).clip(30)
        (seen,) = prepare(form, Image.fromarray(page), "it")
        assert np.abs(seen.pixels.astype(int) - (255 - digits[0])).mean() < 15


def test_a_model_predicts_from_files_and_images(tmp_path):
    data = load("images", folder(tmp_path, SHADES, Image.fromarray))
    model = xpnn.Model(
        [xpnn.Flatten(), xpnn.Dense(2)], data.input_shape, seed=0, preparation=data.preparation
    )
    model.save(tmp_path / "m.safetensors")
    model = xpnn.load(tmp_path / "m.safetensors")
    files = [tmp_path / "a" / "00.png", str(tmp_path / "b" / "09.png")]
    wanted = model.forward(SHADES[[0, 9], ..., np.newaxis])
    assert np.array_equal(model.forward(files), wanted)
    assert np.array_equal(model.forward(Image.open(files[0])), wanted[:1])
