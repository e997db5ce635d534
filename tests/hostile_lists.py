"""Hostile hash-list files, made from a seed, each with what of it has to survive.

Every record stands on lines of its own, so that a reader's report can be held against the lines of
the bad ones. Hashes are random.
"""

from __future__ import annotations

import gzip
import json
import random
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

NCMEC = "https://hashsharing.ncmec.org/hashsharing/v2"
LINES = ("pdq-text", "csv", "jsonl", "vpdq", "threatexchange-te")
PAGES = ("threatexchange-json", "stopncii-json", "tat-json", "vics-json")
FORMATS = (*LINES, *PAGES, "ncmec-xml")


class HostileFile(NamedTuple):
    """A file, and what has to be said of it.

    ``kept`` are the hashes (PDQ, or MD5 in VICS) of its good records, ``bad`` the lines where
    something has to be reported, ``maybe`` those where it may be, ``secrets`` what no message may
    hold; ``refused`` files hold nothing to keep and may be refused as a whole.
    """

    name: str
    format: str
    data: bytes
    kept: frozenset[str]
    bad: frozenset[int]
    secrets: tuple[str, ...]
    refused: bool = False
    maybe: frozenset[int] = frozenset()


def of(format: str) -> str:
    """Return the kind of hash that files of a format hold here."""
    return {"vics-json": "md5", "vpdq": "vpdq"}.get(format, "pdq")


def record(format: str, hash: str, number: int) -> str:
    """Return one good record on one line."""
    name = f"{number}"
    return {
        "pdq-text": f"{hash},name {name}",
        "csv": f"{hash},{name},=cmd|' /C calc'!A0",
        "jsonl": json.dumps({"hash": hash, "id": name}),
        "vpdq": f"{name},100,{hash},1.23e+03",
        "threatexchange-te": f"{hash},{name},2024-01-01T00:00:00+0000,demo",
        "threatexchange-json": json.dumps(
            {
                "id": name,
                "indicator": hash,
                "type": "HASH_PDQ",
                "descriptors": {"data": [{"id": "7", "status": "MALICIOUS"}]},
            }
        ),
        "stopncii-json": json.dumps(
            {"signalType": "ImagePDQ", "hashValue": hash, "hashStatus": "Active"}
        ),
        "tat-json": json.dumps({"id": number, "algorithm": "PDQ", "hash_digest": hash}),
        "vics-json": json.dumps(
            {"MediaID": number, "Category": "1", "MD5": hash, "MediaFiles": [{"MD5": hash}]}
        ),
        "ncmec-xml": (
            f'<image><member id="42"/><id>{name}</id><fingerprints><pdq>{hash}</pdq>'
            "</fingerprints></image>"
        ),
    }[format]


def whole(format: str, records: list[str], count: int | None = None) -> tuple[str, int]:
    """Return a file of `records`, one a line, and the line of the first."""
    if format in LINES:
        header = "pdq,id,note\n" if format == "csv" else ""
        return header + "".join(f"{text}\n" for text in records), 2 if header else 1
    stated = len(records) if count is None else count
    if format == "ncmec-xml":
        inside = "".join(f"{text}\n" for text in records)
        return (
            f'<queryResult xmlns="{NCMEC}"><images count="{stated}">\n{inside}</images>'
            "</queryResult>",
            2,
        )
    before, after = {
        "threatexchange-json": ('{"data":[', '],"paging":{"next":"x"}}'),
        "stopncii-json": (f'{{"count":{stated},"hashRecords":[', '],"nextSetTimestamp":1}'),
        "tat-json": ('{"checkpoint":"1,2","results":[', f'],"count":{stated},"next":null}}'),
        "vics-json": ('{"odata.metadata":"x#Media","value":[', "]}"),
    }[format]
    return f"{before}\n" + ",\n".join(records) + f"\n{after}\n", 2


# --- what spoils one record; given the format, a good record and its hash ------------------------

Spoiler = "Callable[[str, str, str], str]"


def _in_hash(change: Callable[[str], str]) -> Callable[[str, str, str], str]:
    return lambda _, text, hash: text.replace(hash, change(hash))


