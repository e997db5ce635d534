"""No hash is seen in answers, headers, logs, metrics, errors or objects of the service."""

from __future__ import annotations

import json
import signal
import sqlite3
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

import hashmatch as hm
from canaries import all_canaries, canaries, told
from canary_lists import FILES, with_canaries
from canary_objects import of_ours, shown
from cli_tools import run
from conftest import IMAGES
from hashmatch.records.hashes import HashBatch
from hashmatch.service.banks import BankError, Banks
from hashmatch.service.service import Service
from hashmatch.service.snapshots import Snapshots
from hashmatch.service.v1 import HashQuery
from hashmatch.store.encryption import ListKey
from processes import PATIENCE
from service_program import Program, service

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PICTURE = (IMAGES / "plain" / "tiles.png").read_bytes()
KNOWN = canaries("pdq")[0].hex()
OTHER = canaries("pdq")[700].hex()
LIST = next(path for path in FILES if path.name == "demo-pdq.csv")


def silent(output: bytes | str, about: str = "") -> None:
    found = all_canaries().find(output)
    assert not found, f"a hash is shown as {', '.join(found)}: {about}"


@pytest.fixture
def known(tmp_path: Path) -> Path:
    path = tmp_path / LIST.name
    path.write_bytes(with_canaries(LIST))
    assert all_canaries().find(path.read_bytes())
    return path


def questions(api: Program) -> Iterator[tuple[str, Any]]:
    """Ask all that a hash can be given to, as it is meant and as it is not."""
    for value in (KNOWN, KNOWN.upper(), KNOWN[:32], KNOWN + "0", f" {KNOWN}"):
        for path in ("/m/lookup", "/m/raw_lookup"):
            for name in ("pdq", "md5", value):
                yield path, api.get(path, signal=value, signal_type=name, include_distance="true")
            yield path, api.get(path, signal=value, signal_type="pdq", banks=value, seed=value)
            yield path, api.get(path, signal=value)
        yield "status", api.get("/m/index/status", signal_type=value)
        yield "compare", api.post("/m/compare", {"pdq": [value, OTHER]})
        yield "compare", api.post("/m/compare", {value: value})
        for path in ("/v1/match", "/v1/explain"):
            yield path, api.post(path, {"hash": value, "max_distance": 256})
            yield path, api.post(path, {"hash": 1, value: value})
            yield path, api.ask("POST", path, body=f'"{value}'.encode())
        lines = json.dumps({"hash": value}).encode() + b"\n" + value.encode() + b"\n"
        yield (
            "lines",
            api.ask(
                "POST", "/v1/match", body=lines, headers={"content-type": "application/x-ndjson"}
            ),
        )
        query = {"surface": value, "item_id": "a"}
        yield "check", api.ask("POST", "/v1/check", query, body=PICTURE)
        yield "form", api.ask("POST", "/h/hash", files={value: PICTURE})
        yield "types", api.ask("POST", "/h/hash", {"types": value}, files={"photo": PICTURE})
        yield "create", api.post("/c/banks", {"name": "A", "enabled_ratio": value})
        yield "unknown", api.post("/c/bank/NONE/signal", {"pdq": value})
        yield "note", api.post("/c/bank/BANK/signal", {"pdq": value + "x", "note": value})
        yield "fetch", api.get("/h/hash", url=f"https://example.org/{value}")
        yield "fetch", api.ask("POST", "/v1/check", {**query, "url": value}, body=b"")
        named = quote(value)
        yield "type", api.put(f"/c/signal_type/{named}", {"enabled_ratio": value})
        yield "type", api.put("/c/signal_type/pdq", {"enabled_ratio": value})
        for path in (f"/{named}", f"/ui/{named}", f"/v1/{named}", f"/c/bank/A/content/{named}"):
            yield path[:3], api.get(path)
            yield path[:3], api.ask("PATCH", path)
        yield "explain", api.ask("POST", "/v1/explain", files={value: PICTURE})
        yield "host", api.ask("GET", "/v1/lists", headers={"host": f"{value}.example"})
        yield "token", api.ask("GET", "/v1/lists", token=value)
    for path in (
        "/v1/lists", "/v1/snapshots", "/openapi/", "/openapi.json", "/readyz", "/c/banks",
        "/c/signal_type/index", "/metrics",
    ):  # fmt: skip
        yield path, api.get(path)


