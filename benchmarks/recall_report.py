"""Recall as a table, as Markdown, and as a plot that shows what each level finds."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from benchmarks.photographs import Photograph
    from benchmarks.recall import Result

    Row = dict[str, Any]

KINDS = ("photograph", "tile", "artwork")
MISSES = (0, 25, 50, 75, 100)
"""Percentiles of the distances that are reported for misses."""


def rows(results: Sequence[Result], queries: Sequence[Photograph], limit: int) -> list[Row]:
    """Return one row for each result, transformation and kind of query."""
    found = []
    for result in results:
        for name, own in result.own.items():
            for kind in ("photograph", "artwork"):
                mine = [n for n, query in enumerate(queries) if query.kind == kind]
                if not mine:
                    continue
                distances = np.array(own)[mine]
                missed = distances[distances > limit]
                row: Row = {
                    "algorithm": result.algorithm,
                    "max_distance": limit,
                    "level": result.level,
                    "transformation": name,
                    "kind": kind,
                    "pictures": len(mine),
                    "recall": float((distances <= limit).mean()),
                    "median_distance": float(np.median(distances)),
                    "missed_distances": np.percentile(missed, MISSES, method="nearest").tolist()
                    if len(missed)
                    else [],
                    "missed": [queries[n].name for n in mine if own[n] > limit],
                    "not_searched": result.unsearched[name],
                    "found_by": dict(
                        Counter(result.by[name][n] for n in mine if own[n] <= limit).most_common()
                    ),
                }
                found.append(row)
    return found


def false_rows(
    results: Sequence[Result], queries: Sequence[Photograph], entries: Sequence[Photograph]
) -> list[Row]:
    """Return one row for each result and kind of pair: pairs of different pictures, and matches."""
    plain = {result.algorithm: result.false_pairs for result in results if result.level == "none"}
    found = []
    for result in results:
        for kind in KINDS:
            if not result.pairs[kind]:
                continue
            mine = [one for one in result.others if pair_kind(one, queries, entries) == kind]
            before = plain.get(result.algorithm, set())
            new = [one for one in mine if one[:3] not in before]
            found.append(
                {
                    "algorithm": result.algorithm,
                    "level": result.level,
                    "pairs_with": kind,
                    "pairs": result.pairs[kind],
                    "false": len(mine),
                    "not_in_none": len(new),
                    "closest": result.closest.get(kind),
                    "picture_pairs": len({(one.query, one.entry) for one in mine}),
                    "by_question": _by_question(new),
                    "worst": [
                        {
                            "query": queries[one.query].name,
                            "transformation": one.transformation,
                            "entry": entries[one.entry].name,
                            "distance": one.distance,
                            "question": one.variant,
                        }
                        for one in sorted(new, key=lambda one: one.distance)[:30]
                    ],
                }
            )
    return found


def pair_kind(pair: Any, queries: Sequence[Photograph], entries: Sequence[Photograph]) -> str:
    """Return what a pair of pictures counts as: artworks and tiles are apart from photographs."""
    kinds = {queries[pair.query].kind, entries[pair.entry].kind}
    return next((kind for kind in ("artwork", "tile") if kind in kinds), "photograph")


def _by_question(pairs: Sequence[Any]) -> dict[str, int]:
    counted: dict[str, int] = {}
    for pair in pairs:
        counted[pair.variant] = counted.get(pair.variant, 0) + 1
    return dict(sorted(counted.items(), key=lambda item: -item[1]))


def pivot(found: Sequence[Row], kind: str) -> tuple[list[str], list[list[str]]]:
    """Return column titles, and a row of text for each transformation: recall by hasher, level."""
    chosen = [row for row in found if row["kind"] == kind]
    columns = list(dict.fromkeys((row["algorithm"], row["level"]) for row in chosen))
    recall = {
        (row["transformation"], row["algorithm"], row["level"]): row["recall"] for row in chosen
    }
    names = dict.fromkeys(row["transformation"] for row in chosen)
    titles = ["transformation", *(f"{algorithm} {level}" for algorithm, level in columns)]
    return titles, [[name, *(f"{recall[name, *c]:.2f}" for c in columns)] for name in names]


FALSE_COLUMNS = (
    "hasher", "level", "pairs with", "pairs", "closest", "matched", "new", "picture pairs", "by",
)  # fmt: skip


def false_cells(row: Row) -> list[str]:
    """Return a row of `false_rows` as text, in the order of `FALSE_COLUMNS`."""
    by = ", ".join(f"{name} {count}" for name, count in list(row["by_question"].items())[:4])
    return [
        row["algorithm"],
        row["level"],
        row["pairs_with"] + "s",
        f"{row['pairs']:,}",
        str(row["closest"]),
        str(row["false"]),
        str(row["not_in_none"]),
        str(row["picture_pairs"]),
        by,
    ]


def markdown(found: Sequence[Row], false: Sequence[Row]) -> list[str]:
    """Return the tables of a record."""
    lines = []
    for kind in ("photograph", "artwork"):
        titles, body = pivot(found, kind)
        if not body:
            continue
        count = next(row["pictures"] for row in found if row["kind"] == kind)
        lines += ["", f"Recall, {count} {kind}s:", "", f"| {' | '.join(titles)} |"]
        lines += [f"|{'---|' * len(titles)}", *(f"| {' | '.join(cells)} |" for cells in body)]
    lines += ["", "Matches between different pictures:", "", f"| {' | '.join(FALSE_COLUMNS)} |"]
    lines += [f"|{'---|' * len(FALSE_COLUMNS)}"]
    lines += [f"| {' | '.join(false_cells(row))} |" for row in false]
    return lines


def plot(found: Sequence[Row], path: Path) -> None:
    """Draw recall on photographs as heat maps, one panel a hasher, one column a level."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    chosen = [row for row in found if row["kind"] == "photograph"]
    names = list(dict.fromkeys(row["transformation"] for row in chosen))
    hashers = list(dict.fromkeys(row["algorithm"] for row in chosen))
    levels = {
        name: list(dict.fromkeys(r["level"] for r in chosen if r["algorithm"] == name))
        for name in hashers
    }
    recall = {(r["transformation"], r["algorithm"], r["level"]): r["recall"] for r in chosen}
    columns = [len(levels[name]) for name in hashers]
    figure, axes = plt.subplots(
        1,
        len(hashers),
        sharey=True,
        squeeze=False,
        figsize=(3.2 + 0.62 * sum(columns) + 0.25 * len(hashers), 1.8 + 0.27 * len(names)),
        gridspec_kw={"width_ratios": columns, "wspace": 0.06},
        layout="constrained",
    )
    for axis, hasher in zip(axes[0], hashers, strict=True):
        values = np.array([[recall[name, hasher, lv] for lv in levels[hasher]] for name in names])
        # Blue is found: told from red by the colour-blind too.
        axis.imshow(values, cmap="RdYlBu", vmin=0, vmax=1, aspect="auto")
        for (y, x), value in np.ndenumerate(values):
            ink = "white" if value < 0.12 or value > 0.9 else "black"
            axis.text(x, y, f"{value:.2f}", ha="center", va="center", fontsize=7.5, color=ink)
        limit = next(r["max_distance"] for r in chosen if r["algorithm"] == hasher)
        axis.set_title(f"{hasher}, within {limit}", fontsize=9)
        axis.set_xticks(range(len(levels[hasher])), levels[hasher], rotation=40, ha="right")
        axis.set_yticks(range(len(names)), names)
        axis.tick_params(length=0, labelsize=8)
        for side in axis.spines.values():
            side.set_visible(False)
    count = chosen[0]["pictures"]
    figure.suptitle(f"Share of {count} transformed photographs found again", fontsize=11)
    figure.savefig(path, dpi=130)
    plt.close(figure)
