"""What `hashmatch serve` carries: look-ups, checks, swaps under load, overload.

Servers run on loopback, and the load comes from a second process; every answer is compared with
what it has to be. What is compared takes turns. CPU time a request is of the server's process
alone, so that it means something on a machine that does other work besides; rates and waiting times
do not.

    python benchmarks/service_load.py store STORE        # ten million synthetic entries: all others
                                                         # make it too, if it is not there
    python benchmarks/service_load.py lookups STORE      # and a bare endpoint of the framework
    python benchmarks/service_load.py hma STORE --peer-port N  # and Hasher-Matcher-Actioner there
    python benchmarks/service_load.py checks STORE       # JPEGs, workers, memory
    python benchmarks/service_load.py update STORE       # waiting times while STORE changes
    python benchmarks/service_load.py swaps STORE        # a thousand of a list of its own
    python benchmarks/service_load.py overload STORE     # ten times what can be done

``update`` adds versions to the store. Kills are in ``service_kills.py``.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if __package__ in {None, ""}:  # run as a file, not with -m: the folder above is not on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join([sys.path[0], os.environ.get("PYTHONPATH", "")])

from benchmarks import servers
from benchmarks.load_generator import Answers, Ask, Load, asked, begun, generators, request
from hashmatch.service.tokens import TokenFile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from concurrent.futures import ProcessPoolExecutor

    from benchmarks.servers import Server

ENTRIES = 10_000_000
SEED = 19
HITS = 100
"""One look-up in so many has an answer."""
CONNECTIONS = 16
PATIENT = 660
"""Ten times as many as a process has room for, 64 that wait and 2 at work."""


def make_store(path: Path, entries: int) -> None:
    """Make a store of synthetic hashes."""
    import hashmatch as hm

    random = np.random.default_rng(SEED)
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        file = Path(folder) / "hashes.txt"
        with file.open("w") as out:
            for begin in range(0, entries, 100_000):
                digits = random.bytes(32 * min(100_000, entries - begin)).hex()
                out.writelines(digits[at : at + 64] + "\n" for at in range(0, len(digits), 64))
        hm.ListStore(str(path)).import_files([str(file)])


def lookups(store: Path, count: int, token: str) -> list[Ask]:
    """Return look-ups of random hashes; one in `HITS` is 20 bits from an entry of the store."""
    import hashmatch as hm
    from hashmatch.service.banks import names_of
    from hashmatch.service.hma import content_id
    from hashmatch.testing import flipped, random_hashes

    (known,) = hm.ListStore(str(store)).open()
    matcher = hm.Matcher(known)
    random = np.random.default_rng(SEED + 1)
    rows = np.sort(random.choice(len(known), count // HITS, replace=False))
    near = hm.HashBatch.concatenate(
        [flipped(known.hashes[row : row + 1], 20, seed=row) for row in rows.tolist()]
    )
    bank = names_of([known])[known.name]
    made: list[Ask] = []
    for hashes in (random_hashes(known.spec, count - len(rows), seed=SEED + 2), near):
        for text, found in zip(hashes.to_hex(), matcher.look_up(hashes), strict=True):
            assert len(found.matches) == (hashes is near)
            shown = ",".join(
                f'{{"bank_content_id":{content_id(match)},"distance":"20"}}'
                for match in found.matches
            )
            expected = f'{{"{bank}":[{shown}]}}' if found.matches else "{}"
            query = {"signal": text, "signal_type": "pdq"}
            made.append(Ask(request("GET", "/m/lookup", query, token=token), expected.encode()))
    return [made[number] for number in random.permutation(len(made))]


def with_token(folder: Path) -> tuple[Path, str]:
    """Return a token file, and a token that may ask for everything, with a limit of requests."""
    path = folder / "tokens.json"
    return path, TokenFile(path).add("load", ["admin"], rate=1e6)


def constant(asks: Sequence[Ask]) -> list[Ask]:
    """Return the same requests, for a server that returns a constant."""
    return [Ask(ask.data, b"{}") for ask in asks]


def median(rows: Sequence[float]) -> str:
    return f"{statistics.median(rows):,.2f} ({min(rows):,.2f} to {max(rows):,.2f})"


def measured(
    pool: ProcessPoolExecutor, server: Server, asks: Sequence[Ask], seconds: float, **how: int
) -> tuple[Answers, float]:
    """Return the answers to a load, all of which are good, and the CPU time of one in us."""
    before = server.cpu_seconds()
    answers = asked(pool, Load(server.port, asks, how.get("connections", CONNECTIONS), seconds))
    assert answers.bad == 0, answers.taken
    return answers, (server.cpu_seconds() - before) / answers.good * 1e6


def run_lookups(options: argparse.Namespace, folder: Path) -> None:
    """Print look-ups a second, next to those of a bare endpoint."""
    tokens, token = with_token(folder)
    asks = lookups(options.store, 20_000, token)
    rates: dict[str, list[float]] = {"hashmatch": [], "bare": []}
    cpu: dict[str, list[float]] = {"hashmatch": [], "bare": []}
    tails: list[float] = []
    serve = ("--list", options.store, "--tokens", tokens)
    with generators() as pool, servers.hashmatch(*serve) as ours, servers.bare() as bare:
        sides = {"hashmatch": (ours, asks), "bare": (bare, constant(asks))}
        for server, of_side in sides.values():
            measured(pool, server, of_side, 1.0)
        for _ in range(options.rounds):
            for name, (server, of_side) in sides.items():
                answers, spent = measured(pool, server, of_side, options.seconds)
                rates[name].append(answers.rate)
                cpu[name].append(spent)
                if name == "hashmatch":
                    tails.append(answers.milliseconds(99) / answers.milliseconds(50))
    for name, found in rates.items():
        print(f"{name:10} look-ups a second {median(found)}, us of CPU {median(cpu[name])}")
    for what, found in (
        ("by the clock", [a / b for a, b in zip(rates["hashmatch"], rates["bare"], strict=True)]),
        ("by CPU time", [b / a for a, b in zip(cpu["hashmatch"], cpu["bare"], strict=True)]),
    ):
        print(f"of the bare endpoint's rate, {what}: {median(found)}; at least 0.75")
    print(f"p99 / p50: {median(tails)}; at most 4")


def run_hma(options: argparse.Namespace, folder: Path) -> None:
    """Print look-ups a second next to those of Hasher-Matcher-Actioner, which runs already."""
    tokens, token = with_token(folder)
    asks = lookups(options.store, 20_000, token)
    theirs = [Ask(ask.data) for ask in asks if ask.expected == b"{}"]
    rates: dict[str, list[float]] = {"hashmatch": [], "HMA": []}
    with (
        generators() as pool,
        servers.hashmatch("--list", options.store, "--tokens", tokens) as ours,
    ):
        for _ in range(options.rounds):
            answers, _ = measured(pool, ours, asks, options.seconds)
            rates["hashmatch"].append(answers.rate)
            # Its server ends each connection with the answer, and takes one at a time.
            answers = asked(pool, Load(options.peer_port, theirs, 4, options.seconds))
            assert answers.good == answers.asked, answers.taken
            rates["HMA"].append(answers.rate)
    for name, found in rates.items():
        print(f"{name:10} look-ups a second {median(found)}")
    ratios = [a / b for a, b in zip(rates["hashmatch"], rates["HMA"], strict=True)]
    print(f"times HMA's: {median(ratios)}; at least 20")


def jpegs(count: int) -> list[bytes]:
    """Return JPEGs of drawn pictures, 640 pixels wide."""
    from PIL import Image

    from hashmatch.testing import picture

    made = []
    for number in range(count):
        file = io.BytesIO()
        Image.fromarray(picture(number, 640, 480)).save(file, "JPEG", quality=85)
        made.append(file.getvalue())
    return made


def checks(token: str, count: int = 50) -> list[Ask]:
    """Return checks of pictures that are near nothing, each with a name of its own."""
    pictures = jpegs(min(count, 50))
    return [
        Ask(
            request(
                "POST", "/v1/check", {"surface": "public_post", "item_id": f"post/{number}"},
                body=pictures[number % len(pictures)], token=token,
            )
        )
        for number in range(count)
    ]  # fmt: skip


def library_rate(store: Path, seconds: float) -> tuple[float, float]:
    """Return checks a second of a matcher that decodes in this thread, and CPU us of one."""
    import hashmatch as hm

    matcher = hm.Matcher(*hm.ListStore(str(store)).open())
    pictures = jpegs(50)
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    done = -50  # the first are for warming up
    began = cpu = 0.0
    while done <= 0 or time.perf_counter() - began < seconds:
        if done == 0:
            began, cpu = time.perf_counter(), time.process_time()
        result = matcher.check(pictures[done % 50], surface="public_post", item_id="post/1")
        assert result.outcome is hm.Outcome.NO_MATCH, result.outcome
        done += 1
    return done / (time.perf_counter() - began), (time.process_time() - cpu) / done * 1e6


def run_checks(options: argparse.Namespace, folder: Path) -> None:
    """Print checks a second next to the library's, of one worker and two, and the memory."""
    tokens, token = with_token(folder)
    asks, cores = checks(token), sorted(os.sched_getaffinity(0))
    serve = ("--list", options.store, "--tokens", tokens)
    by_clock, by_cpu = [], []
    with servers.hashmatch(*serve) as server:
        for _ in range(options.rounds):
            with generators() as pool:
                rate, cpu = pool.submit(library_rate, options.store, options.seconds).result()
                asked(pool, Load(server.port, asks, 8, 1.0))
                before = server.cpu_seconds(with_children=True)
                answers = asked(pool, Load(server.port, asks, 8, options.seconds))
                assert answers.bad == 0, answers.taken
                spent = (server.cpu_seconds(with_children=True) - before) / answers.good * 1e6
            by_clock.append(answers.rate / rate / len(cores))
            by_cpu.append(cpu / spent)
    print(f"checks a second, the last: library {rate:,.0f} on a core, service {answers.rate:,.0f}")
    print(f"of the library's rate times {len(cores)} cores, by the clock: {median(by_clock)}")
    print(f"of the library's rate, by CPU time: {median(by_cpu)}; at least 0.8")

    ratios = []
    of_one = (*serve, "--decoders", "1")
    with (
        generators() as pool,
        servers.hashmatch(*of_one, cores=cores[:1]) as one,
        servers.hashmatch(*of_one, "--workers", "2", cores=cores[:2]) as two,
    ):
        for _ in range(options.rounds):
            rates = []
            for server in (one, two):
                asked(pool, Load(server.port, asks, 8, 1.0))
                answers = asked(pool, Load(server.port, asks, 8, options.seconds))
                assert answers.bad == 0, answers.taken
                rates.append(answers.rate)
            ratios.append(rates[1] / rates[0])
        print(f"two workers on two cores, of one worker on one: {median(ratios)}; at least 1.8")

    of_all = lookups(options.store, 20_000, token)
    taken = {}
    for workers in (1, 3):
        with (
            generators() as pool,
            servers.hashmatch(*of_one, "--workers", str(workers)) as server,
        ):
            for load in (asks, of_all):
                asked(pool, Load(server.port, load, 24, 5.0))
            taken[workers] = sum(servers.memory(pid) for pid in server.processes)
    further = (taken[3] - taken[1]) / 2 / 2**20
    print(f"memory of a further worker with its decoder, PSS: {further:,.0f} MiB; at most 150")


