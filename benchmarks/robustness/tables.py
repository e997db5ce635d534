"""Make the tables of what columns.py measured: `python benchmarks/robustness/tables.py INTO`.

With ``--record NAME`` they are written to ``../record/NAME.md``, with all numbers in ``NAME.json``
and recall as a plot in ``NAME.png``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if __package__ in {None, ""}:  # run as a file, not with -m: the folder above is not on the path
    sys.path[0] = str(Path(__file__).resolve().parents[2])

import numpy as np

from benchmarks import report
from benchmarks.robustness.columns import PEERS, read_columns
from benchmarks.robustness.draw import read
from benchmarks.robustness.drawing import scripts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from benchmarks.robustness.columns import Column
    from benchmarks.robustness.draw import Drawn

RATES = (1e-5, 1e-6)
"""False-positive rates: of pairs of a query and another picture's entry."""


def families(drawn: Drawn) -> dict[str, list[str]]:
    """Return the rows of each family, in the order in which they were drawn."""
    found: dict[str, list[str]] = {}
    for query in drawn.queries:
        rows = found.setdefault(query.family, [])
        if query.row not in rows:
            rows.append(query.row)
    return found


def _mean(column: Column, rows: Sequence[str], limit: int) -> str:
    measured = [column.recall(row, limit) for row in rows if row in column.rows]
    return f"{np.mean(measured):.2f}" if measured and limit >= 0 else "-"


def recall_table(drawn: Drawn, columns: Sequence[Column]) -> list[str]:
    """Return recall at each column's own limit: families in bold, their rows below."""
    body = []
    for family, rows in families(drawn).items():
        body.append([f"**{family}**", *(f"**{_mean(one, rows, one.limit)}**" for one in columns)])
        body += [[row, *(_mean(one, [row], one.limit) for one in columns)] for row in rows]
    return report.table(("row", *(one.name for one in columns)), body)


def rate_table(drawn: Drawn, columns: Sequence[Column]) -> list[str]:
    """Return the true-positive rate of each family at fixed false-positive rates."""
    body = []
    limits = [(one, rate, one.limit_at(rate)) for one in columns for rate in RATES]
    body.append(["distance", *(str(limit) if limit >= 0 else "-" for _, _, limit in limits)])
    for family, rows in families(drawn).items():
        body.append([family, *(_mean(one, rows, limit) for one, _, limit in limits)])
    every = [row for rows in families(drawn).values() for row in rows]
    body.append(["**all rows**", *(f"**{_mean(one, every, limit)}**" for one, _, limit in limits)])
    return report.table(("family", *(f"{one.name}, {rate:g}" for one, rate, _ in limits)), body)


def false_table(columns: Sequence[Column]) -> list[str]:
    """Return how near other pictures came."""
    body = []
    for one in columns:
        within = sum(count for distance, count in one.others.items() if distance <= one.limit)
        body.append([
            one.name, str(one.limit), str(one.pictures), f"{one.pairs:,}", str(min(one.others)),
            str(within), f"{within / one.pairs:.1e}",
        ])  # fmt: skip
    titles = ("column", "limit", "pictures a row", "pairs", "nearest", "within the limit", "rate")
    return report.table(titles, body)


def detail_table(drawn: Drawn, column: Column) -> list[str]:
    """Return what each row of one column took: look-ups, time, and what found most."""
    body = []
    for rows in families(drawn).values():
        for name in rows:
            row = column.rows[name]
            own = [distance for distance in row.own if distance <= column.bits]
            body.append([
                name, _mean(column, [name], column.limit),
                f"{np.median(own):.0f}" if own else "-", str(len(row.own) - len(own) or ""),
                str(row.nearest_other) if row.nearest_other <= column.bits else "-",
                f"{row.hashes:.0f}", f"{row.milliseconds:.1f}",
                ", ".join(f"{by} {count}" for by, count in list(row.found_by.items())[:3]),
            ])  # fmt: skip
    titles = (
        "row", "recall", "median distance", "not searched", "nearest other", "look-ups",
        "CPU, ms", "found most by",
    )  # fmt: skip
    return report.table(titles, body)


def near_table(columns: Sequence[Column]) -> list[str]:
    """Return the pairs of different pictures within the limits, the nearest ten of each column."""
    body = [
        [one.name, str(distance), by, query, entry]
        for one in columns
        for distance, by, query, entry in one.near[:10]
    ]
    return report.table(("column", "distance", "by", "query", "entry"), body) if body else []


