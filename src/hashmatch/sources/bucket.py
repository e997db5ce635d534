"""A bucket, or a folder of one: S3 and what speaks like it, Google Cloud Storage, Azure."""

from __future__ import annotations

import io
from collections import Counter, OrderedDict
from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

from hashmatch.errors import HashmatchError, SourceError
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError, ImageItem, escape_name, unescape_name
from hashmatch.retry import until_available
from hashmatch.sources._object_store import UNLISTED_FOLDER, Objects, versions
from hashmatch.sources._streams import in_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hashmatch.records.enums import Surface
    from hashmatch.retry import Tries
    from hashmatch.sources._streams import Row


#: How many keys may lie between a key and the same listed once more.
REMEMBERED = 10_000
#: Where an object is whose key the client does not give as it is.
_SECOND, _UNLISTED = "//", "///"


class BucketSource:
    """Every object of ``s3://bucket/folder``, ``gs://bucket/folder`` or ``az://container/folder``.

    A key is the whole key of the object in its bucket, and its position; the order is that of
    keys, in which these servers list. A server that lists in no order is noticed at its first page:
    the listing is then sorted, 100,000 keys in memory at a time and the others in a temporary
    file. A version is the etag, or modification time and size where there is none.

    A key that the server lists once more, up to 10,000 keys later, is passed over and counted, and
    so is a folder's marker: an object of no bytes whose key ends in ``/``.

    Keys of S3 are what they are in the bucket: ``/a.png``, ``a//b`` and ``a/../b`` too. The client
    of the other clouds changes or refuses such keys. Where two objects have one key then, the
    second is ``key#2`` and fails; a folder with a key that it refuses is an item that fails, and
    if that is the whole source, a SourceError.

    A folder is a whole one: ``s3://b/pro`` has no objects of ``profiles/`` in it. The key of one
    object is a bucket of that object.

    `options` say what the environment does not say, or says otherwise, by the names `obstore` has
    for it: ``endpoint``, ``region``, ``access_key_id``, ``secret_access_key``, ``session_token``,
    ``skip_signature``, ``virtual_hosted_style_request`` and others; ``connect_timeout``,
    ``read_timeout`` and ``timeout`` as timedeltas (5 s, 10 s, 120 s); ``proxy_url``,
    ``root_certificate``. The environment's names are those of the cloud's own tools:
    AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID, GOOGLE_APPLICATION_CREDENTIALS,
    AZURE_STORAGE_ACCOUNT_NAME and so on. ``http://`` is spoken only with an endpoint that says so.

    UsageError if the location or an option cannot be, or the extra ``cloud`` is not installed.
    """

    def __init__(
        self, location: str, surface: Surface, options: Mapping[str, Any] | None = None
    ) -> None:
        # On the command line, what the locale does not know of UTF-8 is escaped.
        location = location.encode(errors="surrogateescape").decode(errors="surrogateescape")
        scheme, _, rest = location.partition("://")
        bucket, _, prefix = rest.partition("/")
        self._location = location
        self._surface = surface
        self._objects = Objects(f"{scheme}://{bucket}", options)
        self._is_literal = self._objects.takes_any_key
        prefix = prefix if self._is_literal else prefix.strip("/")
        self._prefix = f"{prefix}/" if prefix and not prefix.endswith("/") else prefix
        self.passed_over = Counter[str]()

    def __repr__(self) -> str:
        return f"<BucketSource {self._location}>"

    def items(self, after: str | None = None) -> Iterator[ImageItem]:
        """Yield every object once, in the order of keys.

        SourceError, in one line that names the bucket and what to do, if it is not there, access is
        denied, the server cannot be reached, or there is nothing in it; SourceUnavailable if
        another try may succeed.
        """
        self.passed_over = Counter()
        empty = True
        try:
            for key, version, size, is_second in self._rows(after):
                empty = False
                name, place = (f"{key}#2", _SECOND) if is_second else (key, key)
                if key.endswith(UNLISTED_FOLDER) and not self._is_literal:
                    name, place = key.removesuffix(UNLISTED_FOLDER[1:]), _UNLISTED
                yield ImageItem(escape_name(name), version, self._surface, place, key, size)
            if empty and after is None:
                yield self._only_one()
        except HashmatchError:
            raise
        except Exception as error:  # the client's own types, OSError and ValueError
            raise self._objects.cannot(error) from None

    def _only_one(self) -> ImageItem:
        """Return the object that the location names, where there is no folder of that name."""
        key = self._prefix.removesuffix("/")
        try:
            meta = self._objects.look_at(key) if key else None
        except FileNotFoundError:
            meta = None
        if meta is None:
            raise SourceError(
                f"cannot scan {self._location}: there are no objects in it. Give a folder by "
                "its whole name"
            )
        return ImageItem(escape_name(key), versions(meta)[0], self._surface, key, key, meta["size"])

    def _rows(self, after: str | None) -> Iterator[tuple[str, str, int, bool]]:
        """Yield key, version and size of each object, in order, and if it is second of its key."""
        pages = self._objects.pages(self._prefix, after)
        first = [_row(meta) for meta in next(pages, ())]
        rest = (_row(meta) for page in pages for meta in page)
        rows = chain(first, rest)
        if not _is_sorted(first):
            rows = chain(in_order(rows))
        last = after
        late: OrderedDict[str, Row] = OrderedDict()
        for row in rows:
            key, _, size = row
            if self._is_literal and key.endswith("/") and not size:
                self.passed_over["folders' markers"] += 1
            elif last is None or key > last:
                last, late[key] = key, row
                if len(late) > REMEMBERED:
                    late.popitem(last=False)
                yield (*row, False)
            elif key in late and (self._is_literal or late[key] == row):
                self.passed_over["keys that were listed again"] += 1
            elif key == last and late:
                yield (*row, True)
            elif late and not _is_marker(row, last):
                raise SourceError(
                    f"cannot list {self._location}: its server stopped listing in order. Scan "
                    "it from a manifest:// of its keys"
                )
            # Else the server has not begun behind `after`.

    def identity(self) -> str:
        """Return the bucket and folder, its server or account, and the surface."""
        return f"{self._objects.identity(self._prefix)} {self._surface}"

    def read(self, item: ImageItem) -> bytes:
        """Return the content of `item`; see `hashmatch.interfaces.Source.read`."""
        special = "" if self._is_literal else item.location
        if special == _UNLISTED:
            raise ImageError(
                Outcome.FAILED,
                "a folder that this client cannot list: a key in it has an empty part, a dot or a "
                "control character between its strokes; scan the others from a manifest://",
            )
        if special == _SECOND:
            raise ImageError(Outcome.FAILED, "this client cannot tell it from another key")
        return self._objects.read(item, item.location or unescape_name(item.key).decode())

    def open(self, item: ImageItem, tries: Tries) -> RangeFile:
        """Return a file of an object, of any size, that is read in parts as they are asked for.

        Parameters
        ----------
        item : ImageItem
            As it was listed.
        tries : Tries
            How often a part is asked for.
        """
        return RangeFile(self._objects, item, tries)

    def count(self) -> None:
        """Return None: only listing the whole bucket would tell."""

    def close(self) -> None:
        """Do nothing: connections close themselves when they are idle."""


class RangeFile(io.RawIOBase):
    """An object of a bucket as a file; SourceError if a part cannot be read, or it has changed."""

    def __init__(self, objects: Objects, item: ImageItem, tries: Tries) -> None:
        super().__init__()
        self._objects, self._item, self._tries = objects, item, tries
        self._size, self._at = item.size or 0, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return where the next bytes are."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place, from the beginning, from here, or from the end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read as much as there is room for, or is left."""
        size = min(len(buffer), self._size - self._at)
        if size <= 0:
            return 0
        item, start = self._item, self._at
        buffer[:size] = until_available(
            lambda: self._objects.get_range(item.location, item.version, start, size), self._tries
        )
        self._at += size
        return size


def _row(meta: Any) -> Row:
    return meta["path"], versions(meta)[0], meta["size"]


def _is_marker(row: Row, last: str) -> bool:
    """Return whether a key that comes too late is a folder's marker, whose stroke was left out."""
    return row[2] == 0 and row[0] + "/" > last


def _is_sorted(rows: list[Row]) -> bool:
    in_place = [row[0] for row in rows if row[2]]
    return all(a < b for a, b in pairwise(in_place))
