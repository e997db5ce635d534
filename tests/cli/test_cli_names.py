"""Odd names and things that are no files: accounted for, readable, harmless on a screen."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import uuid
from pathlib import Path
from typing import Any

import pytest

from cli_tools import IMAGES, Ran, on_terminal, one_line, run, scan

PICTURE = (IMAGES / "plain" / "landscape-dusk.jpg").read_bytes()
NAMES = [
    b"with space.jpg",
    b"new\nline.jpg",
    b"carriage\rreturn.jpg",
    b"escape\x1b[31mred\x07.jpg",
    b"quote'\".jpg",
    b"back\\slash.jpg",
    b"not-utf8-\xff\xfe.jpg",
    b"-dash.jpg",
    b"--help",
    b"=cmd",
    b"%s{0}[red].jpg",
    "übung-写真-🖼.jpg".encode(),
    "left\u202egpj.txt".encode(),
    b"no-suffix",
    b".hidden.jpg",
    b"a" * 251 + b".jpg",
]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures with odd names in one folder, no pictures with the same names in another."""
    root = tmp_path_factory.mktemp("odd")
    for folder, data in ((b"good", PICTURE), (b"bad", b"no picture\n")):
        place = os.path.join(os.fsencode(root), folder)
        os.mkdir(place)
        for name in NAMES:
            Path(os.fsdecode(os.path.join(place, name))).write_bytes(data)
    return root


@pytest.fixture(scope="module")
def scanned(odd: Path) -> tuple[Ran, dict[str, Any]]:
    report = odd.parent / "odd-report.json"
    ran = scan(odd, "--report", report, "-v")
    return ran, json.loads(report.read_bytes())


def harmless(text: str) -> None:
    assert [c for c in text if c != "\n" and not c.isprintable()] == []


def keys(folder: str) -> list[str]:
    return [f"{folder}/" + name.decode(errors="backslashreplace") for name in NAMES]


def test_every_odd_name_is_one_json_line(scanned: tuple[Ran, dict[str, Any]]) -> None:
    ran, report = scanned
    assert ran.code == 0
    assert sorted(record["item"]["key"] for record in ran.lines) == sorted(keys("good"))
    assert sorted(line["item"] for line in report["not_searched"]) == sorted(keys("bad"))


def test_names_cannot_steer_a_terminal(scanned: tuple[Ran, dict[str, Any]], odd: Path) -> None:
    said = scanned[0].said
    harmless(said)
    assert sum(": unsupported: " in line for line in said.splitlines()) == len(NAMES)
    _, seen = on_terminal(
        "scan", odd / "bad", "--list", IMAGES.parent / "lists" / "demo-pdq.csv",
        "--surface", "public_post", "-v",
    )  # fmt: skip
    assert b"\x1b[31mred" not in seen
    assert b"\x07" not in seen


def test_hash_takes_odd_names_one_by_one(odd: Path) -> None:
    ran = run("hash", "--", *NAMES, cwd=odd / "good")
    assert ran.code == 0
    assert [line["item"] for line in ran.lines] == [key[5:] for key in keys("good")]
    assert {line["outcome"] for line in ran.lines} == {"hashed"}
    harmless(ran.said)


@pytest.mark.parametrize("name", [b"no\nwhere\x1b[2J\x07", b"no-\xff", "no\u202ewhere".encode()])
def test_names_in_error_messages_are_as_harmless(name: bytes, tmp_path: Path) -> None:
    for ran in (
        scan(name, cwd=tmp_path),
        run("hash", name, cwd=tmp_path),
        run("list", "inspect", name, cwd=tmp_path),
    ):
        one_line(ran, "no")
        harmless(ran.said)


def test_the_name_of_a_list_is_as_harmless(tmp_path: Path) -> None:
    known = tmp_path / "kn\x1b[31mown\n[red]\x07.csv"
    known.write_text(
        f"pdq,id\n{'0123456789abcdef00112233445566778899aabbccddeeff1f2e3d4c5b6a7988'},one\n"
    )
    harmless(scan(IMAGES / "flat", known=known).said)
    shown = run("list", "inspect", known)
    harmless(shown.out.decode())
    assert "[red]" in shown.out.decode()


