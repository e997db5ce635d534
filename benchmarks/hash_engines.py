"""Hashers: of an array of pixels, of the bytes of a JPEG, and in all eight orientations."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

import hashmatch as hm
from benchmarks.engines import OURS, Engine
from hashmatch import registry
from hashmatch.interfaces import OrientedHasher

if TYPE_CHECKING:
    from collections.abc import Callable

    from hashmatch.records.enums import Level

PEER_NAMES = {"ahash": "average_hash"}
"""What imagehash calls its functions, where that is not their common name."""


@dataclass(frozen=True, kw_only=True)
class HashEngine(Engine):
    """`run` is timed; `answer` turns what it returned into (hash in hexadecimal, quality)."""

    run: Callable[[Any], Any]
    answer: Callable[[Any], tuple[str, int | None]]
    furthest: int = 0
    """Bits that its hash may be from ours; 0 unless its pipeline is another."""


def hex_of_bits(bits: Any) -> str:
    """Return 0/1 values, most significant first, as hexadecimal."""
    return np.packbits(np.asarray(bits, np.uint8).ravel()).tobytes().hex()


def our_array_hasher(algorithm: str) -> HashEngine:
    """Return our hasher on decoded pixels."""
    hasher = registry.hasher(algorithm)
    return HashEngine(name=OURS, run=hasher.hash, answer=lambda raw: (raw[0].to_hex()[0], raw[1]))


def our_file_hasher(algorithm: str) -> HashEngine:
    """Return our whole way from bytes to hash, with its policy, limits and outcome."""
    return HashEngine(
        name=OURS,
        run=lambda data: hm.hash_image(data, algorithm),
        answer=lambda hashed: (hashed.hex, hashed.quality),
    )


def _pdqhash(pixels: Any) -> Any:
    import pdqhash

    return pdqhash.compute(pixels)


def _pdqhash_orientations(pixels: Any) -> Any:
    import pdqhash

    return pdqhash.compute_dihedral(pixels)


def _imagehash(algorithm: str) -> Callable[[Any], Any]:
    def run(image: Any) -> Any:
        import imagehash

        return getattr(imagehash, PEER_NAMES.get(algorithm, algorithm))(image)

    return run


def _threatexchange(data: bytes) -> Any:
    from threatexchange.signal_type.pdq.signal import PdqSignal

    return PdqSignal.hash_from_bytes(data)


def _threatexchange_rotations(data: bytes) -> Any:
    """Do what its ``match --rotations`` does: eight files, each turned, encoded and hashed."""
    from threatexchange.content_type.photo import PhotoContent
    from threatexchange.signal_type.pdq.signal import PdqSignal

    turned = PhotoContent.all_simple_rotations(data).values()
    return [PdqSignal.hash_from_bytes(one) for one in turned]


def _simplejpeg(data: bytes) -> Any:
    import simplejpeg

    return simplejpeg.decode_jpeg(data, "RGB")


def _perception(name: str) -> Callable[[bytes], Any]:
    def run(data: bytes) -> Any:
        from perception import hashers

        return getattr(hashers, name)().compute(io.BytesIO(data), hash_format="hex")

    return run


def array_engines(algorithm: str) -> list[HashEngine]:
    """Return ours, then its peer, on decoded pixels."""
    if algorithm == "pdq":
        peer = HashEngine(
            name="pdqhash",
            needs=("pdqhash",),
            run=_pdqhash,
            answer=lambda raw: (hex_of_bits(raw[0]), int(raw[1])),
        )
    else:
        compute = _imagehash(algorithm)
        peer = HashEngine(
            name="imagehash",
            needs=("imagehash",),
            run=lambda pixels: compute(Image.fromarray(pixels)),
            answer=lambda raw: (hex_of_bits(raw.hash), None),
        )
    return [our_array_hasher(algorithm), peer]


FOUR = ("ahash", "phash", "dhash", "whash")


def four_engines() -> list[HashEngine]:
    """Return ours, then imagehash: four hashes of one JPEG's bytes, decoded once on both sides."""
    hashers = [registry.hasher(algorithm) for algorithm in FOUR]

    def ours(data: bytes) -> Any:
        pixels = hm.decode_image(data).pixels
        return "".join(hasher.hash(pixels)[0].to_hex()[0] for hasher in hashers)

    def peer(data: bytes) -> Any:
        image = Image.open(io.BytesIO(data))
        image.load()
        return "".join(hex_of_bits(_imagehash(algorithm)(image).hash) for algorithm in FOUR)

    return [
        HashEngine(name=OURS, run=ours, answer=lambda raw: (raw, None)),
        HashEngine(
            name="Pillow + imagehash",
            needs=("imagehash",),
            run=peer,
            answer=lambda raw: (raw, None),
        ),
    ]


