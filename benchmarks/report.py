"""A record of measured ratios, with everything that is needed to doubt it."""

from __future__ import annotations

import platform
import shlex
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    Row = dict[str, Any]
    Load = tuple[float, float, float]

COLUMNS = (
    "work",
    "peer",
    "questions",
    "ours, CPU",
    "peer, CPU",
    "peer / ours",
    "lowest - highest",
    "by wall",
    "goal",
)
PACKAGES = [
    "hashmatch",
    "numpy",
    "numba",
    "Pillow",
    "ImageHash",
    "pdqhash",
    "faiss-cpu",
    "threatexchange",
    "usearch",
    "Perception",
    "opencv-contrib-python-headless",
    "scipy",
]


def duration(seconds: float) -> str:
    """Return seconds as people read them, three digits."""
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} us"


def times(ratio: float, is_floor: bool) -> str:
    """Return peer / ours; over a floor as 1 / how many times as long we take."""
    return f"1 / {1 / ratio:.2f}" if is_floor else f"{ratio:.2f}"


def cells(row: Row) -> list[str]:
    """Return a row as text, in the order of `COLUMNS`."""
    lowest, ratio, highest, wall = (
        times(row[name], row["is_floor"]) for name in ("lowest", "ratio", "highest", "wall_ratio")
    )
    asked = row["our_questions"], row["peer_questions"]
    return [
        row["work"],
        row["peer"],
        " / ".join(f"{count:,}" for count in asked) if max(asked) > 1 else "",
        duration(row["ours_cpu_seconds"]),
        duration(row["peer_cpu_seconds"]),
        ratio,
        f"{lowest} - {highest}",
        wall,
        "" if row["goal"] is None else f"{row['goal']:g}",
    ]


def cpu_name() -> str:
    """Return the processor's name and how many of it there are."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {len(names)} logical cores"


def faiss_code() -> str:
    """Return which of its ways faiss takes on this processor: it has several in one wheel."""
    import faiss

    config = getattr(faiss, "SIMDConfig", None)  # since 1.14; before, it says what it is made of
    return f"code for {config.get_level_name() if config else faiss.get_compile_options().strip()}"


def versions() -> str:
    """Return the versions of Python and of everybody measured."""
    found = [f"Python {platform.python_version()}"]
    for name in PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} not installed")
            continue
        if name == "faiss-cpu":
            found[-1] += f" ({faiss_code()})"
    return ", ".join(found)


def opening(
    title: str, command: Sequence[str], load: Sequence[Load], notes: Sequence[str] = ()
) -> list[str]:
    """Return how a record begins: what made it, and where."""
    return [
        f"# {datetime.now(UTC):%Y-%m-%d}{title}",
        "",
        "Made by this command; how to read it is in ../README.md.",
        "",
        "```sh",
        shlex.join(command),
        "```",
        "",
        f"- Processor: {cpu_name()}; {platform.system()} {platform.machine()}",
        f"- Versions: {versions()}",
        f"- Load average of a minute: {load[0][0]:.2f} before, {load[-1][0]:.2f} after",
        *(f"- {note}" for note in notes if note),
    ]


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table in Markdown."""
    lines = ["", f"| {' | '.join(columns)} |", f"|{'---|' * len(columns)}"]
    return lines + [f"| {' | '.join(row)} |" for row in rows]


def markdown(
    rows: Sequence[Row],
    command: Sequence[str],
    load: Sequence[Load],
    missing: Sequence[str],
    note: str,
) -> str:
    """Return the record of ratios."""
    notes = [*(f"Not installed, not measured: {name}" for name in dict.fromkeys(missing)), note]
    lines = [*opening("", command, load, notes), *table(COLUMNS, [cells(row) for row in rows])]
    return "\n".join(lines) + "\n"
