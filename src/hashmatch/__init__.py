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

if TYPE_CHECKING:
    from hashmatch.breaker import Breaker as Breaker
    from hashmatch.breaker import Trip as Trip
    from hashmatch.decode.frames import decode_frames as decode_frames
    from hashmatch.decode.policy import Picture as Picture
    from hashmatch.decode.policy import decode_image as decode_image
    from hashmatch.disabled import Disabled as Disabled
    from hashmatch.disabled import leave_out as leave_out
    from hashmatch.disabled import read_disabled as read_disabled
    from hashmatch.errors import BadRows as BadRows
    from hashmatch.errors import HashesAreOpaque as HashesAreOpaque
    from hashmatch.errors import HashmatchError as HashmatchError
    from hashmatch.errors import ImageChanged as ImageChanged
    from hashmatch.errors import ImageError as ImageError
    from hashmatch.errors import ImageUnavailable as ImageUnavailable
    from hashmatch.errors import IndexFileError as IndexFileError
    from hashmatch.errors import LedgerError as LedgerError
    from hashmatch.errors import ListError as ListError
    from hashmatch.errors import NotHashed as NotHashed
    from hashmatch.errors import ReviewError as ReviewError
    from hashmatch.errors import SinkError as SinkError
    from hashmatch.errors import SourceError as SourceError
    from hashmatch.errors import SpecMismatch as SpecMismatch
    from hashmatch.errors import StoreError as StoreError
    from hashmatch.errors import TooManyMatches as TooManyMatches
    from hashmatch.errors import UnknownPlugin as UnknownPlugin
    from hashmatch.errors import UnknownSurface as UnknownSurface
    from hashmatch.errors import UntrustedList as UntrustedList
    from hashmatch.errors import UsageError as UsageError
    from hashmatch.errors import WorkersError as WorkersError
    from hashmatch.hashing import hash_all as hash_all
    from hashmatch.hashing import hash_image as hash_image
    from hashmatch.hashing import hash_images as hash_images
    from hashmatch.index import HashIndex as HashIndex
    from hashmatch.ledger import Ledger as Ledger
    from hashmatch.lookup import Found as Found
    from hashmatch.matcher import Matcher as Matcher
    from hashmatch.metrics import MetricsFile as MetricsFile
    from hashmatch.observing import Counters as Counters
    from hashmatch.observing import Event as Event
    from hashmatch.reading import ListFile as ListFile
    from hashmatch.reading import read_list as read_list
    from hashmatch.reading import read_list_file as read_list_file
    from hashmatch.records.decisions import Case as Case
    from hashmatch.records.decisions import CaseState as CaseState
    from hashmatch.records.decisions import ConfirmedCase as ConfirmedCase
    from hashmatch.records.decisions import Decision as Decision
    from hashmatch.records.decisions import Origin as Origin
    from hashmatch.records.decisions import Verdict as Verdict
    from hashmatch.records.entries import Entry as Entry
    from hashmatch.records.enums import Orientation as Orientation
    from hashmatch.records.enums import Outcome as Outcome
    from hashmatch.records.enums import Surface as Surface
    from hashmatch.records.hashes import HashBatch as HashBatch
    from hashmatch.records.hashes import HashSpec as HashSpec
    from hashmatch.records.items import HashedImage as HashedImage
    from hashmatch.records.items import ImageItem as ImageItem
    from hashmatch.records.items import ItemOutcome as ItemOutcome
    from hashmatch.records.lists import HashList as HashList
    from hashmatch.records.lists import RejectedRow as RejectedRow
    from hashmatch.records.matches import Matches as Matches
    from hashmatch.records.review import ReviewRecord as ReviewRecord
    from hashmatch.records.review import SuppressedBy as SuppressedBy
    from hashmatch.reporting import ScanReport as ScanReport
    from hashmatch.rescan import rescan_kept as rescan_kept
    from hashmatch.resuming import about_scan as about_scan
    from hashmatch.resuming import resume_scan as resume_scan
    from hashmatch.revealing import write_list as write_list
    from hashmatch.review.handing.coop import to_coop as to_coop
    from hashmatch.review.handing.hma import to_hma as to_hma
    from hashmatch.review.handing.pytx import to_pytx as to_pytx
    from hashmatch.review.queue import ReviewQueue as ReviewQueue
    from hashmatch.scan import scan_source as scan_source
    from hashmatch.scan_log import JsonLog as JsonLog
    from hashmatch.store.change import Change as Change
    from hashmatch.store.change import Changed as Changed
    from hashmatch.store.list_store import ListStore as ListStore
    from hashmatch.store.trust import Trust as Trust
    from hashmatch.warming import Warmed as Warmed
    from hashmatch.warming import warm as warm
    from hashmatch.workers.limits import WorkerLimits as WorkerLimits
    from hashmatch.workers.pool import DecodePool as DecodePool

__version__ = "0.1.0"

#: Where each public name lives; it is imported when it is first asked for.
_HOMES = {
    "hashmatch.breaker": "Breaker Trip",
    "hashmatch.decode.frames": "decode_frames",
    "hashmatch.decode.policy": "Picture decode_image",
    "hashmatch.disabled": "Disabled leave_out read_disabled",
    "hashmatch.errors": (
        "BadRows HashesAreOpaque HashmatchError ImageChanged ImageError ImageUnavailable "
        "IndexFileError LedgerError ListError NotHashed ReviewError SinkError SourceError "
        "SpecMismatch StoreError TooManyMatches UnknownPlugin UnknownSurface UntrustedList "
        "UsageError WorkersError"
    ),
    "hashmatch.hashing": "hash_all hash_image hash_images",
    "hashmatch.index": "HashIndex",
    "hashmatch.ledger": "Ledger",
    "hashmatch.lookup": "Found",
    "hashmatch.matcher": "Matcher",
    "hashmatch.metrics": "MetricsFile",
    "hashmatch.observing": "Counters Event",
    "hashmatch.reading": "ListFile read_list read_list_file",
    "hashmatch.records.decisions": "Case CaseState ConfirmedCase Decision Origin Verdict",
    "hashmatch.records.entries": "Entry",
    "hashmatch.records.enums": "Orientation Outcome Surface",
    "hashmatch.records.hashes": "HashBatch HashSpec",
    "hashmatch.records.items": "HashedImage ImageItem ItemOutcome",
    "hashmatch.records.lists": "HashList RejectedRow",
    "hashmatch.records.matches": "Matches",
    "hashmatch.records.review": "ReviewRecord SuppressedBy",
    "hashmatch.reporting": "ScanReport",
    "hashmatch.rescan": "rescan_kept",
    "hashmatch.resuming": "about_scan resume_scan",
    "hashmatch.revealing": "write_list",
    "hashmatch.review.handing.coop": "to_coop",
    "hashmatch.review.handing.hma": "to_hma",
    "hashmatch.review.handing.pytx": "to_pytx",
    "hashmatch.review.queue": "ReviewQueue",
    "hashmatch.scan": "scan_source",
    "hashmatch.scan_log": "JsonLog",
    "hashmatch.store.change": "Change Changed",
    "hashmatch.store.list_store": "ListStore",
    "hashmatch.store.trust": "Trust",
    "hashmatch.warming": "Warmed warm",
    "hashmatch.workers.limits": "WorkerLimits",
    "hashmatch.workers.pool": "DecodePool",
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
