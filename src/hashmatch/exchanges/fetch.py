"""Fetches an exchange into its list store: every page since the last fetch, or nothing.

Pages are kept until the last is there, and then make one version: what is missing from half of a
list is not withdrawn. The checkpoint is part of the version, so that it is never ahead of what the
store has, and goes back with a rollback. An interrupted fetch continues after its last page.
"""

from __future__ import annotations

import hashlib
import logging
import os
from contextlib import closing
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from msgspec import structs

from hashmatch._redact import unseen
from hashmatch.errors import ExchangeError, HashmatchError, ListError
from hashmatch.exchanges.api import Interrupted, Refused
from hashmatch.exchanges.config import ExchangeStatus, now
from hashmatch.exchanges.spool import Progress, Spool
from hashmatch.lists.detect import read_rows
from hashmatch.lists.ingest import Rows
from hashmatch.store.importer import BAD_ROWS, SPREADSHEET, Change, as_before
from hashmatch.store.manifest import FetchedFrom

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from datetime import datetime

    from hashmatch.exchanges.config import ExchangeConfig, Exchanges
    from hashmatch.exchanges.spool import Page
    from hashmatch.interfaces import Exchange, ListPage
    from hashmatch.store.importer import Changed
    from hashmatch.store.list_store import ListStore
    from hashmatch.store.manifest import Manifest

LOG = logging.getLogger("hashmatch.exchanges")
LOG.addHandler(logging.NullHandler())

TRIES = 3
"""Of a page that breaks off while it is written."""
MOST_POSITION, MOST_CHECKPOINT = 1 << 16, 1000
"""Characters of what says how a fetch continues."""
RENEWED = timedelta(days=1)
"""After which a fetch makes a version though nothing is new, so that its checkpoint moves; of a
list that expires, after half of its time at the latest."""


class Fetched(NamedTuple):
    """What a fetch came to.

    Parameters
    ----------
    config : ExchangeConfig
        Which exchange.
    pages : int
        How many were fetched, or are left of a fetch that was interrupted.
    is_whole : bool
        Whether they were all of the list.
    changed : Changed, optional
        The new version; None if nothing was new.
    """

    config: ExchangeConfig
    pages: int
    is_whole: bool
    changed: Changed | None

    def __str__(self) -> str:
        pages = f"{self.pages:,} {'page' if self.pages == 1 else 'pages'}"
        if self.changed is None:
            return f"nothing is new, {pages}"
        counts = self.changed.effects.counts.items()
        effects = [f"{count:,} {name}" for name, count in counts if count]
        version = self.changed.manifest.version
        return f"version {version}, {pages}: {', '.join(effects) or 'nothing changed'}"


@unseen
def fetch(
    exchanges: Exchanges,
    name: str,
    store: ListStore,
    change: Change | None = None,
    *,
    allow_private: Collection[str] = (),
    full: bool = False,
    on_page: Callable[[int], object] = lambda count: None,
) -> Fetched:
    """Fetch what is new of an exchange, and make a version of its store of it.

    Parameters
    ----------
    exchanges : Exchanges
        Where it is kept.
    name : str
        What it is called.
    store : ListStore
        Its store, which may be empty as yet.
    change : Change, optional
        How the version is made, as by `ListStore.update_files`.
    allow_private : collection of str
        Hosts and networks that may be asked though they are not public.
    full : bool
        Fetch all of the list again.
    on_page : callable
        Called with how many pages there are, after each.

    Raises
    ------
    ExchangeError
        If it cannot be fetched. Pages that were fetched are kept for the next time.
    ListError
        If a page cannot be read, or the store refuses the pages. Its last version keeps serving.
    StoreError
        If the store cannot be used, or somebody else is fetching it.
    """
    config, change = exchanges.get(name), change or Change()
    with exchanges.working(name):
        status = exchanges.status(name)
        status = structs.replace(status, started=now())
        exchanges.note(name, structs.replace(status, is_running=True))
        try:
            with closing(exchanges.open(config, allow_private)) as exchange:
                found = _Fetch(exchanges, config, store, change, full, on_page).run(exchange)
        except HashmatchError as error:
            problem = str(error).replace("\n", "; ")
            exchanges.note(name, structs.replace(status, succeeded=False, problem=problem))
            LOG.error("%s is not fetched: %s", name, problem)
            raise
        except BaseException as error:
            problem = f"cannot fetch {name}: {type(error).__name__}"
            exchanges.note(name, structs.replace(status, succeeded=False, problem=problem))
            raise
        done = ExchangeStatus(
            started=status.started, completed=now(), succeeded=True, pages=found.pages
        )
        exchanges.note(name, done)
    LOG.info("%s is fetched: %s", name, found)
    return found


