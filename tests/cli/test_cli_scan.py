"""`hashmatch scan`: a record for each match, a summary for people, a report for machines."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

from cli_tools import DEMO, IMAGES, LISTS, Ran, one_line, run, scan

if TYPE_CHECKING:
    from pathlib import Path

GOLDEN = json.loads((LISTS.parent / "golden" / "lists.json").read_text())
GOLDEN_HASHES = json.loads((LISTS.parent / "golden" / "hashes.json").read_text())
PLANTED = [plant for plant in GOLDEN["planted"] if plant["list"] == "lists/demo-pdq.csv"]
PICTURES = sum(1 for path in IMAGES.rglob("*") if path.is_file())
PLAIN = IMAGES / "plain"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Ran, dict[str, Any]]:
    """A scan of all fixtures, and its report."""
    report = tmp_path_factory.mktemp("whole") / "report.json"
    ran = scan(IMAGES, "--report", report)
    return ran, json.loads(report.read_text())


def test_every_planted_match_within_the_distance_is_a_record(
    whole: tuple[Ran, dict[str, Any]],
) -> None:
    ran, _ = whole
    assert ran.code == 0
    found = {
        (record["item"]["key"], match["entry"], match["distance"])
        for record in ran.lines
        for match in record["matches"]
    }
    for plant in PLANTED:
        named = (plant["file"], plant["entry"], plant["distance"])
        assert (named in found) == (plant["distance"] <= 31), named


def test_records_say_what_a_reviewer_needs(whole: tuple[Ran, dict[str, Any]]) -> None:
    ran, _ = whole
    for record in ran.lines:
        is_chrome = all(match.get("mostly_chrome") for match in record["matches"])
        assert list(record) == [
            "schema", "record_id", "status", "created_at", "item", "hash", "matches", "match_count",
            *(["mostly_chrome"] if is_chrome else []),
        ]  # fmt: skip
        assert record["schema"] == "hashmatch.review/1"
        assert record["status"] == "pending_review"
        assert record["item"]["surface"] == "profile_photo"
        assert record["match_count"] == len(record["matches"]) > 0
        distances = [match["distance"] for match in record["matches"]]
        assert distances == sorted(distances)
        assert {match["list"] for match in record["matches"]} == {"demo-pdq"}
        assert "value" not in record["hash"]
    assert len({record["record_id"] for record in ran.lines}) == len(ran.lines)


def test_the_report_accounts_for_every_item(whole: tuple[Ran, dict[str, Any]]) -> None:
    ran, report = whole
    assert report["listed"] == sum(report["outcomes"].values()) == PICTURES
    assert report["records"] == report["outcomes"]["match"] == len(ran.lines)
    (known,) = report["lists"]
    assert (known["name"], known["entries"], known["rejected"]) == ("demo-pdq", 207, 0)
    assert report["seconds"] > 0
    searched = report["outcomes"]["match"] + report["outcomes"]["no_match"]
    assert len(report["not_searched"]) == PICTURES - searched
    assert all(problem["reason"] for problem in report["not_searched"])


def test_the_summary_has_the_same_numbers(whole: tuple[Ran, dict[str, Any]]) -> None:
    ran, report = whole
    lines = ran.said[ran.said.index("What became of the images") :].splitlines()
    rows = [line.split() for line in lines[2:]]
    table = {row[0]: int(row[1]) for row in rows if len(row) == 2}
    counted = {outcome: count for outcome, count in report["outcomes"].items() if count}
    assert table == counted | {"listed": report["listed"]}
    assert f"{report['records']} records for review" in ran.said


def test_a_second_scan_gives_the_same_records(whole: tuple[Ran, dict[str, Any]]) -> None:
    def stable(ran: Ran) -> list[dict[str, Any]]:
        return [record | {"created_at": ""} for record in ran.lines]

    again = scan(IMAGES, "-q")
    assert (again.code, again.err) == (0, b"")
    assert stable(again) == stable(whole[0])


@pytest.mark.parametrize("limit", [30, 32])
def test_max_distance_is_inclusive(limit: int) -> None:
    ran = scan(IMAGES, "--max-distance", str(limit), "-q")
    found = {match["entry"] for record in ran.lines for match in record["matches"]}
    for plant in PLANTED:
        assert (plant["entry"] in found) == (plant["distance"] <= limit), plant


def test_include_hash_adds_the_images_own_hash(whole: tuple[Ran, dict[str, Any]]) -> None:
    hashes = {line["item"]: line["hash"] for line in run("hash", PLAIN).lines}
    with_hash = scan(PLAIN, "--include-hash")
    assert with_hash.lines
    for record in with_hash.lines:
        assert record["hash"]["value"] == hashes[str(PLAIN / record["item"]["key"])]
    for text in hashes.values():
        assert text not in whole[0].out.decode() + whole[0].said


def test_several_lists_are_searched_and_reported_apart(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    text = LISTS / "demo-pdq.txt"
    ran = scan(PLAIN, "--list", text, "--list", LISTS / "mixed-types.csv", "--report", report)
    assert ran.code == 0
    lists = json.loads(report.read_text())["lists"]
    assert [known["name"] for known in lists] == ["demo-pdq", "demo-pdq", "mixed-types"]
    assert [known["entries"] for known in lists][::2] == [207, 5]


def test_byte_hashes_match_exact_copies(tmp_path: Path) -> None:
    picture = PLAIN / "tiles.png"
    (line,) = run("hash", picture, "--algorithm", "md5").lines
    known = tmp_path / "exact.csv"
    known.write_text(f"md5,id\n{line['hash'].upper()},the-tiles\n")
    (record,) = scan(PLAIN, "-a", "md5", known=known).lines
    assert record["item"]["key"] == "tiles.png"
    assert [match["entry"] for match in record["matches"]] == ["the-tiles"]


@pytest.mark.parametrize(("source", "code"), [(IMAGES / "damaged", 1), (IMAGES / "flat", 0)])
def test_strict_is_about_images_without_a_hash(source: Path, code: int) -> None:
    assert scan(source, "--strict", "-q").code == code


def test_an_entry_without_an_id_is_named_by_a_keyed_reference(tmp_path: Path) -> None:
    known = tmp_path / "bare.txt"
    rows = DEMO.read_text().splitlines()[1:]
    known.write_text("\n".join(row.split(",")[0] for row in rows) + "\n")
    args = (PLAIN, "-q")
    own = scan(*args, known=known)
    keyed = scan(*args, known=known, HASHMATCH_REFERENCE_KEY="a secret")
    names = [
        [match["entry"] for record in ran.lines for match in record["matches"]]
        for ran in (own, keyed)
    ]
    assert names[0]
    assert all(name.startswith("ref:") for name in names[0] + names[1])
    assert set(names[0]).isdisjoint(names[1])


def test_lists_of_several_kinds_are_matched_at_once(tmp_path: Path) -> None:
    hashed = GOLDEN_HASHES["plain/tiles.png"]
    digests = tmp_path / "known=digests.txt"  # the file's name may have the sign in it
    digests.write_text(f"{hashed['md5']},by its file\n")
    ran = run("scan", PLAIN, "--surface", "public_post", "--list", DEMO, "--list", f"md5={digests}")
    (tiles,) = [record for record in ran.lines if record["item"]["key"] == "tiles.png"]
    kinds = [match["algorithm"] for match in tiles["matches"]]
    assert (kinds[0], tiles["hash"]["algorithm"]) == ("md5", "md5")
    assert "pdq" in kinds
    assert tiles["item"]["width"]
    assert "list known=digests version" in ran.said
    as_said = run("scan", PLAIN, "--surface", "public_post", "-a", "md5", "--list", digests)
    assert [record["item"]["key"] for record in as_said.lines] == ["tiles.png"]


def test_variants_find_a_picture_that_was_turned(tmp_path: Path) -> None:
    with Image.open(PLAIN / "landscape-dusk.jpg") as image:
        image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.png")
    assert scan(tmp_path).lines == []
    (record,) = scan(tmp_path, "--variants", "orientations").lines
    assert record["hash"]["variant"] == record["matches"][0]["variant"] == "rotate_270"


def test_limits_are_given_by_algorithm() -> None:
    mixed = LISTS / "demo.jsonl"
    both = ["--list", f"phash={mixed}", "--list", str(DEMO)]
    refused = run("scan", PLAIN, "--surface", "public_post", *both, "-d", "5")
    assert (refused.code, "-d pdq=31" in refused.said) == (2, True)
    ran = run("scan", PLAIN, "--surface", "public_post", *both, "-d", "pdq=4", "-d", "phash=0")
    matches = [match for record in ran.lines for match in record["matches"]]
    assert {m["distance"] for m in matches if m["max_distance_from"] == "caller"} <= {0, 4}
    assert any(m["algorithm"] == "pdq" and m["max_distance"] == 4 for m in matches)


def test_a_scan_of_nothing_is_no_success(tmp_path: Path) -> None:
    """Not even where only listing tells that; a shard may have its part of nothing."""
    (tmp_path / "list.txt").write_text("\n\n")
    (tmp_path / "empty").mkdir()
    for source in ("manifest://list.txt", "empty"):
        for more in ((), ("--dry-run",)):
            ran = scan(source, *more, "--out", tmp_path / "out.jsonl", cwd=tmp_path)
            one_line(ran, "no images in it")
            assert not list(tmp_path.glob("*out*"))
    (tmp_path / "one").mkdir()
    (tmp_path / "one" / "a.png").write_bytes((PLAIN / "tiles.png").read_bytes())
    for more in ((), ("--dry-run",)):
        codes = [scan("one", "--shard", f"{n}/3", *more, cwd=tmp_path).code for n in range(3)]
        assert codes == [0, 0, 0]


def test_where_nothing_was_looked_up_that_is_said(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.txt").write_text("no picture")
    assert "no image was looked up; 0 records for review" in scan(tmp_path / "docs").said
    assert "was looked up" not in scan(PLAIN).said


def test_a_sample_that_cannot_be_read_estimates_nothing(tmp_path: Path) -> None:
    (tmp_path / "gone").mkdir()
    for name in "ab":
        (tmp_path / "gone" / name).symlink_to("nowhere")
    said = scan(tmp_path / "gone", "--dry-run").out.decode()
    assert "none of 2 of them could be read" in said
    assert "would take about" not in said


def test_records_that_a_queue_knows_are_told_from_new_ones(tmp_path: Path) -> None:
    queue, report = tmp_path / "queue.db", tmp_path / "report.json"
    assert run("review", "init", queue).code == 0
    for new, known in ((5, 0), (0, 5)):
        ran = scan(PLAIN, "--review", queue, "--report", report)
        assert f"review queue: {new} new, {known} known, 0 suppressed" in ran.said
        queued = json.loads(report.read_text())["queued"]
        assert (queued["new"], queued["known"]) == (new, known)
