"""What servers say that nobody has at hand: other clouds' listings, odd keys, refusals midway."""

from __future__ import annotations

import http.server
import io
import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, quote, unquote, urlsplit
from xml.sax.saxutils import escape

import pytest

import hashmatch as hm
from hashmatch.retry import Limits, Tries, read_item
from hashmatch.sources.bucket import BucketSource
from hashmatch.sources.manifest import ManifestSource
from hashmatch.testing import check_source

if TYPE_CHECKING:
    from pathlib import Path

pytest.importorskip("obstore")
pytest.importorskip("botocore")

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


def s3_page(
    keys: Mapping[str, int],
    tag: str = '"t1"',
    *,
    encoding: str = "",
    token: str = "",
    is_cut: bool = False,
    folders: Sequence[str] = (),
) -> str:
    entries = "".join(
        f"<Contents><Key>{escape(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>{escape(tag)}</ETag><Size>{size}</Size></Contents>"
        for key, size in keys.items()
    )
    cut = "true" if token or is_cut else "false"
    head = f"<Name>b</Name><IsTruncated>{cut}</IsTruncated>"
    head += f"<EncodingType>{encoding}</EncodingType>" * bool(encoding)
    head += f"<NextContinuationToken>{token}</NextContinuationToken>" * bool(token)
    head += "".join(f"<CommonPrefixes><Prefix>{f}</Prefix></CommonPrefixes>" for f in folders)
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


def s3_options(url: str) -> dict[str, Any]:
    return {"endpoint": url, "access_key_id": "k", "secret_access_key": "secret", "region": "r"}


def s3(url: str) -> BucketSource:
    return BucketSource("s3://b", SURFACE, s3_options(url))


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


ODD = ["/a.png", "a.png", "x/", "a//b", "a/../b", "a/./b", "../a.png", "\x01\n", "%41", "é ", "?#+"]


def test_keys_of_s3_are_listed_and_read_as_they_are() -> None:
    def answer(path: str, headers: Mapping[str, str]) -> Answer:
        if "list-type=2" in path:
            assert "encoding-type=url" in path
            return 200, {}, s3_page({quote(key): 1 for key in sorted(ODD)}, encoding="url")
        key = unquote(path.removeprefix("/b/").partition("?")[0])
        assert headers["If-Match"] == '"t1"'
        return 200, {"ETag": '"t1"'}, f"content of {key}"

    with answering(answer) as url:
        source = s3(url)
        read = {item.key: read_item(source, item)[1] for item in source.items()}
    assert read == {key: f"content of {key}".encode() for key in ODD}


def test_a_list_of_a_bucket_names_any_key(tmp_path: Path) -> None:
    def answer(path: str, headers: Mapping[str, str]) -> Answer:
        return 200, {"ETag": '"t1"'}, unquote(path.partition("?")[0])

    keys = ["/a.png", "a.png", "a//b", "a/../b", "%41"]
    (tmp_path / "keys.txt").write_text("\n".join(keys))
    with answering(answer) as url:
        for base, start in (("s3://b", "/b/"), ("s3://b/pro", "/b/pro/")):
            place = f"manifest://{tmp_path}/keys.txt?base={base}"
            source = ManifestSource(place, SURFACE, s3_options(url))
            read = {item.key: read_item(source, item)[1] for item in source.items()}
            assert read == {key: f"{start}{key}".encode() for key in keys}


