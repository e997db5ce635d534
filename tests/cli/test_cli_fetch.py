"""``list fetch`` and ``list exchange``: what is added, fetched, said, and never shown."""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from cli_tools import Ran, one_line, run, running
from exchange_servers import (
    LOGIN_PAGE,
    SECRET,
    SERVERS,
    Reply,
    Server,
    StopNciiServer,
    TatServer,
    ThreatExchangeServer,
    serving,
)
from list_stores import held
from processes import PATIENCE, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def stopncii() -> Iterator[Server]:
    with serving(StopNciiServer()) as server:
        yield server


def add(folder: Path, server: Server, name: str = "hotline", *more: str) -> None:
    given = [f"--option={k}={v}" for k, v in {**server.options, "url": server.url}.items()]
    (folder / "lists").mkdir(exist_ok=True)
    ran = run(
        "list", "exchange", "add", name, server.kind, *given, "--store", f"lists/{name}", *more,
        cwd=folder,
    )  # fmt: skip
    assert ran.code == 0, ran.said
    if not more:
        secret = json.dumps(server.credentials).encode()
        kept = run("list", "exchange", "credentials", name, cwd=folder, stdin=secret)
        assert kept.code == 0, kept.said


def fetch(folder: Path, *args: str, **env: Any) -> Ran:
    return run("list", "fetch", *args, cwd=folder, **env)


def hashes(folder: Path, name: str = "hotline") -> set[str]:
    return {text for _, _, text, _ in held(hm.ListStore(folder / "lists" / name))}


@pytest.mark.parametrize("kind", SERVERS, ids=lambda each: each.kind)
def test_each_kind_and_no_credential_of_it_is_seen(tmp_path: Path, kind: type[Server]) -> None:
    """Not in what commands say, nor in any file but that of credentials."""
    with serving(kind()) as server:
        add(tmp_path, server)
        server.faults.extend([Reply(401, LOGIN_PAGE + SECRET.encode())] * 2)
        refused = fetch(tmp_path, "hotline", HASHMATCH_DEBUG="1")
        one_line(refused, "it refuses the credentials (401)")
        server.faults.clear()
        ran = fetch(tmp_path, "hotline")
        assert ran.code == 0, ran.said
        assert ran.out.startswith(b"hotline: version 1, ")
        assert ran.out.endswith(b": 10 added\n")
        assert hashes(tmp_path) == server.listed()
        said = refused.out + refused.err + ran.out + ran.err
        assert SECRET.encode() not in said
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        held_in = {path.name for path in files if SECRET.encode() in path.read_bytes()}
        assert held_in == {"credentials.json"}


def test_what_is_shown(tmp_path: Path, stopncii: Server) -> None:
    add(tmp_path, stopncii)
    assert fetch(tmp_path, "hotline", "--json").lines[0]["version"] == 1
    assert fetch(tmp_path, "hotline", "--json").lines[0]["version"] is None
    for command in ("list", "kinds"):
        shown = run("list", "exchange", command, cwd=tmp_path)
        as_json = run("list", "exchange", command, "--json", cwd=tmp_path)
        assert (shown.code, as_json.code) == (0, 0)
        assert SECRET not in (shown.out + as_json.out).decode()
    log = run("list", "log", "lists/hotline", cwd=tmp_path)
    assert "hotline-000001.page" in log.out.decode()


def test_credentials_from_a_file_or_the_environment(tmp_path: Path) -> None:
    with serving(ThreatExchangeServer()) as server:
        token = server.credentials["api_token"]
        add(tmp_path, server, "a", "--credentials-variable", "TE_TOKEN")
        one_line(fetch(tmp_path, "a"), "the environment has no TE_TOKEN")
        assert fetch(tmp_path, "a", TE_TOKEN=token).code == 0
        secret = tmp_path / "te.json"
        secret.write_text(json.dumps(server.credentials))
        add(tmp_path, server, "b", "--credentials", "te.json")
        secret.chmod(0o644)
        one_line(fetch(tmp_path, "b"), "it can be read by others")
        secret.chmod(0o600)
        assert fetch(tmp_path, "b").code == 0
        secret.write_text("{nonsense")
        ran = fetch(tmp_path, "b")
        one_line(ran, 'they are no JSON. Write {"api_token": "..."}'.replace('"', '"'))
        secret.write_text(f"{token}\n")  # the only one, just so
        assert fetch(tmp_path, "b").code == 0
        one_line(
            run("list", "exchange", "add", "c", "tat", "--credentials", "te.json",
                "--credentials-variable", "X", cwd=tmp_path),
            "Give one of the two",
        )  # fmt: skip


def test_without_credentials(tmp_path: Path, stopncii: Server) -> None:
    add(tmp_path, stopncii)
    run("list", "exchange", "credentials", "hotline", "--remove", cwd=tmp_path)
    one_line(fetch(tmp_path, "hotline"), "cannot fetch hotline: it has no credentials")
    bad = run("list", "exchange", "credentials", "hotline", cwd=tmp_path,
              stdin=b'{"fetch_function_key": "a"}')  # fmt: skip
    one_line(bad, "subscription_key is missing")


