"""The service's own interface, against a running service: shapes, refusals, snapshots."""

from __future__ import annotations

import asyncio
import csv
import hashlib
import json
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

import msgspec
import pytest

import hashmatch as hm
from cli_tools import DEMO, run
from conftest import IMAGES
from hashmatch.hashing import hash_image
from hashmatch.hashing.chrome import ChromeMeter
from hashmatch.records.review import ReviewRecord
from hashmatch.review.queue import ReviewQueue
from hashmatch.service.http import Request
from hashmatch.service.service import Service
from hashmatch.service.snapshots import Snapshot
from hashmatch.service.v1 import Checked, Explained, ListsInUse, Looked, SnapshotsInUse, check
from processes import wait_for
from service_program import Program, service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

TILES = IMAGES / "plain" / "tiles.png"
PICTURE = TILES.read_bytes()
FAR = "0f" * 32
NEW = hashlib.sha256(b"new").hexdigest()
SURFACE = {"surface": "profile_photo", "item_id": "user/42"}


def known(name: str) -> str:
    """Return a hash of the demo list."""
    with open(DEMO, newline="") as file:
        return next(row["pdq"] for row in csv.DictReader(file) if row["id"] == name)


def outcome(api: Program, value: str) -> str:
    """Return what a hash comes to now."""
    return str(api.post("/v1/match", {"hash": value}).json["outcome"])


@pytest.fixture(scope="module")
def api() -> Iterator[Program]:
    with service() as program:
        yield program


def test_a_picture_that_matches_gives_its_record(api: Program) -> None:
    answer = api.ask("POST", "/v1/check", SURFACE, body=PICTURE)
    assert answer.status == 200
    checked = msgspec.json.decode(answer.body, type=Checked)
    assert (checked.outcome, checked.item_id, checked.retry) == ("match", "user/42", False)
    assert isinstance(checked.record, ReviewRecord)
    assert checked.record.status == "pending_review"
    assert checked.record.matches[0].entry == "planted-tiles-d31"
    assert checked.snapshot.startswith("demo-pdq@")
    assert "value" not in answer.json["record"]["hash"]


def test_the_same_by_a_form(api: Program) -> None:
    form = api.ask("POST", "/v1/check", files={"image": PICTURE}, fields=SURFACE)
    body = api.ask("POST", "/v1/check", SURFACE, body=PICTURE)
    one, other = form.json["record"], body.json["record"]
    assert one["record_id"] == other["record_id"]


@pytest.mark.parametrize(
    ("data", "outcome"),
    [(b"", "undecodable"), (b"no picture", "unsupported"), (PICTURE[:60], "undecodable")],
)
def test_what_is_no_picture_has_an_outcome(api: Program, data: bytes, outcome: str) -> None:
    answer = api.ask("POST", "/v1/check", SURFACE, body=data)
    assert answer.status == 200
    assert answer.json["outcome"] == outcome
    assert answer.json["reason"]
    assert answer.json["retry"] is False
    assert "record" not in answer.json


def test_what_cannot_be_checked_is_refused_with_what_to_do(api: Program) -> None:
    for query, word in (
        ({}, "surface"),
        ({"surface": "private_message", "item_id": "x"}, "surface"),
        ({"surface": "profile_photo"}, "item_id"),
    ):
        answer = api.ask("POST", "/v1/check", query, body=PICTURE)
        assert answer.status == 422
        assert word in answer.json["message"]
        assert answer.json["retry"] is False
    two = api.ask("POST", "/v1/check", files={"image": PICTURE, "other": PICTURE}, fields=SURFACE)
    assert two.status == 422
    assert api.get("/v1/check").status == 405
    assert api.get("/v1/none").status == 404


def test_a_hash_is_looked_up_and_never_repeated(api: Program) -> None:
    value = known("demo-0007")
    answer = api.post("/v1/match", {"hash": value, "id": "q"})
    looked = msgspec.json.decode(answer.body, type=Looked)
    assert (looked.outcome, looked.id) == ("match", "q")
    assert looked.matches[0].entry == "demo-0007"
    assert value.encode() not in answer.body
    assert api.post("/v1/match", {"hash": FAR}).json["outcome"] == "no_match"


def test_many_hashes_in_lines_each_with_an_answer(api: Program) -> None:
    value = known("demo-0007")
    lines = [
        json.dumps({"hash": value, "id": "a"}),
        "no json",
        json.dumps({"hash": "x" * 64, "id": "c"}),
        json.dumps({"hash": FAR}),
        json.dumps({"hash": "0" * 16, "algorithm": "phash"}),
    ]
    answer = api.ask(
        "POST",
        "/v1/match",
        body="\n".join(lines).encode(),
        headers={"content-type": "application/x-ndjson"},
    )
    assert answer.status == 200
    first, second, third, fourth, fifth = answer.lines
    assert (first["outcome"], first["id"]) == ("match", "a")
    assert (second["outcome"], "line 2: it is not a JSON" in second["message"]) == ("refused", True)
    assert (third["outcome"], third["id"]) == ("refused", "c")
    assert fourth["outcome"] == "no_match"
    assert fifth["outcome"] == "refused"
    assert "pdq" in fifth["message"]
    assert b"x" * 10 not in answer.body


