"""Query variants: what is asked about a picture beside itself, and that it finds what was done."""

from __future__ import annotations

import io
import itertools
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from conftest import PHOTOGRAPHS, photograph
from hashmatch import registry
from hashmatch._kernels import extrapolate
from hashmatch.errors import UsageError
from hashmatch.hashers import _pdq_round
from hashmatch.hashers.pdq import Pdq
from hashmatch.hashing.avatars import avatar
from hashmatch.hashing.borders import Sides, captions, cuts
from hashmatch.hashing.frames import CUT_TO, MOST_CUT, SOFT, every_frame
from hashmatch.hashing.overlays import overlays
from hashmatch.hashing.variants import ask
from hashmatch.hashing.views import parts
from hashmatch.interfaces import GUESSES, Disc, FramedHasher, Framing
from hashmatch.records.enums import LEVELS, Level, Orientation
from hashmatch.testing import picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashmatch.records.hashes import HashBatch

    Pixels = NDArray[np.uint8]

PDQ = Pdq()
SOME = ["skimage/astronaut.png", "skimage/chelsea.png", "skimage/coffee.png", "sklearn/china.jpg"]


@lru_cache
def photo(key: str) -> Pixels:
    with Image.open(photograph(key)) as image:
        return np.asarray(image.convert("RGB"))


def distances(hashes: HashBatch, other: HashBatch) -> NDArray[np.int64]:
    found: NDArray[np.int64] = np.bitwise_count(hashes.words ^ other.words).sum(axis=1)
    return found


def found_by(pixels: Pixels, original: Pixels, level: Level) -> list[str]:
    """Return the names of the questions about `pixels` that find `original`, nearest first."""
    asked = ask(PDQ, np.ascontiguousarray(pixels), level)
    far = distances(asked.hashes, PDQ.hash(original)[0])
    return [asked.names[row] for row in np.argsort(far, kind="stable") if far[row] <= 31]


@pytest.mark.parametrize("key", ["skimage/brick.png", "skimage/chelsea.png", "skimage/retina.jpg"])
def test_levels_contain_each_other_and_begin_with_the_known_hashes(key: str) -> None:
    pixels = photo(key)
    asked = [ask(PDQ, pixels, level) for level in LEVELS]
    for less, more in itertools.pairwise(asked):
        rows = dict(zip(more.names, more.hashes.words.tolist(), strict=True))
        assert len(rows) == len(more.hashes), "a name is given twice"
        assert len(less.names) < len(more.names)
        for name, words in zip(less.names, less.hashes.words.tolist(), strict=True):
            assert rows[name] == words
    upright, quality = PDQ.hash(pixels)
    assert (asked[0].names, asked[0].hashes) == (("upright",), upright)
    for more in asked[1:]:
        assert more.names[:8] == tuple(Orientation)
        assert more.hashes[:8] == PDQ.hash_orientations(pixels)[0]
        assert more.quality == quality
    again = ask(PDQ, pixels.copy(), "thorough")
    assert (again.names, again.hashes) == (asked[3].names, asked[3].hashes)


def test_an_unknown_level_is_refused() -> None:
    named = r"cannot use 'all' as variants\. Give one of none, orientations, standard, thorough"
    with pytest.raises(UsageError, match=named):
        ask(PDQ, picture(1), "all")  # type: ignore[arg-type]


@pytest.mark.parametrize("algorithm", ["pdq", "phash", "md5"])
@pytest.mark.parametrize("level", LEVELS)
def test_every_hasher_has_every_level(algorithm: str, level: Level) -> None:
    hasher = registry.hasher(algorithm)
    data = picture(2) if hasher.reads == "pixels" else np.zeros(9, np.uint8)
    asked = ask(hasher, data, level)
    assert asked.hashes.spec == hasher.spec
    assert (len(asked.names) == 1) is (level == "none" or algorithm == "md5")
    assert asked.hashes[:1] == hasher.hash(data)[0]


