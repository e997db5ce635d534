"""A bucket, or a folder of one: S3 and what speaks like it, Google Cloud Storage, Azure."""

from __future__ import annotations

from itertools import chain, pairwise
from typing import TYPE_CHECKING, Any

from hashmatch.errors import HashmatchError, SourceError
from hashmatch.records.images import ImageItem
from hashmatch.sources._object_store import Objects, versions
from hashmatch.sources._streams import in_order

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from hashmatch.records.enums import Surface
    from hashmatch.sources._streams import Row


class BucketSource:
    """Every object of ``s3://bucket/folder``, ``gs://bucket/folder`` or ``az://container/folder``.

    A key is the whole key of the object in its bucket, and its position; the order is that of
    keys, in which these servers list. A server that lists in no order is noticed at its first page:
    the listing is then sorted, 100,000 keys in memory at a time and the others in a temporary
    file. A version is the etag, or modification time and size where there is none. An object of no
    bytes that cannot be found again is a folder's marker, and unsupported.

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
        scheme, _, rest = location.partition("://")
        bucket, _, prefix = rest.partition("/")
        self._location = location
        self._prefix = prefix.strip("/")
        self._surface = surface
        self._objects = Objects(f"{scheme}://{bucket}", options)

    def __repr__(self) -> str:
        return f"<BucketSource {self._location}>"

    def items(self, after: str | None = None) -> Iterator[ImageItem]:
        """Yield every object once, in the order of keys.

        SourceError, in one line that names the bucket and what to do, if it is not there, access is
        denied, the server cannot be reached, or there is nothing in it; SourceUnavailable if
        another try may succeed.
        """
        empty = True
        try:
            for key, version, size in self._rows(after):
                empty = False
                yield ImageItem(key, version, self._surface, size=size)
            if empty and after is None:
                yield self._only_one()
        except HashmatchError:
            raise
        except Exception as error:  # the client's own types, OSError and ValueError
            raise self._objects.cannot(error) from None

    def _only_one(self) -> ImageItem:
        """Return the object that the location names, where there is no folder of that name."""
        try:
            meta = self._objects.look_at(self._prefix) if self._prefix else None
        except FileNotFoundError:
            meta = None
        if meta is None:
            raise SourceError(
                f"{self._location}: there are no objects in it; a folder is given by its whole name"
            )
        return ImageItem(self._prefix, versions(meta)[0], self._surface, size=meta["size"])

    def _rows(self, after: str | None) -> Iterator[Row]:
        """Yield key, version and size of each object, in order."""
        pages = self._objects.pages(self._prefix, after)
        first = [_row(meta) for meta in next(pages, ())]
        rest = (_row(meta) for page in pages for meta in page)
        if _is_sorted(first):
            yield from self._checked(chain(first, rest), after)
        else:
            yield from self._checked(in_order(chain(first, rest)), after)

    def _checked(self, rows: Iterator[Row], last: str | None) -> Iterator[Row]:
        """Yield `rows` but for what is not after `last`; nothing may come too late."""
        for row in rows:
            # Some servers begin with the key that the listing is to go on after.
            if last is not None and row[0] <= last:
                if row[0] == last or _is_marker(row, last):
                    continue
                raise SourceError(
                    f"{self._location}: its server began to list in order and did not go on so; "
                    "scan it from a manifest:// of its keys"
                )
            last = row[0]
            yield row

    def identity(self) -> str:
        """Return the bucket and folder, its server or account, and the surface."""
        return f"{self._objects.identity(self._prefix)} {self._surface}"

    def read(self, item: ImageItem) -> bytes:
        """Return the content of `item`; see `hashmatch.interfaces.Source.read`."""
        return self._objects.read(item, item.key)

    def count(self) -> None:
        """Return None: only listing the whole bucket would tell."""

    def close(self) -> None:
        """Do nothing: connections close themselves when they are idle."""


def _row(meta: Any) -> Row:
    return meta["path"], versions(meta)[0], meta["size"]


def _is_marker(row: Row, last: str) -> bool:
    """Return whether a key that comes too late is a folder's marker, whose stroke was left out."""
    return row[2] == 0 and row[0] + "/" > last


def _is_sorted(rows: list[Row]) -> bool:
    in_place = [row[0] for row in rows if row[2]]
    return all(a < b for a, b in pairwise(in_place))
