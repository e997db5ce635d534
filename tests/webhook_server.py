"""A web server on loopback that takes messages, and answers as a test tells it to."""

from __future__ import annotations

import datetime
import socket
import ssl
import struct
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Answer = int | Literal["reset", "close", "hang", "drip", "garbage", "redirect"]


@dataclass
class Receiver:
    """What came, and what is answered next; after the last answer always 202."""

    url: str = ""
    answers: list[Answer] = field(default_factory=list)
    requests: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def keys(self) -> list[str]:
        return [headers["idempotency-key"] for _, headers, _ in self.requests]

    def serve(self, link: socket.socket) -> None:
        with link:
            file = link.makefile("rb")
            line = file.readline().decode("latin-1").strip()
            if not line:
                return  # it has gone without asking for anything
            headers = {}
            while (header := file.readline().decode("latin-1").strip()) != "":
                name, _, value = header.partition(": ")
                headers[name.lower()] = value
            body = file.read(int(headers.get("content-length", "0")))
            file.close()
            with self.lock:
                self.requests.append((line, headers, body))
                answer = self.answers.pop(0) if self.answers else 202
            self._answer(link, answer)

    def _answer(self, link: socket.socket, answer: Answer) -> None:
        if answer == "reset":
            link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        elif answer == "hang":
            self.ended.wait(PATIENCE)
        elif answer == "drip":
            for byte in b"HTTP/1.1 202 Accepted\r\nX-Long: " + b"x" * 1000:
                if self.ended.is_set():
                    return
                link.sendall(bytes([byte]))
                time.sleep(0.05)
        elif answer == "garbage":
            link.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
        elif answer == "redirect":
            link.sendall(
                f"HTTP/1.1 307 Elsewhere\r\nLocation: {self.url}/else\r\n"
                "Content-Length: 0\r\n\r\n".encode()
            )
        elif isinstance(answer, int):
            said = b"an answer that quotes: secret-in-answer"
            head = f"HTTP/1.1 {answer} Said\r\nContent-Length: {len(said)}\r\n\r\n"
            link.sendall(head.encode() + said)


@contextmanager
def receiving(*answers: Answer, tls: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Serve on a port of loopback; one thread a connection."""
    with socket.create_server(("127.0.0.1", 0)) as door:
        port = door.getsockname()[1]
        host = "http://127.0.0.1" if tls is None else "https://localhost"
        receiver = Receiver(f"{host}:{port}", list(answers))
        threads: list[threading.Thread] = []

        def answer_one(link: socket.socket) -> None:
            try:
                if tls is not None:
                    link = tls.wrap_socket(link, server_side=True)
                receiver.serve(link)
            except OSError:  # the other side has gone, which many tests have it do
                link.close()

        def accept() -> None:
            while True:
                try:
                    link, _ = door.accept()
                except OSError:
                    return
                threads.append(threading.Thread(target=answer_one, args=(link,)))
                threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield receiver
        finally:
            receiver.ended.set()
            door.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in threads:
                thread.join()


def certified(folder: Path, name: str = "localhost") -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return what a server of that name and a client that trusts it need."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "server.crt").write_bytes(certificate.public_bytes(pem))
    (folder / "server.key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "server.crt", folder / "server.key")
    return server, ssl.create_default_context(cafile=str(folder / "server.crt"))