def test_what_is_no_file_is_accounted_for(tmp_path: Path) -> None:
    photos, report = tmp_path / "photos", tmp_path / "report.json"
    (photos / "folder").mkdir(parents=True)
    (photos / "folder" / "picture.jpg").write_bytes(PICTURE)
    (photos / "empty-folder").mkdir()
    (photos / "link.jpg").symlink_to("folder/picture.jpg")
    (photos / "dangling.jpg").symlink_to("nowhere.jpg")
    (photos / "self.jpg").symlink_to("self.jpg")
    (photos / "folder" / "loop").symlink_to("..")
    os.mkfifo(photos / "pipe.jpg")
    (photos / "null.jpg").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(photos / "socket.jpg"))
        ran = scan(photos, "--report", report)
    assert ran.code == 0
    assert [record["item"]["key"] for record in ran.lines] == ["folder/picture.jpg", "link.jpg"]
    found = json.loads(report.read_text())
    assert found["listed"] == sum(found["outcomes"].values()) == 8
    reasons = {line["item"]: line["reason"] for line in found["not_searched"]}
    assert set(reasons) == {
        "dangling.jpg", "self.jpg", "folder/loop", "pipe.jpg", "null.jpg", "socket.jpg",
    }  # fmt: skip
    assert all(reasons.values())


def test_a_pipe_is_no_picture_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (line,) = run("hash", tmp_path / "pipe").lines
    assert line["outcome"] == "unsupported"
    assert scan(tmp_path / "pipe").code == 0


def test_a_byte_and_the_same_written_out_are_two_pictures(tmp_path: Path) -> None:
    names = [b"caf\xe9.jpg", rb"caf\xe9.jpg", "café.jpg".encode()]
    (tmp_path / "photos").mkdir()
    for name in names:
        (tmp_path / "photos" / os.fsdecode(name)).write_bytes(PICTURE)
        os.utime(tmp_path / "photos" / os.fsdecode(name), (1, 1))
    ran = scan(tmp_path / "photos")
    found = {record["item"]["key"]: record["record_id"] for record in ran.lines}
    assert set(found) == {r"caf\xe9.jpg", r"caf\\xe9.jpg", "café.jpg"}
    assert len(set(found.values())) == 3


def test_what_an_archive_names_is_matched_or_counted(tmp_path: Path) -> None:
    photos, report = tmp_path / "photos", tmp_path / "report.json"
    for user in ("1", "2"):
        (photos / user).mkdir(parents=True)
        (photos / user / "a.json").write_text("{}")
        (photos / user / "a.txt").write_text("a caption")
    (photos / "1" / "a.jpg").write_bytes(PICTURE)
    os.link(photos / "1" / "a.jpg", photos / "2" / "a.jpg")
    (photos / "2" / "b.txt").write_bytes(PICTURE)
    subprocess.run(
        ["tar", "--sort=name", "-cf", "a.tar", "-C", photos, "1", "2"], check=True, cwd=tmp_path
    )
    archive = (tmp_path / "a.tar").read_bytes()
    (tmp_path / "a.tar").write_bytes(archive * 2 + b"something else")
    ran = scan(f"tar://{tmp_path}/a.tar", "--report", report)
    assert [record["item"]["key"] for record in ran.lines] == [
        "1/a.jpg", "2/a.jpg", "2/b.txt", "1/a.jpg#2", "2/a.jpg#2", "2/b.txt#2",
    ]  # fmt: skip
    assert ran.code == 0
    assert "passed over: 4 folders, 8 side files\n" in ran.said
    assert f"{tmp_path}/a.tar: what follows its end is no tar archive, and not read\n" in ran.said
    found = json.loads(report.read_text())
    assert found["passed_over"] == {"folders": 4, "side files": 8}
    assert found["listed"] == sum(found["outcomes"].values()) == 6


def test_a_table_without_keys_is_told_and_its_typed_keys_are_named(tmp_path: Path) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    key = uuid.UUID(int=7)
    columns = {"id": pa.array([key.bytes], pa.binary(16)), "photo": [b"no picture"]}
    parquet.write_table(pa.table(columns), tmp_path / "rows.parquet")
    place = f"parquet://{tmp_path}/rows.parquet?image=photo"
    unnamed = scan(place)
    assert "hashmatch: " in unnamed.said
    assert "Say which does, as ?key=COLUMN; there are id" in unnamed.said
    assert "row-1: unsupported" in unnamed.said
    named = scan(f"{place}&key=id")
    assert "?key=COLUMN" not in named.said
    assert f"{key}: unsupported" in named.said
