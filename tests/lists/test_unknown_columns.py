"""No table is taken for PDQ text, and what of a table is not known is said, with what to give."""

from __future__ import annotations

import base64
import gzip
import io
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from cli_tools import run
from hashmatch.lists.readers._lines import shown
from hashmatch.testing import random_hashes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PDQ = hm.HashSpec("pdq", 256)
H = random_hashes(PDQ, 400, seed=3).to_hex()
OUT = 25
"""Of the rows of `table`, how many are withdrawn."""


def table(header: str, row: str, count: int = 100, end: str = "\n") -> str:
    """Return a table with a row for each hash; every fourth is withdrawn."""
    rows = [
        row.format(h=H[n], n=n, state="deleted" if n % 4 == 0 else "active") for n in range(count)
    ]
    return "".join(line + end for line in ([header] if header else []) + rows)


def read(data: str | bytes, **told: Any) -> hm.ListFile:
    """Read a list that a file object holds."""
    content = data if isinstance(data, bytes) else data.encode()
    return hm.read_list_file(io.BytesIO(content), hm.ListFormat(**told), name="l")


def refused(data: str | bytes, **told: Any) -> str:
    """Return why a list is refused; no hash is shown."""
    with pytest.raises(hm.ListError) as caught:
        read(data, **told)
    text = str(caught.value)
    assert "\n" not in text
    assert not re.search("[0-9a-f]{12}", text)
    return text


def options(message: str) -> dict[str, str]:
    """Return the columns that a message says to give."""
    found = re.findall(r"--column (\w+)=('[^']*'|[^ ,;)]*[^ ,;.)])", message)
    return {role: name.strip("'") for role, name in found}