def file_engines(algorithm: str) -> list[HashEngine]:
    """Return ours, then its peers, from the bytes of a plain RGB JPEG; algorithm pdq or phash."""
    if algorithm == "phash":
        compute = _imagehash("phash")
        return [
            our_file_hasher("phash"),
            HashEngine(
                name="Pillow + imagehash",
                needs=("imagehash",),
                run=lambda data: compute(Image.open(io.BytesIO(data))),
                answer=lambda raw: (hex_of_bits(raw.hash), None),
            ),
            # OpenCV's gray and its area-averaging resize: near imagehash's bits, not equal.
            HashEngine(
                name="perception PHash",
                needs=("perception",),
                run=_perception("PHash"),
                answer=lambda raw: (raw, None),
                furthest=4,
            ),
        ]
    return [
        our_file_hasher("pdq"),
        HashEngine(
            name="Pillow + pdqhash",
            needs=("pdqhash",),
            run=lambda data: _pdqhash(np.asarray(Image.open(io.BytesIO(data)))),
            answer=lambda raw: (hex_of_bits(raw[0]), int(raw[1])),
        ),
        HashEngine(
            name="threatexchange PdqSignal",
            needs=("threatexchange", "pdqhash"),
            run=_threatexchange,
            answer=lambda raw: (raw, None),
        ),
        HashEngine(
            name="perception PDQHash",
            needs=("perception", "pdqhash"),
            run=_perception("PDQHash"),
            answer=lambda raw: (raw, None),
        ),
    ]


@dataclass(frozen=True, kw_only=True)
class OrientationsEngine(Engine):
    """`run` is timed; `answer` turns what it returned into eight hashes in hexadecimal."""

    run: Callable[[Any], Any]
    answer: Callable[[Any], list[str]]
    furthest: int = 0
    """Bits that each of its hashes may be from the nearest of ours."""


def orientations_of_arrays() -> list[OrientationsEngine]:
    """Return ours, then its peer, from decoded pixels to eight hashes."""
    hasher = registry.hasher("pdq")
    assert isinstance(hasher, OrientedHasher)
    return [
        OrientationsEngine(
            name=OURS, run=hasher.hash_orientations, answer=lambda raw: raw[0].to_hex()
        ),
        OrientationsEngine(
            name="pdqhash",
            needs=("pdqhash",),
            run=_pdqhash_orientations,
            answer=lambda raw: [hex_of_bits(bits) for bits in raw[0]],
        ),
    ]


def orientations_of_files() -> list[OrientationsEngine]:
    """Return ours, then its peer, from the bytes of a JPEG to eight hashes."""
    return [
        OrientationsEngine(
            name=OURS,
            run=lambda data: hm.hash_image(data, orientations=True),
            answer=lambda hashed: hashed.hashes.to_hex(),
        ),
        # It hashes turned pixels that have been encoded once more; ours are of one DCT.
        OrientationsEngine(
            name="threatexchange --rotations",
            needs=("threatexchange", "pdqhash"),
            run=_threatexchange_rotations,
            answer=lambda raw: raw,
            furthest=24,
        ),
    ]


def level_engine(level: Level) -> HashEngine:
    """Return our whole way from bytes to the hashes of a level of variants."""
    return HashEngine(
        name=f"hashmatch, {level}",
        run=lambda data: hm.hash_all(data, ["pdq"], variants=level)[0],
        answer=lambda hashed: (hashed.hex, hashed.quality),
    )


def floor_engine() -> HashEngine:
    """Return what no way from a JPEG to its hash can be faster than: decoding it.

    Its answer is the hash of what it decodes.
    """
    hasher = our_array_hasher("pdq")
    return HashEngine(
        name="bare decode (simplejpeg)",
        needs=("simplejpeg",),
        run=_simplejpeg,
        answer=lambda pixels: hasher.answer(hasher.run(pixels)),
    )


def same_orientations(ours: list[str], peer: list[str], furthest: int) -> bool:
    """Say whether both are eight, and each of a peer's is within `furthest` bits of one of ours.

    Equal hashes must be in the same order; a peer that turns the pixels has an order of its own.
    """
    if furthest == 0:
        return len(ours) == 8 and ours == peer
    nearest = [min((int(a, 16) ^ int(b, 16)).bit_count() for a in ours) for b in peer]
    return len(ours) == len(peer) == 8 and max(nearest) <= furthest


def same_hash(ours: tuple[str, int | None], peer: tuple[str, int | None], furthest: int) -> bool:
    """Say whether a peer's (hash, quality) is within `furthest` bits of ours; qualities equal."""
    bits = (int(ours[0], 16) ^ int(peer[0], 16)).bit_count()
    return (
        len(ours[0]) == len(peer[0])
        and bits <= furthest
        and (peer[1] is None or ours[1] == peer[1])
    )
