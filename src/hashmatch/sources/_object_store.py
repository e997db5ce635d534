"""Objects of a bucket or a web server; buckets need the extra ``cloud``.

What S3 is asked is signed by `botocore`, which gives keys as they are. The other clouds have
`obstore`: it changes keys, or refuses them: ``/a.png`` is ``a.png`` to it, and ``a//b`` ends a
listing. All requests go through `hashmatch._net`: no redirect is followed to another server.

Errors are classified, in words that hold no credentials: the client's own text is never passed on,
since it has addresses in it, whose queries may be signatures.
"""

from __future__ import annotations

import io
import os
import re
import weakref
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Enum, auto
from functools import cache
from importlib.util import find_spec
from threading import Lock
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, urlsplit

from hashmatch._net.addresses import Allowed, Origin
from hashmatch._net.client import (
    Client,
    Dialer,
    NoAnswer,
    NotAllowed,
    Proxy,
    Timeouts,
    check_encrypted,
    secure_context,
)
from hashmatch._net.forwarder import Forwarder
from hashmatch.decode import limits
from hashmatch.decode.formats import HEAD
from hashmatch.errors import SourceError, SourceUnavailable, UsageError, install
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageChanged, ImageError, ImageUnavailable
from hashmatch.records.safeguards import Safeguard, waive
from hashmatch.retry import body_follows

if TYPE_CHECKING:
    import ssl
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from email.message import Message

    from obstore import ObjectMeta

    from hashmatch.records.images import ImageItem

_STATUS = re.compile(r"status code: (\d{3})")
_CODE = re.compile(r"<Code>([A-Za-z]{1,64})</Code>")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")

#: Codes of S3 that are about the credentials, not about the one object that was asked for.
_REFUSED_CREDENTIALS = {
    "AuthenticationFailed", "ExpiredToken", "InvalidAccessKeyId", "InvalidToken",
    "RequestTimeTooSkewed", "SignatureDoesNotMatch", "TokenRefreshRequired",
}  # fmt: skip
_PASSING = {"OperationTimedOut", "RequestTimeout", "ServerBusy", "SlowDown"}
_REGION = {"AuthorizationHeaderMalformed", "IllegalLocationConstraint", "PermanentRedirect"}


class Kind(Enum):
    """What can be done about it."""

    PASSING = auto()
    UNREACHABLE = auto()
    DENIED = auto()
    CREDENTIALS = auto()
    REGION = auto()
    MISSING = auto()
    ODD_KEY = auto()
    REDIRECT = auto()
    NOT_ALLOWED = auto()
    OTHER = auto()


class Trouble(NamedTuple):
    """What went wrong, and in a few words how the server or the network says it."""

    kind: Kind
    words: str


def trouble(error: Exception) -> Trouble:
    """Return what `error` of a request means.

    Examples
    --------
    >>> trouble(OSError("status code: 503 <Code>SlowDown</Code>")).words
    'status 503, SlowDown'
    """
    text, name = str(error), type(error).__name__
    if isinstance(error, NotAllowed):
        return Trouble(Kind.NOT_ALLOWED, text)
    if isinstance(error, NoAnswer):
        return _NO_ANSWER if error.is_timeout else _STAGES[error.stage]
    answer = getattr(error, "response", None)  # that of `botocore`, whatever its error is called
    if isinstance(answer, dict):
        status, code = answer["ResponseMetadata"].get("HTTPStatusCode", 0), answer["Error"]["Code"]
        code = code if _CODE.fullmatch(f"<Code>{code}</Code>") else ""
    elif type(error).__module__.startswith("botocore."):
        return _BOTOCORE.get(name, Trouble(Kind.OTHER, name))
    else:
        status = int(found[1]) if (found := _STATUS.search(text)) else 0
        code = found[1] if (found := _CODE.search(text)) else ""
    words = ", ".join([f"status {status}"] * bool(status) + [code] * bool(code))
    if name == "InvalidPathError" or isinstance(error, ValueError):
        return Trouble(Kind.ODD_KEY, "")
    if isinstance(error, OSError) and error.errno:  # of this machine: a full disk, say
        return Trouble(Kind.OTHER, error.strerror or "")
    if code in _REFUSED_CREDENTIALS or status == 401 or name == "UnauthenticatedError":
        return Trouble(Kind.CREDENTIALS, words)
    if code in _REGION or (status == 301 and isinstance(answer, dict)):
        return Trouble(Kind.REGION, words)
    if 300 <= status < 400 or "redirect without LOCATION" in text:
        return Trouble(Kind.REDIRECT, words)
    if status == 403 or name == "PermissionDeniedError":
        return Trouble(Kind.DENIED, words)
    if status == 404 or isinstance(error, FileNotFoundError):
        return Trouble(Kind.MISSING, words)
    if status >= 500 or status in {408, 429} or code in _PASSING:
        return Trouble(Kind.PASSING, words)
    if "dns error" in text:
        return Trouble(Kind.UNREACHABLE, "no host of that name is known")
    if "certificate" in text or "InvalidContentType" in text:
        return Trouble(Kind.UNREACHABLE, "no secure connection, as https:// asks for")
    if "kind: Connect" in text:
        return Trouble(Kind.UNREACHABLE, "no connection")
    if not status:
        return Trouble(Kind.PASSING, "no answer" if "Timeout" in text else "a broken connection")
    return Trouble(Kind.OTHER, words)


