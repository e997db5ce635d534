"""Every row of the benchmark: what is done to a picture before it is looked for.

A row takes a photograph whose longer side is 640 or less and a `Scene`, and returns what people
would meet. All chance is in the scene, which is seeded by the row and the picture.
"""

from __future__ import annotations

import io
from functools import partial
from math import cos, pi, radians, sin
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageOps

from benchmarks import transformations as tr
from benchmarks.robustness import screens
from benchmarks.robustness.drawing import (
    Scene,
    captioned,
    centre,
    covering,
    disc,
    font,
    smiley,
    star,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Pure = Callable[[Image.Image], Image.Image]
    Change = Callable[[Image.Image, Scene], Image.Image]

SIDE = 640
"""Longer side of what is transformed, as platforms keep it; a list is of full resolution."""


class Row(NamedTuple):
    """A row of the table.

    ``shape`` is what the original is cut to about its centre before it is put on the list and
    before it is transformed; None leaves it as it is. ``file`` is what the result is saved as.
    """

    name: str
    family: str
    change: Change
    shape: tuple[int, int] | None = None
    file: str = "JPEG"

    def original(self, image: Image.Image) -> Image.Image:
        """Return what stands on the list."""
        if self.shape is None:
            return image
        across, down = self.shape if image.width >= image.height else self.shape[::-1]
        return centre(image, across, down)

    def saved(self, image: Image.Image, scene: Scene) -> bytes:
        """Transform a picture, whose longer side is at most `SIDE`, and return the file."""
        buffer = io.BytesIO()
        changed = self.change(image, scene)
        if self.file == "JPEG":
            changed.convert("RGB").save(buffer, "JPEG", quality=85)
        else:
            changed.save(buffer, self.file)
        return buffer.getvalue()


def scene_for(row: str, number: int, seed: int, other: Callable[[Random], Image.Image]) -> Scene:
    """Return the scene of a row and the n-th picture."""
    random = Random(f"{seed} {number} {row}")
    return Scene(random, lambda: other(random))


def pure(change: Pure) -> Change:
    """Return a change that leaves nothing to chance."""
    return lambda image, _: change(image)


def in_turn(*changes: Change) -> Change:
    """Return several changes, one after the other."""

    def change(image: Image.Image, scene: Scene) -> Image.Image:
        for each in changes:
            image = each(image, scene)
        return image

    return change


# Saved again ------------------------------------------------------------------------------------


def _messenger(image: Image.Image) -> Image.Image:
    """Save five times, each smaller: forwarded from chat to chat."""
    for longest, quality in ((600, 80), (520, 70), (480, 75), (400, 60), (320, 70)):
        image = tr.encoded(tr.resized(image, min(longest, max(image.size))), "JPEG", quality)
    return image


def _gif(image: Image.Image, dither: Image.Dither) -> Image.Image:
    return image.quantize(256, dither=dither).convert("RGB")


def _two_colours(image: Image.Image) -> Image.Image:
    return image.convert("1", dither=Image.Dither.FLOYDSTEINBERG).convert("RGB")


# Cut, turned, stretched -------------------------------------------------------------------------


def _cropped(image: Image.Image, scene: Scene, share: float) -> Image.Image:
    place = (scene.random.random(), scene.random.random())
    return tr.cropped(image, share, share, place)


def _to_shape(image: Image.Image, across: int, down: int, place: float = 0.5) -> Image.Image:
    """Cut to a shape, upright pictures to the upright one."""
    if image.height > image.width:
        across, down = down, across
    return centre(image, across, down, place)


def _stretched(image: Image.Image, share: float) -> Image.Image:
    return image.resize((round(image.width * (1 + share)), image.height), Image.Resampling.BICUBIC)


# Colours ----------------------------------------------------------------------------------------


def _pixels(image: Image.Image) -> NDArray[np.float64]:
    return np.asarray(image, np.float64)


def _image(pixels: NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(np.clip(pixels + 0.5, 0, 255).astype(np.uint8))


def _sepia(image: Image.Image) -> Image.Image:
    gray = np.asarray(image.convert("L"), np.float64)[..., None] / 255
    return _image(gray * (255, 215, 165) + (1 - gray) * (30, 15, 0))


def _warm(image: Image.Image) -> Image.Image:
    return _image(_pixels(image) * (1.15, 1.02, 0.78))


def _vignette(image: Image.Image) -> Image.Image:
    y, x = np.mgrid[-1 : 1 : image.height * 1j, -1 : 1 : image.width * 1j]
    return _image(_pixels(image) * (1 - 0.45 * (x**2 + y**2))[..., None])


def _black_and_white(image: Image.Image) -> Image.Image:
    return ImageEnhance.Contrast(image.convert("L").convert("RGB")).enhance(2.2)


def _gamma(image: Image.Image, exponent: float) -> Image.Image:
    return _image(255 * (_pixels(image) / 255) ** exponent)


def _noise(image: Image.Image, scene: Scene, sigma: float) -> Image.Image:
    generator = np.random.default_rng(scene.random.randrange(2**32))
    pixels = _pixels(image)
    return _image(pixels + generator.normal(0, sigma, pixels.shape))


def _blurred(image: Image.Image, radius: float) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(radius))


def _sharpened(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.UnsharpMask(2, 150, 2))


# Laid over --------------------------------------------------------------------------------------


def _sticker(image: Image.Image, scene: Scene, share: float) -> Image.Image:
    """Cover a share of the picture with a face or a star, anywhere inside."""
    area = share * image.width * image.height
    is_face = scene.random.random() < 0.5
    # A disc of its square covers pi / 4, the star about 0.44.
    side = round((area / (pi / 4 if is_face else 0.44)) ** 0.5)
    side = min(side, *image.size)
    drawn = smiley(side) if is_face else star(side, scene.colour())
    canvas = image.copy()
    left = scene.random.randint(0, image.width - side)
    top = scene.random.randint(0, image.height - side)
    canvas.paste(drawn, (left, top), drawn)
    return canvas


def _mosaic(image: Image.Image, scene: Scene, share: float) -> Image.Image:
    """Pixelate a bar across the picture, anywhere."""
    high = round(image.height * share)
    top = scene.random.randint(0, image.height - high)
    bar = image.crop((0, top, image.width, top + high))
    small = bar.resize((max(1, bar.width // 20), max(1, high // 20)), Image.Resampling.BOX)
    canvas = image.copy()
    canvas.paste(small.resize(bar.size, Image.Resampling.NEAREST), (0, top))
    return canvas


def _watermark(image: Image.Image, scene: Scene) -> Image.Image:
    """Write the same words all over, at a slant, so that the picture shines through."""
    width, height = image.size
    words = scene.text("latin", 2, 3)
    face = font(max(14, height // 14))
    side = 2 * max(width, height)
    layer = Image.new("L", (side, side))
    draw = ImageDraw.Draw(layer)
    step = round(face.getlength(words)) + height // 7
    for row, y in enumerate(range(0, side, height // 4)):
        for x in range(-(row % 2) * step // 2, side, step):
            draw.text((x, y), words, 90, face)
    layer = layer.rotate(30, Image.Resampling.BILINEAR)
    left, top = (side - width) // 2, (side - height) // 2
    layer = layer.crop((left, top, left + width, top + height))
    return Image.composite(Image.new("RGB", image.size, "white"), image, layer)


def _meme_over(image: Image.Image, scene: Scene) -> Image.Image:
    """Write large white capitals with a black edge at the top and at the bottom."""
    canvas = image.copy()
    width, height = image.size
    script = scene.script()
    for top, bottom in ((0.01, 0.18), (0.82, 0.99)):
        words = scene.text(script, 3, 5).upper()
        captioned(canvas, words, script, (0, top * height, width, bottom * height), "white", True)
    return canvas


def _meme_bars(image: Image.Image, scene: Scene) -> Image.Image:
    """Write a line or two into a bar above and into one below."""
    width, height = image.size
    dark = scene.random.random() < 0.3
    above = round(height * scene.random.uniform(0.12, 0.22))
    below = round(height * scene.random.uniform(0.12, 0.22))
    canvas = Image.new("RGB", (width, height + above + below), "black" if dark else "white")
    canvas.paste(image, (0, above))
    script, ink = scene.script(), "white" if dark else "black"
    captioned(canvas, scene.text(script, 3, 6), script, (0, 0, width, above), ink)
    box = (0, above + height, width, above + height + below)
    captioned(canvas, scene.text(script, 3, 6), script, box, ink)
    return canvas


# Pictures in pictures ---------------------------------------------------------------------------


def _avatar(image: Image.Image, scene: Scene, ground: str, margin: bool = False) -> Image.Image:
    """Show the middle as a disc, on a ground, or as PNG with none."""
    side = min(image.size)
    drawn = disc(image, side)
    if ground == "none":
        return drawn
    left = top = right = bottom = 0
    if margin:
        left, top, right, bottom = (round(side * scene.random.uniform(0.1, 0.5)) for _ in range(4))
    canvas = Image.new("RGB", (left + side + right, top + side + bottom), ground)
    canvas.paste(drawn, (left, top), drawn)
    return canvas


def _grid(image: Image.Image, scene: Scene, across: int, down: int, gap: int) -> Image.Image:
    """Lay pictures of one size beside each other, the picture among them in any cell."""
    width, height = image.size
    cells = [covering(scene.other(), width, height) for _ in range(across * down - 1)]
    cells.insert(scene.random.randrange(across * down), image)
    ground = scene.random.choice(("white", "black")) if gap else "white"
    size = (across * width + (across - 1) * gap, down * height + (down - 1) * gap)
    canvas = Image.new("RGB", size, ground)
    for number, cell in enumerate(cells):
        place = (number % across * (width + gap), number // across * (height + gap))
        canvas.paste(cell, place)
    return canvas


def _beside(pictures: list[Image.Image], gap: int, ground: str) -> Image.Image:
    """Lay whole pictures in a row, each as high as the others."""
    height = min(picture.height for picture in pictures)
    scaled = [
        picture.resize((round(picture.width * height / picture.height), height),
                       Image.Resampling.LANCZOS)
        for picture in pictures
    ]  # fmt: skip
    canvas = Image.new("RGB", (sum(one.width + gap for one in scaled) - gap, height), ground)
    left = 0
    for picture in scaled:
        canvas.paste(picture, (left, 0))
        left += picture.width + gap
    return canvas


def _over(rows: list[Image.Image], gap: int, ground: str) -> Image.Image:
    """Lay rows below each other, each as wide as the others."""
    turned = [row.transpose(Image.Transpose.TRANSPOSE) for row in rows]
    return _beside(turned, gap, ground).transpose(Image.Transpose.TRANSPOSE)


def _collage(image: Image.Image, scene: Scene, rows: tuple[int, ...]) -> Image.Image:
    """Lay whole pictures of all shapes in rows, so that the seams are anywhere."""
    gap = scene.random.choice((0, 0, 6, 12, 20))
    ground = scene.random.choice(("white", "black"))
    pictures = []
    for _ in range(sum(rows) - 1):
        shape = scene.random.choice(((1, 1), (4, 3), (3, 4), (3, 2), (2, 3), (5, 4)))
        pictures.append(centre(scene.other(), *shape))
    pictures.insert(scene.random.randrange(sum(rows)), image)
    laid = []
    for count in rows:
        laid.append(_beside(pictures[:count], gap, ground))
        pictures = pictures[count:]
    canvas = laid[0] if len(laid) == 1 else _over(laid, gap, ground)
    canvas.thumbnail((1600, 1600), Image.Resampling.LANCZOS)
    return canvas


def _cells_cut(image: Image.Image, scene: Scene) -> Image.Image:
    """Lay four pictures in squares, each cut to fill its own."""
    side = min(image.size)
    return _grid(centre(image, 1, 1).resize((side, side)), scene, 2, 2, 8)


def _texture(size: tuple[int, int], scene: Scene) -> NDArray[np.float64]:
    """Return a table top: grain along one direction in a warm or a gray colour."""
    width, height = size
    generator = np.random.default_rng(scene.random.randrange(2**32))
    grain = np.asarray(
        Image.fromarray(generator.normal(0, 1, (max(2, height // 6), 12)).astype(np.float32))
        .resize((width, height), Image.Resampling.BICUBIC)
    )  # fmt: skip
    fine = generator.normal(0, 1, (height, width))
    base = np.array(scene.random.choice(((150, 105, 65), (95, 70, 50), (190, 185, 178))))
    light = np.linspace(0.75, 1.1, width)[None, :] * np.linspace(1.05, 0.85, height)[:, None]
    lit: NDArray[np.float64] = (base + (18 * grain + 5 * fine)[..., None]) * light[..., None]
    return lit


def _quad(
    size: tuple[int, int], degrees: float, scene: Scene, frame: tuple[int, int], share: float
) -> NDArray[np.float64]:
    """Return where a screen's corners are seen by a camera that is `degrees` off its axis.

    The picture is turned about an axis in its own plane by `degrees`, and in the plane by a third
    of that; it takes about `share` of the frame.
    """
    width, height = size
    axis, tilt = scene.random.uniform(0, 2 * pi), radians(degrees)
    roll = radians(degrees / 3) * scene.random.choice((-1, 1))
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * (width / 2, height / 2)
    along = corners @ (cos(axis), sin(axis))
    across = corners @ (-sin(axis), cos(axis))
    distance = 1.4 * max(width, height)
    depth = distance / (distance + along * sin(tilt))
    seen: NDArray[np.float64] = np.outer(along * cos(tilt) * depth, (cos(axis), sin(axis)))
    seen += np.outer(across * depth, (-sin(axis), cos(axis)))
    seen = seen @ np.array([(cos(roll), sin(roll)), (-sin(roll), cos(roll))])
    extent = np.ptp(seen, axis=0)
    seen *= share * min(frame[0] / extent[0], frame[1] / extent[1])
    return seen + np.array(frame) / 2


def _homography(quad: NDArray[np.float64], size: tuple[int, int]) -> tuple[float, ...]:
    """Return the eight numbers with which Pillow takes each corner of `quad` from a corner."""
    width, height = size
    source = ((0, 0), (width, 0), (width, height), (0, height))
    lines, right = [], []
    for (x, y), (u, v) in zip(quad, source, strict=True):
        lines += [(x, y, 1, 0, 0, 0, -u * x, -u * y), (0, 0, 0, x, y, 1, -v * x, -v * y)]
        right += [u, v]
    return tuple(np.linalg.solve(np.array(lines), np.array(right)))


def _camera(image: Image.Image, scene: Scene) -> Image.Image:
    """Add what a camera sees of a screen: faint stripes, a little blur, noise, uneven light."""
    pixels = _pixels(image.filter(ImageFilter.GaussianBlur(0.7)))
    y, x = np.mgrid[: image.height, : image.width]
    stripes = 3 * np.sin((x + 0.2 * y) * 2 * pi / 7.3) + 2 * np.sin((y - 0.1 * x) * 2 * pi / 5.1)
    light = 1 + 0.12 * (x / image.width - 0.5) - 0.08 * (y / image.height - 0.5)
    generator = np.random.default_rng(scene.random.randrange(2**32))
    noise = generator.normal(0, 4, pixels.shape)
    return _image((pixels + stripes[..., None]) * light[..., None] + noise)


def _photographed(image: Image.Image, scene: Scene, degrees: float, desk: bool) -> Image.Image:
    """Photograph a screen from `degrees` off: it fills the frame, or lies on a desk."""
    if desk:
        frame = (960, 720) if image.width >= image.height else (720, 960)
        edge = 14
        shown = ImageOps.expand(image, edge, scene.random.choice(("#101012", "#1c1c20")))
        share = scene.random.uniform(0.6, 0.85)
        ground = Image.fromarray(np.clip(_texture(frame, scene), 0, 255).astype(np.uint8))
    else:
        frame, shown, share = image.size, image, 1.0
        ground = Image.new("RGB", frame, "#101012")
    quad = _quad(shown.size, degrees, scene, frame, share)
    if not desk:
        # As people hold it: about as much of the dark edge is seen as of the picture is lost.
        quad = (quad - np.array(frame) / 2) * (1 + 0.006 * degrees) + np.array(frame) / 2
    else:
        room = np.array(frame) - np.ptp(quad, axis=0)
        quad += room / 2 * [scene.random.uniform(-0.6, 0.6) for _ in range(2)]
    numbers = _homography(quad, shown.size)
    seen = shown.transform(frame, Image.Transform.PERSPECTIVE, numbers, Image.Resampling.BICUBIC)
    mask = Image.new("L", shown.size, 255).transform(
        frame, Image.Transform.PERSPECTIVE, numbers, Image.Resampling.BILINEAR
    )
    return _camera(Image.composite(seen, ground, mask), scene)


def _chat(
    image: Image.Image, scene: Scene, share: float, dark: bool, cut: bool = False,
    patterned: bool = False,
) -> Image.Image:  # fmt: skip
    screen, box = screens.chat(image, scene, share, dark, patterned)
    assert box is not None
    return screens.cut_by_hand(screen, box, scene) if cut else screen


# The table --------------------------------------------------------------------------------------


def rows() -> list[Row]:
    """Return every row, families together."""
    return [row for family in FAMILIES for row in family()]


def _saved_again() -> Iterator[Row]:
    changes: dict[str, Pure] = {
        "JPEG q85": tr.as_it_is,
        "JPEG q50": partial(tr.encoded, file_format="JPEG", quality=50),
        "JPEG q30": partial(tr.encoded, file_format="JPEG", quality=30),
        "JPEG q10": partial(tr.encoded, file_format="JPEG", quality=10),
        "WebP q30": partial(tr.encoded, file_format="WEBP", quality=30),
        "messenger chain to 320": _messenger,
        "GIF 256": partial(_gif, dither=Image.Dither.NONE),
        "GIF 256 dithered": partial(_gif, dither=Image.Dither.FLOYDSTEINBERG),
        "dithered to 2 colours": _two_colours,
    }
    for name, change in changes.items():
        yield Row(name, "saved again", pure(change))


def _small() -> Iterator[Row]:
    for longest in (320, 160, 96, 64, 48, 32):
        yield Row(f"small, {longest}", "small", pure(partial(tr.resized, longest=longest)))


def _screen_shots() -> Iterator[Row]:
    for dark, shade in ((False, "light"), (True, "dark")):
        for width, share in (("66 %", 0.66), ("92 %", 0.92)):
            name = f"chat screen, {width} wide, {shade}"
            yield Row(name, "screen shot", partial(_chat, share=share, dark=dark))
            name = f"{name}, cut by hand"
            yield Row(name, "screen shot", partial(_chat, share=share, dark=dark, cut=True))
        name = f"chat screen, 66 % wide, {shade}, patterned wall"
        yield Row(name, "screen shot", partial(_chat, share=0.66, dark=dark, patterned=True))
        yield Row(f"chat's viewer, {shade}", "screen shot", partial(screens.viewer, dark=dark))


def _avatars() -> Iterator[Row]:
    for before, shape in (("", (1, 1)), ("3:2, ", (3, 2))):
        for ground in ("white", "black"):
            change = partial(_avatar, ground=ground)
            yield Row(f"{before}round avatar, {ground}", "avatar", change, shape)
        change = partial(_avatar, ground="none")
        yield Row(f"{before}round avatar, transparent", "avatar", change, shape, "PNG")
    change = partial(_avatar, ground="white", margin=True)
    yield Row("round avatar in a margin", "avatar", change, (1, 1))


def _shapes() -> Iterator[Row]:
    for shape, across, down, place in (
        ((1, 1), 4, 5, 0.5), ((1, 1), 16, 9, 0.5),
        ((3, 2), 1, 1, 0.5), ((3, 2), 1, 1, 0.0), ((3, 2), 4, 5, 0.5), ((3, 2), 4, 3, 0.5),
        ((3, 2), 16, 9, 0.5),
    ):  # fmt: skip
        before = "square" if shape == (1, 1) else "3:2"
        name = f"{before} cut to {across}:{down}{'' if place else ', one side'}"
        change = pure(partial(_to_shape, across=across, down=down, place=place))
        if (across, down) == (4, 5):
            change = pure(partial(centre, across=4, down=5))
        yield Row(name, "cut to a shape", change, shape)


def _stories() -> Iterator[Row]:
    yield Row("story, blurred sides", "story", screens.story)
    yield Row("square, story, blurred sides", "story", screens.story, (1, 1))


def _screens_photographed() -> Iterator[Row]:
    for desk in (False, True):
        for degrees in (3, 5, 8):
            where = "on a desk" if desk else "filling the frame"
            change = partial(_photographed, degrees=degrees, desk=desk)
            yield Row(f"screen photographed, {degrees} deg, {where}", "screen photographed", change)


def _collages() -> Iterator[Row]:
    for gap in (0, 12):
        change = partial(_grid, across=2, down=1, gap=gap)
        yield Row(f"collage of 2, gap {gap}", "collage", change)
        change = partial(_grid, across=2, down=2, gap=gap)
        yield Row(f"collage of 4, gap {gap}", "collage", change)
    for shown in ((2,), (1, 1), (1, 2), (2, 2), (3, 2)):
        name = f"collage, seams anywhere, rows of {' and '.join(map(str, shown))}"
        yield Row(name, "collage", partial(_collage, rows=shown))
    yield Row("collage of 4, cells cut square", "collage", _cells_cut)


def _laid_over() -> Iterator[Row]:
    for percent in (5, 10, 20):
        change: Change = partial(_sticker, share=percent / 100)
        yield Row(f"sticker {percent} %", "laid over", change)
    yield Row("mosaic bar 10 %", "laid over", partial(_mosaic, share=0.1))
    yield Row("watermark", "laid over", _watermark)
    yield Row("meme text over", "laid over", _meme_over)
    yield Row("text overlay", "laid over", pure(tr.text_overlay))
    yield Row("caption over 12 %", "laid over", pure(partial(tr.caption_over, share=0.12)))


def _bars() -> Iterator[Row]:
    yield Row("meme text in bars", "bars", _meme_bars)
    for name, change in {
        "caption below 15 %": partial(tr.caption_below, share=0.15),
        "white border 2 %": partial(tr.bordered, share=0.02, colour="white"),
        "black border 5 %": partial(tr.bordered, share=0.05, colour="black"),
        "letterbox 16:9": partial(tr.letterboxed, across=16, down=9),
        "letterbox square": partial(tr.letterboxed, across=1, down=1),
        "letterbox 9:16": partial(tr.letterboxed, across=9, down=16),
    }.items():
        yield Row(name, "bars", pure(change))


def _filters() -> Iterator[Row]:
    changes: dict[str, Pure] = {
        "sepia": _sepia,
        "high contrast 1.8": partial(tr.contrasted, factor=1.8),
        "warm": _warm,
        "vignette": _vignette,
        "black and white, hard": _black_and_white,
        "gamma 0.6": partial(_gamma, exponent=0.6),
        "gamma 1.6": partial(_gamma, exponent=1.6),
        "brightness 1.2": partial(tr.brightened, factor=1.2),
        "contrast 1.3": partial(tr.contrasted, factor=1.3),
        "grayscale": tr.gray,
        "inverted": ImageOps.invert,
    }
    for name, change in changes.items():
        yield Row(name, "filter", pure(change))


def _noises() -> Iterator[Row]:
    for sigma in (10, 25):
        yield Row(f"noise {sigma}", "noise and blur", partial(_noise, sigma=sigma))
    for radius in (1, 2, 4):
        yield Row(f"blur {radius}", "noise and blur", pure(partial(_blurred, radius=radius)))
    yield Row("sharpened", "noise and blur", pure(_sharpened))


def _turns() -> Iterator[Row]:
    yield Row("mirrored", "turned", pure(tr.mirrored))
    yield Row("quarter turn", "turned", pure(tr.quarter_turned))
    for degrees in (1, 2, 3, 5, 10, 15):
        change = pure(partial(tr.rotated, degrees=degrees))
        yield Row(f"turned {degrees}, corners black", "turned", change)
        change = pure(partial(tr.straightened, degrees=degrees))
        yield Row(f"turned {degrees}, corners cut", "turned", change)


def _stretches() -> Iterator[Row]:
    for percent in (5, 10, 20):
        change = pure(partial(_stretched, share=percent / 100))
        yield Row(f"stretched {percent} %", "stretched", change)


def _crops() -> Iterator[Row]:
    for percent in (2, 5, 10):
        share = percent / 100
        for name, across, down, place in (
            ("centred", share, share, (0.5, 0.5)),
            ("corner", share, share, (0.0, 0.0)),
            ("one side", share, 0.0, (1.0, 0.0)),
        ):
            change = partial(tr.cropped, across=across, down=down, place=place)
            yield Row(f"crop {percent} % {name}", "crop", pure(change))
    for percent in (2, 5, 10, 15):
        change = partial(_cropped, share=percent / 100)
        yield Row(f"crop {percent} % anywhere", "crop", change)


def _combined() -> Iterator[Row]:
    crop: Change = partial(_cropped, share=0.05)
    turn = pure(partial(tr.rotated, degrees=3))
    border = pure(partial(tr.bordered, share=0.03, colour="white"))
    mirror, quarter = pure(tr.mirrored), pure(tr.quarter_turned)
    combined: dict[str, tuple[Change, Change]] = {
        "mirrored, crop 5 %": (mirror, crop),
        "quarter turn, crop 5 %": (quarter, crop),
        "mirrored, turned 3": (mirror, turn),
        "quarter turn, turned 3": (quarter, turn),
        "crop 5 %, border 3 %": (crop, border),
        "mirrored, border 3 %": (mirror, border),
        "mirrored, meme text in bars": (mirror, _meme_bars),
        "mirrored, inverted": (mirror, pure(ImageOps.invert)),
        "crop 5 %, text over": (crop, pure(tr.text_overlay)),
        "small, 160, mirrored": (pure(partial(tr.resized, longest=160)), mirror),
        "sticker 5 %, crop 5 %": (partial(_sticker, share=0.05), crop),
        "meme text in bars, chat screen": (
            _meme_bars, partial(_chat, share=0.66, dark=False),
        ),
    }  # fmt: skip
    for name, changes in combined.items():
        yield Row(name, "two at once", in_turn(*changes))


FAMILIES = (
    _saved_again, _small, _screen_shots, _avatars, _shapes, _stories, _screens_photographed,
    _collages, _laid_over, _bars, _filters, _noises, _turns, _stretches, _crops, _combined,
)  # fmt: skip
