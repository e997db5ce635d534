"""The examples in the help of each command run as they are printed."""

from __future__ import annotations

import os
import random
import re
import shlex
import shutil
import subprocess
from base64 import b64encode
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import click
import pytest

from cli_tools import DEMO, IMAGES, environment, run
from conftest import FIXTURES
from every_command import COMMANDS
from hashmatch.cli import main
from hashmatch.cli.command import Command
from hashmatch.review.drafts.account import read_account
from hashmatch.review.drafts.draft import confirmed_case, make_draft, sign_draft, write_draft
from hashmatch.review.feedback import answer_proposal, disable
from hashmatch.review.lawful_requests import add_request, answer_request
from hashmatch.review.preservation import ask, preserve
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.settings import Settings
from hashmatch.service.missed import MissedItems
from hashmatch.store.signing import load_private
from processes import PATIENCE, warm_program
from review_drafts import choose_all
from review_queues import take_case
from review_records import make_record, random_hash

if TYPE_CHECKING:
    from pathlib import Path

PARSED_ONLY = re.compile(
    r"s3://|postgresql://|https://|^hashmatch (review serve|serve|warm|list fetch)"
)
"""These would need a server, never end, or compile for minutes."""


def lines(command: click.Command) -> list[str]:
    """Return the commands of its examples, each in one line."""
    assert isinstance(command, Command)
    return "\n".join(command.examples).replace("\\\n", " ").splitlines()