def test_other_hashers_hash_what_is_left_within_a_border() -> None:
    hasher = registry.hasher("dhash")
    pixels = picture(7)
    asked = ask(hasher, np.pad(pixels, ((9, 9), (9, 9), (0, 0))), "standard")
    assert asked.names == (*Orientation, "trim")
    assert asked.hashes[8:] == hasher.hash(pixels)[0]
    card = np.full((200, 200, 3), 255, np.uint8)
    card[20:-20, 20:-20] = (200, 30, 30)
    assert ask(hasher, card, "standard").names == tuple(Orientation)


def test_what_is_left_within_a_border_has_to_be_a_picture() -> None:
    bordered = np.pad(photo(SOME[0]), ((30, 30), (30, 30), (0, 0)))
    assert "trim" in ask(PDQ, bordered, "standard").names
    assert "trim" not in ask(PDQ, bordered, "standard", min_quality=101).names


def test_pdq_is_framed_and_the_whole_picture_as_a_frame_is_near_its_hash() -> None:
    assert isinstance(PDQ, FramedHasher)
    assert not isinstance(registry.hasher("phash"), FramedHasher)
    assert len(PDQ.hash_framings(picture(1), ())) == 0
    for key in SOME:
        whole = PDQ.hash_framings(photo(key), (Framing(), Framing(turn=1e-9)))
        assert distances(whole, PDQ.hash(photo(key))[0]).max() <= 16