#: Bad in every format.
ANYWHERE: dict[str, Callable[[str, str, str], str]] = {
    "too short": _in_hash(lambda hash: hash[:-1]),
    "too long": _in_hash(lambda hash: hash + "0f"),
    "letters": _in_hash(lambda hash: hash[:20] + "zz" + hash[22:]),
    "a blank in it": _in_hash(lambda hash: f"{hash[:10]} {hash[10:]}"),
    "no ASCII digits": _in_hash(lambda hash: hash[:-1] + "\uff11"),
    "base64 of it": _in_hash(lambda hash: hash[:42] + "="),
}
#: Bad where each line is a record.
ON_LINES: dict[str, Callable[[str, str, str], str]] = {
    "a NUL": lambda _, text, __: text + "\0",
    "no UTF-8": lambda _, text, __: text + "\udc81",
    "a carriage return": lambda _, text, __: f"{text[:-1]}\r{text[-1]}",
    "70 KB": lambda _, text, __: text + "x" * 70_000,
}
#: Bad where records are JSON.
IN_JSON: dict[str, Callable[[str, str, str], str]] = {
    "NaN": lambda _, text, __: text[:-1] + ', "more": NaN}',
    "Infinity": lambda _, text, __: text[:-1] + ', "more": [-Infinity]}',
    "a key twice": lambda _, text, __: text[:-1] + ', "more": 1, "more": 2}',
    "5,000 digits": lambda _, text, __: text[:-1] + f', "more": 1{"0" * 5000}}}',
    "deep": lambda _, text, __: text[:-1] + f', "more": {"[" * 3000}{"]" * 3000}}}',
    "deeper, not closed": lambda _, text, __: text[:-1] + f', "more": {"[" * 3000}}}',
    "no closing quote": lambda _, text, hash: text.replace(f'{hash}"', hash, 1),
    "no closing bracket": lambda _, text, __: text[:-1],
    "brackets crossed": lambda _, text, __: text[:-1] + ', "more": [1}',
    "no value": lambda _, text, __: text[:-1] + ', "more": }',
    "a bare word": lambda _, text, __: text[:-1] + ', "more": nope}',
    "no object": lambda *_: "null",
    "a number": lambda *_: "5",
    "an array": lambda *_: '["x"]',
    "half a pair": lambda _, text, hash: text.replace(hash, hash + "\\ud800"),
    "a raw control character": lambda _, text, hash: text.replace(hash, hash + "\x01"),
    "hash is a number": lambda _, text, hash: text.replace(f'"{hash}"', "5"),
    "hash is an array": lambda _, text, hash: text.replace(f'"{hash}"', f'["{hash}"]', 1),
}
#: What leaves the brackets around a record in disorder.
BROKEN = {
    "deep", "deeper, not closed", "no closing quote", "no closing bracket", "brackets crossed",
    "no value", "a bare word", "half a pair", "a raw control character",
}  # fmt: skip
OF: dict[str, dict[str, Callable[[str, str, str], str]]] = {
    "csv": {
        "no closing quote": lambda _, text, __: text.replace(",", ',"', 1),
        "more cells": lambda _, text, __: text + ",more,more",
    },
    "threatexchange-te": {
        "no closing quote": lambda _, text, __: text.replace(",", ',"', 1),
        "no time": lambda _, text, __: text.replace("2024-", "20x4-"),
    },
    "vpdq": {"no quality": lambda _, text, __: text.replace(",100,", ",many,")},
    "ncmec-xml": {
        "no id": lambda _, text, __: text.replace('<member id="42"/>', ""),
        "no time": lambda _, text, __: text.replace("<id>", "<timestamp>soon</timestamp><id>"),
        "no fingerprint": lambda _, text, hash: text.replace(f"<pdq>{hash}</pdq>", ""),
        "2 MB": lambda _, text, __: text.replace("<id>", f"<note>{'x ' * 1_000_000}</note><id>"),
    },
}
#: Well and good in every format.
HARMLESS: dict[str, Callable[[str, str, str], str]] = {
    "as it is": lambda _, text, __: text,
    "upper case": _in_hash(str.upper),
    "mixed case": _in_hash(lambda hash: hash[:9].upper() + hash[9:]),
    "0x before it": _in_hash(lambda hash: f"0x{hash}"),
    "blanks beside it": _in_hash(lambda hash: f"\u00a0{hash}\u200b"),
}


