"""Count what is marked as chrome and no screen: `python benchmarks/robustness/marked.py PHOTOS`.

A photograph that is marked is a mistake. Photographs are looked at as they are and as people change
them; besides, what is as plain as screens: drawn cartoons and comics, night skies, snow, fog, flags
and charts. ``--folder NAME=PATH`` adds pictures of a folder. Flags and charts are of plain colours
and straight lines, as pages are, and a match of them says as little; they are told apart here.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

if __package__ in {None, ""}:  # run as a file, not with -m: the folder above is not on the path
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from benchmarks import report
from benchmarks.photographs import in_folders
from benchmarks.robustness.drawing import Scene, captioned, smiley, star
from benchmarks.robustness.hard_negatives import SETS
from benchmarks.robustness.rows import SIDE, rows, scene_for
from hashmatch.hashing.chrome import MOSTLY, ChromeMeter

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Draw = Callable[[Scene], Image.Image]

CHANGES = (
    "JPEG q85", "JPEG q30", "small, 160", "crop 10 % corner", "crop 15 % anywhere",
    "turned 3, corners black", "quarter turn", "round avatar, white", "letterbox 9:16",
    "caption below 15 %", "meme text in bars", "meme text over", "white border 2 %",
    "collage of 4, gap 12", "collage, seams anywhere, rows of 3 and 2", "sticker 20 %",
    "high contrast 1.8", "black and white, hard", "GIF 256", "dithered to 2 colours",
)  # fmt: skip
"""Rows of the benchmark in which a photograph stays one."""


def night(scene: Scene) -> Image.Image:
    """Draw stars over a dark horizon, with houses that have lit windows."""
    image = Image.new("RGB", (640, 480), (4, 6, 16))
    pen = ImageDraw.Draw(image)
    for _ in range(scene.random.randrange(60, 300)):
        x, y, size = scene.random.randrange(640), scene.random.randrange(400), scene.random.random()
        pen.ellipse((x, y, x + 2 * size, y + 2 * size), tuple([int(120 + 130 * size)] * 3))
    if scene.random.random() < 0.6:
        x, y = scene.random.randrange(500), scene.random.randrange(200)
        pen.ellipse((x, y, x + 60, y + 60), (240, 236, 214))
    left = 0
    while left < 640 and scene.random.random() < 0.9:
        wide, top = scene.random.randrange(40, 120), scene.random.randrange(300, 440)
        pen.rectangle((left, top, left + wide, 480), (10, 10, 12))
        for y in range(top + 10, 470, 22):
            for x in range(left + 8, left + wide - 10, 18):
                if scene.random.random() < 0.3:
                    pen.rectangle((x, y, x + 8, y + 12), (250, 210, 120))
        left += wide
    return image


def snow(scene: Scene) -> Image.Image:
    """Draw a white field under a white sky, with dark trees and a fence."""
    image = Image.new("RGB", (640, 480), (250, 250, 252))
    pen = ImageDraw.Draw(image)
    line = scene.random.randrange(180, 320)
    pen.rectangle((0, line, 640, 480), (253, 253, 255))
    for _ in range(scene.random.randrange(3, 14)):
        x, tall = scene.random.randrange(640), scene.random.randrange(40, 160)
        pen.line((x, line + 20, x, line + 20 - tall), (60, 52, 48), 5)
        for _ in range(14):
            y = line + 20 - scene.random.uniform(0.3, 1) * tall
            dx, dy = scene.random.uniform(-40, 40), scene.random.uniform(5, 30)
            pen.line((x, y, x + dx, y - dy), (60, 52, 48), 2)
    return image.filter(ImageFilter.GaussianBlur(0.6))


def fog(scene: Scene) -> Image.Image:
    """Draw a grey gradient in which a few dark shapes are faint."""
    generator = np.random.default_rng(scene.random.randrange(2**32))
    level = np.linspace(215, scene.random.randrange(170, 205), 480)[:, None] + np.zeros((480, 640))
    image = Image.fromarray(level.astype(np.uint8)).convert("RGB")
    pen = ImageDraw.Draw(image)
    for _ in range(scene.random.randrange(1, 6)):
        x, wide = scene.random.randrange(640), scene.random.randrange(10, 90)
        shade = scene.random.randrange(120, 190)
        pen.rectangle((x, scene.random.randrange(150, 350), x + wide, 480), (shade,) * 3)
    image = image.filter(ImageFilter.GaussianBlur(3))
    noisy = np.asarray(image) + generator.normal(0, 1.5, (480, 640, 1))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def cartoon(scene: Scene) -> Image.Image:
    """Draw flat shapes with outlines on a ground of two colours."""
    image = Image.new("RGB", (600, 450), scene.colour())
    pen = ImageDraw.Draw(image)
    pen.rectangle((0, scene.random.randrange(220, 380), 600, 450), scene.colour())
    for _ in range(scene.random.randrange(3, 9)):
        x, y = scene.random.randrange(500), scene.random.randrange(350)
        wide, tall = scene.random.randrange(40, 220), scene.random.randrange(40, 220)
        box = (x, y, x + wide, y + tall)
        kind = scene.random.randrange(4)
        if kind == 0:
            pen.ellipse(box, scene.colour(), "black", 4)
        elif kind == 1:
            pen.rounded_rectangle(box, 24, scene.colour(), "black", 4)
        elif kind == 2:
            pen.polygon((x, y + tall, x + wide, y + tall, x + wide / 2, y), scene.colour(), "black")
        else:
            shape = smiley(wide) if scene.random.random() < 0.5 else star(wide, scene.colour())
            image.paste(shape, (x, y), shape)
    return image


def comic(scene: Scene) -> Image.Image:
    """Draw a page of panels, each a cartoon, with a line of text in some."""
    page = Image.new("RGB", (700, 1000), "white")
    for row in range(3):
        across = scene.random.choice((1, 2, 2, 3))
        wide = (700 - 20 * (across + 1)) // across
        for column in range(across):
            panel = cartoon(scene).resize((wide, 300))
            ImageDraw.Draw(panel).rectangle((0, 0, wide - 1, 299), None, "black", 4)
            if scene.random.random() < 0.6:
                ImageDraw.Draw(panel).rectangle((8, 8, wide - 9, 60), "white", "black", 2)
                captioned(panel, scene.text("latin", 3, 6), "latin", (8, 8, wide - 9, 60), "black")
            page.paste(panel, (20 + column * (wide + 20), 20 + row * 325))
    return page


def _hard(scene: Scene, name: str) -> Image.Image:
    return SETS[name](scene.random.randrange(100), scene, ())


DRAWN: dict[str, Draw] = {
    "night skies": night,
    "snow": snow,
    "fog": fog,
    "cartoons": cartoon,
    "pages of comics": comic,
    "icons": partial(_hard, name="drawn icons"),
    "flags": partial(_hard, name="drawn flags"),
    "charts": partial(_hard, name="charts on the same axes"),
    "pages of text": partial(_hard, name="text pages, several scripts"),
}
SAVED: dict[str, dict[str, object]] = {
    "PNG": {"format": "PNG"}, "JPEG q85": {"format": "JPEG", "quality": 85},
    "JPEG q50": {"format": "JPEG", "quality": 50},
}  # fmt: skip


def share(image: Image.Image) -> float:
    return ChromeMeter(np.array(image.convert("RGB"))).share()


def saved(image: Image.Image, **how: object) -> Image.Image:
    file = io.BytesIO()
    image.convert("RGB").save(file, **how)  # type: ignore[arg-type]
    return Image.open(file).convert("RGB")


def counted(name: str, changed: str, images: Sequence[tuple[str, Image.Image]]) -> list[str]:
    """Return a row of the table."""
    marked = [which for which, image in images if share(image) >= MOSTLY]
    print(f"{name}, {changed}: {len(marked)} of {len(images)}", file=sys.stderr)
    part = len(marked) / max(1, len(images))
    return [name, changed, str(len(images)), str(len(marked)), f"{part:.3f}", ", ".join(marked[:4])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("photographs", type=Path, metavar="PHOTOS")
    parser.add_argument("--most", type=int, default=200, help="photographs (default: 200)")
    parser.add_argument("--folder", action="append", default=[], metavar="NAME=PATH")
    parser.add_argument("--record", metavar="NAME", help="write ../record/NAME.md as well")
    told = parser.parse_args()
    load = [os.getloadavg()]
    found = in_folders([told.photographs])
    found = found[:: max(1, len(found) // told.most)]
    body = []
    small = [(one.name, one.image(SIDE)) for one in found]
    body.append(counted("photographs", "as they are", small))
    for row in (row for row in rows() if row.name in CHANGES):
        changed = []
        for number, (name, image) in enumerate(small):
            scene = scene_for(row.name, number, 1, lambda random: random.choice(small)[1])
            changed.append((name, Image.open(io.BytesIO(row.saved(row.original(image), scene)))))
        body.append(counted("photographs", row.name, changed))
    for name, draw in DRAWN.items():
        images = [draw(Scene(Random(f"{name} {n}"), lambda: small[0][1])) for n in range(60)]
        for way, how in SAVED.items():
            body.append(counted(name, way, [(str(n), saved(one, **how))
                                            for n, one in enumerate(images)]))  # fmt: skip
    for folder in told.folder:
        name, _, path = folder.partition("=")
        kept = in_folders([Path(path)])[: told.most]
        body.append(counted(name, "as they are", [(one.name, one.image(1280)) for one in kept]))
    columns = ("pictures", "changed", "count", "marked", "share", "the first of them")
    lines = report.table(columns, body)
    print("\n".join(lines))
    if told.record:
        load.append(os.getloadavg())
        command = ["python", "benchmarks/robustness/marked.py", *sys.argv[1:]]
        command = [Path(word).name if word.startswith("/") else word for word in command]
        opening = report.opening(", what is marked as chrome", command, load, [])
        path = Path(__file__).parents[1] / "record" / f"{told.record}.md"
        path.write_text("\n".join([*opening, *lines]) + "\n")


if __name__ == "__main__":
    main()
