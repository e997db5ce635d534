"""A queue on a server that is not as ours: other encodings, collations, defaults, a PgBouncer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

import postgres_server
from cli_tools import one_line, run
from hashmatch.errors import ReviewError
from hashmatch.records.cases import Case, CaseState, Origin
from hashmatch.review.queue import ReviewQueue
from hashmatch.review.settings import Settings
from review_queues import take_and_decide
from review_records import make_record, many

if TYPE_CHECKING:
    from collections.abc import Iterator

    from postgres_server import Bouncer, Server

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def bouncer(postgres: Server) -> Iterator[Bouncer]:
    """Give a PgBouncer that lends its connections for a transaction."""
    if not postgres_server.BOUNCER.exists():
        pytest.skip("Debian's pgbouncer is not installed")
    with postgres.bouncer("transaction") as running:
        yield running


def encoded(server: Server, encoding: str) -> str:
    """Make a database that keeps text in an encoding."""
    return server.database(f"ENCODING '{encoding}' LOCALE 'C' TEMPLATE template0")


def live(queue: ReviewQueue) -> None:
    """Let people add, decide, undo, purge and read until all of it was done often."""
    queue.add((record, Origin("photos", "å/日本.jpg")) for record in many(60))

    def work(name: str) -> None:
        with ReviewQueue.open(queue._database._url) as own:  # type: ignore[attr-defined]
            for _ in range(15):
                case = take_and_decide(own, "not_a_match", name)
                assert case.items[0].origin.location == "å/日本.jpg"

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(work, ["ana", "bo", "Zoë", "dan"]))
    case = queue.case("1")
    queue.undo(case.decisions[-1].decision_id, case.decisions[-1].reviewer)
    assert queue.counts()[CaseState.NOT_A_MATCH] == 59
    assert len(list(queue.history())) > 120
    queue.purge()
    queue.verify()


def test_a_pgbouncer_may_be_between(postgres: Server, bouncer: Bouncer) -> None:
    """Six users share its two connections, each transaction on any of them."""
    url = bouncer.url(postgres.database())
    assert run("review", "init", url).code == 0
    with ReviewQueue.open(url) as queue:
        queue.change(Settings(in_a_row=1000))
        live(queue)
    assert run("review", "verify", url).code == 0


def test_a_pgbouncer_that_takes_transactions_apart_is_refused(
    postgres: Server, bouncer: Bouncer
) -> None:
    with postgres.bouncer("statement") as apart:
        one_line(
            run("review", "init", apart.url(postgres.database())),
            "Set pool_mode to transaction or session in PgBouncer",
        )


def test_a_database_that_does_not_know_what_text_is_is_refused(postgres: Server) -> None:
    url = encoded(postgres, "SQL_ASCII")
    one_line(run("review", "init", url), "the encoding SQL_ASCII", "ENCODING 'UTF8'")
    one_line(run("review", "status", url), "the encoding SQL_ASCII")


def test_text_in_another_encoding_is_kept_or_refused(postgres: Server) -> None:
    url = encoded(postgres, "LATIN1")
    assert run("review", "init", url).code == 0
    with ReviewQueue.open(url) as queue:
        queue.add([(make_record(1, 7, labels=("école",)), Origin("photos", "å.jpg"))])
        with pytest.raises(ReviewError, match=r"cannot keep this text: .*LATIN1.*ENCODING 'UTF8'"):
            queue.add([(make_record(2, 7), Origin("photos", "日本.jpg"))])
        (case,) = queue.cases(label="école")
        assert [item.origin.location for item in case.items] == ["å.jpg"]
        held = queue.take("Zoë", label="école")
        assert isinstance(held, Case)
        with pytest.raises(ReviewError, match="cannot keep this text"):
            queue.decide(case.case_id, "Zoë", "unsure", "日本", held.reviewed_digest)
        queue.decide(case.case_id, "Zoë", "unsure", "déjà vu", held.reviewed_digest)
        queue.verify()


def test_the_defaults_of_a_server_make_no_difference(postgres: Server) -> None:
    """Its collation, what its transactions see of each other, and where it looks for tables."""
    url = postgres.database("LOCALE_PROVIDER icu ICU_LOCALE 'en-US' TEMPLATE template0")
    name = urlsplit(url).path[1:]
    for setting in (
        "default_transaction_isolation = 'serializable'",
        "default_transaction_read_only = on",
        "search_path = nowhere",
        "client_encoding = 'LATIN1'",
        "bytea_output = 'escape'",
    ):
        postgres.execute(f"ALTER DATABASE {name} SET {setting}")
    with ReviewQueue.open(url, create=True, settings=Settings(in_a_row=1000)) as queue:
        for reviewer in ("Zoe", "ana", "Ähn", "ben"):
            queue.reviewers.add(reviewer)
        assert list(queue.reviewers.list()) == ["Zoe", "ana", "ben", "Ähn"]
        live(queue)
