"""An index in a file: which blocks its snapshot is, and a snapshot from what a file says."""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING, Any

import numpy as np

from hashmatch._files.block_format import Description
from hashmatch._files.block_format import Segment as Stored
from hashmatch._files.block_reader import MappedFile, open_blocks
from hashmatch._files.block_writer import write as write_blocks
from hashmatch._files.block_writer import write_built
from hashmatch._kernels.clusters import BEGIN, END
from hashmatch._kernels.linear import column_type
from hashmatch._kernels.simd import GROUP
from hashmatch._kernels.tables import SIGNATURE
from hashmatch.errors import IndexFileError
from hashmatch.index.clusters import MOST, Clusters
from hashmatch.index.segment import Segment, column_bits
from hashmatch.index.snapshot import LONGEST, NO_LIMIT, Part, Snapshot
from hashmatch.index.tables import LONGEST_ADDRESS, Band, Tables, lay_head
from hashmatch.records import VERSION

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hashmatch._files.block_writer import FileArena
    from hashmatch.records.hash_list import HashList
    from hashmatch.records.hashes import HashBatch


MOST_MASKS, SOME_MASKS = 2**22, 2**16
"""Lines that a query looks at in all: what a file says is believed before any of it is laid out, up
to one for each entry, and a few more since tests lay out short lists like long ones."""


def write(path: str, state: Snapshot) -> None:
    """Write a snapshot, unless its own file turns out to be damaged; see `HashIndex.save`."""
    state.check()  # what was cut off cannot even be read
    description, blocks = _described(state)
    write_blocks(path, description, blocks, state.check)


def build(path: str, hashes: HashList | HashBatch, limit: int | None, name: str | None) -> None:
    """Write the first state of an index, made in its file; see `HashIndex.build_file`."""

    def made(arena: FileArena) -> tuple[Description, list[str]]:
        description, blocks = _described(Snapshot.build(hashes, limit, name, arena))
        if [(array.dtype, array.shape) for _, array in blocks] != arena.kinds:
            raise AssertionError("arrays lie in the file in another order than in its description")
        return description, [name for name, _ in blocks]

    write_built(path, made)


def _described(state: Snapshot) -> tuple[Description, list[tuple[str, NDArray[Any]]]]:
    """Return what a file of a snapshot says, and its arrays by name, in the order of the file."""
    from hashmatch.decode.policy import POLICY  # with Pillow, which nobody needs who only reads

    blocks: list[tuple[str, NDArray[Any]]] = []
    stored = []
    for place, part in enumerate(state.parts):
        segment = part.segment
        arrays: dict[str, NDArray[Any]] = {"columns": segment.columns}
        facts: dict[str, int | float | str] = {
            "count": segment.count,
            "own": part.own,
            "every": int(part.every),
        }
        if segment.tables is not None:
            arrays["tables"] = segment.tables.tables
            facts["bands"] = ";".join(",".join(map(str, band)) for band in segment.tables.bands)
            facts["lines"] = ",".join(map(str, segment.tables.lines))
        if segment.clusters is not None:
            clusters = segment.clusters
            arrays |= {
                "centers": clusters.centers, "members": clusters.columns, "rows": clusters.rows,
            }  # fmt: skip
            facts["clusters"] = ";".join(
                ",".join(map(str, bounds)) for bounds in clusters.bounds.tolist()
            )
        if part.numbers is not None:
            arrays["numbers"] = part.numbers
        names = {role: f"{place}/{role}" for role in arrays}
        blocks += [(names[role], array) for role, array in arrays.items()]
        stored.append(Stored(segment.limit, names, facts))
    if state.own is not None:
        blocks.append(("own", state.own))
    if state.gone is not None:
        blocks.append(("gone", state.gone.view(np.uint8)))
    facts = {"following": state.following}
    if state.limit is not None:
        facts["limit"] = state.limit
    description = Description(state.spec, state.name, POLICY, VERSION, tuple(stored), facts)
    return description, blocks


