"""What protects less than it could is refused, unless it is allowed by name, and then said."""

from __future__ import annotations

import ast
import logging
from pathlib import Path

import pytest

from hashmatch.errors import SourceError
from hashmatch.records import safeguards
from hashmatch.records.safeguards import Safeguard, allowing, collecting, waive, waivers


def speak_http(*, allowed: bool = False) -> None:
    waive(Safeguard.TLS, "read it", "it is plain http", error=SourceError, allowed=allowed)


def test_what_is_not_allowed_is_refused_with_the_name_that_allows_it() -> None:
    with pytest.raises(SourceError) as refused, collecting() as collected:
        speak_http()
    assert str(refused.value) == (
        "cannot read it: it is plain http. Use https, or allow it with --allow-http, "
        "in Python allowing(Safeguard.TLS)."
    )
    assert collected == []


@pytest.mark.parametrize("safeguard", Safeguard)
def test_one_allowance_is_no_other(safeguard: Safeguard) -> None:
    others = [other for other in Safeguard if other is not safeguard]
    with allowing(*others), pytest.raises(SourceError) as refused:
        waive(safeguard, "do it", "why", error=SourceError)
    assert safeguard.allowed_by in str(refused.value)


def test_what_is_allowed_is_logged_and_collected_once(caplog: pytest.LogCaptureFixture) -> None:
    with collecting() as collected, allowing(Safeguard.TLS):
        speak_http()
        speak_http()
        speak_http(allowed=True)
        assert waivers() == tuple(collected)
    line = "without TLS: it is plain http (allowed by --allow-http)"
    assert [str(waiver) for waiver in collected] == [line]
    assert [(each.levelno, each.getMessage()) for each in caplog.records] == [
        (logging.WARNING, line)
    ]
    assert waivers() == ()
    with pytest.raises(SourceError):  # the block that allowed it has ended
        speak_http()


def test_allowances_and_collections_nest() -> None:
    with allowing(Safeguard.TLS), collecting() as outer:
        with allowing(Safeguard.TLS), collecting() as inner:
            speak_http()
        speak_http()
    assert len(outer) == len(inner) == 1


CALLERS = [
    "_files/private.py",  # what others can read
    "_net/client.py",  # plain http
    "cli/options.py",  # --in-process
    "review/postgres_url.py",  # a server that does not prove who it is
    "review/web/server.py",  # the page in plain http with others
    "sandbox/pool.py",  # Landlock and seccomp
    "scan/parts/dask_cluster.py",  # a scheduler that is spoken to without TLS
    "service/server.py",  # the HTTP service in plain http with others
    "sources/_object_store.py",  # certificates that are not checked
    "store/list_store.py",  # a store that was ever signed
]
"""Every place where something may be weaker than it could be."""


def test_these_and_no_others_may_be_weaker() -> None:
    root = Path(safeguards.__file__).parent.parent
    callers = [
        str(path.relative_to(root))
        for path in sorted(root.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "waive"
    ]
    assert callers == CALLERS
