"""A real PostgreSQL server on this machine, in a folder of its own, reached by a socket there."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from processes import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAMS = Path("/usr/lib/postgresql")
BOUNCER = Path("/usr/sbin/pgbouncer")


def programs() -> Path | None:
    """Return where Debian's package postgresql puts its programs; None if it is not installed."""
    found = sorted(PROGRAMS.glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    return found[-1].parent if found else None


def missing() -> str:
    """Return why there can be no server; empty if there can."""
    if programs() is None:
        return "Debian's postgresql is not installed"
    try:
        import psycopg  # noqa: F401
    except ImportError:
        return "psycopg is not installed (extra postgres)"
    return ""


class Server:
    """A server that tests start, stop and ask for databases."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Nobody else on the machine gets to the socket; the server refuses to run as root.
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            user = pwd.getpwnam("postgres")
            os.chown(folder, user.pw_uid, user.pw_gid)
            self._user = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self._count = 0

    def run(self, program: str, *arguments: str) -> None:
        found = programs()
        assert found is not None
        subprocess.run(
            [found / program, *arguments],
            check=True,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={"LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
            **self._user,
        )

    def make(self) -> None:
        self.run(
            "initdb", "-D", f"{self.folder}/data", "-U", "postgres", "-A", "trust",
            "--no-sync", "-E", "UTF8",
        )  # fmt: skip
        settings = Path(f"{self.folder}/data/postgresql.conf")
        with settings.open("a") as file:
            file.write(
                f"listen_addresses = ''\nunix_socket_directories = '{self.folder}'\n"
                "max_connections = 50\n"
                "fsync = off\n"  # the server is killed in tests, the machine is not
            )

    def start(self) -> None:
        self.run("pg_ctl", "-D", f"{self.folder}/data", "-l", f"{self.folder}/log", "-w", "start")

    def stop(self) -> None:
        self.run("pg_ctl", "-D", f"{self.folder}/data", "-m", "immediate", "-w", "stop")

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Have every process of it say nothing for a while, as a machine that hangs does."""
        first = int(Path(f"{self.folder}/data/postmaster.pid").read_text().split()[0])
        os.kill(first, signal.SIGSTOP)  # it starts no others from now on
        others = []
        for status in Path("/proc").glob("[0-9]*/stat"):
            with suppress(OSError):
                _, parent = status.read_text().rpartition(")")[2].split()[:2]
                if int(parent) == first:
                    others.append(int(status.parent.name))
        try:
            for one in others:
                os.kill(one, signal.SIGSTOP)
            yield
        finally:
            for one in (*others, first):
                os.kill(one, signal.SIGCONT)

    def url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self.folder}"

    def database(self, options: str = "") -> str:
        """Make a database and return its URL."""
        self._count += 1
        name = f"queue_{os.getpid()}_{self._count}"
        # Copied as files: with fsync off that is a fifth of the work of writing it to the log.
        self.execute(f"CREATE DATABASE {name} STRATEGY file_copy {options}")
        return self.url(name)

    def execute(self, sql: str, database: str = "postgres") -> None:
        """Execute a statement."""
        import psycopg

        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(sql.encode())

    @contextmanager
    def bouncer(self, pool_mode: str, pool_size: int = 2) -> Iterator[Bouncer]:
        """Give a PgBouncer between its clients and this server, which shares few connections."""
        folder = Path(tempfile.mkdtemp(prefix="hashmatch-pgb-", dir="/tmp"))
        if self._user:
            os.chown(folder, self._user["user"], self._user["group"])
        settings = folder / "pgbouncer.ini"
        settings.write_text(
            f"[databases]\n* = host={self.folder} user=postgres\n[pgbouncer]\n"
            f"unix_socket_dir = {folder}\nlisten_port = 5432\nauth_type = any\n"
            f"pool_mode = {pool_mode}\ndefault_pool_size = {pool_size}\nmax_client_conn = 100\n"
            "server_idle_timeout = 1\n"
        )
        settings.chmod(0o644)
        process = subprocess.Popen(
            [str(BOUNCER), "-q", settings],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **self._user,
        )
        try:
            wait_for((folder / ".s.PGSQL.5432").exists)
            yield Bouncer(folder)
        finally:
            process.kill()
            process.wait()
            shutil.rmtree(folder, ignore_errors=True)


class Bouncer:
    """A PgBouncer that runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def url(self, database: str) -> str:
        """Return the way to a database, given by its URL at the server."""
        name = urlsplit(database).path
        return f"postgresql://postgres@{name}?host={self.folder}"


@contextmanager
def serving() -> Iterator[Server]:
    """Give a server that runs."""
    place = os.environ.get("PYTEST_DEBUG_TEMPROOT", "/tmp")  # in memory, see conftest
    folder = Path(tempfile.mkdtemp(prefix="hashmatch-pg-", dir=place))  # a socket's path is short
    server = Server(folder)
    try:
        server.make()
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
