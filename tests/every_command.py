"""Every command of the command line, and one way to call each that can be called by itself."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click
import numpy as np
from PIL import Image

from cli_tools import DEMO, IMAGES, PROGRAM, environment, run
from conftest import FIXTURES, LISTS
from hashmatch.cli import main
from hashmatch.cli.command import walk
from hashmatch.cli.list_store import rollback
from hashmatch.cli.scan import status
from hashmatch.review.drafts.account import read_account
from hashmatch.review.drafts.draft import confirmed_case, make_draft, sign_draft, write_draft
from hashmatch.review.lawful_requests import add_request, answer_request
from hashmatch.review.queue import ReviewQueue
from hashmatch.service.missed import MissedItems
from hashmatch.store.signing import load_private
from processes import PATIENCE, Process
from review_drafts import choose_all
from review_queues import take_and_decide
from review_records import many

if TYPE_CHECKING:
    from pathlib import Path


COMMANDS = dict(walk(main)) | {
    ("scan", "status"): status,
    ("serve", "rollback"): rollback,
}
LEAVES = {path for path, command in COMMANDS.items() if not isinstance(command, click.Group)}

RULES = "--list known.csv"
CALLS = {
    "scan": f"photos {RULES} --surface public_post",
    "scan status": "state",
    "calibrate": "known.csv --benign photos --out report.html",
    "rescan": f"kept {RULES}",
    "hash": "photos",
    "match": f"{'0' * 64} {RULES}",
    "list inspect": "known.csv",
    "list probe": "photos/tiles.png d0496e043497fbe5",
    "list hubs": "known.csv",
    "list import": "known.csv --store new",
    "list update": "store more.csv",
    "list fetch": "",
    "list exchange add": "other url --option url=https://a.example/a.csv --credentials a.key",
    "list exchange list": "",
    "list exchange kinds": "",
    "list exchange credentials": "hotline --remove",
    "list exchange enable": "hotline",
    "list exchange disable": "hotline",
    "list exchange remove": "hotline",
    "list verify": "store",
    "list diff": "store",
    "list log": "store",
    "list sign": "store --sign a.key",
    "list rollback": "store 1 --accept size-change",
    "serve rollback": "store 1 --accept size-change",
    "list export": "store --reveal-hashes",
    "list keygen": "b",
    "review init": "new.db",
    "review add": "queue.db records.jsonl",
    "review status": "queue.db",
    "review history": "queue.db",
    "review verify": "queue.db",
    "review purge": "queue.db",
    "review settings": "queue.db",
    "review export": "queue.db",
    "review precision": "queue.db",
    "review case list": "queue.db",
    "review case show": "queue.db 1",
    "review case reopen": "queue.db 1",
    "review case hold": "queue.db 1 --reason why",
    "review case release": "queue.db 1 --reason why",
    "review entry list": "queue.db",
    "review entry disable": "queue.db known an-entry --reason why",
    "review entry enable": "queue.db known an-entry --reason why",
    "review entry report": "queue.db known --out report.jsonl",
    "review benign list": "queue.db",
    "review benign accept": "queue.db 1 --reason why",
    "review benign refuse": "queue.db 1 --reason why",
    "review benign export": "queue.db --out benign.jsonl",
    "review reviewer list": "queue.db",
    "review reviewer add": "queue.db ana",
    "review reviewer remove": "queue.db ana",
    "review draft choose": "reported.db 1 --for ncmec",
    "review draft write": "reported.db 1 --for ncmec --account account.json --out new-draft",
    "review draft check": "reported.db one-draft",
    "review draft sign": "reported.db one-draft",
    "review draft feedback": "reported.db stopncii stopncii.json --reveal-hashes "
    "--out feedback.json",
    "review preserve add": "queue.db 1 --report 9900001 --filed 2026-01-31",
    "review preserve list": "queue.db",
    "review preserve extend": "queue.db 1 --until 2050-01-31 --reason why",
    "review preserve release": "queue.db 1 --reason why",
    "review preserve approve": "queue.db 1",
    "review preserve refuse": "queue.db 1",
    "review request add": "queue.db 2026-1 1 --authority court --received 2026-01-31",
    "review request list": "queue.db",
    "review request answer": "reported.db 2026-1 --out new-answer --sign a.key --to court",
    "review request check": "one-answer a.pub",
    "review webhook push": "queue.db --url https://moderation.example/hook --dead",
    "review webhook secret": "new.secret",
    "token add": "new.json uploads --scope match",
    "token list": "tokens.json",
    "token revoke": "tokens.json uploads",
    "missed list": "missed.db",
    "missed run": f"missed.db queue.db {RULES}",
    "missed settle": "missed.db --reason-prefix gone",
    "demo": "",
}
"""What each is called with in the folder that `make_folder` makes; some are refused there."""
NOT_CALLED = {"review serve", "serve", "warm", "completion"}
"""Two never end, one compiles for minutes where nothing is compiled yet, and what one prints is a
script for a shell."""


def make_folder(folder: Path) -> Path:
    """Make what `CALLS` names: pictures, lists, a store of two versions, a queue, a state."""
    folder.mkdir()
    (folder / "known.csv").write_bytes(DEMO.read_bytes())
    (folder / "more.csv").write_text(
        "pdq,id\n0123456789abcdef00112233445566778899aabbccddeeff1f2e3d4c5b6a7988,more\n"
    )
    photos = folder / "photos"
    photos.mkdir()
    for name in ("tiles.png", "landscape-dusk.jpg"):
        (photos / name).write_bytes((IMAGES / "plain" / name).read_bytes())
    Image.fromarray(np.full((99, 99, 3), 128, np.uint8)).save(photos / "flat.png")
    (photos / "note.txt").write_text("no picture")

    def call(line: str) -> None:
        ran = run(*line.split(), cwd=folder)
        assert ran.code == 0, ran.said

    call("list import known.csv --store store")
    call("list update store more.csv --accept size-change")
    call("list keygen a")
    call("list exchange add hotline tat")
    call("list exchange disable hotline")
    call("review init queue.db")
    call("token add tokens.json uploads --scope match")
    (folder / "account.json").write_bytes((FIXTURES / "account.json").read_bytes())
    (folder / "account.json").chmod(0o600)
    (folder / "stopncii.json").write_bytes((LISTS / "stopncii-page-1.json").read_bytes())
    _report(folder)
    MissedItems(str(folder / "missed.db")).close()
    call(
        f"scan photos {RULES} --surface public_post --out records.jsonl --review queue.db "
        "--state state --keep-hashes kept --keep-for 9d --include-hash"
    )
    return folder


def _report(folder: Path) -> None:
    """Make a queue with a confirmed case, a draft of its report, and an answered request."""
    ago = datetime.now(UTC) - timedelta(days=2)
    where = str(folder / "reported.db")
    with ReviewQueue.open(where, create=True, now=lambda: ago) as queue:
        queue.add(many(1))
        take_and_decide(queue, "confirmed")
    with ReviewQueue.open(where) as queue:
        case = confirmed_case(queue, "1")
        choose_all(queue, case)
        account = read_account(folder / "account.json")
        write_draft(queue, make_draft(queue, case, "ncmec", account), folder / "one-draft", "ana")
        for name in ("ana", "ben"):
            sign_draft(queue, folder / "one-draft", name)
        add_request(queue, "2026-1", "a court", ago, ["1"], "ana")
        key = load_private(str(folder / "a.key"))
        answer_request(queue, "2026-1", folder / "one-answer", key, "court", "ana")


def closed(folder: Path, *args: str, out: bool, err: bool) -> int:
    """Run a command whose standard output or error nobody reads, and return how it ended."""
    reader, writer = os.pipe()
    os.close(reader)
    with Process(
        [*PROGRAM, *args],
        stdin=subprocess.DEVNULL,
        stdout=writer if out else subprocess.DEVNULL,
        stderr=writer if err else subprocess.DEVNULL,
        env=environment(),
        cwd=folder,
    ) as process:
        os.close(writer)
        return process.wait(PATIENCE)
