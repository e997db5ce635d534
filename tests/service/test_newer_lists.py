"""Lists change under a running service: a version that cannot be used, and going back to one."""

from __future__ import annotations

import hashlib
import json
import shutil
from typing import TYPE_CHECKING

from cli_tools import DEMO, run
from processes import wait_for
from service_program import Program, service

if TYPE_CHECKING:
    from pathlib import Path

NEW = hashlib.sha256(b"new").hexdigest()


def outcome(api: Program) -> str:
    return str(api.post("/v1/match", {"hash": NEW}).json["outcome"])


def metric(api: Program, name: str) -> float:
    lines = api.get("/metrics").body.decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.split("{")[0].split()[0] == name)


def test_going_back_is_followed_without_a_pause_and_said(tmp_path: Path) -> None:
    store = tmp_path / "demo"
    run("list", "import", DEMO, "--store", store)
    (tmp_path / "more.jsonl").write_text(json.dumps({"hash": NEW, "id": "new"}))
    assert run("list", "update", store, tmp_path / "more.jsonl").code == 0
    with service(lists=(store,)) as api:
        assert outcome(api) == "match"
        before = api.get("/readyz").json["snapshot"]
        swaps = metric(api, "hashmatch_snapshots_total")
        went_back = run("serve", "rollback", store, "1")
        assert went_back.code == 0, went_back.said

        def is_back() -> bool:
            assert api.get("/readyz").json["ready"]
            return outcome(api) == "no_match"

        wait_for(is_back, every=0.1)
        ready = api.get("/readyz").json
        assert (ready["problems"], ready["snapshot"] != before) == ([], True)
        assert metric(api, "hashmatch_snapshots_total") == swaps + 1
        assert metric(api, "hashmatch_list_entries") == 207


def test_an_update_that_cannot_be_used_leaves_the_old_one_serving(tmp_path: Path) -> None:
    store, kept = tmp_path / "demo", tmp_path / "kept"
    run("list", "import", DEMO, "--store", store)
    (tmp_path / "more.jsonl").write_text(json.dumps({"hash": NEW, "id": "new"}))
    with service(lists=(store,)) as api:
        snapshot = api.get("/readyz").json["snapshot"]
        made = tmp_path / "made"
        shutil.copytree(store, made)
        assert run("list", "update", made, tmp_path / "more.jsonl").code == 0
        manifest = made / "versions" / "00000002.json"
        shutil.copyfile(manifest, kept)
        manifest.write_bytes(manifest.read_bytes()[:-20] + b"x" * 20)
        shutil.copytree(made, store, dirs_exist_ok=True)
        wait_for(lambda: metric(api, "hashmatch_list_problems") == 1, every=0.1)
        ready = api.get("/readyz")
        assert (ready.status, ready.json["snapshot"]) == (200, snapshot)
        (problem,) = ready.json["problems"]
        assert "version 2" in problem or "00000002" in problem
        assert api.get("/v1/lists").json["problems"] == [problem]
        assert outcome(api) == "no_match"
        shutil.copyfile(kept, store / "versions" / manifest.name)  # the list is restored
        wait_for(lambda: outcome(api) == "match", every=0.1)
        wait_for(lambda: metric(api, "hashmatch_list_problems") == 0, every=0.1)
        assert api.get("/readyz").json["problems"] == []
