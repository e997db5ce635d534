"""Text of several scripts, faces and icons: what screens, memes and pages are drawn of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import cos, pi, sin
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

WORDS = {
    "latin": (
        "hello where are you now see this picture from our garden yesterday it was so nice thanks "
        "tomorrow at seven then bring the bread please lovely weather again ok call me later"
    ),
    "cyrillic": (
        "привет где ты сейчас посмотри фото из сада вчера было очень красиво спасибо завтра в семь "
        "тогда возьми хлеб пожалуйста погода опять хорошая ладно позвони мне потом"
    ),
    "greek": (
        "γεια πού είσαι τώρα δες αυτή την εικόνα από τον κήπο χθες ήταν πολύ ωραία ευχαριστώ αύριο "
        "στις επτά φέρε το ψωμί παρακαλώ καλός καιρός πάλι εντάξει πάρε με αργότερα"
    ),
    "arabic": (
        "مرحبا أين أنت الآن انظر إلى هذه الصورة من حديقتنا أمس كان جميلا جدا شكرا غدا في السابعة "
        "أحضر الخبز من فضلك الطقس جميل مرة أخرى حسنا اتصل بي لاحقا"
    ),
    "hebrew": (
        "שלום איפה אתה עכשיו תראה את התמונה מהגינה אתמול היה כל כך יפה תודה מחר בשבע תביא לחם "
        "בבקשה מזג אוויר נעים שוב בסדר תתקשר אליי אחר כך"
    ),
    "chinese": (
        "你好 你现在 在哪里 看看 这张照片 我们的 花园 昨天 非常漂亮 谢谢 明天 七点 请带 面包 "
        "天气 又很好 好的 待会儿 打电话 给我"
    ),
}
FONTS = {"chinese": ("DroidSansFallbackFull.ttf", "NotoSansCJK-Regular.ttc")}
"""By script; others are in DejaVu Sans."""


@lru_cache(256)
def font(size: int, script: str = "latin") -> Font:
    """Return a font of `size` pixels that has the script; see `scripts`."""
    return _system_font(size, script) or ImageFont.load_default(size)


def _system_font(size: int, script: str) -> Font | None:
    for name in FONTS.get(script, ("DejaVuSans.ttf",)):
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return None


@lru_cache(1)
def scripts() -> tuple[str, ...]:
    """Return the scripts that this machine has a font for; Latin always is one.

    Debian has the fonts in fonts-dejavu-core and fonts-droid-fallback.
    """
    return tuple(name for name in WORDS if name == "latin" or _system_font(12, name))


def sentence(random: Random, script: str, words: int) -> str:
    """Return some words of a script."""
    known = WORDS[script].split()
    return " ".join(random.choice(known) for _ in range(words))


def wrapped(text: str, face: Font, width: float) -> list[str]:
    """Break a text into lines no wider than `width`; a single word may be."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and face.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


@dataclass(frozen=True)
class Scene:
    """What a row draws with: chance with a seed, and other photographs."""

    random: Random
    other: Callable[[], Image.Image]

    def script(self) -> str:
        return self.random.choice(scripts())

    def text(self, script: str, least: int, most: int) -> str:
        return sentence(self.random, script, self.random.randint(least, most))

    def colour(self) -> tuple[int, int, int]:
        return tuple(self.random.randrange(40, 220) for _ in range(3))  # type: ignore[return-value]


def fitted(text: str, script: str, size: int, width: float) -> Font:
    """Return the largest font up to `size` in which the text is no wider than `width`."""
    face = font(size, script)
    wide = face.getlength(text)
    return face if wide <= width else font(max(6, int(size * width / wide)), script)


