"""How far a list has come, kept apart from it: an older version never takes its place again.

An old version is signed as well as the latest. So the highest version that was ever used is kept,
for each key, as The Update Framework has it (theupdateframework.github.io/specification, 5.3 and
5.4). For each key, because a thief of one may sign a version of a very high number; a new key,
trusted in the place of the stolen one, has no mark yet and continues from where the list was.

Anyone who can put back the whole folder of a list can put back marks inside of it. They are safe
from that where he cannot write: the folder that HASHMATCH_MARKS names.
"""

from __future__ import annotations

import hashlib
import os
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec

from hashmatch._files import atomic, private
from hashmatch.errors import UntrustedList, UsageError
from hashmatch.records.typed import from_json
from hashmatch.store.manifest import Version  # noqa: TC001 - msgspec reads the annotation

if TYPE_CHECKING:
    from collections.abc import Iterable

PLACE = "HASHMATCH_MARKS"
"""The environment variable that names a folder for marks outside of the lists."""
UNSIGNED = "unsigned"
"""In the place of a key id: what holds for a list that no key is asked for."""
LARGEST = 1 << 16
"""Bytes of a file of marks."""
FURTHEST = 1_000_000
"""How far a version may be ahead of the last one seen. One update a minute takes two years."""

Who = Annotated[str, msgspec.Meta(pattern=rf"^([0-9a-f]{{16}}|{UNSIGNED})\Z")]


class Marks(msgspec.Struct, frozen=True):
    """The highest version that was used, by key id, when the list was last used, and its name.

    ``damage`` is one line if there is a file of marks that cannot be believed. Nothing is known
    then; take the highest version that is there and whole for a `floor`.
    """

    versions: dict[str, int] = {}
    used: datetime | None = None
    damage: str | None = None
    name: str | None = None

    @property
    def key_ids(self) -> set[str]:
        """The keys that were ever trusted when the list was used."""
        return set(self.versions) - {UNSIGNED}


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Marks as they are kept, with a checksum over the others: a digit may change by accident."""

    versions: dict[Who, Version]
    used: datetime | None
    name: str | None = None
    sha256: str = ""
    schema: Literal["hashmatch.marks/1"] = "hashmatch.marks/1"

    def encode(self) -> bytes:
        plain = msgspec.json.encode(msgspec.structs.replace(self, sha256=""), order="sorted")
        summed = msgspec.structs.replace(self, sha256=hashlib.sha256(plain).hexdigest())
        return msgspec.json.encode(summed, order="sorted")


def place(store: str) -> str:
    """Return where the marks of a list store are: inside, or in the folder HASHMATCH_MARKS.

    The name there is of the store's folder and where that is.
    """
    folder = os.environ.get(PLACE)
    if not folder:
        return os.path.join(store, "marks.json")
    real = os.path.realpath(store)
    name = re.sub(r"[^A-Za-z0-9_-]", "_", os.path.basename(real))[:60]
    return os.path.join(folder, f"{name}-{hashlib.sha256(os.fsencode(real)).hexdigest()[:16]}.json")


def read(path: str, *, allow_readable: bool = False) -> Marks:
    """Return the marks in a file, those of a list that was never used if there is none.

    See `place`. StoreError if it cannot be read, or others can write to it or, unless
    `allow_readable`, read it.
    """
    if not os.path.lexists(path):
        return Marks()
    data = private.read(path, LARGEST, allow_readable=allow_readable)
    try:
        file = from_json(data, _File)
        if file.encode() != data:
            raise ValueError
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        return Marks(damage=f"{path} is damaged: which versions were used is not known from it")
    return Marks(dict(file.versions), file.used, name=file.name)


def check(
    marks: Marks, version: int, key_ids: Iterable[str], *, floor: int = 0, behind: int = 0
) -> None:
    """Refuse a version that is older than one used before, or too far ahead: UntrustedList.

    `key_ids` are of the keys that are trusted and have signed it; none for an unsigned one. `floor`
    is the highest version known otherwise, which counts while the marks are damaged. It may be
    older by `behind` versions nevertheless: one, where the last one is found damaged and the one
    before it has to serve.
    """
    least = 0 if marks.damage is None else floor
    lowest = max(marks.versions.get(key, least) for key in set(key_ids) or {UNSIGNED})
    if version < lowest - behind:
        raise UntrustedList(
            f"cannot use version {version}: it is older than version {lowest}, which was used "
            "before. Get the current one, or, if that was no good, sign an even later one"
        )
    _check_jump(marks, version, floor)


def _check_jump(marks: Marks, version: int, floor: int) -> None:
    highest = max([floor, *marks.versions.values()])
    if version > highest + FURTHEST:
        raise UntrustedList(
            f"cannot use version {version}: it is more than {FURTHEST:,} ahead of version "
            f"{highest}, further than a list gets. Get one with the number that follows"
        )


def advance(
    path: str,
    version: int,
    key_ids: Iterable[str],
    *,
    floor: int = 0,
    now: datetime | None = None,
    name: str | None = None,
    allow_readable: bool = False,
) -> Marks:
    """Note that a version is in use, and return the marks after that. A mark never sinks.

    They are on the disk when this returns, in a folder that is made if it is not there. Of several
    processes that do it at once, each is heard. `key_ids` are of all keys that are trusted now, not
    only of those that signed it. Otherwise an old version by a key that is still trusted, but signs
    no more, could come back. Damaged marks begin again from `floor`; of names the first one stays.

    UntrustedList if it is too far ahead; StoreError if they cannot be read or written; UsageError
    if `version` is no number of a version, or one of `key_ids` no id of a key.
    """
    moment = (now or datetime.now(UTC)).replace(microsecond=0)
    atomic.make_folder(os.path.dirname(path) or os.curdir, allow_readable=allow_readable)
    with atomic.locked(f"{path}.lock"):
        known = read(path, allow_readable=allow_readable)
        _check_jump(known, version, floor)
        least = version if known.damage is None else max(version, floor)
        versions = known.versions | {
            key: max(known.versions.get(key, 0), least) for key in (*key_ids, UNSIGNED)
        }
        used = moment if known.used is None else max(known.used, moment)
        name = name if known.name is None else known.name
        data = _File(versions, used, name).encode()
        try:
            from_json(data, _File)
        except msgspec.MsgspecError as error:  # they would be taken for damaged
            raise UsageError(f"cannot write the marks: {error}") from None
        atomic.write(path, data)
    return Marks(versions, used, name=name)