UNKNOWN = {
    "fingerprint": table("fingerprint,category,State", "{h},A1,{state}"),
    "perceptual": table("perceptual;category;State", "{h};A1;{state}"),
    "sig": table("id\tsig\tcategory\tState", "{n}\t{h}\tA1\t{state}"),
    "pdq_value": table("id|pdq_value|category|State", "{n}|{h}|A1|{state}"),
    "empreinte": table("empreinte;category;State", "{h};A1;{state}"),
    "Perceptual hash of the picture": table(
        "Perceptual hash of the picture,category,State", "{h},A1,{state}"
    ),
    "指紋": table("指紋,category,State", "{h},A1,{state}"),
    "bom": "\ufeff" + table("bom,category,State", "{h},A1,{state}", end="\r\n"),
    "quoted": table('"quoted","category","State"', '"{h}","A1","{state}"'),
    "titled": "Export of our list\n\n" + table("titled,category,State", "{h},A1,{state}"),
    "commented": "# a comment\n" * 60 + table("commented,category,State", "{h},A1,{state}"),
    "blanked": "blanked,category,State\n,A1,deleted\n" + table("", "{h},A1,{state}"),
    "utf16": table("utf16,category,State", "{h},A1,{state}"),
    "cut": table("cut,category,State", "{h},A1,{state}").rstrip(),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_a_column_of_hashes_with_an_unknown_name_is_named_with_what_to_give(name: str) -> None:
    text = UNKNOWN[name]
    data = text.encode("utf-16" if name == "utf16" else "utf-8")
    said = refused(data)
    assert f" {name} holds hashes, and is not known by that name" in said
    told = options(said)
    assert (told["hash"], told["label"]) == (name, "category")
    file = read(data, columns=told)
    assert file.types == {"pdq": 100 - OUT}
    assert file.rows["withdrawal"] == OUT + (name == "blanked")
    assert {entry.labels for entry in file.lists[0].entries} == {("A1",)}


def test_a_single_column_with_an_unknown_name(tmp_path: Path) -> None:
    for end in ("\n", ""):
        said = refused("fingerprint\n" + "\n".join(H[:3]) + end)
        assert options(said) == {"hash": "fingerprint"}
    assert read("fingerprint\n" + "\n".join(H[:3]), columns={"hash": "1"}).types == {"pdq": 3}
    assert read("\n".join(H[:3])).format == "pdq-text"


HEADERLESS: dict[str, tuple[str, dict[str, str]]] = {
    "commas": ("{h},A1,{state}", {"hash": "1", "label": "2", "status": "3"}),
    "semicolons": ("{h};A1;{state}", {"hash": "1", "label": "2", "status": "3"}),
    "tabs": ("{h}\tA1\t{state}", {"hash": "1", "label": "2", "status": "3"}),
    "bars": ("{h}|A1|{state}", {"hash": "1", "label": "2", "status": "3"}),
    "quotes": ('"{h}","A1","{state}"', {"hash": "1", "label": "2", "status": "3"}),
    "id first": ("x{n},{h},A1,{state}", {"pdq": "2", "label": "3", "status": "4", "id": "1"}),
    "quality": ("{h},99,A1,{state}", {"hash": "1", "quality": "2", "label": "3", "status": "4"}),
    "like frames": ("{n},99,{h},1700000000,A1,{state}", {"hash": "3", "label": "5", "status": "6"}),
}


@pytest.mark.parametrize("name", HEADERLESS)
def test_a_table_without_a_header_is_read_by_numbers_only(name: str) -> None:
    row, columns = HEADERLESS[name]
    said = refused(table("", row))
    number = columns.get("hash", columns.get("pdq"))
    assert f"no header says which column is what; column {number} of" in said
    assert f"--column hash={number}" in said
    file = read(table("", row), columns=columns)
    assert file.types == {"pdq": 100 - OUT}
    assert {entry.labels for entry in file.lists[0].entries} == {("A1",)}
    blanked = row.format(h="", n=0, state="deleted") + "\n" + table("", row)
    assert read(blanked, columns=columns).rows["withdrawal"] == OUT + 1


def test_columns_may_be_told_by_number_beside_a_header() -> None:
    text = table("finger,finger,State", "{h},A1,{state}")
    with pytest.raises(hm.UsageError, match=r"2 are called 'finger'.*--column hash=1"):
        read(text, columns={"hash": "finger"})
    file = read(text, columns={"hash": "1", "label": "2"})
    assert (file.types, file.rejected) == ({"pdq": 75}, ())
    with pytest.raises(
        hm.UsageError, match=r"cannot find column '4': the columns are 1 finger, 2 finger"
    ):
        read(text, columns={"hash": "4"})


@pytest.mark.parametrize("row", ["{h},{state}", "{h},99,{state}", '{h},"{state}"', "{h};{state}"])
def test_a_status_in_the_place_of_a_name_is_none(row: str) -> None:
    said = refused(table("", row))
    assert "line 1: where PDQ text has a name there is the status of an entry" in said
    assert "--column hash=1 --column status=2" in said
    assert read(table("", row), reader="pdq-text").types == {"pdq": 100}
    late = "".join(f"{h}\n" for h in H * 40) + table("", row)
    assert f"line {len(H) * 40 + 1}: where PDQ text" in refused(late)


def test_a_table_below_bare_hashes_is_found_wherever_it_begins() -> None:
    bare = "".join(f"{h}\n" for h in H)
    cells = table("fingerprint,category,State", "{h},A1,{state}", 400)
    for many in (1, 40):
        assert re.search(r"line \d+: (there is more|where PDQ text)", refused(bare * many + cells))
    packed = gzip.compress((bare * 40 + cells).encode())
    with (
        gzip.open(io.BytesIO(packed)) as file,
        pytest.raises(hm.ListError, match=r"line 1\d{4}: where PDQ text"),
    ):
        hm.read_list_file(file, name="l")


def test_names_with_commas_are_names_where_few_have_them() -> None:
    rows = [f"{h},99,dir/a{', b' * (n % 5 == 0)}{n}.jpg\n" for n, h in enumerate(H)]
    file = read("".join(rows))
    assert (file.format, file.types) == ("pdq-text", {"pdq": 400})
    assert file.lists[0].entries[0].external_id is not None
    quoted = "".join(f'"{h}","a, {n}.jpg"\n' for n, h in enumerate(H))
    assert read(quoted).types == {"pdq": 400}
    named = "".join(f"hash={h},quality=99,filename=a, b {n}.jpg\n" for n, h in enumerate(H))
    assert read(named).types == {"pdq": 400}
    assert read("".join(f"{h},99,a, {n}\n" for n, h in enumerate(H)), reader="pdq-text").types


def test_an_unknown_column_that_says_what_is_withdrawn_is_named() -> None:
    text = table("pdq,id,lifecycle", "{h},x{n},{state}")
    said = refused(text)
    assert "line 2: column 3 lifecycle says that an entry is withdrawn or benign" in said
    told = options(said)
    assert told == {"status": "lifecycle", "pdq": "pdq", "id": "id"}
    assert read(text, columns=told).types == {"pdq": 75}
    del told["status"]
    file = read(text, columns=told)
    assert file.types == {"pdq": 100}
    assert file.warnings[0].startswith("column 3 lifecycle says that entries are withdrawn")


def test_what_is_ignored_is_said() -> None:
    file = read(table("md5,Other print,id,note", f"{'5' * 32},{{h}},{{n}},x", 3))
    assert [(use.number, use.name, use.role) for use in file.columns] == [
        (1, "md5", "md5"), (2, "Other print", None), (3, "id", "id"), (4, "note", None)
    ]  # fmt: skip
    assert file.warnings[0].startswith("column 2 Other print may hold hashes, and is ignored")
    lines = "".join(json.dumps({"hash": h, "note": 1, "state": "x"}) + "\n" for h in H[:3])
    assert [(use.number, use.name, use.role) for use in read(lines).columns] == [
        (None, "hash", "hash"), (None, "note", None), (None, "state", "state")
    ]  # fmt: skip
    assert read("\n".join(H[:3])).columns == ()
    said = refused(table("left,right", "{h},{h}"))
    assert "columns 1 left and 2 right may hold hashes" in said


def test_names_are_hidden_only_if_they_look_like_hashes() -> None:
    for name in (
        "Perceptual Hash of the whole picture", "perceptual_fingerprint_of_image", "指紋",
        "Fingerabdruck des Bildes (64 Stellen)", "PerceptualHashValue", "empreinte perceptuelle",
        "sha256_of_thumbnail", "IMAGE_FINGERPRINT", "Empfängerähnlichkeit",
    ):  # fmt: skip
        assert shown(name) == name
    ways: list[Callable[[bytes], str]] = [
        bytes.hex, lambda b: b.hex().upper(), lambda b: b.hex("-"), lambda b: f"0x{b.hex()}",
        lambda b: base64.b64encode(b).decode(), lambda b: base64.b32encode(b).decode(),
        lambda b: base64.urlsafe_b64encode(b).decode().rstrip("="), lambda b: f"x {b.hex()} y",
        lambda b: base64.b64encode(b).decode().rstrip("="),
    ]  # fmt: skip
    for bits in (64, 128, 160, 256):
        for text in random_hashes(hm.HashSpec("x", bits), 200, seed=bits).to_hex():
            for write in ways:
                seen = shown(write(bytes.fromhex(text)))
                assert seen == "(hidden)" or bits < 256  # of short ones one in 200 is a word


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<!DOCTYPE html>\n<html><body>Error 503</body></html>", "is a web page"),
        (b"\n\n  <html>\n<head>\n", "is a web page"),
        (b"<image><fingerprints><pdq/></fingerprints></image>", "is XML, but no page of NCMEC's"),
        (b'[\n {"hash": "5"}\n]', "not one object a line"),
        (b'{\n "hash": "5"\n}', "not one object a line"),
        (b"# a\n\n# b\n", "there is no row, only blank lines or comments"),
        (b"# a comment that is long\n" * 9000, "there is no row in the first 65,"),
        (b"\xef\xbb\xbf", "there is no row"),
        (b"HTTP/1.1 503 Service Unavailable\r\n", "is what a server answered"),
        (b"PAR1\x15\x04", "is a Parquet table. Export it as CSV"),
        (b"PK\x03\x04\x14", "is a zip archive, or a workbook"),
        (b"ARROW1\0\0", "is an Arrow table"),
        (b"Rar!\x1a\x07", "is a RAR archive"),
        (b"", "the list is empty"),
    ],
)
def test_what_is_no_list_is_one_clear_line(data: bytes, message: str) -> None:
    assert message in refused(data)


