"""The interface of Hasher-Matcher-Actioner 1.1.7, row by row, against a running service."""

from __future__ import annotations

import csv
import hashlib
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from cli_tools import DEMO
from conftest import IMAGES
from drawn_shots import encoded, shots
from hashmatch.lists.vpdq_signal import write_signal
from hashmatch.video.hash_video import hash_video
from processes import wait_for
from service_program import Answer, Program, service
from video_lists import drawn_video

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PICTURE = (IMAGES / "plain" / "tiles.png").read_bytes()
FAR = "0f" * 32


def listed() -> dict[str, str]:
    """Return the hashes of the demo list, by id."""
    with open(DEMO, newline="") as file:
        return {row["id"]: row["pdq"] for row in csv.DictReader(file)}


HASHES = listed()
KNOWN = HASHES["demo-0007"]


@pytest.fixture(scope="module")
def hma(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with service("--data", tmp_path_factory.mktemp("hma") / "data") as program:
        yield program


def refused(answer: Answer, status: int, message: str) -> None:
    assert (answer.status, answer.json) == (status, {"message": message})


def validation(answer: Answer, name: str, kind: str) -> None:
    assert answer.status == 422
    (error,) = answer.json
    assert (error["type"], error["loc"][-1]) == (kind, name)
    assert {"type", "loc", "msg", "input", "url"} <= error.keys()


# Liveness


@pytest.mark.parametrize("path", ["/status", "/status/live"])
def test_liveness(hma: Program, path: str) -> None:
    answer = hma.get(path)
    assert (answer.status, answer.body) == (200, b"I-AM-ALIVE")
    assert answer.headers["content-type"].startswith("text/html")
    assert hma.ask("HEAD", path).status == 200
    assert hma.post(path).status == 405


def test_unknown_paths(hma: Program) -> None:
    assert hma.get("/h/hash/").status == 404
    assert hma.get("/c/nothing").status == 404
    assert hma.get("/c/bank/DEMO_PDQ/content/abc").status == 404


# Hashing


def test_hash_of_a_file(hma: Program) -> None:
    answer = hma.ask("POST", "/h/hash", files={"photo": PICTURE})
    assert answer.status == 200
    assert answer.json.keys() == {"pdq"}
    assert len(answer.json["pdq"]) == 64
    assert answer.json["pdq"] == answer.json["pdq"].lower()


def test_hashing_refuses(hma: Program) -> None:
    post = "POST", "/h/hash"
    refused(hma.ask(*post), 400, "Missing multipart/form-data file upload")
    refused(
        hma.ask(*post, files={}, fields={"a": "b"}), 400, "Missing multipart/form-data file upload"
    )
    two = hma.ask(*post, files={"photo": PICTURE, "video": PICTURE})
    refused(two, 400, "Only one file allowed per request")
    refused(hma.ask(*post, files={"audio": PICTURE}), 400, "no such content_type: 'audio'")
    text = "signal type 'tmk' doesn't exist or is disabled"
    refused(hma.ask(*post, {"types": "tmk"}, files={"photo": PICTURE}), 400, text)
    text = "empty signal type selection"
    refused(hma.ask(*post, {"types": ","}, files={"photo": PICTURE}), 400, text)


def test_a_picture_that_cannot_be_decoded_is_422_with_its_outcome(hma: Program) -> None:
    answer = hma.ask("POST", "/h/hash", files={"photo": PICTURE[:40]})
    assert answer.status == 422
    assert "undecodable" in answer.json["message"]
    assert "retry-after" not in answer.headers


def test_addresses_are_not_fetched_unless_named(hma: Program) -> None:
    validation(hma.get("/h/hash"), "url", "missing")
    answer = hma.get("/h/hash", url="https://example.org/a.png")
    assert answer.status == 403
    assert answer.json.keys() == {"message"}
    assert hma.get("/m/lookup", url="https://example.org/a.png").status == 403


# Matching


def test_lookup_by_a_signal_is_flat(hma: Program) -> None:
    answer = hma.get("/m/lookup", signal=KNOWN, signal_type="pdq")
    assert answer.status == 200
    assert answer.json.keys() == {"DEMO_PDQ"}
    first = answer.json["DEMO_PDQ"][0]
    assert first == {"bank_content_id": first["bank_content_id"], "distance": "0"}
    assert 0 < first["bank_content_id"] < 2**53
    assert answer.headers["x-snapshot"].startswith("demo-pdq@")
    assert hma.get("/m/lookup", signal=FAR, signal_type="pdq").json == {}


def test_lookup_by_a_file_is_nested(hma: Program) -> None:
    answer = hma.ask("POST", "/m/lookup", files={"photo": PICTURE})
    assert answer.json.keys() == {"pdq"}
    assert [match["distance"] for match in answer.json["pdq"]["DEMO_PDQ"]] == ["31"]


def test_lookup_of_some_banks(hma: Program) -> None:
    query = {"signal": KNOWN, "signal_type": "pdq"}
    assert hma.get("/m/lookup", **query, banks="OTHER").json == {}
    assert hma.get("/m/lookup", **query, banks="OTHER,DEMO_PDQ").json.keys() == {"DEMO_PDQ"}


@pytest.mark.parametrize("path", ["/m/lookup", "/m/raw_lookup"])
@pytest.mark.parametrize("signal", [KNOWN.upper(), KNOWN[:-1], KNOWN + "0", "x" * 64, ""])
def test_what_is_no_signal_is_refused_and_not_shown(hma: Program, path: str, signal: str) -> None:
    answer = hma.get(path, signal=signal, signal_type="pdq")
    refused(answer, 400, "invalid signal: invalid PDQ hash")


def test_lookup_refuses(hma: Program) -> None:
    text = "Either url or both signal and signal_type are required"
    refused(hma.get("/m/lookup"), 400, text)
    refused(hma.get("/m/lookup", signal=KNOWN), 400, text)
    refused(hma.get("/m/lookup", signal_type="pdq"), 400, text)
    unknown = hma.get("/m/lookup", signal=KNOWN, signal_type="x")
    refused(unknown, 400, "No such SignalType 'x'")


def test_raw_lookup(hma: Program) -> None:
    query = {"signal": KNOWN, "signal_type": "pdq"}
    answer = hma.get("/m/raw_lookup", **query)
    assert answer.json.keys() == {"matches"}
    assert all(isinstance(each, int) for each in answer.json["matches"])
    with_distance = hma.get("/m/raw_lookup", **query, include_distance="true").json["matches"]
    assert [each["bank_content_id"] for each in with_distance] == answer.json["matches"]
    assert with_distance[0]["distance"] == "0"
    validation(hma.get("/m/raw_lookup", signal=KNOWN), "signal_type", "missing")
    validation(hma.get("/m/raw_lookup", signal_type="pdq"), "signal", "missing")
    unclear = hma.get("/m/raw_lookup", **query, include_distance="perhaps")
    validation(unclear, "include_distance", "bool_parsing")


def test_compare(hma: Program) -> None:
    near = f"{int(KNOWN, 16) ^ 0b111:064x}"
    assert hma.post("/m/compare", {"pdq": [KNOWN, near]}).json == {"pdq": [True, {"distance": 3}]}
    far = hma.post("/m/compare", {"pdq": ["0" * 64, "f" * 64]}).json
    assert far == {"pdq": [False, {"distance": 256}]}
    assert hma.post("/m/compare", {}).json == {}
    given: list[Any] = [{"pdq": KNOWN}, {"pdq": [KNOWN]}, {"x": [KNOWN, KNOWN]}, {"pdq": ["", ""]}]
    for each in given:
        assert hma.post("/m/compare", each).status == 400
    assert hma.post("/m/compare", [1]).status == 400


def test_index_status(hma: Program) -> None:
    answer = hma.get("/m/index/status").json
    assert answer["pdq"]["present"] is True
    assert answer["pdq"]["size"] >= 207
    assert answer["pdq"]["built_to"] > 1.7e9
    assert hma.get("/m/index/status", signal_type="pdq").json.keys() == {"pdq"}
    refused(hma.get("/m/index/status", signal_type="x"), 400, "No such signal type 'x'")
    found = hma.get("/c/signal_type/index").json["pdq"]
    assert found.keys() == {
        "db_size", "index_built_to", "index_out_of_date", "index_size", "newest_db_item",
    }  # fmt: skip


# Curation


def test_banks(hma: Program) -> None:
    assert hma.post("/c/banks", {"name": "A_1"}).json == {
        "matching_enabled_ratio": 1.0, "name": "A_1",
    }  # fmt: skip
    refused(hma.post("/c/banks", {"name": "A_1"}), 403, "Bank already exists")
    refused(hma.post("/c/banks", {"name": "a"}), 400, "Bank names must be UPPER_WITH_UNDERSCORE")
    validation(hma.post("/c/banks", {}), "name", "missing")
    assert hma.post("/c/banks", [1]).status == 422
    assert hma.post("/c/banks", {"name": "A_2", "enabled_ratio": "0.5"}).status == 201
    assert hma.get("/c/bank/A_2").json["matching_enabled_ratio"] == 0.5
    assert hma.post("/c/banks", {"name": "A_3", "enabled": False}).json[
        "matching_enabled_ratio"
    ] == 0  # fmt: skip
    assert hma.post("/c/banks", {"name": "A_4", "enabled_ratio": 1.5}).status == 400
    names = [bank["name"] for bank in hma.get("/c/banks").json]
    assert {"A_1", "A_2", "A_3", "DEMO_PDQ"} <= {*names}
    refused(hma.get("/c/bank/NONE"), 404, "bank 'NONE' not found")
    refused(hma.put("/c/bank/NONE", {"enabled_ratio": 1}), 404, "Bank not found")
    refused(hma.put("/c/bank/A_1", {"name": "A_2"}), 403, "Bank name already exists")
    assert hma.put("/c/bank/A_1", {"name": "A_9"}).json["name"] == "A_9"
    assert hma.get("/c/bank/A_1").status == 404
    for name in ("A_9", "A_9", "A_2", "A_3"):
        assert hma.delete(f"/c/bank/{name}").json == {"message": "Done"}


def test_a_content_is_found_switched_off_and_removed(hma: Program) -> None:
    hma.post("/c/banks", {"name": "LIFE"})
    added = hma.ask(
        "POST",
        "/c/bank/LIFE/content",
        files={"photo": PICTURE},
        fields={"note": "a note", "metadata": '{"content_id": "7"}'},
    )
    assert added.status == 200
    number, signal = added.json["id"], added.json["signals"]["pdq"]
    query: dict[str, str] = {"signal": signal, "signal_type": "pdq"}

    def found() -> Any:
        return hma.get("/m/lookup", **query).json.get("LIFE")

    assert found() == [{"bank_content_id": number, "distance": "0"}]
    shown = hma.get(f"/c/bank/LIFE/content/{number}").json
    assert shown["bank"] == {"matching_enabled_ratio": 1.0, "name": "LIFE"}
    assert (shown["id"], shown["disable_until_ts"], shown["note"]) == (number, 0, "a note")
    assert shown["metadata"]["content_id"] == "7"
    assert "signals" not in shown
    opened = hma.get(f"/c/bank/LIFE/content/{number}", include_signals="true").json
    assert opened["signals"] == {"pdq": signal}

    path = f"/c/bank/LIFE/content/{number}"
    assert hma.put(path, {"disable_until_ts": 1}).json["disable_until_ts"] == 1
    assert found() is None
    assert number not in hma.get("/m/raw_lookup", **query).json["matches"]
    raw = hma.get("/m/raw_lookup", **query, include_disabled="true").json["matches"]
    assert number in raw
    hma.put(path, {"disable_until_ts": 0})
    assert found() is not None
    hma.put(path, {"disable_until_ts": int(time.time()) + 2})
    assert found() is None
    time.sleep(2.1)
    assert found() is not None
    for bad in (-1, True, "1", int(time.time()) + 6 * 366 * 86400):
        assert hma.put(path, {"disable_until_ts": bad}).status == 400
    assert hma.put(path, {"note": "x" * 256}).status == 400
    assert hma.put("/c/bank/LIFE/content/999999", {"note": "x"}).status == 404

    hma.put("/c/bank/LIFE", {"enabled_ratio": 0})
    assert found() is None
    hma.put("/c/bank/LIFE", {"enabled_ratio": 1})
    assert hma.delete(path).json == {"deleted": 1}
    assert found() is None
    assert hma.delete(path).json == {"deleted": 0}
    assert hma.get(path).status == 404
    refused(hma.delete("/c/bank/NONE/content/1"), 404, "bank 'NONE' not found")
    hma.delete("/c/bank/LIFE")


def test_signals_made_elsewhere(hma: Program) -> None:
    hma.post("/c/banks", {"name": "SIGNALS"})
    added = hma.post("/c/bank/SIGNALS/signal", {"pdq": FAR, "note": "n"})
    assert added.json == {"id": added.json["id"], "signals": {"pdq": FAR}}
    assert hma.get("/m/lookup", signal=FAR, signal_type="pdq").json.keys() == {"SIGNALS"}
    for bad in ({}, {"pdq": "x"}, {"x": FAR}):
        assert hma.post("/c/bank/SIGNALS/signal", bad).status == 400
    assert hma.post("/c/bank/NONE/signal", {"pdq": FAR}).status == 404
    hma.delete("/c/bank/SIGNALS")
    assert hma.get("/m/lookup", signal=FAR, signal_type="pdq").json == {}


def test_contents_refuse(hma: Program) -> None:
    hma.post("/c/banks", {"name": "BAD"})
    path = "/c/bank/BAD/content"
    refused(hma.post(path), 400, "Missing multipart/form-data file upload")
    metadata = hma.ask("POST", path, files={"photo": PICTURE}, fields={"metadata": "{"})
    assert metadata.status == 400
    other = hma.ask("POST", path, files={"photo": PICTURE}, fields={"metadata": '{"x": 1}'})
    assert other.status == 400
    missing = hma.ask("POST", "/c/bank/NONE/content", files={"photo": PICTURE})
    refused(missing, 404, "bank 'NONE' not found")
    hma.delete("/c/bank/BAD")


def test_a_list_is_switched_off_and_not_changed(hma: Program) -> None:
    assert hma.post("/c/bank/DEMO_PDQ/signal", {"pdq": FAR}).status == 403
    assert hma.put("/c/bank/DEMO_PDQ", {"name": "X"}).status == 403
    assert hma.delete("/c/bank/DEMO_PDQ").status == 403
    hma.put("/c/bank/DEMO_PDQ", {"enabled_ratio": 0})
    query = {"signal": KNOWN, "signal_type": "pdq"}
    assert hma.get("/m/lookup", **query).json == {}
    assert hma.get("/m/raw_lookup", **query).json == {"matches": []}
    assert hma.get("/m/raw_lookup", **query, include_disabled="1").json["matches"]
    hma.put("/c/bank/DEMO_PDQ", {"enabled_ratio": 1})
    assert hma.get("/m/lookup", **query).json != {}


def test_a_share_of_hashes_is_always_the_same_share(hma: Program) -> None:
    hma.put("/c/bank/DEMO_PDQ", {"enabled_ratio": "0.5"})
    hashes = sorted(HASHES.values())[:60]

    def found(**more: str) -> list[bool]:
        return [
            bool(hma.get("/m/lookup", signal=each, signal_type="pdq", **more).json)
            for each in hashes
        ]

    once = found()
    assert 10 < sum(once) < 50
    assert found() == once
    assert all(found(bypass_coinflip="true"))
    assert found(seed="a") != once
    hma.put("/c/bank/DEMO_PDQ", {"enabled_ratio": 1})


def test_a_snapshot_has_another_name_after_each_change_of_a_bank(hma: Program) -> None:
    query = {"signal": FAR, "signal_type": "pdq"}
    names = [hma.get("/m/lookup", **query).headers["x-snapshot"]]
    hma.post("/c/banks", {"name": "NAMED"})
    number = hma.post("/c/bank/NAMED/signal", {"pdq": FAR}).json["id"]
    for ratio in (0, 1):
        names.append(hma.get("/m/lookup", **query).headers["x-snapshot"])
        hma.put("/c/bank/NAMED", {"enabled_ratio": ratio})
    names.append(hma.get("/m/lookup", **query).headers["x-snapshot"])
    hma.put(f"/c/bank/NAMED/content/{number}", {"disable_until_ts": int(time.time()) + 1})
    names.append(hma.get("/m/lookup", **query).headers["x-snapshot"])
    wait_for(lambda: "NAMED" in hma.get("/m/lookup", **query).json)
    names.append(hma.get("/m/lookup", **query).headers["x-snapshot"])
    hma.delete("/c/bank/NAMED")
    assert len(set(names)) == len(names) == 6
    assert all(name.startswith("demo-pdq@") and ",banks@" in name for name in names)
    assert hma.get("/m/lookup", **query).headers["x-snapshot"] not in names


def test_kinds(hma: Program) -> None:
    assert hma.get("/c/signal_type").json == [{"enabled_ratio": 1.0, "name": "pdq"}]
    assert hma.get("/c/content_type").json == [
        {"enabled": True, "name": "photo"}, {"enabled": True, "name": "video"},
    ]  # fmt: skip


def test_what_a_client_asks_whose_address_ends_in_a_slash(hma: Program) -> None:
    assert hma.post("//c/banks", {"name": "SLASH"}).status == 201
    assert hma.get("//c/bank/SLASH").json["name"] == "SLASH"
    assert hma.get("//m/lookup", signal=KNOWN, signal_type="pdq").json.keys() == {"DEMO_PDQ"}
    hma.delete("//c/bank/SLASH")


def test_banks_outlive_the_service(tmp_path: Path) -> None:
    with service("--data", tmp_path / "data") as first:
        first.post("/c/banks", {"name": "KEPT"})
        number = first.post("/c/bank/KEPT/signal", {"pdq": FAR}).json["id"]
    with service("--data", tmp_path / "data") as second:
        found = second.get("/m/lookup", signal=FAR, signal_type="pdq").json
        assert found == {"KEPT": [{"bank_content_id": number, "distance": "0"}]}
    assert (tmp_path / "data").stat().st_mode & 0o077 == 0


def test_without_a_folder_for_banks_hashes_are_still_looked_up() -> None:
    with service() as program:
        for path in ("/c/banks", "/c/bank/DEMO_PDQ"):
            answer = program.ask("GET", path)
            assert (answer.status, "Give --data" in answer.json["message"]) == (403, True)
        query = {"signal": FAR, "signal_type": "pdq"}
        assert program.ask("GET", "/m/lookup", query).status == 200


# What must not be an internal error, nor pass in silence


def test_paths_of_their_own(hma: Program) -> None:
    answer = hma.get("/")
    assert (answer.status, answer.headers["location"]) == (302, "/status")
    assert {"/m/lookup", "/c/bank/{bank}"} <= {*hma.get("/site-map").json}
    assert hma.get("/openapi/openapi.json").json["openapi"] == "3.1.0"


@pytest.mark.parametrize("path", ["/h/hash/", "/c/banks/", "/m/lookup/"])
def test_a_slash_at_the_end_is_another_path(hma: Program, path: str) -> None:
    assert hma.get(path).status == 404


@pytest.mark.parametrize("digits", ["9" * 19, "9" * 30, "9" * 5000])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_no_content_has_such_a_number(hma: Program, method: str, digits: str) -> None:
    hma.post("/c/banks", {"name": "NUMBERS"})
    answer = hma.ask(method, f"/c/bank/NUMBERS/content/{digits}", given={})
    assert (answer.status, answer.json.keys()) == (404, {"message"})


@pytest.mark.parametrize(
    "metadata", ["[" * 60_000, '{"json": "\\ud800"}', '{"json": NaN}', '{"json": 1', "\\"]
)
def test_metadata_that_is_no_json_is_refused_and_not_kept(hma: Program, metadata: str) -> None:
    hma.post("/c/banks", {"name": "METADATA"})
    fields = {"metadata": metadata}
    answer = hma.ask("POST", "/c/bank/METADATA/content", files={"photo": PICTURE}, fields=fields)
    refused(answer, 400, "cannot read metadata: it is no JSON.")


@pytest.mark.parametrize(
    ("body", "ratio"),
    [
        ('{"enabled": "false"}', 0),
        ('{"enabled": "true"}', 1),
        ('{"enabled": false, "enabled_ratio": 1}', 0),
        ('{"enabled": false, "enabled_ratio": "0.5"}', 0),
        ('{"enabled": true, "enabled_ratio": "0.5"}', 0.5),
        ('{"enabled": null, "enabled_ratio": null}', 0),
    ],
)
def test_a_bank_that_is_said_to_be_off_is_off(hma: Program, body: str, ratio: float) -> None:
    hma.post("/c/banks", {"name": "SAID"})
    hma.put("/c/bank/SAID", {"enabled_ratio": 0})
    answer = hma.ask("PUT", "/c/bank/SAID", body=body.encode())
    assert answer.json == {"matching_enabled_ratio": ratio, "name": "SAID"}


@pytest.mark.parametrize("ratio", ["1" + "0" * 400, "1e999", '"nan"', '"inf"', "true", "[]", "-1"])
def test_what_is_no_ratio_is_refused(hma: Program, ratio: str) -> None:
    body = b'{"name": "RATIO", "enabled_ratio": %s}' % ratio.encode()
    assert hma.ask("POST", "/c/banks", body=body).status == 400
    validation(hma.post("/c/banks", {"name": "RATIO", "enabled": "x"}), "enabled", "bool_parsing")
    assert hma.get("/c/bank/RATIO").status == 404


def test_an_unknown_type_is_no_empty_answer(hma: Program) -> None:
    answer = hma.get("/m/lookup", url="https://example.org/a.png", signal_type="x")
    refused(answer, 400, "No such SignalType 'x'")


def test_a_form_of_many_parts_is_refused(hma: Program) -> None:
    part = b'--xx\r\nContent-Disposition: form-data; name="a"\r\n\r\nb\r\n'
    body = part * 10_000 + b"--xx--\r\n"
    kind = {"content-type": "multipart/form-data; boundary=xx"}
    answer = hma.ask("POST", "/h/hash", body=body, headers=kind)
    refused(answer, 413, "Content too large")


@pytest.mark.parametrize("value", ["f0e1d2c3b4a59687", FAR])
def test_a_hash_in_the_wrong_place_is_not_shown(hma: Program, value: str) -> None:
    files = {"photo": PICTURE}
    for answer in (
        hma.get("/m/lookup", signal="pdq", signal_type=value),
        hma.get("/m/raw_lookup", signal="pdq", signal_type=value),
        hma.get("/m/index/status", signal_type=value),
        hma.post("/m/compare", {value: [value, value]}),
        hma.post("/m/compare", {"pdq": [value + "x", value]}),
        hma.post("/c/bank/A/signal", {value: value}),
        hma.ask("POST", "/h/hash", {"types": value}, files=files),
        hma.ask("POST", "/h/hash", files={value: PICTURE}),
        hma.ask("POST", "/v1/check", {"surface": value, "item_id": "a"}, body=PICTURE),
        hma.post("/v1/match", {"hash": value + "x", "algorithm": value}),
        hma.post("/v1/match", {value: value}),
        hma.post("/v1/explain", {"hash": value + "x"}),
    ):
        assert 400 <= answer.status < 500
        assert value[:8] not in answer.body.decode()


# Videos


@pytest.fixture(scope="module")
def film() -> bytes:
    return encoded(shots(1, 8))


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory, film: bytes) -> Iterator[Program]:
    frames = hash_video(film).frames
    assert frames is not None
    folder = tmp_path_factory.mktemp("videos")
    (folder / "clips.json").write_text(json.dumps({"clip-7": json.loads(write_signal(frames))}))
    (folder / "digests.csv").write_text(f"video_md5,id\n{hashlib.md5(film).hexdigest()},whole\n")
    lists = (f"vpdq={folder / 'clips.json'}", f"video_md5={folder / 'digests.csv'}", DEMO)
    with service("--data", folder / "data", lists=lists) as program:
        yield program


