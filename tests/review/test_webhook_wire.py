"""Signatures are those of Standard Webhooks; an endpoint is who it says, and never waited for."""

from __future__ import annotations

import logging
import os
import pickle
import socket
import ssl
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
import standardwebhooks

import hashmatch as hm
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.settings import Settings
from hashmatch.review.webhook.client import Endpoint, Unreachable
from hashmatch.review.webhook.sender import Webhook
from hashmatch.review.webhook.signing import Secrets, check_signature, new_secret, signed_headers
from review_queues import take_and_decide
from review_records import many
from webhook_server import Answer, certified, receiving

if TYPE_CHECKING:
    from pathlib import Path

# Published with the specification, and checked by its libraries in a dozen languages.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NAME, TIME, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("text", [SECRET, SECRET.removeprefix("whsec_"), f"\n {SECRET} \n\n"])
def test_signatures_are_those_of_standard_webhooks(text: str) -> None:
    headers = signed_headers(Secrets.parse(text), NAME, TIME, BODY)
    assert headers == {
        "webhook-id": NAME,
        "webhook-timestamp": str(TIME),
        "webhook-signature": SIGNATURE,
    }
    assert check_signature(Secrets.parse(text), headers, BODY, now=TIME) == NAME


def test_the_library_of_standard_webhooks_accepts_what_is_sent(tmp_path: Path) -> None:
    old, new = new_secret(), new_secret()
    settings = Settings(undo=timedelta(0))
    with (
        receiving() as receiver,
        ReviewQueue.open(str(tmp_path / "queue.db"), create=True, settings=settings) as queue,
    ):
        queue.add(many(2))
        verdicts = ["confirmed", "not_a_match"]
        cases = [take_and_decide(queue, verdict).case_id for verdict in verdicts]
        Webhook(queue, Endpoint(receiver.url), Secrets.parse(f"{old}\n{new}")).push()
    assert len(receiver.requests) == 2
    for case_id, verdict, (_, headers, body) in zip(
        cases, verdicts, receiver.requests, strict=True
    ):
        for secret in (old, new):
            message = standardwebhooks.Webhook(secret).verify(body, headers)
            assert (message["type"], message["data"]["case_id"]) == (f"case.{verdict}", case_id)
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(new_secret()).verify(body, headers)
        with pytest.raises(standardwebhooks.WebhookVerificationError):
            standardwebhooks.Webhook(old).verify(body + b" ", headers)


def test_what_the_library_of_standard_webhooks_signs_is_accepted() -> None:
    signature = standardwebhooks.Webhook(SECRET).sign(
        NAME, datetime.fromtimestamp(TIME, UTC), BODY.decode()
    )
    headers = {
        "Webhook-Id": NAME,
        "Webhook-Timestamp": str(TIME),
        "Webhook-Signature": signature,
    }
    assert check_signature(Secrets.parse(SECRET), headers, BODY, now=TIME) == NAME


def test_a_receiver_may_change_its_secret() -> None:
    old, new = new_secret(), new_secret()
    headers = signed_headers(Secrets.parse(f"{new}\n{old}\n"), NAME, TIME, BODY)
    assert len(headers["webhook-signature"].split(" ")) == 2
    for known in (old, new):
        assert check_signature(Secrets.parse(known), headers, BODY, now=TIME) == NAME
    with pytest.raises(hm.ReviewError, match="does not match any configured secret"):
        check_signature(Secrets.parse(new_secret()), headers, BODY, now=TIME)


@pytest.mark.parametrize(
    ("changes", "body", "now", "reason"),
    [
        ({}, b'{"test": 2432232315}', TIME, "does not match"),
        ({"webhook-id": "msg_other"}, BODY, TIME, "does not match"),
        ({"webhook-timestamp": str(TIME + 1)}, BODY, TIME, "does not match"),
        ({"webhook-signature": ""}, BODY, TIME, "does not match"),
        ({"webhook-signature": SIGNATURE.replace("v1", "v2")}, BODY, TIME, "does not match"),
        ({"webhook-signature": "v1,é"}, BODY, TIME, "does not match"),
        ({"webhook-timestamp": "-1"}, BODY, TIME, "no timestamp"),
        ({"webhook-timestamp": "1e9"}, BODY, TIME, "no timestamp"),
        ({"webhook-timestamp": "9" * 400}, BODY, TIME, "no timestamp"),
        ({"webhook-timestamp": ""}, BODY, TIME, "no timestamp"),
        ({}, BODY, TIME + 301, "too old"),
        ({}, BODY, TIME - 301, "from the future"),
    ],
)
def test_what_is_not_genuine_and_fresh_is_refused(
    changes: dict[str, str], body: bytes, now: int, reason: str
) -> None:
    known = Secrets.parse(SECRET)
    headers = signed_headers(known, NAME, TIME, BODY) | changes
    with pytest.raises(hm.ReviewError, match=reason):
        check_signature(known, headers, body, now=now)


