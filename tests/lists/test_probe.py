"""A known picture and a text: which hash it is, and never more than that is said of it."""

from __future__ import annotations

import base64
import json
import math
import random
import statistics
from functools import cache
from itertools import product
from typing import TYPE_CHECKING, Any

import imagehash
import numpy as np
import pytest
from PIL import Image

import hashmatch as hm
from cli_tools import IMAGES, run
from hashmatch import registry
from hashmatch.lists.bit_order import reordered
from hashmatch.lists.foreign_hashes import blockhash, blockhash_quick
from hashmatch.lists.probe import CHAINS, KnownPicture, log10_chance, probe
from hashmatch.testing import picture

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TILES, DUSK = IMAGES / "plain/tiles.png", IMAGES / "plain/landscape-dusk.jpg"
known = cache(KnownPicture)
"""A picture whose hashes are made once for all tests: that takes a tenth of a second."""


def flipped(text: str, bits: int) -> str:
    """Return a hash with so many bits changed."""
    places = random.Random(bits).sample(range(len(text) * 4), bits)
    return f"{int(text, 16) ^ sum(1 << place for place in places):0{len(text)}x}"


@pytest.mark.parametrize(
    "algorithm",
    [
        name
        for name in registry.names(registry.HASHERS)
        if registry.hasher(name).reads != "video"  # which have no hash as a whole
        and not name.startswith("video_")  # digests of a file as those without it
    ],
)
def test_our_own_hashes_are_equal(algorithm: str) -> None:
    found = probe([(DUSK, hm.hash_image(DUSK, algorithm).hex)])
    assert (found.verdict, found.best and found.best.distances) == ("equal", (0,))
    assert algorithm in {found.best and found.best.what.source.algorithm, *found.equals}
    assert found.options[:2] == ("--algorithm", "pdq" if "pdq" in algorithm else algorithm)


@pytest.mark.parametrize("algorithm", ["phash", "pdq"])
@pytest.mark.parametrize("chain", CHAINS, ids=",".join)
def test_bits_in_another_order(algorithm: str, chain: tuple[str, ...]) -> None:
    own = bytes.fromhex(hm.hash_image(TILES, algorithm).hex)
    theirs = reordered(own, len(own) * 8, chain[::-1])  # what brings them back undoes it
    found = probe([(known(TILES), theirs.hex())])
    told = tuple(word for order in chain for word in ("--bits", order))
    assert (found.verdict, found.options) == ("equal", ("--algorithm", algorithm, *told))


WRITE: dict[str, Callable[[bytes], str]] = {
    "hex": bytes.hex,
    "hex-unpadded": lambda value: f"{int.from_bytes(value):x}",
    "base64": lambda value: base64.b64encode(value).decode(),
    "base32": lambda value: base64.b32encode(value).decode(),
    "decimal": lambda value: str(int.from_bytes(value)),
    "signed": lambda value: str(int.from_bytes(value, signed=True)),
    "binary": lambda value: f"{int.from_bytes(value):0{len(value) * 8}b}",
}


@pytest.mark.parametrize("encoding", WRITE)
@pytest.mark.parametrize("algorithm", ["phash", "dhash", "pdq"])
def test_every_way_to_write_a_hash(algorithm: str, encoding: str) -> None:
    for path in (TILES, DUSK):
        text = WRITE[encoding](bytes.fromhex(hm.hash_image(path, algorithm).hex))
        found = probe([(known(path), text)])
        assert (found.verdict, found.best and found.best.distances) == ("equal", (0,))
        assert found.options[1] == algorithm
        said = dict(zip(found.options[2::2], found.options[3::2], strict=True))
        assert "--bits" not in said
        assert hm.HashSpec("x", len(text) * 4 if encoding == "hex" else 64 if algorithm != "pdq"
                           else 256).parse(text, said.get("--encoding", "hex"))  # fmt: skip