def run_update(options: argparse.Namespace, folder: Path) -> None:
    """Print how long look-ups take while 10,000 entries are added, and all are swapped.

    The store is as it was at the end, and a few versions further. Each change is measured from its
    beginning for ``--update-seconds``, in which it has to come into use; and before, for as long.
    """
    import hashmatch as hm

    tokens, token = with_token(folder)
    asks = lookups(options.store, 20_000, token)
    few = folder / "few.txt"
    digits = np.random.default_rng(SEED + 3).bytes(32 * 10_000).hex()
    few.write_text("".join(digits[at : at + 64] + "\n" for at in range(0, len(digits), 64)))
    command = [sys.executable, "-m", "hashmatch", "list"]
    store = hm.ListStore(str(options.store))
    begins = store.latest_version()
    changes = {
        "an update of 10,000": [*command, "update", options.store, few],
        "a swap of all": [*command, "rollback", options.store, str(begins)],
    }
    with (
        generators() as pool,
        servers.hashmatch("--list", options.store, "--tokens", tokens) as server,
    ):
        how = {"connections": 64, "rate": options.rate}
        asked(pool, Load(server.port, asks, seconds=2.0, **how))
        for name, change in changes.items():
            before = asked(pool, Load(server.port, asks, seconds=options.update_seconds, **how))
            load = begun(pool, Load(server.port, asks, seconds=options.update_seconds, **how))
            began = time.perf_counter()
            subprocess.run(["nice", "-n", "19", *map(str, change)], check=True, capture_output=True)
            made = time.perf_counter() - began
            version = store.latest_version()
            while not servers.snapshot(server).endswith(f"@{version}"):
                assert not load.done(), "it was not in use in time: give --update-seconds"
                time.sleep(0.1)
            used = time.perf_counter() - began
            during = load.result()
            for answers in (before, during):
                assert answers.bad == 0, answers.taken
            assert len(during.snapshots) == 2, during.snapshots
            tails = [answers.milliseconds(99) for answers in (before, during)]
            print(
                f"p99 before {name}: {tails[0]:.2f} ms, during: {tails[1]:.2f} ms, "
                f"{tails[1] / tails[0]:.2f} times; at most 1.2. It was made in {made:.1f} s, and "
                f"in use after {used:.1f} s of {options.update_seconds:g}"
            )