@pytest.mark.parametrize("name", ["", "a.b", "a b", "a\n", "é"])
def test_names_cannot_pass_for_a_time(name: str) -> None:
    with pytest.raises(hm.UsageError, match="full stops"):
        signed_headers(Secrets.parse(SECRET), name, TIME, BODY)


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_c2hvcnQ=", "not base64!", "whsec_" + "A" * 88]
)
def test_secrets_that_are_none_are_refused_and_not_shown(text: str, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(text)
    file.chmod(0o600)
    with pytest.raises(hm.UsageError, match="secret") as caught:
        Secrets.load(file)
    assert text == "" or text not in str(caught.value)
    assert caught.value.__context__ is None or caught.value.__suppress_context__


def test_secrets_are_private(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    text = new_secret()
    file.write_text(text)
    file.chmod(0o644)
    with pytest.raises(hm.StoreError, match="read by others"):
        Secrets.load(file)
    file.chmod(0o600)
    known = Secrets.load(file)
    assert repr(known) == "Secrets()"
    with pytest.raises(hm.UsageError, match="cannot pickle"):
        pickle.dumps(known)


def post(url: str, context: ssl.SSLContext | None = None, timeout: float = 10.0) -> int:
    return Endpoint(url, context=context, timeout=timeout).post(b"{}", {"X-Test": "1"})


@pytest.mark.parametrize("status", [200, 202, 400, 503])
def test_an_answer_is_its_status(status: int) -> None:
    with receiving(status) as receiver:
        assert post(f"{receiver.url}/hook?a=b") == status
    ((line, headers, body),) = receiver.requests
    assert line == "POST /hook?a=b HTTP/1.1"
    assert (headers["host"], headers["x-test"]) == (receiver.url.removeprefix("http://"), "1")
    assert headers["content-type"] == "application/json"
    assert body == b"{}"


def test_redirects_are_not_followed() -> None:
    with receiving("redirect") as receiver:
        assert post(receiver.url) == 307
    assert len(receiver.requests) == 1


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ("reset", "reset by peer"),
        ("close", "connection was lost"),
        ("hang", "no answer in time"),
        ("drip", "no answer in time"),
        ("garbage", "no HTTP"),
    ],
)
def test_what_is_no_answer_ends_in_time(answer: Answer, reason: str) -> None:
    with receiving(answer) as receiver, pytest.raises(Unreachable, match=reason) as caught:
        post(receiver.url, timeout=0.5)
    assert "hook" not in str(caught.value)


def test_nobody_there_is_no_answer() -> None:
    with receiving() as receiver:
        url = receiver.url
    with pytest.raises(Unreachable, match="refused"):
        post(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://moderation.example/", "this machine only"),
        ("http://127.0.0.1.example/", "this machine only"),
        ("http://10.0.0.1/", "this machine only"),
        ("ftp://127.0.0.1/", "https://"),
        ("https:///hook", "https://"),
        ("", "https://"),
        ("https://user:pass@moderation.example/", "password"),
        ("https://moderation.example/a b", "escaped"),
        ("https://moderation.example/\r\nX: y", "escaped"),
        ("https://moderation.example:port/", "not a URL|escaped"),
    ],
)
def test_urls_that_may_not_be_posted_to(url: str, reason: str) -> None:
    with pytest.raises(hm.UsageError, match=reason):
        Endpoint(url)


def test_a_name_that_leads_away_gets_nothing_in_plain_text(monkeypatch: pytest.MonkeyPatch) -> None:
    away = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("203.0.113.9", 80))]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: away)
    with receiving() as receiver, pytest.raises(hm.UsageError, match="a reserved address"):
        post(receiver.url.replace("127.0.0.1", "localhost"))
    assert receiver.requests == []


def test_tls_is_checked(tmp_path: Path) -> None:
    server, client = certified(tmp_path)
    with receiving(202, tls=server) as receiver:
        assert post(receiver.url, client) == 202
        with pytest.raises(Unreachable, match="certificate is refused"):
            post(receiver.url)  # nobody trusts it
        with pytest.raises(Unreachable, match="certificate is refused"):
            post(receiver.url.replace("localhost", "127.0.0.1"), client)  # not its name
    assert len(receiver.requests) == 1
    (tmp_path / "other").mkdir()
    for careless in (ssl._create_unverified_context(), ssl.create_default_context()):
        careless.check_hostname = False
        with pytest.raises(hm.UsageError, match="has to check"):
            Endpoint(receiver.url, context=careless)


def test_tls_that_never_answers_ends_in_time() -> None:
    with (
        receiving("hang") as receiver,  # speaks no TLS: it waits for a line
        pytest.raises(Unreachable, match="no answer in time"),
    ):
        post(receiver.url.replace("http:", "https:"), timeout=0.5)


def test_no_proxy_and_nothing_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setitem(os.environ, name, "http://127.0.0.1:1")
    with caplog.at_level(logging.DEBUG), receiving(503) as receiver:
        assert post(f"{receiver.url}/secret-path") == 503
    assert caplog.records == []
    assert "secret-path" not in repr(Endpoint(f"{receiver.url}/secret-path"))
