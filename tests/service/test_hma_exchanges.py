"""``/c/exchanges`` of Hasher-Matcher-Actioner, row by row, against a running service."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import stat
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

import hashmatch as hm
from cli_tools import DEMO, run
from exchange_servers import SECRET, StopNciiServer, serving
from hashmatch.exchanges.config import Exchanges
from hashmatch.service import hma_exchanges
from hashmatch.service.http import HttpError
from hashmatch.service.tokens import TokenFile
from processes import wait_for
from service_program import Answer, Program, service

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.service.http import Request
    from hashmatch.service.service import Service

NCMEC = {"environment": "https://exttest.cybertip.org/hashsharing"}
FIELD = {"name", "type", "required", "default", "help", "choices"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("exchanges") / "data"


@pytest.fixture(scope="module")
def hma(data: Path) -> Iterator[Program]:
    """Two processes, either of which answers."""
    with service("--data", data, "--workers", "2") as program:
        yield program


def refused(answer: Answer, status: int, message: str) -> None:
    assert (answer.status, answer.json) == (status, {"message": message})


def create(hma: Program, bank: Any, api: Any = "ncmec", api_json: Any = NCMEC) -> Answer:
    return hma.post("/c/exchanges", {"bank": bank, "api": api, "api_json": api_json})


def test_kinds(hma: Program) -> None:
    answer = hma.get("/c/exchanges/apis")
    assert answer.status == 200
    assert sorted(answer.json) == ["fb_threatexchange", "ncmec", "stop_ncii", "tat"]


@pytest.mark.parametrize("api", ["nothing", "url", "threatexchange", "../ncmec"])
def test_a_kind_that_is_not_known(hma: Program, api: str) -> None:
    path = "/c/exchanges/api/" + api.replace("/", "%2F")
    if "/" in api:
        assert hma.get(path).status in {400, 404}
        return
    refused(hma.get(path), 400, f"no such Exchange API '{api}'")
    refused(hma.post(path, {"credential_json": {}}), 400, f"no such Exchange API '{api}'")
    refused(hma.get(f"{path}/schema"), 404, f"no such Exchange API '{api}'")


def test_schema(hma: Program) -> None:
    found = hma.get("/c/exchanges/api/fb_threatexchange/schema")
    assert found.status == 200
    (group,) = found.json["config_schema"]["fields"]  # and no address of a server
    assert group.keys() == FIELD
    assert (group["name"], group["type"], group["required"], group["choices"]) == (
        "privacy_group", "number", True, None,
    )  # fmt: skip
    (token,) = found.json["credentials_schema"]["fields"]
    assert (token["name"], token["type"]) == ("api_token", "string")
    (environment,) = hma.get("/c/exchanges/api/ncmec/schema").json["config_schema"]["fields"]
    assert environment["type"] == "enum"
    assert NCMEC["environment"] in environment["choices"]
    assert hma.get("/c/exchanges/api/stop_ncii/schema").json["config_schema"] == {"fields": []}


def test_credentials_are_written_and_never_read(hma: Program, data: Path) -> None:
    path = "/c/exchanges/api/tat"
    none = {"has_set_authentification": False, "supports_authentification": True}
    assert hma.get(path).json == none
    given = {"credential_json": {"username": "somebody", "password": SECRET}}
    answer = hma.post(path, given)
    assert (answer.status, answer.json) == (200, {**none, "has_set_authentification": True})
    assert hma.get(path).json["has_set_authentification"] is True
    kept = data / "exchanges" / "credentials" / "tat.json"
    assert stat.S_IMODE(os.stat(kept).st_mode) == 0o600
    assert SECRET in kept.read_text()
    bad: Any
    for bad in (
        {"username": SECRET},
        {"x": SECRET},
        {SECRET: SECRET},
        {"username": [SECRET], "password": SECRET},
        {"username": f"{SECRET}\n", "password": "a"},
        SECRET,
    ):
        answer = hma.post(path, {"credential_json": bad})
        assert answer.status == 400
        assert SECRET not in answer.body.decode()
    assert hma.get(path).json["has_set_authentification"] is True
    assert hma.post(path, {}).json["has_set_authentification"] is True
    assert hma.post(path, {"credential_json": {}}).json == none
    assert not kept.exists()


def test_create_show_change_and_delete(hma: Program, data: Path) -> None:
    answer = create(hma, "COOP_A_NCMEC")
    assert (answer.status, answer.json) == (201, {"message": "Created successfully"})
    for _ in range(8):  # of either process
        bank = hma.get("/c/bank/COOP_A_NCMEC")
        assert (bank.status, bank.json["matching_enabled_ratio"]) == (200, 1.0)
    assert "COOP_A_NCMEC" in hma.get("/c/exchanges").json
    shown = hma.get("/c/exchange/COOP_A_NCMEC")
    assert shown.status == 200
    assert list(shown.json.items()) == [
        ("name", "COOP_A_NCMEC"), ("api", "ncmec"), ("enabled", True), *NCMEC.items(),
    ]  # fmt: skip
    assert b"\n" in shown.body  # a ready-made string
    changed = hma.put("/c/exchange/COOP_A_NCMEC", {"enabled": False})
    assert (changed.status, changed.json["enabled"]) == (200, False)
    assert Exchanges(data / "exchanges").get("COOP_A_NCMEC").enabled is False
    assert hma.put("/c/exchange/COOP_A_NCMEC", {}).json["enabled"] is False
    assert hma.get("/c/exchange/COOP_A_NCMEC/status").json == {
        "checkpoint_ts": None, "fetched_items": 0, "last_fetch_complete_ts": None,
        "last_fetch_succeeded": None, "running_fetch_start_ts": None, "up_to_date": False,
    }  # fmt: skip
    for _ in range(2):
        answer = hma.delete("/c/exchange/COOP_A_NCMEC")
        assert (answer.status, answer.json) == (200, {"message": "Exchange deleted"})
    for _ in range(8):
        assert hma.get("/c/bank/COOP_A_NCMEC").status == 404
    refused(hma.get("/c/exchange/COOP_A_NCMEC"), 404, "Exchange 'COOP_A_NCMEC' not found")
    assert not (data / "exchanges" / "COOP_A_NCMEC").exists()
    assert create(hma, "COOP_A_NCMEC").status == 201
    hma.delete("/c/exchange/COOP_A_NCMEC")


def test_create_refuses(hma: Program) -> None:
    pattern = "Field `bank` must match /^[A-Z0-9_]$/"
    for bank in ("lower", "", None, 3, "A/B", "../A"):
        refused(create(hma, bank), 400, pattern)
    refused(create(hma, "A", api_json=[]), 400, "Field `api_json` must be object")
    refused(hma.post("/c/exchanges", {"bank": "A"}), 400, "Field `api_type` is required")
    refused(create(hma, "A", "nothing"), 400, "No such exchange type 'nothing'")
    refused(create(hma, "A", "url", {"url": "https://a.example"}), 400,
            "No such exchange type 'url'")  # fmt: skip
    for options in (
        {},
        {"environment": "https://evil.example"},
        {**NCMEC, "url": "https://e.example"},
    ):
        answer = create(hma, "A", api_json=options)
        assert answer.status == 400
        assert answer.json["message"].startswith(
            "Failed to parse `api_json`: cannot use the option"
        )
    assert create(hma, "A", "fb_threatexchange", {"privacy_group": "no number"}).status == 400
    assert "A" not in hma.get("/c/exchanges").json
    assert hma.get("/c/bank/A").status == 404


def test_a_name_that_is_taken_is_403(hma: Program) -> None:
    assert create(hma, "TWICE").status == 201
    refused(create(hma, "TWICE"), 403, "Exchange already exists")
    assert hma.post("/c/banks", {"name": "OWN_BANK"}).status == 201
    refused(create(hma, "OWN_BANK"), 403, "Bank already exists")
    refused(create(hma, "DEMO_PDQ"), 403, "Bank already exists")
    refused(hma.post("/c/banks", {"name": "TWICE"}), 403, "Bank already exists")
    assert hma.delete("/c/exchange/TWICE").status == 200


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_an_exchange_that_is_not_there(hma: Program, method: str) -> None:
    for name in ("NONE", "credentials", "..%2F..%2Fetc"):
        answer = hma.ask(method, f"/c/exchange/{name}", given={"enabled": True})
        assert answer.status == 404
    refused(hma.get("/c/exchange/NONE/status"), 404, "Exchange 'NONE' not found")


def test_double_slashes_and_unreadable_bodies(hma: Program) -> None:
    assert hma.get("//c/exchanges").status == 200
    assert hma.ask("POST", "/c/exchanges", body=b"{").status == 400
    assert hma.ask("POST", "/c/exchanges", body=b"[]").status == 422
    assert hma.put("/c/exchange/NONE", {"enabled": "maybe"}).status == 404


def test_what_is_created_is_fetched_and_matched(hma: Program, data: Path) -> None:
    """As an operator does it: a platform adds an exchange, and a cron job fetches it."""
    exchanges = Exchanges(data / "exchanges")
    with serving(StopNciiServer()) as server:
        assert create(hma, "LIVE", "stop_ncii", {}).status == 201
        answer = hma.post("/c/exchanges/api/stop_ncii", {"credential_json": server.credentials})
        assert answer.status == 200
        # Only an operator can have another server asked.
        config = json.loads((data / "exchanges" / "LIVE" / "exchange.json").read_text())
        config["options"]["url"] = server.url
        (data / "exchanges" / "LIVE" / "exchange.json").write_text(json.dumps(config))
        ran = run("list", "fetch", "--exchanges", data / "exchanges", "LIVE")
        assert ran.code == 0, ran.said
        known = server.entries[3].value
        query = {"signal": known, "signal_type": "pdq", "banks": "LIVE"}
        wait_for(lambda: all(hma.get("/m/lookup", **query).json.get("LIVE") for _ in range(6)))
        status = hma.get("/c/exchange/LIVE/status").json
        assert status["checkpoint_ts"] == server.clock
        assert status["fetched_items"] == 10
        assert (status["last_fetch_succeeded"], status["up_to_date"]) == (True, True)
        assert status["running_fetch_start_ts"] is None
        with exchanges.working("LIVE"):
            refused_answer = hma.delete("/c/exchange/LIVE")
            assert (refused_answer.status, refused_answer.headers["retry-after"]) == (503, "1")
        server.delete(3)
        assert run("list", "fetch", "--exchanges", data / "exchanges", "LIVE").code == 0
        wait_for(lambda: not any(hma.get("/m/lookup", **query).json for _ in range(6)))
        query["signal"] = server.entries[4].value
        assert hma.put("/c/bank/LIVE", {"enabled": False}).status == 200
        assert hma.get("/m/lookup", **query).json == {}
        assert hma.put("/c/bank/LIVE", {"enabled": True}).status == 200
        assert hma.delete("/c/exchange/LIVE").status == 200
        for _ in range(6):
            assert hma.get("/m/lookup", **query).json == {}
        assert hma.get("/c/bank/LIVE").status == 404


def test_lists_are_waited_for_and_not_let_go_of(tmp_path: Path) -> None:
    """What an exchange's list has is never answered with "no match" since the list is not there."""
    exchanges = Exchanges(tmp_path / "exchanges")
    run("list", "import", DEMO, "--store", tmp_path / "demo")
    for name in ("kept", "OTHER"):
        store = exchanges.add(name, "stopncii").store
        shutil.copytree(tmp_path / "demo", store)
    config = tmp_path / "exchanges" / "OTHER" / "exchange.json"
    before = config.read_bytes()
    config.write_text("{")
    manifest = Path(exchanges.get("kept").store) / "versions" / "00000001.json"
    versions = manifest.read_bytes()
    query = {"signal": hm.read_list(DEMO).storage[:1].to_hex()[0], "signal_type": "pdq"}
    options = "--data", tmp_path / "data", "--exchanges", tmp_path / "exchanges"
    with service(*options, lists=(), ready=False) as program:

        def is_unready(why: str) -> bool:
            refused(program.get("/m/lookup", **query), 503, "index not yet ready")
            answer = program.get("/readyz")
            assert answer.status == 503
            return why in str(answer.json["problems"])

        wait_for(lambda: is_unready("OTHER/exchange.json: it is damaged"))
        manifest.write_text("{")
        config.write_bytes(before)
        wait_for(lambda: is_unready("kept/store"))
        manifest.write_bytes(versions)
        wait_for(lambda: program.get("/readyz").status == 200, every=0.1)
        found = program.get("/m/lookup", **query).json
        assert len(found["DEMO"]) == 2
        shutil.rmtree(manifest.parent)  # such as by a file system that is not there any more
        wait_for(lambda: "kept/store" in str(program.get("/readyz").json["problems"]))
        assert program.get("/m/lookup", **query).json == found
        assert exchanges.remove("kept")
        wait_for(lambda: len(program.get("/m/lookup", **query).json["DEMO"]) == 1)
        assert program.get("/readyz").json["problems"] == []


