"""The service over TLS, and to those alone who show a certificate."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import TYPE_CHECKING

import pytest

from certificates import certificates
from cli_tools import DEMO, one_line, run
from processes import PATIENCE, wait_for
from service_program import service

if TYPE_CHECKING:
    from pathlib import Path


def ask(port: int, folder: Path, *, certificate: str = "") -> int:
    """Look up a hash, with a certificate or without; return the status."""
    context = ssl.create_default_context(cafile=folder / "ca.pem")
    if certificate:
        context.load_cert_chain(folder / f"{certificate}.pem", folder / f"{certificate}.key")
    connection = http.client.HTTPSConnection("localhost", port, timeout=PATIENCE, context=context)
    try:
        body = json.dumps({"hash": "0f" * 32})
        connection.request("POST", "/v1/match", body, {"content-type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()


def test_only_who_shows_a_certificate_is_answered(tmp_path: Path) -> None:
    certificates(tmp_path)
    others = tmp_path / "others"
    others.mkdir()
    certificates(others)
    (others / "ca.pem").write_bytes((tmp_path / "ca.pem").read_bytes())
    options = (
        "--tls-cert", tmp_path / "server.pem", "--tls-key", tmp_path / "server.key",
        "--client-ca", tmp_path / "ca.pem", "--workers", "2",
    )  # fmt: skip

    with service(*options, ready=False) as api:

        def is_ready() -> bool:
            try:
                return ask(api.port, tmp_path, certificate="browser") == 200
            except OSError:
                return False

        wait_for(is_ready)
        with pytest.raises((OSError, http.client.HTTPException)):
            ask(api.port, tmp_path)
        with pytest.raises((OSError, http.client.HTTPException)):
            ask(api.port, others, certificate="browser")
        with pytest.raises((OSError, http.client.HTTPException)):
            api.get("/healthz")  # without TLS


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (("--tls-cert", "server.pem"), "--tls-key"),
        (("--client-ca", "ca.pem"), "--tls-cert"),
        (("--tls-cert", "ca.pem", "--tls-key", "server.key"), "ca.pem"),
        (("--tls-cert", "server.pem", "--tls-key", "bad.key"), "bad.key"),
        (("--tls-cert", "none.pem", "--tls-key", "server.key"), "none.pem"),
    ],
)
@pytest.mark.parametrize("workers", ["1", "2"])
def test_options_that_cannot_be(
    tmp_path: Path, options: tuple[str, ...], word: str, workers: str
) -> None:
    certificates(tmp_path)
    (tmp_path / "bad.key").write_text("no key")
    given = [each if each.startswith("--") else tmp_path / each for each in options]
    who = () if "--client-ca" in options else ("--no-auth",)
    answer = run("serve", "--port", "0", "--workers", workers, "--list", DEMO, *who, *given)
    one_line(answer, word)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_what_cannot_begin_ends_with_its_reason(tmp_path: Path, workers: str) -> None:
    """It is not started again and again."""
    options = ("--no-auth", "--port", "0", "--workers", workers)
    missing = run("serve", *options, "--list", tmp_path / "none.csv")
    assert (missing.code, "none.csv" in missing.said) == (2, True)
    log = run("serve", *options, "--list", DEMO, "--access-log", tmp_path / "none" / "log")
    assert (log.code, "log" in log.said) == (2, True)
