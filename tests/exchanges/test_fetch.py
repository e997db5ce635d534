"""A fetch gives the store that importing the same pages by hand gives: whole, or not at all."""

from __future__ import annotations

import base64
import json
import logging
import os
import stat
import time
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from exchange_servers import (
    LOGIN_PAGE,
    SERVERS,
    NcmecServer,
    Reply,
    Server,
    StopNciiServer,
    TatServer,
    ThreatExchangeServer,
    UrlServer,
    serving,
)
from hashmatch.errors import ExchangeError
from hashmatch.exchanges import api, fetch, ncmec
from hashmatch.exchanges.config import ExchangeConfig, Exchanges
from hashmatch.exchanges.spool import Page, Spool
from hashmatch.retry import Limits
from hashmatch.store.encryption import ListKey
from hashmatch.store.manifest import FetchedFrom
from hashmatch.testing import random_hashes
from list_stores import KEY, PDQ, held, open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hashmatch.exchanges.fetch import Fetched

DELTAS = tuple(each for each in SERVERS if each is not UrlServer)
"""Those that serve what has changed."""
OWN = random_hashes(PDQ, 1, seed=99).to_hex()[0]
ALL = hm.Change(accept=["size-change"])
"""Lists this short change by more than a fifth all the time."""


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api, "LIMITS", Limits(first_delay=0.0))
    monkeypatch.setattr(ncmec, "LAG", 0)  # what is listed now is asked for now


class Place:
    """An exchange of a server, with its store."""

    def __init__(self, folder: Path, server: Server, **how: Any) -> None:
        self.folder, self.server = folder, server
        folder.mkdir(exist_ok=True)
        self.exchanges = Exchanges(folder / "exchanges")
        self.config: ExchangeConfig = self.exchanges.add(
            "hotline", server.kind, {**server.options, "url": server.url},
            store=folder / "store", **how,
        )  # fmt: skip
        self.exchanges.set_credentials(server.credentials, name="hotline")
        self.store = hm.ListStore(folder / "store")

    def fetch(self, change: hm.Change = ALL, **how: Any) -> Fetched:
        return fetch.fetch(self.exchanges, "hotline", self.store, change, **how)

    def refused(self, *words: str, **how: Any) -> str:
        with pytest.raises(hm.ListError) as caught:
            self.fetch(**how)
        text = str(caught.value)
        assert "\n" not in text
        for word in words:
            assert word in text
        status = self.exchanges.status("hotline")
        assert (status.succeeded, status.problem) == (False, text)
        return text

    @property
    def hashes(self) -> set[str]:
        return {text for _, _, text, _ in held(self.store)}

    @property
    def version(self) -> int:
        return self.store.latest_version()

    @property
    def checkpoint(self) -> FetchedFrom:
        found = self.store.latest()[0].manifest.fetched
        assert isinstance(found, FetchedFrom)
        return found


@pytest.fixture(params=SERVERS, ids=lambda kind: kind.kind)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with serving(request.param()) as server:
        yield Place(tmp_path, server)