def captioned(
    image: Image.Image, text: str, script: str, box: tuple[float, float, float, float], fill: str,
    outline: bool = False,
) -> None:  # fmt: skip
    """Write a text into the middle of a box (left, top, right, bottom) of `image`, in place.

    It takes one or two lines, as large as fits.
    """
    left, top, right, bottom = box
    words = text.split()
    half = (len(words) + 1) // 2
    lines = [text] if len(words) < 5 else [" ".join(words[:half]), " ".join(words[half:])]
    size = int((bottom - top) / len(lines) * 0.75)
    face = min(
        (fitted(line, script, size, 0.92 * (right - left)) for line in lines),
        key=lambda each: getattr(each, "size", size),
    )
    high = (bottom - top) / len(lines)
    draw = ImageDraw.Draw(image)
    edge = max(1, int(getattr(face, "size", size)) // 12) if outline else 0
    for number, line in enumerate(lines):
        place = ((left + right) / 2, top + (number + 0.5) * high)
        draw.text(place, line, fill, face, "mm", stroke_width=edge, stroke_fill="black")


def smiley(side: int, colour: tuple[int, int, int] = (255, 204, 50)) -> Image.Image:
    """Return a round face with a mask for its corners, RGBA: an emoji as a sticker."""
    drawn = Image.new("RGBA", (side * 2, side * 2))
    draw = ImageDraw.Draw(drawn)
    draw.ellipse((0, 0, 2 * side - 1, 2 * side - 1), (*colour, 255), (150, 100, 0, 255), side // 20)
    for x in (0.65, 1.35):
        draw.ellipse(
            ((x - 0.14) * side, 0.5 * side, (x + 0.14) * side, 0.9 * side), (60, 40, 10, 255)
        )
    draw.arc((0.45 * side, 0.5 * side, 1.55 * side, 1.6 * side), 20, 160, (60, 40, 10, 255),
             max(1, side // 9))  # fmt: skip
    return drawn.resize((side, side), Image.Resampling.LANCZOS)


def star(side: int, colour: tuple[int, int, int]) -> Image.Image:
    """Return a star of five points, RGBA."""
    drawn = Image.new("RGBA", (side * 2, side * 2))
    points = [
        (
            side * (1 + (1 if n % 2 == 0 else 0.45) * sin(n * pi / 5)),
            side * (1 - (1 if n % 2 == 0 else 0.45) * cos(n * pi / 5)),
        )
        for n in range(10)
    ]
    ImageDraw.Draw(drawn).polygon(points, (*colour, 255), (255, 255, 255, 255), side // 16)
    return drawn.resize((side, side), Image.Resampling.LANCZOS)


def disc(image: Image.Image, side: int) -> Image.Image:
    """Return the middle of a picture as a round avatar, RGBA, its edge smooth."""
    square = centre(image, 1, 1).resize((side, side), Image.Resampling.LANCZOS).convert("RGBA")
    mask = Image.new("L", (side * 4, side * 4))
    ImageDraw.Draw(mask).ellipse((0, 0, side * 4 - 1, side * 4 - 1), 255)
    square.putalpha(mask.resize((side, side), Image.Resampling.LANCZOS))
    # What nobody sees is not in the file either: who leaves the alpha away finds black there.
    cleared = Image.new("RGBA", square.size)
    cleared.paste(square, mask=square.getchannel("A").point(lambda value: 255 * (value > 0)))
    return cleared


def rounded(image: Image.Image, radius: int) -> Image.Image:
    """Return a picture with round corners, RGBA."""
    mask = Image.new("L", image.size)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, image.width, image.height), radius, 255)
    found = image.convert("RGBA")
    found.putalpha(mask)
    return found


def centre(image: Image.Image, across: int, down: int, place: float = 0.5) -> Image.Image:
    """Return the largest part of a picture that is `across` : `down` wide.

    `place` is where it lies, 0.5 in the middle.
    """
    width, height = image.size
    wide = min(width, round(height * across / down))
    tall = min(height, round(width * down / across))
    left, top = round((width - wide) * place), round((height - tall) * place)
    return image.crop((left, top, left + wide, top + tall))


def covering(image: Image.Image, width: int, height: int) -> Image.Image:
    """Return a picture cut at its centre and scaled to fill a cell."""
    return centre(image, width, height).resize((width, height), Image.Resampling.LANCZOS)