def test_what_the_service_says(known: Path, tmp_path: Path) -> None:
    log, data, disabled = (tmp_path / name for name in ("access.jsonl", "data", "disabled.jsonl"))
    queue, key = tmp_path / "queue.db", tmp_path / "recent.key"
    run("review", "init", queue)
    ListKey.generate().save(str(key))
    disabled.write_text("")
    recent = ("--recent", tmp_path / "recent.db", "--recent-key", key, "--review", queue)
    options: tuple[str | Path, ...] = (
        "--access-log",
        log,
        "--data",
        data,
        "--missed",
        tmp_path / "missed.db",
        *recent,
    )
    options += ("--disabled", disabled)
    with service(*options, lists=(known,)) as api:
        api.post("/c/banks", {"name": "BANK"})
        number = api.post("/c/bank/BANK/signal", {"pdq": OTHER}).json["id"]
        found = api.get("/m/lookup", signal=OTHER, signal_type="pdq").json["BANK"]
        assert found[0]["bank_content_id"] == number
        for about, answer in questions(api):
            silent(f"{answer.headers}".encode() + answer.body, f"{about} {answer.status}")
            assert answer.status != 500
        for name in ("recent.db", "recent.db-wal", "missed.db", "missed.db-wal"):
            if (tmp_path / name).exists():
                silent((tmp_path / name).read_bytes(), name)
        shown_content = api.get(f"/c/bank/BANK/content/{number}")
        silent(shown_content.body)
        with sqlite3.connect(data / "banks.db") as broken:
            broken.execute("DROP TABLE signal")
        for answer in (
            api.post("/c/bank/BANK/signal", {"pdq": KNOWN}),
            api.get("/m/lookup", signal=OTHER, signal_type="pdq"),
            api.get(f"/c/bank/BANK/content/{number}", include_signals="true"),
        ):
            silent(f"{answer.headers}".encode() + answer.body)
        api.process.send_signal(signal.SIGTERM)
        assert api.process.stderr
        silent(api.process.stderr.read(), "standard error")
        api.process.wait(PATIENCE)
    silent(log.read_bytes(), "access log")


def test_what_its_objects_say(known: Path, tmp_path: Path) -> None:
    banks = Banks(tmp_path / "data")
    banks.create("BANK", 1.0, "")
    spec = hm.HashSpec("pdq", 256)
    numbers = [
        banks.add("BANK", {"pdq": HashBatch.from_bytes(spec, value)}, "")
        for value in canaries("pdq")[700:705]
    ]
    banks.update(numbers[0], "", disable_until=1, note=None)
    fixed = [hm.read_list(known)]
    snapshots = Snapshots(lambda lists: hm.Matcher(*lists), fixed=fixed, banks=banks)
    snapshots.open()
    with hm.DecodePool(1) as pool:
        things: list[Any] = [snapshots, snapshots.current, banks, banks.history()]
        silent(f"{Service(snapshots, pool)!r} {HashQuery(KNOWN)!r}")
        things += [*banks._on.values(), *banks._off.values()]
        things += [banks.lists(), banks.content(numbers[0])]
        for thing in things:
            for each in of_ours(thing):
                silent(shown(each), type(each).__name__)
    banks.close()


def test_what_its_errors_say(tmp_path: Path) -> None:
    banks = Banks(tmp_path / "data")
    signals = {"pdq": HashBatch.from_bytes(hm.HashSpec("pdq", 256), canaries("pdq")[0])}
    with pytest.raises(BankError) as missing:
        banks.add("NONE", signals, "")
    silent(told(missing.value))
    banks.create("BANK", 1.0, "")
    with sqlite3.connect(banks.path) as broken:
        broken.execute("DROP TABLE signal")
    with pytest.raises(hm.StoreError) as failed:
        banks.add("BANK", signals, "")
    silent(told(failed.value))
    banks.close()
