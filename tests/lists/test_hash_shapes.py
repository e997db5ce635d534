"""Hashes in ids, labels and names are told by their shape, in 40 spellings; other ids stay."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import uuid
from datetime import timedelta
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import pytest

import hashmatch as hm
from cli_tools import IMAGES, run
from hashmatch.errors import StoreError, UsageError
from hashmatch.records.entries import Texts
from hashmatch.records.hash_shapes import decoded, hidden, may_be_hash, may_be_hashes
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.settings import Settings
from hashmatch.review.webhook.client import Endpoint
from hashmatch.review.webhook.sender import Webhook
from hashmatch.review.webhook.signing import Secrets, new_secret
from hashmatch.store.diff import difference
from review_pages import ReviewSite, served
from webhook_server import receiving

if TYPE_CHECKING:
    from pathlib import Path

LISTED = hashlib.sha256(b"listed").hexdigest()


def spellings(value: bytes) -> dict[str, str]:
    """Return the ways to write a hash."""
    digits, number = value.hex(), int.from_bytes(value, "big")
    b64, url = base64.b64encode(value).decode(), base64.urlsafe_b64encode(value).decode()
    b32 = base64.b32encode(value).decode()

    def grouped(sign: str, size: int) -> str:
        return sign.join(digits[i : i + size] for i in range(0, len(digits), size))

    return {
        "hex": digits,
        "capitals": digits.upper(),
        "0x": f"0x{digits}",
        "colons": grouped(":", 2),
        "blanks": grouped(" ", 2),
        "dashes": grouped("-", 2),
        "points": grouped(".", 2),
        "underscores": grouped("_", 2),
        "fours": grouped("-", 4),
        "eights": grouped(" ", 8),
        "bytes in hex": ", ".join(f"0x{byte:02x}" for byte in value),
        "escaped": "".join(f"\\x{byte:02x}" for byte in value),
        "percent": "".join(f"%{byte:02X}" for byte in value),
        "percent of digits": "".join(f"%{ord(digit):02X}" for digit in digits),
        "pdq:": f"pdq:{digits}",
        "sha256=": f"sha256={digits}",
        "a file": f"{digits}.jpg",
        "part of a file": f"IMG_{digits}_small.png",
        "a path": f"faces/{digits[:2]}/{digits}.jpg",
        "an address": f"https://example.org/p/{digits}?size=1",
        "in a word": f"x{digits}y",
        "braces": f"{{{digits}}}",
        "quotes": f"'{digits}'",
        "wide": "".join(chr(ord(digit) + 0xFEE0) for digit in digits),
        "without width": "\u200b".join(digits),
        "two words": f"{digits[: len(digits) // 2]} {digits[len(digits) // 2 :]}",
        "base64": b64,
        "base64, bare": b64.rstrip("="),
        "base64url": url,
        "base64url, bare": url.rstrip("="),
        "a file in base64": url.rstrip("=") + ".jpg",
        "with its name in base64": f"sha256-{b64}",
        "base64 in words": f"{b64[:8]} {b64[8:16]} {b64[16:]}" if len(b64) < 25 else b64,
        "base32": b32,
        "base32, bare": b32.rstrip("="),
        "base32, small": b32.rstrip("=").lower(),
        "a file in base32": b32.rstrip("=").lower() + ".png",
        "decimal": str(number),
        "decimal, of a kind": f"pdq:{number}",
        "decimal in threes": f"{number:,}",
        "numbers": " ".join(map(str, value)),
        "list": str(list(value)),
        "binary": f"{number:0{8 * len(value)}b}",
        **({"uuid": str(uuid.UUID(bytes=value))} if len(value) == 16 else {}),
    }


A_UUID = 0x9F1C37E4A85B42608F3EC94DF5068A2B
VALUE = bytes.fromhex("9f1c37e4a85bd260713ec94df5068a2b")
"""Like any other: each of the spellings of it is one."""
LONG = bytes.fromhex("9f1c37e4a85bd260713ec94df5068a2b47c1e09d5b8236fa")


@pytest.mark.parametrize("size", [8, 16, 20, 32, 64])
def test_every_spelling(size: int) -> None:
    value = (LONG * 3)[:size]
    missed = [form for form, text in spellings(value).items() if not may_be_hash(text)]
    assert not missed
    assert len(spellings(value)) >= 43


@pytest.mark.parametrize(
    ("size", "most"), [(8, 0.05), (16, 0.012), (20, 0.006), (32, 0.002), (64, 0)]
)
def test_how_many_are_missed(size: int, most: float) -> None:
    """Text of 11 digits is not much; what is a hash of the list itself is found all the same."""
    draw, missed, count = random.Random(size), 0, 0
    for _ in range(60):
        texts = spellings(draw.randbytes(size)).values()
        missed += sum(not may_be_hash(text) for text in texts)
        count += len(texts)
    assert missed <= most * count


ORDINARY = {
    "rows": [str(row) for row in range(0, 10**6, 997)],
    "padded rows": [f"{row:020d}" for row in range(0, 10**9, 10**6)],
    "reports": [f"{1000 + row % 97}-{10**8 + row * 7919}" for row in range(1000)],
    "ids of a network": [str(10**14 + row * 98_765_432_123) for row in range(1000)],
    "ids that begin with a time": [str(13 * 10**17 + row * 912_345_678_901) for row in range(999)],
    "nanoseconds": [str(17 * 10**17 + row * 912_345_678_901) for row in range(999)],
    "object ids": [f"{0x65F0A000 + row:08x}{row * 7919 % 2**40:010x}a1b2c3" for row in range(999)],
    "ULIDs": [f"01HQ{row:06d}SV4RRFFQ69G5FAVZX" for row in range(999)],
    "dates": [f"2024-{row % 12 + 1:02}-01 12:{row % 60:02}:30.123456" for row in range(99)],
    "pictures": [f"IMG_20240{row % 9 + 1}11_12{row % 60:02}59_{row}.jpg" for row in range(999)],
    "telephones": [f"+44 20 7946 {row:04}" for row in range(999)],
    "addresses": [f"https://example.org/reports/2024/item-{row}/photo.jpg" for row in range(99)],
    "networks": [f"2001:db8:85a3::8a2e:370:{row}" for row in range(99)],
    "words": [
        "A1", "active", "child sexual abuse material", "non-consensual intimate imagery", "NCMEC",
        "international-organization", "Internet Watch Foundation", "CamelCaseName",
        "self_generated", "iPhone 12 Pro", "holiday photos 2024",
        "Screenshot_20240101-123045_Chrome.png",
        "WhatsApp Image 1.jpeg", "DSC_0001.JPG", "profile-picture-of-a-group",
        "v1.2.3-rc4", "Größe 42",
        "terrorism/propaganda", "http://www.example.org/", "report@example.org", "категория 12",
    ],
}  # fmt: skip


@pytest.mark.parametrize("sort", ORDINARY)
def test_ordinary_ids_stay(sort: str) -> None:
    assert not [text for text in ORDINARY[sort] if may_be_hash(text)]


def test_what_is_said_to_be_an_id() -> None:
    name, number = str(uuid.UUID(int=A_UUID)), "9182736455463728190"
    assert may_be_hash(name)
    assert may_be_hash(number)
    assert not may_be_hash(f"urn:uuid:{name.upper()}", ("uuid",))
    assert may_be_hash(number, ("uuid",))
    assert not may_be_hash(number, ("numbers",))
    assert may_be_hash(VALUE.hex(), ("uuid", "numbers"))
    assert may_be_hash(f"{name} {VALUE.hex()}", ("uuid",))
    assert not may_be_hash(VALUE.hex(), ("all",))
    assert hidden(hidden(VALUE.hex(), b"k"), b"k") == hidden(VALUE.hex(), b"k")
    assert hidden(VALUE.hex(), b"k") != hidden(VALUE.hex(), b"l")
    assert not may_be_hash("a1" * 9)
    with pytest.raises(UsageError, match="Give one of uuid, numbers, all"):
        hm.ListFormat(keep_ids=["hex"])


def test_what_words_are_in_other_bases() -> None:
    for form in ("base64", "base64url, bare", "base32, small", "decimal", "decimal in threes"):
        for size in (8, 16, 20, 32, 64):
            assert (LONG * 3)[:size] in decoded(spellings((LONG * 3)[:size])[form]), (form, size)


def page(path: Path, texts: list[str], status: str = "") -> Path:
    """Write a list whose ids, labels and sources are such texts, and return its path."""
    with open(path, "w") as file:
        for row, text in enumerate(texts):
            value = hashlib.sha256(b"%d" % row).hexdigest()
            one = {"hash": value, "id": text, "labels": [text, "A1"], "sources": [text]}
            file.write(json.dumps(one | {"status": status or "active"}) + "\n")
    return path


def test_no_output_shows_one(tmp_path: Path) -> None:
    texts = list(spellings((LONG * 3)[:32]).values()) + list(spellings(VALUE).values())
    path, store = page(tmp_path / f"{VALUE.hex()}.jsonl", texts), tmp_path / "store"
    known = hm.read_list(path)
    said = [known.name, repr(list(known.entries)), repr(known)]
    matcher = hm.Matcher(known, max_distance=256, max_matches=1000)
    record = matcher.check("fixtures/images/plain/tiles.png", surface="public_post")
    assert isinstance(record, hm.ReviewRecord)
    assert len(record.matches) == len(texts)
    said.append(repr(record))
    said += [known.reference(row, bytes(16)) for row in range(len(known))]
    changed = page(tmp_path / "changed.jsonl", texts, "withdrawn")
    for command in (
        ["inspect", path, "--json"],
        ["import", path, "--store", store, "--json"],
        ["inspect", store, "--json"],
        ["update", store, changed, "--json", "--accept", "size-change"],
        ["inspect", store],
        ["diff", store, "-v"],
    ):
        ran = run("list", *map(str, command))
        assert ran.code == 0, ran.err
        said.append(ran.out.decode())
    seen = "\n".join(said)
    assert "ref:" in seen
    assert not [text for text in texts if text in seen or json.dumps(text)[1:-1] in seen]


def test_a_withdrawal_finds_the_id_that_is_not_shown(tmp_path: Path) -> None:
    texts = [*spellings(VALUE).values()]
    store = hm.ListStore(tmp_path / "store")
    accepted = hm.Change(format=hm.ListFormat(unique_ids=True), accept=["size-change"])
    store.import_files([str(page(tmp_path / "a.jsonl", texts))], accepted)
    before = [entry.external_id for entry in store.open()[0].entries]
    gone = tmp_path / "b.jsonl"
    gone.write_text("".join(json.dumps({"id": t, "status": "withdrawn"}) + "\n" for t in texts[1:]))
    changed = store.update_files([str(gone)], accepted)
    assert changed.effects.withdrawn == len(texts) - 1
    assert [entry.external_id for entry in store.open()[0].entries] == before[:1]
    assert [each.removed for each in difference(store.version(1), store.version(2))]


def test_a_store_remembers_what_is_an_id(tmp_path: Path) -> None:
    name = str(uuid.UUID(int=A_UUID))
    path = str(page(tmp_path / "a.jsonl", [name, VALUE.hex()]))
    store = hm.ListStore(tmp_path / "store")
    store.import_files([path], hm.Change(format=hm.ListFormat(keep_ids=["uuid"])))
    first = store.open()[0]
    assert first.entries[0].external_id == name
    assert str(first.entries[1].external_id).startswith("ref:")
    store.update_files([path], hm.Change())
    assert list(store.open()[0].entries) == list(first.entries)
    assert store.version(2).manifest.keep_ids == ("uuid",)
    with pytest.raises(StoreError, match="Import all of it again"):
        store.update_files([path], hm.Change(format=hm.ListFormat(keep_ids=["all"])))
    store.import_files([path], hm.Change(format=hm.ListFormat(keep_ids=["all"])))
    assert {entry.external_id for entry in store.open()[0].entries} == {name, VALUE.hex()}


def test_a_list_from_a_database() -> None:
    ids: list[str | int | None] = [VALUE.hex(), str(uuid.UUID(bytes=VALUE)), 2**63 + 5]
    known = hm.HashList.from_hex("pdq", [LISTED] * 3, ids=ids, labels=[VALUE.hex()] * 3)
    names = [str(entry.external_id) for entry in known.entries]
    assert [name[:4] for name in names] == ["ref:", "ref:", "9223"]
    assert known.entries[0].labels[0].startswith("ref:")
    kept = hm.HashList.from_hex("pdq", [LISTED] * 3, ids=ids, keep_ids=["all"])
    assert [entry.external_id for entry in kept.entries] == [str(each) for each in ids]


def test_the_hashes_of_the_list_itself_whatever_they_look_like(tmp_path: Path) -> None:
    """Those of 64 bits in base64 and decimal are not told from words and numbers by their shape."""
    draw = random.Random(5)
    values = [draw.randbytes(8) for _ in range(300)]
    forms = ["base64, bare", "base64url, bare", "base32, bare", "decimal", "decimal in threes"]
    path = tmp_path / "known.jsonl"
    with open(path, "w") as file:
        for row, value in enumerate(values):
            text = spellings(values[row - 1])[forms[row % len(forms)]]
            one = {"hash": value.hex(), "algorithm": "phash", "id": text, "labels": [text]}
            file.write(json.dumps(one) + "\n")
    for entry in hm.read_list_file(path).lists[0].entries:
        shown = [entry.external_id, *entry.labels]
        assert all(each is None or each.startswith("ref:") for each in shown)


def columns(texts: list[str]) -> tuple[np.ndarray, np.ndarray]:
    held = Texts.of(texts)
    return np.asarray(held.data[:]), np.asarray(held.ends[:])


def test_many_texts_are_looked_at_as_one_is() -> None:
    """The counts pass over no text that `may_be_hash` takes for a hash, beside any others."""
    draw = random.Random(5)
    texts = [text for form in ORDINARY.values() for text in form]
    for size in (8, 16, 20, 32, 64) * 40:
        texts += spellings(draw.randbytes(size)).values()
    signs = "aZ09fF7_-+/. %\té=:,"
    texts += ["".join(draw.choices(signs, k=draw.randrange(40))) for _ in range(20_000)]
    draw.shuffle(texts)
    looked_at = set(may_be_hashes(*columns(texts)).tolist())
    hashes = {row for row, text in enumerate(texts) if may_be_hash(text)}
    assert len(hashes) > 5000
    assert hashes <= looked_at


@pytest.mark.parametrize(
    "form",
    [
        "name-{}",
        "IMG_20240111_{:06d}.jpg",
        "report {}",
        "NCMEC-{:09d}",
        "reports/2024/0012/entry-{:08d}-of-the-list",
    ],
)
def test_usual_ids_are_passed_over(form: str) -> None:
    texts = [form.format(row) for row in range(0, 10**6, 101)]
    assert not len(may_be_hashes(*columns(texts)))


def test_no_texts() -> None:
    assert not len(may_be_hashes(*columns([])))
    assert not len(may_be_hashes(*columns(["", "short"])))


def test_no_way_out_shows_one(tmp_path: Path) -> None:
    """A scan and all it writes, the queue, its exports, its page, and a message of a decision."""
    texts = list(spellings((LONG * 3)[:32]).values()) + list(spellings(VALUE).values())
    known = page(tmp_path / f"{VALUE.hex()}.jsonl", texts)
    queue, outs = str(tmp_path / "queue.db"), [tmp_path / "out.jsonl", tmp_path / "out.csv"]
    files = [tmp_path / name for name in ("report.json", "log.jsonl", "metrics.prom")]
    said: list[bytes] = []

    def ran(*words: object) -> None:
        done = run(*map(str, words))
        assert done.code == 0, done.err
        said.extend([done.out, done.err])

    settings = Settings(two_reviewers=False, pause=timedelta(0), undo=timedelta(0))
    ReviewQueue.open(queue, settings=settings, create=True).close()
    for out in outs:
        ran(
            "scan", IMAGES / "plain/tiles.png", "-s", "public_post", "--list", known,
            "--max-distance", "256", "--out", out, "--report", files[0], "--log-json", files[1],
            "--metrics", files[2], "-v",
        )  # fmt: skip
    ran("review", "add", queue, outs[0])
    with served(queue) as server:
        browser = ReviewSite(server).browser("ana")
        shown = browser.take()
        assert "ref:" in shown.text
        said += [shown.text.encode(), browser.get("/").text.encode()]
    with ReviewQueue.open(queue) as opened, receiving() as receiver:
        (case,) = opened.cases()
        opened.decide(case.case_id, "ana", "confirmed", "seen", case.reviewed_digest)
        Webhook(opened, Endpoint(receiver.url), Secrets.parse(new_secret())).push()
        said += [body for _, _, body in receiver.requests]
        assert len(receiver.requests) == 1
    for words in (
        ["status"], ["case", "list"], ["case", "show", case.case_id], ["history"], ["precision"],
        ["verify"],
    ):  # fmt: skip
        where = [words[0], *words[1:2], queue, *words[2:]]
        ran("review", *where)
        ran("review", *where, "--json")
    for name in ("cases.jsonl", "cases.csv"):
        ran("review", "export", queue, "--out", tmp_path / name)
        files.append(tmp_path / name)
    said += [file.read_bytes() for file in [*outs, *files]]
    seen = b"\n".join(said).decode()
    forms = {form for text in texts for form in (text, json.dumps(text)[1:-1], escape(text))}
    assert seen.count("ref:") > 5 * len(texts)
    assert not [form for form in forms if form in seen]
