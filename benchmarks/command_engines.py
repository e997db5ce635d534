"""Fresh interpreters: what an import, a help text and a first hash cost before any work."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass

from benchmarks.engines import OURS, Engine
from benchmarks.workloads import jpeg


@dataclass(frozen=True, kw_only=True)
class CommandEngine(Engine):
    """Arguments for a new interpreter, and what it is to print."""

    arguments: tuple[str, ...]
    prints: str = ""


def run(engine: CommandEngine) -> str:
    """Run it on a picture given as standard input; return what it printed."""
    # A home of its own: threatexchange's command line makes files in it.
    with tempfile.TemporaryDirectory() as home:
        done = subprocess.run(
            [sys.executable, *engine.arguments],
            input=jpeg(1),
            stdout=subprocess.PIPE,
            check=True,
            env={**os.environ, "HOME": home},
        )
    return done.stdout.decode()


def _import(module: str) -> CommandEngine:
    script = f"import {module}; print({module}.__name__)"
    return CommandEngine(
        name=module, needs=(module,), arguments=("-c", script), prints=f"{module}\n"
    )


BARE = CommandEngine(name="bare python", arguments=("-c", "pass"))
IMPORT = (
    _import(OURS),
    BARE,
    _import("imagehash"),
    _import("threatexchange"),
    _import("perception"),
)

HELP = (
    CommandEngine(name=OURS, arguments=("-m", "hashmatch", "--help"), prints="--help"),
    BARE,
    CommandEngine(
        name="threatexchange",
        needs=("threatexchange",),
        arguments=("-c", "from threatexchange.cli.main import main; main()", "--help"),
        prints="--help",
    ),
)

_READ = "import io, sys; data = sys.stdin.buffer.read(); "
FIRST_HASH = (
    CommandEngine(
        name=OURS,
        arguments=("-c", _READ + "import hashmatch; print(hashmatch.hash_image(data).hex)"),
    ),
    CommandEngine(
        name="threatexchange",
        needs=("threatexchange", "pdqhash"),
        arguments=(
            "-c",
            _READ + "from threatexchange.signal_type.pdq.signal import PdqSignal; "
            "print(PdqSignal.hash_from_bytes(data))",
        ),
    ),
    CommandEngine(
        name="perception",
        needs=("perception", "pdqhash"),
        arguments=(
            "-c",
            _READ + "from perception.hashers import PDQHash; "
            "print(PDQHash().compute(io.BytesIO(data), hash_format='hex'))",
        ),
    ),
)