def test_a_list_that_is_inverted_and_in_base64() -> None:
    own = bytes.fromhex(hm.hash_image(DUSK, "dhash").hex)
    theirs = base64.b64encode(bytes(255 - byte for byte in own)).decode()
    found = probe([(known(DUSK), theirs)])
    assert str(found) == "equal to dhash (--bits inverted --encoding base64)"
    assert found.options == (
        "--algorithm", "dhash", "--encoding", "base64", "--bits", "inverted",
    )  # fmt: skip
    assert "Import its lists with: --algorithm dhash --encoding base64" in found.advice[0]


def test_how_far_is_a_relation_and_what_is_chance() -> None:
    own = hm.hash_image(DUSK, "phash").hex
    said = [probe([(known(DUSK), flipped(own, bits))]).verdict for bits in (1, 6, 8, 12, 20)]
    assert said == ["close", "close", "close", "unrelated", "unrelated"]
    own = hm.hash_image(DUSK).hex
    said = [probe([(known(DUSK), flipped(own, bits))]).verdict for bits in (2, 31, 40, 60, 128)]
    assert said == ["close", "close", "near", "unrelated", "unrelated"]


def test_random_hashes_are_unrelated() -> None:
    source = random.Random(7)
    for bits in (64, 128, 160, 256) * 6:
        found = probe([(known(TILES), f"{source.getrandbits(bits):0{bits // 4}x}")])
        assert (found.verdict, found.options, found.variants) == ("unrelated", (), "")
        assert found.chance > -6
        assert found.nearest


@pytest.mark.parametrize(("bits", "distance"), [(64, 0), (64, 8), (256, 31), (2560, 1300), (16, 7)])
def test_chance_is_that_of_coins(bits: int, distance: int) -> None:
    exact = sum(math.comb(bits, k) for k in range(distance + 1))
    expected = 0.0 if 2 * distance >= bits else math.log10(exact) - bits * math.log10(2)
    assert log10_chance(bits, distance) == pytest.approx(expected)


def test_the_hash_of_another_algorithm_has_its_name_and_no_options() -> None:
    image = Image.open(TILES).convert("RGB")
    for theirs in (
        imagehash.phash(image, hash_size=16),
        imagehash.dhash_vertical(image),
        imagehash.average_hash(image, hash_size=32),
    ):
        found = probe([(known(TILES), str(theirs))])
        assert (found.verdict, found.options) == ("equal", ())
        assert ": hashmatch has no imagehash " in str(found)
        assert "No conversion makes a list of such hashes match" in found.advice[0]