_NO_ANSWER = Trouble(Kind.PASSING, "no answer")
_BROKEN = Trouble(Kind.PASSING, "a broken connection")
_STAGES = {
    "name": Trouble(Kind.UNREACHABLE, "no host of that name is known"),
    "connect": Trouble(Kind.UNREACHABLE, "no connection"),
    "tls": Trouble(Kind.UNREACHABLE, "no secure connection, as https:// asks for"),
    "answer": _BROKEN,
}
_BOTOCORE = {
    "NoCredentialsError": Trouble(Kind.CREDENTIALS, ""),
    "PartialCredentialsError": Trouble(Kind.CREDENTIALS, ""),
    "CredentialRetrievalError": Trouble(Kind.CREDENTIALS, ""),
    "IncompleteReadError": _BROKEN,
    "ResponseStreamingError": _BROKEN,
    # Of whoever is asked for credentials.
    "EndpointConnectionError": _STAGES["connect"],
    "ProxyConnectionError": _STAGES["connect"],
    "SSLError": _STAGES["tls"],
    "ConnectTimeoutError": _NO_ANSWER,
    "ReadTimeoutError": _NO_ANSWER,
    "ConnectionClosedError": _BROKEN,
    "HTTPClientError": _BROKEN,
}
"""What the errors of `botocore` mean that are no answer of a server."""

#: Bytes of a body that is read whole, whatever it is and whatever else is being read.
_AT_ONCE = 2**18

#: Seconds without an answer, without a byte, and for one request altogether.
TIMEOUTS = {"connect_timeout": 5, "read_timeout": 10, "timeout": 120}

#: Options of S3; those of the others are for `obstore` to know.
_S3_OPTIONS = {
    "access_key_id", "bucket", "default_region", "endpoint", "endpoint_url", "region",
    "secret_access_key", "session_token", "skip_signature", "token",
    "virtual_hosted_style_request",
}  # fmt: skip

_ENDPOINT_OPTIONS = {
    "aws_endpoint", "aws_endpoint_url", "azure_endpoint", "azure_storage_endpoint", "base_url",
    "endpoint", "endpoint_url", "google_base_url",
}  # fmt: skip

#: Where each kind of store takes its server and its credentials from.
_ENDPOINTS = {"s3": "AWS_ENDPOINT_URL", "gs": "GOOGLE_BASE_URL", "az": "AZURE_STORAGE_ENDPOINT"}
_CREDENTIALS = {
    "s3": "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SKIP_SIGNATURE=true if it is public",
    "gs": "GOOGLE_APPLICATION_CREDENTIALS, or GOOGLE_SKIP_SIGNATURE=true if it is public",
    "az": "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY or AZURE_STORAGE_SAS_TOKEN",
}


class _Network:
    """How a place is dialled: the options that are about connections, taken out of `options`."""

    def __init__(self, options: dict[str, Any]) -> None:
        self._seconds = {name: _seconds(options, name) for name in TIMEOUTS}
        try:
            proxy = Proxy.parse(options.pop("proxy_url")) if options.get("proxy_url") else None
        except ValueError as error:
            raise UsageError(f"cannot use proxy_url: {error}") from None
        self.dialer = Dialer(Allowed.parse(options.pop("allow_private", ())), proxy)
        self._authorities = options.pop("root_certificate", None)
        self._unchecked = _is_true(options.pop("allow_invalid_certificates", False))
        if self._unchecked:
            waive(
                Safeguard.TLS,
                "use it",
                "certificates of a bucket's server are not checked",
                error=UsageError,
                allowed=True,
                allowed_by="allow_invalid_certificates",
            )
        self._context: ssl.SSLContext | None = None
        if self._authorities or self._unchecked:
            self._context = secure_context(self._authorities, check=not self._unchecked)

    def client(self, origin: Origin) -> Client:
        """Return what asks an origin."""
        connect, read, total = (self._seconds[name] for name in TIMEOUTS)
        timeouts = Timeouts(min(connect, total), min(read, total), total)
        return Client(origin, self.dialer, timeouts, self._context)

    def options(self, forwarder: Forwarder, *, is_plain: bool) -> dict[str, Any]:
        """Return what tells `obstore` the same, and to go by `forwarder`."""
        told: dict[str, Any] = {
            name: timedelta(seconds=seconds) for name, seconds in self._seconds.items()
        }
        told |= {"proxy_url": forwarder.url, "proxy_excludes": "", "allow_http": is_plain}
        if self._authorities:
            told["root_certificate"] = self._authorities
        return told | ({"allow_invalid_certificates": True} if self._unchecked else {})


