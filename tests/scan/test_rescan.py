"""A rescan gives what a scan would give now, without what the kept scans gave; and no image."""

from __future__ import annotations

import io
import json
import random
import shutil
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from msgspec import UNSET
from PIL import Image

import hashmatch as hm
from cli_tools import IMAGES, run, scan
from hashmatch.lists.export import write_list
from hashmatch.testing import MemorySource, flipped, hash_list, picture, random_hashes

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

PLAIN = IMAGES / "plain"
PDQ, MD5 = hm.HashSpec("pdq", 256), hm.HashSpec("md5", 128)
NOISE = random_hashes(PDQ, 60, seed=9).to_hex()
START = datetime(2026, 1, 1, tzinfo=UTC)
MONTH = timedelta(days=30)
SURFACE = hm.Surface.PROFILE_PHOTO


def rows(path: Path, hashes: dict[str, str]) -> Path:
    path.write_text("".join(f"{value},{name}\n" for name, value in hashes.items()))
    return path


def hash_of(name: str) -> str:
    return hm.hash_image(PLAIN / name).hex


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    """A store of noise and the hash of one picture."""
    first = {f"noise-{n}": value for n, value in enumerate(NOISE)}
    first["known"] = hash_of("tiles.png")
    store = tmp_path / "lists"
    hm.ListStore(store).import_files([str(rows(tmp_path / "first.txt", first))])
    return store


def records(
    photos: Path | MemorySource, matcher: hm.Matcher, archive: hm.HashArchive | None = None
) -> list[hm.ReviewRecord]:
    surface = None if isinstance(photos, MemorySource) else "profile_photo"
    found = hm.scan_source(photos, matcher, surface=surface, archive=archive)
    return [one for one in found if isinstance(one, hm.ReviewRecord)]


def archived(folder: Path, matcher: hm.Matcher, *names: str) -> None:
    """Keep the hashes of some pictures, as of a scan with `matcher`."""
    images = {name: (PLAIN / name).read_bytes() for name in names}
    records(MemorySource(images, SURFACE), matcher, hm.HashArchive(folder, MONTH))


def without_time(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**line, "created_at": ""} for line in lines]


def test_only_what_was_added_is_matched_and_as_a_scan_would(tmp_path: Path, lists: Path) -> None:
    photos = tmp_path / "photos"
    shutil.copytree(PLAIN, photos)
    keep = "--keep-hashes", tmp_path / "kept", "--keep-for", "30d", "--in-process"
    before = scan(photos, *keep, known=lists).lines
    assert [record["item"]["key"] for record in before] == ["tiles.png"]
    new = sorted(path.name for path in PLAIN.iterdir() if path.name != "tiles.png")[:2]
    rows(tmp_path / "second.txt", {f"new-{name}": hash_of(name) for name in new})
    assert run("list", "update", lists, tmp_path / "second.txt").code == 0
    expected = scan(photos, "--in-process", known=lists).lines
    shutil.rmtree(photos)  # no image is read again
    found = run("rescan", tmp_path / "kept", "--list", lists)
    assert (found.code, "14 pictures kept, 2 records for review" in found.said) == (0, True)
    assert without_time(found.lines) == without_time(
        one for one in expected if one["item"]["key"] in new
    )
    again = run("rescan", tmp_path / "kept", "--list", lists, "--since-version", "2")
    assert (again.code, again.lines) == (0, [])
    whole = run("rescan", tmp_path / "kept", "--list", lists, "--since-version", "1")
    assert without_time(whole.lines) == without_time(found.lines)


def test_rules_are_those_of_a_scan(tmp_path: Path, lists: Path) -> None:
    """Variants and quality as the pictures were hashed, all else as it is given."""
    hashing = "--variants", "orientations", "--min-quality", "10"
    rules = "--breaker", "1", "--min-sources", "2", "-d", "40", "--benign", tmp_path / "benign.txt"
    rows(tmp_path / "benign.txt", {"b": NOISE[0]})
    keep = "--keep-hashes", tmp_path / "kept", "--keep-for", "30d", "--in-process"
    assert scan(PLAIN, *hashing, *keep, "--disabled", disabled(tmp_path), known=lists).lines == []
    expected = scan(PLAIN, *hashing, *rules, "--in-process", known=lists).lines
    found = run("rescan", tmp_path / "kept", "--list", lists, *rules)
    assert without_time(found.lines) == without_time(expected)
    assert [line["status"] for line in found.lines] == ["suppressed"]