def run_swaps(options: argparse.Namespace, folder: Path) -> None:
    """Swap a list a thousand times under load, and compare what the process holds."""
    import hashmatch as hm
    from hashmatch.testing import random_hashes

    tokens, token = with_token(folder)
    spec, path = hm.HashSpec("pdq", 256), folder / "swapped"
    known = random_hashes(spec, 20_000, seed=SEED)
    halves = known[:10_000].to_hex(), known[10_000:].to_hex()
    store = hm.ListStore(str(path))
    for number, half in enumerate(halves):
        file = folder / f"{number}.txt"
        file.write_text("".join(f"{text}\n" for text in half))
        store.import_files([str(file)], hm.Change(accept=("size-change",)))
    asks = _of_versions(halves, path, token)
    with (
        generators() as pool,
        servers.hashmatch("--list", path, "--tokens", tokens, watches_often=True) as server,
    ):
        pid, held = server.process.pid, []
        found: list[Answers] = []
        for part in (100, options.swaps - 100):
            stop = time.time()
            load = begun(pool, Load(server.port, asks, 8, part * options.pause, rate=options.rate))
            for _ in range(part):
                version = store.latest_version()
                store.roll_back(version - 1)
                stop += options.pause
                time.sleep(max(0.0, stop - time.time()))
            found.append(load.result())
            time.sleep(1)
            held.append(
                (servers.memory(pid, "Rss") / 2**20, servers.files(pid), servers.mappings(pid))
            )
    for answers in found:
        assert answers.bad == 0, (answers.taken, answers.wrong)
    names = {name: times for answers in found for name, times in answers.snapshots.items()}
    seen = sorted(
        (first, last, int(name.partition("@")[2])) for name, (first, last) in names.items()
    )
    for (_, last, version), (first, _, following) in pairwise(seen):
        assert version < following
        assert last <= first + 0.05, "two versions answer at the same time"
    asked_in_all = sum(answers.asked for answers in found)
    print(f"{asked_in_all:,} answers of {len(seen)} versions, each with its own entries, in order")
    print("after 100 swaps: RSS {:.1f} MiB, {} files, {} mappings".format(*held[0]))
    print(f"after {options.swaps}: " + "RSS {:.1f} MiB, {} files, {} mappings".format(*held[1]))


