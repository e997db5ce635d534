"""``hashmatch calibrate``, and what scans say from then on."""

from __future__ import annotations

import json
import shutil
import signal
from typing import TYPE_CHECKING

import pytest
from PIL import Image

from cli_tools import DEMO, IMAGES, one_line, run, running, scan
from hashmatch.review.queue import ReviewQueue
from processes import PATIENCE, wait_for
from review_queues import take_and_decide
from review_records import make_record

if TYPE_CHECKING:
    from pathlib import Path

PLAIN = IMAGES / "plain"
NEAR = "landscape-meadow.jpg"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a list and a sample, of which one picture is saved twice."""
    path = tmp_path_factory.mktemp("calibrated")
    shutil.copy(DEMO, path / "known.csv")
    shutil.copytree(PLAIN, path / "photos")
    Image.open(PLAIN / NEAR).save(path / "photos/saved-again.jpg", quality=80)
    ran = run("calibrate", "known.csv", "--benign", "photos", "-o", "report.html", "-q", cwd=path)
    assert (ran.code, ran.said) == (0, "")
    lines = ran.out.decode().splitlines()
    assert lines[-1] == "report: report.html"
    assert "kept in known.csv.calibration.json" in lines[1]
    assert "may be listed ones. Look at them, answer in report.questions.jsonl" in lines[-2]
    return path


def test_writes_a_report_and_says_the_same_as_json(folder: Path) -> None:
    said = json.loads((folder / "report.json").read_text())
    assert said["schema"] == "hashmatch.calibration-report/1"
    assert said["duplicates_left_out"] == 1
    (one,) = said["lists"]
    assert (one["list"], one["variants"], one["benign"]) == ("known", "none", "photos")
    assert one["expected"]["records"] == sum(
        each["pictures"] for each in one["nearest"] if each["distance"] <= 31
    )
    page = (folder / "report.html").read_text()
    assert (folder / "photos" / NEAR).as_uri() in page
    assert (folder / "report.html").stat().st_mode & 0o777 == 0o600


def test_a_scan_begins_with_what_to_expect(folder: Path) -> None:
    ran = scan(folder / "photos", known=folder / "known.csv")
    first = ran.said.splitlines()[0]
    assert first.startswith("list known version ")
    assert "false records in" in first
    assert all("calibration" in line["matches"][0] for line in ran.lines)
    quiet = scan(folder / "photos", "-q", known=folder / "known.csv")
    assert quiet.said == ""
    other = scan(folder / "photos", "--variants", "orientations", known=folder / "known.csv")
    assert "false records in" not in other.said
    dry = scan(folder / "photos", "--dry-run", known=folder / "known.csv")
    assert "false records in" in dry.said


def test_another_version_is_said(folder: Path, tmp_path: Path) -> None:
    changed = tmp_path / "known.csv"
    changed.write_text("".join((folder / "known.csv").read_text().splitlines(True)[:-1]))
    shutil.copy(folder / "known.csv.calibration.json", tmp_path)
    ran = scan(folder / "photos", known=changed)
    assert "calibrate it again" in ran.said.splitlines()[0]


def test_a_store_keeps_it_beside_itself(folder: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert run("list", "import", folder / "known.csv", "--store", store).code == 0
    out = tmp_path / "report.html"
    ran = run("calibrate", store, "--benign", folder / "photos", "-o", out, "-q", "--up-to", "60")
    assert (ran.code, ran.said) == (0, "")
    assert (tmp_path / "store.calibration.json").exists()
    assert run("list", "verify", store).code == 0
    assert "false records in" in scan(folder / "photos", known=store).said


def test_answers_leave_listed_pictures_out(folder: Path, tmp_path: Path) -> None:
    lines = [
        json.loads(line) for line in (folder / "report.questions.jsonl").read_text().splitlines()
    ]
    answered = [one | {"answer": "listed"} if one["near"] == "entry" else one for one in lines]
    path = tmp_path / "answers.jsonl"
    path.write_text("".join(json.dumps(one) + "\n" for one in answered))
    ran = run(
        "calibrate", "known.csv", "--benign", "photos", "--answers", path, "-q", "--thumbnails",
        "-o", tmp_path / "b.html", cwd=folder,
    )  # fmt: skip
    assert (ran.code, ran.said) == (0, "")
    before = json.loads((folder / "report.json").read_text())
    after = json.loads((tmp_path / "b.json").read_text())
    assert after["listed_left_out"] == sum(one["near"] == "entry" for one in lines) > 0
    assert after["pictures"] == before["pictures"] - after["listed_left_out"]
    assert "data:image/png;base64," in (tmp_path / "b.html").read_text()
    assert "data:image" not in (folder / "report.html").read_text()


def test_hashes_that_were_kept_are_a_sample_too(folder: Path, tmp_path: Path) -> None:
    kept, table = tmp_path / "kept", tmp_path / "hashes.parquet"
    assert scan(folder / "photos", "--keep-hashes", kept, "--keep-for", "1d", "-q").code == 0
    ran = run("hash", folder / "photos", "--out", table, "--surface", "profile_photo", "-q")
    assert ran.code == 0, ran.said
    expected = json.loads((folder / "report.json").read_text())["lists"][0]["curve"]
    for sample in (kept, table):
        out = tmp_path / "report.html"
        ran = run("calibrate", DEMO.name, "--benign", sample, "-o", out, "-q", cwd=_copy(tmp_path))
        assert (ran.code, ran.said) == (0, "")
        assert json.loads((tmp_path / "report.json").read_text())["lists"][0]["curve"] == expected
    wrong = run(
        "calibrate", DEMO.name, "--benign", kept, "-o", out, "--variants", "standard",
        cwd=tmp_path,
    )  # fmt: skip
    assert "were made with --variants none and --min-quality the default" in wrong.said
    small = run("calibrate", DEMO.name, "--benign", kept, "-o", out, "--thumbnails", cwd=tmp_path)
    assert "cannot show thumbnails: of this sample there are hashes only" in small.said


def _copy(folder: Path) -> Path:
    shutil.copy(DEMO, folder)
    return folder


def test_what_people_decided_is_reported(folder: Path, tmp_path: Path) -> None:
    queue = tmp_path / "queue.db"
    with ReviewQueue.open(str(queue), create=True) as opened:
        opened.add([make_record(1, distance=4), make_record(2, distance=30, entry="entry-2")])
        take_and_decide(opened, "confirmed")
        take_and_decide(opened, "not_a_match")
    out = tmp_path / "report.html"
    ran = run(
        "calibrate", "known.csv", "--benign", "photos", "--queue", queue, "-o", out, "-q",
        cwd=folder,
    )  # fmt: skip
    assert ran.code == 0, ran.said
    decided = json.loads((tmp_path / "report.json").read_text())["decided"]
    limits = {one["max_distance"]: one for one in decided["limits"]}
    assert (limits[4]["missed"], limits[4]["saved"]) == (0, 1)
    assert (limits[30]["missed"], limits[30]["saved"]) == (0, 0)
    assert {one["variant"] for one in decided["variants"]} == {"unknown"}
    assert "What people decided" in out.read_text()


def test_interrupted_is_one_line(folder: Path, tmp_path: Path) -> None:
    pictures = tmp_path / "many"
    pictures.mkdir()
    for number in range(400):
        (pictures / f"{number}.jpg").hardlink_to(folder / "photos" / NEAR)
    args = ("calibrate", folder / "known.csv", "--benign", pictures, "-o", tmp_path / "r.html")
    before = (folder / "known.csv.calibration.json").read_bytes()
    with running(*args) as process:
        wait_for(lambda: _has_children(process.pid))
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert said.decode().splitlines()[-1] == (
        f"stopped: {tmp_path / 'r.html'} was not written, and no list was calibrated"
    )
    assert not (tmp_path / "r.html").exists()
    assert (folder / "known.csv.calibration.json").read_bytes() == before


def _has_children(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            return bool(file.read().split())
    except OSError:
        return False


@pytest.mark.parametrize(
    ("args", "word"),
    [
        (["nowhere.csv"], "nowhere.csv"),
        (["known.csv", "--benign", "nowhere"], "nowhere"),
        (["known.csv", "--answers", "known.csv"], "known.csv, line 1"),
        (["known.csv", "-o", "report.txt"], "report.txt"),
    ],
)
def test_what_is_wrong_is_one_line(folder: Path, args: list[str], word: str) -> None:
    rest = [] if "--benign" in args else ["--benign", "photos"]
    rest += [] if "-o" in args else ["-o", "other.html"]
    ran = run("calibrate", *args, *rest, cwd=folder)
    one_line(ran, word)


def test_a_list_called_like_the_report_is_not_written_over(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "known.json"
    path.write_text(DEMO.read_text())
    ran = run("calibrate", path, "--benign", folder / "photos", "-o", tmp_path / "known.html")
    one_line(ran, f"cannot write {path} beside the report")
    assert path.read_text() == DEMO.read_text()


def test_shadow_limits_are_said_at_the_end(folder: Path, tmp_path: Path) -> None:
    report, metrics = tmp_path / "report.json", tmp_path / "scan.prom"
    ran = scan(
        folder / "photos", "--shadow", "pdq=60", "--report", report, "--metrics", metrics,
        known=folder / "known.csv",
    )  # fmt: skip
    assert ran.code == 0
    counted = json.loads(report.read_text())["shadow"]
    total = sum(one["records"] for one in counted)
    more = scan(folder / "photos", "-d", "60", "-q", known=folder / "known.csv")
    assert total == len(more.lines) - len(ran.lines)
    word = f"bring {total:,} more records" if total else "bring no more records"
    assert word in ran.said
    assert metrics.read_text().count("hashmatch_shadow_records_total{") == len(
        {one["distance"] for one in counted}
    )
    for refused, said in (("20", "own is 31"), ("phash=9", "there is no list of it")):
        wrong = scan(folder / "photos", "--shadow", refused, known=folder / "known.csv")
        one_line(wrong, said)
    engine = scan(
        folder / "photos", "--shadow", "60", "--engine", "local:1", "--state", tmp_path / "state",
        known=folder / "known.csv",
    )  # fmt: skip
    one_line(engine, "cannot count a shadow limit with --engine")