@pytest.mark.parametrize(
    ("odd", "folders"),
    [
        (["c//x"], {"c/"}), (["c/d/../x"], {"c/d/"}), (["c/d/e/./x"], {"c/d/e/"}),
        (["c/d//x", "/x"], {"c/d/", "/"}), (["b/./x", "c/./x"], {"b/", "c/"}),
    ],
)  # fmt: skip
def test_keys_that_another_cloud_s_client_refuses_end_no_listing(
    odd: list[str], folders: set[str]
) -> None:
    keys = sorted(["a", "b/1", "b/2", "c/1", "c/d/1", "c/d/e/1", "c-", "d", *odd])

    def answer(path: str, headers: Mapping[str, str]) -> Answer:
        query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        if "list-type" not in query:
            return 200, {"ETag": '"t1"'}, unquote(path.partition("?")[0])
        prefix, objects, inside = query.get("prefix", ""), dict[str, int](), set[str]()
        for key in keys:
            if key.startswith(prefix) and key > query.get("start-after", ""):
                below, stroke, _ = key.removeprefix(prefix).partition("/")
                if stroke and "delimiter" in query:
                    inside.add(f"{prefix}{below}/")
                else:
                    objects[key] = 1
        return 200, {}, s3_page(objects, folders=sorted(inside))

    with answering(answer) as url:
        source = BucketSource("gs://b", SURFACE, {"base_url": url, "skip_signature": True})
        read = {item.key: read_item(source, item)[1] for item in source.items()}
        for folder in folders:
            said = str(read.pop(folder))
            assert said.startswith("a folder that this client cannot list: ")
        below = tuple(folders - {"/"})
        there = {key: f"/b/{key}".encode() for key in keys if key not in odd}
        assert all(there[key] == data for key, data in read.items())
        assert all(key in read or key.startswith(below) for key in there)
        check_source(source)


def test_an_object_of_another_cloud_is_read_in_parts() -> None:
    def answer(path: str, headers: Mapping[str, str]) -> Answer:
        if "list-type=2" in path:
            return 200, {}, s3_page({"a": 26})
        first, _, last = headers["Range"].removeprefix("bytes=").partition("-")
        if headers.get("If-Match") != '"t1"':
            return 412, {}, ""
        said = {"ETag": '"t1"', "Content-Range": f"bytes {first}-{last}/26"}
        return 206, said, ascii_lowercase[int(first) : int(last) + 1]

    with answering(answer) as url:
        source = BucketSource("gs://b", SURFACE, {"base_url": url, "skip_signature": True})
        (item,) = source.items()
        file = source.open(replace(item, version="etag-t1"), Tries())
        assert (file.seek(3), file.read(4), file.seek(-2, io.SEEK_END)) == (3, b"defg", 24)
        assert file.read() == b"yz"
        with pytest.raises(hm.SourceError, match="cannot read a of gs://b: it changed meanwhile"):
            source.open(replace(item, version="etag-t2"), Tries()).read(3)


def test_a_server_that_gives_no_parts_is_said() -> None:
    with answering(lambda path, headers: (200, {"ETag": '"t1"'}, "all of it")) as url:
        given = {"endpoint": url, "region": "us-east-1", "access_key_id": "a"}
        source = BucketSource("s3://b/a", SURFACE, given | {"secret_access_key": "b"})
        item = hm.ImageItem("a", "etag-t1", SURFACE, "a", "a", 9)
        with pytest.raises(hm.SourceError, match="cannot read s3://b: status 200, RangeIgnored"):
            source.open(item, Tries()).read(3)


@pytest.mark.parametrize("key", ["a//b", "a/../b", "a/./b"])
def test_a_key_that_another_cloud_s_client_cannot_list_is_one_line(key: str) -> None:
    with (
        answering(lambda path, headers: (200, {}, s3_page({"a": 1, key: 1}))) as url,
        pytest.raises(hm.SourceError, match=r"^gs://b: cannot be listed: an object's key has"),
    ):
        list(BucketSource("gs://b", SURFACE, {"base_url": url, "skip_signature": True}).items())


def test_two_objects_that_a_client_gives_one_key_are_two_items() -> None:
    def answer(path: str, headers: Mapping[str, str]) -> Answer:
        if "list-type=2" in path:
            return 200, {}, s3_page({"+": 1, "a.png": 3, "/a.png/": 4})
        return 200, {"ETag": '"t1"'}, "abc"

    with answering(answer) as url:
        source = BucketSource("gs://b", SURFACE, {"base_url": url, "skip_signature": True})
        read = {item.key: read_item(source, item)[1] for item in source.items()}
    assert read.pop("+") == read.pop("a.png") == b"abc"
    assert str(read.pop("a.png#2")) == "this client cannot tell it from another key"
    assert not read