EXAMPLES = {
    path: lines(command)
    for path, command in COMMANDS.items()
    if not isinstance(command, click.Group)
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the examples name."""
    folder = tmp_path_factory.mktemp("examples") / "made"
    photos = folder / "photos"
    photos.mkdir(parents=True)
    for name in ("tiles.png", "landscape-dusk.jpg"):
        shutil.copy(IMAGES / "plain" / name, photos)
    shutil.copy(IMAGES / "plain" / "landscape-dusk.jpg", folder / "photo.jpg")
    shutil.copy(IMAGES.parent / "videos" / "h264.mp4", folder / "clip.mp4")
    plain = folder / "fixtures" / "images" / "plain"
    plain.mkdir(parents=True)
    shutil.copy(IMAGES / "plain" / "tiles.png", plain)
    rows = DEMO.read_text().splitlines()
    hashes = [row.partition(",")[0] for row in rows[1:]]
    for name in ("known.csv", "pdq.csv"):
        shutil.copy(DEMO, folder / name)
    (folder / "md5.txt").write_text("md5\n0123456789abcdef0123456789abcde0\n")
    (folder / "export.csv").write_text(
        "\n".join(["Print,Reference", *(f"{text},{n}" for n, text in enumerate(hashes))])
    )
    (folder / "hashes.txt").write_text("\n".join(hashes[:3]))
    (folder / "dhashes.csv").write_text(
        "\n".join(["dhash", *(b64encode(os.urandom(8)).decode() for _ in range(9))])
    )
    (folder / "from-the-sender.csv").write_text(
        "picture,hash\nfixtures/images/plain/tiles.png,d0496e043497fbe5\n"
    )
    for name in ("hotline", "changes"):
        (folder / name).mkdir()
    shutil.copy(DEMO, folder / "hotline" / "1.csv")
    more = f"pdq,id\n{hashes[0][::-1]},more\n"
    (folder / "changes" / "2.csv").write_text(more)
    (folder / "changes.jsonl").write_text(f'{{"pdq": "{hashes[1][::-1]}", "id": "other"}}\n')
    (folder / "token").write_text("t" * 40)
    (folder / "token").chmod(0o600)
    (folder / "hotline-credentials.json").write_text('{"username": "a", "password": "b"}')
    for words in (
        "list keygen lists-2026",
        "list import hotline --store lists/hotline --sign lists-2026.key",
        "list update lists/hotline changes --sign lists-2026.key",
        "list exchange add hotline tat",
        "review webhook secret hook.secret",
        "token add tokens.json clients --scope match",
        "scan photos -l lists/hotline -s profile_photo --keep-hashes kept --keep-for 30d --state "
        "state --out review.jsonl --include-hash --trust lists-2026.pub",
    ):
        ran = run(*words.split(), cwd=folder)
        assert ran.code == 0, ran.said
    make_queue(folder / "queue.db")
    make_drafts(folder)
    MissedItems(str(folder / "missed.db")).close()
    return folder


def make_queue(path: Path) -> None:
    """Make a queue of 20 cases: 17 is confirmed, 18 to 20 are not a match, and 20 is accepted."""
    verdicts = {17: "confirmed", 18: "not_a_match", 19: "not_a_match", 20: "not_a_match"}
    ago = datetime.now(UTC) - timedelta(days=2)
    settings = Settings(same_picture={})
    with ReviewQueue.open(str(path), create=True, settings=settings, now=lambda: ago) as queue:
        rng = random.Random(20260101)
        queue.add(
            make_record(n, random_hash(rng), distance=9, name="hotline") for n in range(1, 21)
        )
        queue.reviewers.add("ana")
        for _ in range(20):
            case = take_case(queue, "ana")
            verdict = verdicts.get(int(case.case_id.rpartition("-")[2]), "unsure")
            queue.decide(case.case_id, "ana", verdict, "seen", case.reviewed_digest)
    with ReviewQueue.open(str(path)) as queue:
        answer_proposal(queue, "20", "ben", accept=True)
        disable(queue, "hotline", "img-78", "ana", "a stock photo")


def make_drafts(folder: Path) -> None:
    """Draft a report of case 17, sign it, hold and preserve others, and answer a request."""
    shutil.copy(FIXTURES / "account.json", folder)
    (folder / "account.json").chmod(0o600)
    shutil.copy(FIXTURES / "lists" / "stopncii-page-1.json", folder / "stopncii.json")
    ago = datetime.now(UTC) - timedelta(days=1)
    with ReviewQueue.open(str(folder / "queue.db")) as queue:
        case = confirmed_case(queue, "17")
        choose_all(queue, case)
        account = read_account(folder / "account.json")
        write_draft(queue, make_draft(queue, case, "ncmec", account), folder / "draft", "ana")
        for name in ("ana", "ben"):
            sign_draft(queue, folder / "draft", name)
        queue.hold("15", "ana", "a court asked for it")
        for number in ("16", "17"):
            preserve(queue, number, "9900000", ago, "ana")
        ask(queue, "16", "release", "zoe", "why")
        add_request(queue, "2026-113", "a court", ago, ["17"], "ana")
        key = load_private(str(folder / "lists-2026.key"))
        answer_request(queue, "2026-113", folder / "answer", key, "Officer Example", "ana")


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    """A copy of it, that a command may change."""
    return shutil.copytree(made, tmp_path / "folder")


@pytest.mark.parametrize("path", EXAMPLES, ids=" ".join)
def test_every_command_has_an_example_of_itself(path: tuple[str, ...]) -> None:
    found = EXAMPLES[path]
    assert any(line.split()[1:][: len(path)] == list(path) for line in found)
    assert all(line.startswith("hashmatch ") for line in found)
    command = COMMANDS[path]
    assert isinstance(command, Command)
    assert max(map(len, command.examples)) <= 78  # with the indentation, 80 columns


@pytest.mark.parametrize("path", EXAMPLES, ids=" ".join)
def test_examples_run(path: tuple[str, ...], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for line in EXAMPLES[path]:
        if PARSED_ONLY.search(line):
            parse(shlex.split(line)[1:])
            continue
        if line.startswith(("hashmatch list keygen", "hashmatch review webhook secret")):
            for name in ("lists-2026.key", "lists-2026.pub", "hook.secret"):
                (folder / name).unlink()  # neither is written over
        done = subprocess.run(
            ["bash", "-euc", line],
            env=environment(
                PATH=f"{warm_program().parent}:{os.environ['PATH']}",
                HASHMATCH_TRUSTED_KEYS=str(folder / "lists-2026.pub"),
                TMPDIR=str(folder),
            ),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stderr}"
        assert "Traceback" not in done.stderr


def parse(words: list[str]) -> None:
    """Parse a command line as the program does, and do no more."""
    with ExitStack() as stack:
        context = stack.enter_context(main.make_context("hashmatch", words))
        while isinstance(context.command, click.Group):
            rest = [*context._protected_args, *context.args]
            name, command, rest = context.command.resolve_command(context, rest)
            assert command is not None
            context = stack.enter_context(command.make_context(name, rest, parent=context))