def test_without_a_folder_there_are_none() -> None:
    service = cast("Service", SimpleNamespace(exchanges=None))
    for handler in (hma_exchanges.apis, hma_exchanges.exchanges):
        with pytest.raises(HttpError, match="the service has no folder for them") as caught:
            asyncio.run(handler(service, cast("Request", None)))
        assert caught.value.status == 403


def test_by_scope(tmp_path: Path) -> None:
    tokens = TokenFile(tmp_path / "tokens.json")
    curate = tokens.add("coop", ["curate"])
    master = tokens.add("admin", ["admin"])
    log = tmp_path / "access.log"
    with service("--tokens", tokens.path, "--data", tmp_path / "d", "--access-log", log,
                 token=curate, lists=()) as program:  # fmt: skip
        assert program.ask("GET", "/c/exchanges", token="none").status == 401
        given = {"credential_json": {"username": "a", "password": SECRET}}
        path = "/c/exchanges/api/tat"
        assert program.post(path, given).status == 403
        assert program.ask("POST", path, given=given, token=master).status == 200
        assert program.get(path).json["has_set_authentification"] is True
        everything = [program.get(each).body for each in (
            path, f"{path}/schema", "/c/exchanges", "/openapi.json", "/readyz")]  # fmt: skip
        everything.append(program.ask("GET", "/metrics", token=master).body)
        assert not any(SECRET.encode() in each for each in everything)
    assert SECRET not in log.read_text()
