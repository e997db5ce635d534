"""The rows and the named photographs of robustness/, drawn and checked once."""

from __future__ import annotations

import hashlib
import io
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

from benchmarks.photographs import in_folders
from benchmarks.robustness import false_pairs, named
from benchmarks.robustness.drawing import WORDS, font, scripts, sentence, wrapped
from benchmarks.robustness.rows import Row, rows, scene_for
from hashmatch import registry
from hashmatch.testing import picture

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

ROWS = rows()


def other(random: Random) -> Image.Image:
    return Image.fromarray(picture(random.randrange(100, 200), 320, 240))


def drawn(row: Row, number: int = 1, size: tuple[int, int] = (480, 320)) -> Image.Image:
    image = row.original(Image.fromarray(picture(number, *size)))
    saved = row.saved(image, scene_for(row.name, number, 1, other))
    return Image.open(io.BytesIO(saved))


def test_every_row_has_a_name_of_its_own() -> None:
    names = [row.name for row in ROWS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_is_drawn_from_its_seed_alone(row: Row) -> None:
    before = picture(1, 480, 320)
    one = drawn(row)
    assert one.tobytes() == drawn(row).tobytes()
    assert np.array_equal(picture(1, 480, 320), before)
    assert min(one.size) >= 20
    assert np.ptp(np.asarray(one.convert("L"))) > 50, "something is to be seen"


@pytest.mark.parametrize(("name", "size"), [
    ("chat screen, 66 % wide, light", (1080, 2160)), ("chat's viewer, dark", (1080, 2160)),
    ("story, blurred sides", (1080, 1920)), ("3:2 cut to 1:1", (320, 320)),
    ("collage of 2, gap 12", (972, 320)), ("quarter turn", (320, 480)),
])  # fmt: skip
def test_a_row_has_its_size(name: str, size: tuple[int, int]) -> None:
    assert drawn(next(row for row in ROWS if row.name == name)).size == size


@pytest.mark.parametrize("name", ["chat screen, 66 % wide, dark", "chat's viewer, light",
                                  "collage of 4, gap 0", "meme text in bars",
                                  "story, blurred sides"])  # fmt: skip
def test_the_whole_picture_is_in_the_picture(name: str) -> None:
    """Its colour, which nothing else has, is found in as many pixels as it has to be."""
    row = next(row for row in ROWS if row.name == name)
    image = Image.new("RGB", (480, 320), (255, 0, 255))

    def gray(_: Random) -> Image.Image:
        return Image.new("RGB", (480, 320), "gray")

    changed = np.asarray(row.change(image, scene_for(name, 1, 1, gray)).convert("RGB"), np.int64)
    found = np.abs(changed - (255, 0, 255)).max(axis=-1) < 12
    ys, xs = np.nonzero(found)
    across, down = np.ptp(xs) + 1, np.ptp(ys) + 1
    assert found.mean() > 0.03
    # A story has the picture's colour behind it as well, as high as the screen is.
    assert name.startswith("story") or across / down == pytest.approx(1.5, rel=0.03)


def test_scripts_are_drawn_apart() -> None:
    assert "latin" in scripts()
    scene = scene_for("text", 1, 1, other)
    for script in scripts():
        words = sentence(scene.random, script, 12)
        assert set(words.split()) <= set(WORDS[script].split())
        lines = wrapped(words, font(20, script), 200)
        assert " ".join(lines) == words


def test_named_photographs_are_laid_out_as_they_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clone = tmp_path / "sources/pictures"
    clone.mkdir(parents=True)
    (clone / "a b.jpg").write_bytes(b"one")
    (clone / "other.jpg").write_bytes(b"two")
    git = ["git", "-C", str(clone), "-c", "user.name=T", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "pictures"]):
        subprocess.run([*git, *command], check=True)
    commit = subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    monkeypatch.setattr(
        named, "REPOSITORIES", {"pictures": ("somebody/pictures", commit.stdout.strip())}
    )
    photographs = [
        named.Named("build", "pictures", "a b.jpg", hashlib.sha256(b"one").hexdigest()),
        named.Named("held", "pictures", "other.jpg", hashlib.sha256(b"not two").hexdigest()),
        named.Named("held", "pictures", "gone.jpg", hashlib.sha256(b"three").hexdigest()),
    ]
    monkeypatch.setattr(named, "named", lambda: photographs)
    missing = named.lay_out(tmp_path / "sources", tmp_path / "laid")
    assert missing == photographs[1:]
    assert (tmp_path / "laid/build/pictures-a_b.jpg").read_bytes() == b"one"
    assert not (tmp_path / "laid/held").exists()


def test_no_photograph_is_named_twice() -> None:
    found = named.named()
    assert len({each.sha256 for each in found}) == len(found)
    assert len({each.file for each in found}) == len(found)
    assert sum(each.set == "build" for each in found) >= 300
    assert sum(each.set == "held" for each in found) >= 300
    assert {each.source for each in found} == {*named.REPOSITORIES, *named.PACKAGES}
    build = {each.source for each in found if each.set == "build"}
    assert not build & {each.source for each in found if each.set == "held"}


def test_false_pairs_are_counted_once_and_by_kind(tmp_path: Path) -> None:
    """A mirrored copy among drawn pictures is a new pair from orientations on, by that question."""
    for number in range(6):
        Image.fromarray(picture(number, 480, 320)).save(tmp_path / f"{number}.png")
    mirrored = np.ascontiguousarray(picture(0, 480, 320)[:, ::-1])
    Image.fromarray(mirrored).save(tmp_path / "mirrored.png")
    photographs = in_folders([tmp_path])
    none, turned = (
        false_pairs.count(photographs, registry.hasher("pdq"), level)
        for level in ("none", "orientations")
    )
    assert none.pairs == turned.pairs == 7 * 6
    assert none.within[31] == 0
    assert (turned.within[31], turned.new[31]) == (2, 2)
    assert dict(turned.by_kind) == {"flip_left_right": 2}
    distance, query, entry = turned.kinds["flip_left_right"]
    assert distance <= 31
    assert {query, entry} == {"0.png", "mirrored.png"}
    assert "flip_left_right" in "\n".join(false_pairs.lines(turned, "orientations"))


def test_tiles_do_not_overlap_and_know_their_photograph(tmp_path: Path) -> None:
    Image.fromarray(picture(1, 700, 400)).save(tmp_path / "one.png")
    photographs = in_folders([tmp_path])
    tiles = list(false_pairs.with_tiles(photographs))
    assert len(tiles) == 1 + 4, "thirds of 400 are too small"
    assert {tile.path for tile in tiles} == {photographs[0].path}
    covered = np.zeros((400, 700), int)
    for tile in tiles[1:]:
        assert tile.box is not None
        left, top, right, bottom = tile.box
        covered[top:bottom, left:right] += 1
    assert covered.min() == covered.max() == 1
