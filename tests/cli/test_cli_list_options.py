"""Lists of other tools on the command line: their encodings, their bits, and what they are."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

import hashmatch as hm
from cli_tools import LISTS, Ran, run
from foreign_lists import COUNT, WRITE, drawn, foreign, own
from hashmatch.cli.list_store import import_
from hashmatch.lists.bit_order import ORDERS, UNCHANGED
from hashmatch.records.hashes import ENCODINGS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def write(path: Path, column: str, texts: Sequence[str]) -> Path:
    """Write a CSV list whose ids count from 0, and return its path."""
    lines = [f"{column},id", *(f"{text},{number}" for number, text in enumerate(texts))]
    path.write_text("\n".join(lines))
    return path


def taken(page: Path, *options: str, by: str = "import") -> Ran:
    """Import a page into the store ``s`` beside it, or update that."""
    store = ["s", page.name] if by == "update" else [page.name, "--store", "s"]
    return run("list", by, *store, *options, cwd=page.parent)


def held(folder: Path) -> list[str]:
    """Return the hashes of the store in the order of their ids."""
    (known,) = hm.ListStore(folder / "s").open("dhash")
    of = zip(known.entries, known.hashes.to_hex(), strict=True)
    return [text for _, text in sorted((int(entry.external_id or -1), text) for entry, text in of)]


def written(folder: Path) -> tuple[str, list[str]]:
    """Return how the store remembers that hashes are written."""
    made = hm.ListStore(folder / "s").latest()[0].manifest
    return made.encoding, list(made.bits)


@pytest.mark.parametrize("encoding", WRITE)
def test_each_encoding_is_told_kept_and_changed(tmp_path: Path, encoding: str) -> None:
    mine = list(own("dhash"))
    theirs = [WRITE[encoding](text) for text in mine]
    first = write(tmp_path / "1.csv", "dhash", theirs[:50])
    rest = write(tmp_path / "2.csv", "dhash", theirs)
    assert taken(first, "--encoding", encoding).code == 0
    assert (held(tmp_path), written(tmp_path)) == (mine[:50], (encoding, []))
    assert taken(rest, by="update").code == 0
    assert held(tmp_path) == mine
    plain = write(tmp_path / "3.csv", "dhash", mine)
    assert taken(plain, "--encoding", "hex", by="update").code == 0
    assert (held(tmp_path), written(tmp_path)) == (mine, ("hex", []))


def test_bits_are_told_one_after_the_other_kept_and_changed(tmp_path: Path) -> None:
    mine = list(own("dhash"))
    theirs = foreign("dhash", "bytes-reversed", "transposed", "inverted")
    page = write(tmp_path / "1.csv", "dhash", theirs)
    orders = ["--bits", "inverted", "--bits", "transposed", "--bits", "dhash=bytes-reversed"]
    assert taken(page, *orders).code == 0
    assert (held(tmp_path), written(tmp_path)) == (mine, ("hex", orders[1::2]))
    assert taken(page, by="update").code == 0
    assert held(tmp_path) == mine
    inspected = run("list", "inspect", "s", cwd=tmp_path).out.decode()
    assert "hex, inverted, transposed, dhash=bytes-reversed" in inspected
    plain = write(tmp_path / "2.csv", "dhash", mine)
    assert taken(plain, "--bits", "unchanged", "--accept", "size-change").code == 0
    assert (held(tmp_path), written(tmp_path)) == (mine, ("hex", []))


def test_a_version_that_is_rolled_back_to_keeps_its_options(tmp_path: Path) -> None:
    mine, theirs = list(own("dhash")), foreign("dhash", "inverted")
    page = write(tmp_path / "1.csv", "dhash", [WRITE["base64"](text) for text in theirs])
    plain = write(tmp_path / "2.csv", "dhash", mine)
    assert taken(page, "--encoding", "base64", "--bits", "inverted").code == 0
    assert taken(plain, "--encoding", "hex", "--bits", "unchanged").code == 0
    assert run("list", "rollback", "s", "1", cwd=tmp_path).code == 0
    assert written(tmp_path) == ("base64", ["inverted"])
    assert taken(page, by="update").code == 0
    assert held(tmp_path) == mine


def test_a_tools_list_is_scanned_for_its_picture(tmp_path: Path) -> None:
    theirs = [WRITE["base64"](text) for text in foreign("dhash", "inverted")]
    page = write(tmp_path / "1.csv", "dhash", theirs)
    assert taken(page, "--encoding", "base64", "--bits", "inverted").code == 0
    Image.fromarray(drawn(7)).save(tmp_path / "7.png")
    given = "scan", "7.png", "--list", "s", "-a", "dhash", "--surface", "user_report"
    (record,) = run(*given, cwd=tmp_path).lines
    found = record["matches"][0]
    assert (found["entry"], found["distance"]) == ("7", 0)


def test_lists_of_imagehash_and_of_our_own_are_found_at_zero(tmp_path: Path) -> None:
    imagehash = pytest.importorskip("imagehash")
    image = Image.fromarray(drawn(7))
    image.save(tmp_path / "7.png")
    made = run("hash", "7.png", "-a", "phash", cwd=tmp_path)
    (tmp_path / "ours.jsonl").write_bytes(made.out)
    write(tmp_path / "theirs.csv", "phash", [str(imagehash.phash(image))])
    for page in ("ours.jsonl", "theirs.csv"):
        store = f"{page}.store"
        assert run("list", "import", page, "--store", store, cwd=tmp_path).code == 0
        given = "scan", "7.png", "--list", store, "-a", "phash", "--surface", "user_report"
        (record,) = run(*given, cwd=tmp_path).lines
        assert [match["distance"] for match in record["matches"]] == [0]


def test_another_kind_is_a_warning_of_inspect_and_imported_only_if_accepted(tmp_path: Path) -> None:
    theirs = foreign("phash", "reversed")
    page = write(tmp_path / "1.csv", "phash", theirs)
    told = f"these {COUNT} phash entries are probably phash with its bits reversed: "
    looked = run("list", "inspect", page.name, cwd=tmp_path)
    assert (looked.code, looked.said.count(f"hashmatch: warning: {told}")) == (0, 1)
    refused = taken(page)
    assert (refused.code, refused.said.count("\n")) == (2, 1)
    assert told in refused.said
    assert "--bits reversed" in refused.said
    assert refused.said.endswith("To take it as it is, give --accept kind\n")
    accepted = taken(page, "--accept", "kind")
    assert (accepted.code, accepted.said.count(told)) == (0, 1)
    assert taken(page, "--bits", "reversed", "--accept", "size-change").code == 0
    said = looked.said + refused.said + accepted.said
    assert not any(text in said for text in theirs)


def test_what_is_no_list_of_photographs_is_a_remark(tmp_path: Path) -> None:
    page = LISTS / "demo-pdq.csv"
    told = "remark: 6% of the pdq entries have exactly 128 bits set"
    assert told in run("list", "inspect", page).out.decode()
    made = run("list", "import", page, "--store", "s", cwd=tmp_path)
    assert (made.code, "probably" in made.said) == (0, False)


@pytest.mark.parametrize("path", sorted(LISTS.iterdir()), ids=lambda path: path.name)
def test_no_list_of_the_project_is_taken_for_another_kind(path: Path) -> None:
    assert not any("probably" in told for told in hm.read_list_file(path).warnings)


@pytest.mark.parametrize("encoding", ["hex-unpadded", "decimal", "signed"])
def test_numbers_of_64_bits_are_no_pdq(tmp_path: Path, encoding: str) -> None:
    page = write(tmp_path / "1.csv", "hash", [WRITE[encoding](text) for text in own("phash")])
    ran = taken(page, "--encoding", encoding)
    assert (ran.code, ran.said.count("\n")) == (2, 1)
    assert "a number of so few bits is no pdq hash; say of which algorithm it is" in ran.said
    assert taken(page, "--encoding", encoding, "-a", "phash").code == 0


def test_a_list_of_which_nothing_can_be_matched_is_no_version(tmp_path: Path) -> None:
    page = write(tmp_path / "1.csv", "pdq", [f"{n:064x}" for n in range(1, 4)])
    ran = taken(page)
    assert (ran.code, ran.said.count("\n")) == (2, 1)
    assert "there is no usable hash" in ran.said


@pytest.mark.parametrize("indent", [None, 1])
def test_a_list_in_one_object_is_one_clear_line(tmp_path: Path, indent: int | None) -> None:
    path = tmp_path / "one.json"
    for entries in ([*own("pdq")], [{"hash": text} for text in own("pdq")]):
        path.write_text(json.dumps({"made": "2026", "hashes": entries}, indent=indent))
        ran = run("list", "inspect", path.name, cwd=tmp_path)
        assert (ran.code, ran.said.count("\n")) == (2, 1)
        assert "(jq -c '." in ran.said
        assert not any(text in ran.said for text in own("pdq"))


def test_columns_that_are_ignored_are_asked_for(tmp_path: Path) -> None:
    rows = [
        f"{text},a{number},{'rayé' if number % 5 else 'en vigueur'}"
        for number, text in enumerate(own("pdq"))
    ]
    (tmp_path / "1.csv").write_text("\n".join(["pdq,identifiant,valeur", *rows]))
    told = "columns ignored: 2 identifiant, 3 valeur. If one of them says it, give --column id=NAME"
    assert f"{told} or --column status=NAME" in taken(tmp_path / "1.csv").said
    given = "--column", "pdq=pdq", "--column", "status=valeur"
    looked = run("list", "inspect", "1.csv", *given, cwd=tmp_path)
    assert "unknown status 'rayé': 48, listed all the same" in looked.said


@pytest.mark.parametrize("name", ["status", "Statut", "État", "状态"])
def test_a_status_in_another_language_is_no_live_entry(tmp_path: Path, name: str) -> None:
    rows = [
        f"{text},a{number},{'rayé' if number % 5 else 'En vigueur'}"
        for number, text in enumerate(own("pdq"))
    ]
    (tmp_path / "1.csv").write_text("\n".join([f"pdq,id,{name}", *rows]))
    refused = taken(tmp_path / "1.csv")
    assert refused.code != 0
    assert refused.said == (
        f"hashmatch: cannot import the list: it is not known which status of column 3 {name} means "
        "that an entry is withdrawn: 'rayé' (48 rows), 'En vigueur' (12 rows). Say what each means "
        "(--status WORD=listed|withdrawn|benign|disputed), or list them all "
        "(--accept unknown-status)\n"
    )
    given = "--status", "RAYÉ=withdrawn", "--status", "en-vigueur=listed"
    assert taken(tmp_path / "1.csv", *given).code == 0
    (found,) = run("list", "inspect", "s", "--json", cwd=tmp_path).lines
    assert found["types"] == {"pdq": 12}
    assert found["statuses"] == {"RAYÉ": "withdrawn", "en-vigueur": "listed"}
    lines = [f"pdq,id,{name}", rows[0].replace("En vigueur", "rayé"), rows[5]]
    (tmp_path / "2.csv").write_text("\n".join(lines))
    ran = run("list", "update", "s", "2.csv", cwd=tmp_path)
    assert ran.code == 0, ran.said
    (found,) = run("list", "inspect", "s", "--json", cwd=tmp_path).lines
    assert found["types"] == {"pdq": 11}


@pytest.mark.parametrize("algorithm", ["pdq", "dhash"])
def test_bare_base64_without_padding_is_a_list(tmp_path: Path, algorithm: str) -> None:
    bare = [base64.b64encode(bytes.fromhex(text)).decode().rstrip("=") for text in own(algorithm)]
    (tmp_path / "1.txt").write_text("\n".join(bare))
    refused = taken(tmp_path / "1.txt", "-a", algorithm)
    assert "say so (--encoding base64)" in refused.said
    assert not any(text in refused.said for text in bare)
    assert taken(tmp_path / "1.txt", "-a", algorithm, "--encoding", "base64").code == 0
    words = ["description", "performance", "information", "Declaration"]
    (tmp_path / "2.txt").write_text("\n".join(words))
    assert "it is in none of the formats" in taken(tmp_path / "2.txt").said


@pytest.mark.parametrize("word", ["gelöscht", "Supprimé", "已删除", "ELIMINADO"])
def test_usual_words_of_other_languages_are_known(tmp_path: Path, word: str) -> None:
    rows = [f"{text},a{n},{word if n % 5 else 'aktiv'}" for n, text in enumerate(own("pdq"))]
    (tmp_path / "1.csv").write_text("\n".join(["pdq,id,Zustand", *rows]))
    known = hm.read_list(tmp_path / "1.csv")
    assert len(known) == 12
    (tmp_path / "2.csv").write_text("\n".join(["pdq,id,Bemerkung", *rows]))
    with pytest.raises(hm.ListError, match="says that an entry is withdrawn or benign"):
        hm.read_list(tmp_path / "2.csv")
    rows = [f"{text},a{n},{'ja' if n % 5 else 'Nein'}" for n, text in enumerate(own("pdq"))]
    (tmp_path / "3.csv").write_text("\n".join(["pdq,id,deleted", *rows]))
    assert len(hm.read_list(tmp_path / "3.csv")) == 12


def test_unknown_statuses_may_be_taken_as_they_are(tmp_path: Path) -> None:
    rows = [f"{text},{'California' if n % 2 else 'Ohio'}" for n, text in enumerate(own("pdq"))]
    (tmp_path / "1.csv").write_text("\n".join(["pdq,state", *rows]))
    assert taken(tmp_path / "1.csv").code != 0
    ran = taken(tmp_path / "1.csv", "--accept", "unknown-status")
    assert ran.code == 0
    assert "unknown status 'Ohio': 30, listed all the same" in ran.said
    assert taken(tmp_path / "1.csv", "--status", "ohio=gone").code == 2
    assert taken(tmp_path / "1.csv", "--status", "ohio").code == 2


def test_every_encoding_and_order_is_offered() -> None:
    options: dict[str | None, Any] = {each.name: each for each in import_.params}
    assert tuple(options["encoding"].type.choices) == ENCODINGS
    assert all(order in options["bits"].help for order in (*ORDERS, UNCHANGED))
