"""Lists as programs write them: each way is read, or refused by a line that names what helps."""

from __future__ import annotations

import base64
import io
import json
import random
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from cli_tools import run
from hashmatch import registry
from hashmatch.interfaces import ListOptions, ListRow, Span
from hashmatch.lists.readers import _fields
from hashmatch.lists.readers._lines import MAX_LINE
from hashmatch.testing import random_hashes

if TYPE_CHECKING:
    from pathlib import Path

H = random_hashes(hm.HashSpec("pdq", 256), 8, seed=7).to_hex()
P = random_hashes(hm.HashSpec("phash", 64), 8, seed=7).to_hex()
NEW_YEARS_EVE, FEBRUARY = 1735603200.0, 1706745600.0
"""31 December and 1 February 2024."""


def read(data: str | bytes, **options: Any) -> hm.ListFile:
    data = data.encode() if isinstance(data, str) else data
    return hm.read_list_file(io.BytesIO(data), hm.ListFormat(**options), name="l")


def found(data: str | bytes, **options: Any) -> dict[str, hm.Entry]:
    """Return what a list of PDQ hashes says, by hash; every row of it is good."""
    file = read(data, **options)
    assert file.rejected == ()
    (known,) = file.lists
    return dict(zip(known.hashes.to_hex(), known.entries, strict=True))


def reasons(data: str | bytes, **options: Any) -> list[tuple[int, str]]:
    return [(row.line, row.reason) for row in read(data, **options).rejected]


def refused(data: str | bytes, **options: Any) -> str:
    with pytest.raises(hm.ListError) as caught:
        read(data, **options)
    assert "\n" not in str(caught.value)
    assert not any(text[:12] in str(caught.value) for text in (*H, *P))
    return str(caught.value)


# --- records, headers and what stands around them ------------------------------------------------


def test_records_are_not_lines() -> None:
    text = f'pdq,id,note\n{H[0]},"1","a\n\nb, ""c"""\n{H[1]},2,"x\r\ny\rz"\n{H[2][:-1]},3,\n'
    file = read(text)
    assert [entry.external_id for entry in file.lists[0].entries] == ["1", "2"]
    assert [row.line for row in file.rejected] == [7]
    assert found(f'pdq,label\n{H[0]},"two\nlines"\n')[H[0]].labels == ("two\nlines",)
    text = f'{H[0]},7,2024-01-01T00:00:00+0000,"a\nb"\n{H[1]},8,,\n'
    assert found(text)[H[0]].labels == ("a", "b")


def test_the_end_of_a_cell_of_two_lines_is_no_row_of_its_own() -> None:
    rows = "".join(f'{n},"a\nb ""c"", d",{hash}\n' for n, hash in enumerate(H))
    file = read(f"id,label,pdq\n{rows}")
    assert file.rejected == ()
    entries = file.lists[0].entries
    assert [entry.external_id for entry in entries] == [str(n) for n in range(len(H))]
    assert {entry.labels for entry in entries} == {('a\nb "c", d',)}


@pytest.mark.parametrize("closed", ["", '"', ' d"'])
def test_a_quote_that_is_left_open_swallows_nothing(closed: str) -> None:
    text = (
        f'pdq,id,note\n{H[0]},1,a\n{H[1]},2,"open\n{H[2]},3,c\n{H[3]},4,d{closed}\n{H[4]},5,"e"\n'
    )
    file = read(text)
    assert set(file.lists[0].hashes.to_hex()) == {H[0], H[2], H[3], H[4]}
    assert file.rejected == (hm.RejectedRow(3, "a quote is not closed, or stands inside a cell"),)


