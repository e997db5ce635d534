"""List readers and reading: documented forms, hostile files, every row accounted for."""

from __future__ import annotations

import io
import os
import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hashmatch as hm
from conftest import LISTS, golden
from hashmatch import registry
from hashmatch.interfaces import ListOptions, ListRow
from hashmatch.lists.readers._lines import MAX_LINE, numbered_lines, shown
from hashmatch.testing import check_list_reader, random_hashes

if TYPE_CHECKING:
    from pathlib import Path

PDQ = hm.HashSpec("pdq", 256)
H = random_hashes(PDQ, 8, seed=42).to_hex()


def rows(format: str, text: str | bytes, **options: Any) -> list[Any]:
    data = text.encode() if isinstance(text, str) else text
    return list(registry.list_reader(format).rows(io.BytesIO(data), ListOptions(**options)))


def read(tmp_path: Path, text: str | bytes, **options: Any) -> hm.ListFile:
    path = tmp_path / "list"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return hm.read_list_file(path, hm.ListFormat(**options))


@pytest.mark.parametrize(
    ("format", "name", "good", "bad"),
    [
        ("csv", "demo-pdq.csv", 207, 0),
        ("csv", "bad-rows.csv", 9, 2),
        ("csv", "mixed-types.csv", 12, 0),
        ("csv", "threatexchange-dataset.csv", 6, 0),
        ("pdq-text", "demo-pdq.txt", 12, 0),
        ("jsonl", "demo.jsonl", 14, 0),
    ],
)
def test_each_reader_keeps_the_contract(format: str, name: str, good: int, bad: int) -> None:
    sample = (LISTS / name).read_bytes()
    check_list_reader(registry.list_reader(format), sample, good=good, bad=bad)
    assert hm.read_list_file(LISTS / name).format == format


@pytest.mark.parametrize(
    ("line", "row"),
    [
        (H[0], ListRow(1, H[0])),
        (f"  {H[0].upper()} \r", ListRow(1, H[0].upper())),
        (f"{H[0]},some, name", ListRow(1, H[0], external_id="some, name")),
        (f"{H[0]},99,a,b.jpg", ListRow(1, H[0], external_id="a,b.jpg", quality=99)),
        (f"{H[0]},101,x.jpg", ListRow(1, H[0], external_id="101,x.jpg")),
        (
            f"hash={H[0]},norm=128,delta=0,quality=77,filename=a,b.jpg",
            ListRow(1, H[0], external_id="a,b.jpg", quality=77),
        ),
        (f"pdq {H[0]}", ListRow(1, H[0], algorithm="pdq")),
        (f"MD5 {H[0][:32]}", ListRow(1, H[0][:32], algorithm="md5")),
    ],
)
def test_forms_of_pdq_text(line: str, row: ListRow) -> None:
    assert rows("pdq-text", "\ufeff" + line + "\n\n# a comment\n") == [row]


def test_csv_roles_are_recognised_or_told() -> None:
    header = "Image ID;Hash Type;HASH;Tags;Category;Source;Max Distance;Comment\n"
    row = ListRow(2, H[0], "pdq", "7", ("a b", "c", "cat one"), ("x", "y"), max_distance=9)
    assert rows("csv", header + f"7;PDQ;{H[0]};a b,c;cat one;x,y;9;=cmd\n") == [row]
    told = rows("csv", f"who,what\n7,{H[0]}\n", columns={"pdq": "WHAT", "id": "who"})
    assert told == [ListRow(2, H[0], "pdq", "7")]
    quoted = rows("csv", f'id,pdq\n"a ""b"", c",{H[0]}\n')
    assert quoted == [ListRow(2, H[0], "pdq", 'a "b", c')]


def test_one_csv_row_may_hold_several_hashes() -> None:
    text = f"MD5;SHA1;PDQ;Image ID\n{H[0][:32]};;{H[0]};a\n;;;b\n"
    assert rows("csv", text) == [
        ListRow(2, H[0][:32], "md5", "a"),
        ListRow(2, H[0], "pdq", "a"),
        hm.RejectedRow(3, "the hash is empty"),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"{H[0]},1,2,3", "4 columns, the header has 3"),
        (f'{H[0]},"open,1', "a quote is not closed"),
        (f"{H[0]},x,many", "max_distance is not a number"),
        (f"{H[0]},x,257", "max_distance is not 0 to 256"),
        (f"{H[0]}\0,x,1", "NUL"),
        (f"{H[0][:-1]}g,x,1", "the hash is not hex"),
        (f"0y{H[0]},x,1", "66 hex digits"),
        (f"{H[0]},{'x' * MAX_LINE},1", "longer than"),
    ],
)
def test_bad_csv_rows_cost_only_themselves(tmp_path: Path, line: str, reason: str) -> None:
    file = read(tmp_path, f"pdq,id,max_distance\n{H[1]},a,\n{line}\n{H[2]},b,5\n")
    assert file.types == {"pdq": 2}
    assert [row.line for row in file.rejected] == [3]
    assert reason in file.rejected[0].reason
    assert H[0][:12] not in file.rejected[0].reason