def as_json(columns: Sequence[Column]) -> dict[str, Any]:
    """Return every number of the tables; own distances as counts of each distance."""
    return {
        one.name: {
            "bits": one.bits,
            "limit": one.limit,
            "pictures": one.pictures,
            "others": one.others,
            "limits_at": {f"{rate:g}": one.limit_at(rate) for rate in RATES},
            "near": one.near[:50],
            "rows": {
                name: {
                    "recall": one.recall(name, one.limit),
                    "own": sorted(row.own),
                    "nearest_other": row.nearest_other,
                    "hashes": round(row.hashes, 1),
                    "milliseconds": round(row.milliseconds, 2),
                    "found_by": row.found_by,
                }
                for name, row in one.rows.items()
            },
        }
        for one in columns
    }


def plot(drawn: Drawn, columns: Sequence[Column], path: Path) -> None:
    """Draw recall at each column's own limit as a heat map."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    names = [row for rows in families(drawn).values() for row in rows]
    values = np.array([
        [one.recall(name, one.limit) if name in one.rows else np.nan for one in columns]
        for name in names
    ])  # fmt: skip
    figure, axis = plt.subplots(
        figsize=(4.4 + 0.55 * len(columns), 2.4 + 0.19 * len(names)), layout="constrained"
    )
    # Blue is found: told from red by the colour-blind too.
    axis.imshow(values, cmap="RdYlBu", vmin=0, vmax=1, aspect="auto")
    for (y, x), value in np.ndenumerate(values):
        if not np.isnan(value):
            ink = "white" if value < 0.12 or value > 0.9 else "black"
            axis.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=6, color=ink)
    labels = [f"{one.name}, {one.limit}" for one in columns]
    axis.set_xticks(range(len(columns)), labels, rotation=55, ha="right", fontsize=7)
    axis.set_yticks(range(len(names)), names, fontsize=6)
    axis.tick_params(length=0)
    for side in axis.spines.values():
        side.set_visible(False)
    axis.set_title("Share of transformed photographs found, at each tool's own limit", fontsize=9)
    figure.savefig(path, dpi=120)
    plt.close(figure)


def lines(drawn: Drawn, columns: Sequence[Column]) -> list[str]:
    """Return all tables, in Markdown."""
    found = [
        "",
        f"Recall at each column's own limit; {len(drawn.pictures)} pictures, "
        f"{len(drawn.photographs)} photographs on the list.",
        *recall_table(drawn, columns),
        "",
        "True-positive rate at fixed false-positive rates: for each, the largest distance at which "
        "no more pairs of a query and another picture's entry are within it.",
        *rate_table(drawn, columns),
        "",
        "Other pictures:",
        *false_table(columns),
    ]
    if near := near_table(columns):
        found += ["", "The nearest ten within the limit:", *near]
    for one in columns:
        if one.name == "hashmatch pdq thorough":
            found += ["", f"{one.name}, row by row:", *detail_table(drawn, one)]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("folder", type=Path, metavar="INTO")
    parser.add_argument("--record", metavar="NAME", help="write ../record/NAME.md, .json, .png")
    parser.add_argument("--photographs", default="", metavar="TEXT", help="say which in the record")
    parser.add_argument("--note", action="append", default=[], help="a sentence for the record")
    told = parser.parse_args()
    drawn = read(told.folder)
    columns = read_columns(drawn)
    made = lines(drawn, columns)
    print("\n".join(made))
    if not told.record:
        return
    command = ["python", "benchmarks/robustness/tables.py", told.folder.name]
    load = [os.getloadavg()]
    peers = ", ".join(
        f"{name}: {PEERS[name].tool.name} {PEERS[name].tool.version}"
        for name in (one.name for one in columns)
        if name in PEERS
    )
    notes = [told.photographs, *told.note, f"Text in: {', '.join(scripts())}", f"Peers: {peers}"]
    path = Path(__file__).parents[1] / "record" / f"{told.record}.md"
    opening = report.opening(", robustness", command, load, notes)
    path.write_text("\n".join([*opening, *made]) + "\n")
    path.with_suffix(".json").write_text(json.dumps(as_json(columns)) + "\n")
    plot(drawn, columns, path.with_suffix(".png"))


if __name__ == "__main__":
    main()
