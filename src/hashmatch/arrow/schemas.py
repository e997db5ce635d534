"""Columns of batches: what `Match` and `Hash` give, and how a hashed picture becomes a row.

The metadata of every schema has its version under ``hashmatch``: another is raised only when a
column goes, or means something else. Columns may be added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import UNSET

from hashmatch import registry
from hashmatch.errors import UsageError
from hashmatch.hashing.chrome import ChromeMeter
from hashmatch.records.enums import Outcome
from hashmatch.records.hashes import HashBatch, HashSpec
from hashmatch.records.images import HashedImage
from hashmatch.records.review import ReviewRecord
from hashmatch.records.videos import HashedVideo
from hashmatch.sinks.parquet_rows import MATCH, match_struct

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from hashmatch.hashing.hash_image import HashPlan
    from hashmatch.records.images import ImageError, ImageItem, ItemOutcome

VERSION = "hashmatch.arrow/1"
"""Of the schemas."""
_TEXTS = pa.list_(pa.string())

MATCHES = pa.schema(
    [
        ("key", pa.string()),
        ("version", pa.string()),
        ("surface", pa.string()),
        ("outcome", pa.string()),
        ("reason", pa.string()),
        ("algorithm", pa.string()),
        ("hash", pa.binary()),
        ("quality", pa.int32()),
        ("damaged", pa.bool_()),
        ("match_count", pa.int64()),
        ("matches", pa.list_(MATCH)),
        ("record_id", pa.string()),
        ("record", pa.string()),
        ("snapshot", pa.string()),
    ],
    {"hashmatch": VERSION},
)
"""What `Match` gives for each row. ``matches`` is closest first, and empty where nothing matches;
``record`` is the review record as JSON and null where there is none, as is ``record_id``. Only
matches of clips have a ``video``; ``query`` and ``entry`` are the first and the last second of each
segment, in the clip and in the entry.
``snapshot`` names the lists that answered."""

IMAGES = pa.list_(
    pa.struct(
        [
            ("algorithm", pa.string()),
            ("bits", pa.int32()),
            ("outcome", pa.string()),
            ("reason", pa.string()),
            ("quality", pa.int32()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("damaged", pa.bool_()),
            ("media_type", pa.string()),
            ("frame", pa.int32()),
            ("decode_policy", pa.string()),
            ("variants", _TEXTS),
            ("hashes", pa.binary()),
            ("chrome", pa.list_(pa.struct([("view", pa.string()), ("share", pa.float64())]))),
        ]
    )
)
"""All that was hashed of a picture, a `hashmatch.HashedImage` each; ``hashes`` has those of its
``variants`` one after the other. ``chrome`` is how much of the picture, and of each view of it, is
plain colour, text and lines; older tables do not have it."""


def hash_schema(algorithm: str = "pdq") -> pa.Schema:
    """Return what `Hash` gives for each row.

    Parameters
    ----------
    algorithm : str
        The first one: ``hash`` is its hash of the upright picture, null where there is none.

    Returns
    -------
    pyarrow.Schema
        ``images`` has all hashes. ``plan`` says how the pictures were hashed, for `Match` to see.

    Examples
    --------
    >>> hash_schema("phash").field("hash").type
    FixedSizeBinaryType(fixed_size_binary[8])
    """
    return pa.schema(
        [
            ("key", pa.string()),
            ("version", pa.string()),
            ("surface", pa.string()),
            ("outcome", pa.string()),
            ("reason", pa.string()),
            ("width", pa.int32()),
            ("height", pa.int32()),
            ("media_type", pa.string()),
            ("damaged", pa.bool_()),
            ("hash", pa.binary(registry.spec(algorithm).bits // 8)),
            ("quality", pa.int32()),
            ("images", IMAGES),
            ("plan", pa.string()),
        ],
        {"hashmatch": VERSION, "algorithm": algorithm},
    )


def check_plan(plan: HashPlan) -> None:
    """Raise UsageError if a plan is not of pictures."""
    for hasher in plan.hashers:
        if hasher.reads == "video":
            raise UsageError(
                f"cannot hash pictures by {hasher.spec.algorithm}: it hashes videos. Give another "
                "algorithm"
            )


def plan_name(plan: HashPlan) -> str:
    """Return how pictures are hashed, apart from the algorithms: equal names, equal hashes."""
    quality = "default" if plan.min_quality is None else plan.min_quality
    return f"variants={plan.variants} min_quality={quality}"


def batch_of(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.RecordBatch:
    """Return a batch of rows, each by the name of its column; what a row lacks is null."""
    columns = [pa.array([row.get(field.name) for row in rows], field.type) for field in schema]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def match_row(
    result: ReviewRecord | ItemOutcome,
    hashed: Sequence[HashedImage | HashedVideo],
    include_hash: bool,
) -> dict[str, Any]:
    """Return the row of an item that was looked up; `hashed` is what `Matcher.hash` made."""
    row: dict[str, Any] = {"outcome": str(result.outcome), "reason": "", "match_count": 0}
    row["matches"] = []
    if isinstance(result, ReviewRecord):
        item, hash_ = result.item, result.hash
        row |= {
            "algorithm": hash_.algorithm, "quality": hash_.quality, "damaged": item.damaged,
            "match_count": result.match_count, "matches": list(map(match_struct, result.matches)),
            "record_id": result.record_id, "record": result.to_json().decode(),
        }  # fmt: skip
        if hash_.value is not UNSET:
            row["hash"] = bytes.fromhex(str(hash_.value))
        if result.suppressed_by is not UNSET:
            row["reason"] = result.suppressed_by.reason
        return {**row, "key": item.key, "version": item.version, "surface": str(item.surface)}
    row |= {"key": result.key, "version": result.version, "surface": str(result.surface)}
    row |= {"reason": result.reason, "quality": result.quality, "damaged": result.damaged}
    for one in hashed[-1:] if _is_clip(hashed) else hashed[:1]:
        row["algorithm"] = one.algorithm if isinstance(one, HashedVideo) else one.spec.algorithm
        if include_hash and isinstance(one, HashedImage) and len(one.hashes):
            row["hash"] = _bytes(one.hashes[:1])
    return row


def _is_clip(hashed: Sequence[HashedImage | HashedVideo]) -> bool:
    """Return whether what was hashed is a video: its frames come last."""
    return bool(hashed) and isinstance(hashed[-1], HashedVideo)


def hash_row(
    item: ImageItem, surface: str | None, hashed: Sequence[HashedImage], plan: str
) -> dict[str, Any]:
    """Return the row of a picture that was hashed."""
    first = hashed[0]
    row: dict[str, Any] = {
        "key": item.key, "version": item.version, "surface": surface,
        "outcome": str(first.outcome), "reason": first.reason, "quality": first.quality,
        "width": first.width, "height": first.height, "media_type": first.media_type,
        "damaged": any(one.damaged for one in hashed), "plan": plan,
        "images": list(map(_image, hashed)),
    }  # fmt: skip
    if len(first.hashes):
        row["hash"] = _bytes(first.hashes[:1])
    return row


def unhashed_row(
    key: str | None, version: str | None, surface: str | None, why: ImageError
) -> dict[str, Any]:
    """Return the row of a picture that could not be read, or a row that names none."""
    return {
        "key": key, "version": version, "surface": surface, "outcome": str(why.outcome),
        "reason": why.reason, "damaged": False,
    }  # fmt: skip


def _image(one: HashedImage) -> dict[str, Any]:
    return {
        "algorithm": one.spec.algorithm, "bits": one.spec.bits, "outcome": str(one.outcome),
        "reason": one.reason, "quality": one.quality, "width": one.width, "height": one.height,
        "damaged": one.damaged, "media_type": one.media_type, "frame": one.frame,
        "decode_policy": one.decode_policy, "variants": list(map(str, one.variants)),
        "hashes": _bytes(one.hashes),
        "chrome": None if one.chrome is None else [
            {"view": view, "share": share} for view, share in one.chrome.shares().items()
        ],
    }  # fmt: skip


def hashes_of(images: pa.Array, spec: HashSpec) -> tuple[HashBatch, NDArray[np.int64]]:
    """Return all hashes of one kind in a column `images`, and the row that each is of."""
    held, parents = pc.list_flatten(images), pc.list_parent_indices(images).to_numpy()
    own = pc.equal(pc.struct_field(held, "algorithm"), spec.algorithm)
    data = pc.struct_field(held, "hashes").filter(own)
    counts = pc.binary_length(data).to_numpy() // (spec.bits // 8)
    rows = np.repeat(parents[own.to_numpy(zero_copy_only=False)], counts).astype(np.int64)
    return HashBatch.from_bytes(spec, b"".join(data.to_pylist())), rows


def hashed_images(key: str, images: Sequence[Mapping[str, Any]]) -> list[HashedImage]:
    """Return what `hash_row` has written of a picture."""
    return [_hashed_image(key, one) for one in images]


def _hashed_image(key: str, one: Mapping[str, Any]) -> HashedImage:
    spec = HashSpec(one["algorithm"], one["bits"])
    try:
        known = registry.spec(spec.algorithm)
        return HashedImage(
            key, known if known == spec else spec, Outcome(one["outcome"]),
            HashBatch.from_bytes(spec, one["hashes"]), one["reason"], one["quality"],
            one["width"], one["height"], one["damaged"], one["media_type"], one["frame"],
            one["decode_policy"], tuple(one["variants"]), _chrome(one.get("chrome")),
        )  # fmt: skip
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"cannot read the hashes of {key}: {error}. Give the column images as Hash makes it."
        ) from None


def _chrome(shares: Sequence[Mapping[str, Any]] | None) -> ChromeMeter | None:
    if shares is None:
        return None
    return ChromeMeter.of({each["view"]: each["share"] for each in shares})


def _bytes(hashes: HashBatch) -> bytes:
    return b"".join(map(bytes.fromhex, hashes.to_hex()))