def read(path: str, check: bool) -> Snapshot:
    """Return the snapshot in a file; see `HashIndex.open`."""
    file = open_blocks(path, check=check)
    try:
        state = _snapshot(file)
    except (ValueError, KeyError, TypeError, IndexError, OverflowError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise IndexFileError(
            f"cannot open {path}: it is not an index that can be searched ({reason}). Build it "
            "again"
        ) from None
    state.check()
    return state


def _snapshot(file: MappedFile) -> Snapshot:
    description, blocks = file.description, file.blocks
    spec, facts = description.spec, description.facts
    following, limit = _number(facts["following"]), facts.get("limit")
    parts = tuple(_part(stored, blocks, spec.bits, following) for stored in description.segments)
    # What says which entries there are is copied: it may be believed, whatever becomes of the file.
    own = _array(blocks["own"], np.int16, (following,)).copy() if "own" in blocks else None
    gone = _array(blocks["gone"], np.uint8, (following,)) != 0 if "gone" in blocks else None
    if not parts:
        raise ValueError("it has no parts")
    if spec.bits > LONGEST:
        raise ValueError("its hashes are too long")
    rows = sum(part.segment.count for part in parts)
    if not following - (0 if gone is None else int(gone.sum())) <= rows <= following:
        raise ValueError("it has more or fewer entries than numbers")
    if own is None and any(part.own != NO_LIMIT for part in parts):
        raise ValueError("its limits are not there")
    known = None if limit is None else _number(limit, 0, spec.bits)
    return Snapshot(spec, description.snapshot, parts, known, own, gone, following, file)


def _part(stored: Stored, blocks: Mapping[str, NDArray[Any]], bits: int, following: int) -> Part:
    of_part = {role: blocks[name] for role, name in stored.blocks.items()}
    width = -(-bits // 64)
    if "words" in stored.blocks:
        raise ValueError("it was made by an earlier version of hashmatch")
    count = _number(stored.facts["count"])
    each = column_bits("tables" in of_part)
    shape = width * 64 // each, -(-count // GROUP) * GROUP
    columns = _array(of_part["columns"], column_type(each), shape)
    numbers = of_part.get("numbers")
    if numbers is not None:
        numbers = _array(numbers, np.uint32, (count,)).copy()
    if (count if numbers is None or not count else int(numbers.max()) + 1) > following:
        raise ValueError("it has more entries than numbers")
    tables, clusters = None, None
    if "tables" in of_part:
        placed = count
        if "clusters" in stored.facts:
            clusters = _clusters(_numbers(stored.facts["clusters"]), of_part, bits)
            placed -= int((clusters.bounds[:, END] - clusters.bounds[:, BEGIN]).sum())
        if placed < 0:
            raise ValueError("its clusters have more entries than there are")
        bands = tuple(Band(*row) for row in _numbers(stored.facts["bands"]))
        lines = tuple(map(int, str(stored.facts["lines"]).split(",")))
        _check_bands(bands, lines, bits, stored.limit, placed)
        head, size = lay_head(bands, lines, count, placed)
        tables = Tables(bands, lines, head, _array(of_part["tables"], np.uint64, (size,)))
    limit = NO_LIMIT if tables is None or stored.limit is None else stored.limit
    own = _number(stored.facts["own"], NO_LIMIT, bits)
    every = bool(_number(stored.facts["every"], 0, 1))
    return Part(Segment(columns, count, tables, limit, clusters), numbers, own, every)


def _numbers(value: object) -> list[list[int]]:
    return [list(map(int, text.split(","))) for text in str(value).split(";")]


def _clusters(bounds: list[list[int]], of_part: Mapping[str, NDArray[Any]], bits: int) -> Clusters:
    """Return the clusters of a part, once it is sure that they lie in its arrays."""
    end, size = 0, len(of_part["rows"])
    for begin, own_end, radius in bounds:
        if begin % GROUP or not end <= begin <= own_end <= size or not 0 <= radius <= bits:
            raise ValueError("its clusters make no sense")
        end = own_end
    if len(bounds) > MOST or size % GROUP:
        raise ValueError("its clusters make no sense")
    width = bits // 64
    return Clusters(
        _array(of_part["centers"], np.uint64, (len(bounds), width)),
        np.array(bounds, np.int64),
        _array(of_part["members"], np.uint64, (width, size)),
        _array(of_part["rows"], np.uint32, (size,)),
    )


def _check_bands(
    bands: tuple[Band, ...], lines: tuple[int, ...], bits: int, limit: int | None, count: int
) -> None:
    """Raise ValueError unless these are bands that find every entry, and lines for them."""
    end, masks = 0, 0
    for band, own in zip(bands, lines, strict=True):
        longest = min(band.width, LONGEST_ADDRESS, bits - SIGNATURE)
        fits = 0 <= band.tolerance <= band.address and 1 <= band.address <= longest
        if band.offset != end or not fits:
            raise ValueError("its bands make no sense")
        masks += sum(comb(band.address, changed) for changed in range(band.tolerance + 1))
        if masks > min(MOST_MASKS, SOME_MASKS + count):
            raise ValueError("its bands take longer than looking at every entry")
        if own < band.lines(count) << band.address:
            raise ValueError("its bands have too few lines")
        end += band.width
    if end != bits or bits % 64 or sum(band.tolerance + 1 for band in bands) - 1 != limit:
        raise ValueError("its bands do not find every entry")
    if limit > bits:
        raise ValueError("its limit is more than all bits")


def _array(array: NDArray[Any], dtype: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    if array.dtype != dtype or array.shape != shape:
        raise ValueError(f"{array.dtype} {array.shape} in the place of {np.dtype(dtype)} {shape}")
    return array


def _number(value: object, least: int = 0, most: int = 2**32) -> int:
    if not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"{value!r} in the place of a number from {least} to {most}")
    return value