@pytest.mark.parametrize(
    "line",
    [
        "{", "[]", "{}", '{"hash": 5}', '{"hash": NaN}', '{"hash": "ab", "labels": {"A1": 1}}',
        '{"hash": "' + H[0] + '", "max_distance": 999}', "[" * 5000, '"' + H[0] + '"',
        '{"hash": "' + H[0] + '", "algorithm": "pqd"}',
        '{"hash": "' + H[0] + '", "quality": 1' + "0" * 5000 + "}",
    ],
)  # fmt: skip
def test_bad_json_lines_cost_only_themselves(tmp_path: Path, line: str) -> None:
    good = '{"hash": "%s", "id": 7, "labels": ["A1"]}'
    file = read(tmp_path, f"{good % H[1]}\n{line}\n{good % H[2]}\n")
    assert file.types == {"pdq": 2}
    assert [row.line for row in file.rejected] == [2]
    assert H[0][:12] not in file.rejected[0].reason
    assert file.lists[0].entries[0] == hm.Entry("7", labels=("A1",))


def test_bytes_that_are_no_text_cost_only_their_line(tmp_path: Path) -> None:
    utf8 = f"{H[0]},é\n{H[1]},caf".encode() + b"\xe9\n" + f"{H[2]}\n".encode()
    for data in (utf8, utf8.replace("é".encode(), b"").replace(b"\xe9", b"\x81")):
        file = read(tmp_path, data)
        assert file.types == {"pdq": 2}
        (row,) = file.rejected
        assert row.line == 2
        assert "the line is not UTF-8 text" in row.reason


def test_bad_rows_are_those_the_fixture_says() -> None:
    expected = golden("lists")["bad_rows"]
    with pytest.raises(hm.BadRows) as caught:
        hm.read_list(LISTS / "bad-rows.csv")
    assert [row.line for row in caught.value.rejected] == [row["line"] for row in expected["bad"]]
    assert "5 rows cannot be used\n  line 3: 63 hex digits" in str(caught.value)
    known = hm.read_list(LISTS / "bad-rows.csv", skip_bad_rows=True)
    assert (len(known), len(known.rejected)) == (expected["good"], 5)


def test_many_bad_rows_are_counted(tmp_path: Path) -> None:
    path = tmp_path / "l.txt"
    path.write_text(f"{H[0]}\n" + "ab\n" * 30)
    with pytest.raises(hm.BadRows, match=r"30 rows cannot(.|\n)*and 20 more"):
        hm.read_list(path)


@pytest.mark.parametrize("encoding", ["base64", "base32"])
def test_other_encodings(tmp_path: Path, encoding: str) -> None:
    import base64

    write = {"base64": base64.b64encode, "base32": base64.b32encode}[encoding]
    text = "pdq,id\n" + write(bytes.fromhex(H[0])).decode() + ",a\n"
    (known,) = read(tmp_path, text, encoding=encoding).lists
    assert known.hashes.to_hex() == [H[0]]


def test_columns_of_one_role_lose_nothing() -> None:
    header = "id,filename,label,category,source,collab,pdq\n"
    (row,) = rows("csv", header + f"42,a.jpg,x y,z,s1,s2,{H[0]}\n")
    assert row == ListRow(2, H[0], "pdq", "42", ("x y", "z"), ("s1", "s2"))
    (told,) = rows("csv", f"名前,番号,pdq\n山田,7,{H[0]}\n", columns={"pdq": "pdq", "id": "番号"})
    assert told.external_id == "7"
    with pytest.raises(hm.UsageError, match="as both pdq and id"):
        rows("csv", f"pdq\n{H[0]}\n", columns={"pdq": "pdq", "id": "PDQ"})
    with pytest.raises(hm.UsageError, match="cannot use columns"):
        rows("pdq-text", H[0], columns={"pdq": "a"})