def naive_blockhash(pixels: np.ndarray[Any, Any], side: int, quick: bool) -> str:
    """Return a blockhash pixel by pixel, as digits 0 and 1."""
    height, width = pixels.shape[:2]
    tall, wide = height / side, width / side
    if quick:
        tall, wide = height // side, width // side
    blocks = [0.0] * (side * side)
    for y, x in product(range(height), range(width)):
        total = float(int(pixels[y, x, 0]) + int(pixels[y, x, 1]) + int(pixels[y, x, 2]))
        for row, column in product(range(side), repeat=2):
            down = min(y + 1, (row + 1) * tall) - max(y, row * tall)
            across = min(x + 1, (column + 1) * wide) - max(x, column * wide)
            if down > 0 and across > 0:
                blocks[row * side + column] += total * down * across
    digits = ""
    for start in range(0, side * side, side * side // 4):
        quarter = blocks[start : start + side * side // 4]
        middle = statistics.median(quarter)
        light = middle > tall * wide * 256 * 3 / 2
        digits += "".join(str(int(v > middle or (abs(v - middle) < 1 and light))) for v in quarter)
    return digits


@pytest.mark.parametrize("shape", [(32, 48), (33, 45), (37, 24)])
@pytest.mark.parametrize("quick", [False, True])
def test_blockhash_is_that_of_the_naive_loop(shape: tuple[int, int], quick: bool) -> None:
    pixels = np.random.default_rng(shape).integers(0, 256, (*shape, 3)).astype(np.uint8)
    pixels[: shape[0] // 2] |= 192  # light quarters too
    bits = (blockhash_quick if quick else blockhash)(pixels, 8)
    assert "".join(map(str, bits.ravel().astype(int))) == naive_blockhash(pixels, 8, quick)


def test_what_takes_64_digits_and_is_no_pdq_is_told() -> None:
    pixels = hm.decode_image(TILES).pixels
    theirs = np.packbits(blockhash(pixels, 16)).tobytes().hex()
    found = probe([(known(TILES), theirs)])
    assert str(found) == "equal to blockhash 16: hashmatch has no blockhash 16"
    near = probe([(known(TILES), flipped(theirs, 4))])  # another tool's is always so far
    assert str(near) == "near blockhash 16, 4 of 256 bits off: hashmatch has no blockhash 16"


def test_a_file_that_is_stored_on_its_side(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "phone.jpg"
    image = Image.fromarray(picture(3, 400, 300))
    image.save(path, quality=95, exif=exif.tobytes())
    stored = np.asarray(Image.open(path))
    found = probe([(path, hm.hash_image(stored).hex)])
    assert found.verdict == "equal"
    assert found.variants == "standard"
    assert "as its file stores it, which is what python-threatexchange hashes" in str(found)
    assert "Scan for it with: --variants standard" in found.advice
    assert probe([(path, hm.hash_image(path).hex)]).variants == ""


def test_as_python_threatexchange_hashes_inks(tmp_path: Path) -> None:
    path = tmp_path / "press.jpg"
    Image.fromarray(picture(4, 320, 240)).convert("CMYK").save(path, quality=95)
    own = bytes.fromhex(hm.hash_image(np.asarray(Image.open(path))[..., :3].copy()).hex)
    found = probe([(path, own.hex())])
    assert (found.verdict, found.variants) == ("equal", "standard")
    assert "python-threatexchange" in str(found)


def test_a_frame_of_an_animation(tmp_path: Path) -> None:
    path = tmp_path / "three.png"
    frames = [Image.fromarray(picture(seed, 160, 120)) for seed in (1, 2, 3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    third = hm.hash_image(np.asarray(frames[2]), "phash").hex
    found = probe([(path, third)])
    assert str(found) == "equal to phash of frame 3"
    assert found.variants == "standard"


def test_a_picture_that_is_turned() -> None:
    turned = np.ascontiguousarray(np.rot90(picture(5)))
    found = probe([(picture(5), hm.hash_image(turned, "dhash").hex)])
    assert str(found) == "equal to dhash of the picture turned (rotate_90)"
    assert found.variants == "orientations"


def test_pairs_say_more_than_one() -> None:
    paths = [TILES, DUSK, IMAGES / "plain/texture-marble.jpg", IMAGES / "plain/avatar-robot.png"]
    hashes = [flipped(hm.hash_image(path, "phash").hex, 10) for path in paths]
    assert probe([(paths[0], hashes[0])]).verdict == "unrelated"  # chance might do as much
    found = probe(zip(paths, hashes, strict=True))
    assert found.verdict == "near"
    assert found.best
    assert (found.best.distances, found.best.within) == ((10,) * len(paths), 0)
    assert f"0 of {len(paths)} within 8 bits, the limit of phash" in " ".join(found.advice)
    mixed = probe([(known(TILES), hashes[0]), (DUSK, hm.hash_image(DUSK, "dhash").hex)])
    assert mixed.verdict == "unrelated"


def test_among_plain_files_one_that_lies_on_its_side(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    path = tmp_path / "phone.jpg"
    Image.fromarray(picture(3, 400, 300)).save(path, quality=95, exif=exif.tobytes())
    stored = hm.hash_image(np.asarray(Image.open(path))).hex
    found = probe([(path, stored), (TILES, hm.hash_image(TILES).hex)])
    assert (found.verdict, found.variants) == ("equal", "standard")


def test_a_picture_too_plain_for_one_hash_says_nothing_of_it() -> None:
    stripes = np.random.default_rng(3).integers(0, 256, (1, 40, 3)).astype(np.uint8)
    rows = stripes.repeat(10, axis=1).repeat(300, axis=0)
    plain = KnownPicture(rows)
    dull = {source.algorithm for source, data in plain.ours.items() if data is None}
    assert dull
    name = min(dull & {"phash", "dhash", "ahash", "whash"})
    other = hm.hash_image(rows, name, min_quality=0).hex
    assert probe([(plain, other)]).verdict == "unrelated"
    pairs = [(path, hm.hash_image(path, name).hex) for path in (TILES, DUSK)]
    found = probe([(plain, other), *pairs])
    assert (found.verdict, found.best and found.best.distances) == ("equal", (0, 0))


def test_what_is_no_hash_at_all() -> None:
    assert str(probe([(known(TILES), "ab" * 144)])) == (
        "unrelated to anything known: no hash known here is written in 288 such characters; "
        "PhotoDNA is as long, and is not matched here"
    )
    assert "written in 5 such characters" in str(probe([(known(TILES), "hello")]))
    both = [(known(TILES), "ab" * 8), (known(TILES), base64.b64encode(bytes(range(8))).decode())]
    assert "no hash known here is written in all these ways" in str(probe(both))


@pytest.mark.parametrize(
    ("image", "text", "reason"),
    [
        (TILES, " ", "cannot probe hash 1: it is empty"),
        (b"no picture", "ab" * 8, "cannot probe with"),
        (IMAGES / "missing.png", "ab" * 8, "No such file"),
        (np.full((99, 99, 3), 8, np.uint8), "ab" * 8, "too little detail.*Take another picture"),
        (np.zeros((9, 9, 3), np.uint8), "ab" * 8, "too small"),
    ],
)
def test_what_cannot_be_probed(image: Any, text: str, reason: str) -> None:
    with pytest.raises(hm.UsageError, match=reason) as caught:
        probe([(image, text)])
    assert "abab" not in str(caught.value)
    with pytest.raises(hm.UsageError, match="there is no picture"):
        probe([])


# --- the command ---------------------------------------------------------------------------------


def test_the_command_says_it_in_a_line_and_what_to_do() -> None:
    own = bytes.fromhex(hm.hash_image(TILES, "phash").hex)
    ran = run("list", "probe", TILES, reordered(own, 64, ["reversed"]).hex())
    assert ran.code == 0
    assert ran.out.decode().splitlines()[0] == "equal to phash (--bits reversed)"
    assert "Import its lists with: --algorithm phash --bits reversed" in ran.out.decode()


def test_the_command_ends_with_1_for_what_is_unrelated() -> None:
    ran = run("list", "probe", TILES, "0123456789abcdef")
    assert (ran.code, ran.out.decode().splitlines()[0]) == (1, "unrelated to anything known")
    assert "0123456789abcdef" not in (ran.out + ran.err).decode()


def test_the_command_takes_signed_numbers_and_standard_input() -> None:
    own = bytes.fromhex(hm.hash_image(TILES, "phash").hex)
    assert own[0] > 127  # its first bit is always set: as a signed number it is negative
    signed = str(int.from_bytes(own, signed=True))
    for ran in (
        run("list", "probe", TILES, signed),
        run("list", "probe", TILES, "-", stdin=f"{signed}\n".encode()),
    ):
        assert (ran.code, ran.out.decode().splitlines()[0]) == (
            0,
            "equal to phash (--encoding signed)",
        )


def test_the_command_takes_pairs_from_a_file(tmp_path: Path) -> None:
    for path in (TILES, DUSK):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    rows = "".join(f"{path.name},{hm.hash_image(path).hex}\n" for path in (TILES, DUSK))
    (tmp_path / "sent.csv").write_text(f"picture,hash\n{rows}")
    ran = run("list", "probe", "--pairs", tmp_path / "sent.csv", "--json")
    facts = json.loads(ran.out)
    assert (ran.code, facts["verdict"], facts["options"]) == (0, "equal", ["--algorithm", "pdq"])
    assert (facts["best"]["distances"], facts["best"]["within_limit"]) == ([0, 0], 2)
    (tmp_path / "sent.csv").write_text("name,hash\na,b\n")
    ran = run("list", "probe", "--pairs", tmp_path / "sent.csv")
    assert (ran.code, "Name its two columns picture and hash" in ran.err.decode()) == (2, True)


def test_the_command_wants_a_hash_after_each_picture() -> None:
    ran = run("list", "probe", TILES)
    assert (ran.code, "Give a HASH after each PICTURE" in ran.err.decode()) == (2, True)
    assert run("list", "probe").code == 2