def test_a_folder_s_marker_is_no_object() -> None:
    def answer(path: str, headers: Mapping[str, str]) -> Answer:
        if "list-type=2" in path:
            return 200, {}, s3_page({"folder/": 0, "folder/x": 1, "y/": 2})
        return 200, {"ETag": "t1"}, unquote(path)

    with answering(answer) as url:
        source = s3(url)
        read = {item.key: read_item(source, item)[1] for item in source.items()}
    assert read == {"folder/x": b"/b/folder/x", "y/": b"/b/y/"}
    assert source.passed_over == {"folders' markers": 1}


def test_a_server_that_does_not_begin_where_it_is_told_is_skipped_to_there() -> None:
    keys = [f"{number:02}" for number in range(20)]
    with answering(lambda path, headers: (200, {}, s3_page(dict.fromkeys(keys, 1)))) as url:
        source = s3(url)
        for number, key in enumerate(keys):
            assert [item.key for item in source.items(after=key)] == keys[number + 1 :]
        assert [item.key for item in source.items(after="055")] == keys[6:]
        assert not source.passed_over


def test_a_key_that_comes_late_once_more_is_passed_over_and_counted() -> None:
    pages = {
        "": s3_page({"a": 1, "b": 1}, token="1"), "1": s3_page({"b": 1, "c": 1, "d": 1}, token="2"),
        "2": s3_page({"a": 1, "d": 1, "e": 1}),
    }  # fmt: skip

    def answer(path: str, headers: Mapping[str, str]) -> Answer:
        query = dict(parse_qsl(urlsplit(path).query))
        return 200, {}, pages[query.get("continuation-token", "")]

    with answering(answer) as url:
        source = s3(url)
        assert [item.key for item in source.items()] == list("abcde")
        assert source.passed_over == {"keys that were listed again": 3}


def test_a_listing_that_never_ends_is_an_error() -> None:
    for page in (s3_page({"a": 1}, token="1"), s3_page({}, is_cut=True)):
        with (
            answering(lambda path, headers, page=page: (200, {}, page)) as url,  # type: ignore[misc]
            pytest.raises(
                hm.SourceError, match=r"^cannot list s3://b: its server says that there is more"
            ),
        ):
            list(s3(url).items())


@pytest.mark.parametrize("key", ["a.png/", "a//b", "b/./a", "a\x01"])
def test_what_a_client_would_take_for_another_key_is_not_read(key: str, tmp_path: Path) -> None:
    (tmp_path / "keys.jsonl").write_text(json.dumps({"key": key}))
    with answering(lambda path, headers: (200, {"ETag": '"t1"'}, "another")) as url:
        for base, options in (("gs://b", {"base_url": url, "skip_signature": True}), (url, {})):
            place = f"jsonl://{tmp_path}/keys.jsonl?base={base}"
            source = ManifestSource(place, SURFACE, options)
            ((name, said),) = [(i.key, read_item(source, i)[1]) for i in source.items()]
            assert name == key
            assert str(said).startswith("cannot be read with this client of ")


def test_a_folder_is_the_same_in_any_locale() -> None:
    names = ("s3://b/\u00e9", "s3://b/\udcc3\udca9")
    assert len({BucketSource(name, SURFACE).identity() for name in names}) == 1


def test_a_page_that_does_not_say_where_it_goes_on_is_gone_on_from_its_last_key() -> None:
    def answer(path: str, headers: Mapping[str, str]) -> Answer:
        after = dict(parse_qsl(urlsplit(path).query)).get("start-after", "")
        rest = [key for key in "abcde" if key > after]
        return 200, {}, s3_page(dict.fromkeys(rest[:2], 1), is_cut=len(rest) > 2)

    with answering(answer) as url:
        assert [item.key for item in s3(url).items()] == list("abcde")


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (
            301,
            "PermanentRedirect",
            "in another region (status 301, PermanentRedirect); set AWS_REG",
        ),
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
