"""Degenerate hashes are found, all of them, and ordinary ones are left alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import hashmatch as hm
import naive
from conftest import IMAGES, PHOTOGRAPHS, photograph
from hashmatch import registry
from hashmatch.lists.degenerate import (
    REASONS,
    degenerate,
    degenerate_pictures,
    re_encoded,
    reach,
    solid_colours,
)
from hashmatch.testing import flipped, picture, random_hashes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PERCEPTUAL = ("pdq", "pdq-nearest512", "pdq-thumb512", "phash", "dhash", "ahash", "whash")
ONE_WAY = "detail along one direction"
DIGESTS = ("md5", "sha1", "sha256")
# Neither is a picture of anything: their hashes repeat one line, or are all zero.
EMPTY = {"skimage/chessboard_GRAY.png", "skimage/chessboard_RGB.png"}


def of_hex(algorithm: str, *lines: str) -> hm.HashBatch:
    return hm.HashBatch.from_hex(registry.spec(algorithm), lines)


def reasons(batch: hm.HashBatch, pictures: hm.HashBatch | None = None) -> list[str]:
    return [REASONS[code] for code in degenerate(batch, pictures)]


@pytest.mark.parametrize("algorithm", [*PERCEPTUAL, *DIGESTS])
def test_all_zero_and_all_one_in_every_list(algorithm: str) -> None:
    digits = registry.spec(algorithm).bits // 4
    within = reach(algorithm)
    both = of_hex(algorithm, "0" * digits, "f" * digits)
    for distance in {0, within}:
        assert reasons(flipped(both, distance, seed=3)) == ["all zero", "all one"]
    if within > 0 and registry.spec(algorithm).bits == 64:
        assert reasons(flipped(both, within + 1, seed=3)) == ["", ""]


@pytest.mark.parametrize("algorithm", PERCEPTUAL)
@pytest.mark.parametrize(
    "text", ["a", "5", "0123456789abcdef", "fedcba9876543210", "89abcdef01234567"]
)
def test_placeholders(algorithm: str, text: str) -> None:
    digits = registry.spec(algorithm).bits // 4
    assert reasons(of_hex(algorithm, (text * 64)[:digits])) == ["low entropy"]


def test_patterns_of_long_hashes() -> None:
    for text in ("deadbeef", "00ff", "aaaa5555", "0123456789abcdeffedcba9876543210"):
        assert reasons(of_hex("pdq", (text * 16)[:64])) == ["low entropy"]


@pytest.mark.parametrize("algorithm", PERCEPTUAL)
def test_solid_colours_of_every_grey(algorithm: str) -> None:
    assert degenerate(solid_colours(algorithm)).all()
    colours = [(255, 0, 0), (3, 90, 200), (17, 17, 18), (255, 255, 255)]
    for width, height in ((64, 64), (640, 480), (301, 77)):
        for colour in colours:
            hashed = hm.hash_image(np.full((height, width, 3), colour, np.uint8), algorithm)
            assert degenerate(hashed.hashes).all(), (width, height, colour)


@pytest.mark.parametrize("algorithm", ["phash", "dhash"])
def test_flags_and_bars_of_every_kind(algorithm: str) -> None:
    rng = np.random.default_rng(4)
    for bands in (2, 3, 4, 5, 30):
        edges = np.sort(rng.uniform(0.1, 0.9, bands - 1))
        colours = rng.integers(0, 256, (bands, 3), dtype=np.uint8)
        row = colours[np.searchsorted(edges, np.arange(300) / 300)]
        upright = np.repeat(row[None], 200, 0)
        hashed = hm.hash_image(upright, algorithm)
        assert reasons(hashed.hashes) != [""], bands
        turned = hm.hash_image(np.ascontiguousarray(np.rot90(upright)), algorithm)
        assert reasons(turned.hashes) != [""], bands


def test_one_bit_more_than_detail_along_one_direction() -> None:
    assert reasons(of_hex("phash", "d5802a8080008080", "d480808080008080")) == ["", ONE_WAY]
    assert reasons(of_hex("phash", "d580818080018080", "d580818080018180")) == [ONE_WAY, ""]
    assert reasons(of_hex("dhash", "37" * 8, "37" * 7 + "36")) == [ONE_WAY, ""]
    for algorithm in ("ahash", "whash"):  # a sky over a shore, and that turned
        assert reasons(of_hex(algorithm, "ffffffff00000000", "0f" * 8)) == ["", ""]


@pytest.mark.parametrize("algorithm", PERCEPTUAL)
def test_ordinary_pictures_are_left_alone(algorithm: str) -> None:
    """All photographs at hand, in eight orientations, and drawn ones."""
    names = [name for name in PHOTOGRAPHS if name not in EMPTY]
    pictures: list[Path | NDArray[np.uint8]] = [photograph(name) for name in names]
    pictures += [picture(seed) for seed in range(20)]
    for shown in pictures:
        hashed = hm.hash_image(shown, algorithm, orientations=True)
        if hashed.outcome is hm.Outcome.HASHED:
            found = set(reasons(hashed.hashes)) - {""}
            # dhash of a page lit from the left is all ones, as that of every such picture is.
            assert not found or (algorithm == "dhash" and found <= {"all one", "all zero"}), shown


@pytest.mark.parametrize("algorithm", [*PERCEPTUAL, *DIGESTS])
def test_hashes_at_random_are_left_alone(algorithm: str) -> None:
    assert not degenerate(random_hashes(registry.spec(algorithm), 20_000, seed=6)).any()


def test_hashes_as_pdq_makes_them_are_left_alone() -> None:
    """Half of the bits of each are set, as what is above a median is."""
    rng = np.random.default_rng(8)
    bits = rng.permuted(np.tile(np.arange(256) < 128, (20_000, 1)), axis=1)
    batch = hm.HashBatch.from_bytes(registry.spec("pdq"), np.packbits(bits).tobytes())
    assert not degenerate(batch).any()


@given(
    values=st.lists(
        st.one_of(
            st.integers(0, 2**256 - 1),
            st.integers(0, 2**16 - 1).map(lambda piece: piece * (2**256 // 65535)),
            st.lists(st.sampled_from([0, 1, 0x2C4B, 0x1134, 0xFFFF, 0xA5A5, 77, 78, 79, 80, 81]),
                     min_size=16, max_size=16).map(
                lambda pieces: sum(piece << 16 * i for i, piece in enumerate(pieces))
            ),
            st.sets(st.integers(0, 255), min_size=30, max_size=33).map(
                lambda places: sum(1 << place for place in places)
            ),
        ).map(lambda value: value % 2**256),
        max_size=20,
    ),
    known=st.lists(st.integers(0, 2**256 - 1), max_size=3),
)  # fmt: skip
def test_it_is_what_the_naive_loop_finds(values: list[int], known: list[int]) -> None:
    planted = [value ^ (2**distance - 1) for value in known for distance in (0, 31, 32)]
    batch = of_hex("pdq", *(f"{value:064x}" for value in values + planted))
    pictures = of_hex("pdq", *(f"{value:064x}" for value in known))
    references = [(0, 31, 1), (2**256 - 1, 31, 2), *((value, 31, 5) for value in known)]
    naively = [naive.suspect(v, 256, references, 3, is_long=True) for v in values + planted]
    assert degenerate(batch, pictures).tolist() == naively


@pytest.mark.parametrize(
    ("algorithm", "texts", "found"),
    [
        ("pdq", ["0" * 64, "f8" * 32], {"all zero": 1, "low entropy": 1}),
        (
            "phash",
            ["ff80808080808080", "8" + "0" * 15],
            {"detail along one direction": 1, "all zero": 1},
        ),
        ("dhash", ["81" * 8], {"detail along one direction": 1}),
    ],
)
def test_a_list_file_is_read_without_them(
    tmp_path: Path, algorithm: str, texts: list[str], found: dict[str, int]
) -> None:
    (ordinary,) = random_hashes(registry.spec(algorithm), 1, seed=3).to_hex()
    path = tmp_path / "l.csv"
    path.write_text("\n".join([algorithm, *texts, ordinary]) + "\n")
    file = hm.read_list_file(path)
    assert file.quarantined == {algorithm: found}
    assert file.types == {algorithm: 1}
    known = hm.read_list(path, algorithm)
    assert known.hashes.to_hex() == [ordinary]
    (problem,) = known.problems
    assert "left out" in problem
    assert not any(text in problem for text in texts)
    path.write_text("\n".join([algorithm, *texts]) + "\n")
    with pytest.raises(hm.ListError, match="no usable row"):
        hm.read_list(path, algorithm)


def test_default_pictures_turned_and_saved_again(tmp_path: Path) -> None:
    avatars = tmp_path / "avatars"
    (avatars / "old").mkdir(parents=True)
    Image.fromarray(picture(1)).save(avatars / "one.png")
    Image.fromarray(picture(2)).save(avatars / "old/two.jpg")
    Image.fromarray(np.rot90(picture(1))).save(tmp_path / "turned.jpg", quality=80)
    known = degenerate_pictures(avatars, "pdq")
    assert len(known) == 16
    listed = hm.hash_image(tmp_path / "turned.jpg").hashes
    other = hm.hash_image(picture(3)).hashes
    both = hm.HashBatch.concatenate([listed, other])
    assert reasons(both, known) == ["a default picture", ""]
    assert reasons(both) == ["", ""]
    files = degenerate_pictures(avatars, "md5")
    assert reasons(files, files) == ["a default picture"] * 2
    assert degenerate_pictures([picture(1)], "phash") == degenerate_pictures(
        [avatars / "one.png"], "phash"
    )


def test_flat_default_pictures_will_do() -> None:
    assert len(degenerate_pictures(IMAGES / "flat", "pdq")) % 8 == 0


def test_what_is_wrong_with_default_pictures_is_said(tmp_path: Path) -> None:
    with pytest.raises(hm.UsageError, match="it is no folder"):
        degenerate_pictures(tmp_path / "nowhere", "pdq")
    with pytest.raises(hm.UsageError, match="there is no picture in it"):
        degenerate_pictures(tmp_path, "pdq")
    with pytest.raises(hm.UsageError, match="cannot go without a default picture"):
        degenerate_pictures([], "pdq")
    (tmp_path / "note.txt").write_text("not a picture")
    with pytest.raises(hm.UsageError, match=r"note.txt: it has no pdq hash: ") as e:
        degenerate_pictures(tmp_path, "pdq")
    assert "\n" not in str(e.value)
    with pytest.raises(hm.SpecMismatch):
        degenerate(of_hex("pdq", "00" * 32), solid_colours("phash"))


def test_nothing_is_degenerate_in_an_empty_list() -> None:
    nothing = of_hex("pdq")
    assert degenerate(nothing).shape == (0,)
    assert degenerate(nothing).dtype == np.uint8


def test_how_far_a_picture_is_from_itself_saved_again() -> None:
    assert [re_encoded(name) for name in PERCEPTUAL] == [7, 7, 7, 2, 1, 0, 1]
    assert [re_encoded(name) for name in DIGESTS] == [0, 0, 0]


@pytest.mark.slow
def test_ten_million_at_once_take_little_memory() -> None:
    import resource

    spec = registry.spec("pdq")
    degenerate(random_hashes(spec, 10, seed=1))
    batch = random_hashes(spec, 10_000_000, seed=1)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert not degenerate(batch).any()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000
