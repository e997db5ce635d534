"""What a version of a list says of itself: the text that is signed, and the digest of each file.

A manifest is JSON that can be written in one way only: keys in order, no spaces, everything said.
Text that says the same in another way, a key twice for instance, is none.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

import msgspec

from hashmatch.errors import StoreError, UsageError
from hashmatch.interfaces import ColumnUse  # noqa: TC001 - msgspec reads the annotation
from hashmatch.records.typed import from_json

SCHEMA: Literal["hashmatch.list/1"] = "hashmatch.list/1"
LARGEST = 1 << 24
"""Bytes of a manifest; one of a dozen files takes about four thousand, each page of a list 200."""
ROLLED_BACK_TO = "rolled back to"
"""A fact of the state of a version that has the same entries as an earlier one: its number."""
HIGHEST = 99_999_999
"""Of version numbers, which have eight digits in file names."""

Name = Annotated[str, msgspec.Meta(min_length=1, max_length=1000)]
Size = Annotated[int, msgspec.Meta(ge=0, le=1 << 53)]
Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
KeyId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{16}\Z")]
Version = Annotated[int, msgspec.Meta(ge=1, le=HIGHEST)]


class StoredFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One file of a version, by its content.

    ``role`` says what it is to the store, ``algorithm`` whose hashes it holds if it holds any of
    one kind, ``sha256`` and ``bytes`` what is on the disk, encrypted or not, and ``facts`` whatever
    else the store has to know of it; never a value of a hash.
    """

    role: Name
    sha256: Sha256
    bytes: Size
    algorithm: Name | None = None
    facts: dict[str, int | float | str | None] = {}


class ImportedFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A file that a version was made from, as it was received, and what was found in it.

    ``columns`` says what became of each, if its format has any.
    """

    name: Name
    sha256: Sha256
    bytes: Size
    rows: Size = 0
    rejected: Size = 0
    columns: tuple[ColumnUse, ...] = ()


class FetchedFrom(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the entries of a version come from: an exchange, and how far its list was fetched.

    ``exchange`` tells exchanges and their options apart, ``checkpoint`` is where the next fetch
    continues, and ``at`` when the fetch began.
    """

    exchange: Name
    checkpoint: Annotated[str, msgspec.Meta(max_length=1000)]
    at: datetime


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A version of a list: `base` is the one that it was made from, `hashmatch` what made it.

    Times are in UTC, whole seconds; without `expires` it never does. `decode_policy` says how the
    pictures behind the hashes were read, where that is known; `key_ids` by which keys it is to be
    signed, in order; `encoding` and `bits` how its files write hashes, `keep_ids` which ids are
    shown that may be hashes, `statuses` what its own words for a status mean, and
    `keep_low_quality` whether entries of too low a quality are matched, as `ListFormat` has it;
    `made_by` says how it was made, and `options` what was asked for then, by the name of the option
    on the command line, never a hash; `counts`, by algorithm, how many entries, how many removed,
    quarantined for which reason and so on. `fetched` says up to where an exchange was fetched: a
    checkpoint that is part of the version can neither be ahead of it nor behind.

    Examples
    --------
    >>> made = datetime(2026, 1, 1, tzinfo=UTC)
    >>> manifest = Manifest(name="demo", version=1, created=made, hashmatch="0.1.0")
    >>> decode("1.json", encode(manifest), 1) == manifest
    True
    """

    name: Name
    version: Version
    created: datetime
    hashmatch: Name
    expires: datetime | None = None
    decode_policy: Name | None = None
    base: Version | None = None
    key_ids: tuple[KeyId, ...] = ()
    encrypted: bool = False
    encoding: Name = "hex"
    bits: tuple[Name, ...] = ()
    keep_ids: tuple[Name, ...] = ()
    statuses: dict[Name, Name] = {}
    keep_low_quality: bool | msgspec.UnsetType = msgspec.UNSET
    made_by: Literal["import", "update", "rollback"] = "import"
    options: dict[Name, tuple[Name, ...]] = {}
    counts: dict[str, dict[str, Size]] = {}
    files: tuple[StoredFile, ...] = ()
    sources: tuple[ImportedFile, ...] = ()
    fetched: FetchedFrom | msgspec.UnsetType = msgspec.UNSET
    schema: Literal["hashmatch.list/1"] = SCHEMA

    def __post_init__(self) -> None:
        for moment in (self.created, self.expires):
            if moment is not None and (moment.tzinfo is not UTC or moment.microsecond):
                raise ValueError("a time that is no whole second in UTC")
        if self.base is not None and self.base >= self.version:
            raise ValueError("a base that is no earlier version")
        if list(self.key_ids) != sorted(set(self.key_ids)):
            raise ValueError("key ids that are not in order, or twice")

    @property
    def days(self) -> float | None:
        """How long it lasts, and each later one that does not say it; None for ever."""
        return None if self.expires is None else (self.expires - self.created) / timedelta(days=1)

    @property
    def rolled_back_to(self) -> int | None:
        """Which earlier version has the same entries, if it was made to have them."""
        found = (file.facts.get(ROLLED_BACK_TO) for file in self.files)
        return next((version for version in found if isinstance(version, int)), None)

    @property
    def columns(self) -> tuple[ColumnUse, ...]:
        """What became of the columns of the first file that it was made from and that has any."""
        return next((file.columns for file in self.sources if file.columns), ())


class _Schema(msgspec.Struct):
    schema: str


def encode(manifest: Manifest) -> bytes:
    """Return the bytes of a manifest, which are what is signed.

    UsageError if it holds what `decode` would refuse or read otherwise.
    """
    try:
        data = _canonical(manifest)
        if len(data) > LARGEST:
            raise ValueError(f"{len(data):,} bytes, of {LARGEST:,} at most")
        if from_json(data, Manifest) != manifest:
            raise ValueError("JSON does not keep it as it is")
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError) as error:
        raise UsageError(f"cannot write the manifest: {error}") from None
    return data


def decode(path: str, data: bytes, version: int | None = None, name: str | None = None) -> Manifest:
    """Return the manifest that some bytes are, nothing of which is believed, or shown.

    `path` is for messages. StoreError if they are none, or that of another version than its file
    name says, or of another list, of which keys may sign several.
    """
    try:
        if len(data) > LARGEST:
            raise ValueError
        manifest = from_json(data, Manifest)
        if _canonical(manifest) != data:
            raise ValueError
    # What msgspec and json say of it may quote it.
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError):
        raise StoreError(_problem(path, data)) from None
    if version is not None and manifest.version != version:
        raise StoreError(
            f"cannot use {path}: it is the manifest of version {manifest.version}, in the "
            f"place of version {version}. Put each where it was"
        )
    if name is not None and manifest.name != name:
        raise StoreError(
            f"cannot use {path}: it is the manifest of another list than the one that belongs "
            "there. Put each where it was"
        )
    return manifest


def _canonical(manifest: Manifest) -> bytes:
    return msgspec.json.encode(manifest, order="sorted")


def _problem(path: str, data: bytes) -> str:
    """Say what is wrong with a manifest that cannot be decoded."""
    try:
        kind, _, number = from_json(data, _Schema).schema.partition("/")
        if kind == "hashmatch.list" and number.isascii() and number.isdigit() and number != "1":
            return (
                f"cannot use {path}: it is a manifest of format {int(number[:9])}, and this "
                "version of hashmatch reads format 1. Use the version that wrote it"
            )
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    return f"cannot use {path}: it is damaged, or no manifest. Restore it, or import the list again"