def test_empty_first_cells_keep_their_place(tmp_path: Path) -> None:
    file = read(tmp_path, f"sha256\tpdq\tid\n\t{H[0]}\t1\n{H[1]}\t\t2\n")
    assert file.types == {"pdq": 1, "sha256": 1}
    indexed = read(tmp_path, f"\tpdq\tid\n0\t{H[0]}\t42\n")
    assert indexed.lists[0].entries[0].external_id == "42"


def test_comments_before_a_header_and_other_line_ends(tmp_path: Path) -> None:
    assert read(tmp_path, f"# made today\npdq,id\r\n{H[0]},1\r\n").types == {"pdq": 1}
    file = read(tmp_path, f"pdq,id\n{H[0]},1\r{H[1]},2\n{H[2]},3\n")
    assert "carriage return" in file.rejected[0].reason
    assert file.types == {"pdq": 1}


def test_what_hashmatch_hash_prints_reads_back(tmp_path: Path) -> None:
    text = (
        f'{{"item":"a.jpg","outcome":"hashed","algorithm":"PDQ","hash":"{H[0]}","quality":100}}\n'
        f'{{"item":"b.jpg","outcome":"low_quality","algorithm":"pdq","hash":"{H[1]}"}}\n'
        '{"item":"c.jpg","outcome":"undecodable","reason":"the file is empty"}\n'
        f'{{"hash":"{H[2]}","labels":null,"status":" Deleted "}}\n'
    )
    file = read(tmp_path, text)
    assert (file.types, file.rejected) == ({"pdq": 1}, ())
    assert file.rows == {"listed": 1, "rejected": 0, "withdrawal": 3}
    assert file.lists[0].entries[0].external_id == "a.jpg"


def test_the_digest_of_an_empty_file_is_no_entry(tmp_path: Path) -> None:
    file = read(tmp_path, f"md5\nd41d8cd98f00b204e9800998ecf8427e\n{H[0][:32]}\n")
    assert (file.types, file.rows["of nothing"]) == ({"md5": 1}, 1)


@pytest.mark.parametrize("encoding", ["hex", "base64", "base32"])
@pytest.mark.parametrize("written", ["hex", "base64", "base32"])
@pytest.mark.parametrize("case", [str, str.lower, str.upper])
def test_no_name_or_label_holds_the_hash(
    tmp_path: Path, encoding: str, written: str, case: Any
) -> None:
    import base64

    value = bytes.fromhex(H[0])
    texts = {
        "hex": H[0],
        "base64": base64.b64encode(value).decode(),
        "base32": base64.b32encode(value).decode(),
    }
    held = f"imgs {case(texts[written])}.jpg"
    file = read(
        tmp_path,
        f"pdq,id,label,source\n{texts[encoding]},{held},{held},{held}\n",
        encoding=encoding,
    )
    assert file.lists[0].entries == (hm.Entry(),)


@pytest.mark.parametrize("digits", ["9" * 5000, "²", "1" * 10])
def test_numbers_that_are_none(tmp_path: Path, digits: str) -> None:
    for text in (f"pdq,quality\n{H[0]},{digits}\n", f"hash={H[0]},quality={digits},filename=x\n"):
        (row,) = read(tmp_path, text).rejected
        assert row.reason == "quality is not a number"


def test_an_unknown_status_and_a_date_ahead_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = read(tmp_path, f"pdq,status,updated\n{H[0]},odd one,2999-01-01\n{H[1]},Expired,\n")
    told = (
        "unknown status 'odd one': 1, listed all the same; say what it means "
        "(--status WORD=listed|withdrawn|benign|disputed)",
        "1 row is dated in the future, and taken as said now",
    )
    assert (file.types, file.statuses, file.warnings) == ({"pdq": 1}, {"odd one": 1}, told)
    assert file.choose().problems == tuple(f"{file.path}: {each}" for each in told)
    warned = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [text.split(": ", 1)[1] for text in warned] == list(told)


@pytest.mark.parametrize("text", ['{"error": "expired", "data": []}', '{"detail": "no"}', "{}"])
def test_the_error_of_an_api_is_no_list(tmp_path: Path, text: str) -> None:
    (tmp_path / "page.json").write_text(text)
    for reader in ("threatexchange-json", "stopncii-json", "tat-json", "vics-json"):
        told = hm.ListFormat(reader=reader)
        with pytest.raises(hm.ListError, match=r"page.json: line 1: cannot be a page of the list"):
            hm.read_list(tmp_path / "page.json", format=told, skip_bad_rows=True)


