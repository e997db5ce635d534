"""List stores on the command line, as whoever gets a list for the first time would use them."""

from __future__ import annotations

import json
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from cli_tools import Ran, on_terminal, run, screen_lines
from list_stores import MD5, page, rows

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

LISTED = rows(40)


class Home:
    """A folder to work in, with keys and pages of a list, and an import of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.store = folder / "lists" / "hotline"
        self.pages = folder / "pages"
        self.pages.mkdir()
        (folder / "lists").mkdir()
        assert self.run("list", "keygen", "k").code == 0
        page(self.pages, LISTED[:25], "1.jsonl")
        page(self.pages, LISTED[20:], "2.jsonl")
        page(folder, rows(3, spec=MD5, name="m"), "md5.jsonl")

    def run(self, *args: str | Path, **env: str) -> Ran:
        options: dict[str, Any] = {"cwd": self.folder, **self.trusting(), **env}
        ran = run(*args, **options)
        assert ran.code == 0 or len(ran.said.splitlines()) == 1, ran.said  # one line a mistake
        text = (ran.out + ran.err).decode()
        if "--reveal-hashes" not in args:
            assert not any(row["hash"] in text for row in LISTED)
        return ran

    def trusting(self) -> dict[str, str]:
        """Return the environment of who trusts the key of what is signed here, if anything is."""
        is_signed = any(self.store.glob("versions/*.sig"))
        return {"HASHMATCH_TRUSTED_KEYS": str(self.folder / "k.pub")} if is_signed else {}

    def imported(self, *more: str, **env: str) -> Ran:
        given = "list", "import", "pages", "md5.jsonl", "--store", "lists/hotline"
        return self.run(*given, "--sign", "k.key", *more, **env)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_a_life_of_a_list(home: Home) -> None:
    assert home.imported("--expires", "30d").code == 0
    (inspected,) = home.run("list", "inspect", "lists/hotline", "--json").lines
    assert inspected["types"] == {"md5": 3, "pdq": 40}
    facts = inspected["name"], inspected["format"], inspected["version"]
    assert facts == ("hotline", "store", "1")
    assert inspected["created"] < inspected["expires"]
    assert len(inspected["signed_by"]) == 1

    changes: list[dict[str, Any]] = rows(2, seed=5, name="new")
    changes[0]["labels"] = ["A1"]
    changes.append({"id": "n3", "status": "deleted"})
    page(home.folder, changes, "more.jsonl")
    ran = home.run("list", "update", "lists/hotline", "more.jsonl", "--sign", "k.key")
    assert (ran.code, ran.out) == (0, b"")
    assert "\x1b" not in ran.said
    assert "version 2" in ran.said
    (found,) = home.run("list", "diff", "lists/hotline", "--json").lines
    assert found["algorithms"]["pdq"] == {
        "added": 2, "changed": 0, "withdrawn": 1, "superseded": 0, "dropped": 0,
        "added_ids": ["new0", "new1"], "changed_ids": [], "withdrawn_ids": ["n3"],
        "superseded_ids": [], "dropped_ids": [],
    }  # fmt: skip
    text = home.run("list", "diff", "lists/hotline", "1", "2").out.decode()
    assert "pdq: 2 added, 0 changed, 1 withdrawn" in text
    assert "  - n3" in text
    text = home.run("list", "inspect", "lists/hotline").out.decode()
    for said in ("hotline", "pdq entries", "41", "label A1", "withdrawn", "signed by"):
        assert said in text

    ran = home.run("list", "verify", "lists/hotline", "--trust", "k.pub")
    assert ran.out.decode() == "version 2: sound\nversion 1: sound\n"
    assert home.run("list", "verify", "lists/hotline", "--trust", "k.pub", "--json").lines == [
        {"version": 2, "problems": []}, {"version": 1, "problems": []}
    ]  # fmt: skip


def test_match_and_scan_take_a_store_like_a_file(home: Home) -> None:
    home.imported()
    one, digest = LISTED[7]["hash"], rows(3, spec=MD5, name="m")[1]["hash"]
    trusting = {"HASHMATCH_TRUSTED_KEYS": str(home.folder / "k.pub")}
    (line,) = home.run("match", one, "--list", "lists/hotline", **trusting).lines
    assert [(m["list"], m["list_version"], m["entry"]) for m in line["matches"]] == [
        ("hotline", "1", "n7")
    ]
    (line,) = home.run(
        "match", digest, "-a", "md5", "--list", "md5=lists/hotline", "--trust", "k.pub"
    ).lines
    assert line["matches"][0]["entry"] == "m1"
    home.run("list", "keygen", "other")
    ran = home.run("match", one, "--list", "lists/hotline", "--trust", "other.pub")
    assert (ran.code, "none of 1 trusted keys signed it" in ran.said) == (2, True)
    shutil.copytree("fixtures/images/plain", home.folder / "photos")
    ran = home.run("scan", "photos", "--list", "lists/hotline", "--surface", "public_post",
                   "--list", "md5=lists/hotline", **trusting)  # fmt: skip
    assert "list hotline version 1: 40 pdq entries" in ran.said
    both = "--list", "lists/hotline", "--list", "lists/hotline"
    assert "given twice" in home.run("match", one, *both).said


def test_damage_is_a_warning_and_the_last_good_version_serves(home: Home) -> None:
    home.imported()
    more = page(home.folder, rows(1, seed=5, name="new"))
    home.run("list", "update", "lists/hotline", more, "--sign", "k.key")
    (home.store / "versions" / "00000002.sig").unlink()
    query = LISTED[0]["hash"]
    ran = run("match", query, "--list", "lists/hotline", "--trust", "k.pub", cwd=home.folder)
    assert ran.lines[0]["matches"][0]["list_version"] == "1"
    assert ran.said.startswith(
        "hashmatch: warning: version 2 is not used: cannot trust the list: its signature"
    )
    ran = run("list", "verify", "lists/hotline", "--trust", "k.pub", cwd=home.folder)
    assert (ran.code, "version 2: NOT SOUND" in ran.out.decode()) == (1, True)
    assert home.run("list", "sign", "lists/hotline", "--sign", "k.key").code == 0
    assert home.run("list", "verify", "lists/hotline", "--trust", "k.pub").code == 0


@pytest.mark.parametrize("form", ["jsonl", "pdq-text"])
def test_export(home: Home, form: str) -> None:
    home.imported()
    given = "list", "export", "lists/hotline", "--format", form
    assert "--reveal-hashes" in home.run(*given).said
    before = os.umask(0)
    try:
        ran = home.run(*given, "--reveal-hashes", "--out", "out")
    finally:
        os.umask(before)
    assert (ran.code, ran.said) == (0, "40 entries in out\n")
    assert (home.folder / "out").stat().st_mode & 0o777 == 0o600
    known = hm.read_list(home.folder / "out")
    found = {e.external_id: h for e, h in zip(known.entries, known.hashes.to_hex(), strict=True)}
    assert found == {row["id"]: row["hash"] for row in LISTED}
    assert "there already" in home.run(*given, "--reveal-hashes", "--out", "out").said
    ran = home.run(*given, "--reveal-hashes")
    assert ran.out == (home.folder / "out").read_bytes()


def test_encrypted(home: Home) -> None:
    key = {"HASHMATCH_LIST_KEY": "c2" * 32}
    home.imported(**key)
    queries = LISTED[0]["hash"], "--list", "lists/hotline"
    assert home.run("match", *queries, **key).lines[0]["match_count"] == 1
    assert "it is encrypted. Give the key of the list in HASHMATCH_LIST_KEY" in (
        home.run("match", *queries).said
    )
    assert "and given is" in home.run("match", *queries, HASHMATCH_LIST_KEY="c3" * 32).said
    more = page(home.folder, rows(1, seed=5, name="new"))
    for ran in (home.imported(), home.run("list", "update", "lists/hotline", more)):
        assert (ran.code, "is encrypted" in ran.said) == (2, True)
    (home.folder / "key").write_text("c2" * 32)
    assert "can be read by others" in home.run("match", *queries, "--list-key", "key").said
    (home.folder / "key").chmod(0o600)
    assert home.run("match", *queries, "--list-key", "key").code == 0


MISTAKES: list[tuple[Sequence[str], str]] = [
    (["import", "nowhere.csv", "--store", "s"], "cannot read nowhere.csv (FILES): No such"),
    (["import", "empty", "--store", "s"], "cannot read empty: there is no file in it"),
    (["import", "md5.jsonl", "--store", "md5.jsonl"], "it is what FILES names"),
    (["import", "md5.jsonl", "--store", "pages"], "has other things in it"),
    (["import", "md5.jsonl", "--store", "md5.jsonl/c"], "cannot make 'md5.jsonl/c'"),
    (["import", "md5.jsonl", "--store", "s", "--sign", "md5.jsonl"], "md5.jsonl"),
    (["import", "md5.jsonl", "--store", "s", "--sign", "k.pub"], "k.pub"),
    (["import", "md5.jsonl", "--store", "s", "--limit", "pdq=x"], "Give it as pdq=20"),
    (["import", "md5.jsonl", "--store", "s", "--limit", "pdq=300"], "0 to 256"),
    (["import", "md5.jsonl", "--store", "s", "--default-pictures", "x"], "cannot read x (--def"),
    (["update", "pages", "md5.jsonl"], "pages: it is no list store"),
    (["update", "nowhere", "md5.jsonl"], "nowhere: it is no list store"),
    (["verify", "md5.jsonl"], "md5.jsonl: it is no list store"),
    (["verify", "empty"], "empty: it is no list store"),
    (["sign", "empty", "--sign", "k.key"], "empty: it is no list store"),
    (["diff", "lists/hotline"], "only one version"),
    (["diff", "lists/hotline", "1", "7"], "version 7 of lists/hotline: it has 1. Give"),
    (["diff", "lists/hotline", "-1"], ""),
    (["inspect", "pages"], "pages: it is no list store"),
    (["inspect", "lists/hotline", "--trust", "k.key"], "k.key"),
    (["inspect", "lists/hotline", "--signatures", "3"], "cannot ask for 3 signatures"),
    (["export", "lists/hotline", "-a", "phash", "--reveal-hashes"], "no phash hashes but md5, pdq"),
]  # fmt: skip


@pytest.fixture(scope="module")
def full(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("home"))
    home.imported()
    (home.folder / "empty").mkdir(mode=0o700)
    os.chmod(home.folder / "pages", 0o700)
    return home


@pytest.mark.parametrize(("args", "message"), MISTAKES, ids=lambda m: " ".join(m)[:60])
def test_a_mistake_is_one_line(full: Home, args: Sequence[str], message: str) -> None:
    options: dict[str, Any] = {"cwd": full.folder, **full.trusting()}
    ran = run("list", *args, **options)
    assert ran.code == 2
    assert message in ran.said
    if not ran.said.startswith("Usage"):
        assert len(ran.said.splitlines()) == 1
        assert ran.said.startswith("hashmatch: ")


def test_default_pictures(home: Home) -> None:
    shutil.copytree("fixtures/images/plain", home.folder / "avatars")
    (line, *_) = home.run("hash", "avatars/tiles.png").lines
    lines = [*rows(5), {"hash": line["hash"], "algorithm": "pdq", "id": "avatar"}]
    given = page(home.folder, lines), "--store", "s", "--default-pictures", "avatars"
    assert home.run("list", "import", *given).code == 0
    (found,) = home.run("list", "inspect", "s", "--json").lines
    assert found["degenerate"] == {"pdq": {"a default picture": 1}}
    assert found["types"] == {"pdq": 5}


def test_a_store_of_a_newer_format(home: Home) -> None:
    home.imported()
    path = home.store / "versions" / "00000001.json"
    path.write_text(json.dumps({"schema": "hashmatch.list/2"}))
    ran = home.run("match", LISTED[0]["hash"], "--list", "lists/hotline")
    assert "is a manifest of format 2, and this version of hashmatch reads format 1" in ran.said


def test_what_has_to_be_accepted(home: Home) -> None:
    home.imported()
    many = page(home.folder, rows(40, seed=5, name="new"))
    given = "list", "update", "lists/hotline", many, "--sign", "k.key", "--json"
    assert "accept size-change" in home.run(*given).said
    ran = home.run(*given, "--accept", "size-change")
    assert ran.lines[0]["counts"]["pdq"] == {"entries": 80}
    broken = [{"hash": "5ec4e7", "id": "bad"}] * 6
    bad = page(home.folder, [*rows(9, seed=6, name="x"), *broken])
    more = "list", "update", "lists/hotline", bad, "--sign", "k.key"
    ran = home.run(*more)
    assert "6 of 15 rows cannot be used" in ran.said
    assert "5ec4e7" not in ran.said
    ran = home.run(*more, "--accept", "bad-rows")
    assert "page.jsonl, line 10: " in ran.said


def test_inspect_of_a_file_counts_everything(tmp_path: Path) -> None:
    lines: list[dict[str, Any]] = rows(4)
    lines[0]["labels"], lines[1]["labels"] = ["A1"], ["A1", "B2"]
    lines[2]["status"] = "benign"
    lines.append({"hash": "0" * 64, "algorithm": "pdq", "id": "flat"})
    lines.append({"hash": "x", "algorithm": "photodna", "id": "p"})
    ran = run("list", "inspect", page(tmp_path, lines), "--json")
    (found,) = ran.lines
    assert found["types"] == {"pdq": 3}
    assert found["labels"] == {"A1": 2, "B2": 1}
    assert found["rows"] == {"benign": 1, "listed": 4, "rejected": 0}
    assert found["unmatchable"] == {"photodna": 1}
    assert found["degenerate"] == {"pdq": {"all zero": 1}}
    assert found["rejected"] == []
    text = run("list", "inspect", page(tmp_path, lines)).out.decode()
    for said in ("pdq degenerate: all zero", "label B2", "rows benign", "photodna rows"):
        assert said in text


def test_progress_is_only_for_a_terminal(home: Home) -> None:
    many = page(home.folder, rows(30_000, name="t"), "many.jsonl")
    code, seen = on_terminal("list", "import", many, "--store", home.folder / "s")
    assert code == 0
    assert b"indexing" in seen
    assert not any("indexing" in line for line in screen_lines(seen))
    ran = home.run("list", "import", many, "--store", "s2", "-q")
    assert (ran.code, ran.out, ran.err) == (0, b"", b"")


def test_effects_are_told_in_words_and_as_json(home: Home) -> None:
    lines = [{**row, "updated": "2025-01-01"} for row in LISTED]
    page(home.folder, lines, "all.jsonl")
    home.run("list", "import", "all.jsonl", "--store", "lists/s", "--unique-ids")
    new = rows(4, seed=9)
    changes: list[dict[str, Any]] = [
        {**new[0], "updated": "2025-02-01"},
        {**new[1], "id": "new"},
        {"id": "n2", "status": "Revoked"},
        {"id": "nobody", "status": "retracted"},
        {**LISTED[3], "labels": ["A1"]},
        {**LISTED[4], "updated": "2024-01-01"},
        {**LISTED[5], "updated": "2025-01-01", "status": "active"},
        {**LISTED[6], "updated": "2099-01-01", "status": "odd one"},
        {**new[2], "id": "twice", "updated": "2025-01-01"},
        {**new[3], "id": "twice", "updated": "2025-01-02"},
        {"hash": "xyz", "id": "bad"},
    ]
    page(home.folder, changes, "more.jsonl")
    shutil.copytree(home.folder / "lists" / "s", home.folder / "lists" / "t")
    given = "more.jsonl", "--unique-ids", "--accept", "unknown-status"
    ran = run("list", "update", "lists/s", *given, cwd=home.folder)
    (told,) = home.run("list", "update", "lists/t", *given, "--json").lines
    effects = {
        "added": 3, "changed": 2, "withdrawn": 1, "superseded": 1, "dropped": 0,
        "ignored as older": 1, "without effect": 2,
    }  # fmt: skip
    assert told["counts"]["effects"] == effects
    assert (told["ignored_as_older"], told["without_effect"]) == (["n4"], ["nobody", "n5"])
    assert told["counts"]["rows"] == {
        "dated ahead": 1, "listed": 8, "withdrawal": 2, "rejected": 1, "superseded": 1,
        "unknown status: odd one": 1,
    }  # fmt: skip
    for words in (
        "superseded by a later row of the same id ",
        "rows superseded by a later row of the same id ",
        "ignored as older: n4\n", "without effect: nobody, n5\n",
        "warning: unknown status 'odd one': 1, listed all the same; say what it means",
        "warning: 1 row is dated in the future",
        "more.jsonl, line 11: ",
    ):  # fmt: skip
        assert words in ran.said, words
    (found,) = home.run("list", "inspect", "lists/s", "--json").lines
    assert found["effects"] == effects
    assert found["unknown_statuses"] == {"odd one": 1}
    (found,) = home.run("list", "diff", "lists/s", "--json").lines
    counts = found["algorithms"]["pdq"]
    assert {name: counts[name] for name in effects if name in counts} == {
        name: count for name, count in effects.items() if " " not in name
    }
    assert (found["ignored_as_older"], found["without_effect"]) == (1, 2)
    text = home.run("list", "diff", "lists/s").out.decode()
    assert text.endswith("rows: 1 ignored as older, 2 without effect\n")
    (found,) = home.run("list", "inspect", "more.jsonl", "--unique-ids", "--json").lines
    assert found["rows"]["superseded"] == 1
    assert found["without_effect"] == ["n2", "nobody"]
    ran = run("match", "0" * 64, "--list", "more.jsonl", "--skip-bad-rows", cwd=home.folder)
    assert "more.jsonl: unknown status 'odd one': 1" in ran.said


def test_of_many_ids_the_first_are_named(home: Home) -> None:
    home.imported()
    gone = [{"id": f"x{n}", "status": "deleted"} for n in range(25)]
    page(home.folder, gone, "gone.jsonl")
    ran = home.run("list", "update", "lists/hotline", "gone.jsonl")
    assert "without effect: x0, x1, " in ran.said
    assert "x19\nwithout effect: and 5 more\n" in ran.said


def test_rollback_and_what_versions_keep_of_their_expiry(home: Home) -> None:
    home.imported("--expires", "30d")
    more = page(home.folder, rows(3, seed=5, name="new"))
    given = "list", "update", "lists/hotline", more, "--sign", "k.key", "--accept", "size-change"
    (told,) = home.run(*given, "--json").lines
    assert told["expires"] is not None
    (found,) = home.run("list", "inspect", "lists/hotline", "--json").lines
    assert (found["expires_after_days"], found["rolled_back_to"]) == (30, None)
    assert (
        "later versions expire after" in home.run("list", "inspect", "lists/hotline").out.decode()
    )
    (told,) = home.run(*given, "--json", "--expires", "never").lines
    assert told["expires"] is None
    back = "list", "rollback", "lists/hotline"
    assert "version 9 of lists/hotline: it has 1, 2, 3. Give" in home.run(*back, "9").said
    assert "cannot roll back to version 3: it is the one that serves" in home.run(*back, "3").said
    ran = home.run(*back, "1", "--sign", "k.key")
    assert ran.code == 0
    for words in ("version 4", "dropped", "later versions too after 30 days", "back to version 1"):
        assert words in ran.said.replace("no longer in the files", "dropped"), words
    (found,) = home.run("list", "inspect", "lists/hotline", "--json").lines
    assert found["types"] == {"md5": 3, "pdq": 40}
    assert (found["version"], found["rolled_back_to"], found["expires_after_days"]) == ("4", 1, 30)
    assert found["effects"]["dropped"] == 3
    assert home.run("list", "verify", "lists/hotline", "--trust", "k.pub").code == 0
    (told,) = home.run(*back, "3", "--json", "--expires", "never").lines
    assert (told["version"], told["expires"]) == (5, None)
