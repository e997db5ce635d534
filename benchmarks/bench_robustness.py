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
from benchmarks.robustness import columns, draw, false_pairs, hard_negatives, named, tables
from benchmarks.robustness.drawing import WORDS, font, scripts, sentence, wrapped
from benchmarks.robustness.rows import Row, rows, scene_for
from hashmatch import hash_image, registry
from hashmatch.records.enums import LEVELS, Outcome
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


def test_hard_sets_are_drawn_and_counted() -> None:
    photos = [Image.fromarray(picture(number, 480, 320)) for number in range(5)]
    names = ["charts on the same axes", "profile pages of one app"]
    sets = {name: hard_negatives.drawn(name, photos, 5, 1) for name in names}
    for drawings in sets.values():
        assert len({each.image.tobytes() for each in drawings}) == 5
    found = hard_negatives.measure(iter(sets.items()), "pdq")
    assert [(row["set"], row["level"]) for row in found] == [
        (name, level) for name in names for level in LEVELS
    ]
    assert all(row["pairs"] == 20 for row in found)
    # PDQ takes two profile pages of one app for the same picture, as they are.
    assert found[4]["within"]["31"] > 0
    assert found[4]["unmarked"] * 20 < found[4]["within"]["31"]
    assert len(hard_negatives.table(found)) == 3 + len(names)


@pytest.mark.parametrize("name", hard_negatives.SETS)
def test_every_hard_set_draws_different_pictures(name: str) -> None:
    photos = [Image.fromarray(picture(number, 480, 320)) for number in range(3)]
    one, other = hard_negatives.drawn(name, photos, 2, 1)
    assert one.image.tobytes() != other.image.tobytes()
    assert one.image.tobytes() == hard_negatives.drawn(name, photos, 1, 1)[0].image.tobytes()


def test_columns_are_scored_against_own_and_other_entries(tmp_path: Path) -> None:
    photographs = tmp_path / "photographs"
    photographs.mkdir()
    for number in range(5):
        Image.fromarray(picture(number, 480, 320)).save(photographs / f"{number}.png")
    chosen = [row for row in ROWS if row.name in {"mirrored", "small, 32", "3:2 cut to 1:1"}]
    found = in_folders([photographs])
    into = tmp_path / "drawn"
    drawn = draw.draw(found, found[:1], into, 3, 1, chosen)
    assert draw.read(into) == drawn
    assert len(drawn.queries) == 9
    none, turned = (columns.hashmatch(drawn, 3, "pdq", level) for level in ("none", "orientations"))
    assert none.pairs == turned.pairs == 6 * 4, "small ones are not hashed"
    assert none.recall("mirrored", none.limit) == 0
    assert turned.recall("mirrored", turned.limit) == 1
    assert turned.rows["mirrored"].found_by == {"flip_left_right": 3}
    assert turned.rows["mirrored"].hashes == 8
    assert turned.rows["small, 32"].own == [257] * 3
    assert none.limit_at(1.0) == 256
    assert none.limit_at(1e-9) < min(none.others)
    # Somebody else's column, given the same hashes, scores the same.
    made = columns.Hashes("theirs", 256, 31)
    for file in drawn.photographs:
        made.entries[file] = hash_image(file).hashes.to_hex()
    for query in drawn.queries:
        hashed = hash_image(into / query.file)
        made.queries[query.file] = (
            hashed.hashes.to_hex() if hashed.outcome is Outcome.HASHED else []
        )
        made.entries[query.own] = hash_image(into / query.own).hashes.to_hex()
    theirs = columns.score_hashes(made, drawn, 3)
    assert [row.own for row in theirs.rows.values()] == [row.own for row in none.rows.values()]
    assert theirs.others == none.others


def test_files_that_are_drawn_already_are_left(tmp_path: Path) -> None:
    Image.fromarray(picture(1, 480, 320)).save(tmp_path / "one.png")
    found = in_folders([tmp_path])
    chosen = [row for row in ROWS if row.name == "mirrored"]
    drawn = draw.draw(found, found, tmp_path / "drawn", 1, 1, chosen)
    file = drawn.path(drawn.queries[0].file)
    before = file.read_bytes()
    file.write_bytes(b"another")
    draw.draw(found, found, tmp_path / "drawn", 1, 1, chosen)
    assert file.read_bytes() == b"another" != before


def test_tables_say_what_was_measured(tmp_path: Path) -> None:
    queries = tuple(
        draw.Query(row, family, number, f"queries/{row}/{number}.jpg", f"{number}.png")
        for row, family in (("mirrored", "turned"), ("crop 5 %", "crop"))
        for number in range(4)
    )
    drawn = draw.Drawn(tmp_path, queries, ("0.png",), ("0.png",) * 4, 1)
    column = columns.Column("tool", 64, 8, 4)
    column.rows = {
        "mirrored": columns.RowResult([0, 2, 9, 65], 20, 8.0, 1.25, {"flip": 2}),
        "crop 5 %": columns.RowResult([9, 10, 11, 30], 12, 8.0, 2.0),
    }
    column.others = {7: 1, 12: 10, 30: 999_989}
    assert column.limit_at(1e-5) == 11, "eleven in a million are within 12"
    assert column.limit_at(1e-6) == 11
    assert column.limit_at(1e-7) == 6
    text = "\n".join(tables.lines(drawn, [column]))
    assert "| **turned** | **0.50** |" in text
    assert "| crop 5 % | 0.00 |" in text
    assert "| crop | 0.75 | 0.75 |" in text, "within 11"
    assert "| tool | 8 | 4 | 1,000,000 | 7 | 1 | 1.0e-06 |" in text
    column.name = "hashmatch pdq thorough"
    text = "\n".join(tables.lines(drawn, [column]))
    assert "| mirrored | 0.50 | 2 | 1 | 20 | 8 | 1.2 | flip 2 |" in text
    said = tables.as_json([column])["hashmatch pdq thorough"]
    assert said["rows"]["mirrored"]["own"] == [0, 2, 9, 65]
    assert said["limits_at"] == {"1e-05": 11, "1e-06": 11}


def test_a_transparent_avatar_hides_nothing() -> None:
    shown = np.asarray(drawn(next(row for row in ROWS if row.name == "round avatar, transparent")))
    assert shown.shape[2] == 4
    assert shown[shown[..., 3] == 0].max() == 0