def test_withdrawn_entries_are_left_out(tmp_path: Path) -> None:
    file = read(
        tmp_path, f"pdq,status\n{H[0]},Active\n{H[1]},Withdrawn\n{H[2]},deleted\n,removed\n"
    )
    assert (file.types, file.rejected) == ({"pdq": 1}, ())
    assert file.rows == {"listed": 1, "rejected": 0, "withdrawal": 3}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the list is empty"),
        (b"\n\n", "there is no row, only blank lines or comments. Get the list again"),
        (b"# nothing but a comment\n", "there is no row, only blank lines or comments"),
        (b"just words\n", "in none of the formats csv, jsonl, ncmec-xml, pdq-text"),
        ("pdq\n".encode("utf-16"), "no usable row"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"PK\x03\x04", "zip"),
        (b"pdq,id\n", "no usable row"),
    ],
)
def test_files_that_are_no_list(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "list.csv"
    path.write_bytes(content)
    with pytest.raises(hm.ListError, match=message) as caught:
        hm.read_list(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_lists_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(hm.ListError, match="No such file"):
        hm.read_list(tmp_path / "missing.csv")
    with pytest.raises(hm.ListError, match="Is a directory"):
        hm.read_list(tmp_path)
    with pytest.raises(hm.ListError, match="null byte"):
        hm.read_list("a\0b")


def test_no_message_shows_what_may_be_a_hash(tmp_path: Path) -> None:
    path = tmp_path / "l.csv"
    path.write_text(f"{H[0]},a\n{H[1]},b\n")  # CSV without its header
    with pytest.raises(hm.ListError, match=r"no header says .* column 1 of 2 holds") as caught:
        hm.read_list(path, format=hm.ListFormat(reader="csv"))
    assert H[0][:12] not in str(caught.value)
    slipped = read(tmp_path, f"algorithm,hash\n{H[0]},pdq\n")
    assert H[0][:12] not in slipped.rejected[0].reason
    assert shown("Case reference") == "Case reference"


def test_options_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(
        hm.UsageError, match="cannot find column 'nope': the columns are 1 pdq, 2 id"
    ):
        read(tmp_path, f"pdq,id\n{H[0]},1\n", columns={"pdq": "nope"})
    with pytest.raises(hm.UsageError, match="cannot find the list format 'xml'"):
        read(tmp_path, H[0], reader="xml")
    with pytest.raises(hm.UsageError, match="cannot find the algorithm 'nope'"):
        read(tmp_path, H[0], algorithm="nope")
    with pytest.raises(hm.UsageError, match="encoding 'rot13'"):
        read(tmp_path, H[0], encoding="rot13")


def test_several_kinds_in_one_file() -> None:
    file = hm.read_list_file(LISTS / "mixed-types.csv")
    assert file.types == {"md5": 4, "pdq": 5, "sha1": 3}
    with pytest.raises(hm.ListError, match=r"several kinds of hash, md5 \(4\), pdq \(5\)"):
        hm.read_list(LISTS / "mixed-types.csv")
    assert hm.read_list(LISTS / "mixed-types.csv", "sha1").spec.bits == 160
    with pytest.raises(hm.ListError, match="it holds no phash hashes but md5"):
        hm.read_list(LISTS / "mixed-types.csv", "phash")


def test_bare_hashes_are_what_the_caller_says(tmp_path: Path) -> None:
    assert read(tmp_path, f"{H[0][:16]}\n{H[1][:16]}\n", algorithm="phash").types == {"phash": 2}


def test_a_version_changes_with_the_content(tmp_path: Path) -> None:
    first, again = read(tmp_path, H[0]), read(tmp_path, H[0])
    assert first.version == again.version != read(tmp_path, H[1]).version
    named = hm.read_list_file(tmp_path / "list", name="n", version="17")
    assert repr(named.lists[0]) == "<HashList n, version 17, pdq (256 bits), n=1>"


class Trickle:
    """A file object without a name that gives a few bytes at a time, as a network does."""

    def __init__(self, data: bytes) -> None:
        self.rest = io.BytesIO(data)

    def read(self, size: int) -> bytes:
        return self.rest.read(min(size, 7))


def test_of_a_file_object_it_is_the_same_list(tmp_path: Path) -> None:
    path = LISTS / "demo-pdq.csv"
    data, known = path.read_bytes(), hm.read_list(path)
    with open(path, "rb") as file:
        found = hm.read_list(file)
        assert (found.name, found.version) == (known.name, known.version)
        assert (found.hashes, found.entries) == (known.hashes, known.entries)
        assert file.read() == b""  # at its end, and open
        file.seek(0)
        file.readline()
        rest = hm.read_list_file(file, hm.ListFormat(reader="pdq-text"))
        assert rest.types == {"pdq": 207}
    for source in (io.BytesIO(data), Trickle(data), io.BytesIO(data.decode().encode("utf-16"))):
        found = hm.read_list(source, "pdq", name="other")
        assert (found.name, found.hashes) == ("other", known.hashes)
        assert found.entries == known.entries
    page = (LISTS / "threatexchange-page-1.json").read_bytes()
    trickled = hm.read_list_file(Trickle(page), name="page")
    whole = hm.read_list_file(LISTS / "threatexchange-page-1.json")
    assert (trickled.format, trickled.types) == ("threatexchange-json", whole.types)
    with pytest.raises(hm.UsageError, match="cannot name the list"):
        hm.read_list(io.BytesIO(data))
    with pytest.raises(hm.UsageError, match="file open in binary mode"):
        hm.read_list(io.StringIO(data.decode()), name="text")  # type: ignore[arg-type]
    with pytest.raises(hm.ListError, match=r"cannot read .*: read of closed file"):
        hm.read_list(file)
    with pytest.raises(hm.ListError, match="the file object: the list is empty"):
        hm.read_list(io.BytesIO(), name="nothing")
    with pytest.raises(hm.BadRows, match="the file object"):
        hm.read_list(io.BytesIO(b"pdq\nabc\n"), name="bad")


def test_rows_without_a_kind_are_of_that_which_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_text(f"value\n{H[0][:16]}\n")
    told = hm.ListFormat(columns={"hash": "value"})
    assert hm.read_list(path, "phash", format=told).spec == hm.HashSpec("phash", 64)
    dhash = hm.ListFormat("dhash", columns={"hash": "value"})
    assert hm.read_list(path, format=dhash).spec == hm.HashSpec("dhash", 64)


def test_a_pipe_is_as_good_as_a_file(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    text = "\n".join(H) + "\n"
    writer = threading.Thread(target=path.write_text, args=(text,))
    writer.start()
    assert hm.read_list_file(path).types == {"pdq": 8}
    writer.join()


@given(st.binary(max_size=300))
def test_any_bytes_are_lines_or_rejected(data: bytes) -> None:
    for format in registry.names(registry.LISTS):
        try:
            found = rows(format, data)
        except hm.HashmatchError:
            continue
        assert all(isinstance(row, ListRow | hm.RejectedRow) for row in found)


def test_an_endless_line_is_one_rejection() -> None:
    data = io.BytesIO(b"x" * (3 * MAX_LINE) + b"\nshort\n" + b"y" * (2 * MAX_LINE))
    lines = list(numbered_lines(data))
    assert [line[0] for line in lines] == [1, 2, 3]
    assert lines[1] == (2, "short")


def test_of_very_many_bad_rows_all_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = read(tmp_path, f"{H[0]}\n" + "ab\n" * 150_000)
    assert (file.rows["rejected"], len(file.rejected)) == (150_000, 100_001)
    assert file.lists[0].bad_rows == 150_000
    with pytest.raises(hm.BadRows, match=r"150,000 rows cannot(.|\n)*and 149,990 more"):
        file.choose()
    monkeypatch.setattr("hashmatch.lists.ingest.MOST_NAMED", 100)
    counts = 60, 70, 1, 0, 90
    pages = [tmp_path / f"{n}.txt" for n in range(len(counts))]
    for page, count in zip(pages, counts, strict=True):
        page.write_text(f"{H[0]}\n" + "ab\n" * count)
    store = hm.ListStore(tmp_path / "store")
    made = store.import_files(list(map(str, pages)), hm.Change(accept=["bad-rows"]))
    assert made.manifest.counts["rows"]["rejected"] == sum(counts)
    assert tuple(source.rejected for source in made.manifest.sources) == counts
    named = Counter(path for path, row in made.rejected for _ in range(row.rows))
    assert tuple(named[str(page)] for page in pages) == counts
