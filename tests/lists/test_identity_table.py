"""What takes an entry out, and which times count, as docs/formats.md says of every format."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest

import documents
import hashmatch as hm
from hashmatch import registry
from hashmatch.interfaces import ListOptions, ListRow
from hashmatch.records.hashes import HashSpec
from hashmatch.testing import random_hashes
from list_stores import KEY, NOW, open_store

if TYPE_CHECKING:
    from pathlib import Path

HEAD = "| format | identity | what takes its place | what takes it out | time |"
ONE, OTHER, THIRD = random_hashes(HashSpec("pdq", 256), 3, seed=5).to_hex()
MD5 = ("0123456789abcdef" * 2, "fedcba9876543210" * 2, "00112233445566778899aabbccddeeff")
NCMEC = (
    '<queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2"><images>%s</images>'
    "</queryResult>"
)


def table() -> dict[str, tuple[str, list[str]]]:
    """Return by format what takes an entry out, and its times."""
    return {
        name.strip("`"): (out, [] if time == "none" else time.replace("`", "").split(", "))
        for name, _, _, out, time in documents.table(HEAD)
    }


def csv(*rows: dict[str, str]) -> str:
    names = sorted({name for row in rows for name in row})
    lines = [",".join(row.get(name, "") for name in names) for row in rows]
    return "\n".join([",".join(names), *lines]) + "\n"


def jsonl(*rows: dict[str, str]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def ncmec(*images: str) -> str:
    return NCMEC % "".join(images)


def image(value: str, id: str = "a", time: str = "") -> str:
    return (
        f'<image><member id="4">m</member>{time}<id>{id}</id><fingerprints><pdq>{value}</pdq>'
        "</fingerprints></image>"
    )


def tat(*rows: dict[str, Any]) -> str:
    return json.dumps({"count": len(rows), "next": None, "results": list(rows)})


def stopncii(*rows: dict[str, Any]) -> str:
    told = [{"signalType": "ImagePDQ", "hashStatus": "Active", **row} for row in rows]
    return json.dumps({"count": len(told), "hasMoreRecords": False, "hashRecords": told})


def vics(*rows: dict[str, Any]) -> str:
    return json.dumps({"@odata.context": "ProjectVic/DataModels/2.0.xml#Media", "value": rows})


def threatexchange(*rows: dict[str, Any]) -> str:
    told = [{"type": "HASH_PDQ", "descriptors": {"data": [{"id": "7"}]}, **row} for row in rows]
    return json.dumps({"data": told})


#: By format and what the table says: a list, a page that takes something out, what is left.
OUT = {
    ("csv", "its id and hash"): (
        csv({"id": "a", "pdq": ONE}, {"id": "a", "pdq": OTHER}, {"id": "b", "pdq": THIRD}),
        csv({"id": "a", "pdq": ONE, "status": "withdrawn"}, {"id": "b", "pdq": THIRD}),
        2,
    ),
    ("csv", "its id: every hash of it"): (
        csv({"id": "a", "pdq": ONE}, {"id": "a", "pdq": OTHER}, {"id": "b", "pdq": THIRD}),
        csv({"id": "a", "pdq": "", "status": "withdrawn"}, {"id": "b", "pdq": THIRD}),
        1,
    ),
    ("csv", "its hash"): (
        csv({"id": "a", "pdq": ONE}, {"id": "a", "pdq": OTHER}, {"id": "b", "pdq": THIRD}),
        csv({"id": "", "pdq": ONE, "status": "withdrawn"}, {"id": "b", "pdq": THIRD}),
        2,
    ),
    ("jsonl", "its id and hash"): (
        jsonl({"id": "a", "hash": ONE}, {"id": "a", "hash": OTHER}, {"id": "b", "hash": THIRD}),
        jsonl({"id": "a", "hash": ONE, "status": "withdrawn"}, {"id": "b", "hash": THIRD}),
        2,
    ),
    ("jsonl", "its id: every hash of it"): (
        jsonl({"id": "a", "hash": ONE}, {"id": "a", "hash": OTHER}, {"id": "b", "hash": THIRD}),
        jsonl({"id": "a", "status": "withdrawn"}, {"id": "b", "hash": THIRD}),
        1,
    ),
    ("jsonl", "its hash"): (
        jsonl({"id": "a", "hash": ONE}, {"id": "a", "hash": OTHER}, {"id": "b", "hash": THIRD}),
        jsonl({"hash": ONE, "status": "withdrawn"}, {"id": "b", "hash": THIRD}),
        2,
    ),
    ("stopncii-json", "its hash"): (
        stopncii({"hashValue": ONE}, {"hashValue": OTHER}),
        stopncii({"hashValue": ONE, "hashStatus": "Withdrawn"}, {"hashValue": OTHER}),
        1,
    ),
    ("vics-json", "its hash: category 0"): (
        vics({"MediaID": 1, "Category": 1, "MD5": MD5[0]}, {"MediaID": 2, "MD5": MD5[1]}),
        vics({"MediaID": 9, "Category": 0, "MD5": MD5[0]}, {"MediaID": 2, "MD5": MD5[1]}),
        1,
    ),
    ("ncmec-xml", "its id: every hash of it"): (
        ncmec(image(ONE), image(OTHER, "b")),
        ncmec(
            '<deletedImage><member id="4">m</member><id>a</id></deletedImage>', image(OTHER, "b")
        ),
        1,
    ),
    ("tat-json", "its id: every hash of it"): (
        tat(
            {"id": 1, "hash_digest": ONE, "algorithm": "PDQ"},
            {"id": 2, "hash_digest": OTHER, "algorithm": "PDQ"},
        ),
        tat(
            {"id": 1, "hash_digest": "", "algorithm": "PDQ", "deleted": True},
            {"id": 2, "hash_digest": OTHER, "algorithm": "PDQ"},
        ),
        1,
    ),
    ("threatexchange-json", "its id: every hash of it"): (
        threatexchange({"id": "1", "indicator": ONE}, {"id": "2", "indicator": OTHER}),
        threatexchange(
            {"id": "1", "indicator": ONE, "should_delete": True}, {"id": "2", "indicator": OTHER}
        ),
        1,
    ),
}

WHEN = "2024-05-06T07:08:09+00:00"
TIMES = {
    ("csv", "updated"): csv({"pdq": ONE, "updated": WHEN}),
    ("jsonl", "updated"): jsonl({"hash": ONE, "updated": WHEN}),
    ("stopncii-json", "lastModtimestamp"): stopncii(
        {"hashValue": ONE, "lastModtimestamp": 1714979289}
    ),
    ("vics-json", "DateUpdated"): vics({"MediaID": 1, "MD5": MD5[0], "DateUpdated": WHEN}),
    ("ncmec-xml", "timestamp"): ncmec(image(ONE, time=f"<timestamp>{WHEN}</timestamp>")),
    ("tat-json", "updated_on"): tat(
        {"id": 1, "hash_digest": ONE, "algorithm": "PDQ", "updated_on": WHEN}
    ),
    ("tat-json", "created_on"): tat(
        {"id": 1, "hash_digest": ONE, "algorithm": "PDQ", "created_on": WHEN}
    ),
    ("threatexchange-json", "last_updated"): threatexchange(
        {"id": "1", "indicator": ONE, "last_updated": 1714979289}
    ),
    ("threatexchange-json", "added_on"): threatexchange(
        {
            "id": "1",
            "indicator": ONE,
            "descriptors": {"data": [{"id": "7", "added_on": WHEN}]},
        }
    ),
    ("threatexchange-te", "added_on"): f'{ONE},7,{WHEN},"a b"\n',
}


def test_every_cell_is_tried() -> None:
    cells = {
        (name, part)
        for name, (out, _) in table().items()
        for part in out.split("; ")
        if part != "nothing"
    }
    assert cells == set(OUT)
    assert {(name, time) for name, (_, times) in table().items() for time in times} == set(TIMES)


@pytest.mark.parametrize(("cell", "sample"), OUT.items(), ids=[" ".join(cell) for cell in OUT])
def test_what_takes_an_entry_out(
    cell: tuple[str, str], sample: tuple[str, str, int], tmp_path: Path
) -> None:
    listed, withdrawn, left = sample
    store = open_store(tmp_path / "store", trust=hm.Trust(), now=NOW)
    change = hm.Change(format=hm.ListFormat(reader=cell[0]), accept=["size-change"], signer=KEY)
    for name, text in (("listed", listed), ("withdrawn", withdrawn)):
        (tmp_path / name).write_text(text)
    before = store.import_files([str(tmp_path / "listed")], change).effects.added
    effects = store.update_files([str(tmp_path / "withdrawn")], change).effects
    assert (effects.withdrawn, before - effects.withdrawn) == (before - left, left)


@pytest.mark.parametrize(("cell", "text"), TIMES.items(), ids=[" ".join(cell) for cell in TIMES])
def test_which_times_count(cell: tuple[str, str], text: str) -> None:
    found = list(registry.list_reader(cell[0]).rows(io.BytesIO(text.encode()), ListOptions()))
    (row,) = [one for one in found if isinstance(one, ListRow)]
    assert getattr(row.updated, "begin", None) == 1714979289.0
