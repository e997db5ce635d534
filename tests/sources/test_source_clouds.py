"""What servers say that nobody has at hand: other clouds' listings, odd keys, refusals midway."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from xml.sax.saxutils import escape

import pytest

import hashmatch as hm
from hashmatch.retry import Limits, Tries, read_item
from hashmatch.sources.bucket import BucketSource

pytest.importorskip("obstore")

SURFACE = hm.Surface.GROUP_PHOTO
DATE = "Thu, 01 Jan 2026 00:00:00 GMT"
Answer = tuple[int, Mapping[str, str], str]


@contextmanager
def answering(answer: Callable[[str, Mapping[str, str]], Answer]) -> Iterator[str]:
    """Serve what `answer` makes of each request's path and headers, and yield the address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers, text = answer(self.path, self.headers)  # type: ignore[arg-type]
            self.send_response(status)
            for name, value in {"Last-Modified": DATE, **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def s3_page(keys: Mapping[str, int], tag: str = '"t1"') -> str:
    entries = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>{escape(tag)}</ETag><Size>{size}</Size></Contents>"
        for key, size in keys.items()
    )
    head = "<Name>b</Name><IsTruncated>false</IsTruncated>"
    return f"<ListBucketResult>{head}{entries}</ListBucketResult>"


def azure_page(keys: Mapping[str, int]) -> str:
    entries = "".join(
        f"<Blob><Name>{key}</Name><Properties><Last-Modified>{DATE}</Last-Modified>"
        f"<Etag>t1</Etag><Content-Length>{size}</Content-Length><Content-Type>image/jpeg"
        f"</Content-Type><BlobType>BlockBlob</BlobType></Properties></Blob>"
        for key, size in keys.items()
    )
    return f"<EnumerationResults><Blobs>{entries}</Blobs><NextMarker/></EnumerationResults>"


def error(status: int, code: str) -> Answer:
    return status, {}, f"<Error><Code>{code}</Code><Message>secret</Message></Error>"


def s3(url: str, **more: Any) -> BucketSource:
    options = {
        "endpoint": url, "access_key_id": "k", "secret_access_key": "secret", "region": "r",
    }  # fmt: skip
    return BucketSource("s3://b", SURFACE, options | more)


@pytest.mark.parametrize("scheme", ["s3", "gs", "az"])
def test_each_cloud_is_listed_and_read(scheme: str) -> None:
    def answer(path: str, headers: Mapping[str, str]) -> Answer:
        if "comp=list" in path:
            return 200, {}, azure_page({"p/a.jpg": 3})
        if "list-type=2" in path:
            return 200, {}, s3_page({"p/a.jpg": 3})
        assert headers["If-Match"] == '"t1"'
        return 200, {"ETag": '"t1"'}, "abc"

    with answering(answer) as url:
        options: dict[str, dict[str, Any]] = {
            "s3": {"endpoint": url, "access_key_id": "k", "secret_access_key": "s"},
            "gs": {"base_url": url, "skip_signature": True},
            "az": {"endpoint": url, "account_name": "a", "account_key": "a2V5"},
        }
        source = BucketSource(f"{scheme}://b/p", SURFACE, options[scheme])
        (item,) = source.items()
        assert (item.key, item.version, item.size) == ("p/a.jpg", "etag-t1", 3)
        assert source.read(item) == b"abc"


def test_an_object_that_changed_is_refused_by_the_server_and_read_again() -> None:
    asked = []

    def answer(path: str, headers: Mapping[str, str]) -> Answer:
        if "list-type=2" in path:
            return 200, {}, s3_page({"a": 3})
        asked.append(headers["If-Match"])
        if headers["If-Match"] == '"t1"':
            return error(412, "PreconditionFailed")
        return 200, {"ETag": '"t2"'}, "changed"

    with answering(answer) as url:
        source = s3(url)
        (item,) = source.items()
        now, data = read_item(source, item)
    assert (now.version, now.size, data) == ("etag-t2", 7, b"changed")
    assert asked == ['"t1"', None]


@pytest.mark.parametrize("tag", ["", 'W/"t1"'])
def test_weak_tags_and_none_are_versions_too(tag: str) -> None:
    def answer(path: str, headers: Mapping[str, str]) -> Answer:
        if "list-type=2" in path:
            return 200, {}, s3_page({"a": 3}, tag)
        assert "If-Match" not in headers
        return 200, {"ETag": tag} if tag else {}, "abc"

    with answering(answer) as url:
        source = s3(url)
        (item,) = source.items()
        assert item.version == ("etag-W/t1" if tag else "1767225600-3")
        assert source.read(item) == b"abc"


@pytest.mark.parametrize("key", ["a//b", "a/../b", "a/./b"])
def test_a_key_that_cannot_be_listed_is_one_line(key: str) -> None:
    with (
        answering(lambda path, headers: (200, {}, s3_page({"a": 1, key: 1}))) as url,
        pytest.raises(hm.SourceError, match=r"^s3://b: cannot be listed: an object's key has"),
    ):
        list(s3(url).items())


def test_a_folder_s_marker_is_no_object() -> None:
    def answer(path: str, headers: Mapping[str, str]) -> Answer:
        if "list-type=2" in path:
            return 200, {}, s3_page({"folder/": 0, "folder/x": 1})
        return error(404, "NoSuchKey") if path.endswith("folder") else (200, {"ETag": "t1"}, "x")

    with answering(answer) as url:
        source = s3(url)
        outcomes = [read_item(source, item)[1] for item in source.items()]
    assert isinstance(outcomes[0], hm.ImageError)
    assert outcomes[0].outcome is hm.Outcome.UNSUPPORTED
    assert outcomes[1] == b"x"


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (301, "PermanentRedirect", "the bucket is in another region; set AWS_REGION"),
        (400, "AuthorizationHeaderMalformed", "set AWS_REGION"),
        (403, "AccessDenied", "access denied (status 403, AccessDenied); check"),
        (400, "ExpiredToken", "access denied (status 400, ExpiredToken); check"),
        (503, "SlowDown", "status 503, SlowDown; try again later"),
        (418, "Teapot", "(status 418, Teapot)"),
    ],
)
def test_a_refused_listing_is_one_line(status: int, code: str, words: str) -> None:
    with (
        answering(lambda path, headers: error(status, code)) as url,
        pytest.raises(hm.SourceError) as caught,
    ):
        list(s3(url).items())
    assert words in str(caught.value)
    assert "secret" not in str(caught.value)


def test_one_object_is_denied_and_credentials_that_end_stop_the_scan() -> None:
    code = "AccessDenied"

    def answer(path: str, headers: Mapping[str, str]) -> Answer:
        return error(403, code)

    item = hm.ImageItem("a", "etag-x", SURFACE)
    with answering(answer) as url:
        _, denied = read_item(s3(url), item)
        assert str(denied) == "access denied (status 403, AccessDenied)"
        code = "ExpiredToken"
        with pytest.raises(hm.SourceError, match="ExpiredToken"):
            read_item(s3(url), item)


def test_an_object_that_always_fails_is_tried_until_the_deadline() -> None:
    limits = Limits(deadline=0.5, first_delay=0.02)
    with answering(lambda path, headers: error(500, "InternalError")) as url:
        tries = Tries(limits, seed=1)
        with pytest.raises(hm.SourceError, match="status 500, InternalError, like all others"):
            read_item(s3(url), hm.ImageItem("a", "etag-x", SURFACE), tries)
    assert tries.retries > 2
