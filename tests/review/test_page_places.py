"""Whatever a record says, the page opens what lies below the places that its operator named."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from hashmatch.review.web.places import below, is_key_below, server_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("photos/in", "photos-too", "secret"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("photos/a.tar", "photos/list.txt", "secret/a.tar", "secret/list.txt"):
        (tmp_path / name).touch()
    os.symlink(tmp_path / "secret", tmp_path / "photos" / "link")
    os.symlink(tmp_path / "photos", tmp_path / "other-name")
    return tmp_path


@pytest.mark.parametrize(
    "source",
    [
        "photos", "photos/", "photos/in", "photos/in/../in", "other-name/in", "tar://photos/a.tar",
        "tar://other-name/a.tar", "manifest://photos/list.txt",
        "jsonl://photos/list.txt?base=photos/in", "manifest://photos/list.txt?key=id",
    ],
)  # fmt: skip
def test_what_lies_below_a_folder_is_opened_by_its_real_path(folder: Path, source: str) -> None:
    scheme, separator, rest = source.partition("://")
    absolute = f"{scheme}://{folder}/{rest}" if separator else f"{folder}/{source}"
    opened = below(absolute.replace("base=", f"base={folder}/"), [str(folder / "photos")])
    assert opened
    assert os.path.realpath(folder / "photos") in opened
    assert "other-name" not in opened
    assert ".." not in opened


@pytest.mark.parametrize(
    "source",
    [
        "", "photos-too", "secret", "photos/../secret", "photos/link", "photos/link/x",
        "tar://secret/a.tar", "tar://photos/link/a.tar", "tar://photos/../secret/a.tar",
        "manifest://photos/list.txt?base=secret", "manifest://photos/list.txt?base=photos/link",
        "manifest://photos/list.txt?base=photos&base=secret",
        "manifest://photos/list.txt?base=http://127.0.0.1",
        "manifest://photos/list.txt?%62ase=secret", "zip://secret/a.tar", "file://photos/in",
        "FILE://photos/in", "TAR://photos/a.tar", "PHOTOS/in",
        "tar://photos/a.tar/../../secret/a.tar",
    ],
)  # fmt: skip
def test_nothing_else_on_this_machine_is_opened(folder: Path, source: str) -> None:
    scheme, separator, rest = source.partition("://")
    absolute = f"{scheme}://{folder}/{rest}" if separator else f"{folder}/{source}"
    absolute = absolute.replace("base=s", f"base={folder}/s").replace("ase=p", f"ase={folder}/p")
    assert below(absolute, [str(folder / "photos")]) == ""
    assert below(absolute, []) == ""


@pytest.mark.parametrize(
    "source",
    [
        "tar://photos/in/%2e%2e/%2e%2e/secret/a.tar", "photos/in/%2e%2e/%2e%2e/secret",
        "photos/in\\..\\..\\secret", "zip://photos/in!/../a.zip", "photos/in/..%2f..%2fsecret",
    ],
)  # fmt: skip
def test_what_only_looks_like_a_step_up_is_a_name_below(folder: Path, source: str) -> None:
    scheme, separator, rest = source.partition("://")
    absolute = f"{scheme}://{folder}/{rest}" if separator else f"{folder}/{source}"
    opened = below(absolute, [str(folder / "photos")]).rpartition("://")[2]
    assert opened == os.path.realpath(opened)
    assert opened.startswith(f"{os.path.realpath(folder)}/photos/")


@pytest.mark.parametrize("scheme", ["manifest", "jsonl"])
def test_a_list_alone_opens_nothing_beside_it(folder: Path, scheme: str) -> None:
    """Without a base it leads to all that lies in its folder, and a record may name any of it."""
    path = folder / "photos" / "list.txt"
    assert below(f"{scheme}://{path}", [str(path)]) == ""
    assert below(f"{scheme}://{path}?base={folder}/photos/in", [str(path)]) == ""
    inside = [str(path), str(folder / "photos" / "in")]
    assert below(f"{scheme}://{path}?base={folder}/photos/in", inside)
    assert below(f"{scheme}://{path}", [f"{scheme}://{path}"]) == f"{scheme}://{path}"
    url = "https://h.example/in/list.txt"
    assert below(f"{url}?key=id", [url]) == ""
    assert below(url, [url]) == url


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("s3://b/pro", "s3://b/pro/"), ("s3://b/pro/x", "s3://b/pro"), ("gs://b/x", "gs://b"),
        ("https://h.example/in/list.txt", "https://h.example/in"),
        ("https://H.example:443/in/list.txt?key=id", "https://h.example/in/"),
        ("https://h.example/list.txt?base=s3://b/x", "https://h.example/"),
        ("plugin://x", "plugin://x"),
    ],
)  # fmt: skip
def test_what_lies_below_a_place_on_the_network_is_opened(source: str, place: str) -> None:
    opened = below(source, [place, "s3://b/x"])
    assert opened.replace("%3A%2F%2F", "://").replace("%2F", "/") == source


@pytest.mark.parametrize(
    ("source", "place"),
    [
        ("s3://b/profiles", "s3://b/pro"), ("s3://other/pro", "s3://b/pro"),
        ("gs://b/pro", "s3://b/pro"), ("s3://b/pro/../x", "s3://b/pro"), ("s3://b", "s3://b/pro"),
        ("s3://b@evil/pro", "s3://b/pro"), ("az://b/./x", "az://b"),
        ("http://h.example/in/x", "https://h.example/in"),
        ("https://h.example:8443/in/x", "https://h.example/in"),
        ("https://h.example.evil/in/x", "https://h.example/in"),
        ("https://h.example@evil/in/x", "https://h.example/in"),
        ("https://h.example/in/../x", "https://h.example/in"),
        ("https://h.example/in/%2e%2e/x", "https://h.example/in"),
        ("https://h.example/in/%2E./x", "https://h.example/in"),
        ("https://h.example/in/..%2fx", "https://h.example/in"),
        ("https://h.example/in/..\\x", "https://h.example/in"),
        ("https://h.example/in/%5c..%5cx", "https://h.example/in"),
        ("https://h.example/inside", "https://h.example/in"),
        ("https://h.example/in/x#/../y", "https://h.example/in"),
        ("https://h.example/in/x?base=https://evil.example", "https://h.example/in"),
        ("https://h.example/in/x?base=/etc", "https://h.example/in"),
        ("https://169.254.169.254/in/x", "https://h.example/in"), ("plugin://x/y", "plugin://x"),
        ("file:///etc/hostname", "https://h.example"), ("memory://", "s3://b"),
        ("/etc/hostname", "s3://b"), ("tar:///etc/a.tar", "s3://b"),
    ],
)  # fmt: skip
def test_nothing_else_on_the_network_is_opened(source: str, place: str) -> None:
    assert below(source, [place]) == ""


@pytest.mark.parametrize(
    ("key", "folder", "inside"),
    [
        ("pro/a.png", "pro", True), ("pro", "pro/", True), ("a.png", "", True),
        ("profiles/a.png", "pro", False), ("other/a.png", "pro", False), ("//", "pro", False),
        ("pro/../a.png", "pro", False), ("/pro/a.png", "pro", False),
    ],
)  # fmt: skip
def test_keys_of_records_lie_in_the_folder_of_their_bucket(
    key: str, folder: str, inside: bool
) -> None:
    assert is_key_below(key, folder) is inside


@pytest.mark.parametrize(
    ("sources", "server"),
    [
        (("s3://photos", "s3://photos/2026/", "jsonl:///a?base=s3://photos/x"), "s3://photos"),
        (
            ("https://cdn.example:8443/a/b?c=d", "https://cdn.example:8443"),
            "https://cdn.example:8443",
        ),
        (("/mnt/in", "/mnt/in/", "/mnt/in/../in/a", "zip:///mnt/in/a.zip?x=y"), "/mnt/in"),
        (("/mnt/in/deep/er", "tar:///mnt/in/deep/a.tar"), "/mnt/in/deep"),
        (("/mnt/inner",), "/mnt/inner"),
        (("",), "."),
    ],
)
def test_what_hangs_as_one_is_one(sources: tuple[str, ...], server: str) -> None:
    places = ["/mnt/in", "/mnt/in/deep/", "s3://photos/2026"]
    assert {server_of(source, places).rstrip("/") for source in sources} == {server}