class _Fetch:
    """One fetch."""

    def __init__(
        self,
        exchanges: Exchanges,
        config: ExchangeConfig,
        store: ListStore,
        change: Change,
        full: bool,
        on_page: Callable[[int], object],
    ) -> None:
        self._config, self._store, self._full, self._on_page = config, store, full, on_page
        self._identity = identity(config)
        self._spool = Spool(exchanges.spool(config.name), config.name, store.key)
        self._change = change
        self._written: Manifest | None = None
        self._list_format: str | None = None

    def run(self, exchange: Exchange) -> Fetched:
        last = self._written = self._last()
        self._list_format = exchange.list_format
        reader = self._list_format or self._change.format.reader
        self._change = replace(
            self._change,
            name=self._change.name or (self._config.name if last is None else last.name),
            format=replace(self._change.format, reader=reader),
        )
        progress = self._resumed(last) or self._begun(exchange, last)
        if progress.checkpoint is None:
            found = self._pages(exchange, progress)
            if found is None:
                self._spool.clear()
                return Fetched(self._config, 0, exchange.is_whole, None)
            progress = found
        is_whole = progress.since is None or exchange.is_whole
        return Fetched(self._config, progress.pages, is_whole, self._take(progress, last, is_whole))

    def _last(self) -> Manifest | None:
        """Return the manifest of the version that the next one is made of; None without one."""
        if not os.path.isdir(self._store.folder.inside("versions")):
            return None
        self._store.folder.check()
        if not self._store.folder.versions():
            return None
        return self._store.trusting(self._change.signer).latest(fresh=False)[0].manifest

    def _resumed(self, last: Manifest | None) -> Progress | None:
        """Return how far an interrupted fetch is that can continue; None if there is none."""
        progress = self._spool.progress()
        if progress is None or progress.exchange != self._identity or self._full:
            return None
        if progress.refused and not self._change.accept:
            return None  # it may be better by now
        made = last.fetched if last is not None else msgspec.UNSET
        checkpoint = _checkpoint(last, self._identity)
        if isinstance(made, FetchedFrom) and made == self._from(progress):
            return None  # it was killed when all was done
        # Of a store that has come from elsewhere since, or was rolled back, pages are missing.
        return progress if progress.since in {None, checkpoint} else None

    def _begun(self, exchange: Exchange, last: Manifest | None) -> Progress:
        since, at = _checkpoint(last, self._identity), now()
        if last is not None and isinstance(last.fetched, FetchedFrom):
            is_old = exchange.remembers is not None and at - last.fetched.at > exchange.remembers
            # A server that says that a file is what it was lets its list expire.
            ends = exchange.is_whole and last.expires is not None and _is_due(last, at)
            since = None if is_old or ends or self._full else since
        progress = Progress(exchange=self._identity, since=since, at=at)
        self._spool.begin(progress)
        return progress

    def _pages(self, exchange: Exchange, progress: Progress) -> Progress | None:
        """Fetch the pages that are still missing; return None if nothing is new."""
        tries = 0
        while True:
            is_resumed = progress.position is not None
            try:
                for page in exchange.pages(progress.since, progress.position):
                    progress, is_resumed = self._kept(page, progress), False
                    if progress.checkpoint is not None:
                        return progress
            except Refused:
                if not is_resumed:
                    raise
                # What it named to continue with is not known to the server any more.
                LOG.warning("%s is fetched from the beginning again", self._config.name)
                progress = structs.replace(progress, pages=0, rows=0, position=None)
                self._spool.begin(progress)
                continue
            except Interrupted:
                tries += 1
                if tries >= TRIES:
                    raise
                continue
            if progress.pages:
                raise ExchangeError(
                    f"cannot fetch {self._config.name}: its pages end without a checkpoint. "
                    "Report it to who made the plug-in"
                )
            return None

    def _kept(self, page: ListPage, progress: Progress) -> Progress:
        """Keep a page that can be read, and how the fetch continues."""
        if len(page.position) > MOST_POSITION or len(page.checkpoint or "") > MOST_CHECKPOINT:
            raise ExchangeError(
                f"cannot fetch {self._config.name}: it names the next page with too many "
                "characters. Report it to the exchange"
            )
        number = progress.pages + 1
        rows = self._check(self._spool.put(number, page.data))
        progress = structs.replace(
            progress,
            pages=number,
            rows=progress.rows + rows,
            position=page.position,
            checkpoint=page.checkpoint,
        )
        self._spool.note(progress)
        self._on_page(number)
        return progress

    def _check(self, page: Page) -> int:
        """Return how many rows a page has; ExchangeError if it lacks some, or is something else."""
        accept, wanted = self._change.accept, self._list_format
        format = as_before(self._change.format, self._written, SPREADSHEET in accept)
        if wanted is not None:  # detected, so that what has another shape is said to have it
            format = replace(format, reader=None)
        rows = Rows(format, now().timestamp())
        name = self._config.name
        try:
            read = read_rows(page, format, rows)
        except ListError as error:
            raise ExchangeError(f"cannot fetch {name}: {error}") from None
        if wanted not in {None, read.reader}:
            raise ExchangeError(
                f"cannot fetch {name}: {page.name} is of the format {read.reader}, not {wanted}. "
                "Check the options of the exchange"
            )
        if rows.missing is not None and BAD_ROWS not in accept:
            raise ExchangeError(
                f"cannot fetch {name}: {page.name} lacks rows: line {rows.missing.line}: "
                f"{rows.missing.reason}. Fetch again later"
            )
        if 0 < rows.total == rows.refused:
            first = rows.rejected[0]
            raise ExchangeError(
                f"cannot fetch {name}: {page.name} has no row that can be used: line {first.line}: "
                f"{first.reason}. Check the options of the exchange"
            )
        return rows.total

    def _take(self, progress: Progress, last: Manifest | None, is_whole: bool) -> Changed | None:
        """Make a version of the pages; return None if they say nothing new."""
        change = replace(
            self._change,
            fetched=self._from(progress),
            skip_unchanged=last is not None
            and _checkpoint(last, self._identity) is not None
            and not _is_due(last, progress.at),
        )
        pages = [self._spool.page(number + 1) for number in range(progress.pages)]
        if last is None and not progress.rows:  # the list is empty as yet
            self._spool.clear()
            return None
        try:
            if is_whole:
                made = self._store.import_files(pages, change)
            else:
                made = self._store.update_files(pages, change)
        except ListError:
            self._spool.note(structs.replace(progress, refused=True))
            raise
        self._spool.clear()
        is_new = last is None or made.manifest.version != last.version
        return made if is_new else None

    def _from(self, progress: Progress) -> FetchedFrom:
        return FetchedFrom(
            exchange=self._identity, checkpoint=progress.checkpoint or "", at=progress.at
        )


def identity(config: ExchangeConfig) -> str:
    """Return what tells an exchange from another of its kind: a digest of its options.

    What a checkpoint of one means is nothing to another.
    """
    text = msgspec.json.encode(config.options, order="sorted")
    return f"{config.kind}-{hashlib.blake2b(text, digest_size=6).hexdigest()}"


def _checkpoint(last: Manifest | None, of: str) -> str | None:
    """Return where the next fetch of an exchange continues; None from the beginning."""
    if last is None or not isinstance(last.fetched, FetchedFrom) or last.fetched.exchange != of:
        return None
    return last.fetched.checkpoint


def _is_due(last: Manifest, at: datetime) -> bool:
    """Return whether a version is due at a time, though nothing may be new."""
    wait = RENEWED
    if last.expires is not None:
        wait = min(wait, (last.expires - last.created) / 2)
    return at - last.created >= wait
