"""The records of a scan in parts as files: one for each part, and a manifest that names them.

::

    NAME/scan.json              which run of the scan they are of; NAME is that of the scan
    NAME/part-00000000.jsonl    the records of a part, in the order of the listing; or .parquet
    NAME/manifest.json          all files, and the totals: the output is complete

Each is written once, and whole. A part without a record has no file, except for the first one. The
client writes them, after the breaker: it knows the parts before.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import msgspec
from msgspec import UNSET

from hashmatch.errors import SinkError, UsageError, install
from hashmatch.scan.parts.place import BucketPlace, open_place

if TYPE_CHECKING:
    from hashmatch.records.review import ReviewRecord
    from hashmatch.scan.events import Counters
    from hashmatch.scan.parts.manifest import Manifest

Format = Literal["jsonl", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
VERSION = "hashmatch.output/1"


class PartOutput:
    """A folder, or one of a bucket, that gets the records of a `PartedScan`.

    Parameters
    ----------
    where : str
        The path of a folder, or ``s3://BUCKET/FOLDER``, gs and az alike. It may have the output of
        several scans, and of all shards of one.
    file_format : {"jsonl", "parquet"}
        JSON lines as of ``--out FILE``, or tables of `hashmatch.sinks.parquet_rows.RECORDS`.
    include_hash : bool
        Write the hashes of pictures that records have.

    Raises
    ------
    UsageError
        If there is no such format, or the extra ``parquet`` is not installed.
    CheckpointError
        If the folder cannot be made.
    """

    def __init__(
        self, where: str, file_format: Format = "jsonl", *, include_hash: bool = True
    ) -> None:
        if file_format not in FORMATS:
            raise UsageError(
                f"cannot write {file_format!r}: files of parts are jsonl or parquet. Give one of "
                "them"
            )
        if file_format == "parquet":
            try:
                import pyarrow  # noqa: F401
            except ImportError:
                raise UsageError(
                    f"cannot write to {where}: pyarrow is not installed. {install('parquet')}"
                ) from None
        self._where, self._format, self._include_hash = where, file_format, include_hash
        self._place = open_place(where, holds="records")
        self._name = ""
        self._about: dict[str, Any] = {}
        self._records: list[ReviewRecord] = []
        self._files: list[dict[str, Any]] = []

    def begin(self, manifest: Manifest) -> None:
        """Take the place of a scan in the folder.

        Parameters
        ----------
        manifest : Manifest
            What its state has of it.

        Raises
        ------
        SinkError
            If there is output of another run of it, or of other files.
        """
        self._name, self._about = manifest.name, manifest.about
        self._files.clear()
        self._records.clear()
        name = f"{self._name}/scan.json"
        said = msgspec.json.encode(
            {
                "version": VERSION,
                "state": manifest.token,
                "files": self._format,
                "include_hash": self._include_hash,
            }
        )
        if not self._place.create(name, said) and self._place.read(name) != said:
            raise SinkError(
                f"cannot write to {self._where}: {self._name} is there, the output of this scan "
                "with another --state, format or --include-hash. Give another folder, or remove it"
            )
        if isinstance(self._place, BucketPlace):
            self._place.check_conditions(name)

    def write(self, record: ReviewRecord) -> None:
        """Take a record of the part that is under way.

        Parameters
        ----------
        record : ReviewRecord
            As the breaker leaves it.
        """
        if not self._include_hash:
            record = replace(record, hash=replace(record.hash, value=UNSET))
        self._records.append(record)

    def end_part(self, number: int) -> None:
        """Write the file of a part, unless an earlier run has.

        Parameters
        ----------
        number : int
            Of the part; parts end in their order.
        """
        if self._records or number == 0:
            name = f"part-{number:08}.{self._format}"
            self._place.create(f"{self._name}/{name}", self._encoded())
            self._files.append({"name": name, "part": number, "records": len(self._records)})
        self._records.clear()

    def end(self, counters: Counters) -> None:
        """Write the manifest: all parts have ended.

        Parameters
        ----------
        counters : Counters
            What the scan has come to.
        """
        said = {
            "version": VERSION,
            "scan": self._name,
            "about": self._about,
            "listed": counters.listed,
            "outcomes": counters.outcomes,
            "suppressed_by": counters.suppressed_by,
            "records": sum(file["records"] for file in self._files),
            "files": self._files,
        }
        self._place.create(f"{self._name}/manifest.json", msgspec.json.encode(said) + b"\n")

    def _encoded(self) -> bytes:
        if self._format == "parquet":
            from hashmatch.sinks.parquet_rows import records_file

            return records_file(self._records)
        from hashmatch.sinks.jsonl import json_line

        return "".join(map(json_line, self._records)).encode()
