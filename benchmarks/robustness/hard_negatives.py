"""Count matches within sets of pictures that are alike and yet different.

    python benchmarks/robustness/hard_negatives.py PHOTOS --record NAME

Screens of one app, avatars, memes with the same text, flags, pages, charts, icons: each set is
asked for among itself, and what comes is a match between different pictures. Pictures below the
hasher's least quality are neither asked for nor listed.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

if __package__ in {None, ""}:  # run as a file, not with -m: the folder above is not on the path
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np
from PIL import Image, ImageDraw

from benchmarks import report
from benchmarks.photographs import in_folders
from benchmarks.robustness import false_pairs, screens
from benchmarks.robustness.drawing import Scene, font, scripts, sentence, smiley, star
from benchmarks.robustness.rows import SIDE, rows, scene_for
from hashmatch import HashBatch, Matcher, ReviewRecord, registry
from hashmatch.records.enums import LEVELS
from hashmatch.testing import hash_list

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from hashmatch.interfaces import Hasher
    from hashmatch.records.enums import Level

    Photos = Sequence[Image.Image]
    Draw = Callable[[int, Scene, Photos], Image.Image]
    Page = Callable[[Image.Image, Scene, screens.App, str], Image.Image]

EACH = 40
"""Pictures of a set: 1,560 pairs."""


@dataclass(frozen=True)
class Drawing:
    """A drawn picture, as `false_pairs.count` takes them; no two are of one photograph."""

    name: str
    image: Image.Image

    @property
    def path(self) -> Path:
        return Path(self.name)

    def pixels(self) -> NDArray[np.uint8]:
        return np.ascontiguousarray(np.asarray(self.image.convert("RGB")))


def _row(name: str) -> Draw:
    """Return a row of the benchmark with the same chance for every photograph."""
    row = next(row for row in rows() if row.name == name)

    def draw(number: int, scene: Scene, photos: Photos) -> Image.Image:
        image = row.original(photos[number])
        return row.change(image, scene_for(name, 0, 1, lambda _: photos[-1]))

    return draw


def _chat(
    number: int, scene: Scene, photos: Photos, share: float, app: int | None, dark: bool,
    same_text: bool = False, few: bool = False,
) -> Image.Image:  # fmt: skip
    apps = screens.DARK if dark else screens.LIGHT
    colours = scene.random.choice(apps) if app is None else apps[app]
    if same_text:
        scene = Scene(Random("the same words"), lambda: photos[-1])
    image = photos[number] if share else None
    script = scene.script() if app is None else "latin"
    most = scene.random.randint(1, 3) if few else 100
    return screens.chat(image, scene, share, dark, colours=colours, script=script, most=most)[0]


def _page(
    number: int, scene: Scene, photos: Photos, page: Page,
    colours: screens.App = screens.LIGHT[1], script: str = "latin",
) -> Image.Image:  # fmt: skip
    return page(photos[number], scene, colours, script)


def _other_words(
    _: int, scene: Scene, __: Photos, colours: screens.App, script: str, turns: str
) -> Image.Image:
    """Draw a chat in which as much is said by the same people as in the others, in other words."""
    own = Random(turns)
    return screens.chat(None, scene, 0, False, colours=colours, script=script, turns=own)[0]


def _of_apps() -> Iterator[tuple[str, Draw]]:
    """Yield sets of one app each, light and dark, in one script each."""
    for shade, apps, written in (
        ("light", screens.LIGHT, ("latin", "arabic", "chinese", "cyrillic")),
        ("dark", screens.DARK, ("hebrew", "latin", "greek", "chinese")),
    ):
        for number, (colours, script) in enumerate(zip(apps, written, strict=True), 1):
            app = f"{shade} app {number}, {script}"
            for turns in "ab":
                yield (
                    f"chats, other words, {app}, {turns}",
                    partial(_other_words, colours=colours, script=script, turns=app + turns),
                )
            yield (
                f"profile pages, {app}",
                partial(_page, page=screens.profile, colours=colours, script=script),
            )
            yield (
                f"lists of chats, {app}",
                partial(_page, page=screens.inbox, colours=colours, script=script),
            )


def _flag(number: int, scene: Scene, _: Photos) -> Image.Image:
    """Draw stripes across or down, or a cross, in two or three colours."""
    flag = Image.new("RGB", (480, 320), scene.colour())
    draw = ImageDraw.Draw(flag)
    kind = number % 4
    if kind < 3:
        stripes = scene.random.choice((2, 3, 3, 3, 5))
        for stripe in range(stripes):
            a, b = stripe / stripes, (stripe + 1) / stripes
            box = (0, 320 * a, 480, 320 * b) if kind else (480 * a, 0, 480 * b, 320)
            draw.rectangle(box, scene.colour())
    if kind >= 2:
        x, thick = scene.random.choice((160, 240)), scene.random.choice((24, 40, 64))
        colour = scene.colour()
        draw.rectangle((x - thick / 2, 0, x + thick / 2, 320), colour)
        draw.rectangle((0, 160 - thick / 2, 480, 160 + thick / 2), colour)
    return flag


def _text(number: int, scene: Scene, _: Photos, heading: bool) -> Image.Image:
    """Draw a page of text; with `heading`, all have the same one."""
    page = Image.new("RGB", (720, 1020), "white")
    draw = ImageDraw.Draw(page)
    script = "latin" if heading else scene.script()
    top = 60
    if heading:
        draw.text((60, 70), "Notice to all residents", "black", font(44), "lm")
        draw.line((60, 110, 660, 110), "black", 4)
        top = 160
    for y in range(top, 960, 34):
        if scene.random.random() < 0.12:
            continue
        words = sentence(scene.random, script, scene.random.randint(4, 9))
        draw.text((60, y), words[:60], "black", font(22, script), "lm")
    return page


def _chart(number: int, scene: Scene, _: Photos) -> Image.Image:
    """Draw bars or a line on the same axes and grid."""
    chart = Image.new("RGB", (800, 500), "white")
    draw = ImageDraw.Draw(chart)
    for step in range(6):
        y = 440 - 76 * step
        draw.line((70, y, 780, y), "#d0d0d0" if step else "black", 2)
        draw.text((60, y), str(20 * step), "black", font(18), "rm")
    draw.line((70, 40, 70, 440), "black", 2)
    values = [scene.random.uniform(20, 380) for _ in range(12)]
    colour = scene.colour()
    if number % 2:
        for column, value in enumerate(values):
            draw.rectangle((85 + 58 * column, 440 - value, 125 + 58 * column, 439), colour)
    else:
        points = [(105 + 58 * column, 440 - value) for column, value in enumerate(values)]
        draw.line(points, colour, 4)
    return chart


def _icon(number: int, scene: Scene, _: Photos) -> Image.Image:
    """Draw the icon of an app: a shape on a rounded square of one colour."""
    icon = Image.new("RGB", (256, 256), "white")
    draw = ImageDraw.Draw(icon)
    draw.rounded_rectangle((8, 8, 247, 247), 52, scene.colour())
    kind, side = number % 4, scene.random.randrange(90, 170)
    left = 128 - side // 2
    if kind == 0:
        shape = smiley(side, scene.colour())
        icon.paste(shape, (left, left), shape)
    elif kind == 1:
        shape = star(side, scene.colour())
        icon.paste(shape, (left, left), shape)
    elif kind == 2:
        draw.ellipse((left, left, left + side, left + side), None, "white", side // 8)
        draw.line((128, 128, 128, left + side // 5), "white", side // 10)
        draw.line((128, 128, 128 + side // 4, 128), "white", side // 10)
    else:
        letter = scene.random.choice("ABCDEFGHKMNPRSTUWZ")
        draw.text((128, 128), letter, "white", font(side), "mm")
    return icon


SETS: dict[str, Draw] = {
    **dict(_of_apps()),
    "chats without a picture, one app, light": partial(_chat, share=0, app=0, dark=False),
    "chats without a picture, one app, dark": partial(_chat, share=0, app=0, dark=True),
    "chats without a picture, several apps and scripts": partial(
        _chat, share=0, app=None, dark=False
    ),
    "chats of one to three messages, one app, light": partial(
        _chat, share=0, app=0, dark=False, few=True
    ),
    "chats of one to three messages, one app, dark": partial(
        _chat, share=0, app=0, dark=True, few=True
    ),
    "lists of chats of one app": partial(_page, page=screens.inbox),
    "profile pages of one app": partial(_page, page=screens.profile),
    "shop pages, photograph 38 % wide": partial(_page, page=screens.shop),
    "chats, picture 66 % wide, other words": partial(_chat, share=0.66, app=0, dark=False),
    "chats, picture 66 % wide, same words": partial(
        _chat, share=0.66, app=0, dark=False, same_text=True
    ),
    "chats, picture 92 % wide, same words": partial(
        _chat, share=0.92, app=0, dark=False, same_text=True
    ),
    "chat's viewer": _row("chat's viewer, light"),
    "stories with blurred sides": _row("story, blurred sides"),
    "round avatars on white": _row("round avatar, white"),
    "memes in bars, same words": _row("meme text in bars"),
    "memes over, same words": _row("meme text over"),
    "same watermark": _row("watermark"),
    "same sticker, 20 %": _row("sticker 20 %"),
    "same desk": _row("screen photographed, 5 deg, on a desk"),
    "drawn flags": _flag,
    "text pages, several scripts": partial(_text, heading=False),
    "text pages, same heading": partial(_text, heading=True),
    "charts on the same axes": _chart,
    "drawn icons": _icon,
}


def drawn(name: str, photos: Photos, each: int, seed: int) -> list[Drawing]:
    """Return the pictures of a set."""
    found = []
    for number in range(each):
        random = Random(f"{seed} {name} {number}")
        scene = Scene(random, lambda random=random: random.choice(photos))  # type: ignore[misc]
        found.append(Drawing(f"{name} {number}", SETS[name](number, scene, photos)))
    return found


def emoji(folder: Path, most: int) -> Iterator[tuple[str, list[Drawing]]]:
    """Yield the flags and the other emoji of a folder of PNG files named by their code points.

    The package emoji-datasource-google of npm has such a folder, img/google/64.
    """
    sets: dict[str, list[Drawing]] = {"emoji flags": [], "emoji": []}
    for path in sorted(folder.glob("*.png")):
        with Image.open(path) as opened:
            image = opened.convert("RGBA").resize((128, 128), Image.Resampling.LANCZOS)
        canvas = Image.new("RGB", image.size, "white")
        canvas.paste(image, (0, 0), image)
        name = "emoji flags" if path.stem.startswith("1f1") else "emoji"
        sets[name].append(Drawing(path.stem, canvas))
    for name, found in sets.items():
        step = max(1, len(found) // most)
        yield name, found[::step][:most]


def unmarked(pictures: Sequence[Drawing], hasher: Hasher, level: Level) -> float:
    """Return the share of pairs that come as a match not marked as mostly chrome.

    See `hashmatch.matching.chrome`: what all screens of an app have in common says little.
    """
    kept = []
    for each in pictures:
        hashes, quality = hasher.hash(each.pixels())
        if quality is None or quality >= hasher.min_quality:
            kept.append((each, hashes))
    if len(kept) < 2:
        return 0.0
    known = hash_list(HashBatch.concatenate([hashes for _, hashes in kept]))
    matcher = Matcher(known, variants=level, max_matches=len(kept))
    pairs = 0
    for number, (each, _) in enumerate(kept):
        found = matcher.check(each.pixels(), surface="public_post", item_id=each.name)
        if isinstance(found, ReviewRecord):
            pairs += sum(
                match.entry != f"made-up-{number}" and match.mostly_chrome is not True
                for match in found.matches
            )
    return pairs / (len(kept) * (len(kept) - 1))


def measure(
    sets: Iterator[tuple[str, list[Drawing]]], algorithm: str, levels: Sequence[Level] = LEVELS
) -> list[dict[str, Any]]:
    """Ask for each set among itself at every level."""
    hasher = registry.hasher(algorithm)
    found = []
    for name, pictures in sets:
        for level in levels:
            counted = false_pairs.count(pictures, hasher, level)
            row = {"set": name, "level": level} | counted.as_json
            found.append(row | {"unmarked": unmarked(pictures, hasher, level)})
        print(f"{name}: {found[-1]['pairs']} pairs", file=sys.stderr)
    return found


def table(found: Sequence[dict[str, Any]]) -> list[str]:
    """Return the share of pairs within the limit, of each set at each level.

    Behind it, how many of these are no marked matches, and the distance of the nearest pair.
    """
    body = []
    levels = dict.fromkeys(row["level"] for row in found)
    for name in dict.fromkeys(row["set"] for row in found):
        mine = [row for row in found if row["set"] == name]
        cells = [name, str(mine[0]["pictures"]), f"{mine[0]['pairs']:,}"]
        for row in mine:
            limit = next(iter(row["within"]))
            share = row["within"][limit] / max(1, row["pairs"])
            nearest = row["nearest"][0][0] if row["nearest"] else ""
            said = f"{share:.4f}, {row['unmarked']:.4f} ({nearest})"
            cells.append(said if row["pairs"] else "-")
        body.append(cells)
    columns = (
        "set",
        "pictures",
        "pairs",
        *(f"{level}: share, unmarked (nearest)" for level in levels),
    )
    return report.table(columns, body)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("photographs", type=Path, metavar="PHOTOS")
    parser.add_argument(
        "--emoji", type=Path, metavar="FOLDER", help="PNG files named by code point"
    )
    parser.add_argument("--each", type=int, default=EACH, help=f"pictures a set (default: {EACH})")
    parser.add_argument("--hasher", default="pdq")
    parser.add_argument("--levels", nargs="+", default=LEVELS, choices=LEVELS)
    parser.add_argument("--only", default="", help="sets with this in their name")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--record", metavar="NAME", help="write ../record/NAME.md as well")
    told = parser.parse_args()
    load = [os.getloadavg()]
    pictures = in_folders([told.photographs])
    photos = [picture.image(SIDE) for picture in pictures[:: max(1, len(pictures) // told.each)]]

    def sets() -> Iterator[tuple[str, list[Drawing]]]:
        for name in (name for name in SETS if told.only in name):
            yield name, drawn(name, photos, min(told.each, len(photos)), told.seed)
        if told.emoji:
            yield from emoji(told.emoji, 400)

    found = measure(sets(), told.hasher, told.levels)
    load.append(os.getloadavg())
    print("\n".join(table(found)))
    if told.json:
        told.json.write_text(json.dumps(found, indent=1) + "\n")
    if told.record:
        command = ["python", "benchmarks/robustness/hard_negatives.py", *sys.argv[1:]]
        command = [Path(word).name if word.startswith("/") else word for word in command]
        notes = [f"Text in: {', '.join(scripts())}"]
        lines = report.opening(", matches within hard sets", command, load, notes)
        path = Path(__file__).parents[1] / "record" / f"{told.record}.md"
        path.write_text("\n".join([*lines, *table(found)]) + "\n")
        print(f"as {shlex.join(command)}: {path.name}")


if __name__ == "__main__":
    main()
