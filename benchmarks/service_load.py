"""What `hashmatch serve` carries: look-ups, checks, swaps under load, overload, kills.

Servers run on loopback, and the load comes from a second process; every answer is compared with
what it has to be. ``lookups`` takes turns with a bare endpoint of the same framework that returns a
constant. CPU time a request is of the server's process alone, so that it means something on a
machine that does other work besides; rates and waiting times do not.

    python benchmarks/service_load.py store STORE                # ten million synthetic entries
    python benchmarks/service_load.py lookups STORE
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if __package__ in {None, ""}:  # run as a file, not with -m: the folder above is not on the path
    sys.path[0] = str(Path(__file__).resolve().parents[1])
    os.environ["PYTHONPATH"] = os.pathsep.join([sys.path[0], os.environ.get("PYTHONPATH", "")])

from benchmarks import servers
from benchmarks.load_generator import Answers, Ask, Load, asked, generators, request
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
    for name in rates:
        print(f"{name:10} look-ups a second {median(rates[name])}, us of CPU {median(cpu[name])}")
    for what, found in (
        ("by the clock", [a / b for a, b in zip(rates["hashmatch"], rates["bare"], strict=True)]),
        ("by CPU time", [b / a for a, b in zip(cpu["hashmatch"], cpu["bare"], strict=True)]),
    ):
        print(f"of the bare endpoint's rate, {what}: {median(found)}; at least 0.75")
    print(f"p99 / p50: {median(tails)}; at most 4")


def main() -> None:
    """Run one part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parts: dict[str, Callable[[argparse.Namespace, Path], None]] = {
        "store": lambda options, folder: make_store(options.store, options.entries),
        "lookups": run_lookups,
    }
    parser.add_argument("part", choices=parts)
    parser.add_argument("store", type=Path)
    parser.add_argument("--entries", type=int, default=ENTRIES)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        parts[options.part](options, Path(folder))


if __name__ == "__main__":
    main()