def _seconds(options: dict[str, Any], name: str) -> float:
    given = options.pop(name, TIMEOUTS[name])
    return float(given.total_seconds() if isinstance(given, timedelta) else given)


METADATA = {"gs": "metadata.google.internal", "az": "169.254.169.254"}
"""Where a cloud's own machines get their credentials."""
_LONGEST_ERROR = 2**16
_IN_PATHS = "/!$&'()*+,;=:@~"


class Objects:
    """One bucket, or one web server, as ``s3://``, ``gs://``, ``az://`` or ``https://`` name it.

    `url` has no path; for the options see `hashmatch.sources.bucket.BucketSource`.
    """

    def __init__(self, url: str, options: Mapping[str, Any] | None = None) -> None:
        self.name = url
        self._scheme, _, bucket = url.partition("://")
        if self._scheme not in {"http", "https", *_ENDPOINTS}:
            raise UsageError(
                f"cannot read {self._scheme}://: there are s3, gs, az, https and http. Give one of "
                "them, or the path of a folder."
            )
        if "@" in bucket:
            raise UsageError(
                f"cannot use credentials in a location. Leave them out of {self._scheme}://, and "
                "see its options"
            )
        if not bucket:
            raise UsageError(
                f"cannot open {url}: it names no bucket. Give {self._scheme}://BUCKET/FOLDER"
            )
        given = dict(options or {})
        endpoint = url if self._scheme in {"http", "https"} else self._endpoint(given)
        try:
            origin = Origin.parse(endpoint) if endpoint else None
        except ValueError as error:
            raise UsageError(f"cannot use the address of {self.name}: {error}") from None
        self._host = str(origin or "")
        network = _Network(given)
        self._exact: _RawKeys | _WebServer | None = None
        self._forwarder: Forwarder | None = None
        if self._scheme in {"http", "https"} and origin is not None:
            self._check(given, ())
            self._exact = _WebServer(network.client(origin))
            return
        self._check_installed()
        if self._scheme == "s3":
            self._check(given, _S3_OPTIONS)
            self._exact = _RawKeys(bucket, endpoint, given, network)
            return
        self._open(url, given, network, origin)

    def _check(self, options: Mapping[str, Any], known: Collection[str]) -> None:
        """Raise UsageError for an option that there is not; its value is not shown."""
        for name in options:
            if name.lower().removeprefix("aws_") not in known:
                raise UsageError(f"{self.name}: cannot be opened with these options")

    def _check_installed(self) -> None:
        if find_spec("botocore" if self._scheme == "s3" else "obstore") is None:
            raise UsageError(
                f"cannot read {self.name}: its client is not installed. {install('cloud')}"
            )

    def _open(
        self, url: str, given: dict[str, Any], network: _Network, origin: Origin | None
    ) -> None:
        """Open a bucket of another cloud, whose client dials through a proxy of ours."""
        from obstore.store import from_url

        origins = [origin] if origin else _origins(self._scheme, given)
        for each in origins:
            check_encrypted(each)
        self._forwarder = Forwarder(network.dialer, origins, _services(self._scheme))
        weakref.finalize(self, self._forwarder.close)
        # Tries are counted and spread in one place for all sources, `hashmatch.retry`.
        retries = {"max_retries": 0, "retry_timeout": timedelta(seconds=1)}
        is_plain = any(origin.scheme == "http" for origin in origins)
        client = network.options(self._forwarder, is_plain=is_plain)
        arguments: dict[str, Any] = {"client_options": client, "retry_config": retries}
        if given:
            arguments["config"] = given
        try:
            self._store = from_url(url, **arguments)
        except Exception as error:  # its own type for an option it does not know
            raise UsageError(self._wrong_option(error)) from None

    def identity(self, folder: str) -> str:
        """Return what tells a folder of it from all others: bucket, server and account."""
        name = f"{self.name}/{quote(folder, errors='surrogatepass')}"
        if self._scheme not in {"http", "https"} and self._host:
            name += f" endpoint={self._host}"
        if self._scheme == "az":
            account = os.environ.get("AZURE_STORAGE_ACCOUNT_NAME", "")
            config: Mapping[str, Any] = getattr(self._store, "config", {})
            name += f" account={quote(config.get('account_name', account))}"
        return name

    def __repr__(self) -> str:
        return f"<Objects {self.name}>"

    def _endpoint(self, options: Mapping[str, Any]) -> str:
        if self._scheme == "s3" and (first := os.environ.get("AWS_ENDPOINT_URL_S3")):
            return first  # to `obstore`, options give way to it
        for name in options:
            if name.lower() in _ENDPOINT_OPTIONS:
                return str(options[name])
        return os.environ.get(_ENDPOINTS.get(self._scheme, ""), "")

    def _wrong_option(self, error: Exception) -> str:
        if "Account must be specified" in str(error):
            return f"{self.name}: set AZURE_STORAGE_ACCOUNT_NAME"
        # The text of the error may hold the option's value.
        return f"{self.name}: cannot be opened with these options ({type(error).__name__})"

    @property
    def takes_any_key(self) -> bool:
        """Whether keys are what they are in the bucket, whatever is in them."""
        return self._scheme == "s3"

    def pages(self, prefix: str, after: str | None) -> Iterator[Sequence[ObjectMeta]]:
        """Yield what begins with `prefix`, behind the key `after`, in pages as they come."""
        if isinstance(self._exact, _RawKeys):
            return self._exact.pages(prefix, after)
        return self._pages(prefix.removesuffix("/"), after, is_whole=True)

    def _pages(self, folder: str, after: str | None, *, is_whole: bool) -> Iterator[Sequence[Any]]:
        """Yield what `obstore` lists of a folder, and around the folders that it cannot list.

        It refuses a page for one key in it. Then each folder in `folder` is listed by itself, and
        one that cannot be, unless it `is_whole`, is a line of its own: see `UNLISTED_FOLDER`.
        """
        import obstore

        offset = None if after is None or after.startswith("/") else after  # it would be left out
        try:
            for page in obstore.list(self._store, folder or None, offset=offset, chunk_size=1000):
                yield page
                after = page[-1]["path"] if page else after
            return
        except Exception as error:
            if trouble(error).kind is not Kind.ODD_KEY:
                raise
        try:
            level = obstore.list_with_delimiter(self._store, folder or None)
        except Exception as error:
            if is_whole or trouble(error).kind is not Kind.ODD_KEY:
                raise
            yield [_unlisted(folder)]
            return
        objects = {meta["path"]: meta for meta in level["objects"]}
        for name in sorted([*objects, *(f"{name}/" for name in level["common_prefixes"])]):
            if name == "/":  # that of keys that begin with one, which is left out
                yield [_unlisted("")]
            elif name.endswith("/"):
                if after is None or name > after or after.startswith(name):
                    yield from self._pages(name[:-1], after, is_whole=False)
            elif after is None or name > after:
                yield [objects[name]]

    def look_at(self, key: str) -> ObjectMeta:
        """Return the listing's line of one object; FileNotFoundError if it is not there."""
        if self._exact is not None:
            return self._exact.get(key, "")[0]
        import obstore

        return obstore.head(self._store, key)

    def get(self, key: str) -> bytes | None:
        """Return what is in an object; None if there is none of that key.

        SourceError, or SourceUnavailable if another try may succeed; so do the next four.
        """
        try:
            return self._get(key, "")[1]
        except Exception as error:  # its own types, OSError and ValueError
            if self._trouble(error).kind is Kind.MISSING:
                return None
            raise self._cannot("read", error) from None

    def get_range(self, key: str, version: str, start: int, size: int) -> bytes:
        """Return `size` bytes of an object from `start` on, if it is still of that version."""
        match = _tag(version)
        try:
            if changes(key) and not self.takes_any_key:
                raise ValueError  # an odd key: what would be read is another object, or none
            if isinstance(self._exact, _RawKeys):
                data = self._exact.get_range(key, match, start, size)
            else:
                import obstore

                asked: Any = {"range": (start, start + size)}
                if match:
                    asked["if_match"] = f'"{match}"'
                data = obstore.get(self._store, key, options=asked).bytes().to_bytes()
            if len(data) != size:
                raise OSError("a part of another size")  # which may pass
        except Exception as error:  # its own types, OSError and ValueError
            if "412" in self._trouble(error).words or type(error).__name__ == "PreconditionError":
                raise SourceError(
                    f"cannot read {key} of {self.name}: it changed meanwhile. Run the command again"
                ) from None
            raise self._cannot("read", error) from None
        return data

    def put_new(self, key: str, data: bytes) -> bool:
        """Write an object unless there is one of that key; return whether there was none."""
        try:
            if isinstance(self._exact, _RawKeys):
                return self._exact.put_new(key, data)
            import obstore
            from obstore.exceptions import AlreadyExistsError

            try:
                obstore.put(self._store, key, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
        except Exception as error:  # its own types, OSError and ValueError
            raise self._cannot("write to", error) from None
        return True

    def names(self, folder: str) -> Iterator[str]:
        """Yield the keys that begin with `folder`, which ends in a stroke."""
        try:
            for page in self.pages(folder, None):
                yield from (meta["path"] for meta in page)
        except Exception as error:  # its own types, OSError and ValueError
            raise self._cannot("list", error) from None

    def remove(self, key: str) -> None:
        """Remove an object, if it is there."""
        try:
            if isinstance(self._exact, _RawKeys):
                self._exact.remove(key)
                return
            import obstore

            obstore.delete(self._store, key)
        except Exception as error:  # its own types, OSError and ValueError
            if self._trouble(error).kind is not Kind.MISSING:
                raise self._cannot("write to", error) from None

    def _cannot(self, action: str, error: Exception) -> SourceError:
        kind, words = self._trouble(error)
        may_pass = kind in {Kind.PASSING, Kind.UNREACHABLE}
        to_do = "Try again later" if may_pass else "Check the bucket, and what you may do in it"
        said = f": {words}" if words else ""
        return (SourceUnavailable if may_pass else SourceError)(
            f"cannot {action} {self.name}{said}. {to_do}"
        )

    def read(self, item: ImageItem, key: str) -> bytes:
        """Return the content of the object `key`, which is `item`; see `Source.read`.

        SourceError if the server does not take the credentials, whatever is asked for.
        """
        limits.check_bytes(item.size or 0)
        try:
            meta, data = self._get(key, item.version)
        except ImageError:
            raise
        except Exception as error:  # its own types, OSError and ValueError
            raise self._failed(error, item) from None
        if len(data) != meta["size"]:
            raise ImageUnavailable(Outcome.FAILED, "cannot be read: it ended too early")
        if item.version not in versions(meta):
            now = replace(item, version=versions(meta)[0], size=len(data))
            raise ImageChanged(Outcome.FAILED, "it changed since it was listed", now, data)
        return data

    def _get(self, key: str, version: str) -> tuple[ObjectMeta, bytes]:
        match = _tag(version)
        if changes(key) and not self.takes_any_key:
            raise ValueError  # an odd key: what would be read is another object, or none
        if self._exact is not None:
            return self._exact.get(key, match)
        import obstore
        from obstore.exceptions import PreconditionError

        try:
            result = obstore.get(
                self._store, key, options={"if_match": f'"{match}"'} if match else None
            )
        except PreconditionError:
            result = obstore.get(self._store, key)
        size = result.meta["size"]
        limits.check_bytes(size)
        if size <= _AT_ONCE:
            return result.meta, result.bytes().to_bytes()
        return result.meta, _long_body(size, iter(result.stream(_AT_ONCE)))

    def _failed(self, error: Exception, item: ImageItem) -> ImageError | SourceError:
        kind, words = self._trouble(error)
        said = f" ({words})" if words else ""
        if kind in {Kind.CREDENTIALS, Kind.REGION, Kind.NOT_ALLOWED}:
            return self.cannot(error)
        if kind is Kind.ODD_KEY:
            return ImageError(
                Outcome.FAILED,
                f"cannot be read with this client of {self._scheme}://: its key has an empty part, "
                "a dot or a control character between its strokes",
            )
        if kind in {Kind.PASSING, Kind.UNREACHABLE}:
            return ImageUnavailable(Outcome.FAILED, f"cannot be read: {words}")
        if kind is Kind.MISSING and item.size == 0:
            # What shows as a folder in consoles: an object whose name, but for the stroke at its
            # end, is that of a folder. The client leaves the stroke out.
            return ImageError(Outcome.UNSUPPORTED, "a folder's marker, not an object")
        if kind is Kind.MISSING:
            changed = "" if self._exact else ", or its key is one that this client changes"
            return ImageError(Outcome.FAILED, f"it is gone since it was listed{changed}")
        if kind is Kind.DENIED:
            return ImageError(Outcome.FAILED, f"access denied{said}")
        if kind is Kind.REDIRECT:
            return ImageError(Outcome.FAILED, f"it is elsewhere{said}, and no redirect is followed")
        return ImageError(Outcome.FAILED, f"cannot be read{said}")

    def _trouble(self, error: Exception) -> Trouble:
        """Return what `error` means; the proxy knows better than the client that it refused."""
        problem = self._forwarder.problem if self._forwarder is not None else None
        return trouble(problem or error)

    def cannot(self, error: Exception) -> SourceError:
        """Return what to tell a person of an `error` that ends the listing, now or for good."""
        kind, words = self._trouble(error)
        said = f" ({words})" if words else ""
        to_set = _CREDENTIALS.get(self._scheme, "its credentials")
        server = self._host or "its server"
        endpoint = _ENDPOINTS.get(self._scheme, "the address")
        advice = {
            Kind.CREDENTIALS: f"access denied{said}; check {to_set}",
            Kind.DENIED: f"access denied{said}; check {to_set}, and that listing is allowed",
            Kind.MISSING: f"there is no such bucket at {server}; check its name and {endpoint}",
            Kind.REGION: f"the bucket is in another region{said}; set AWS_REGION",
            Kind.UNREACHABLE: f"cannot be reached at {server}: {words}; check {endpoint}",
            Kind.PASSING: f"cannot be listed at {server}: {words}; try again later",
            Kind.ODD_KEY: (
                "cannot be listed: an object's key has an empty part, a dot or a control character "
                "between its strokes; scan the other keys from a manifest://"
            ),
            Kind.REDIRECT: (
                f"cannot be listed at {server}{said}: no redirect is followed. Give the address "
                "that it is at."
            ),
            Kind.NOT_ALLOWED: f"cannot be reached: {words}",
            Kind.OTHER: f"cannot be listed at {server}{said}",
        }[kind]
        may_pass = kind in {Kind.PASSING, Kind.UNREACHABLE}
        return (SourceUnavailable if may_pass else SourceError)(f"{self.name}: {advice}")


def _tag(version: str) -> str:
    """Return what If-Match may ask for.

    A weak tag never equals another, by its rules; a version that is no tag says so by the times in
    it.
    """
    conditional = version.startswith("etag-") and not version.startswith("etag-W/")
    return version.removeprefix("etag-") if conditional else ""


def changes(key: str) -> bool:
    """Return whether `obstore` would take `key` for another one, or for none.

    Examples
    --------
    >>> [changes(key) for key in ("a/b.jpg", "/a.png", "x/", "a//b", "a/../b", "a%2Fb", "..a")]
    [False, True, True, True, True, False, False]
    """
    return not {"", ".", ".."}.isdisjoint(key.split("/")) or _CONTROL.search(key) is not None


UNLISTED_FOLDER = "/\U0010ffff"
"""What the key of a folder that could not be listed ends in, to come after what is in it."""


def _unlisted(folder: str) -> ObjectMeta:
    never = datetime.fromtimestamp(0, UTC)
    path = folder + UNLISTED_FOLDER
    return {"path": path, "e_tag": None, "last_modified": never, "size": 0, "version": None}


def _origins(scheme: str, options: Mapping[str, Any]) -> list[Origin]:
    """Return the address of a cloud for which no endpoint was given."""
    if scheme == "gs":
        return [Origin("https", "storage.googleapis.com", 443)]
    known = {name.lower().removeprefix("azure_storage_"): v for name, v in options.items()}
    account = known.get("account_name") or os.environ.get("AZURE_STORAGE_ACCOUNT_NAME", "")
    emulator = known.get("use_emulator") or os.environ.get("AZURE_STORAGE_USE_EMULATOR")
    if _is_true(emulator):
        return [Origin("http", "127.0.0.1", 10000)]
    return [Origin("https", f"{account}.blob.core.windows.net", 443)]


def _services(scheme: str) -> list[Origin]:
    """Return whom a cloud's client asks for credentials; those of this machine's host are plain."""
    names = {
        "gs": ("oauth2.googleapis.com", "accounts.google.com", "www.googleapis.com"),
        "az": ("login.microsoftonline.com",),
    }[scheme]
    said = [os.environ.get(name, "") for name in ("IDENTITY_ENDPOINT", "MSI_ENDPOINT")]
    said.append(os.environ.get("AZURE_AUTHORITY_HOST", ""))
    services = [Origin("https", name, 443) for name in names]
    services += [Origin("http", METADATA[scheme], 80), Origin("http", "169.254.169.254", 80)]
    for url in said:
        with suppress(ValueError):
            services.append(Origin.parse(url))
    return services


class _RawKeys:
    """A bucket of S3 by the keys that are in it; `options` are those of `obstore`."""

    def __init__(
        self, bucket: str, endpoint: str, options: Mapping[str, Any], network: _Network
    ) -> None:
        self._bucket, self._endpoint = bucket, endpoint
        self._options = {name.lower().removeprefix("aws_"): v for name, v in options.items()}
        self._network = network
        self._lock = Lock()
        self._made: Any = None
        self._http: Client | None = None
        self._credentials: Any = None
        self._begins = ""

    def __repr__(self) -> str:  # options are secrets
        return f"<_RawKeys of {self._bucket}>"

    def _option(self, *names: str) -> Any:
        """Return the first of these that the options, or else the environment, say."""
        said = [self._options.get(name) for name in names]
        said += [os.environ.get(f"AWS_{name.upper()}") for name in names]
        return next((value for value in said if value is not None), None)

    def _client(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._make()
        return self._made

    def _make(self) -> Any:
        from botocore import UNSIGNED
        from botocore.config import Config

        endpoint = self._endpoint
        virtual = _is_true(self._option("virtual_hosted_style_request"))
        if virtual:  # to `obstore`, the bucket is in it
            endpoint = endpoint.replace(f"://{self._bucket}.", "://", 1)
        config = Config(
            retries={"total_max_attempts": 1},
            s3={"addressing_style": "virtual" if virtual else "path"},
            signature_version=UNSIGNED if _is_true(self._option("skip_signature")) else None,
            ignore_configured_endpoint_urls=True,
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
        )
        from botocore.credentials import Credentials

        access, secret = self._option("access_key_id"), self._option("secret_access_key")
        token = self._option("session_token", "token")
        self._credentials = (
            Credentials(access, secret, token)
            if access and secret
            else _session().get_credentials()
        )
        client = _session().create_client(
            "s3",
            endpoint_url=endpoint or os.environ.get("AWS_ENDPOINT"),
            region_name=self._option("region", "default_region") or "us-east-1",
            aws_access_key_id=access,
            aws_secret_access_key=secret,
            aws_session_token=token,
            config=config,
        )
        client.meta.events.register("before-call.s3", _stay)
        client.meta.events.register("before-send.s3.HeadObject", self._look)
        for operation in ("ListObjectsV2", "PutObject", "DeleteObject"):
            client.meta.events.register(f"before-send.s3.{operation}", self._send)
        return client

    def _asked(self, url: str) -> Client:
        """Return what asks the one server that is ever asked."""
        origin = Origin.parse(url)
        with self._lock:
            if self._http is None:
                self._http = self._network.client(origin)
        if self._http.origin != origin:
            raise OSError("status code: 301 <Code>PermanentRedirect</Code>")
        return self._http

    def _send(self, request: Any, **_: object) -> Any:
        """Send what `botocore` has signed; the token goes to the first origin, and to no other."""
        from botocore.awsrequest import AWSResponse

        parts = urlsplit(request.url)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {
            name: value.decode("latin-1") if isinstance(value, bytes) else str(value)
            for name, value in request.headers.items()
            if name != "Expect"  # the body follows at once
        }
        http = self._asked(request.url)
        answer = http.send(request.method, target, headers, request.body or b"")
        return AWSResponse(request.url, answer.status, dict(answer.headers), answer)

    def pages(self, prefix: str, after: str | None) -> Iterator[Sequence[ObjectMeta]]:
        """Yield what begins with `prefix`, behind the key `after`, in pages as they come."""
        where = {} if after is None else {"StartAfter": after}
        while True:
            page = self._client().list_objects_v2(Bucket=self._bucket, Prefix=prefix, **where)
            found = [_meta(one["Key"], one, one["Size"]) for one in page.get("Contents", ())]
            yield found
            if not page.get("IsTruncated"):
                return
            last, token = where, page.get("NextContinuationToken")
            where = {"ContinuationToken": token} if token else {}
            if found and not token:
                where = {"StartAfter": found[-1]["path"]}
            if where in ({}, last):
                raise SourceError(
                    f"cannot list s3://{self._bucket}: its server says that there is more, and "
                    "not where. Scan it from a manifest:// of its keys"
                )

    def get(self, key: str, match: str) -> tuple[ObjectMeta, bytes]:
        """Return an object, of another version than `match`, an etag, if there is none of it."""
        url = self._address() + quote(key, safe="/~")
        client = self._asked(url)
        target = url.removeprefix(str(client.origin))
        for condition in ({"If-Match": f'"{match}"'}, {}) if match else ({},):
            found = _fetched(client, key, target, {**condition, **self._signed(url)})
            if found is not None:
                return found
        raise OSError("status code: 412")

    def get_range(self, key: str, match: str, start: int, size: int) -> bytes:
        """Return a part of an object, of the version whose etag is `match`, if there is one."""
        url = self._address() + quote(key, safe="/~")
        client = self._asked(url)
        target = url.removeprefix(str(client.origin))
        headers = {"Range": f"bytes={start}-{start + size - 1}", **self._signed(url)}
        if match:
            headers["If-Match"] = f'"{match}"'
        wanted = f"bytes {start}-{start + size - 1}/"
        with client.send("GET", target, headers) as answer:
            # Some say 200 of a part, and do not know If-Match.
            if (answer.headers["Content-Range"] or "").startswith(wanted):
                if match and answer.headers["ETag"] != f'"{match}"':
                    raise OSError("status code: 412")
                return b"".join(answer.stream())
            if answer.status == 200:  # all of it
                raise OSError("status code: 200 <Code>RangeIgnored</Code>")
            said = (answer.body(_LONGEST_ERROR) or b"").decode("latin-1")
        code = found_code[0] if (found_code := _CODE.search(said)) else ""
        raise OSError(f"status code: {answer.status} {code}")

    def put_new(self, key: str, data: bytes) -> bool:
        """Write an object unless there is one of that key; return whether there was none."""
        from botocore.exceptions import ClientError

        try:
            self._client().put_object(Bucket=self._bucket, Key=key, Body=data, IfNoneMatch="*")
        except ClientError as error:
            status = error.response["ResponseMetadata"].get("HTTPStatusCode")
            if status == 409:  # somebody else is writing it
                raise OSError("status code: 503 <Code>ConditionalRequestConflict</Code>") from None
            if status == 412:
                return False
            raise
        return True

    def remove(self, key: str) -> None:
        """Remove an object, if it is there."""
        self._client().delete_object(Bucket=self._bucket, Key=key)

    def _signed(self, url: str) -> Mapping[str, str]:
        """Return headers that sign a GET: a fourth of the time that all of `botocore` takes."""
        from botocore.auth import S3SigV4Auth
        from botocore.awsrequest import AWSRequest
        from botocore.exceptions import NoCredentialsError

        if _is_true(self._option("skip_signature")):
            return {}
        client = self._client()
        if self._credentials is None:
            raise NoCredentialsError
        request = AWSRequest("GET", url)
        known = self._credentials.get_frozen_credentials()
        S3SigV4Auth(known, "s3", client.meta.region_name).add_auth(request)
        return dict(request.headers.items())

    def _address(self) -> str:
        """Return where keys begin, by the rules of `botocore`: what it would ask is not sent."""
        if not self._begins:
            self._client().head_object(Bucket=self._bucket, Key="k")
        return self._begins

    def _look(self, request: Any, **_: object) -> Any:
        from botocore.awsrequest import AWSResponse

        self._begins = request.url.partition("?")[0].removesuffix("k")
        return AWSResponse(request.url, 200, {}, SimpleNamespace(stream=lambda: iter(())))


def _fetched(
    client: Client, key: str, target: str, headers: Mapping[str, str]
) -> tuple[ObjectMeta, bytes] | None:
    """Return what a GET is answered; None if it is another version than that which was asked for.

    Any other status but 200 is an OSError that says it, with the code of S3 if it has one.
    """
    with client.send("GET", target, headers) as answer:
        if answer.status == 200:
            limits.check_bytes(answer.size or 0)
            if answer.size is not None and answer.size <= _AT_ONCE:
                data = answer.read(answer.size)
            else:
                data = _long_body(answer.size, answer.stream())
            found = {"ETag": answer.headers["ETag"], "LastModified": _date(answer.headers)}
            return _meta(key, found, len(data)), data
        if answer.status == 412:
            return None
        said = (answer.body(_LONGEST_ERROR) or b"").decode("latin-1")
    if answer.status == 404:
        raise FileNotFoundError("status code: 404")
    code = found_code[0] if (found_code := _CODE.search(said)) else ""
    raise OSError(f"status code: {answer.status} {code}")


def _long_body(size: int | None, parts: Iterator[Any]) -> bytes:
    """Return a body that comes in parts, once there is room for it; it is never there twice.

    ImageError, ``refused``, if it turns out to be too large. One that does not say its size asks
    for room only if it does not end soon.
    """
    whole, asked = io.BytesIO(), False
    for part in parts:
        whole.write(part)
        if not asked and (size is not None or whole.tell() > _AT_ONCE):
            body_follows(size, whole.getvalue()[:HEAD])
            asked = True
            if size is not None:  # all of it at once: memory that grows is left in pieces
                position = whole.seek(0, io.SEEK_END)
                whole.seek(max(position, size - 1))
                whole.write(b"\0" if size > position else b"")
                whole.seek(position)
        limits.check_bytes(whole.tell())
    return whole.getvalue()


def _stay(context: dict[str, Any], **_: object) -> None:
    """Tell `botocore` that a redirect was followed already: it would look for another region."""
    context["s3_redirect"] = {"redirected": True}


class _WebServer:
    """What lies on a web server, by its path there."""

    def __init__(self, client: Client) -> None:
        self._client = client

    def get(self, key: str, match: str) -> tuple[ObjectMeta, bytes]:
        """Return what is there, of another version than `match` if there is none of it."""
        target = f"/{quote(key, safe=_IN_PATHS, errors='surrogateescape')}"
        for condition in ({"If-Match": f'"{match}"'}, {}) if match else ({},):
            found = _fetched(self._client, key, target, condition)
            if found is not None:
                return found
        raise OSError("status code: 412")


def _date(headers: Message) -> datetime:
    try:
        return parsedate_to_datetime(headers["Last-Modified"] or "").astimezone(UTC)
    except ValueError:
        return datetime.fromtimestamp(0, UTC)


@cache
def _session() -> Any:
    """Return what makes clients; the files in ``~/.aws`` are not read."""
    from botocore.session import Session

    # Where each is said: by nothing in a file, by no variable of the environment, but so.
    no_file = (None, None, os.devnull, None)
    return Session({
        "config_file": no_file, "credentials_file": no_file, "profile": (None, None, None, None),
    })  # fmt: skip


def _is_true(option: object) -> bool:
    return str(option).lower() in {"1", "on", "true", "y", "yes"}


def _meta(key: str, found: Mapping[str, Any], size: int) -> ObjectMeta:
    tag, modified = found.get("ETag"), found["LastModified"]
    return {"path": key, "e_tag": tag, "last_modified": modified, "size": size, "version": None}


def versions(meta: ObjectMeta) -> tuple[str, ...]:
    """Return what stands for the version of an object, the best first.

    Its etag without the quotes, which some servers leave out of their listings; else modification
    time in seconds, all that a read knows of it, and size.
    """
    tag = (meta["e_tag"] or "").removeprefix("W/").strip('"')
    weak = "W/" if (meta["e_tag"] or "").startswith("W/") else ""
    dated = f"{int(meta['last_modified'].timestamp())}-{meta['size']}"
    return (f"etag-{weak}{tag}", dated) if tag else (dated,)
