"""`hashmatch scan --keep-hashes`: only if asked for, and for how long."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
from cli_tools import DEMO, IMAGES, one_line, run, scan
from hashmatch.scan.hash_archive import HashArchive

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = IMAGES / "plain"


def test_a_scan_keeps_what_it_hashed(tmp_path: Path) -> None:
    folder = tmp_path / "kept"
    ran = scan(PLAIN, "--keep-hashes", folder, "--keep-for", "30d", "-q")
    assert (ran.code, ran.said) == (0, "")
    (path,) = folder.iterdir()
    (file,) = HashArchive(folder).files()
    kept = {}
    for number in range(len(file)):
        item, (image, *_) = file[number]
        assert isinstance(image, hm.HashedImage)
        kept[item.key] = image.hex
    assert set(kept) == {one.name for one in PLAIN.iterdir()}
    assert all(value == hm.hash_image(PLAIN / key).hex for key, value in kept.items())
    assert path.stat().st_mode & 0o777 == 0o600
    again = scan(PLAIN, "--keep-hashes", folder, "--keep-for", "1h", "-q")
    assert again.code == 0
    assert len(list(folder.iterdir())) == 2


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["--keep-hashes", "kept"], "--keep-for"),
        (["--keep-for", "30d"], "--keep-hashes"),
        (["--keep-hashes", "kept", "--keep-for", "30"], "as a duration"),
        (["--keep-hashes", "kept", "--keep-for", "0d"], "no time"),
        (["--keep-hashes", "kept", "--keep-for", "100000d"], "as a duration"),
        (["--keep-hashes", str(PLAIN / "kept"), "--keep-for", "1d"], "inside of"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path: Path, args: list[str], word: str) -> None:
    ran = run("scan", PLAIN, "--list", DEMO, "--surface", "profile_photo", *args, cwd=tmp_path)
    one_line(ran, word)
    assert list(tmp_path.iterdir()) == []
