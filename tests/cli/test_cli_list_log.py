"""`hashmatch list log` shows how each version of a list was made, and never a hash."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hashmatch as hm
from cli_tools import run
from foreign_lists import own

if TYPE_CHECKING:
    from pathlib import Path


def test_how_each_version_was_made(tmp_path: Path) -> None:
    hashes = own("dhash")
    (tmp_path / "1.csv").write_text("\n".join(["Print,Ref", *(f"{h},a" for h in hashes)]))
    options = (
        "--column", "dhash=Print", "--column", "id=Ref", "--bits", "inverted", "--accept", "kind",
        "--expires", "30d", "--keep-ids", "uuid", "--limit", "dhash=5", "--unique-ids",
        "--status", "geloescht=withdrawn", "--encoding", "hex",
    )  # fmt: skip
    assert run("list", "import", "1.csv", "--store", "s", *options, cwd=tmp_path).code == 0
    (tmp_path / "2.csv").write_text(f"Print,Ref\n{hashes[0]},b")
    given = "--accept", "size-change", "--expires", "never"
    assert run("list", "update", "s", "2.csv", *options[:4], *given, cwd=tmp_path).code == 0
    assert run("list", "rollback", "s", "1", "--accept", "size-change", cwd=tmp_path).code == 0
    third, second, first = run("list", "log", "s", "--json", cwd=tmp_path).lines
    assert [each["made_by"] for each in (first, second, third)] == ["import", "update", "rollback"]
    assert first["options"] == {
        "column": ["dhash=Print", "id=Ref"], "bits": ["inverted"], "accept": ["kind"],
        "expires": ["30d"], "keep-ids": ["uuid"], "limit": ["dhash=5"], "unique-ids": ["yes"],
        "status": ["geloescht=withdrawn"], "encoding": ["hex"],
    }  # fmt: skip
    assert (first["files"], first["base"], second["base"]) == (["1.csv"], None, 1)
    assert second["options"]["expires"] == ["never"]
    assert third["rolled_back_to"] == 1
    assert third["options"] == {"accept": ["size-change"]}
    text = run("list", "log", "s", cwd=tmp_path).out.decode()
    for words in (
        "--column dhash=Print --column id=Ref", "--status geloescht=withdrawn", "--bits inverted",
        "--unique-ids", "--keep-ids uuid", "--accept kind", "--expires 30d", "--limit dhash=5",
    ):  # fmt: skip
        assert words in text, words
    assert not any(h in text for h in hashes)


def test_no_option_shows_a_hash(tmp_path: Path) -> None:
    value = own("pdq")[0]
    (tmp_path / "1.csv").write_text(f"hash,name\n{value},a\n")
    change = hm.Change(
        name=f"list {value}",
        format=hm.ListFormat(columns={"pdq": "hash", "id": "2"}, statuses={value: "listed"}),
    )
    store = hm.ListStore(tmp_path / "s")
    store.import_files([str(tmp_path / "1.csv")], change)
    ran = run("list", "log", "s", cwd=tmp_path)
    assert ran.code == 0
    assert value not in ran.said + ran.out.decode()
    assert not any(
        value in path.read_text(errors="replace") for path in (tmp_path / "s").glob("*.json")
    )


def test_a_store_without_versions(tmp_path: Path) -> None:
    assert run("list", "log", "s", cwd=tmp_path).code == 2
