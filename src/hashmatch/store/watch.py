"""Hands over the lists of a store, and again whenever a newer version of it can be used."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from hashmatch._files.private import stamp
from hashmatch.errors import HashmatchError, StoreError
from hashmatch.store.list_store import LOG

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from hashmatch.records.hash_list import HashList
    from hashmatch.store.layout import Folder
    from hashmatch.store.list_store import ListStore

INTERVAL = 30.0
"""Seconds between two looks at the folder: a look takes microseconds."""
NEWEST = 8
"""Versions whose files are looked at: one of them may be signed or restored later."""
AGAIN = 20
"""Looks after which what could not be used is tried again, though its files seem to be the same."""


def watch(
    store: ListStore,
    on_change: Callable[[tuple[HashList, ...]], object],
    *,
    on_error: Callable[[Exception], object] | None = None,
    interval: float = INTERVAL,
    stop: threading.Event | None = None,
) -> None:
    """Hand over the lists of a store now, and again whenever a newer version can be used.

    It returns when it is stopped; run it in a thread. A version that is damaged, not signed as it
    should be, or expired too long ago is not handed over: the last one keeps serving. That, and
    whatever `on_change` raises, is logged (``hashmatch.store``) and given to `on_error`, and tried
    again when the store changes, or after 20 intervals.

    Parameters
    ----------
    store : ListStore
        It may be empty as yet.
    on_change : callable
        Given the lists of a version, as `ListStore.open` returns them: make a matcher of them and
        put it in the place of the one that there is.
    on_error : callable, optional
        Given an error. What it raises ends the watch.
    interval : float
        Seconds between two looks.
    stop : threading.Event, optional
        Ends the watch when it is set.

    Examples
    --------
    >>> import tempfile
    >>> import hashmatch as hm
    >>> stop = threading.Event()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     store = hm.ListStore(f"{folder}/demo")
    ...     made = store.import_files(["fixtures/lists/demo-pdq.csv"])
    ...     hm.watch(store, lambda lists: (print(lists), stop.set()), stop=stop)
    (<HashList demo, version 1, pdq (256 bits), n=207>,)
    """
    stop = stop or threading.Event()
    version, expires, failed, looks = 0, None, False, 0
    seen: object = None
    while not stop.is_set():
        files = _files(store.folder)
        looks += 1
        if seen != (files, _age(store, expires)) or (failed and looks % AGAIN == 0):
            error: Exception | None = None
            try:
                newest = store.latest_version()
                content, problems = store.latest()
                manifest = content.manifest
                if manifest.version > version:
                    on_change(store.lists(content, problems))
                    version, expires = manifest.version, manifest.expires
                if manifest.version < newest:
                    error = StoreError("; ".join(problems))
            except Exception as raised:
                error = raised
            seen, failed = (files, _age(store, expires)), error is not None
            if error is not None:
                # What other errors say may be of anything.
                said = error if isinstance(error, HashmatchError) else type(error).__name__
                LOG.error("no newer version is in use: %s", said)
                if on_error is not None:
                    on_error(error)
        stop.wait(interval)


def _age(store: ListStore, expires: datetime | None) -> int:
    """Return 0 before the list in use expires, 1 after that, 2 when it is refused."""
    if expires is None:
        return 0
    return (store.now > expires) + (store.now > expires + store.trust.grace)


def _files(folder: Folder) -> object:
    """Return what changes when a version is added, signed or restored."""
    try:
        newest = folder.versions()[:NEWEST]
    except StoreError as error:
        return str(error)
    names = [("versions", f"{number:08}.{end}") for number in newest for end in ("json", "sig")]
    return newest, [
        stamp(folder.inside(*name), follow=False) for name in [*names, ("files",), ("copies",)]
    ]