def test_a_video_is_hashed_and_looked_up(videos: Program, film: bytes) -> None:
    answer = videos.ask("POST", "/h/hash", files={"video": film})
    assert answer.json.keys() == {"vpdq", "video_md5"}
    assert answer.json["video_md5"] == hashlib.md5(film).hexdigest()
    frames = json.loads(answer.json["vpdq"])
    assert all(len(frame.split(",")) == 3 for frame in frames)
    assert videos.ask("POST", "/h/hash", files={"photo": PICTURE}).json.keys() == {"pdq"}
    found = videos.ask("POST", "/m/lookup", files={"video": film}).json
    (bank,) = found["vpdq"]
    assert found["vpdq"][bank][0]["distance"].startswith("query_match_percent ")
    assert next(iter(found["video_md5"].values()))[0]["distance"] == "-"
    query = {"signal": answer.json["vpdq"], "signal_type": "vpdq"}
    assert videos.get("/m/lookup", **query).json[bank] == found["vpdq"][bank]
    refused(videos.get("/m/lookup", **{**query, "signal": "[]"}), 400,
            "invalid signal: invalid vpdq hash: a video has no frame")  # fmt: skip


def test_a_video_is_checked(videos: Program, film: bytes) -> None:
    query = {"surface": "public_post", "item_id": "post/1"}
    checked = videos.ask("POST", "/v1/check", query, body=film)
    assert checked.json["outcome"] == "match"
    assert {match["algorithm"] for match in checked.json["record"]["matches"]} == {
        "vpdq",
        "video_md5",
    }


def test_signals_of_videos_are_compared(videos: Program, film: bytes) -> None:
    one = videos.ask("POST", "/h/hash", {"types": "vpdq"}, files={"video": film}).json["vpdq"]
    other = write_signal(drawn_video(3, 8))
    assert videos.post("/m/compare", {"vpdq": [one, one]}).json == {
        "vpdq": [True, {"query_match_percent": 100.0, "compared_match_percent": 100.0}]
    }
    assert videos.post("/m/compare", {"vpdq": [one, other]}).json["vpdq"][0] is False
