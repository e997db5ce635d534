"""Runs ``hashmatch serve`` in a process of its own, and asks it over a socket."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from cli_tools import DEMO, PROGRAM, environment
from processes import PATIENCE, Process, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

BOUNDARY = "a-boundary-of-the-tests"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.body.splitlines()]


@dataclass
class Program:
    """A service that runs."""

    process: subprocess.Popen[str]
    port: int
    said_first: str
    token: str = ""

    def ask(
        self,
        method: str,
        path: str,
        query: Mapping[str, object] | None = None,
        *,
        body: bytes | None = None,
        given: object = None,
        files: Mapping[str, bytes] | None = None,
        fields: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        token: str | None = None,
    ) -> Answer:
        """Send one request over a connection of its own; `given` as JSON, `files` as a form."""
        sent = dict(headers or {})
        if given is not None:
            body, sent["content-type"] = json.dumps(given).encode(), "application/json"
        if files is not None:
            body = form(files, fields or {})
            sent["content-type"] = f"multipart/form-data; boundary={BOUNDARY}"
        secret = self.token if token is None else token
        if secret:
            sent["authorization"] = f"Bearer {secret}"
        target = path + (f"?{urlencode(query)}" if query else "")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.request(method, target, body, sent)
            response = connection.getresponse()
            found = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, found, response.read())
        finally:
            connection.close()

    def get(self, path: str, **query: object) -> Answer:
        return self.ask("GET", path, query)

    def post(self, path: str, given: object = None, **query: object) -> Answer:
        return self.ask("POST", path, query, given=given)

    def put(self, path: str, given: object = None) -> Answer:
        return self.ask("PUT", path, given=given)

    def delete(self, path: str) -> Answer:
        return self.ask("DELETE", path)


def form(files: Mapping[str, bytes], fields: Mapping[str, str]) -> bytes:
    """Return a multipart body."""
    parts = []
    for name, text in fields.items():
        parts.append(f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}')
    body = "".join(part + "\r\n" for part in parts).encode()
    for name, data in files.items():
        head = f'Content-Disposition: form-data; name="{name}"; filename="{name}.bin"'
        body += f"--{BOUNDARY}\r\n{head}\r\nContent-Type: image/png\r\n\r\n".encode()
        body += data + b"\r\n"
    return body + f"--{BOUNDARY}--\r\n".encode()


@contextmanager
def service(
    *options: str | Path,
    lists: tuple[str | Path, ...] = (DEMO,),
    token: str = "",
    ready: bool = True,
) -> Iterator[Program]:
    """Run the service on a free port; `ready` waits until it can answer."""
    named = [part for path in lists for part in ("--list", os.fspath(path))]
    who = () if {"--tokens", "--client-ca"} & {*options} else ("--no-auth",)
    command = [
        *PROGRAM,
        "serve",
        "--port",
        "0",
        *named,
        *who,
        *(os.fspath(each) for each in options),
    ]
    with Process(
        command, stderr=subprocess.PIPE, env=environment(), text=True, start_new_session=True
    ) as process:
        try:
            assert process.stderr
            found, before = None, ""
            for line in process.stderr:
                found = re.match(r"https?://[^/]+:(\d+)/$", line)
                if found:
                    break
                before += line
            assert found, before
            program = Program(process, int(found[1]), before, token)
            if ready:
                _ready(program)
            yield program
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def _ready(program: Program) -> None:
    """Wait until it can answer."""

    def is_ready() -> bool:
        ended = program.process.poll()
        assert ended is None, (ended, program.process.stderr and program.process.stderr.read())
        try:
            return program.ask("GET", "/readyz").status == 200
        except OSError:
            return False

    wait_for(is_ready, every=0.05)
