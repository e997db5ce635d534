"""A PostgreSQL server has to prove who it is, unless it is of this machine or that is allowed."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from hashmatch.cli import main
from hashmatch.errors import ReviewError
from hashmatch.records.safeguards import collecting
from hashmatch.review.postgres_url import verified, why_not

ASKED = "sslmode=verify-full"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PGHOST", "PGHOSTADDR", "PGSERVICE", "PGSSLMODE"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://db.internal/x",
        "postgres://u@10.0.0.5:5433/x",
        "postgresql://u@[2001:db8::1]/x",
        "postgresql://localhost,db.internal/x",
        "postgresql://localhost:5432,db.internal:5433/x",
        "postgresql:///x?host=db.internal",
        "postgresql:///x?hostaddr=10.0.0.5",
        "postgresql://localhost/x?hostaddr=10.0.0.5",
        "postgresql:///?service=moderation",
        "postgresql://localhost/x?service=moderation",
        "postgresql://127.0.0.1.example/x",
        "postgresql:///x?%68ost=db.internal",
        "postgresql://localhost#@db.internal/x",
        "postgresql://u:p#w@db.internal/x",
        "postgresql://localhost,db.internal/x?hostaddr=127.0.0.1,",
        "postgresql://db.internal/x?sslmode=",
        "postgresql:///x?host=localhost&host=db.internal",
    ],
)
def test_a_server_elsewhere_is_verified(url: str) -> None:
    assert verified(url) == f"{url}{'&' if '?' in url else '?'}{ASKED}"


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://localhost?a@db.internal/x",
        "postgresql://localhost#@db.internal/x",
        "postgresql://u:p?w@db.internal/x",
        "postgresql://u:p#w@db.internal/x?connect_timeout=3",
        "postgresql://u:a?b@localhost@db.internal/x",
        "postgresql:///x?host=local%68ost,db.internal",
        "postgresql:///x?host=a+b",
        "postgresql://localhost,db.internal/x?hostaddr=127.0.0.1,",
    ],
)
def test_a_url_is_read_as_libpq_reads_it(url: str) -> None:
    conninfo = pytest.importorskip("psycopg.conninfo")
    before, after = conninfo.conninfo_to_dict(url), conninfo.conninfo_to_dict(verified(url))
    assert after == {**before, "sslmode": "verify-full"}


def test_what_libpq_takes_for_less_is_less() -> None:
    url = "postgresql://db.internal/x?sslmode=verify-full&ssl=true"
    with collecting() as waivers:
        assert verified(url) == url
    assert [waiver.allowed_by for waiver in waivers] == ["sslmode=require"]


@pytest.mark.parametrize(
    "url",
    [
        "postgresql:///x",
        "postgresql://u@/x",
        "postgresql:///x?host=/run/postgresql",
        "postgresql://%2Frun%2Fpostgresql/x",
        "postgresql://u@localhost:5433/x",
        "postgresql://127.0.0.1,127.0.0.2/x",
        "postgresql://[::1]:5432/x",
        "postgresql://db.internal/x?hostaddr=127.0.0.1",
        "postgresql://db.internal/x?sslmode=verify-full",
    ],
)
def test_a_server_of_this_machine_is_left_as_it_is(url: str) -> None:
    with collecting() as waivers:
        assert verified(url) == url
    assert waivers == []


@pytest.mark.parametrize(
    ("name", "value"),
    [("PGHOST", "db.internal"), ("PGHOSTADDR", "10.0.0.5"), ("PGSERVICE", "moderation")],
)
def test_the_environment_counts(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert verified("postgresql:///x") == f"postgresql:///x?{ASKED}"


@pytest.mark.parametrize("mode", ["disable", "allow", "prefer", "require", "verify-ca"])
def test_less_is_allowed_by_its_name_and_said(monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
    url = f"postgresql://db.internal/x?sslmode={mode}"
    with collecting() as waivers:
        assert verified(url) == url
        monkeypatch.setenv("PGSSLMODE", mode)
        assert verified("postgresql://db.internal/x") == "postgresql://db.internal/x"
    assert [(waiver.safeguard, waiver.allowed_by) for waiver in waivers] == [
        ("TLS of the database", f"sslmode={mode}")
    ]


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (
            'connection failed: connection to server at "10.0.0.5", port 5432 failed: '
            'FATAL:  password authentication failed for user "u"',
            "password authentication failed for user",
        ),
        (
            'connection failed: connection to server at "10.0.0.5", port 5432 failed: '
            "Connection refused\n\tIs the server running on that host?",
            "Connection refused",
        ),
        (
            "failed to resolve host 'db.internal': [Errno -2] Name or service not known",
            "failed to resolve host: [Errno -2] Name or service not known",
        ),
        (
            'connection to server at "db.internal" (10.0.0.5), port 5432 failed: root certificate '
            'file "/home/u/.postgresql/root.crt" does not exist\nEither provide the file',
            "root certificate file does not exist. Give sslrootcert=FILE, or sslrootcert=system, "
            "in the URL of the queue, or allow less with another sslmode in that URL, as in "
            "require",
        ),
        (
            'connection to server at "db" (10.0.0.5), port 1 failed: FATAL:  no pg_hba.conf entry '
            'for host "10.0.0.9", user "u", database "d", no encryption',
            "no pg_hba.conf entry for host, user, database, no encryption. Give sslrootcert=FILE, "
            "or sslrootcert=system, in the URL of the queue, or allow less with another sslmode "
            "in that URL, as in require",
        ),
        ("", ""),
    ],
)
def test_reasons_have_no_address(said: str, reason: str) -> None:
    assert why_not(said) == reason


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:secret@db.internal/x",
        "postgres://u:@db.internal/x",
        "postgresql://u:secret?a@db.internal/x",
        "postgresql://u#:secret@db.internal/x",
        "postgresql://u@db.internal/x?password=secret",
        "postgresql://u@db.internal/x?%70assword=secret",
        "postgresql://u@db.internal/x?sslpassword=secret",
    ],
)
def test_no_password_is_an_argument(url: str) -> None:
    scan = ["scan", ".", "-s", "public_post", "--list", "pyproject.toml", "--review", url]
    for command in (["review", "status", url], ["review", "serve", url], scan):
        ran = CliRunner().invoke(main, command)
        assert ran.exit_code == 2
        assert "~/.pgpass, into the file that PGPASSFILE names, or into a service file" in (
            ran.stderr
        )
        assert "secret" not in ran.stderr
        assert "db.internal" not in ran.stderr


def test_messages_name_no_server() -> None:
    pytest.importorskip("psycopg")
    from hashmatch.review.queue import ReviewQueue

    for url in (
        "postgresql://someone@127.0.0.1:1/hidden?connect_timeout=2",
        "postgresql://someone@hidden.invalid/hidden?connect_timeout=2",
    ):
        with pytest.raises(ReviewError, match=r"review queue postgresql://\.\.\.: ") as refused:
            ReviewQueue.open(url)
        for word in ("someone", "hidden", "127.0.0.1"):
            assert word not in str(refused.value)