def test_inspect_and_the_first_import_say_what_became_of_columns(tmp_path: Path) -> None:
    def listed(name: str, header: str, row: str) -> None:
        (tmp_path / name).write_text(table(header, row))

    listed("1.csv", "pdq,id,State,note", "{h},x{n},{state},n")
    listed("2.csv", "pdq,id,note", "{h},x{n},n")
    said = {"columns: 1 pdq is pdq, 2 id is id, 3 State is state", "columns ignored: 4 note"}
    assert said < set(run("list", "inspect", "1.csv", cwd=tmp_path).out.decode().splitlines())
    (found,) = run("list", "inspect", "1.csv", "--json", cwd=tmp_path).lines
    assert found["columns"][2:] == [
        {"number": 3, "name": "State", "role": "state", "loses": None},
        {"number": 4, "name": "note", "role": None, "loses": None},
    ]
    first = run("list", "import", "1.csv", "--store", "s", cwd=tmp_path)
    assert said < set(first.said.splitlines())
    (kept,) = run("list", "inspect", "s", "--json", cwd=tmp_path).lines
    assert kept["columns"] == found["columns"]
    assert said < set(run("list", "inspect", "s", cwd=tmp_path).out.decode().splitlines())
    again = run("list", "update", "s", "1.csv", cwd=tmp_path)
    assert "columns" not in again.said
    given = "list", "update", "s", "2.csv", "--accept", "size-change"
    other = run(*given, cwd=tmp_path)
    told = "there is no state in what was given; the last delivery had it in column 3 State"
    assert told in other.said
    assert told not in run(*given, cwd=tmp_path).said


