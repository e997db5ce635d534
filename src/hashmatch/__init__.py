"""Match pictures on unencrypted surfaces against known-hash lists, exactly, for human review.

Examples
--------
>>> import hashmatch as hm
>>> known = hm.read_list("fixtures/lists/demo-pdq.csv")
>>> matcher = hm.Matcher(known)
>>> picture = "fixtures/images/plain/landscape-dusk.jpg"
>>> record = matcher.check(picture, surface="profile_photo", item_id="user/42")
>>> record.outcome.value
'match'
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from hashmatch.records import VERSION

if TYPE_CHECKING:
    from hashmatch.decode.animation import decode_frames as decode_frames
    from hashmatch.decode.policy import Picture as Picture
    from hashmatch.decode.policy import decode_image as decode_image
    from hashmatch.errors import BadRows as BadRows
    from hashmatch.errors import CheckpointError as CheckpointError
    from hashmatch.errors import HashesAreOpaque as HashesAreOpaque
    from hashmatch.errors import HashmatchError as HashmatchError
    from hashmatch.errors import IndexFileError as IndexFileError
    from hashmatch.errors import ListError as ListError
    from hashmatch.errors import NotHashed as NotHashed
    from hashmatch.errors import RejectedRow as RejectedRow
    from hashmatch.errors import ReviewError as ReviewError
    from hashmatch.errors import SinkError as SinkError
    from hashmatch.errors import SourceError as SourceError
    from hashmatch.errors import SourceUnavailable as SourceUnavailable
    from hashmatch.errors import SpecMismatch as SpecMismatch
    from hashmatch.errors import StoreError as StoreError
    from hashmatch.errors import TooManyMatches as TooManyMatches
    from hashmatch.errors import UnknownPlugin as UnknownPlugin
    from hashmatch.errors import UnknownSurface as UnknownSurface
    from hashmatch.errors import UntrustedList as UntrustedList
    from hashmatch.errors import UsageError as UsageError
    from hashmatch.errors import WorkersError as WorkersError
    from hashmatch.hashing.hash_image import hash_all as hash_all
    from hashmatch.hashing.hash_image import hash_image as hash_image
    from hashmatch.hashing.hash_image import hash_images as hash_images
    from hashmatch.index.hash_index import HashIndex as HashIndex
    from hashmatch.lists.exclusions import Disabled as Disabled
    from hashmatch.lists.exclusions import leave_out as leave_out
    from hashmatch.lists.exclusions import read_disabled as read_disabled
    from hashmatch.lists.export import write_list as write_list
    from hashmatch.lists.ingest import ListFormat as ListFormat
    from hashmatch.lists.read import ListFile as ListFile
    from hashmatch.lists.read import read_list as read_list
    from hashmatch.lists.read import read_list_file as read_list_file
    from hashmatch.matching.breaker import Breaker as Breaker
    from hashmatch.matching.breaker import Trip as Trip
    from hashmatch.matching.lookup import Found as Found
    from hashmatch.matching.matcher import Matcher as Matcher
    from hashmatch.matching.videos import VideoThresholds as VideoThresholds
    from hashmatch.records.cases import Case as Case
    from hashmatch.records.cases import CaseState as CaseState
    from hashmatch.records.cases import ConfirmedCase as ConfirmedCase
    from hashmatch.records.cases import Decision as Decision
    from hashmatch.records.cases import Origin as Origin
    from hashmatch.records.cases import Verdict as Verdict
    from hashmatch.records.entries import Entry as Entry
    from hashmatch.records.enums import Orientation as Orientation
    from hashmatch.records.enums import Outcome as Outcome
    from hashmatch.records.enums import Surface as Surface
    from hashmatch.records.hash_list import HashList as HashList
    from hashmatch.records.hashes import HashBatch as HashBatch
    from hashmatch.records.hashes import HashSpec as HashSpec
    from hashmatch.records.images import HashedImage as HashedImage
    from hashmatch.records.images import ImageChanged as ImageChanged
    from hashmatch.records.images import ImageError as ImageError
    from hashmatch.records.images import ImageItem as ImageItem
    from hashmatch.records.images import ImageUnavailable as ImageUnavailable
    from hashmatch.records.images import ItemOutcome as ItemOutcome
    from hashmatch.records.matches import Matches as Matches
    from hashmatch.records.review import ReviewRecord as ReviewRecord
    from hashmatch.records.review import SuppressedBy as SuppressedBy
    from hashmatch.records.review import VideoMatch as VideoMatch
    from hashmatch.records.review import VideoSegment as VideoSegment
    from hashmatch.records.videos import HashedVideo as HashedVideo
    from hashmatch.records.videos import VideoFrames as VideoFrames
    from hashmatch.review.adapters import to_coop as to_coop
    from hashmatch.review.adapters import to_hma as to_hma
    from hashmatch.review.adapters import to_pytx as to_pytx
    from hashmatch.review.queue import ReviewQueue as ReviewQueue
    from hashmatch.sandbox.confinement import WorkerLimits as WorkerLimits
    from hashmatch.sandbox.pool import DecodePool as DecodePool
    from hashmatch.scan.checkpoint import Checkpoint as Checkpoint
    from hashmatch.scan.events import Counters as Counters
    from hashmatch.scan.events import Event as Event
    from hashmatch.scan.hash_archive import HashArchive as HashArchive
    from hashmatch.scan.json_log import JsonLog as JsonLog
    from hashmatch.scan.prometheus import MetricsFile as MetricsFile
    from hashmatch.scan.report import ScanReport as ScanReport
    from hashmatch.scan.rescan import rescan_archive as rescan_archive
    from hashmatch.scan.scan import ScanOptions as ScanOptions
    from hashmatch.scan.scan import scan_source as scan_source
    from hashmatch.store.importer import Change as Change
    from hashmatch.store.importer import Changed as Changed
    from hashmatch.store.list_store import ListStore as ListStore
    from hashmatch.store.signing import Trust as Trust
    from hashmatch.store.watch import watch as watch
    from hashmatch.video.hash_video import hash_video as hash_video
    from hashmatch.warmup import Warmed as Warmed
    from hashmatch.warmup import warm as warm

__version__ = VERSION

#: Where each public name lives; it is imported when it is first asked for.
_HOMES = {
    "hashmatch.decode.animation": "decode_frames",
    "hashmatch.decode.policy": "Picture decode_image",
    "hashmatch.errors": (
        "BadRows CheckpointError HashesAreOpaque HashmatchError IndexFileError ListError NotHashed "
        "RejectedRow ReviewError SinkError SourceError SourceUnavailable SpecMismatch StoreError "
        "TooManyMatches UnknownPlugin UnknownSurface UntrustedList UsageError WorkersError"
    ),
    "hashmatch.hashing.hash_image": "hash_all hash_image hash_images",
    "hashmatch.index.hash_index": "HashIndex",
    "hashmatch.lists.exclusions": "Disabled leave_out read_disabled",
    "hashmatch.lists.export": "write_list",
    "hashmatch.lists.ingest": "ListFormat",
    "hashmatch.lists.read": "ListFile read_list read_list_file",
    "hashmatch.matching.breaker": "Breaker Trip",
    "hashmatch.matching.lookup": "Found",
    "hashmatch.matching.matcher": "Matcher",
    "hashmatch.matching.videos": "VideoThresholds",
    "hashmatch.records.cases": "Case CaseState ConfirmedCase Decision Origin Verdict",
    "hashmatch.records.entries": "Entry",
    "hashmatch.records.enums": "Orientation Outcome Surface",
    "hashmatch.records.hash_list": "HashList",
    "hashmatch.records.hashes": "HashBatch HashSpec",
    "hashmatch.records.images": (
        "HashedImage ImageChanged ImageError ImageItem ImageUnavailable ItemOutcome"
    ),
    "hashmatch.records.matches": "Matches",
    "hashmatch.records.review": "ReviewRecord SuppressedBy VideoMatch VideoSegment",
    "hashmatch.records.videos": "HashedVideo VideoFrames",
    "hashmatch.review.adapters": "to_coop to_hma to_pytx",
    "hashmatch.review.queue": "ReviewQueue",
    "hashmatch.sandbox.confinement": "WorkerLimits",
    "hashmatch.sandbox.pool": "DecodePool",
    "hashmatch.scan.checkpoint": "Checkpoint",
    "hashmatch.scan.events": "Counters Event",
    "hashmatch.scan.hash_archive": "HashArchive",
    "hashmatch.scan.json_log": "JsonLog",
    "hashmatch.scan.prometheus": "MetricsFile",
    "hashmatch.scan.report": "ScanReport",
    "hashmatch.scan.rescan": "rescan_archive",
    "hashmatch.scan.scan": "ScanOptions scan_source",
    "hashmatch.store.importer": "Change Changed",
    "hashmatch.store.list_store": "ListStore",
    "hashmatch.store.signing": "Trust",
    "hashmatch.store.watch": "watch",
    "hashmatch.video.hash_video": "hash_video",
    "hashmatch.warmup": "Warmed warm",
}
_HOME = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME)  # noqa: PLE0605  (a list of names; the linter wants to see a literal)


if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        """Import a public name on first use, so that ``import hashmatch`` stays light."""
        if name not in _HOME:
            raise AttributeError(f"module 'hashmatch' has no attribute {name!r}")
        value = getattr(import_module(_HOME[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