def test_ten_thousand_hashes_at_once_and_no_more(api: Program) -> None:
    line = json.dumps({"hash": known("demo-0007")}).encode()
    headers = {"content-type": "application/x-ndjson"}
    answer = api.ask("POST", "/v1/match", body=b"\n".join([line] * 10_000), headers=headers)
    assert len(answer.lines) == 10_000
    assert {each["outcome"] for each in answer.lines} == {"match"}
    more = api.ask("POST", "/v1/match", body=b"\n".join([line] * 10_001), headers=headers)
    assert more.status == 413


@pytest.mark.parametrize(
    "given",
    [{}, {"hash": 7}, {"hash": "xyz"}, {"hash": FAR, "algorithm": "nope"}, [1], {"hash": FAR[:-2]}],
)
def test_what_is_no_question_is_refused(api: Program, given: object) -> None:
    answer = api.post("/v1/match", given)
    assert answer.status == 422
    assert answer.json["message"].startswith("cannot ")
    assert FAR[:-2].encode() not in answer.body


def test_a_match_is_explained_and_so_is_none(api: Program) -> None:
    answer = api.ask("POST", "/v1/explain", {"nearest": 2}, body=PICTURE)
    found = msgspec.json.decode(answer.body, type=Explained)
    assert found.outcome == "match"
    assert (found.nearest[0].entry, found.nearest[0].distance) == ("planted-tiles-d31", 31)
    assert found.nearest[0].matches
    assert found.nearest[0].max_distance_from == "algorithm"
    assert not found.nearest[1].matches  # the nearest that is too far
    assert found.nearest[1].distance > found.nearest[1].max_distance
    assert (found.asked[0].outcome, found.asked[0].quality) == ("hashed", 100)

    none = api.post("/v1/explain", {"hash": FAR}, nearest=1)
    assert none.json["outcome"] == "no_match"
    assert none.json["nearest"][0]["distance"] > 31
    within = api.post("/v1/explain", {"hash": FAR}, max_distance=40)
    assert within.json["nearest"] == []
    assert api.post("/v1/explain", {"hash": FAR}, nearest="many").status == 422


def test_lists_and_description(api: Program) -> None:
    lists = msgspec.json.decode(api.get("/v1/lists").body, type=ListsInUse)
    assert [(known.name, known.entries) for known in lists.lists] == [("demo-pdq", 207)]
    described = api.get("/openapi.json").json
    assert described["openapi"].startswith("3.1")
    assert {"/v1/check", "/v1/match", "/m/lookup", "/c/bank/{bank}"} <= described["paths"].keys()
    for path, operations in described["paths"].items():
        for operation in operations.values():
            assert operation["summary"], path
    assert "Checked" in described["components"]["schemas"]


def test_the_description_is_whole(api: Program) -> None:
    """What openapi-spec-validator looks for and a schema does not say: names that are unique."""
    described = api.get("/openapi.json").json
    operations = [each for path in described["paths"].values() for each in path.values()]
    names = [each["operationId"] for each in operations]
    assert len(set(names)) == len(names)
    for path, methods in described["paths"].items():
        for each in methods.values():
            named = {p["name"] for p in each["parameters"] if p["in"] == "path"}
            assert named == set(re.findall(r"{(\w+)}", path))
            assert each["responses"]["default"]["content"]
    for reference in re.findall(r'"\$ref":"#/components/schemas/(\w+)"', json.dumps(
        described, separators=(",", ":")
    )):  # fmt: skip
        assert reference in described["components"]["schemas"]


def test_lines_are_answered_as_they_are_looked_up(api: Program) -> None:
    """A number of each line is right whichever part it is in; the body has no length."""
    lines = [json.dumps({"hash": FAR, "id": str(number)}) for number in range(2500)]
    lines[2100] = "no json"
    headers = {"content-type": "application/x-ndjson"}
    answer = api.ask("POST", "/v1/match", body="\n".join(lines).encode(), headers=headers)
    assert "content-length" not in answer.headers
    assert [each.get("id") for each in answer.lines if each["outcome"] == "no_match"] == [
        str(number) for number in range(2500) if number != 2100
    ]
    assert "line 2101: " in answer.lines[2100]["message"]
    assert len({each["snapshot"] for each in answer.lines}) == 1
    assert api.ask("POST", "/v1/match", body=b"", headers=headers).body == b""


def test_snapshots_say_when_each_was_in_use(api: Program) -> None:
    found = msgspec.json.decode(api.get("/v1/snapshots").body, type=SnapshotsInUse)
    assert found.snapshot == found.snapshots[0].snapshot
    assert found.snapshots[0].until is None