def test_fields_of_json_lines_are_told_too(tmp_path: Path) -> None:
    lines = [{"hash": h, "id": n, "remark": "x"} for n, h in enumerate(H[:9])]
    (tmp_path / "l.jsonl").write_text("\n".join(map(json.dumps, lines)))
    text = run("list", "inspect", "l.jsonl", cwd=tmp_path).out.decode()
    told = "fields ignored: remark. If one of them says it, give --column status=NAME"
    assert f"fields: hash is hash, id is id\n{told}\n" in text


def test_keys_of_json_lines_are_asked_for_and_told_like_columns() -> None:
    lines = [
        {
            "fingerprint": h,
            "name": f"x{n}",
            "tags": ["A1"],
            "State": "deleted" if n % 4 == 0 else "up",
        }
        for n, h in enumerate(H[:100])
    ]
    text = "\n".join(map(json.dumps, lines))
    said = refused(text)
    assert "line 1: the key fingerprint holds what may be a hash, and is not known" in said
    told = options(said)
    assert told == {"hash": "fingerprint", "labels": "tags"}
    file = read(text, columns=told)
    assert (file.format, file.types, file.rows["withdrawal"]) == ("jsonl", {"pdq": 75}, OUT)
    assert {entry.labels for entry in file.lists[0].entries} == {("A1",)}
    assert [use.role for use in file.columns] == ["hash", None, "labels", "state"]
    said = refused(text.replace("State", "lifecycle").replace("fingerprint", "pdq"))
    assert "the key lifecycle says that an entry is withdrawn or benign" in said
    again = text.replace("State", "lifecycle").replace("fingerprint", "pdq")
    assert read(again, columns=options(said)).types == {"pdq": 75}
    with pytest.raises(hm.UsageError, match="no record has any of"):
        read(text, columns={"hash": "fingerprnt"})
    bad = json.dumps({"hash": H[0]}) + "\n" + json.dumps({"sha512": H[1] * 2}) + "\n"
    file = read(bad)
    assert (file.types, len(file.rejected)) == ({"pdq": 1}, 1)
