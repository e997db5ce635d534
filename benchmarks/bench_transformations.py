"""The transformations' geometry: what "5 %" and "2 degrees" come to, to the pixel."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from benchmarks import transformations as tr
from hashmatch.testing import picture


def position(size: tuple[int, int]) -> Image.Image:
    """Return a picture whose pixels say where they are: red across, green down."""
    pixels = np.zeros((size[1], size[0], 3), np.uint8)
    pixels[..., 0] = np.arange(size[0])
    pixels[..., 1] = np.arange(size[1])[:, None]
    return Image.fromarray(pixels)


@pytest.mark.parametrize(
    ("name", "box"),
    [
        ("crop 5 % centred", (5, 2, 195, 97)),
        ("crop 5 % corner", (0, 0, 190, 95)),
        ("crop 5 % one side", (10, 0, 200, 100)),
        ("crop 10 % centred", (10, 5, 190, 95)),
    ],
)
def test_a_crop_takes_its_share_off_each_side(name: str, box: tuple[int, int, int, int]) -> None:
    image = position((200, 100))
    assert tr.table(1)[name](image).tobytes() == image.crop(box).tobytes()


def test_a_crop_anywhere_lies_where_the_seed_says() -> None:
    image = position((200, 100))
    crops = [tr.table(seed)["crop 10 % anywhere"](image) for seed in (1, 1, 2)]
    assert {crop.size for crop in crops} == {(180, 90)}
    assert crops[0].tobytes() == crops[1].tobytes() != crops[2].tobytes()


@pytest.mark.parametrize("size", [(640, 640), (640, 360), (300, 601)])
@pytest.mark.parametrize("degrees", [2, 5])
def test_straightened_pictures_have_no_corners(size: tuple[int, int], degrees: int) -> None:
    white = Image.new("RGB", size, "white")
    assert tr.rotated(white, degrees).getpixel((0, 0)) == (0, 0, 0)
    straight = tr.straightened(white, degrees)
    assert np.asarray(straight).min() == 255
    assert straight.width / straight.height == pytest.approx(size[0] / size[1], rel=0.01)
    wider = tr.rotated(white, degrees).crop(
        (
            (size[0] - straight.width) // 2 - 4,
            (size[1] - straight.height) // 2 - 4,
            (size[0] + straight.width) // 2 + 4,
            (size[1] + straight.height) // 2 + 4,
        )
    )
    assert np.asarray(wider).min() < 255, "a larger frame would do"


@pytest.mark.parametrize("size", [(160, 90), (90, 160), (100, 100)])
def test_a_letterbox_has_its_shape_and_the_picture_in_its_middle(size: tuple[int, int]) -> None:
    image = Image.new("RGB", size, "white")
    for across, down in ((16, 9), (1, 1), (9, 16)):
        boxed = tr.letterboxed(image, across, down)
        assert boxed.width / boxed.height == pytest.approx(across / down, rel=0.01)
        left, top, right, bottom = boxed.getbbox() or (0, 0, 0, 0)
        assert (right - left, bottom - top) == size
        assert abs(left - (boxed.width - right)) <= 1
        assert abs(top - (boxed.height - bottom)) <= 1


def test_captions_are_beside_the_picture_or_over_it() -> None:
    image = Image.fromarray(picture(1, 200, 100))
    below, over = tr.caption_below(image, 0.15), tr.caption_over(image, 0.12)
    assert below.size == (200, 115)
    assert below.crop((0, 0, 200, 100)).tobytes() == image.tobytes()
    assert over.size == (200, 100)
    assert over.crop((0, 0, 200, 88)).tobytes() == image.crop((0, 0, 200, 88)).tobytes()
    for bar in (below.crop((0, 100, 200, 115)), over.crop((0, 88, 200, 100))):
        shades = np.asarray(bar.convert("L"))
        assert shades.min() < 100, "text or bar is dark"
        assert shades.max() > 150, "the other is light"


def test_every_transformation_gives_rgb_and_leaves_its_input_alone() -> None:
    image = Image.fromarray(picture(1, 320, 200))
    before = image.tobytes()
    for name, transform in tr.table(1).items():
        assert transform(image).mode == "RGB", name
        assert transform(image).tobytes() == transform(image).tobytes(), name
    assert image.tobytes() == before
