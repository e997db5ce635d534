"""A queue's PostgreSQL server has to prove who it is: tried with a real one that speaks TLS."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

import postgres_server
from hashmatch.cli import main
from processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate

x509 = pytest.importorskip("cryptography.x509")
pytestmark = pytest.mark.skipif(
    bool(postgres_server.missing()), reason=postgres_server.missing() or "there is one"
)
NAME, OTHER = "queue.internal", "elsewhere.internal"


def certificate(
    name: str, issuer: tuple[Certificate, EllipticCurvePrivateKey] | None = None
) -> tuple[Certificate, EllipticCurvePrivateKey]:
    """Return a certificate of `name`, signed by itself or by an `issuer`, and its key."""
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer[0].subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(issuer[1] if issuer else key, SHA256())
    )
    return made, key


def pem(made: Certificate, path: Path) -> Path:
    from cryptography.hazmat.primitives.serialization import Encoding

    path.write_bytes(made.public_bytes(Encoding.PEM))
    return path


class TlsServer:
    """A server at a port of loopback, with a certificate for `NAME` that `trusted` has issued."""

    def __init__(self, folder: Path) -> None:
        from cryptography.hazmat.primitives import serialization

        authority = certificate("authority.internal")
        made, key = certificate(NAME, authority)
        self.trusted = pem(authority[0], folder / "trusted.pem")
        self.stranger = pem(certificate("stranger.internal")[0], folder / "stranger.pem")
        self.server = postgres_server.Server(folder)
        self.server.make()
        data = folder / "data"
        pem(made, data / "server.crt")
        private = data / "server.key"
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        private.chmod(0o600)
        owner = os.stat(data)
        for file in (private, data / "server.crt"):
            os.chown(file, owner.st_uid, owner.st_gid)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        with (data / "postgresql.conf").open("a") as settings:
            settings.write(f"listen_addresses = '127.0.0.1'\nport = {self.port}\nssl = on\n")

    def url(self, name: str, root: Path) -> str:
        """Return the way to the server by a `name`, trusting `root`."""
        return (
            f"postgresql://postgres@{name}:{self.port}/postgres?hostaddr=127.0.0.1"
            f"&sslmode=verify-full&sslrootcert={root}"
        )


@pytest.fixture(scope="module")
def server() -> Iterator[TlsServer]:
    # Of a socket the path has to be short; the server's user has to get there.
    folder = Path(tempfile.mkdtemp(prefix="hashmatch-tls-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        made = TlsServer(folder)
        made.server.start()
        try:
            yield made
        finally:
            made.server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def refused(url: str) -> str:
    """Return the one line by which a command refuses a queue, which names no server."""
    ran = CliRunner().invoke(main, ["review", "status", url])
    assert ran.exit_code not in {0, 1}
    (line,) = ran.stderr.splitlines()
    for secret in (NAME, OTHER, "127.0.0.1", "postgres@", url):
        assert secret not in line
    return line


def test_a_server_with_the_right_name_has_a_queue(server: TlsServer) -> None:
    url = server.url(NAME, server.trusted)
    made = CliRunner().invoke(main, ["review", "init", url])
    assert made.exit_code == 0, made.stderr
    said = CliRunner().invoke(main, ["review", "status", url])
    assert said.exit_code == 0
    assert "allowed by" not in said.stderr


def test_a_server_of_another_name_is_refused(server: TlsServer) -> None:
    line = refused(server.url(OTHER, server.trusted))
    assert "does not match host name" in line


def test_a_certificate_that_nobody_vouches_for_is_refused(server: TlsServer) -> None:
    line = refused(server.url(NAME, server.stranger))
    assert "certificate verify failed" in line
    assert "Give sslrootcert=FILE" in line


def test_a_server_without_tls_is_refused(server: TlsServer) -> None:
    import psycopg

    url = server.url(NAME, server.trusted)
    admin = f"postgresql://postgres@/postgres?host={server.server.folder}&port={server.port}"
    with psycopg.connect(admin, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET ssl = off")
        connection.execute("SELECT pg_reload_conf()")
        try:
            # Until the server has read that again, it speaks TLS.
            wait_for(lambda: CliRunner().invoke(main, ["review", "status", url]).exit_code != 0)
            assert "server does not support SSL" in refused(url)
        finally:
            connection.execute("ALTER SYSTEM RESET ssl")
            connection.execute("SELECT pg_reload_conf()")