def spoilers(format: str) -> dict[str, Callable[[str, str, str], str]]:
    """Return what makes a record of `format` bad."""
    found = {**ANYWHERE, **OF.get(format, {})}
    if format in LINES:
        found |= ON_LINES
    if format in {*PAGES, "jsonl"}:
        found |= IN_JSON
    return found


# --- files ---------------------------------------------------------------------------------------


class Records:
    """Records of one file as they are made up, good and bad."""

    def __init__(self, format: str, rng: random.Random) -> None:
        self.format = format
        self.rng = rng
        self.texts: list[str] = []
        self.names: list[str] = []
        self.bad: set[int] = set()
        self.maybe: set[int] = set()
        self.kept: set[str] = set()
        self.secrets: list[str] = []
        self.broken = False

    def add(self, spoil: dict[str, Callable[[str, str, str], str]]) -> None:
        """Make one up, spoilt with something of `spoil` at times."""
        number = len(self.texts)
        digits = 32 if of(self.format) == "md5" else 64
        hash = f"{self.rng.getrandbits(digits * 4):0{digits}x}"
        text = record(self.format, hash, number + 1)
        if self.rng.random() > 0.4:
            self.broken = False
            name = self.rng.choice(sorted(HARMLESS))
            self.texts.append(HARMLESS[name](self.format, text, hash))
            self.kept.add(hash)
            if self.rng.random() < 0.1 and self.format in LINES:
                self.texts.append(self.texts[-1])  # the same once more
            return
        name = self.rng.choice(sorted(spoil))
        self.names.append(name)
        self.texts.append(spoil[name](self.format, text, hash))
        self.secrets.append(hash)
        # What is no object cannot be told from what is left of a broken one before it.
        unclear = self.broken and not self.texts[-1].startswith("{")
        (self.maybe if unclear else self.bad).add(number)
        self.broken = self.format in PAGES and (name in BROKEN or unclear)


def mixed(seed: int) -> HostileFile:
    """Return a file of 0 to 12 records, good and bad, in some disguise."""
    rng = random.Random(seed)
    format = FORMATS[seed % len(FORMATS)]
    spoil = spoilers(format)
    disguise = rng.choice(["", "", "BOM", "UTF-16", "UTF-16-BE", "CRLF", "blank lines after"])
    if disguise.startswith("UTF-16"):
        spoil.pop("no UTF-8", None)
    made = Records(format, rng)
    for _ in range(rng.choice([0, 1, 1, 2, 3, 5, 8, 12])):
        made.add(spoil)
    lies = format in {"stopncii-json", "tat-json", "ncmec-xml"} and rng.random() < 0.2
    count = len(made.texts) + rng.choice([1, 5, 10**6]) if lies else None
    text, first = whole(format, made.texts, count)
    bad, maybe = ({first + n for n in lines} for lines in (made.bad, made.maybe))
    if lies:
        made.names.append("a count that lies")
        last = len(text.rstrip("\n").split("\n"))
        # Nobody can count what is broken.
        (maybe if set(made.names) & BROKEN and format in PAGES else bad).add(last)
    if disguise == "CRLF":
        text = text.replace("\n", "\r\n")
    if disguise == "blank lines after":
        text += "\n" * 50
    data = text.encode("utf-8", "surrogateescape")
    if disguise == "BOM":
        data = b"\xef\xbb\xbf" + data
    elif disguise == "UTF-16":
        data = text.encode("utf-16")
    elif disguise == "UTF-16-BE":
        data = ("\ufeff" + text).encode("utf-16-be")
    name = f"{seed}: {format}, {disguise}, {', '.join(made.names)}"
    return HostileFile(
        name, format, data, frozenset(made.kept), frozenset(bad), tuple(made.secrets),
        maybe=frozenset(maybe),
    )  # fmt: skip