@pytest.fixture(params=DELTAS, ids=lambda kind: kind.kind)
def delta(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    with serving(request.param()) as server:
        yield Place(tmp_path, server)


@pytest.fixture
def stopncii(tmp_path: Path) -> Iterator[Place]:
    with serving(StopNciiServer()) as server:
        yield Place(tmp_path, server)


def test_in_full_then_what_is_new(place: Place) -> None:
    first = place.fetch()
    assert first.changed
    assert first.is_whole
    assert place.hashes == place.server.listed()
    assert place.version == 1
    place.server.add(5)
    place.server.delete(2, 7)
    place.server.relabel(4)
    second = place.fetch()
    assert second.is_whole is (place.server.kind == "url")
    assert place.hashes == place.server.listed()
    assert place.version == 2
    labels = {labels for _, _, text, labels in held(place.store)
              if text == place.server.entries[4].value}  # fmt: skip
    assert all("B2" in each for each in labels)
    status = place.exchanges.status("hotline")
    assert (status.succeeded, status.problem, status.is_running) == (True, "", False)
    assert not os.path.exists(place.exchanges.spool("hotline"))


def test_it_is_what_the_same_pages_give_by_hand(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pages of a fetch, imported and updated one after the other."""
    by_hand = open_store(tmp_path / "by-hand", trust=hm.Trust(), now=None)
    pages: list[bytes] = []

    def put(spool: Spool, number: int, data: Iterable[bytes]) -> Page:
        pages.append(b"".join(data))
        return PUT(spool, number, [pages[-1]])

    monkeypatch.setattr(Spool, "put", put)
    for number in range(3):
        pages.clear()
        place.fetch()
        files = [tmp_path / f"{number}-{each}.page" for each in range(len(pages))]
        for path, data in zip(files, pages, strict=True):
            path.write_bytes(data)
        is_update = number and place.server.kind != "url"
        act = by_hand.update_files if is_update else by_hand.import_files
        act(list(map(str, files)), replace(ALL, name="hotline"))
        assert held(by_hand) == held(place.store)
        place.server.add(3)
        place.server.delete(1 + number)


PUT = Spool.put


def test_nothing_new_makes_no_version(place: Place) -> None:
    place.fetch()
    for _ in range(3):
        assert place.fetch().changed is None
    assert place.version == 1
    assert place.exchanges.status("hotline").succeeded


def test_a_list_that_expires_is_renewed_though_nothing_is_new(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.fetch(replace(ALL, expires_in=timedelta(hours=10)))
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=6)
    monkeypatch.setattr(fetch, "now", lambda: later)
    assert place.fetch().changed
    assert place.version == 2
    assert place.checkpoint.at == later


def test_the_checkpoint_moves_once_a_day(delta: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    delta.fetch()
    later = datetime.now(UTC).replace(microsecond=0) + timedelta(days=2)
    monkeypatch.setattr(fetch, "now", lambda: later)
    assert delta.fetch().changed
    assert delta.fetch().changed is not None  # the clock of the store has not moved


def test_an_empty_exchange_is_no_error(tmp_path: Path) -> None:
    for kind in DELTAS:
        with serving(kind(count=0)) as server:
            place = Place(tmp_path / server.kind, server)
            assert place.fetch().changed is None
            assert not (tmp_path / server.kind / "store").exists()
            server.add(3)
            assert place.fetch().changed
            assert place.hashes == server.listed()


def test_everything_is_for_its_owner_only(place: Place) -> None:
    place.server.faults.append(Reply(404))
    with pytest.raises(ExchangeError):
        place.fetch()
    place.fetch()
    for folder, _, names in os.walk(place.exchanges.folder):
        for path in (folder, *(os.path.join(folder, name) for name in names)):
            assert stat.S_IMODE(os.stat(path).st_mode) & 0o077 == 0, path


def test_interrupted_between_pages_it_continues(delta: Place) -> None:
    """No page that is there is asked for again, and nothing of a half is in use."""
    seen: list[int] = []

    def stop(count: int) -> None:
        seen.append(count)
        if count == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        delta.fetch(on_page=stop)
    assert not (delta.folder / "store").exists()
    asked = len(delta.server.asked)
    delta.fetch(on_page=seen.append)
    assert seen == [1, 2, 3]
    assert len(delta.server.asked) <= asked + 2  # Tech Against Terrorism: and a token
    assert delta.hashes == delta.server.listed()
    assert delta.version == 1


def test_interrupted_in_a_full_fetch_of_a_list_there_is(delta: Place) -> None:
    """What was not seen yet is not withdrawn."""
    delta.fetch()
    before = delta.hashes

    def stop(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        delta.fetch(full=True, on_page=stop)
    assert delta.hashes == before
    delta.fetch()
    assert delta.hashes == before == delta.server.listed()


def test_a_position_that_the_server_has_forgotten(delta: Place) -> None:
    def stop(count: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        delta.fetch(on_page=stop)
    gone = Reply(410)
    if isinstance(delta.server, TatServer):
        delta.server.faults.append(delta.server.answer("POST", "/token-auth/tcap/", {}, {}, FORM))
    delta.server.faults.append(gone)
    delta.fetch()
    assert delta.hashes == delta.server.listed()


FORM = b"username=somebody&password=kE9-a-credential-of-the-tests-7fQ"


def test_a_rollback_takes_the_checkpoint_back(delta: Place) -> None:
    """What was undone comes again; what came later is not lost."""
    delta.fetch()
    delta.server.add(3)
    delta.fetch()
    delta.store.roll_back(1, ALL)
    assert delta.hashes != delta.server.listed()
    delta.server.add(1)
    delta.fetch()
    assert delta.hashes == delta.server.listed()


def test_an_update_by_hand_keeps_the_checkpoint_and_an_import_does_not(
    delta: Place, tmp_path: Path
) -> None:
    delta.fetch()
    own = tmp_path / "own.jsonl"
    own.write_text(json.dumps({"hash": OWN, "algorithm": "pdq", "id": "own"}))
    checkpoint = delta.checkpoint
    delta.store.update_files([str(own)], ALL)
    assert delta.checkpoint == checkpoint
    delta.fetch()
    assert delta.hashes == delta.server.listed() | {OWN}
    delta.store.import_files([str(own)], ALL)
    assert delta.fetch().is_whole
    assert delta.hashes == delta.server.listed()


def test_other_options_are_another_list(tmp_path: Path) -> None:
    with serving(ThreatExchangeServer()) as server:
        place = Place(tmp_path, server)
        place.fetch()
        place.exchanges.remove("hotline")
        place.exchanges.add(
            "hotline", "threatexchange", {"privacy_group": 78, "url": server.url},
            store=place.store.path,
        )  # fmt: skip
        place.exchanges.set_credentials(server.credentials, name="hotline")
        place.refused("it refuses the request (400). Check the options")


def test_what_the_server_has_forgotten_is_fetched_whole(tmp_path: Path) -> None:
    with serving(StopNciiServer()) as server:
        place = Place(tmp_path, server)
        place.fetch()
        # A deletion that was forgotten: after thirty days nobody says it.
        gone = server.entries.pop(3)
        manifest = place.store.latest()[0].manifest
        later = place.checkpoint.at + timedelta(days=31)
        assert manifest.fetched
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fetch, "now", lambda: later)
            found = place.fetch()
        assert found.is_whole
        assert gone.value not in place.hashes


def test_too_much_has_changed(stopncii: Place) -> None:
    stopncii.fetch(hm.Change())
    stopncii.server.add(50)
    for _ in range(2):
        stopncii.refused("by more than 20%", "give --accept size-change", change=hm.Change())
    assert len(stopncii.hashes) == 10
    # What was refused is what is accepted, whatever the server has by now.
    there = stopncii.server.listed()
    stopncii.server.add(50)
    stopncii.fetch()
    assert stopncii.hashes == there
    stopncii.fetch()
    assert stopncii.hashes == stopncii.server.listed()


def test_signed_by_one_key(tmp_path: Path) -> None:
    with serving(StopNciiServer()) as server:
        place = Place(tmp_path, server)
        for _ in range(2):
            place.fetch(replace(ALL, signer=KEY))
            server.add(1)
        trusting = hm.ListStore(place.store.path, trust=hm.Trust([KEY.public]))
        assert len(trusting.open()[0]) == 11


def test_pages_of_an_encrypted_store_are_encrypted(tmp_path: Path) -> None:
    with serving(StopNciiServer()) as server:
        place = Place(tmp_path, server)
        place.store = hm.ListStore(place.store.path, key=ListKey.generate())

        def stop(count: int) -> None:
            if count == 2:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            place.fetch(on_page=stop)
        pages = sorted(Path(place.exchanges.spool("hotline")).glob("*.page"))
        assert len(pages) == 2
        for page in pages:
            assert b"hashRecords" not in page.read_bytes()
        place.fetch()
        assert place.hashes == server.listed()


def test_two_at_once(stopncii: Place) -> None:
    with stopncii.exchanges.working("hotline"):
        stopncii_status = stopncii.exchanges.status("hotline")
        with pytest.raises(hm.StoreError, match=r"it is being fetched\. Try again"):
            stopncii.fetch()
        assert stopncii.exchanges.status("hotline") == stopncii_status


# What servers do


def faulty(place: Place, *faults: Reply | str) -> None:
    place.server.faults.extend(faults)


@pytest.mark.parametrize("fault", ["reset", "cut", "short", Reply(503), Reply(429), Reply(500)],
                         ids=str)  # fmt: skip
def test_what_may_pass_is_tried_again(stopncii: Place, fault: Reply | str) -> None:
    faulty(stopncii, fault, fault)
    stopncii.fetch()
    assert stopncii.hashes == stopncii.server.listed()


def test_a_file_that_breaks_off_is_fetched_again(tmp_path: Path) -> None:
    with serving(UrlServer(count=2000)) as server:
        place = Place(tmp_path, server)
        faulty(place, "cut")
        place.fetch()
        assert place.hashes == server.listed()
        server.add(1)
        faulty(place, "cut", "cut", "cut")
        place.refused("the answer ended too early")
        assert place.version == 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Reply(401), "it refuses the credentials (401)"),
        (Reply(403, LOGIN_PAGE, "text/html"), "it refuses the credentials (403)"),
        (Reply(302, headers={"Location": "/login"}), "a redirect (302), which is not followed"),
        (Reply(404), "it refuses the request (404)"),
    ],
)
def test_what_will_not_pass_is_said_at_once(place: Place, fault: Reply, words: str) -> None:
    place.fetch()
    place.server.add(1)
    asked = len(place.server.asked)
    faulty(place, fault)
    if isinstance(place.server, TatServer):
        faulty(place, fault)  # there is another token before it is believed
    text = place.refused(words)
    assert len(place.server.asked) <= asked + 2
    assert place.version == 1
    assert "secret" not in text


NO_PAGES = (
    LOGIN_PAGE, b"", b"{}", b"[1, 2]", b"\xff\xfe\x00nonsense", b'{"data": 3}', b"<a><b></a>",
    b"<!DOCTYPE x [<!ENTITY a 'b'>]><queryResult/>",
)  # fmt: skip


def test_what_is_no_page_with_200(place: Place) -> None:
    place.fetch()
    place.server.add(1)
    for body in NO_PAGES:
        faulty(place, *[Reply(200, body, "text/html")] * 8)
        text = place.refused("cannot fetch ")
        assert ("a web page" in text) is (body == LOGIN_PAGE)
        assert place.version == 1
        place.server.faults.clear()
    place.fetch()
    assert place.hashes == place.server.listed()


def test_a_file_that_is_read_as_options_and_the_store_say(tmp_path: Path) -> None:
    """Columns that are named, and hashes that are written as they were the first time."""
    server = UrlServer()

    def as_base64() -> str:
        server.tick()
        rows = (base64.b64encode(bytes.fromhex(v)).decode() for v in sorted(server.listed()))
        return "Print;Other\n" + "".join(f"{row};x\n" for row in rows)

    def served() -> Reply:
        return Reply(200, as_base64().encode(), "text/csv", {"ETag": f'"{server.clock}"'})

    named = hm.ListFormat(reader="csv", columns={"pdq": "Print"}, delimiter=";")
    with serving(server):
        place = Place(tmp_path, server)
        faulty(place, served())
        place.fetch(replace(ALL, format=replace(named, encoding="base64")))
        assert place.hashes == server.listed()
        server.add(1)
        faulty(place, served())
        place.fetch(replace(ALL, format=named))
        assert place.hashes == server.listed()
        assert place.version == 2


def test_a_page_of_another_exchange(tmp_path: Path) -> None:
    """Each with what a page of this one needs for its next one."""
    with serving(ThreatExchangeServer()) as server:
        place = Place(tmp_path, server)
        faulty(place, Reply(200, b'{"data": [], "results": [{"hash_digest": ""}]}'))
        place.refused("of the format tat-json, not threatexchange-json")


def test_rows_that_a_page_lacks(stopncii: Place) -> None:
    stopncii.server.page_size = 20
    page = json.loads(stopncii.server.answer(
        "GET", "/FetchHashes", {"startTimestamp": "10", "pageSize": "20"},
        {"x-functions-key": stopncii.server.credentials["fetch_function_key"],
         "ocp-apim-subscription-key": stopncii.server.credentials["subscription_key"]}, b"",
    ).body)  # fmt: skip
    page["count"] += 1
    faulty(stopncii, Reply(200, json.dumps(page).encode()))
    stopncii.refused("lacks rows", "Fetch again later")
    stopncii.fetch()
    assert stopncii.hashes == stopncii.server.listed()


@pytest.mark.parametrize("when", ["1", "date"])
def test_a_server_that_asks_to_wait(
    stopncii: Place, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    soon = datetime.now(UTC) + timedelta(seconds=90)
    given = f"{soon:%a, %d %b %Y %H:%M:%S GMT}" if when == "date" else "17"
    faulty(stopncii, Reply(429, headers={"Retry-After": given}))
    stopncii.fetch()
    assert (slept[0] == 17) if when == "1" else (60 < slept[0] <= 90)
    stopncii.server.add(1)
    faulty(stopncii, Reply(429, headers={"Retry-After": "4000"}))
    stopncii.refused("too many requests, and asks for 4,000 s without requests")


def test_rate_limits_of_the_graph_api(tmp_path: Path) -> None:
    with serving(ThreatExchangeServer()) as server:
        place = Place(tmp_path, server)
        busy = {"error": {"message": "secret", "code": 613}}
        faulty(place, *[Reply(400, json.dumps(busy).encode())] * 2)
        place.fetch()
        assert place.hashes == server.listed()
        place.exchanges.set_credentials({"api_token": "1|expired"}, name="hotline")
        place.refused("it refuses the credentials (400)")


def test_pages_at_another_server_are_not_asked_for(tmp_path: Path) -> None:
    for kind, body in (
        (ThreatExchangeServer, b'{"data": [], "paging": {"next": "https://evil.example/?a=1"}}'),
        (NcmecServer, b'<queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2"><images '
         b'count="0"/><paging><next>https://evil.example/v2</next></paging></queryResult>'),
    ):  # fmt: skip
        with serving(kind()) as server:
            place = Place(tmp_path / server.kind, server)
            faulty(place, Reply(200, body))
            place.refused("at another server, which is not asked")


def test_a_token_that_expires_in_between(tmp_path: Path) -> None:
    server = TatServer()
    with serving(server):
        place = Place(tmp_path, server)

        def expire(count: int) -> None:
            server.tokens += 1

        place.fetch(on_page=expire)
        assert place.hashes == server.listed()


def test_a_wrong_password(tmp_path: Path) -> None:
    with serving(TatServer()) as server:
        place = Place(tmp_path, server)
        place.exchanges.set_credentials({"username": "a", "password": "b"}, name="hotline")
        place.refused("it refuses the credentials (400)")
        assert len(server.asked) == 1


def test_a_next_page_of_too_many_characters(tmp_path: Path) -> None:
    with serving(StopNciiServer()) as server:
        place = Place(tmp_path, server)
        page = {"hashRecords": [], "hasMoreRecords": True, "nextSetTimestamp": 1}
        faulty(place, Reply(200, json.dumps({**page, "nextPageToken": "x" * 70_000}).encode()))
        place.refused("names the next page with too many characters")


def test_pages_that_never_end_are_noticed(tmp_path: Path) -> None:
    with serving(TatServer()) as server:
        place = Place(tmp_path, server)
        page = {"count": 0, "next": "x", "checkpoint": "", "results": []}
        faulty(place, server.answer("POST", "/token-auth/tcap/", {}, {}, FORM))
        faulty(place, *[Reply(200, json.dumps(page).encode())] * 6)
        place.refused("a page says that more follow, and not after which record")


def test_spans_of_too_many_entries_are_shortened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ncmec, "MAX_ENTRIES", 30)
    with serving(NcmecServer(count=100, page_size=10)) as server:
        now = time.time()
        for number, entry in enumerate(server.entries.values()):
            entry.changed = int(now - 86400 * (100 - number))
        place = Place(tmp_path, server)
        place.fetch()
        assert place.hashes == server.listed()
        assert place.checkpoint.checkpoint.isdigit()


def test_the_address_of_a_page_is_not_kept_for_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(NcmecServer()) as server:
        place = Place(tmp_path, server)

        def stop(count: int) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            place.fetch(on_page=stop)
        monkeypatch.setattr(ncmec, "MAX_AGE", -1)
        place.fetch()
        assert "start=" not in server.asked[1]
        monkeypatch.undo()
        assert place.hashes == server.listed()


def test_nothing_is_logged_but_what_happened(
    stopncii: Place, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        stopncii.fetch()
        faulty(stopncii, Reply(404))
        stopncii.server.add(1)
        stopncii.refused("404")
    said = [each.getMessage() for each in caplog.records if each.name == "hashmatch.exchanges"]
    assert said[0] == "hotline is fetched: version 1, 3 pages: 10 added"
    assert said[1].startswith("hotline is not fetched: cannot fetch from 127.0.0.1:")


def test_private_addresses_are_not_asked(tmp_path: Path) -> None:
    with ExitStack() as stack:
        server = stack.enter_context(serving(StopNciiServer()))
        server.url = server.url.replace("127.0.0.1", "hotline.localdomain.invalid")
        place = Place(tmp_path, server)
        with pytest.raises(hm.UsageError, match="plain http"):
            place.fetch()
