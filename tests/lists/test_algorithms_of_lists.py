"""Hashes of every installed algorithm are read from every format, plug-ins' as our own."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
from hashmatch import registry
from hashmatch.lists.readers import _fields, threatexchange_te, vics_json
from hashmatch.testing import random_hashes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODULE = '''
"""Hashers of somebody else's."""
import hashmatch as hm

class Acme:
    spec = hm.HashSpec("acme-Hash2", 96)
    reads = "pixels"
    max_distance, min_quality, min_side = 4, 0, 1
    def hash(self, data):
        return hm.HashBatch.from_bytes(self.spec, bytes(self.spec.bits // 8)), None

class Digest(Acme):
    spec = hm.HashSpec("sha512", 512)
    reads = "bytes"
    max_distance = 0
    def hash(self, data):
        import hashlib
        return hm.HashBatch.from_bytes(self.spec, hashlib.sha512(data).digest()), None

class PhotoDna(Acme):
    spec = hm.HashSpec("photodna", 1152)
'''
ENTRY_POINTS = """
[hashmatch.hashers]
acme-Hash2 = acme_hashers:Acme
sha512 = acme_hashers:Digest
photodna = acme_hashers:PhotoDna
broken = no_such_package:Hasher
"""
ACME, SHA512 = hm.HashSpec("acme-Hash2", 96), hm.HashSpec("sha512", 512)
PHASH, DHASH, PHOTODNA = (
    hm.HashSpec(name, bits) for name, bits in (("phash", 64), ("dhash", 64), ("photodna", 1152))
)
WHEN = "2024-01-01T00:00:00Z"


def forget() -> None:
    for cached in (
        registry._points, _fields.installed, _fields.algorithm, _fields.role, vics_json._of_hashes,
        threatexchange_te._digest,
    ):  # fmt: skip
        cached.cache_clear()


@pytest.fixture
def _acme(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A distribution with hashers is installed."""
    (tmp_path / "acme_hashers.py").write_text(MODULE)
    info = tmp_path / "acme_hashers-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-hashers\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    monkeypatch.syspath_prepend(tmp_path)
    forget()
    yield
    monkeypatch.undo()
    forget()


def threatexchange(name: str, value: str, kind: str) -> str:
    owner = {"owner": {"id": "7"}, "status": "MALICIOUS", "tags": ["A1", *[kind] * bool(kind)]}
    record = {
        "id": "1", "indicator": value, "type": f"HASH_{name.upper().replace('-', '_')}",
        "last_updated": 1700000000, "descriptors": {"data": [owner]},
    }  # fmt: skip
    return json.dumps({"data": [record]})


def ncmec(name: str, value: str, kind: str) -> str:
    tag = "video" if kind else "image"
    return (
        '<queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2">'
        f'<{tag}s count="1"><{tag}><member id="42">Example</member><timestamp>{WHEN}</timestamp>'
        f"<id>1</id><classification>A1</classification><fingerprints><{name}>{value}</{name}>"
        f"</fingerprints></{tag}></{tag}s></queryResult>"
    )


def vics(name: str, value: str, kind: str) -> str:
    key = "PhotoDNA" if name == "photodna" else name.title()
    media = {"MediaID": 1, "Category": 1, key: value, "MimeType": kind and "video/mp4"}
    return json.dumps({"@odata.context": "x#Media", "value": [media]})


def vics_alternative(name: str, value: str, kind: str) -> str:
    hashes = [{"HashName": name.upper(), "HashValue": value}]
    media = {"MediaID": 1, "Category": 1, "AlternativeHashes": hashes}
    return json.dumps({"@odata.context": "x#Media", "value": [media | {"MimeType": kind}]})


def stopncii(name: str, value: str, kind: str) -> str:
    said = f"{'Video' if kind else 'Image'}{name.title().replace('-', '')}"
    record = {"signalType": said, "hashValue": value, "hashStatus": "Active"}
    return json.dumps({"count": 1, "hashRecords": [record]})


def tat(name: str, value: str, kind: str) -> str:
    record = {"hash_digest": value, "algorithm": name.upper(), "id": 1, "file_type": kind}
    return json.dumps({"count": 1, "results": [record]})


def csv_column(name: str, value: str, kind: str) -> str:
    return f"id,{name.upper()}\n1,{value}\n"


def csv_algorithm(name: str, value: str, kind: str) -> str:
    return f"id,hash,algorithm\n1,{value},{name.replace('-', ' ')}\n"


def jsonl(name: str, value: str, kind: str) -> str:
    return json.dumps({"hash": value, "algorithm": name.upper(), "id": "1"}) + "\n"


def te(name: str, value: str, kind: str) -> str:
    return f"{value},1,{WHEN},{'media_type_video' if kind else 'A1'}\n"


def text(name: str, value: str, kind: str) -> str:
    return f"{name} {value}\n"


FORMATS = {
    "threatexchange-json": (threatexchange, "media_type_video"), "ncmec-xml": (ncmec, "video"),
    "vics-json": (vics, "video"), "vics-json ": (vics_alternative, "video/mp4"),
    "stopncii-json": (stopncii, "video"), "tat-json": (tat, "video/mp4"),
    "threatexchange-te": (te, "video"), "csv": (csv_column, ""), "csv ": (csv_algorithm, ""),
    "jsonl": (jsonl, ""), "pdq-text": (text, ""),
}  # fmt: skip
"""Of each format, a file of one hash, and how it says that it is of a video."""


def read(text: str, algorithm: str = "pdq") -> hm.ListFile:
    return hm.read_list_file(io.BytesIO(text.encode()), hm.ListFormat(algorithm), name="l")


@pytest.mark.usefixtures("_acme")
@pytest.mark.parametrize("spec", [PHASH, DHASH, ACME, SHA512], ids=lambda spec: spec.algorithm)
@pytest.mark.parametrize("format", FORMATS)
def test_each_format_holds_hashes_of_each_algorithm(format: str, spec: hm.HashSpec) -> None:
    make, _ = FORMATS[format]
    batch = random_hashes(spec, 1, seed=3)
    (value,) = batch.to_hex()
    file = read(make(spec.algorithm, value, ""), spec.algorithm)
    assert (file.format, file.types) == (format.strip(), {spec.algorithm: 1})
    assert file.choose(spec.algorithm).hashes == batch
    assert not file.unmatchable
    if format.strip() not in {"threatexchange-te"}:  # only the caller knows what that holds
        assert read(make(spec.algorithm, value, "")).types == {spec.algorithm: 1}


@pytest.mark.usefixtures("_acme")
@pytest.mark.parametrize("format", [name for name in FORMATS if FORMATS[name][1]])
def test_digests_of_videos_are_another_kind_and_hashes_of_pixels_are_not(format: str) -> None:
    make, video = FORMATS[format]
    for spec in (SHA512, PHASH):
        (value,) = random_hashes(spec, 1, seed=3).to_hex()
        file = read(make(spec.algorithm, value, video), spec.algorithm)
        if spec is SHA512:
            assert (file.types, file.unmatchable) == ({}, {"video_sha512": 1})
        elif format != "stopncii-json":  # whose VideoPHash is some other hash
            assert (file.types, file.unmatchable) == ({"phash": 1}, {})


@pytest.mark.parametrize("format", [name for name in FORMATS if name != "csv"])
def test_what_no_hasher_is_installed_for_is_counted_or_named_and_never_kept(format: str) -> None:
    make, _ = FORMATS[format]
    (value,) = random_hashes(PHOTODNA, 1, seed=3).to_hex()
    file = read(make("photodna", value, ""))
    assert not file.lists
    assert value[:16] not in repr(file)
    if format.strip() != "threatexchange-te":
        assert file.unmatchable == {"photodna": 1}
        other = read(make("acme-Hash2", value[:24], ""))
        assert (other.lists, len(other.rejected)) == ((), 1)


def test_a_column_of_a_kind_that_no_hasher_is_installed_for_is_no_column_of_hashes() -> None:
    with pytest.raises(hm.ListError, match="column 2 ACME-HASH2 holds hashes, and is not known"):
        read(csv_column("acme-Hash2", "0" * 24, ""))


@pytest.mark.usefixtures("_acme")
@pytest.mark.parametrize("format", [name for name in FORMATS if name != "threatexchange-te"])
def test_whoever_has_a_hasher_of_a_kind_can_match_it(format: str) -> None:
    make, _ = FORMATS[format]
    batch = random_hashes(PHOTODNA, 1, seed=3)
    file = read(make("photodna", batch.to_hex()[0], ""))
    assert (file.types, file.unmatchable) == ({"photodna": 1}, {})
    assert file.choose("photodna").hashes == batch
