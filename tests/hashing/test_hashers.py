"""Every hasher equals its reference on every fixture and photograph, bit for bit."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any

import imagehash
import numpy as np
import pytest
from PIL import Image

import hashmatch as hm
from conftest import IMAGES, PHOTOGRAPHS, golden, photograph
from hashmatch import registry
from hashmatch.hashing.hash_image import hash_image
from hashmatch.interfaces import OrientedHasher
from hashmatch.testing import check_hasher, hash_list, picture, random_hashes

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PROFILES = ["pdq-nearest512", "pdq-thumb512"]
BUILT_IN = ["ahash", "dhash", "md5", "pdq", *PROFILES, "phash", "sha1", "sha256", "whash"]
REFERENCE = {
    "phash": imagehash.phash,
    "dhash": imagehash.dhash,
    "ahash": imagehash.average_hash,
    "whash": imagehash.whash,
}

CASES = [(name, row, IMAGES / name) for name, row in golden("hashes").items()]
CASES += [(name, row, photograph(name)) for name, row in golden("photographs").items()]


def test_all_are_found() -> None:
    assert set(BUILT_IN) <= set(registry.names(registry.HASHERS))


@pytest.mark.parametrize("algorithm", BUILT_IN)
def test_each_keeps_the_contract(algorithm: str) -> None:
    hasher = registry.hasher(algorithm)
    assert hasher.spec.algorithm == algorithm
    check_hasher(hasher)


@pytest.mark.parametrize(("name", "row", "path"), CASES, ids=[case[0] for case in CASES])
def test_golden_hashes(name: str, row: dict[str, Any], path: Path) -> None:
    hashed = hash_image(path)
    assert (hashed.hex, hashed.quality) == (row["pdq"], row["pdq_quality"])
    assert (hashed.width, hashed.height) == (row["width"], row["height"])
    for algorithm in set(BUILT_IN) & set(row) - {"pdq"}:
        assert hash_image(path, algorithm).hex == row[algorithm], algorithm


@pytest.mark.parametrize(("name", "row", "path"), CASES, ids=[case[0] for case in CASES])
def test_golden_orientations(name: str, row: dict[str, Any], path: Path) -> None:
    hashed = hash_image(path, orientations=True, min_quality=0)
    assert hashed.hashes.to_hex() == row["pdq_orientations"]
    assert hashed.hex == row["pdq_orientations"][0]


def test_orientations_of_other_algorithms_are_hashes_of_the_turned_pixels() -> None:
    pixels = picture(5)
    image = Image.fromarray(pixels)
    turn = Image.Transpose
    turned = [
        image, image.transpose(turn.ROTATE_90), image.transpose(turn.ROTATE_180),
        image.transpose(turn.ROTATE_270), image.transpose(turn.FLIP_TOP_BOTTOM),
        image.transpose(turn.FLIP_LEFT_RIGHT), image.transpose(turn.TRANSPOSE),
        image.transpose(turn.TRANSVERSE),
    ]  # fmt: skip
    hashed = hash_image(pixels, "dhash", orientations=True)
    assert hashed.hashes.to_hex() == [hash_image(one, "dhash").hex for one in turned]
    assert len([*hm.Orientation]) == 8
    # PDQ's own come from the DCT: near to those of the turned pixels, and surely the right ones.
    ours = hash_image(pixels, orientations=True).hashes.to_hex()
    for one, text in zip(turned, ours, strict=True):
        assert (int(text, 16) ^ int(hash_image(one).hex, 16)).bit_count() <= 24


@pytest.mark.parametrize("profile", PROFILES)
def test_a_profile_is_a_kind_of_its_own(profile: str) -> None:
    hasher, full = registry.hasher(profile), registry.hasher("pdq")
    assert hasher.spec != full.spec
    small, large = picture(3), np.repeat(np.repeat(picture(3), 3, 0), 3, 1)
    assert np.array_equal(hasher.hash(small)[0].words, full.hash(small)[0].words)
    assert isinstance(hasher, OrientedHasher)
    upright, quality = hasher.hash(large)
    eight, same = hasher.hash_orientations(large)
    assert (eight[:1], same) == (upright, quality)
    assert not np.array_equal(upright.words, full.hash(large)[0].words)
    known = hash_list(upright)
    with pytest.raises(hm.SpecMismatch):
        hm.HashIndex.build(known).search(full.hash(large)[0], 31)
    assert hm.Matcher(known).check(large, surface="public_post", item_id="p").outcome == "match"


def test_rows_that_say_pdq_are_of_the_profile_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "known.csv"
    (known,) = random_hashes(registry.spec("pdq"), 1, seed=4).to_hex()
    path.write_text(f"signal_type,hash\npdq,{known}\nmd5,{known[:32]}\n")
    for profile in ("pdq", *PROFILES):
        read = hm.read_list(path, profile)
        assert (read.spec.algorithm, len(read)) == (profile, 1)
        assert hm.read_list_file(path, hm.ListFormat(profile)).types == {"md5": 1, profile: 1}


@pytest.mark.parametrize("key", PHOTOGRAPHS)
def test_imagehash_itself_agrees(key: str) -> None:
    pixels = hm.decode_image(photograph(key)).pixels
    tall = pixels[:, : max(40, pixels.shape[0] // 3)]  # Pillow 13 resizes tall ones differently
    for array in map(np.ascontiguousarray, (pixels, tall, pixels[:37, :45])):
        for algorithm, reference in REFERENCE.items():
            hashes, quality = registry.hasher(algorithm).hash(array)
            assert hashes.to_hex() == [str(reference(Image.fromarray(array)))], algorithm
            assert quality is not None


@pytest.mark.peers
@pytest.mark.parametrize("key", PHOTOGRAPHS)
def test_pdqhash_itself_agrees(key: str) -> None:
    pdqhash = pytest.importorskip("pdqhash", reason="the extra bench is not installed")
    pixels = hm.decode_image(photograph(key)).pixels
    height, width = pixels.shape[:2]
    cuts = (pixels, pixels[: height // 2], pixels[:, : width // 3], pixels[::3, ::2])
    for array in map(np.ascontiguousarray, cuts):
        bits, quality = pdqhash.compute(array)
        hashes, ours = registry.hasher("pdq").hash(array)
        assert hashes.to_hex() == [f"{int(''.join(map(str, bits)), 2):064x}"]
        assert ours == quality


@pytest.mark.parametrize("algorithm", ["md5", "sha1", "sha256"])
def test_digests_are_of_the_bytes_as_received(algorithm: str) -> None:
    for data in (b"", b"no picture", (IMAGES / "small/icon.png").read_bytes()):
        assert hash_image(data, algorithm).hex == hashlib.new(algorithm, data).hexdigest()
    with pytest.raises(hm.UsageError, match="only pixels"):
        hash_image(picture(1), algorithm)


def test_outcomes_without_a_good_hash() -> None:
    small = hash_image(IMAGES / "small/icon.png")
    assert small.outcome is hm.Outcome.TOO_SMALL
    assert "12 x 12 pixels, pdq needs 24" in small.reason
    flat = hash_image(IMAGES / "flat/solid.png")
    assert flat.outcome is hm.Outcome.LOW_QUALITY
    assert "quality 0" in flat.reason
    assert len(flat.hashes) == 1
    assert hash_image(IMAGES / "flat/solid.png", min_quality=0).outcome is hm.Outcome.HASHED


def _patterns() -> dict[str, NDArray[np.uint8]]:
    """Draw what has no detail but along one direction, and gradients; seeded."""
    rng = np.random.default_rng(5)
    across, down = (np.arange(300) + 0.5) / 300, (np.arange(200)[:, None] + 0.5) / 200
    found = {}
    for along, place in (("across", across + 0 * down), ("down", down + 0 * across)):
        for bands in (2, 3, 4, 5):
            for number in range(4):
                edges = np.sort(rng.uniform(0.1, 0.9, bands - 1))
                colours = rng.integers(0, 256, (bands, 3))
                found[f"flag of {bands} {along}, {number}"] = colours[np.searchsorted(edges, place)]
        for count in (2, 6, 15, 40):
            stripes = (place * count % 1 < 0.5) * 255
            found[f"{count} stripes {along}"] = np.repeat(stripes[..., None], 3, 2)
        edges = np.cumsum(rng.integers(1, 8, 80)) / 320
        found[f"bars {along}"] = np.repeat(
            (np.searchsorted(edges, place) % 2 * 255)[..., None], 3, 2
        )
    for name, place in (("across", across + 0 * down), ("diagonal", (across + down) / 2)):
        for dark, light in ((0, 255), (90, 160), (200, 40)):
            grey = dark + (light - dark) * place
            found[f"gradient {name} {dark}"] = np.repeat(grey[..., None], 3, 2)
    return {name: picture.astype(np.uint8) for name, picture in found.items()}


@pytest.mark.parametrize("algorithm", ["phash", "dhash", "ahash", "whash"])
def test_what_has_no_detail_but_along_one_direction_is_not_searched(algorithm: str) -> None:
    for name, pattern in _patterns().items():
        file = io.BytesIO()
        Image.fromarray(pattern).save(file, "JPEG", quality=60)
        for image in (pattern, np.ascontiguousarray(np.rot90(pattern)), file.getvalue()):
            hashed = hash_image(image, algorithm)
            assert hashed.outcome is hm.Outcome.LOW_QUALITY, name
            assert "at least 50 is needed" in hashed.reason
            assert len(hashed.hashes) == 1


@pytest.mark.parametrize("algorithm", ["phash", "dhash", "ahash", "whash"])
def test_no_photograph_lacks_detail(algorithm: str) -> None:
    for key in PHOTOGRAPHS:
        if photographs_pdq(key) >= 50:
            image = Image.open(photograph(key)).convert("RGB")
            for longest in (1000, 160, 48):
                small = image.copy()
                small.thumbnail((longest, longest))
                assert hash_image(small, algorithm).outcome is hm.Outcome.HASHED, key


def photographs_pdq(key: str) -> int:
    quality = hash_image(photograph(key)).quality
    assert quality is not None
    return quality


def test_pdq_of_what_has_no_detail_but_along_one_direction_matches_nothing_else() -> None:
    """Its coefficients are rounding alone, as in the reference, and so are its hashes."""
    hashes = [hash_image(pattern).hashes for pattern in _patterns().values()]
    words = hm.HashBatch.concatenate(hashes).words
    apart = np.bitwise_count(words[:, None] ^ words[None]).sum(-1)
    pairs = apart[np.triu_indices(len(words), 1)]
    assert len(pairs) > 1000
    assert pairs.min() > 31


@pytest.mark.parametrize(
    ("algorithm", "least"),
    [("pdq", 24), ("pdq-nearest512", 24), ("pdq-thumb512", 24)]
    + [(name, 16) for name in ("phash", "dhash", "ahash", "whash")],
)
def test_the_least_side_of_each_algorithm(algorithm: str, least: int) -> None:
    for size in ((least - 1, 200), (200, least - 1)):
        small = hash_image(picture(1, *size), algorithm)
        assert small.outcome is hm.Outcome.TOO_SMALL
        assert small.reason.endswith(f"{algorithm} needs {least} on each side")
    for size in ((least, 200), (200, least)):
        hashed = hash_image(picture(1, *size), algorithm)
        assert hashed.outcome is hm.Outcome.HASHED
        assert len(hashed.hashes) == 1


@pytest.mark.parametrize("algorithm", ["phash", "dhash", "ahash", "whash"])
def test_solid_colours_are_low_quality_for_every_algorithm(algorithm: str) -> None:
    for colour in (0, 127, 255):
        hashed = hash_image(np.full((80, 90, 3), colour, np.uint8), algorithm)
        assert hashed.outcome is hm.Outcome.LOW_QUALITY


def test_many_images_are_lazy_and_in_order() -> None:
    def images() -> Any:
        yield picture(1)
        yield b""
        raise RuntimeError("one too many")

    results = hm.hash_images(images(), "dhash")
    assert next(results).outcome is hm.Outcome.HASHED
    assert next(results).outcome is hm.Outcome.UNDECODABLE
    with pytest.raises(RuntimeError):
        next(results)


def test_one_image_is_not_many() -> None:
    for one in ("a.jpg", b"bytes", IMAGES / "small/icon.png"):
        with pytest.raises(hm.UsageError, match="Call hash_image"):
            hm.hash_images(one)  # type: ignore[arg-type]


def test_unknown_algorithms_name_the_known() -> None:
    with pytest.raises(
        hm.UnknownPlugin,
        match=r"'photodna': it is not installed. Give one of ahash, dhash",
    ):
        hash_image(b"", "photodna")