@pytest.mark.parametrize("key", SOME)
@pytest.mark.parametrize("longest", [160, 96])
def test_small_copies_are_near_a_large_original(key: str, longest: int) -> None:
    """The large original is drawn from the photograph, which is too small to be one."""
    image = Image.fromarray(photo(key))
    scale = 3000 / max(image.size)
    large = image.resize((round(image.width * scale), round(image.height * scale)))
    small = large.resize((longest * large.width // 3000, longest * large.height // 3000))
    original = PDQ.hash(np.asarray(large))[0]
    far = dict(zip(*_asked(np.asarray(small), original), strict=True))
    assert far["enlarged"] <= 16
    assert far["enlarged"] <= far["upright"]
    mirrored = dict(zip(*_asked(np.asarray(small)[:, ::-1], original), strict=True))
    assert mirrored["enlarged/flip_left_right"] <= 18


@pytest.mark.parametrize(("longest", "least"), [(160, 0.99), (96, 0.98), (64, 0.95), (48, 0.92)])
def test_thumbnails_of_photographs_are_found(longest: int, least: float) -> None:
    """Of the photographs at hand that are larger than thumbnails and not one texture all over."""
    textures = {"brick.png", "grass.png", "gravel.png"}
    names = [name for name in PHOTOGRAPHS if Path(name).name not in textures]
    found = []
    for name in names:
        original, quality = PDQ.hash(photo(name))
        if quality >= PDQ.min_quality and min(photo(name).shape[:2]) >= 300:
            image = Image.fromarray(photo(name))
            image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
            asked = ask(PDQ, np.asarray(image), "standard")
            is_searched = asked.quality is not None and asked.quality >= PDQ.min_quality
            found.append(is_searched and int(distances(asked.hashes, original).min()) <= 31)
    assert len(found) >= 12
    assert np.mean(found) >= least


def _asked(pixels: Pixels, original: HashBatch) -> tuple[tuple[str, ...], list[int]]:
    asked = ask(PDQ, np.ascontiguousarray(pixels), "standard")
    return asked.names, distances(asked.hashes, original).tolist()


def test_enlarged_is_asked_of_pictures_whose_shorter_side_is_below_1000() -> None:
    for width, height, is_asked in ((999, 1500, True), (1500, 999, True), (1000, 1000, False)):
        names = ask(PDQ, picture(1, width, height), "standard").names
        assert ("enlarged" in names) is is_asked
        assert "enlarged" not in ask(PDQ, picture(1, width, height), "orientations").names
    bordered = np.pad(picture(1, 1200, 900), ((100, 100), (50, 50), (0, 0)))
    names = ask(PDQ, bordered, "standard").names
    assert "enlarged" not in names
    assert "trim/enlarged/transverse" in names
    assert "enlarged" not in ask(registry.hasher("pdq-nearest512"), picture(1), "standard").names


@pytest.mark.parametrize("key", [*SOME, "skimage/brick.png", "skimage/grass.png"])
def test_orientations_are_found_even_of_textures(key: str) -> None:
    original = photo(key)
    assert found_by(np.rot90(original), original, "orientations")
    assert found_by(original[:, ::-1], original, "orientations")


@pytest.mark.parametrize("key", SOME)
def test_borders_are_trimmed_whatever_their_colour_and_block(key: str) -> None:
    original = photo(key)
    for thick, value in ((11, 255), (30, 0), (17, 128)):
        bordered = np.pad(
            original, ((thick, thick), (thick + 3, thick + 3), (0, 0)), constant_values=value
        )
        assert any(name.startswith("trim") for name in found_by(bordered, original, "standard"))
    letterbox = np.pad(original, ((140, 140), (0, 0), (0, 0)))
    assert found_by(letterbox, original, "standard")[0] == "trim"
    turned = np.rot90(letterbox)
    assert found_by(turned, original, "standard")[0].endswith("/rotate_270")


@pytest.mark.parametrize("key", SOME)
@pytest.mark.parametrize("above", [False, True])
def test_captions_are_taken_off(key: str, above: bool) -> None:
    original = photo(key)
    bar = Image.new("RGB", (original.shape[1], 60), "white")
    font = ImageFont.load_default(28)
    ImageDraw.Draw(bar).text((10, 12), "a caption in large letters", "black", font)
    parts = [np.asarray(bar), original] if above else [original, np.asarray(bar)]
    captioned = np.ascontiguousarray(np.concatenate(parts))
    name = "caption_above" if above else "caption_below"
    assert captions(Sides(captioned))[name] == ((60, 0, 0, 0) if above else (0, 60, 0, 0))
    assert found_by(captioned, original, "thorough")[0].startswith(name)


@pytest.mark.parametrize("key", SOME)
def test_captions_on_both_sides_are_taken_off(key: str) -> None:
    original = photo(key)
    font = ImageFont.load_default(28)
    for colour, ink in (("white", "black"), ((17, 17, 17), "white")):
        bars = []
        for height, text in ((70, "WHEN YOU SEE IT"), (44, "below as well")):
            bar = Image.new("RGB", (original.shape[1], height), colour)
            ImageDraw.Draw(bar).text((10, 8), text, ink, font)
            bars.append(np.asarray(bar))
        meme = np.ascontiguousarray(np.concatenate([bars[0], original, bars[1]]))
        top, bottom, *sides = captions(Sides(meme))["caption_both"]
        assert abs(top - 70) <= 1
        assert abs(bottom - 44) <= 1
        assert sides == [0, 0]
        # What is plain above the upper text is no border of what is left below it.
        needless = {"trim_even", "caption_above_trim", "caption_below_trim"}
        assert not needless & set(cuts(meme, captioned=True))
        assert any(name.startswith("caption_both") for name in found_by(meme, original, "thorough"))


@pytest.mark.parametrize("key", SOME)
def test_negatives_are_found_as_if_they_were_inverted_back(key: str) -> None:
    original = photo(key)
    upright = PDQ.hash(original)[0]
    for query, name, of_positive in (
        (255 - original, "inverted", "upright"),
        (255 - np.rot90(original), "inverted/rotate_270", "rotate_270"),
        (np.pad(255 - original, ((30, 30), (30, 30), (0, 0))), "trim/inverted", "trim"),
    ):
        negative = np.ascontiguousarray(query)
        assert not found_by(negative, original, "orientations")
        asked, back = ask(PDQ, negative, "standard"), ask(PDQ, 255 - negative, "standard")
        row, same = asked.names.index(name), back.names.index(of_positive)
        assert distances(asked.hashes[row : row + 1], upright) <= 16
        assert distances(asked.hashes[row : row + 1], back.hashes[same : same + 1]) <= 8
    assert "inverted" not in ask(registry.hasher("dhash"), original, "thorough").names


@pytest.mark.parametrize("key", SOME)
def test_small_crops_and_turns_are_undone(key: str) -> None:
    original = photo(key)
    h, w = original.shape[:2]
    for top, bottom, left, right in ((0.02, 0.03, 0.01, 0.04), (0.0, 0.0, 0.05, 0.0)):
        crop = original[int(h * top) : h - int(h * bottom), int(w * left) : w - int(w * right)]
        assert "upright" not in found_by(crop, original, "standard")
        assert found_by(crop, original, "thorough")[0].startswith("pad:")
    for degrees in (-4, 2.5):
        turned = np.asarray(Image.fromarray(original).rotate(degrees, Image.Resampling.BICUBIC))
        name = found_by(turned, original, "thorough")[0]
        assert abs(float(name.removeprefix("turn:")) - degrees) <= 1


def test_frames_lie_around_the_picture() -> None:
    for ratio in (0.2, 1.0, 16 / 9, 0.8001):
        frames = every_frame(ratio)
        count = len(frames.framings) + 8 * len(frames.oriented) + len(frames.hidden)
        count += (1 + GUESSES) * len(frames.unsure)
        assert len(set(frames.names)) == len(frames.names) == count
        assert all(
            0 < left + top + right + bottom < 0.5 for left, top, right, bottom, _ in frames.unsure
        )
        assert len({*frames.framings, *frames.oriented}) == (
            len(frames.framings) + len(frames.oriented)
        )
        for name, framing in zip(frames.names, frames.framings, strict=False):
            assert min(framing[:4]) >= 0.0
            if name.startswith("pad"):
                assert not framing.turn
                assert max(framing.left + framing.right, framing.top + framing.bottom) < (
                    MOST_CUT + 1e-9
                )
        named = [name for name in frames.names if name.startswith("turn")]
        assert len(named) == 8 * sum(1 for framing in frames.oriented if framing.turn)
    assert every_frame(0.5).names == every_frame(2.0).names


def test_shapes_are_asked_of_pictures_that_were_cut_to_one() -> None:
    wanted = {
        1.0: ["from:2:3", "from:3:4", "from:4:3", "from:3:2", "from:3:2/left", "from:2:3/bottom"],
        16 / 9: ["from:4:3", "from:3:2", "from:1:1"],
        4 / 5: ["from:2:3", "from:3:4", "from:1:1"],
        0.59: [],
    }
    for ratio, names in wanted.items():
        found = [name for name in every_frame(ratio).names if name.startswith("from:")]
        assert set(names) <= set(found)
        assert all(f"{name}/{GUESSES}" in found for name in names)
        assert names or not found
    assert len({every_frame(width / height) for width, height in CUT_TO}) == len(CUT_TO)


def test_soft_pictures_are_asked_for_in_their_own_orientation_alone() -> None:
    soft, sharp = every_frame(1.5, SOFT - 1), every_frame(1.5, SOFT)
    assert set(soft.names) < set(sharp.names)
    assert len(soft.names) == len(soft.framings) == 1 + 372 + 24
    assert every_frame(1.5, None) == sharp


@pytest.mark.parametrize("key", SOME)
def test_frames_are_tried_in_all_orientations(key: str) -> None:
    original = photo(key)
    h, w = original.shape[:2]
    crop = original[int(0.02 * h) : h - int(0.03 * h), int(0.01 * w) : w - int(0.04 * w)]
    turned = np.asarray(Image.fromarray(original).rotate(3, Image.Resampling.BICUBIC))
    for pixels, begins in ((crop, "pad:"), (turned, "turn:")):
        for laid, name in (
            (pixels[:, ::-1], "flip_left_right"),
            (pixels[::-1], "flip_top_bottom"),
            (np.rot90(pixels), "rotate_270"),
            (pixels.swapaxes(0, 1), "transpose"),
        ):
            assert not found_by(laid, original, "standard")
            found = found_by(laid, original, "thorough")[0]
            assert found.startswith(begins)
            assert found.endswith(f"/{name}")


@pytest.mark.parametrize("key", SOME)
def test_crops_within_a_border_are_put_back(key: str) -> None:
    original = photo(key)
    h, w = original.shape[:2]
    crop = original[int(0.04 * h) :, int(0.03 * w) : w - int(0.02 * w)]
    bordered = np.pad(crop, ((14, 14), (14, 14), (0, 0)), constant_values=255)
    assert not found_by(bordered, original, "standard")
    assert any("/pad:" in name for name in found_by(bordered, original, "thorough"))


def test_pictures_cut_to_a_shape_about_their_centre_are_put_back() -> None:
    found = []
    for key in PHOTOGRAPHS:
        original = photo(key)
        h, w = original.shape[:2]
        if min(h, w) < 300:
            continue
        whole = square(original)
        side = len(whole)
        upright = whole[:, round(0.1 * side) : side - round(0.1 * side)]
        by = found_by(upright, whole, "thorough")
        found.append((("from:1:1" in by), any(name.startswith("from:1:1/") for name in by)))
    likeliest, others = np.mean(found, axis=0)
    assert likeliest >= 0.4
    assert others > likeliest


def test_what_is_cut_off_a_picture_at_one_end_is_guessed() -> None:
    """From the end at which it was cut off, and with the frame on the side that is left."""
    original = square(photo(SOME[0]))
    wide = np.ascontiguousarray(original[: len(original) * 2 // 3])
    left = np.ascontiguousarray(wide[:, : len(wide)])
    frames = every_frame(1.0)
    names = [name for name in frames.names if name.startswith("from:")]
    begins = len(frames.names) - len(names)
    hashes = PDQ.hash_framings(left, *frames[1:])[begins:]
    apart = np.bitwise_count(hashes.words ^ PDQ.hash(wide)[0].words).sum(axis=1)
    assert names[int(apart.argmin())].startswith("from:3:2/left")


def test_stickers_are_filled_from_what_is_around_them() -> None:
    found = dict.fromkeys(LEVELS, 0)
    for key in SOME:
        for x, y in ((0.3, 0.3), (0.7, 0.4), (0.5, 0.7)):
            image = Image.fromarray(photo(key))
            radius = (0.05 * image.width * image.height / np.pi) ** 0.5
            centre = x * image.width, y * image.height
            ImageDraw.Draw(image).circle(centre, radius, (255, 204, 50))
            for level in ("standard", "thorough"):
                found[level] += bool(found_by(np.asarray(image), photo(key), level))
    assert found["thorough"] >= 7
    assert found["standard"] <= 4


def with_overlay(pixels: Pixels, kind: str) -> Pixels:
    """Cover a tenth of a picture with a face or a bar, saved as JPEG."""
    image = Image.fromarray(pixels)
    width, height = image.size
    draw, side = ImageDraw.Draw(image), (width * height) ** 0.5
    if kind == "face":
        x, y, radius = 0.6 * width, 0.45 * height, 0.17 * side
        draw.circle((x, y), radius, (255, 204, 50), (90, 60, 0), max(2, round(radius / 15)))
        for eye in (-0.4, 0.4):
            draw.circle((x + eye * radius, y - 0.3 * radius), 0.15 * radius, (60, 40, 10))
    elif kind == "bar":
        draw.rectangle((0.3 * width, 0.4 * height, 0.8 * width, 0.58 * height), (0, 0, 0))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=85)
    return np.asarray(Image.open(buffer))


def test_what_lies_over_a_picture_in_one_colour_is_found_and_filled() -> None:
    whole, found = [], []
    large = [key for key in PHOTOGRAPHS if min(photo(key).shape[:2]) >= 300]
    for number, key in enumerate(large):
        shown = with_overlay(photo(key), ("face", "bar")[number % 2])
        covered = overlays(shown)
        middle = [cells[27:31, 38:42].all() and 0.07 < cells.mean() < 0.16 for cells in covered]
        whole.append(any(middle))
        if number % 3 == 0:
            by = found_by(shown, photo(key), "thorough")
            found.append(any(name.startswith("overlay_") for name in by))
    assert np.mean(whole) >= 0.65
    assert np.mean(found) >= 0.4
    assert not any("overlay" in name for name in ask(PDQ, shown, "standard").names)


def test_what_is_plain_in_a_photograph_is_seldom_an_overlay() -> None:
    drawn = {"color.png", "logo.png"}
    keys = [key for key in PHOTOGRAPHS if Path(key).name not in drawn]
    assert sum(len(overlays(photo(key))) for key in keys) <= 0.2 * len(keys)
    for shape in ((1, 1), (1, 300), (64, 64)):
        assert not len(overlays(np.zeros((*shape, 3), np.uint8)))


def round_avatar(pixels: Pixels, ground: int, margin: int = 0) -> Pixels:
    side = len(pixels)
    places = np.arange(side) - (side - 1) / 2
    kept = np.clip(side / 2 - np.hypot(places[:, None], places) + 0.5, 0, 1)[..., None]
    disc = (pixels * kept + ground * (1 - kept)).astype(np.uint8)
    wide = ((margin, margin), (margin, margin), (0, 0))
    return np.pad(disc, wide, constant_values=ground)


def square(pixels: Pixels) -> Pixels:
    side = min(pixels.shape[:2])
    top, left = (pixels.shape[0] - side) // 2, (pixels.shape[1] - side) // 2
    return np.ascontiguousarray(pixels[top : top + side, left : left + side])


@pytest.mark.parametrize("key", SOME)
@pytest.mark.parametrize(("ground", "margin"), [(255, 0), (0, 40), (20, 3)])
def test_the_square_around_a_round_avatar_is_found(key: str, ground: int, margin: int) -> None:
    pixels = round_avatar(square(photo(key)), ground, margin)
    cut = avatar(pixels)
    assert cut is not None
    assert max(abs(side - margin) for side in cut) <= 1
    views = ask(PDQ, pixels, "thorough").views
    assert views["round"] == cut
    assert "round/1" not in ask(PDQ, pixels, "standard").names


def test_no_avatar_is_seen_in_photographs_and_other_frames() -> None:
    discs = {"retina.jpg", "color.png", "logo.png"}  # which are one, on a plain ground
    for key in PHOTOGRAPHS:
        if Path(key).name not in discs:
            assert avatar(photo(key)) is None
            assert avatar(np.pad(photo(key), ((20, 20), (20, 20), (0, 0)))) is None
    for shape in ((1, 1), (1, 90), (64, 64)):
        assert avatar(np.zeros((*shape, 3), np.uint8)) is None


def test_round_avatars_of_squares_are_found_by_what_may_have_been_around_them() -> None:
    likeliest, guessed, mirrored = [], [], []
    for key in (key for key in PHOTOGRAPHS if min(photo(key).shape[:2]) >= 300):
        original = square(photo(key))
        by = found_by(round_avatar(original, 255, 20), original, "thorough")
        numbers = [int(name.split("/")[1]) for name in by if name.startswith("round/")]
        likeliest.append(any(number <= 3 for number in numbers))
        guessed.append(bool(numbers))
        back = np.ascontiguousarray(round_avatar(original, 255)[:, ::-1])
        names = found_by(back, original, "thorough")
        mirrored.append(any(name.endswith("/flip_left_right") for name in names))
        assert mirrored[-1] or not likeliest[-1]  # other guesses are of one orientation
    assert np.mean(likeliest) >= 0.35
    assert np.mean(guessed) > np.mean(likeliest)
    assert np.mean(mirrored) >= 0.35


def test_what_is_around_a_disc_is_its_expected_value() -> None:
    """A field that is one wave is guessed from its rim; far from all it is the mean."""
    unknown, known, weights = _pdq_round.guess(2.5)
    y, x = np.mgrid[:64, :64] + 0.5
    wave = (100 + 40 * np.cos(np.pi / 40 * x) * np.cos(np.pi / 50 * y)).astype(np.float32)
    guessed = wave.copy().reshape(-1)
    guessed[unknown] = 0
    extrapolate.guessed(guessed, unknown, known, weights)
    mean = wave.reshape(-1)[known].mean()
    expected = mean + (wave.reshape(-1)[known] - mean) @ weights
    np.testing.assert_allclose(guessed[unknown], expected, atol=1e-2)
    truth = wave.reshape(-1)[unknown]
    assert np.abs(guessed[unknown] - truth).mean() < np.abs(mean - truth).mean() / 2
    flat = np.full(64 * 64, 7, np.float32)
    extrapolate.guessed(flat, unknown, known, weights)
    np.testing.assert_allclose(flat, 7, rtol=1e-5)


def test_hashes_of_framings_come_in_their_order() -> None:
    pixels = photo(SOME[0])
    some = Framing(), Framing(left=0.05), Framing(turn=3.0), Framing(0.01, 0.02, 0.01, 0.0, 2.0)
    discs = Disc(0.2, 0.3, 0.15), Disc(0.9, 0.5, 0.21), Disc(0.5, 0.5, 0.15)
    every = PDQ.hash_framings(pixels, some, some[1:3], discs)
    assert len(every) == 4 + 16 + 3
    assert every[:4] == PDQ.hash_framings(pixels, some)
    assert every[4:5] == every[1:2]
    assert every[12:13] == every[2:3]
    for number, disc in enumerate(discs, 20):
        assert PDQ.hash_framings(pixels, (), (), (disc,)) == every[number : number + 1]
    assert every[4:20] == PDQ.hash_framings(pixels, (), some[1:3])
    unsure = Framing(0.2, 0.0, 0.1), Framing(0.0, 0.3)
    more = PDQ.hash_framings(pixels, some, some[1:3], discs, unsure)
    assert more[: len(every)] == every
    assert len(more) == len(every) + 2 * (1 + GUESSES)
    for number, framing in enumerate(unsure):
        guesses = more[len(every) + number * (1 + GUESSES) :][: 1 + GUESSES]
        assert PDQ.hash_framings(pixels, (), (), (), (framing,)) == guesses
        likeliest = PDQ.hash_framings(pixels, (framing,))
        # A coefficient next to the median may fall on either side of it by the order of a sum.
        apart = np.bitwise_count(guesses.words ^ likeliest.words).sum(axis=1)
        assert apart[0] <= 2
        assert (apart[1:] > 2).all()
        assert len(np.unique(guesses.words, axis=0)) == 1 + GUESSES


def test_different_photographs_are_kept_apart() -> None:
    hashes = {key: PDQ.hash(photo(key))[0] for key in SOME}
    for key in SOME:
        asked = ask(PDQ, photo(key), "thorough").hashes
        for other in SOME:
            assert other == key or distances(asked, hashes[other]).min() > 50


@pytest.mark.parametrize("shape", [(64, 64), (64, 300), (65, 66), (1, 1), (3, 200)])
@pytest.mark.parametrize("value", [0, 255])
def test_degenerate_pictures_are_asked_about(shape: tuple[int, int], value: int) -> None:
    flat = np.full((*shape, 3), value, np.uint8)
    dot, frame, lines = flat.copy(), flat.copy(), flat.copy()
    dot[-1, -1] = 128
    frame[1:-1, 1:-1] = 100
    lines[::2] = 90
    for pixels in (flat, dot, frame, lines):
        for hasher in (PDQ, registry.hasher("dhash")):
            asked = ask(hasher, pixels, "thorough")
            assert len(set(asked.names)) == len(asked.names) == len(asked.hashes)
        height, width = shape
        for top, bottom, left, right in cuts(pixels, captioned=True).values():
            assert top + bottom < height
            assert left + right < width


def test_a_part_that_fades_from_corner_to_corner_is_left_out() -> None:
    """Two such parts of different photographs were 6 bits apart."""
    chance = np.random.default_rng(9)
    texture = np.kron(chance.integers(0, 256, (16, 16)), np.ones((16, 16))).astype(np.uint8)
    other = np.kron(chance.integers(0, 256, (16, 16)), np.ones((16, 16))).astype(np.uint8)
    alike = np.maximum(texture, texture.T)  # the same turned over its diagonal
    for half, is_asked in ((texture, True), (alike, False)):
        pixels = np.repeat(np.hstack([other, half])[:, :, None], 3, axis=2)
        found, hashes = parts(Pdq(), np.ascontiguousarray(pixels), 50)
        assert "half_left" in found
        assert ("half_right" in found) is is_asked
        assert len(hashes) == 8 * len(found)