def test_an_entry_that_floods_the_queue_raises_an_alarm(tmp_path: Path, lists: Path) -> None:
    nothing = hm.Matcher(hash_list(random_hashes(PDQ, 1, seed=1), name="nothing"))
    images = dict.fromkeys(("a", "b", "c"), (PLAIN / "tiles.png").read_bytes())
    records(MemorySource(images, SURFACE), nothing, hm.HashArchive(tmp_path / "kept", MONTH))
    found = run("rescan", tmp_path / "kept", "--list", lists, "--breaker", "2", "-q")
    statuses = [line["status"] for line in found.lines]
    assert statuses == ["pending_review", "pending_review", "suppressed"]
    (alarm,) = found.said.splitlines()
    assert alarm.startswith("alarm: entry known of list lists, version 1, has 2 records")


def disabled(folder: Path) -> Path:
    line = {"list": "lists", "entry": "known", "reason": "a meme", "by": "ana"}
    (folder / "disabled").write_text(json.dumps(line))
    return folder / "disabled"


def test_since_says_from_when(tmp_path: Path, lists: Path) -> None:
    names = sorted(path.name for path in PLAIN.iterdir())
    other = next(name for name in names if name != "tiles.png")
    nothing = hash_list(random_hashes(PDQ, 1, seed=1), name="nothing")
    archived(tmp_path / "kept", hm.Matcher(nothing), *names)
    store = hm.ListStore(lists)
    store.update_files([str(rows(tmp_path / "second.txt", {"later": hash_of(other)}))])

    def entries(*args: str) -> set[str]:
        found = run("rescan", tmp_path / "kept", "--list", lists, *args)
        assert found.code == 0, found.said
        return {match["entry"] for line in found.lines for match in line["matches"]}

    assert entries() == {"known", "later"}
    assert entries("--since-version", "1") == {"later"}
    assert entries("--since-version", "2") == set()


def test_a_kind_that_a_version_had_not_is_all_new(tmp_path: Path, lists: Path) -> None:
    digest = hm.hash_image(PLAIN / "tiles.png", "md5").hex
    (tmp_path / "more.jsonl").write_text(
        json.dumps({"hash": digest, "algorithm": "md5", "id": "file"}) + "\n"
    )
    store = hm.ListStore(lists)
    store.update_files([str(tmp_path / "more.jsonl")])
    matcher = hm.Matcher(*store.open("pdq"), benign=hash_list(random_hashes(MD5, 1, seed=1)))
    archived(tmp_path / "kept", matcher, "tiles.png")
    both = "--list", lists, "--list", f"md5={lists}"
    ran = run("rescan", tmp_path / "kept", *both, "--since-version", "1")
    (line,) = ran.lines
    assert {match["entry"] for match in line["matches"]} == {"known", "file"}


def test_pictures_without_a_hash_that_is_needed_are_counted(tmp_path: Path, lists: Path) -> None:
    archived(tmp_path / "kept", hm.Matcher(*hm.ListStore(lists).open()), "tiles.png")
    digest = hm.hash_image(PLAIN / "tiles.png", "md5").hex
    (tmp_path / "files.csv").write_text(f"md5\n{digest}\n")
    ran = run("rescan", tmp_path / "kept", "--list", f"md5={tmp_path / 'files.csv'}")
    assert (ran.code, ran.lines) == (0, [])
    assert "warning: 1 pictures were not looked up: no md5 hashes were kept" in ran.said
    assert "1 pictures kept, 0 of them looked up, 0 records for review" in ran.said


def test_entries_without_an_id_are_named_as_in_a_scan(tmp_path: Path, lists: Path) -> None:
    store = hm.ListStore(lists)
    archived(tmp_path / "kept", hm.Matcher(*store.open()), "tiles.png")
    (tmp_path / "second.txt").write_text(hash_of("tiles.png")[:-1] + "0\n")
    store.update_files([str(tmp_path / "second.txt")])
    matcher = hm.Matcher(*store.open())
    scanned = matcher.check(
        PLAIN / "tiles.png", surface="profile_photo", item_id="tiles.png", version="1"
    )
    (record,) = hm.rescan_archive(tmp_path / "kept", partial(hm.Matcher, *store.open()))
    assert isinstance(scanned, hm.ReviewRecord)
    assert (record.record_id, record.matches) == (scanned.record_id, scanned.matches)
    assert any(match.entry.startswith("ref:") for match in record.matches)