def _of_versions(halves: tuple[list[str], list[str]], path: Path, token: str) -> list[Ask]:
    """Return look-ups of entries that versions with odd numbers have, or even ones."""
    import hashmatch as hm
    from hashmatch.service.banks import names_of
    from hashmatch.service.hma import content_id

    store = hm.ListStore(str(path))
    made = []
    for version, half in enumerate(halves, 1):
        lists = store.lists(store.version(version), [])
        matcher, bank = hm.Matcher(*lists), names_of(lists)[lists[0].name]
        for text in half[:500]:
            (found,) = matcher.look_up(hm.HashBatch.from_hex(lists[0].spec, [text]))
            (match,) = found.matches
            there = f'{{"{bank}":[{{"bank_content_id":{content_id(match)},"distance":"0"}}]}}'
            query = {"signal": text, "signal_type": "pdq"}
            expected = (b"{}", there.encode()) if version == 1 else (there.encode(), b"{}")
            made.append(Ask(request("GET", "/m/lookup", query, token=token), expected))
    return made


def run_overload(options: argparse.Namespace, folder: Path) -> None:
    """Ask for ten times the checks that can be done.

    First at ten times the best rate, whatever is answered; then by `PATIENT` clients that ask
    again at once when they are answered, and wait as they are told to when they are refused.

    The server and its decoder are held to one processor, and who asks to another, for the best rate
    as for the overload: the questions take as long as the answers, and are not what is measured.
    """
    tokens, token = with_token(folder)
    asks, (core, other) = checks(token, 2000), sorted(os.sched_getaffinity(0))[:2]
    serve = ["--list", options.store, "--tokens", tokens, "--decoders", "1"]
    if options.missed:
        serve += ["--missed", folder / "missed.db"]
    with generators() as pool, servers.hashmatch(*serve, cores=[core]) as server:

        def good(load: Load) -> tuple[Answers, float]:
            """Return the answers to a load, and good ones for a second of CPU time."""
            before = server.cpu_seconds(with_children=True)
            answers = asked(pool, load)
            return answers, answers.good / (server.cpu_seconds(with_children=True) - before)

        asked(pool, Load(server.port, asks, 8, 2.0, core=other))
        best, best_of_cpu = max(
            ((answers.rate, of_cpu) for answers, of_cpu in (
                good(Load(server.port, asks, 8, 5.0, core=other)) for _ in range(3))),
        )  # fmt: skip
        sizes: list[int] = []
        stop = threading.Event()

        def watch() -> None:
            while not stop.wait(1.0):
                with suppress(FileNotFoundError):  # a process that has just ended
                    sizes.append(sum(servers.memory(pid) for pid in server.processes))

        watching = threading.Thread(target=watch)
        watching.start()
        load = Load(server.port, asks, 400, options.overload_seconds, rate=10 * best, core=other)
        answers, of_cpu = good(load)
        patient, _ = good(
            Load(server.port, asks, PATIENT, options.overload_seconds / 2, core=other, waits=True)
        )
        stop.set()
        watching.join()
    counts = {status: len(taken) for status, taken in sorted(answers.taken.items())}
    half = len(sizes) // 2
    print(f"best rate {best:,.0f} checks a second; asked for {10 * best:,.0f}, sent "
          f"{answers.asked / answers.seconds:,.0f}, answers by status {counts}")  # fmt: skip
    assert set(counts) <= {200, 503}, counts
    assert sum(counts.values()) == answers.asked
    print(f"good answers, of the best rate: {answers.rate / best:.2f} by the clock, "
          f"{of_cpu / best_of_cpu:.2f} by CPU time; at least 0.9")  # fmt: skip
    print("refused within, ms: p50 {:.1f}, p99 {:.1f}, the longest {:.1f}; at most 50".format(
        *(answers.milliseconds(part, 503) for part in (50, 99, 100))))  # fmt: skip
    assert set(patient.taken) <= {200, 503}
    print(f"{PATIENT} clients that wait as they are told: good answers, of the best rate: "
          f"{patient.rate / best:.2f}; refused {len(patient.taken.get(503, ())):,}, p99 "
          f"{patient.milliseconds(99, 503):.1f} ms")  # fmt: skip
    print(f"memory, PSS: {max(sizes[:half]) / 2**20:,.0f} MiB at most in the first half, "
          f"{max(sizes[half:]) / 2**20:,.0f} in the second")  # fmt: skip


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts: dict[str, Callable[[argparse.Namespace, Path], None]] = {
        "store": lambda options, folder: make_store(options.store, options.entries),
        "lookups": run_lookups,
        "hma": run_hma,
        "checks": run_checks,
        "update": run_update,
        "swaps": run_swaps,
        "overload": run_overload,
    }
    parser.add_argument("part", choices=parts)
    parser.add_argument("store", type=Path)
    parser.add_argument("--entries", type=int, default=ENTRIES)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--peer-port", type=int, default=5100)
    parser.add_argument("--rate", type=float, default=500.0, help="look-ups a second")
    parser.add_argument(
        "--update-seconds", type=float, default=45.0, help="until a change is made and in use"
    )
    parser.add_argument("--swaps", type=int, default=1000)
    parser.add_argument("--pause", type=float, default=0.15, help="seconds between two swaps")
    parser.add_argument("--missed", action="store_true", help="what is refused is noted")
    parser.add_argument("--overload-seconds", type=float, default=60.0)
    options = parser.parse_args()
    if options.part != "store" and not options.store.exists():
        make_store(options.store, options.entries)  # once: it takes some minutes
    with tempfile.TemporaryDirectory() as folder:
        parts[options.part](options, Path(folder))


if __name__ == "__main__":
    main()