def test_all_that_are_enabled(tmp_path: Path, stopncii: Server) -> None:
    assert b"no exchange is enabled" in fetch(tmp_path).err
    assert fetch(tmp_path, "--quiet").err == b""
    add(tmp_path, stopncii, "a")
    with serving(TatServer()) as other:
        add(tmp_path, other, "b")
        add(tmp_path, other, "c")
        assert run("list", "exchange", "disable", "c", cwd=tmp_path).code == 0
        other.faults.append(Reply(404))
        ran = fetch(tmp_path)
        assert ran.code == 2
        assert b"a: version 1" in ran.out
        assert ran.said.splitlines()[-1].startswith("hashmatch: b: cannot fetch from 127.0.0.1")
        ran = fetch(tmp_path, "--json")
        assert ran.code == 0
        assert [(each["exchange"], each["version"]) for each in ran.lines] == [
            ("a", None), ("b", 1),
        ]  # fmt: skip
        assert not (tmp_path / "lists" / "c").exists()
        listed = run("list", "exchange", "list", cwd=tmp_path).out.decode()
        assert "c: tat, disabled, into" in listed
        assert "last fetch: never" in listed
        damaged = tmp_path / "exchanges" / "a" / "exchange.json"
        damaged.write_text("{")
        ran = fetch(tmp_path)
        assert (ran.code, ran.out) == (2, b"b: nothing is new, 1 page\n")
        assert ran.said.startswith("hashmatch: a: cannot use ")
        ran = run("list", "exchange", "list", cwd=tmp_path)
        assert (ran.code, ran.out.count(b"last fetch")) == (2, 2)
        assert ran.said.startswith("hashmatch: a: cannot use ")
        assert run("list", "exchange", "remove", "a", cwd=tmp_path).code == 0
        assert fetch(tmp_path).code == 0


def test_wrong_names_and_options(tmp_path: Path, stopncii: Server) -> None:
    def adding(*args: str) -> Ran:
        return run("list", "exchange", "add", *args, cwd=tmp_path)

    add(tmp_path, stopncii)
    one_line(fetch(tmp_path, "other"), "cannot find exchange 'other'", "there is hotline")
    one_line(adding("hotline", "tat"), "it already exists")
    one_line(adding("x", "tat", "--store", "lists/hotline"), "is the store of hotline")
    one_line(adding("x", "tatt"), "Did you mean tat?")
    for name in ("credentials", "lock", "../x", ".x", "x" * 65, ""):
        one_line(adding(name, "tat"), "cannot name an exchange")
    one_line(adding("x", "threatexchange"), "privacy_group: it is missing")
    one_line(adding("x", "threatexchange", "--option", "privacy_group=a"), "it is no whole number")
    one_line(adding("x", "ncmec", "--option", "environment=a"), "it is no choice. Give one of")
    one_line(adding("x", "tat", "--option", "a=b"), "one of them is not known")
    one_line(fetch(tmp_path, "hotline", "hotline", "--name", "x"), "Give --name with one NAME")
    config = tmp_path / "exchanges" / "hotline" / "exchange.json"
    config.write_text("{")
    one_line(fetch(tmp_path, "hotline"), "it is damaged, or not what belongs there")


def test_what_is_removed(tmp_path: Path, stopncii: Server) -> None:
    add(tmp_path, stopncii)
    assert fetch(tmp_path, "hotline").code == 0
    assert run("list", "exchange", "remove", "hotline", cwd=tmp_path).code == 0
    assert not (tmp_path / "exchanges" / "hotline").exists()
    assert hashes(tmp_path) == stopncii.listed()
    one_line(run("list", "exchange", "remove", "hotline", cwd=tmp_path), "cannot find exchange")


def test_plain_http_and_private_hosts(tmp_path: Path) -> None:
    for url, words in (
        ("http://hotline.example/l.csv", "plain http"),
        ("https://user:pw@hotline.example/l.csv", "it has a user or password"),
        ("ftp://hotline.example/l.csv", "another scheme"),
    ):
        run("list", "exchange", "remove", "x", cwd=tmp_path)
        ran = run("list", "exchange", "add", "x", "url", f"--option=url={url}", cwd=tmp_path)
        assert ran.code == 0
        one_line(fetch(tmp_path, "x"), words)


def test_every_so_often(tmp_path: Path, stopncii: Server) -> None:
    add(tmp_path, stopncii)
    exchanges, versions = tmp_path / "exchanges", tmp_path / "lists" / "hotline" / "versions"
    with running("list", "fetch", "--exchanges", exchanges, "--every", "1s", "--accept",
                 "size-change") as process:  # fmt: skip
        wait_for((versions / "00000001.json").exists)
        stopncii.faults.append(Reply(404))  # which does not end it
        wait_for(lambda: not stopncii.faults)
        stopncii.add(3)
        wait_for((versions / "00000002.json").exists)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert b"hotline: version 1, " in out
    assert b"hashmatch: hotline: cannot fetch from 127.0.0.1" in err
    assert hashes(tmp_path) == stopncii.listed()
