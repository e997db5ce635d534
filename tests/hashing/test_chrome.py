"""How much of a picture is chrome, on made-up screens and pictures."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from benchmarks.screens import KINDS, apps
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

import naive
from hashmatch._kernels.chrome import SAMPLES, flat_squares
from hashmatch.hashing.chrome import MOSTLY, ChromeMeter
from hashmatch.testing import picture

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray


def saved(image: Image.Image, kind: str, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, kind, quality=quality)
    return Image.open(file).convert("RGB")


def share(image: Image.Image) -> float:
    return ChromeMeter(np.array(image)).share()


@given(st.integers(0, 2**32 - 1), st.integers(2, 9), st.integers(0, 12))
def test_flat_squares_are_those_of_the_naive_loop(seed: int, side: int, tolerance: int) -> None:
    rng = np.random.default_rng(seed)
    height, width = rng.integers(1, 30, 2)
    levels = rng.integers(0, 256, 3) + rng.integers(-tolerance, tolerance + 2, (height, width, 3))
    pixels = levels.clip(0, 255).astype(np.uint8)
    pixels.flags.writeable = False
    out = np.empty((height // side, width // side), np.int32)
    flat_squares(pixels, side, tolerance, out)
    assert out.tolist() == naive.flat_squares(pixels.tolist(), side, tolerance, SAMPLES)


WAYS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "as it is": lambda image: image,
    "JPEG 50": lambda image: saved(image, "JPEG", 50),
    "JPEG 85": lambda image: saved(image, "JPEG", 85),
    "WebP 60": lambda image: saved(image, "WEBP", 60),
    "half": lambda image: saved(image.resize((270, 585)), "JPEG", 85),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["chat", "profile", "list"])
def test_screens_are_mostly_chrome(kind: str, way: str) -> None:
    """Light and dark, in several scripts, also saved again."""
    for app in apps(4):
        assert share(WAYS[way](KINDS[kind](app, 0))) >= MOSTLY, app


def test_what_is_no_screen_has_none() -> None:
    """Also with borders, in a letterbox, and as an avatar on white."""
    for seed in range(5):
        plain = Image.fromarray(picture(seed))
        boxed = Image.new("RGB", (480, 900))
        boxed.paste(plain, (0, 290))
        avatar = Image.new("RGB", (320, 320), "white")
        mask = Image.new("L", (320, 320))
        ImageDraw.Draw(mask).ellipse((0, 0, 319, 319), fill=255)
        avatar.paste(plain.resize((320, 320)), (0, 0), mask)
        for image in (plain, boxed, avatar):
            assert share(saved(image, "JPEG", 85)) < MOSTLY


def test_a_cartoon_on_white_is_no_screen() -> None:
    """However plain it is: its edges are no straight lines along the sides."""
    image = Image.new("RGB", (500, 500), "white")
    pen = ImageDraw.Draw(image)
    for number, color in enumerate(("orange", "navy", "pink")):
        pen.ellipse((60 + 90 * number, 80, 260 + 90 * number, 420), fill=color)
    assert share(image) == 0


def test_shades_are_no_chrome() -> None:
    """Of fog, saved as JPEG of low quality, that is of bands with straight edges."""
    levels = np.linspace(215, 180, 480)[:, None] + np.zeros((480, 640))
    levels[250:, 200:260] -= 60
    fog = Image.fromarray(levels.astype(np.uint8)).convert("RGB")
    assert share(saved(fog, "JPEG", 50)) == 0


def test_a_scene_without_text_is_no_chrome() -> None:
    """Two grounds that meet in a straight line, and things with outlines."""
    image = Image.new("RGB", (600, 450), (120, 180, 220))
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, 300, 600, 450), (90, 150, 70))
    for x, colour in ((40, (200, 60, 60)), (260, (230, 200, 80))):
        pen.rounded_rectangle((x, 180, x + 130, 340), 30, colour, "black", 4)
        pen.ellipse((x + 30, 90, x + 110, 190), (240, 200, 170), "black", 4)
    assert share(image) == 0


def test_a_view_has_a_share_of_its_own() -> None:
    """The photograph in a chat is no chrome, though the whole is."""
    screen = KINDS["chat"](next(iter(apps())), 0)
    screen.paste(Image.fromarray(picture(1, 270, 180)), (20, 400))
    meter = ChromeMeter(np.array(screen))
    meter.views["box"] = (400, screen.height - 580, 20, screen.width - 290)
    assert meter.share("upright") == meter.share() >= MOSTLY
    assert meter.share("box/enlarged/rotate_90") < MOSTLY
    again = ChromeMeter.of(meter.shares())
    assert [again.share(name) for name in ("upright", "box/flipped")] == [
        meter.share(name) for name in ("upright", "box")
    ]


@pytest.mark.parametrize("shape", [(1, 1), (3, 500), (64, 64)])
def test_small_pictures_have_a_share(shape: tuple[int, int]) -> None:
    pixels: NDArray[np.uint8] = np.zeros((*shape, 3), np.uint8)
    assert ChromeMeter(pixels).share() == 0