def test_a_quote_that_is_left_open_costs_little_memory_and_few_lines() -> None:
    rows = "".join(f"{hash},{n},\n" for n, hash in enumerate(H)) * (2 * MAX_LINE // 400)
    file = read(f'pdq,id,note\n{H[0]},x,"open\n{rows}')
    assert [row.line for row in file.rejected] == [2]
    assert set(file.lists[0].hashes.to_hex()) == set(H)


def test_open_quotes_everywhere_end_some_day() -> None:
    rows = f'{H[0]},"a""\n' * 60_000
    file = read(f"pdq,id\n{H[1]},1\n{rows}")
    assert file.lists[0].hashes.to_hex() == [H[1]]
    assert len(file.rejected) == 60_000


@pytest.mark.parametrize(
    "above",
    [
        "sep=;\n", '"sep=;"\r\n', "Known hashes of 2024\n\n", "Known; of, 2024;;\n;;\n",
        '"A title\nof two lines"\n', "# a comment\n", "#\n", "pdq\n", "exported by: x, on: y\n",
    ],
)  # fmt: skip
def test_what_stands_above_a_header(above: str) -> None:
    entry = hm.Entry("7", ("two words", "b"))
    assert found(f"{above}pdq;id;labels\n{H[0]};7;two words,b\n") == {H[0]: entry}


def test_a_column_called_number_sign_and_a_header_that_is_a_comment() -> None:
    assert found(f"#,pdq,label\n1,{H[0]},A\n2,{H[1]},B\n") == {
        H[0]: hm.Entry(labels=("A",)),
        H[1]: hm.Entry(labels=("B",)),
    }
    assert found(f"# id,pdq\n1,{H[0]}\n") == {H[0]: hm.Entry("1")}
    assert found(f"# pdq\n{H[0]}\n") == {H[0]: hm.Entry()}


@pytest.mark.parametrize(
    "table",
    [
        f"pdq,id\n{H[0]},1\n{H[1]},2\n(2 rows)\n",
        f"pdq,id\n{H[0]},1\n{H[1]},2\n\n(2 rows affected)\n",
        f"pdq,id,label\n{H[0]},1,\n{H[1]},2,\nTotal:,2,\n",
        f"pdq,id\n{H[0]},1\n,\n{H[1]},2\nTotal: 2\n",
        f"pdq,id\n{H[0]},1\npdq,id\n{H[1]},2\n",
        f"pdq,id\n{H[0]},1\n\ufeffpdq,id\n{H[1]},2\n",
        f'"PDQ Hash" , "Image ID"\n"{H[0]}" , "1"\n {H[1]}, "2" \n',
        f"pdq,id\n{'-' * 64},--\n{H[0]},1\n{H[1]},2\n2 rows selected.\n",
        f" pdq | id \n{'-' * 66}+----\n {H[0]} |  1\n {H[1]} |  2\n(2 rows)\n",
        f"+---+---+\n| pdq | id |\n+---+---+\n| {H[0]} | 1 |\n| {H[1]} | 2 |\n+---+---+\n"
        "2 rows in set (0.00 sec)\n",
        f"pdq;id;\r\n{H[0]};1;\r\n{H[1]};2;;;\r\n\x1a",
        f"pdq,id\r{H[0]},1\r{H[1]},2\r",
        f"pdq\tid\n{H[0]}\t1.0\n{H[1]}\t2.00\n",
    ],
)
def test_what_databases_and_spreadsheets_print_around_rows(table: str) -> None:
    assert found(table) == {H[0]: hm.Entry("1"), H[1]: hm.Entry("2")}


def test_a_footer_is_held_against_the_rows() -> None:
    told = reasons(f"pdq,id\n{H[0]},1\n{H[1]},2\n(3 rows)\n")
    assert told == [(4, "the list says 3 rows and has 2")]
    assert len(reasons(f"pdq,id\n{H[0]},1\nmade by: x\n")) == 1


def test_columns_of_one_name_are_refused() -> None:
    text = f"id,ID,pdq\n1,2,{H[0]}\n"
    assert "2 are called id. Rename all but one" in refused(text)
    with pytest.raises(hm.UsageError, match="2 are called 'x'"):
        read(f"x,x\n{H[0]},1\n", columns={"pdq": "x"})


def test_cells_of_nothing_are_nothing() -> None:
    for nothing in ("NULL", "\\N", "None", "NaN", "nan", "<NA>", "N/A", "(null)", " ", '=""'):
        text = f"pdq,id,label,quality,max_distance,status\n{H[0]}" + f",{nothing}" * 5 + "\n"
        assert found(text) == {H[0]: hm.Entry()}
        assert reasons(f"pdq,id\n{nothing},7\n") == [(2, "the hash is empty")]
    record = {"hash": H[0], "id": "None", "labels": None}
    assert found(json.dumps(record)) == {H[0]: hm.Entry("None")}


# --- text ----------------------------------------------------------------------------------------

ACCENTS = f"pdq,id,label\n{H[0]},1,plain\n{H[1]},2,caf\u00e9 \u20ac\n"


@pytest.mark.parametrize(
    ("charset", "mark"),
    [
        ("utf-8", ""), ("utf-8-sig", ""), ("utf-16", ""), ("utf-16-le", ""), ("utf-16-be", ""),
        ("utf-32", ""), ("utf-16-be", "\ufeff"), ("cp1252", ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_text_of_each_charset(charset: str, mark: str, end: str) -> None:
    data = (mark + ACCENTS.replace("\n", end)).encode(charset)
    assert found(data)[H[1]] == hm.Entry("2", ("caf\u00e9 \u20ac",))


def test_text_that_is_taken_for_windows_1252_is_told_of() -> None:
    assert read(ACCENTS.encode()).warnings == ()
    assert read(ACCENTS.encode("cp1252"), charset="cp1252").warnings == ()
    (told,) = read(ACCENTS.encode("cp1252")).warnings
    assert "--charset" in told


def test_a_charset_that_is_told() -> None:
    data = f"pdq,label\n{H[0]},\u0434\u0435\u043b\u043e\n".encode("cp1251")
    assert found(data, charset="cp1251")[H[0]].labels == ("\u0434\u0435\u043b\u043e",)
    assert found(ACCENTS.encode(), charset="utf8")[H[1]].labels == ("caf\u00e9 \u20ac",)
    for name in ("nope", "hex", "a\0b"):
        with pytest.raises(hm.UsageError, match="there is no such charset"):
            hm.ListFormat(charset=name)


def test_every_format_in_windows_1252(tmp_path: Path) -> None:
    pages = {
        "jsonl": json.dumps({"hash": H[0], "labels": ["\u00e9"]}, ensure_ascii=False),
        "pdq-text": f"{H[0]},\u00e9\n{H[1]},\n",
        "tat-json": json.dumps(
            {"results": [{"hash_digest": H[0], "algorithm": "PDQ", "ideology": "\u00e9"}]},
            ensure_ascii=False,
        ),
        "ncmec-xml": '<queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2"><images>'
        '<image><member id="1">\u00e9</member><id>2</id><fingerprints>'
        f"<pdq>{H[0]}</pdq></fingerprints></image></images></queryResult>",
    }
    for format, text in pages.items():
        for end in ("", "\n\x1a"):
            file = read((text + end).encode("cp1252"))
            assert (file.format, file.rejected) == (format, ())
            entry = file.lists[0].entries[0]
            assert "\u00e9" in (*entry.labels, *entry.sources, entry.external_id)


# --- hashes --------------------------------------------------------------------------------------

WRITTEN = [
    "\\x{}", "0x{}", "X'{}'", "x'{}'", "{{{}}}", "'{}'", "'{}", '="{}"', "\u00a0{}\u200b",
    "\ufeff{}", "b'{}'", "`{}`", "\u201c{}\u201d", " {}\u2060 ",
]  # fmt: skip


@pytest.mark.parametrize("form", WRITTEN)
@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_hashes_as_programs_print_them(form: str, case: Any) -> None:
    text = form.format(case(H[0]))
    quoted = text.replace('"', '""')
    assert found(f'pdq,id\n"{quoted}",7\n') == {H[0]: hm.Entry("7")}
    assert found(json.dumps({"hash": text, "id": "7"})) == {H[0]: hm.Entry("7")}
    assert found(f"{text},7\n", reader="pdq-text") == {H[0]: hm.Entry("7")}
    record = {"id": 7, "hash_digest": text, "algorithm": "PDQ"}
    assert found(json.dumps({"checkpoint": "1,2", "results": [record]})) == {H[0]: hm.Entry("7")}
    assert hm.HashSpec("pdq", 256).parse(text).hex() == H[0]


@pytest.mark.parametrize(
    "form", ["\\x{}", "0x{}", "X'{}'", "{{{}}}", "{};7", "{}\t7", "{}  7", "{} *7"]
)
def test_bare_hashes_are_found_however_they_are_printed(form: str) -> None:
    file = read("".join(form.format(text) + "\n" for text in H))
    assert (file.format, file.types, file.rejected) == ("pdq-text", {"pdq": 8}, ())


@pytest.mark.parametrize("sign", ["-", ":", " "])
def test_hashes_in_groups_of_digits(sign: str) -> None:
    pairs = sign.join(H[0][i : i + 2] for i in range(0, 64, 2))
    words = sign.join(H[1][i : i + 16] for i in range(0, 64, 16))
    hidden = f"{H[2][:9]}\u200b{H[2][9:40]}\u00ad{H[2][40:]}"
    assert set(found(f"pdq,id\n{pairs},a\n{words},b\n{hidden},c\n")) == set(H[:3])
    # A blank somewhere in a hash may well stand for what was lost.
    assert reasons(f"pdq\n{H[0][:9]}{sign}{H[0][9:]}\n") == [
        (2, "65 hex digits, a pdq hash has 64")
    ]


def test_digests_that_a_database_keeps_as_uuids() -> None:
    digest = random_hashes(hm.HashSpec("md5", 128), 1, seed=7).to_hex()[0]
    parts = digest[:8], digest[8:12], digest[12:16], digest[16:20], digest[20:]
    (known,) = read(f"md5,id\n{'-'.join(parts)},a\n").lists
    assert known.hashes.to_hex() == [digest]


def test_signed_numbers_are_no_hashes_in_groups() -> None:
    assert reasons(f"phash\n{P[0]}\n-1234567890123456\n") == [
        (3, "a decimal number; say so (--encoding signed)")
    ]
    assert "scientific notation" in refused(f"phash\n{P[0]}\n1234567890123e-05\n")


@pytest.mark.parametrize("error", ["#NAME?", "#NUM!", "########"])
def test_errors_of_a_spreadsheet_in_place_of_a_hash(error: str) -> None:
    ((line, reason),) = reasons(f"pdq,id\n{H[0]},a\n{error},b\n")
    assert (line, "spreadsheets write for an error" in reason) == (3, True)


@pytest.mark.parametrize("encoding", ["base64", "base32"])
def test_rows_in_another_encoding_name_it(encoding: str) -> None:
    write = {"base64": base64.b64encode, "base32": base64.b32encode}[encoding]
    texts = [write(bytes.fromhex(text)).decode() for text in H]
    reason = f"the hash is not hex but {encoding}; say so (--encoding {encoding})"
    column = "pdq,id\n" + "".join(f"{text},7\n" for text in texts)
    assert reasons(column) == [(line, reason) for line in range(2, 10)]
    for form in (column, column.replace("=", ""), column.replace("+", "-").replace("/", "_")):
        assert set(found(form, encoding=encoding)) == set(H)
    if encoding == "base64":
        bare = "".join(f"{text}\n" for text in texts)
        assert reasons(bare) == [(line, reason) for line in range(1, 9)]
        assert set(found(bare, encoding=encoding)) == set(H)


def test_numbers_in_place_of_a_hash_say_what_they_are() -> None:
    text = f"phash\n{P[0]}\n{'01' * 32}\n18446744073709551615\n"
    assert [reason for _, reason in reasons(text)] == [
        "64 binary digits; say so (--encoding binary)",
        "a decimal number; say so (--encoding decimal)",
    ]
    assert reasons(json.dumps({"hash": 1234567890123456, "algorithm": "phash"})) == [
        (
            1,
            "hash is a number, of which digits may be lost; write it as text, or say what it is "
            "(--encoding decimal or signed)",
        )
    ]


@pytest.mark.parametrize("header", ["phash\n", ""])
def test_one_negative_number_makes_all_of_them_signed(header: str) -> None:
    numbers = [str(int(text, 16) % 2**62 + 2**62) for text in P[:5]] + ["-1234567890123456789"]
    for text in ("\n".join(numbers), "\n".join(reversed(numbers))):
        said = {reason for _, reason in reasons(f"{header}{text}\n", algorithm="phash")}
        assert said == {"a decimal number; say so (--encoding signed)"}
        assert len(found(f"{header}{text}\n", algorithm="phash", encoding="signed")) == 6


# --- what spreadsheets destroy -------------------------------------------------------------------


def scientific(rows: int, number: str = "1.23457E+15") -> str:
    rng = random.Random(rows)
    good = "".join(f"{rng.getrandbits(64):016x},{n}\n" for n in range(rows))
    return f"phash,id\n{good}{number},x\n"


@pytest.mark.parametrize("number", ["1.23457E+15", "1E+15", "1.2345678901234567e+15", '"1,23E+15"'])
def test_one_number_in_scientific_notation_refuses_a_list(number: str) -> None:
    said = refused(scientific(5_000, number))
    assert "line 5002: the hash is a number in scientific notation" in said
    assert "--accept spreadsheet" in said
    file = read(scientific(10, number), accept_spreadsheet=True)
    assert (file.types, [row.line for row in file.rejected]) == ({"phash": 10}, [12])
    record = json.dumps({"hash": 1.2345678901234567e15, "algorithm": "phash"})
    assert "line 1: the hash is a number" in refused(record)


def test_hashes_that_were_rounded_to_other_valid_ones_refuse_a_list() -> None:
    """Of 60,000 random hashes of 16 digits, some 32 have no letter in them."""
    rng = random.Random(5)
    texts = [f"{rng.getrandbits(64):016x}" for _ in range(60_000)]
    rounded = [f"{int(float(text)) // 10 * 10:016}" if text.isdigit() else text for text in texts]
    assert sum(map(str.isdigit, texts)) > 20
    for form in ("phash\n{}", "{}"):
        assert len(read(form.format("\n".join(texts)), algorithm="phash").lists[0]) == 60_000
        said = refused(form.format("\n".join(rounded)), algorithm="phash")
        assert "phash hashes that have decimal digits alone end in 0" in said
        told = form.format("\n".join(rounded))
        assert read(told, algorithm="phash", accept_spreadsheet=True).types["phash"] > 59_000


def test_a_store_refuses_what_a_spreadsheet_destroyed_unless_it_is_accepted(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_text(scientific(2_000))
    store = hm.ListStore(tmp_path / "store")
    for accept in ((), ("bad-rows", "size-change")):
        with pytest.raises(hm.ListError, match=r"l\.csv: line 2002: .*spreadsheet"):
            store.import_files([str(tmp_path / "l.csv")], hm.Change(accept=accept))
    made = store.import_files([str(tmp_path / "l.csv")], hm.Change(accept=["spreadsheet"]))
    assert made.manifest.counts["phash"]["entries"] == 2_000
    assert [row.line for _, row in made.rejected] == [2002]


def test_ids_that_were_rounded_are_named() -> None:
    told = reasons(f"pdq,id\n{H[0]},1.5E+12\n{H[1]},7E1\n")
    assert told == [(2, "id is a number that a spreadsheet has rounded; export it as text")]


END = "</images></queryResult>"


def test_a_store_refuses_files_of_which_rows_are_missing(tmp_path: Path) -> None:
    """However many others there are: half of a list is not what its owner says."""
    hashes = random_hashes(registry.spec("pdq"), 6_000, seed=6).to_hex()
    records = [
        json.dumps({"hash_digest": text, "algorithm": "PDQ", "id": n})
        for n, text in enumerate(hashes)
    ]
    page = '{"count": %d, "results": [\n' + ",\n".join(records) + '\n], "checkpoint": "1,2"}\n'
    ncmec = '<queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2"><images>' + "".join(
        f'<image><member id="1"/><id>{n}</id><fingerprints><pdq>{text}</pdq></fingerprints></image>'
        for n, text in enumerate(hashes)
    )
    table = "pdq,id\n" + "".join(f"{text},{n}\n" for n, text in enumerate(hashes))
    whole = {
        "a": page % 6_000,
        "b": ncmec + END,
        "c": f"{table}(6000 rows)\n",
    }
    cut = {
        "a": (page % 6_000)[:-40], "b": ncmec, "c": f"{table}(7000 rows)\n", "d": page % 7_000,
        "e": (page % 6_000)[:400_000], "f": f"{ncmec}<image>{END}",
    }  # fmt: skip
    store = hm.ListStore(tmp_path / "store")
    for name, text in whole.items():
        (tmp_path / name).write_text(text)
        store.import_files([str(tmp_path / name)], hm.Change(accept=["size-change"]))
    for name, text in cut.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(hm.StoreError, match=r"rows are missing: line .* Get the file again"):
            store.import_files([str(tmp_path / name)], hm.Change(accept=["size-change"]))
        accept = ["bad-rows", "size-change"]
        store.import_files([str(tmp_path / name)], hm.Change(accept=accept))


# --- numbers, labels and sources -----------------------------------------------------------------


def test_ids_and_limits_of_floating_point() -> None:
    text = f'pdq;id;max_distance;quality\n{H[0]};42.0;31.0;100\n{H[1]};"043.00";"31,0";100,0\n'
    assert found(text) == {
        H[0]: hm.Entry("42", quality=100, max_distance=31),
        H[1]: hm.Entry("043", quality=100, max_distance=31),
    }
    records = [{"hash": H[0], "id": 42.0, "max_distance": "31.0", "quality": 100.0},
               {"hash": H[1], "id": 42.5, "max_distance": "31"}]  # fmt: skip
    assert found("\n".join(map(json.dumps, records))) == {
        H[0]: hm.Entry("42", quality=100, max_distance=31),
        H[1]: hm.Entry("42.5", max_distance=31),
    }
    assert reasons(f"pdq,max_distance\n{H[0]},31.5\n") == [(2, "max_distance is not a number")]
    assert reasons(json.dumps({"hash": H[0], "quality": True})) == [(1, "quality is not text")]


def test_numbers_of_floating_point_in_other_places() -> None:
    assert [e.external_id for e in found(f"pdq;id\n{H[0]};42,0\n{H[1]};1,000\n").values()] == [
        "42", "1,000"
    ]  # fmt: skip
    big = json.dumps({"hash": H[0], "id": 1e20})
    assert reasons(big) == [(1, "id is a number that a spreadsheet has rounded; export it as text")]
    assert "scientific notation" in refused('{"phash": 1.7361641481138401e19}\n')
    said = found(f"{H[0]},100.0,a.jpg\n{H[1]},99.0,b, c.jpg\n")
    assert [(e.quality, e.external_id) for e in said.values()] == [(100, "a.jpg"), (99, "b, c.jpg")]


@pytest.mark.parametrize("name", ["filename", "File Path", "image_id", "item"])
def test_the_id_is_what_is_called_so_wherever_it_stands(name: str) -> None:
    for text in (
        f"{name},pdq,id\na.jpg,{H[0]},42\n",
        f"id,pdq,{name}\n42,{H[0]},a.jpg\n",
        json.dumps({name: "a.jpg", "pdq": H[0], "id": "42"}),
    ):
        assert [entry.external_id for entry in found(text).values()] == ["42"]
    assert found(f"{name},pdq\na.jpg,{H[0]}\n")[H[0]].external_id == "a.jpg"
    if name[0] in "fF":
        text = f"{name},pdq,external_id\na.jpg,{H[0]},42\nb.jpg,{H[1]},\n"
        assert [entry.external_id for entry in found(text).values()] == ["42", "b.jpg"]


def test_lists_of_tools_with_numbers_of_floating_point() -> None:
    (entry,) = found(f'{H[0]},7.0,2024-01-01T00:00:00+0000,"demo A1"\n').values()
    assert (entry.external_id, entry.labels) == ("7", ("demo", "A1"))
    (known,) = read(json.dumps([f"{H[0]},100.0,0.0"])).lists
    assert known.videos is not None
    assert known.videos.quality.tolist() == [100]


def test_times_of_dot_net() -> None:
    for date in ("/Date(1735603200000)/", "/Date(1735603200000+0100)/"):
        row = _fields.time_of("DateUpdated", date, _fields.Dates())
        assert row is not None
        assert row.begin == NEW_YEARS_EVE


def test_no_option_is_named_where_the_format_says_the_encoding() -> None:
    media = {"MediaID": 1, "Category": 1, "PDQ": base64.b64encode(bytes.fromhex(H[0])).decode()}
    page = json.dumps({"odata.metadata": "x#Media", "value": [media]})
    assert reasons(page) == [(1, "the hash is not hex but base64")]


def test_quoted_lines_of_pdq_text() -> None:
    said = found(f'"{H[0]}","a, ""b"".jpg"\n"{H[1]}",98,"c.jpg"\n{H[2]},"d"\n')
    assert [e.external_id for e in said.values()] == ['a, "b".jpg', "c.jpg", '"d"']


@pytest.mark.parametrize(
    ("cell", "texts"),
    [
        ("Sample Data Sharing", ("Sample Data Sharing",)),
        ("a b;c|d, e f", ("a b", "c", "d", "e f")),
        ('["a b", "c, d"]', ("a b", "c, d")),
        ("['a b', 'c']", ("a b", "c")),
        ('{x,"y z"}', ("x", "y z")),
        ("[]", ()),
    ],
)
def test_only_signs_divide_labels_and_sources(cell: str, texts: tuple[str, ...]) -> None:
    quoted = cell.replace('"', '""')
    entry = hm.Entry(labels=texts, sources=texts)
    assert found(f'pdq,labels,sources\n{H[0]},"{quoted}","{quoted}"\n') == {H[0]: entry}
    told = json.dumps({"hash": H[0], "labels": cell, "Sources": cell})
    assert found(told) == {H[0]: entry}


DATASET = (
    "signal_type,signal_str,collab,category,tags\n"
    f"pdq,{H[0]},Sample Data Sharing,POSITIVE_CLASS,one two\n"
    f'trend_query,"{{""and"": [{{""or"": [""a"", ""b""]}}]}}",Sample Signals,INVESTIGATION_SEED,\n'
    f"url_md5,{H[0][:32]},Sample Signals,INVESTIGATION_SEED,\n"
    f"video_md5,{H[0][:32]},Sample Signals,INVESTIGATION_SEED,\n"
    f"video_sha256,{H[0]},Sample Signals,INVESTIGATION_SEED,\n"
    'raw_text,"some words,\nand more",Sample Signals,INVESTIGATION_SEED,\n'
    "url,https://example.com/,Sample Signals,INVESTIGATION_SEED,\n"
    f'pdq_ocr,"{H[0]},words",Sample Signals,INVESTIGATION_SEED,\n'
    f'vpdq,"[""{H[0]},100,0.0""]",Sample Signals,INVESTIGATION_SEED,\n'
    "text_tlsh,T10A,Sample Signals,INVESTIGATION_SEED,\n"
)
"""What ``threatexchange dataset -P --csv`` prints, a row for each of its signal types."""


def test_the_dataset_of_python_threatexchange() -> None:
    file = read(DATASET)
    assert (file.format, file.types, file.rejected) == (
        "csv", dict.fromkeys(("pdq", "video_md5", "video_sha256", "vpdq"), 1), (),
    )  # fmt: skip
    assert file.lists[0].entries[0] == hm.Entry(
        None, ("POSITIVE_CLASS", "one", "two"), ("Sample Data Sharing",), "POSITIVE_CLASS"
    )
    assert dict(file.unmatchable) == dict.fromkeys(
        ("pdq_ocr", "raw_text", "text_tlsh", "trend_query", "url", "url_md5"), 1,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("type", "kind"),
    [
        ("HASH_URL_MD5", "url_md5"), ("HASH_PDQ_OCR", "pdq_ocr"), ("HASH_TEXT_TLSH", "text_tlsh"),
        ("TREND_QUERY", "trend_query"), ("TEXT_STRING", "raw_text"), ("RAW_URI", "uri"),
        ("URI", "uri"), ("DEBUG_STRING", "text"),
    ],
)  # fmt: skip
def test_indicators_that_are_no_hashes_of_pictures_are_counted(type: str, kind: str) -> None:
    page = {"data": [{"id": "1", "indicator": "x", "type": type, "descriptors": {"data": [{}]}}]}
    file = read(json.dumps(page))
    assert (dict(file.unmatchable), file.rejected) == ({kind: 1}, ())


# --- dates ---------------------------------------------------------------------------------------


def times(*dates: Any, order: str | None = None) -> list[float]:
    """Return when rows with such dates were said, as a CSV list and as JSON lines say it."""
    text = "pdq,updated\n" + "".join(f'{H[n]},"{date}"\n' for n, date in enumerate(dates))
    lines = "\n".join(json.dumps({"hash": H[n], "updated": date}) for n, date in enumerate(dates))
    options = ListOptions(dates=order)
    one, two = (
        list(registry.list_reader(format).rows(io.BytesIO(data.encode()), options))
        for format, data in (("csv", text), ("jsonl", lines))
    )
    said = [
        [row.updated for row in rows if isinstance(row, ListRow) and isinstance(row.updated, Span)]
        for rows in (one, two)
    ]
    assert said[0] == said[1]
    assert len(said[0]) == len(dates)
    return [span.begin for span in said[0]]


@pytest.mark.parametrize(
    ("clear", "first"),
    [
        ("31/12/2024", "01/02/2024"), ("12/31/2024", "02/01/2024"), ("31.12.2024", "1.2.2024"),
        ("31-12-2024", "1-2-2024"), ("31/12/2024 00:00", "1/2/2024 12:00:00 AM"),
        ("12/31/2024 12:00 am", "2/1/2024 00:00:00.000"),
    ],
)  # fmt: skip
def test_one_clear_date_tells_the_order_of_all(clear: str, first: str) -> None:
    assert times(clear, first) == [NEW_YEARS_EVE, FEBRUARY]
    assert times(first, first, clear) == [FEBRUARY, FEBRUARY, NEW_YEARS_EVE]


@pytest.mark.parametrize(
    ("date", "since"),
    [
        ("2024/12/31", 0), ("2024.12.31", 0), ("20241231", 0), ("2024-12-31", 0),
        ("31-Dec-2024", 0), ("31 December 2024", 0), ("Dec 31, 2024", 0), ("December 31 2024", 0),
        ("Tue, 31 Dec 2024 01:00:00 GMT", 3600), ("2024/12/31 1:30 PM", 13.5 * 3600),
        ("2024-12-31 01:30:15 a.m.", 5415), ("2024/12/31 12:00 AM", 0),
        ("2024/12/31T12:00 PM", 12 * 3600), ("2024-12-31 01:00:00+01:00", 0),
        ("Dec 31 2024 12:00AM", 0), ("2024/12/31 00:00:00.5", 0.5),
    ],
)  # fmt: skip
def test_dates_that_need_no_telling(date: str, since: float) -> None:
    assert times(date) == [NEW_YEARS_EVE + since]


def test_dates_whose_order_is_not_clear_are_refused_by_name() -> None:
    text = f"pdq,updated\n{H[0]},01/02/2024\n{H[1]},03/04/2024\n"
    said = refused(text)
    assert "line 2: the dates of this list may be day/month or month/day" in said
    assert "--dates dmy or mdy" in said
    assert times("01/02/2024", order="dmy") == [FEBRUARY]
    assert times("02/01/2024", order="mdy") == [FEBRUARY]
    assert times("05/05/2024") == times("2024-05-05")
    assert "updated is not a date in the order day, month, year" in refused(
        f"pdq,updated\n{H[0]},31/12/2024\n{H[1]},12/31/2024\n"
    )
    assert reasons(f"pdq,updated\n{H[0]},31/12/2024\n", dates="mdy") == [
        (2, "updated is not a date in the order month, day, year")
    ]
    with pytest.raises(hm.UsageError, match="cannot use 'ymd' as the order of dates"):
        hm.ListFormat(dates="ymd")


@pytest.mark.parametrize("date", ["20241231T120000Z", "20241231120000", "20241231 12:00:00"])
def test_days_and_times_in_a_row(date: str) -> None:
    for said in (date, int(date)) if date.isdigit() else (date,):
        row = _fields.time_of("updated", said, _fields.Dates())
        assert row is not None
        assert (row.begin, round(row.end - row.begin)) == (NEW_YEARS_EVE + 43200, 1)


@pytest.mark.parametrize("date", [20241231, 20241231.0, "20241231.0"])
def test_a_day_that_is_a_number_is_no_second_of_1970(date: Any) -> None:
    row = _fields.time_of("updated", date, _fields.Dates())
    assert row is not None
    assert (row.begin, round(row.end - row.begin)) == (NEW_YEARS_EVE, 86400)


def test_what_mysql_has_for_no_time() -> None:
    for date in ("0000-00-00", "0000-00-00 00:00:00"):
        assert _fields.time_of("updated", date, _fields.Dates()) is None


@pytest.mark.parametrize(
    ("key", "value", "out"),
    [
        ("deleted", True, True), ("deleted", "false", False), ("is_deleted", 1, True),
        ("Withdrawn", "yes", True), ("revoked", "N", False), ("deleted", None, False),
        ("active", False, True), ("is_active", "0", True), ("enabled", "true", False),
        ("active", None, False), ("is_false_positive", True, True), ("state", "revoked", True),
        ("deleted_at", "2024-01-01", True), ("revokedAt", 0, False), ("deleted_at", None, False),
        ("deleted_at", "0000-00-00", False), ("deleted_on", 1704067200, True),
        ("valid_until", "2020-01-01", True), ("expires", "9998-12-31T00:00:00Z", False),
        ("expires_at", "never", False), ("expiry", "infinity", False), ("action", "delete", True),
        ("action", "upsert", False), ("hash_status", "revoked", True), ("verdict", "benign", True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_columns_that_say_that_an_entry_is_out(form: str, key: str, value: Any, out: bool) -> None:
    if form == "jsonl":
        lines = [{"hash": H[0], "id": "a", key: value}, {"hash": H[1], "id": "b"}]
        text = "\n".join(map(json.dumps, lines))
    else:
        cell = "" if value is None else value
        text = f"pdq,id,{key}\n{H[0]},a,{cell}\n{H[1]},b,\n"
    assert set(found(text)) == ({H[1]} if out else set(H[:2]))
    assert sum(read(text).rows.get(sort, 0) for sort in ("withdrawal", "benign")) == out


def test_columns_that_are_told_leave_the_status_what_it_is() -> None:
    columns = {"pdq": "Fingerprint", "id": "Ref"}
    text = (
        f"id,Fingerprint,Ref,status,type,md5,labels\n0,{H[0]},a,revoked,jpeg,,\n"
        f"0,{H[1]},b,,jpeg,{H[2][:32]},x;y\n"
    )
    said = found(text, columns=columns)
    assert [(e.external_id, e.labels) for e in said.values()] == [("b", ())]
    assert list(said) == [H[1]]
    told = found("Gone,Fingerprint,Status\n" + f"active,{H[0]},x\n", columns={
        "pdq": "Fingerprint", "status": "Gone"
    })  # fmt: skip
    assert [e.status for e in told.values()] == ["active"]


def test_columns_of_yes_and_no_that_say_something_else_are_named() -> None:
    lines = [{"hash": H[0]}, {"hash": H[1], "deleted": "perhaps"}, {"hash": H[2], "active": [1]}]
    assert reasons("\n".join(map(json.dumps, lines))) == [
        (2, "deleted is neither true nor false"), (3, "active is neither true nor false")
    ]  # fmt: skip
    # A state, which may be one of the United ones, is a status only where there is no other.
    assert not read(f"pdq,id,state,status\n{H[0]},a,CA,revoked\n").lists


@pytest.mark.parametrize("date", ["31/12/24", "13/13/2024", "2024/13/01", "31 Foo 2024", "1:30 PM"])
def test_dates_that_are_none(date: str) -> None:
    assert reasons(f"pdq,updated\n{H[0]},{date}\n") == [(2, "updated is not a time")]


@pytest.mark.parametrize("day", ["45657", "45657.5", 45657])
def test_the_number_of_a_day_is_no_time(day: Any) -> None:
    told = "updated is the number of a day, as spreadsheets count them; write its date"
    assert reasons(json.dumps({"hash": H[0], "updated": day})) == [(1, told)]


def test_rows_that_wait_for_a_date_keep_their_order_and_are_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = f"pdq,updated\n{H[0]},01/02/2024\nbad,\n{H[1]},\n{H[2]},31/12/2024\n"
    lines = [row.line for row in registry.list_reader("csv").rows(
        io.BytesIO(text.encode()), ListOptions())]  # fmt: skip
    assert lines == [2, 3, 4, 5]
    monkeypatch.setattr(_fields, "MOST_WAITING", 1000)
    assert "may be day/month or month/day" in refused(text)


# --- JSON ----------------------------------------------------------------------------------------


WITHDRAWN = {"withdrawal": 1, "rejected": 0}


def test_keys_in_other_capitals() -> None:
    assert found(json.dumps({"Hash": H[0], "ID": 7, "Label": "a b"})) == {
        H[0]: hm.Entry("7", ("a b",))
    }
    assert found(json.dumps({"PDQ": H[0], "item": "x"})) == {H[0]: hm.Entry("x")}
    record = {"Hash_Digest": H[0], "ALGORITHM": "PDQ", "Deleted": "t", "ID": 7}
    file = read(json.dumps({"Checkpoint": "1,2", "Results": [record]}))
    assert (file.format, file.rows, file.rejected) == ("tat-json", WITHDRAWN, ())
    media = {"mediaID": 1, "md5": H[0][:32], "category": "0.0", "Mimetype": "image/png"}
    file = read(json.dumps({"Value": [media], "@odata.context": "x#Media"}))
    assert (file.format, file.rows, file.rejected) == (
        "vics-json",
        {"benign": 1, "rejected": 0},
        (),
    )
    record = {"HashValue": H[0], "signaltype": "ImagePDQ", "hashstatus": "Withdrawn"}
    file = read(json.dumps({"HashRecords": [record], "Count": "1"}))
    assert (file.format, file.rows, file.rejected) == ("stopncii-json", WITHDRAWN, ())
    record = {"Indicator": H[0], "Type": "HASH_PDQ", "Should_Delete": 1.0, "ID": 1}
    file = read(json.dumps({"Data": [record]}))
    assert (file.format, file.rows, file.rejected) == ("threatexchange-json", WITHDRAWN, ())


def test_a_count_of_another_type_is_a_count() -> None:
    page = '{"results": [{"hash_digest": "%s", "algorithm": "PDQ"}], "count": %s}'
    for count in ('"1"', "1.0", '"1.0"', "null"):
        assert reasons(page % (H[0], count)) == []
    assert reasons(page % (H[0], '"2"')) == [(1, "the page says 2 records and has 1")]
    assert reasons(page % (H[0], '"two"')) == [(1, "count is not a number")]


@pytest.mark.parametrize("value", ["[]", "{}", "true", '["x"]'])
@pytest.mark.parametrize("key", ["hash", "id", "label", "status", "algorithm", "quality"])
def test_values_that_are_none_are_named(key: str, value: str) -> None:
    record = {"hash": H[0]} | {key: json.loads(value)}
    assert reasons(json.dumps(record)) == [(1, f"{key} is not text")]


# --- the command ---------------------------------------------------------------------------------


def test_help_names_every_role() -> None:
    from hashmatch.cli import options
    from hashmatch.interfaces import ROLES

    assert sorted(options.ROLES.split(" or ", maxsplit=1)[0].split(", ")) == sorted(ROLES)


def test_messages_name_every_format() -> None:
    said = refused("just words\n")
    assert all(name in said for name in registry.names(registry.LISTS))


@pytest.mark.parametrize(
    ("beginning", "what"),
    [
        (b"PK\x03\x04", "workbook"), (b"\xd0\xcf\x11\xe0", "Excel"), (b"PAR1", "Parquet"),
        (b"SQLite format 3\0", "SQLite"), (b"\x1f\x8b", "gzip"), (b"BZh9", "bzip2"),
        (b"\xfd7zXZ\0", "xz"), (b"\x28\xb5\x2f\xfd", "zstd"), (b"%PDF-1", "PDF"),
    ],
)  # fmt: skip
def test_files_that_hold_no_text_say_what_they_are(beginning: bytes, what: str) -> None:
    assert what in refused(beginning + bytes(range(200)))


def test_the_command_takes_dates_and_charset(tmp_path: Path) -> None:
    known = tmp_path / "l.csv"
    known.write_bytes(f"pdq,updated,label\n{H[0]},01/02/2024,\u0434\n".encode("cp1251"))
    failed = run("list", "inspect", known, "--json")
    assert (failed.code, "--dates dmy" in failed.said) == (2, True)
    done = run("list", "inspect", known, "--json", "--dates", "dmy", "--charset", "cp1251")
    assert done.code == 0
    assert json.loads(done.out)["labels"] == {"\u0434": 1}
