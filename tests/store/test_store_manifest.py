"""A manifest is written in one way, and read in that way only."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.errors import StoreError, UsageError
from hashmatch.store.manifest import (
    HIGHEST,
    LARGEST,
    FetchedFrom,
    ImportedFile,
    Manifest,
    StoredFile,
    decode,
    encode,
)

MADE = datetime(2026, 1, 1, tzinfo=UTC)
SHA = "ab" * 32
CANARY = "f8f8f0cee0f4a84f06370a22038f63f0b36e2ed596621e1d33e6b39c4e9c9b22"


def a_manifest(**changes: Any) -> Manifest:
    given_: dict[str, Any] = {
        "name": "demo",
        "version": 7,
        "created": MADE,
        "expires": MADE + timedelta(days=30),
        "hashmatch": "0.1.0",
        "decode_policy": "rgb/2",
        "base": 6,
        "key_ids": ("0123456789abcdef", "1123456789abcdef"),
        "encrypted": True,
        "counts": {"pdq": {"entries": 9, "removed": 1}, "md5": {"entries": 1}},
        "files": (StoredFile(role="index", sha256=SHA, bytes=9, facts={"limit": 31}),),
        "sources": (ImportedFile(name="a.csv", sha256=SHA, bytes=9, rows=10, rejected=1),),
    }
    return Manifest(**(given_ | changes))


texts = st.text(min_size=1, max_size=20)
sizes = st.integers(0, 1 << 53)
times = st.datetimes(datetime(1970, 1, 1), datetime(9000, 1, 1)).map(
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)
shas = st.binary(min_size=32, max_size=32).map(bytes.hex)
facts = st.dictionaries(
    texts, st.none() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | texts, max_size=3
)
files = st.builds(
    StoredFile, role=texts, sha256=shas, bytes=sizes, algorithm=st.none() | texts, facts=facts
)
manifests = st.builds(
    Manifest,
    name=texts,
    version=st.integers(2, HIGHEST),
    created=times,
    expires=st.none() | times,
    hashmatch=texts,
    base=st.none() | st.just(1),
    encrypted=st.booleans(),
    counts=st.dictionaries(texts, st.dictionaries(texts, sizes, max_size=3), max_size=3),
    files=st.lists(files, max_size=3).map(tuple),
)


@given(manifests)
def test_what_is_written_is_read_and_written_again(manifest: Manifest) -> None:
    try:
        data = encode(manifest)
    except UsageError:  # what JSON cannot keep, as infinity or half of a surrogate pair
        text = repr(manifest)
        assert "inf" in text or "\\ud" in text
        return
    assert decode("m", data, manifest.version) == manifest
    assert encode(decode("m", data)) == data


def test_the_form_is_fixed() -> None:
    """A signature is over these bytes: they may not change with a version of anything."""
    manifest = Manifest(name="demo", version=1, created=MADE, hashmatch="0.1.0")
    assert encode(manifest) == (
        b'{"base":null,"bits":[],"counts":{},"created":"2026-01-01T00:00:00Z","decode_policy":null,'
        b'"encoding":"hex","encrypted":false,"expires":null,"files":[],"hashmatch":"0.1.0",'
        b'"keep_ids":[],"key_ids":[],"made_by":"import",'
        b'"name":"demo","options":{},"schema":"hashmatch.list/1","sources":[],"statuses":{},'
        b'"version":1}'
    )
    document = json.loads(encode(a_manifest()))
    assert encode(a_manifest()) == json.dumps(
        document, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    ).encode("utf-8")


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 0, "base": None},
        {"version": HIGHEST + 1},
        {"version": True, "base": None},
        {"name": ""},
        {"name": "\ud800"},
        {"counts": {"pdq": {"entries": -1}}},
        {"counts": {"pdq": {"entries": float("nan")}}},
        {"files": (StoredFile(role="x", sha256="AB" * 32, bytes=1),)},
        {"files": (StoredFile(role="x", sha256=SHA, bytes=1, facts={"a": float("nan")}),)},
        {"files": (StoredFile(role="x", sha256=SHA + "\n", bytes=1),)},
        {"key_ids": ("0123456789ABCDEF",)},
        {"key_ids": ("0123456789abcdef\n",)},
        {"schema": "hashmatch.list/2"},
        {"name": "x" * 1001},
        {"sources": (ImportedFile(name="x" * 900, sha256=SHA, bytes=1),) * 20_000},
    ],
)
def test_what_cannot_be_read_is_not_written(changes: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="cannot write the manifest"):
        encode(a_manifest(**changes))


@pytest.mark.parametrize(
    "changes",
    [
        {"created": datetime(2026, 1, 1)},
        {"expires": datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=1)))},
        {"created": MADE.replace(microsecond=1)},
        {"base": 7},
        {"key_ids": ("1" * 16, "0" * 16)},
        {"key_ids": ("1" * 16, "1" * 16)},
    ],
)
def test_what_does_not_fit_together_is_not_made(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"a time|a base|key ids"):
        a_manifest(**changes)


GOOD = encode(a_manifest())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xef\xbb\xbf" + GOOD,
        GOOD + b"\n",
        b" " + GOOD,
        GOOD.decode().encode("utf-16"),
        GOOD.replace(b'"version":7', b'"version":7,"version":7'),
        GOOD.replace(b'"version":7', b'"version":7.0'),
        GOOD.replace(b'"version":7', b'"version":"7"'),
        GOOD.replace(b'"version":7', b'"version":NaN'),
        GOOD.replace(b'"version":7', b'"version":' + b"7" * 5000),
        GOOD.replace(b'"version":7', b'"version":-7'),
        GOOD.replace(b'"limit":31', b'"limit":NaN'),
        GOOD.replace(b'"limit":31', b'"limit":Infinity'),
        GOOD.replace(b'"limit":31', b'"limit":1e999'),
        GOOD.replace(b'"limit":31', b'"limit":31.00'),
        GOOD.replace(b'"limit":31', b'"limit":[31]'),
        GOOD.replace(b'"encrypted":true', b'"encrypted":1'),
        GOOD.replace(b'"encrypted":true,', b""),
        GOOD.replace(b'"encrypted":true', b'"encrypted":true,"sound":1'),
        GOOD.replace(b'"demo"', b'"d\\u0065mo"'),
        GOOD.replace(b'"demo"', b'"' + b"x" * LARGEST + b'"'),
        GOOD.replace(b'"demo"', b'"d\xffmo"'),
        GOOD.replace(b"00:00:00Z", b"00:00:00+00:00"),
        GOOD.replace(b"00:00:00Z", b"00:00:00+01:00"),
        GOOD.replace(b"00:00:00Z", b"00:00:00"),
        GOOD.replace(b'"2026-01-01T00:00:00Z"', b"1767225600"),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"null",
        b"[]",
        CANARY.encode(),
        f'{{"{CANARY}":1}}'.encode(),
        GOOD.replace(b'"encrypted":true', f'"encrypted":"{CANARY}"'.encode()),
        GOOD.replace(b"hashmatch.list/1", CANARY.encode()),
    ],
)
def test_text_that_is_no_manifest(data: bytes) -> None:
    assert data != GOOD
    with pytest.raises(StoreError, match=r"^cannot use m\.json: it is damaged, or") as raised:
        decode("m.json", data)
    assert "\n" not in str(raised.value)
    assert CANARY not in str(raised.value)
    assert raised.value.__suppress_context__


def test_a_later_format_is_told_apart() -> None:
    later = GOOD.replace(b"hashmatch.list/1", b"hashmatch.list/12").replace(b'"base":6,', b"")
    with pytest.raises(StoreError, match=r"a manifest of format 12, .* Use the version that wrote"):
        decode("m.json", later)


def test_a_manifest_in_the_place_of_another() -> None:
    """Mix-and-match: each file is whole, and they are not of one version."""
    with pytest.raises(StoreError, match="of version 7, in the place of version 8"):
        decode("00000008.json", GOOD, 8)


def test_every_bit_flipped_and_every_truncation() -> None:
    """Nothing but a StoreError or another manifest, which no signature is for."""
    for end in range(len(GOOD)):
        with pytest.raises(StoreError):
            decode("m", GOOD[:end])
    for place in range(len(GOOD) * 8):
        data = bytearray(GOOD)
        data[place // 8] ^= 1 << place % 8
        try:
            other = decode("m", bytes(data))
        except StoreError:
            continue
        assert other != a_manifest()
        assert msgspec.json.encode(other, order="sorted") == data


def test_a_manifest_says_of_an_exchange_only_if_there_is_one() -> None:
    """So that those that were written before any was fetched stay what they are."""
    manifest = Manifest(name="demo", version=1, created=MADE, hashmatch="0.1.0")
    assert b"fetched" not in encode(manifest)
    fetched = FetchedFrom(exchange="ncmec-0", checkpoint="1700000000", at=MADE)
    later = Manifest(name="demo", version=1, created=MADE, hashmatch="0.1.0", fetched=fetched)
    assert decode("1.json", encode(later), 1).fetched == fetched
