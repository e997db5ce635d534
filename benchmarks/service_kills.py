"""Kills `hashmatch serve` under load at a hundred moments, and looks for what is missing or twice.

Half of the kills are of one worker, while the other goes on; half are of all processes at once.
With ``--missed``, ``--keep-missed-bytes`` and ``--review``, every picture that was answered or
noted as accepted has to be in the review queue after `hashmatch missed run`, and none twice.

    python benchmarks/service_kills.py --kills 100
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

if __package__ in {None, ""}:  # run as a file, not with -m: the folder above is not on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join([sys.path[0], os.environ.get("PYTHONPATH", "")])

from benchmarks import servers
from hashmatch.review.queue import ReviewQueue

if TYPE_CHECKING:
    from benchmarks.servers import Server

ROOT = Path(__file__).resolve().parents[1]
DEMO = ROOT / "fixtures" / "lists" / "demo-pdq.csv"
PICTURE = (ROOT / "fixtures" / "images" / "plain" / "tiles.png").read_bytes()
ASKING = 6


class Callers:
    """Threads that have a picture checked, each under a name of its own, again and again."""

    def __init__(self) -> None:
        self.matched: set[str] = set()
        self.noted: set[str] = set()
        self.unanswered = 0
        self._port = 0
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._count = 0
        self._threads = [threading.Thread(target=self._ask_on) for _ in range(ASKING)]

    def begin(self, port: int) -> None:
        """Ask at a port from now on."""
        self._port = port
        if not self._threads[0].is_alive():
            for thread in self._threads:
                thread.start()

    def end(self) -> None:
        """Ask no more."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask_on(self) -> None:
        while not self._stop.is_set():
            with self._lock:
                self._count += 1
                key = f"post/{self._count}"
            try:
                status, answer = self._ask(key)
            except (OSError, http.client.HTTPException):
                self.unanswered += 1
                time.sleep(0.02)
                continue
            if status == 200:
                assert answer["outcome"] == "match", answer
                self.matched.add(key)
            elif answer.get("noted"):
                self.noted.add(key)

    def _ask(self, key: str) -> tuple[int, dict[str, object]]:
        with closing(http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)) as to:
            to.request("POST", f"/v1/check?surface=public_post&item_id={key}", PICTURE)
            response = to.getresponse()
            return response.status, json.loads(response.read())


def at_work(database: Path) -> set[str]:
    """Return the names of what is noted as accepted and not answered yet, or as missed."""
    with closing(sqlite3.connect(database, timeout=60)) as opened:
        return {key for (key,) in opened.execute("SELECT key FROM item")}


def hashmatch(*arguments: str | Path) -> None:
    """Run a command."""
    subprocess.run([sys.executable, "-m", "hashmatch", *map(str, arguments)], check=True)


def kill_worker(server: Server, chance: random.Random) -> None:
    """Kill one worker, and wait until there are two again."""
    before = server.workers
    os.kill(chance.choice(before), signal.SIGKILL)
    while len(now := server.workers) < 2 or set(now) == set(before):
        time.sleep(0.05)


def main() -> None:
    """Kill, and print what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=19)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    callers = Callers()
    accepted: set[str] = set()
    with tempfile.TemporaryDirectory() as name:
        missed, queue = Path(name) / "missed.db", Path(name) / "queue.db"
        hashmatch("review", "init", queue)
        serve = (
            "--no-auth", "--list", DEMO, "--workers", "2", "--decoders", "1",
            "--missed", missed, "--keep-missed-bytes", "--review", queue,
        )  # fmt: skip
        killed = 0
        while killed < options.kills:
            with servers.hashmatch(*serve) as server:
                callers.begin(server.port)
                for last in (False, True):
                    time.sleep(chance.uniform(0.0, 1.0))
                    if last:
                        os.killpg(server.process.pid, signal.SIGKILL)
                        server.process.wait()
                    else:
                        kill_worker(server, chance)
                    accepted |= at_work(missed)
                    killed += 1
        callers.end()
        hashmatch("missed", "run", missed, queue, "--list", DEMO)
        with ReviewQueue.open(str(queue)) as opened:
            found = [item.record.item.key for case in opened.cases() for item in case.items]
        left = at_work(missed)
    print(
        f"{killed} kills, {len(callers.matched):,} answered, {len(callers.noted):,} refused and "
        f"noted, {callers.unanswered:,} without an answer, {len(accepted):,} noted as accepted "
        f"at a kill; {len(found):,} in the queue"
    )
    lost = (callers.matched | callers.noted | accepted) - set(found)
    print(
        f"lost: {len(lost)}, twice in the queue: {len(found) - len(set(found))}, left: {len(left)}"
    )
    if lost or left or len(found) != len(set(found)):
        sys.exit(1)


if __name__ == "__main__":
    main()