def test_a_picture_of_a_form_is_explained_as_its_bytes_are(api: Program) -> None:
    one = api.ask("POST", "/v1/explain", files={"image": PICTURE}).json
    assert one == api.ask("POST", "/v1/explain", body=PICTURE).json
    assert one["snapshot"]
    assert one["asked"][0]["variants"] == ["upright"]
    assert one["asked"][0]["min_quality"] == 50
    flat = api.ask("POST", "/v1/explain", body=b"x").json
    assert (flat["outcome"], flat["nearest"]) == ("unsupported", [])
    assert flat["asked"][0]["reason"]


def test_health(api: Program) -> None:
    assert api.get("/healthz").json == {"status": "ok"}
    ready = api.get("/readyz").json
    assert ready["ready"] is True
    assert ready["problems"] == []
    api.ask("POST", "/v1/check", SURFACE, body=PICTURE)
    text = api.get("/metrics").body.decode()
    assert 'hashmatch_items_total{outcome="match"}' in text
    assert 'hashmatch_requests_total{route="POST /v1/check",status="200"}' in text
    assert 'hashmatch_list_entries{algorithm="pdq",list="demo-pdq"} 207.0' in text


def test_records_are_in_the_queue_before_the_answer_and_once(tmp_path: Path) -> None:
    queue = tmp_path / "queue.db"
    run("review", "init", queue)
    with service("--review", queue) as api:
        for _ in range(3):
            answer = api.ask("POST", "/v1/check", SURFACE, body=PICTURE)
            assert "value" not in answer.json["record"]["hash"]
        with ReviewQueue.open(str(queue)) as opened:
            assert sum(opened.counts().values()) == 1


def test_a_newer_version_of_a_list_is_used_without_a_pause(tmp_path: Path) -> None:
    store = tmp_path / "demo"
    assert run("list", "import", DEMO, "--store", store).code == 0
    with service(lists=(store,)) as api:
        before = api.post("/v1/match", {"hash": NEW}).json
        assert before["outcome"] == "no_match"
        (tmp_path / "more.jsonl").write_text(json.dumps({"hash": NEW, "id": "new"}))
        assert run("list", "update", store, tmp_path / "more.jsonl").code == 0
        wait_for(lambda: outcome(api, NEW) == "match", every=0.1)
        answer = api.post("/v1/match", {"hash": NEW}).json
        assert answer["snapshot"] != before["snapshot"]
        assert answer["matches"][0]["entry"] == "new"


def test_what_is_disabled_is_not_matched_at_once(tmp_path: Path) -> None:
    disabled = tmp_path / "disabled.jsonl"
    disabled.write_text("")
    value = known("demo-0007")
    with service("--disabled", disabled) as api:
        assert api.post("/v1/match", {"hash": value}).json["outcome"] == "match"
        line = {"list": "demo-pdq", "entry": "demo-0007", "reason": "a meme", "by": "ana"}
        disabled.write_text(json.dumps(line))
        wait_for(lambda: outcome(api, value) == "no_match", every=0.1)
        answer = api.post("/v1/match", {"hash": value}).json
        assert re.fullmatch(r"demo-pdq@\w+-1\.[0-9a-f]{8}", answer["snapshot"])
        explained = api.post("/v1/explain", {"hash": value}, nearest=1).json
        off, on = explained["nearest"]
        assert (off["entry"], off["distance"], off["switched_off"]) == ("demo-0007", 0, True)
        assert (off["matches"], on["matches"], on["switched_off"]) == (False, False, False)
        assert explained["outcome"] == "no_match"
        query = {"signal": value, "signal_type": "pdq"}
        assert api.get("/m/raw_lookup", **query).json == {"matches": []}
        with_disabled = api.get("/m/raw_lookup", **query, include_disabled="true").json
        assert len(with_disabled["matches"]) == 1
        other = {**line, "entry": "demo-0008"}
        disabled.write_text(json.dumps(other))
        wait_for(lambda: outcome(api, value) == "match", every=0.1)
        again = api.post("/v1/match", {"hash": value}).json
        assert again["snapshot"] != answer["snapshot"]  # as many entries, and not the same


@pytest.mark.parametrize(("picture", "measured"), [("tiles.png", 1), ("landscape-lake.webp", 0)])
def test_chrome_is_measured_only_of_a_picture_that_matches(
    picture: str, measured: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes as long as a hash, and says nothing of a picture that is near no entry."""
    meters: list[ChromeMeter] = []

    def meter(pixels: NDArray[np.uint8]) -> ChromeMeter:
        meters.append(ChromeMeter(pixels))
        return meters[-1]

    monkeypatch.setattr(hash_image, "ChromeMeter", meter)
    matcher = hm.Matcher(hm.read_list(DEMO, "pdq"))
    checks = Service(
        cast("Any", SimpleNamespace(fresh=lambda: Snapshot("demo", matcher, ""))),
        cast("Any", SimpleNamespace(workers=1)),
    )
    data = (IMAGES / "plain" / picture).read_bytes()
    scope = {"query_string": urlencode(SURFACE).encode(), "headers": []}

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": data}

    answer = asyncio.run(check(checks, Request(scope, receive, len(data))))
    assert json.loads(answer.body)["outcome"] == ("match" if measured else "no_match")
    assert len(meters) == measured