def test_what_is_too_old_is_removed_and_not_matched(tmp_path: Path, lists: Path) -> None:
    kept = hm.HashArchive(tmp_path / "kept", timedelta(days=1), now=lambda: START)
    nothing = hash_list(random_hashes(PDQ, 1, seed=1))
    records(PLAIN, hm.Matcher(nothing), kept)
    found = run("rescan", tmp_path / "kept", "--list", lists)
    assert (found.code, found.lines) == (0, [])
    assert "1 files were too old, and removed" in found.said
    assert list((tmp_path / "kept").iterdir()) == []


def test_what_is_written_reads_back(tmp_path: Path, lists: Path) -> None:
    (known,) = hm.ListStore(lists).open()
    for form in ("jsonl", "pdq-text"):
        count = write_list(known, tmp_path / form, form, reveal_hashes=True)
        again = hm.read_list(tmp_path / form)
        assert (count, again.hashes) == (61, known.hashes)
        assert again.entries == known.entries


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["nothing", "--list", "lists"], "no folder of kept hashes"),
        (["kept", "--list", "nothing"], "nothing"),
        (["kept", "--list", "lists", "--since-version", "9"], "version 9 of lists: it has 1"),
        (["kept", "--list", "first.txt", "--since-version", "1"], "not a list store"),
        (["kept", "--list", "lists", "-a", "md5"], "no md5 hashes"),
        (["kept", "--list", "lists", "-o", "kept/x.jsonl"], "inside of"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, lists: Path, args: list[str], word: str) -> None:
    (tmp_path / "kept").mkdir(0o700)
    ran = run("rescan", *args, cwd=tmp_path)
    assert (ran.code, ran.said.count("\n")) == (2, 1)
    assert word in ran.said


# The property: for whatever became of lists and rules, rescan is a fresh scan less what was given.


def drawn(number: int) -> bytes:
    image = picture(number) if number else picture(1)[:1].repeat(128, 0) * 0 + 90  # one of it flat
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


PICTURES = {f"{number}.png": drawn(number) for number in range(6)}
PICTURES |= {f"{n}-again-{copy}.png": PICTURES[f"{n}.png"] for n in (1, 2) for copy in range(3)}
HASHES = {name: hm.hash_image(data).hashes for name, data in PICTURES.items()}
DIGESTS = {name: hm.hash_image(data, "md5").hex for name, data in PICTURES.items()}


def told(record: hm.ReviewRecord) -> tuple[object, ...]:
    """All that a record tells a reviewer, as `record_digest` is documented."""
    by = record.suppressed_by
    why = None
    if by is not UNSET:
        assert isinstance(by, hm.SuppressedBy)
        why = (by.reason, by.list, by.entry, by.distance, by.sources, by.min_sources)
    matches = frozenset(
        (m.list, m.entry, m.algorithm, m.distance, m.labels, m.sources, m.variant, m.frame)
        for m in record.matches
    )
    made = record.hash.algorithm, record.hash.quality, record.hash.variant
    return record.item, made, matches, record.match_count, record.status, why


