"""What platforms and people do to a picture on its way: one small pure function each.

A Pillow RGB image goes in and another comes out; nothing is drawn by chance but in `table`, which
takes a seed.
"""

from __future__ import annotations

import io
from functools import partial
from math import cos, radians, sin
from random import Random
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageEnhance, ImageFont, ImageOps

if TYPE_CHECKING:
    from collections.abc import Callable

    Transformation = Callable[[Image.Image], Image.Image]

CAPTION = "every picture tells a story"


def as_it_is(image: Image.Image) -> Image.Image:
    """Return a copy: what the reduction before every transformation does by itself."""
    return image.copy()


def encoded(image: Image.Image, file_format: str, quality: int) -> Image.Image:
    """Encode and decode again. Every platform does, to save space and to drop metadata."""
    buffer = io.BytesIO()
    image.save(buffer, file_format, quality=quality)
    with Image.open(buffer) as opened:
        return opened.convert("RGB")


def resized(image: Image.Image, longest: int) -> Image.Image:
    """Bring the longer side down to `longest` pixels, as previews and thumbnails are made."""
    return ImageOps.contain(image, (longest, longest), Image.Resampling.LANCZOS)


def cropped(
    image: Image.Image, across: float, down: float, place: tuple[float, float]
) -> Image.Image:
    """Take a share `across` off the width and `down` off the height, as people do before posting.

    `place` says how much of what is taken lies on the left and at the top: (0.5, 0.5) is centred,
    and (0, 0) keeps the upper left corner.
    """
    width, height = image.size
    taken_across, taken_down = round(width * across), round(height * down)
    left, top = round(taken_across * place[0]), round(taken_down * place[1])
    return image.crop((left, top, left + width - taken_across, top + height - taken_down))


def rotated(image: Image.Image, degrees: float) -> Image.Image:
    """Turn within the same frame, black where nothing is: a crooked scan, or a simple editor."""
    return image.rotate(degrees, Image.Resampling.BICUBIC)


def straightened(image: Image.Image, degrees: float) -> Image.Image:
    """Turn, and keep the largest frame of the same shape without corners, as phones straighten.

    At 5 degrees that takes 11 % off a square's sides and more off a wider picture's: it is a
    turn and a large crop in one.
    """
    width, height = image.size
    c, s = cos(radians(abs(degrees))), sin(radians(abs(degrees)))
    scale = min(width / (width * c + height * s), height / (width * s + height * c))
    across, down = int(width * scale) - 2, int(height * scale) - 2  # bicubic looks a pixel beyond
    left, top = (width - across) // 2, (height - down) // 2
    return rotated(image, degrees).crop((left, top, left + across, top + down))


def bordered(image: Image.Image, share: float, colour: str) -> Image.Image:
    """Add a frame, `share` of the shorter side thick: collage and story makers, screenshots."""
    return ImageOps.expand(image, round(min(image.size) * share), colour)


