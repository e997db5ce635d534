"""`hashmatch scan --state`: only the same scan goes on where it stopped, whatever the words are."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from cli_tools import DEMO, IMAGES, Ran, run, scan
from hashmatch.scan.hash_archive import HashArchive
from hashmatch.scan.shard import Shard
from hashmatch.testing import random_hashes

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = IMAGES / "plain"
PICTURE = PLAIN / "landscape-dusk.jpg"
OTHER = PLAIN / "tiles.png"
PDQ = hm.HashSpec("pdq", 256)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """A folder of two pictures, of which the demo list knows one."""
    (tmp_path / "photos").mkdir()
    for path in (PICTURE, PLAIN / "texture-marble.jpg"):
        shutil.copy(path, tmp_path / "photos")
    return tmp_path / "photos"


def scanned(tmp_path: Path, *args: str | Path, source: Any = "photos", **rest: Any) -> Ran:
    where = "--state", tmp_path / "state", "--in-process"
    ran = scan(source, *where, *args, **{"cwd": tmp_path, **rest})
    assert ran.code == 0, ran.said
    return ran


def new(ran: Ran) -> bool:
    """Whether a scan went on from nothing."""
    return "images are done" not in ran.said


def keys(ran: Ran) -> list[str]:
    return [record["item"]["key"] for record in ran.lines]


def test_the_same_command_is_the_same_scan(tmp_path: Path, photos: Path) -> None:
    first = scanned(tmp_path)
    assert new(first)
    for source in ("photos", "./photos", photos, "photos/../photos/"):
        again = scanned(tmp_path, source=source)
        assert not new(again)
        assert again.out == first.out


def test_one_word_in_two_working_directories_is_two_folders(tmp_path: Path, photos: Path) -> None:
    scanned(tmp_path)
    (tmp_path / "elsewhere" / "photos").mkdir(parents=True)
    shutil.copy(OTHER, tmp_path / "elsewhere" / "photos")
    other = scanned(tmp_path, cwd=tmp_path / "elsewhere")
    assert (new(other), keys(other)) == (True, ["tiles.png"])


def test_a_column_that_was_put_right_is_another_list(tmp_path: Path, photos: Path) -> None:
    wrong, right = random_hashes(PDQ, 1, seed=1).to_hex()[0], hm.hash_image(PICTURE).hex
    known = tmp_path / "known.csv"
    known.write_text(f"old,new,id\n{wrong},{right},a\n")
    first = scanned(tmp_path, "--column", "pdq=old", known=known)
    assert keys(first) == []
    again = scanned(tmp_path, "--column", "pdq=new", known=known)
    assert (new(again), keys(again)) == (True, ["landscape-dusk.jpg"])


def test_rows_that_are_passed_over_count_by_what_is_left(tmp_path: Path, photos: Path) -> None:
    """Whatever an option does to the reading of a list, its entries tell."""
    right = hm.hash_image(PICTURE).hex
    known = tmp_path / "known.csv"
    known.write_text(f"pdq,id,max\n{right},a,31\n")
    assert keys(scanned(tmp_path, known=known)) == ["landscape-dusk.jpg"]
    columns = "--column", "pdq=pdq", "--column", "max_distance=max", "--column", "id=id"
    again = scanned(tmp_path, *columns, known=known)
    assert new(again)
    disabled = {"list": "known", "entry": "a", "reason": "a meme", "by": "ana", "at": "2026"}
    (tmp_path / "disabled").write_text(json.dumps(disabled))
    less = scanned(tmp_path, "--disabled", "disabled", known=known)
    assert (new(less), keys(less)) == (True, [])
    assert keys(scanned(tmp_path, known=known)) == ["landscape-dusk.jpg"]


def test_hashes_are_kept_though_the_scan_was_done_without(tmp_path: Path, photos: Path) -> None:
    scanned(tmp_path)
    keep = "--keep-hashes", "kept", "--keep-for", "1d"
    assert new(scanned(tmp_path, *keep))
    (file,) = HashArchive(tmp_path / "kept").files()
    assert len(file) == 2
    assert not new(scanned(tmp_path, *keep))
    assert new(scanned(tmp_path, *keep[:3], "2d"))
    assert new(scanned(tmp_path, "--keep-hashes", "other", "--keep-for", "1d"))


def test_a_manifest_that_was_edited_is_another(tmp_path: Path, photos: Path) -> None:
    """Positions are numbers of lines: the third line of another list is another item."""
    manifest = tmp_path / "keys.txt"
    names = sorted(path.name for path in photos.iterdir())
    manifest.write_text("\n".join(names))
    place = "manifest://keys.txt?base=photos"
    first = scanned(tmp_path, source=place)
    assert not new(scanned(tmp_path, source=place))
    manifest.write_text("\n".join(["gone.jpg", "gone.png", *names]))
    again = scanned(tmp_path, source=place)
    assert new(again)
    assert keys(again) == keys(first) == ["landscape-dusk.jpg"]


@pytest.mark.parametrize(
    "rules",
    [
        ["--min-sources", "2"], ["--breaker", "9"], ["--variants", "orientations"],
        ["--min-quality", "40"], ["--include-hash"], ["--shard", "0/1"], ["-d", "30"],
        ["--benign", str(DEMO)],
    ],
)  # fmt: skip
def test_other_rules_are_another_scan(tmp_path: Path, photos: Path, rules: list[str]) -> None:
    scanned(tmp_path)
    assert new(scanned(tmp_path, *rules))
    assert not new(scanned(tmp_path, *rules))
    assert not new(scanned(tmp_path, "--workers", "1", "--readers", "3", "--limit-rate", "9M"))


def test_another_reference_key_names_entries_otherwise(tmp_path: Path, photos: Path) -> None:
    known = tmp_path / "bare.txt"
    known.write_text(hm.hash_image(PICTURE).hex)
    ran = [
        scanned(tmp_path, known=known, HASHMATCH_REFERENCE_KEY=key * 20) for key in ("a", "b", "a")
    ]
    assert [new(one) for one in ran] == [True, True, False]
    names = [line["matches"][0]["entry"] for one in ran for line in one.lines]
    assert names[0] == names[2] != names[1]
    assert b"aaaa" not in (tmp_path / "state" / "checkpoint.db").read_bytes()


def test_two_states_and_one_archive_keep_all(tmp_path: Path, photos: Path) -> None:
    """As of two machines whose folders have the same name."""
    args = "--keep-hashes", tmp_path / "kept", "--keep-for", "1d"
    for state in ("one", "two"):
        assert scan(photos, "--state", tmp_path / state, *args).code == 0
        if state == "one":  # the other machine has other pictures there
            shutil.copy(OTHER, photos / "more.png")
            (photos / "landscape-dusk.jpg").unlink()
    files = HashArchive(tmp_path / "kept").files()
    kept = {file[number][0].key for file in files for number in range(len(file))}
    assert {"landscape-dusk.jpg", "more.png"} <= kept


@pytest.mark.parametrize("source", [lambda one: one, lambda one: Shard(one, 0, 2)])
def test_a_source_that_does_not_say_which_it_is_keeps_no_state(tmp_path: Path, source: Any) -> None:
    class Nameless:
        def items(self, after: str | None = None) -> Any: ...
        def read(self, item: hm.ImageItem) -> bytes: ...  # type: ignore[empty-body]
        def count(self) -> int | None: ...
        def close(self) -> None: ...

    matcher, nameless = hm.Matcher(hm.read_list(DEMO)), Nameless()
    with (
        hm.Checkpoint(tmp_path) as checkpoint,
        pytest.raises(
            hm.UsageError,
            match="cannot resume a scan of a Nameless: it does not say which source it is",
        ),
    ):
        hm.scan_source(source(nameless), matcher, checkpoint=checkpoint)


def test_status_names_what_is_scanned_and_no_secret(tmp_path: Path, photos: Path) -> None:
    scanned(tmp_path, HASHMATCH_REFERENCE_KEY="a secret of the platform")
    (one,) = run("scan", "status", tmp_path / "state", "--json").lines
    assert one["about"]["source"] == f"file://{photos} profile_photo"
    assert (one["listed"], one["outcomes"]["match"]) == (2, 1)
    assert "secret" not in json.dumps(one)