class World:
    """A list of two kinds of hash in a store, and the rules of a platform, which both change."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.chance = chance
        self.folder = folder
        self.store = hm.ListStore(folder / "store")
        self.said: dict[str, dict[str, Any]] = {}
        self.here: set[str] = set()
        self.kinds = chance.choice([["pdq"], ["pdq", "md5"]])
        self.has_benign = chance.random() < 0.5
        self.variants = chance.choice(["none", "orientations"])
        for number in range(14):
            self.said[f"e{number}"] = self._entry(f"e{number}")
        # Of each kind one that stays, so that there is a list of it in every version.
        noise = random_hashes(MD5, 1, seed=3).to_hex()[0]
        stays = [{"id": "stays", "hash": NOISE[0], "algorithm": "pdq"},
                 {"id": "stays too", "hash": noise, "algorithm": "md5"}]  # fmt: skip
        self.here = {name for name in self.said if chance.random() < 0.6}
        self._publish([*stays, *(self.said[name] for name in sorted(self.here))])
        self._rules()

    def _entry(self, name: str) -> dict[str, Any]:
        chance = self.chance
        picture_of = chance.choice(list(PICTURES))
        if chance.random() < 0.25:
            return {"id": name, "hash": DIGESTS[picture_of], "algorithm": "md5"} | self._extras()
        bits = chance.choice([0, 2, 8, 19, 20, 21, 30, 31, 32, 35])
        near = flipped(HASHES[picture_of], bits, seed=chance.randrange(99)).to_hex()[0]
        return {"id": name, "hash": near, "algorithm": "pdq"} | self._extras()

    def _extras(self) -> dict[str, Any]:
        extras: dict[str, Any] = {"sources": self.chance.sample(["a", "b", "c"], 1)}
        if self.chance.random() < 0.3:
            extras["labels"] = [self.chance.choice(["A1", "A2"])]
        return extras

    def _publish(self, lines: list[dict[str, Any]]) -> None:
        page = self.folder / "page.jsonl"
        page.write_text("".join(json.dumps(line) + "\n" for line in lines))
        limits = {"pdq": self.chance.choice([20, 31, 33])} if self.chance.random() < 0.4 else {}
        change = hm.Change(accept=["size-change"], limits=limits)
        act = self.store.update_files if self.store_is_there() else self.store.import_files
        act([str(page)], change)

    def store_is_there(self) -> bool:
        return (self.folder / "store").exists()

    def _rules(self) -> None:
        chance = self.chance
        self.min_sources = chance.choice([1, 1, 2])
        self.breaker = chance.choice([None, None, 1, 2])
        self.max_distance = chance.choice([None, None, {"pdq": 20}, {"pdq": 35}])
        self.left_out = frozenset(chance.sample(sorted(self.said), chance.choice([0, 0, 3])))
        self.benign = chance.sample(sorted(PICTURES), chance.choice([1, 2]))

    def change(self) -> None:
        """Add, withdraw and add again; change what is said of entries, of the list, and rules."""
        chance, lines = self.chance, []
        for name, line in self.said.items():
            if name in self.here:
                what = chance.choice(["stays", "stays", "withdrawn", "said otherwise"])
                if what == "withdrawn":
                    self.here.remove(name)
                    lines.append({"id": name, "status": "withdrawn"})
                elif what == "said otherwise":
                    line.update(self._extras())
                    limit = chance.choice([5, 20, 35]) if line["algorithm"] == "pdq" else 0
                    lines.append(line | {"max_distance": limit})
            elif chance.random() < 0.5:
                self.here.add(name)
                lines.append(line)
        self._publish(lines or [self.said["e0"]])
        if chance.random() < 0.7:
            self._rules()

    def make(self, version: int | None = None) -> Any:
        """Return what makes a matcher of these rules, of some version of the list."""
        digests = hm.HashBatch.from_hex(MD5, [DIGESTS[name] for name in self.benign])
        known = [
            each.without(each.named(self.left_out))
            for kind in self.kinds
            for each in self.store.open(kind, version)
        ]
        rules: dict[str, Any] = {
            "min_sources": self.min_sources, "max_distance": self.max_distance,
            "benign": hash_list(digests, name="benign") if self.has_benign else (),
        }  # fmt: skip

        def make(**how: Any) -> hm.Matcher:
            breaker = hm.Breaker(self.breaker, window=None) if self.breaker else None
            return hm.Matcher(*known, breaker=breaker, now=lambda: START, **rules, **how)

        return make

    def scan(self, archive: hm.HashArchive | None = None, version: int | None = None) -> Any:
        matcher = self.make(version)(variants=self.variants)
        return records(MemorySource(PICTURES, SURFACE), matcher, archive)


@pytest.mark.parametrize("seed", range(24))
def test_a_rescan_is_a_fresh_scan_less_what_was_given(tmp_path: Path, seed: int) -> None:
    world = World(tmp_path, random.Random(seed))
    archive = hm.HashArchive(tmp_path / "kept", MONTH)
    given = {told(record) for record in world.scan(archive)}
    if seed % 2:  # two scans of one folder, by two versions of the list
        world.change()
        given |= {told(record) for record in world.scan(archive)}
    for _ in range(2):
        world.change()
        fresh = world.scan()
        found = list(hm.rescan_archive(archive, world.make()))
        assert found == [record for record in fresh if told(record) not in given]
        earlier = {told(record) for record in world.scan(version=1)}
        since = list(hm.rescan_archive(archive, world.make(), before=world.make(1)))
        assert since == [record for record in fresh if told(record) not in earlier]


def test_a_folder_that_holds_no_kept_hashes_is_no_rescan(tmp_path: Path, lists: Path) -> None:
    folder = tmp_path / "pictures"
    folder.mkdir(0o700)
    for path in PLAIN.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
        (folder / path.name).chmod(0o600)
    ran = run("rescan", folder, "--list", lists, "--out", tmp_path / "out.jsonl")
    assert (ran.code, ran.said.count("\n")) == (2, 1)
    assert "no kept hashes are in it" in ran.said
    assert list(tmp_path.glob("*out*")) == []