def letterboxed(image: Image.Image, across: int, down: int) -> Image.Image:
    """Add black bars until width : height is `across` : `down`: players, stories, square feeds."""
    width, height = image.size
    wide = max(width, round(height * across / down))
    tall = max(height, round(width * down / across))
    canvas = Image.new("RGB", (wide, tall))
    canvas.paste(image, ((wide - width) // 2, (tall - height) // 2))
    return canvas


def _write(image: Image.Image, centre: float, size: int, fill: str, outline: int = 0) -> None:
    """Write the caption into `image` in the middle of the row `centre`, no wider than it."""
    draw = ImageDraw.Draw(image)
    font = ImageFont.load_default(size)
    wide = draw.textlength(CAPTION, font)
    if wide > 0.9 * image.width:
        font = ImageFont.load_default(size * 0.9 * image.width / wide)
    draw.text(
        (image.width / 2, centre), CAPTION, fill, font, "mm", stroke_width=outline,
        stroke_fill="black",
    )  # fmt: skip


def caption_below(image: Image.Image, share: float) -> Image.Image:
    """Add a white bar with text under the picture, `share` of its height: memes, watermarks."""
    width, height = image.size
    bar = round(height * share)
    canvas = Image.new("RGB", (width, height + bar), "white")
    canvas.paste(image, (0, 0))
    _write(canvas, height + bar / 2, bar // 2, "black")
    return canvas


def caption_over(image: Image.Image, share: float) -> Image.Image:
    """Lay a black bar with text over the lowest `share` of the picture: news, story captions."""
    width, height = image.size
    bar = round(height * share)
    canvas = image.copy()
    canvas.paste("black", (0, height - bar, width, height))
    _write(canvas, height - bar / 2, bar // 2, "white")
    return canvas


def text_overlay(image: Image.Image) -> Image.Image:
    """Write white text with a black edge across the lower third: stories and memes."""
    canvas = image.copy()
    size = max(8, canvas.height // 12)
    _write(canvas, canvas.height * 0.8, size, "white", outline=max(1, size // 12))
    return canvas


def circle_mask(image: Image.Image) -> Image.Image:
    """Leave the largest ellipse and whiten the rest: profile pictures as they are shown."""
    mask = Image.new("L", image.size, 0)
    ImageDraw.Draw(mask).ellipse((0, 0, image.width - 1, image.height - 1), fill=255)
    return Image.composite(image, Image.new("RGB", image.size, "white"), mask)


def brightened(image: Image.Image, factor: float) -> Image.Image:
    """Multiply every value by `factor`: automatic enhancement, filters."""
    return ImageEnhance.Brightness(image).enhance(factor)


def contrasted(image: Image.Image, factor: float) -> Image.Image:
    """Spread the values about their mean by `factor`: automatic enhancement, filters."""
    return ImageEnhance.Contrast(image).enhance(factor)


def gray(image: Image.Image) -> Image.Image:
    """Take the colours away: filters, scans, photocopies."""
    return image.convert("L").convert("RGB")


def quarter_turned(image: Image.Image) -> Image.Image:
    """Turn by 90 degrees: orientation metadata lost on the way."""
    return image.transpose(Image.Transpose.ROTATE_90)


def mirrored(image: Image.Image) -> Image.Image:
    """Swap left and right, as front cameras do."""
    return ImageOps.mirror(image)


def table(seed: int) -> dict[str, Transformation]:
    """Return every transformation by name; `seed` places the crops that lie anywhere.

    A crop's share is the total taken off each side that it affects: 5 % centred takes 2.5 % off
    each of the four edges.
    """
    random = Random(seed)
    crops: dict[str, Transformation] = {}
    for percent in (2, 5, 10):
        share = percent / 100
        anywhere = (random.random(), random.random())
        crops[f"crop {percent} % centred"] = partial(
            cropped, across=share, down=share, place=(0.5, 0.5)
        )
        crops[f"crop {percent} % corner"] = partial(cropped, across=share, down=share, place=(0, 0))
        crops[f"crop {percent} % one side"] = partial(cropped, across=share, down=0, place=(1, 0))
        crops[f"crop {percent} % anywhere"] = partial(
            cropped, across=share, down=share, place=anywhere
        )
    return {
        "as it is": as_it_is,
        "JPEG q50": partial(encoded, file_format="JPEG", quality=50),
        "JPEG q30": partial(encoded, file_format="JPEG", quality=30),
        "WebP q30": partial(encoded, file_format="WEBP", quality=30),
        "resize 320": partial(resized, longest=320),
        "resize 160": partial(resized, longest=160),
        "resize 96": partial(resized, longest=96),
        "resize 64": partial(resized, longest=64),
        "resize 48": partial(resized, longest=48),
        "resize 160, turned over": lambda image: mirrored(resized(image, 160)),
        "brightness 1.2": partial(brightened, factor=1.2),
        "contrast 1.3": partial(contrasted, factor=1.3),
        "grayscale": gray,
        "rotate 90": quarter_turned,
        "mirror": mirrored,
        "white border 2 %": partial(bordered, share=0.02, colour="white"),
        "black border 5 %": partial(bordered, share=0.05, colour="black"),
        "letterbox 16:9": partial(letterboxed, across=16, down=9),
        "letterbox square": partial(letterboxed, across=1, down=1),
        "letterbox 9:16": partial(letterboxed, across=9, down=16),
        **crops,
        "rotation 2": partial(rotated, degrees=2),
        "rotation 5": partial(rotated, degrees=5),
        "rotation 2, no corners": partial(straightened, degrees=2),
        "rotation 5, no corners": partial(straightened, degrees=5),
        "text overlay": text_overlay,
        "caption below 15 %": partial(caption_below, share=0.15),
        "caption over 12 %": partial(caption_over, share=0.12),
        "circle mask": circle_mask,
    }
