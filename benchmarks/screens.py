"""Draw screens of made-up apps, and count how many match: `python benchmarks/screens.py`.

Chats without a picture, profile pages, lists and articles: seeded and without a font file, so that
every computer draws the same. Each app has a layout, a light or a dark theme and a script; two
screens of one app differ in what people wrote, and say nothing about each other. Printed is what
part of all pairs of two screens of one app match, and what part match without being marked, which
is to be at most 1 %.
"""

from __future__ import annotations

import argparse
import io
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if __package__ in {None, ""}:  # run as a file, not with -m: the folder above is not on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np
from PIL import Image, ImageDraw

import hashmatch as hm
from hashmatch.records.enums import LEVELS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from hashmatch.records.enums import Level

Color = tuple[int, int, int]
SCRIPTS = ("latin", "cyrillic", "arabic", "devanagari", "han")
WIDTH, HEIGHT = 540, 1170
LETTERS = 28


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of an app."""

    page: Color
    bar: Color
    mine: Color
    theirs: Color
    ink: Color
    faint: Color
    accent: Color


LIGHT = (
    Theme((236, 229, 221), (7, 94, 84), (220, 248, 198), (255, 255, 255), (20, 20, 20),
          (130, 130, 130), (37, 211, 102)),
    Theme((255, 255, 255), (247, 247, 247), (10, 124, 255), (232, 232, 235), (5, 5, 5),
          (142, 142, 147), (10, 124, 255)),
    Theme((255, 255, 255), (255, 255, 255), (237, 231, 246), (243, 243, 243), (33, 33, 33),
          (117, 117, 117), (103, 58, 183)),
)  # fmt: skip
DARK = (
    Theme((11, 20, 26), (32, 44, 51), (0, 92, 75), (32, 44, 51), (233, 237, 239), (134, 150, 160),
          (0, 168, 132)),
    Theme((0, 0, 0), (18, 18, 18), (55, 151, 240), (38, 38, 38), (250, 250, 250), (142, 142, 142),
          (55, 151, 240)),
    Theme((23, 33, 43), (36, 47, 61), (43, 82, 120), (24, 37, 51), (255, 255, 255),
          (109, 127, 142), (80, 162, 233)),
)  # fmt: skip


@lru_cache(maxsize=512)
def _letter(script: str, number: int, size: int) -> Image.Image:
    """Return one made-up letter as a mask, `size` pixels high, drawn with strokes."""
    rng = np.random.default_rng([SCRIPTS.index(script), number])
    scale = 4
    side = size * scale
    wide = {"han": 1.0, "arabic": 0.5, "devanagari": 0.62}.get(script, 0.4 + 0.25 * rng.random())
    mask = Image.new("L", (max(1, int(side * wide)), side), 0)
    pen = ImageDraw.Draw(mask)
    thick = max(scale, side // 11)
    top, base = 0.3, 0.8
    if script == "han":
        top, base = 0.08, 0.95
        strokes = 7
    elif script in {"latin", "cyrillic"}:
        top = 0.1 if rng.random() < 0.35 else 0.3
        base = 0.98 if rng.random() < 0.15 else 0.8
        strokes = 3
    else:
        strokes = 3
        line = 0.3 if script == "devanagari" else 0.75
        pen.line((0, line * side, mask.width, line * side), fill=255, width=thick)
    for _ in range(strokes):
        x = rng.uniform(0.12, 0.88, 2) * mask.width
        y = rng.uniform(top, base, 2) * side
        kind = rng.integers(3)
        if kind == 0:
            pen.line((x[0], top * side, x[0], base * side), fill=255, width=thick)
        elif kind == 1:
            pen.line((min(x), y[0], max(x), y[0]), fill=255, width=thick)
        else:
            box = (min(x), min(y), max(*x, min(x) + thick), max(*y, min(y) + thick))
            pen.arc(box, 0, int(rng.integers(180, 361)), fill=255, width=thick)
    return mask.resize((max(1, mask.width // scale), size), Image.Resampling.BOX)


class Screen:
    """One screen that is being drawn."""

    def __init__(self, seed: int, theme: Theme, script: str, height: int = HEIGHT) -> None:
        self.rng = np.random.default_rng(seed)
        self.theme, self.script = theme, script
        self.image = Image.new("RGB", (WIDTH, height), theme.page)
        self.pen = ImageDraw.Draw(self.image)

    def word(self, x: float, y: float, size: int, ink: Color) -> float:
        """Write a word at (`x`, `y`), and return where it ends."""
        for _ in range(int(self.rng.integers(1, 5 if self.script == "han" else 9))):
            mask = _letter(self.script, int(self.rng.integers(LETTERS)), size)
            self.image.paste(ink, (round(x), round(y)), mask)
            x += mask.width + (0 if self.script in {"arabic", "devanagari"} else size * 0.06)
        return x

    def text(self, x: float, y: float, wide: float, size: int, ink: Color, words: int) -> float:
        """Write words in lines that are at most `wide`, and return where the next line begins."""
        at = x
        for _ in range(words):
            if at > x + wide - 2.5 * size:
                at, y = x, y + 1.35 * size
            at = self.word(at, y, size, ink) + 0.35 * size
        return y + 1.35 * size

    def lines(self, words: int, wide: float, size: int) -> int:
        """Return about how many lines so many words take."""
        per_word = {"han": 2.6, "latin": 2.9, "cyrillic": 2.9}.get(self.script, 2.8) * size
        return max(1, round(words * per_word / (wide - size)))

    def status(self) -> None:
        """Draw the line of the telephone's clock and battery."""
        self.pen.rectangle((0, 0, WIDTH, 40), fill=self.theme.bar)
        self.word(24, 12, 18, self.ink_on(self.theme.bar))
        self.pen.rounded_rectangle((480, 13, 512, 28), 4, outline=self.ink_on(self.theme.bar))

    def header(self, tall: int, *, round_picture: bool) -> None:
        """Draw the bar with a name, 40 pixels from the top."""
        bar = self.theme.bar
        self.pen.rectangle((0, 40, WIDTH, 40 + tall), fill=bar)
        ink = self.ink_on(bar)
        self.pen.line((30, 40 + tall // 2, 18, 40 + tall // 2 + 10), fill=ink, width=3)
        self.pen.line((30, 40 + tall // 2, 18, 40 + tall // 2 - 10), fill=ink, width=3)
        x = 48
        if round_picture:
            side = tall - 20
            self.photograph(x, 50, side, side, round_=True)
            x += side + 14
        self.text(x, 40 + tall * 0.22, 280, 24, ink, 2)
        self.text(x, 40 + tall * 0.62, 280, 15, self.theme.faint, 2)

    def footer(self, tall: int) -> None:
        """Draw the bar to write in."""
        top = self.image.height - tall
        self.pen.rectangle((0, top, WIDTH, self.image.height), fill=self.theme.bar)
        field = self.theme.theirs if self.theme.theirs != self.theme.bar else self.theme.page
        self.pen.rounded_rectangle((60, top + 12, WIDTH - 80, top + tall - 12), 20, fill=field)
        self.pen.ellipse((WIDTH - 66, top + 10, WIDTH - 16, top + tall - 12),
                         fill=self.theme.accent)  # fmt: skip

    def ink_on(self, ground: Color) -> Color:
        """Return the ink that can be read on a colour."""
        return (20, 20, 20) if sum(ground) > 380 else (245, 245, 245)

    def photograph(self, x: float, y: float, w: int, h: int, *, round_: bool = False) -> None:
        """Paste a made-up photograph: smooth shapes, texture and grain."""
        side = 64
        spectrum = np.fft.fft2(self.rng.normal(size=(side, side, 3)), axes=(0, 1))
        f = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
        f[0, 0] = 1
        field = np.fft.ifft2(spectrum / f[..., None] ** 1.4, axes=(0, 1)).real
        field -= field.mean((0, 1))
        field = 128 + 55 * field / field.std() + self.rng.uniform(-40, 40, 3)
        picture = Image.fromarray(field.clip(0, 255).astype(np.uint8)).resize((w, h))
        mask = Image.new("L", (w, h), 0 if round_ else 255)
        if round_:
            ImageDraw.Draw(mask).ellipse((0, 0, w - 1, h - 1), fill=255)
        self.image.paste(picture, (round(x), round(y)), mask)


@dataclass(frozen=True, slots=True)
class App:
    """A made-up app: what its screens have in common."""

    seed: int
    theme: Theme
    script: str

    def _screen(self, number: int) -> tuple[Screen, np.random.Generator]:
        screen = Screen(1000 * self.seed + number, self.theme, self.script)
        return screen, np.random.default_rng(self.seed)

    def chat(self, number: int) -> Image.Image:
        """Draw a chat without a picture in it, whose turns are as long as in others of the app."""
        screen, layout = self._screen(number)
        return self._chat(screen, layout, np.random.default_rng(self.seed + 77))

    def conversation(self, number: int) -> Image.Image:
        """Draw a chat without a picture in it, whose turns are as long as they happen to be."""
        screen, layout = self._screen(number)
        return self._chat(screen, layout, screen.rng)

    def _chat(
        self, screen: Screen, layout: np.random.Generator, turns: np.random.Generator
    ) -> Image.Image:
        tall = int(layout.integers(76, 110))
        radius, size = int(layout.choice([6, 14, 22])), int(layout.integers(22, 28))
        patterned = layout.random() < 0.3
        foot = int(layout.integers(66, 96))
        pictured = bool(layout.random() < 0.6)
        if patterned:
            grain = tuple(int(c * 0.95 if sum(self.theme.page) > 380 else c + 8)
                          for c in self.theme.page)  # fmt: skip
            for _ in range(160):
                x, y = layout.uniform(0, WIDTH), layout.uniform(0, HEIGHT)
                screen.pen.arc((x, y, x + 26, y + 26), 0, 300, fill=grain, width=2)
        y = 40 + tall + 14.0
        mine = bool(turns.integers(2))
        while True:
            words = int(turns.geometric(0.12)) + 1
            wide = min(0.74 * WIDTH, words * 2.9 * size + 30)
            high = screen.lines(words, wide - 30, size) * 1.35 * size + 26
            if y + high > HEIGHT - foot - 8:
                break
            left = WIDTH - wide - 16 if mine else 16
            ground = self.theme.mine if mine else self.theme.theirs
            screen.pen.rounded_rectangle((left, y, left + wide, y + high), radius, fill=ground)
            screen.text(left + 15, y + 12, wide - 24, size, screen.ink_on(ground), words)
            y += high + (8 if turns.random() < 0.5 else 20)
            if turns.random() < 0.6:
                mine = not mine
        screen.status()
        screen.header(tall, round_picture=pictured)
        screen.footer(foot)
        return screen.image

    def profile(self, number: int) -> Image.Image:
        """Draw the profile of somebody: a small picture, a name, some lines, and buttons."""
        screen, layout = self._screen(number)
        theme = self.theme
        screen.status()
        tall = int(layout.integers(64, 90))
        screen.header(tall, round_picture=False)
        top = 40 + tall
        cover = bool(layout.random() < 0.4)
        if cover:
            screen.pen.rectangle((0, top, WIDTH, top + 150), fill=theme.accent)
            top += 80
        side = int(0.26 * WIDTH)
        left = (WIDTH - side) // 2 if layout.random() < 0.5 else 28
        screen.photograph(left, top + 20, side, side, round_=bool(layout.random() < 0.7))
        y = top + 40.0 + side
        y = screen.text(28, y, WIDTH - 56, 30, screen.ink_on(theme.page), 2)
        y = screen.text(28, y, WIDTH - 56, 20, theme.faint, int(screen.rng.integers(6, 24)))
        for column in range(2):
            x = 28 + column * (WIDTH // 2 - 20)
            screen.pen.rounded_rectangle(
                (x, y + 10, x + WIDTH // 2 - 44, y + 62),
                10,
                fill=theme.accent if column == 0 else theme.theirs,
            )
            screen.text(x + 50, y + 24, 150, 22, screen.ink_on(theme.accent), 1)
        y += 84
        while y < HEIGHT - 150:
            screen.pen.line((28, y, WIDTH - 28, y), fill=theme.theirs, width=2)
            screen.text(80, y + 14, WIDTH - 130, 22, screen.ink_on(theme.page), 2)
            screen.pen.ellipse((30, y + 16, 62, y + 48), outline=theme.faint, width=3)
            y += 74
        screen.footer(72)
        return screen.image

    def settings(self, number: int) -> Image.Image:
        """Draw a list of chats or settings, without pictures."""
        screen, layout = self._screen(number)
        theme = self.theme
        tall, row = int(layout.integers(64, 100)), int(layout.integers(72, 110))
        y = 40.0 + tall
        while y < HEIGHT - 70:
            color = tuple(int(c) for c in screen.rng.integers(60, 220, 3))
            screen.pen.ellipse((20, y + 12, 20 + row - 24, y + row - 12), fill=color)
            screen.text(30 + row, y + 0.18 * row, 250, 24, screen.ink_on(theme.page), 2)
            screen.text(30 + row, y + 0.55 * row, 340, 19, theme.faint,
                        int(screen.rng.integers(2, 6)))  # fmt: skip
            y += row
        screen.status()
        screen.header(tall, round_picture=False)
        screen.footer(70)
        return screen.image

    def article(self, number: int) -> Image.Image:
        """Draw a page of text with a heading under an app's bar."""
        screen, layout = self._screen(number)
        tall, size = int(layout.integers(64, 90)), int(layout.integers(20, 26))
        y = screen.text(30, 70 + tall, WIDTH - 60, 36, screen.ink_on(self.theme.page),
                        int(screen.rng.integers(3, 8)))  # fmt: skip
        while y < HEIGHT - 120:
            y += 18
            y = screen.text(30, y, WIDTH - 60, size, screen.ink_on(self.theme.page),
                            int(screen.rng.integers(15, 60)))  # fmt: skip
        screen.status()
        screen.header(tall, round_picture=False)
        return screen.image


KINDS: dict[str, Callable[[App, int], Image.Image]] = {
    "chat": App.chat,
    "conversation": App.conversation,
    "profile": App.profile,
    "list": App.settings,
    "article": App.article,
}


def apps(count: int = 12) -> Iterator[App]:
    """Yield made-up apps: light and dark by turns, each in another script."""
    for seed in range(count):
        themes = DARK if seed % 2 else LIGHT
        yield App(seed, themes[seed // 2 % 3], SCRIPTS[seed % len(SCRIPTS)])


WAYS: dict[str, Callable[[Image.Image], Image.Image]] = {
    "JPEG 50": lambda image: _saved(image, "JPEG", 50),
    "JPEG 85": lambda image: _saved(image, "JPEG", 85),
    "JPEG 95": lambda image: _saved(image, "JPEG", 95),
    "WebP 60": lambda image: _saved(image, "WEBP", 60),
    "half, JPEG 85": lambda image: _saved(
        image.resize((image.width // 2, image.height // 2), Image.Resampling.LANCZOS), "JPEG", 85
    ),
}
"""How a screen is saved before it is looked up; what is on the list is as it was drawn."""


def _saved(image: Image.Image, kind: str, quality: int) -> Image.Image:
    file = io.BytesIO()
    image.save(file, kind, quality=quality)
    with Image.open(file) as opened:
        return opened.convert("RGB")


def matching_pairs(
    app: App, kind: str, screens: int, level: Level, way: str
) -> tuple[int, int, int]:
    """Return how many pairs of different screens there are, match, and match without a mark."""
    drawn = [KINDS[kind](app, number) for number in range(screens)]
    hashes = [hm.hash_image(np.array(image), min_quality=0).hashes for image in drawn]
    entries = tuple(hm.Entry(str(number)) for number in range(screens))
    batch = hm.HashBatch.concatenate(hashes)
    matcher = hm.Matcher(hm.HashList("screens", "1", batch.spec, batch, entries), variants=level)
    matched = unmarked = 0
    for number, image in enumerate(drawn):
        pixels = np.array(WAYS[way](image))
        result = matcher.check(pixels, surface="public_post", item_id=str(number))
        matches = result.matches if isinstance(result, hm.ReviewRecord) else ()
        others = [match for match in matches if match.entry != str(number)]
        matched += len(others)
        unmarked += sum(match.mostly_chrome is not True for match in others)
    return screens * (screens - 1), matched, unmarked


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line for each kind of screen, level and way to save it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--apps", type=int, default=12)
    parser.add_argument("--screens", type=int, default=12, help="of each kind and app")
    parser.add_argument("--levels", nargs="+", choices=LEVELS, default=["none"])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    options = parser.parse_args(arguments)
    for kind in KINDS:
        for level in options.levels:
            for way in options.ways:
                made = [
                    matching_pairs(app, kind, options.screens, level, way)
                    for app in apps(options.apps)
                ]
                pairs, matched, unmarked = (sum(column) for column in zip(*made, strict=True))
                told = f"{kind}, {level}, {way}: {pairs:,} pairs, {matched / pairs:.1%} match"
                print(f"{told}, {unmarked / pairs:.2%} unmarked", flush=True)


if __name__ == "__main__":
    main()