def cut(seed: int) -> HostileFile:
    """Return a file that ends in the middle of its last record's hash."""
    rng = random.Random(seed)
    format = FORMATS[seed % len(FORMATS)]
    digits = 32 if of(format) == "md5" else 64
    hashes = [f"{rng.getrandbits(digits * 4):0{digits}x}" for _ in range(rng.randint(1, 6))]
    text, first = whole(
        format, [record(format, hash, n + 1) for n, hash in enumerate(hashes)], len(hashes)
    )
    data = text[: text.index(hashes[-1]) + rng.randrange(1, digits)].encode()
    line = first + len(hashes) - 1
    return HostileFile(
        f"{seed}: {format}, cut", format, data, frozenset(hashes[:-1]), frozenset({line}),
        (hashes[-1][:12],),
    )  # fmt: skip


@cache
def gzip_bomb() -> bytes:
    return gzip.compress(bytes(10_000_000))


def foreign(seed: int) -> HostileFile:
    """Return a file that is no list at all, or that must not be read."""
    rng = random.Random(seed)
    format = FORMATS[seed % len(FORMATS)]
    hash = f"{rng.getrandbits(256):064x}"
    entity = "".join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10}">' for n in range(1, 10))
    good = whole("ncmec-xml", [record("ncmec-xml", hash, 1)])[0]
    kinds = {
        "gzip bomb": gzip_bomb(),
        "zip": b"PK\x03\x04" + rng.randbytes(100),
        "nothing": b"",
        "NULs": bytes(100_000),
        "noise": rng.randbytes(100_000),
        "only brackets": b"[" * 300_000,
        "only objects": b'{"data":' * 50_000,
        "only closing brackets": b"]}" * 100_000,
        "only quotes": b'"' * 300_001,
        "only backslashes": b'{"data":["' + b"\\" * 300_001,
        "only commas": b'{"data":[' + b"," * 300_000,
        "only tags": b"<a>" * 100_000,
        "billion laughs": f'<!DOCTYPE x [<!ENTITY a0 "ha">{entity}]>{good}'.encode(),
        "outer entity": f'<!DOCTYPE x SYSTEM "file:///etc/passwd">{good}'.encode(),
        "other namespace": good.replace(NCMEC, "urn:x").encode(),
        "a page in a page": b'{"data":{"data":{"data":[]}}}',
        "only blanks": b" \n" * 50_000,
        "a header": b"pdq,id\n",
    }
    name = sorted(kinds)[seed // len(FORMATS) % len(kinds)]
    return HostileFile(
        f"{seed}: {name} as {format}", format, kinds[name], frozenset(), frozenset(), (hash,), True
    )


def files(count: int = 500) -> list[HostileFile]:
    """Return `count` hostile files: of ten, six mixed, one cut, three foreign."""
    made = [mixed, mixed, mixed, cut, mixed, foreign, mixed, foreign, mixed, foreign]
    rng = random.Random(count)
    return [made[n % 10](rng.randrange(10**6)) for n in range(count)]


def long_parts(format: str, size: int) -> tuple[bytes, bytes, bytes, frozenset[str], Any]:
    """Return what to write before, repeatedly and after, to have one line of `size` bytes.

    With it come the hashes to be kept, and which line is to be reported, None for any.
    """
    digits = 32 if of(format) == "md5" else 64
    hashes = [f"{random.Random(n).getrandbits(digits * 4):0{digits}x}" for n in range(3)]
    records = [record(format, hash, n + 1) for n, hash in enumerate(hashes)]
    mark = "\x02"
    if format == "ncmec-xml":
        records[1] = records[1].replace("<id>", f"<note>{mark}</note><id>")
    elif format in PAGES or format == "jsonl":
        records[1] = records[1][:-1] + f', "more": "{mark}"}}'
    else:
        records[1] += mark
    text, first = whole(format, records)
    before, _, after = text.partition(mark)
    filling = b"x" * (1 << 20)
    return before.encode(), filling, after.encode(), frozenset({hashes[0], hashes[2]}), first + 1
