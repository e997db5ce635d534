"""The report of a calibration: a page with plots that stands by itself, and the same as JSON.

The page fetches nothing and runs nothing. It names entries as records do, and shows nothing of
them: only pictures of the sample, by their names, and small and blurred if that was asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from html import escape
from typing import TYPE_CHECKING, Any

import msgspec

from hashmatch._files.atomic import OutputFile
from hashmatch._plots.plots import THEMES, WIDTHS, Estimate, log_curve, svg, whiskers
from hashmatch.records.calibration import PER, interval, predicted
from hashmatch.records.entries import Entry

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from hashmatch._plots.plots import Plot
    from hashmatch.calibration.calibrate import Calibration, ListResult, Question
    from hashmatch.matching.matcher import Matcher
    from hashmatch.records.calibration import DistanceCount, Expected
    from hashmatch.records.shares import LimitCost, Precision, Share

SCHEMA = "hashmatch.calibration-report/1"
MOST_QUESTIONS = 100
"""Pictures that the page names; the file of questions has all."""
COLOURS = {name: f"var(--{name})" for name in THEMES["light"]}
ROUND = 8
"""Bits between the rows of a table where nothing was seen."""
BEYOND = 24
"""Bits beyond the limit that plots show."""
STYLE = """
body { margin: 0; font: 16px/1.5 system-ui, 'Liberation Sans', 'DejaVu Sans', sans-serif;
  color: var(--ink); background: var(--page); }
main { max-width: 720px; margin: 0 auto; padding: 16px; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; } h3 { font-size: 1rem; }
.scroll { overflow-x: auto; } svg, img { display: block; max-width: 100%; }
table { border-collapse: collapse; margin: 8px 0; }
th, td { text-align: left; padding: 4px 12px 4px 0; border-bottom: 1px solid var(--line);
  vertical-align: top; } td { font-variant-numeric: tabular-nums; }
p.big { font-size: 1.15rem; } .soft { color: var(--soft); } a { color: var(--confirmed); }
td { white-space: nowrap; } td.key { white-space: normal; overflow-wrap: anywhere; }
.narrow { display: none; }
img.small { width: 96px; filter: blur(3px) grayscale(1); }
@media (max-width: 680px) { .wide { display: none; } .narrow { display: block; } }
"""


@dataclass(frozen=True, slots=True)
class Decided:
    """What people decided about matches of the same lists, from a review queue.

    Parameters
    ----------
    precision : sequence of Precision
        By list and distance.
    variants : sequence of Precision
        By list and kind of question.
    limits : sequence of LimitCost
        What lower limits would have cost and saved.
    """

    precision: Sequence[Precision] = ()
    variants: Sequence[Precision] = ()
    limits: Sequence[LimitCost] = ()


@dataclass(frozen=True, slots=True)
class Shown:
    """How the page shows pictures of the sample.

    Parameters
    ----------
    link : callable
        Given a key, returns where the picture is, for the browser of a reader; or
        None if it has no such place.
    thumbnails : mapping of str to str
        By keys, small pictures as ``data:`` addresses.
    """

    link: Callable[[str], str | None] = lambda _: None
    thumbnails: Mapping[str, str] = field(default_factory=dict)


def number(value: float) -> str:
    """Return a number of pictures as people write it: about three digits.

    Parameters
    ----------
    value : float
        At least 0.

    Examples
    --------
    >>> [number(value) for value in (0, 0.0123, 3.14, 47.3, 12345.6)]
    ['0', '0.012', '3.1', '47', '12,300']
    """
    if value < 1:
        return f"{value:.2g}"
    if value < 10:
        return f"{value:.2g}"
    if value < 1000:
        return f"{value:.0f}"
    return f"{float(f'{value:.3g}'):,.0f}"


def wording(found: Expected, pictures: int) -> str:
    """Return what to expect of a scan in one line.

    Parameters
    ----------
    found : Expected
        Of so many pictures.
    pictures : int
        How many.

    Examples
    --------
    >>> from hashmatch.records.calibration import Expected
    >>> wording(Expected(12.2, 5, 22), 1_000_000)
    'about 12 false records in 1,000,000 harmless pictures (95 %: 5 to 22)'
    >>> wording(Expected(0, 0, 37, 0.4), 1000)
    'at most 37 false records in 1,000 harmless pictures (95 %); the fitted tail says 0.4'
    """
    of = f"false records in {pictures:,} harmless pictures"
    if found.records:
        return (
            f"about {number(found.records)} {of} (95 %: {number(found.low)} to "
            f"{number(found.high)})"
        )
    fitted = ""
    if found.fitted is not None:
        fitted = f"; the fitted tail says {number(found.fitted)}"
    return f"at most {number(found.high)} {of} (95 %){fitted}"


def expectations(matcher: Matcher, pictures: int | None) -> Iterator[str]:
    """Yield what to expect of a scan, a line for each list that was calibrated for its level.

    Parameters
    ----------
    matcher : Matcher
        Of the scan.
    pictures : int, optional
        How many it will look up; a million if nobody knows.
    """
    plan = matcher.plan
    for one in matcher.indexed:
        known = one.known
        found = known.calibration(plan.variants, plan.min_quality)
        if found is None or one.wider:  # it is of one limit
            continue
        limit = known.limit_of(Entry(), one.default).bits
        name = f"list {known.name} version {known.version}, {known.spec.algorithm}"
        expected = found.expected(limit, PER if pictures is None else pictures)
        if expected is None:
            yield f"{name}: it was calibrated up to {found.reach} bits only, not to {limit}"
            continue
        said = wording(expected, PER if pictures is None else pictures)
        other = ""
        if found.list_version != known.version:
            other = f"; this is of version {found.list_version}: calibrate it again"
        yield f"{name} up to {limit} bits: {said}{other}"


def write_report(
    path: str | os.PathLike[str],
    found: Calibration,
    *,
    decided: Decided | None = None,
    shown: Shown | None = None,
) -> None:
    """Write the page.

    Parameters
    ----------
    path : str or path
        Replaced as a whole; its owner only can read it, since it names pictures.
    found : Calibration
        What was counted.
    decided : Decided, optional
        What people said of matches.
    shown : Shown, optional
        How pictures of the sample are shown; by default by their names.

    Raises
    ------
    SinkError
        If it cannot be written.
    """
    with OutputFile(path) as file:
        for line in _page(found, decided or Decided(), shown or Shown()):
            file.write(line + "\n")


def write_json(
    path: str | os.PathLike[str], found: Calibration, decided: Decided | None = None
) -> None:
    """Write the same as JSON: schema ``hashmatch.calibration-report/1``.

    Parameters
    ----------
    path : str or path
        As for `write_report`.
    found : Calibration
        What was counted.
    decided : Decided, optional
        What people said of matches.

    Raises
    ------
    SinkError
        If it cannot be written.
    """
    text = msgspec.json.encode(to_json(found, decided))
    with OutputFile(path) as file:
        file.write(msgspec.json.format(text, indent=1).decode() + "\n")


def to_json(found: Calibration, decided: Decided | None = None) -> dict[str, Any]:
    """Return what `write_json` writes, as plain values.

    Parameters
    ----------
    found : Calibration
        What was counted.
    decided : Decided, optional
        What people said of matches.
    """
    decided = decided or Decided()
    return {
        "schema": SCHEMA,
        "pictures": found.pictures,
        "not_searched": found.outcomes,
        "duplicates_left_out": found.duplicates,
        "listed_left_out": found.listed,
        "per": PER,
        "together": _count(found.together, found.pictures),
        "lists": [_list(one) for one in found.lists],
        "questions": [one._asdict() for one in found.questions],
        "decided": {
            "precision": [_precision(one) for one in decided.precision],
            "variants": [_precision(one) for one in decided.variants],
            "limits": [
                {
                    "list": one.list, "algorithm": one.algorithm, "max_distance": one.distance,
                    **_share(one.share), "missed": one.missed, "saved": one.saved,
                }
                for one in decided.limits
            ],
        },
    }  # fmt: skip


def _count(one: DistanceCount, pictures: int) -> dict[str, Any]:
    low, high = predicted(one.records, one.spread, pictures, PER)
    return {
        "max_distance": one.distance,
        "records": one.records,
        "spread": round(one.spread, 3),
        "expected": one.records / pictures * PER,
        "low": low,
        "high": high,
    }


def _share(one: Share) -> dict[str, Any]:
    return {"part": one.part, "whole": one.whole, "low": one.low, "high": one.high}


def _precision(one: Precision) -> dict[str, Any]:
    return {
        "list": one.list, "algorithm": one.algorithm, "distance": one.distance,
        "variant": one.variant, **_share(one.share),
    }  # fmt: skip


def _list(one: ListResult) -> dict[str, Any]:
    kept = one.calibration
    tail = None
    if kept.tail is not None:
        tail = {
            "threshold": kept.tail.threshold, "share": kept.tail.share, "shape": kept.tail.shape,
            "scale": kept.tail.scale, "pictures": kept.tail.pictures,
            "closest": kept.tail.closest, "least": kept.tail.least,
            "expected": [
                {"max_distance": distance, "expected": share * PER, "low": low * PER,
                 "high": high * PER}
                for distance, share, low, high in _fitted(one)
            ],
        }  # fmt: skip
    pictures = max(1, kept.pictures)
    return {
        "list": kept.list, "list_version": kept.list_version, "algorithm": kept.algorithm,
        "entries": kept.entries, "variants": kept.variants, "min_quality": kept.min_quality,
        "max_distance": one.limit, "benign": kept.benign, "at": kept.at,
        "pictures": kept.pictures, "reach": kept.reach,
        "expected": _count(kept.counted(one.limit), pictures),
        "without_hubs": _count(one.without_hubs, pictures),
        "hubs": [hub._asdict() for hub in one.hubs], "hub_count": one.hub_count,
        "qualities": [{"quality": name, **_share(share)} for name, share in one.qualities],
        "variant_records": dict(one.variants),
        "curve": [_count(each, pictures) for each in kept.curve],
        "nearest": [{"distance": d, "pictures": n} for d, n in one.nearest],
        "tail": tail,
    }  # fmt: skip


def _fitted(one: ListResult) -> Iterator[tuple[int, float, float, float]]:
    """Yield distances below the threshold with what the tail says of them, and the interval."""
    tail = one.calibration.tail
    if tail is None:
        return
    for distance in range(tail.threshold + 1):
        share = tail.share_within(distance)
        if share is not None:
            yield distance, share, *tail.interval(distance)


def _page(found: Calibration, decided: Decided, shown: Shown) -> Iterator[str]:
    light, dark = (
        "".join(f"--{name}:{colour};" for name, colour in THEMES[theme].items())
        for theme in ("light", "dark")
    )
    yield (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; '
        "style-src 'unsafe-inline'; img-src data:\">\n"
        "<title>Calibration</title>\n<style>\n"
        f":root {{ --page:#fff; {light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ --page:#14181c; {dark} }} }}\n"
        f"{STYLE}</style>\n</head>\n<body>\n<main>"
    )
    yield "<h1>How many harmless pictures match</h1>"
    yield from _sample(found)
    for one in found.lists:
        yield from _of_list(one)
    yield from _asked(found.questions, shown)
    yield from _of_queue(decided)
    yield "</main>\n</body>\n</html>"


def _sample(found: Calibration) -> Iterator[str]:
    left_out = [
        f"{found.duplicates:,} are copies of others in it and were left out",
        f"{found.listed:,} are listed pictures, as somebody confirmed, and were left out",
    ]
    not_searched = [
        f"{count:,} {escape(outcome.replace('_', ' '))}"
        for outcome, count in found.outcomes.items()
    ]
    parts = [text for text, count in zip(left_out, (found.duplicates, found.listed), strict=True)
             if count]  # fmt: skip
    if not_searched:
        parts.append(f"not looked up: {', '.join(not_searched)}")
    rest = f" Of the sample, {'; '.join(parts)}." if parts else ""
    yield f"<p>{found.pictures:,} different harmless pictures were looked up.{rest}</p>"
    if len(found.lists) > 1:
        low, high = predicted(found.together.records, found.together.spread, found.pictures, PER)
        counted = found.together.records
        expected = counted / found.pictures * PER
        yield (
            f'<p class="big">All lists together, at their limits: <strong>{number(expected)}'
            f"</strong> in {PER:,} (95 %: {number(low)} to {number(high)}), from {counted:,} that "
            "matched.</p>"
        )
    yield (
        '<p class="soft">A record is counted once for each picture. Intervals have the chance of '
        "the sample, of the list's entries, and of the pictures that are scanned later. They hold "
        "for pictures like those of the sample, no two the same.</p>"
    )


def _of_list(one: ListResult) -> Iterator[str]:
    kept = one.calibration
    name = escape(f"{kept.list}, version {kept.list_version}")
    yield f"<h2>List {name}</h2>"
    yield (
        f'<p class="soft">{kept.entries:,} {escape(kept.algorithm)} entries; variants '
        f"{escape(kept.variants)}; limit {one.limit} bits; {kept.pictures:,} pictures of "
        f"{escape(kept.benign) or 'the sample'}; {escape(kept.at)}</p>"
    )
    found = kept.expected(one.limit)
    if found is not None:
        yield f'<p class="big"><strong>{escape(wording(found, PER))}</strong></p>'
    nearest = kept.curve[0].distance if kept.curve else 0
    last = min(kept.reach, max(one.limit, nearest) + BEYOND)
    points = [each for each in kept.curve if each.distance <= last]
    estimates = [_estimate(each, kept.pictures) for each in points]
    fit = [(float(d), share * PER) for d, share, *_ in _fitted(one) if d <= last]
    if not any(each.distance <= one.limit for each in kept.curve):
        bound = interval(0)[1] / max(1, kept.pictures) * PER
        estimates.insert(0, Estimate(one.limit, 0.0, 0.0, bound))
    if estimates or fit:
        yield "<h3>By distance</h3>"
        yield from _both(
            lambda width: log_curve(estimates, fit, width, f"limit in bits of {kept.algorithm}",
                                    one.limit),
            f"False records in {PER:,} pictures for each limit in bits, with 95 % intervals",
        )  # fmt: skip
        seen = f"No picture was nearer than {nearest} bits" if kept.curve else "No picture was near"
        tail = "; the orange line is the fitted tail, which continues below what was seen"
        fitted = tail if fit else ""
        yield (
            f'<p class="soft">False records in {PER:,} harmless pictures for each limit; the '
            f"upright line is the limit in force{fitted}. {seen}.</p>"
        )
        yield from _table(
            ["limit", "of the sample", f"in {PER:,}", "95 % interval of the rate", "fitted"],
            _curve_rows(one, last),
        )
    yield from _tail(one)
    yield from _hubs(one)
    if one.qualities:
        yield "<h3>By quality of the picture</h3>"
        rows = [
            [name, f"{share.part:,} of {share.whole:,}", _percent(share)]
            for name, share in one.qualities
        ]
        yield from _table(["quality", "match", "95 % interval"], rows)
    if one.variants:
        yield "<h3>By kind of question</h3>"
        rows = [[kind, f"{count:,}"] for kind, count in one.variants]
        yield from _table(["variant that came nearest", "matches"], rows)


def _estimate(one: DistanceCount, pictures: int) -> Estimate:
    scale = PER / max(1, pictures)
    low, high = interval(one.records, one.spread)
    return Estimate(one.distance, one.records * scale, low * scale, min(high * scale, PER))


def _curve_rows(one: ListResult, last: int) -> list[list[str]]:
    kept = one.calibration
    counts = {each.distance: each for each in kept.curve if each.distance <= last}
    counts.setdefault(one.limit, kept.counted(one.limit))
    fitted = {distance: share for distance, share, *_ in _fitted(one)}
    rows = []
    for distance in sorted({*counts, *(d for d in fitted if d <= last and d % ROUND == 0)}):
        each = counts.get(distance, kept.counted(distance))
        estimate = _estimate(each, kept.pictures)
        share = fitted.get(distance)
        rows.append([
            f"{distance}", f"{each.records:,}", number(estimate.value),
            f"{number(estimate.low)} to {number(estimate.high)}",
            "" if share is None else number(share * PER),
        ])  # fmt: skip
    return rows


def _tail(one: ListResult) -> Iterator[str]:
    tail = one.calibration.tail
    if tail is None:
        return
    yield "<h3>Whether the fitted tail fits</h3>"
    total = 0
    points = []
    for distance, count in one.nearest:
        total += count
        if distance <= tail.threshold:
            low, high = interval(total)
            points.append(
                Estimate(distance, *(n / one.asked_all * PER for n in (total, low, high)))
            )
    fit = [(float(d), share * PER) for d, share, *_ in _fitted(one)]
    yield from _both(
        lambda width: log_curve(points, fit, width, "distance to the nearest entry, in bits"),
        "Pictures by the distance of their nearest entry, and the fitted tail",
    )
    yield (
        f'<p class="soft">Pictures, of {PER:,}, whose nearest entry is within a distance: counted '
        f"(dots) and fitted (line). Generalised Pareto, shape {tail.shape:.2f}, scale "
        f"{tail.scale:.1f}, fitted to the {tail.closest:,} closest of {tail.pictures:,} pictures, "
        f"within {tail.threshold} bits. Where the line leaves the intervals of the dots, do not "
        "trust it. It ends two decades below what a sample of this size can show.</p>"
    )


def _hubs(one: ListResult) -> Iterator[str]:
    if not one.hubs:
        return
    kept, rest = one.calibration, one.without_hubs
    low, high = predicted(rest.records, rest.spread, max(1, kept.pictures), PER)
    yield "<h3>Entries that match several harmless pictures</h3>"
    expected = number(rest.records / max(1, kept.pictures) * PER)
    yield (
        f"<p>{one.hub_count:,} entries match three or more. Without them: {expected} in {PER:,} "
        f"(95 %: {number(low)} to {number(high)}). Leave one out with <code>hashmatch review entry "
        "disable</code> and <code>--disabled</code>, and tell the owner of the list.</p>"
    )
    yield from _table(
        ["entry", "pictures", "of all"],
        [
            [hub.entry, f"{hub.pictures:,}", f"{hub.pictures / max(1, kept.pictures):.2%}"]
            for hub in one.hubs
        ],
    )


def _asked(questions: Sequence[Question], shown: Shown) -> Iterator[str]:
    if not questions:
        return
    yield "<h2>Pictures to look at</h2>"
    for near, text in (
        (
            "entry",
            "These pictures of the sample are as near to an entry as a picture is to itself when "
            "it was saved again. Each may be the listed picture: then its match is right, and it "
            "has to be answered <code>listed</code>. Until then it counts as a false record. A "
            "listed picture is for your reporting process, not for this page.",
        ),
        (
            "picture",
            "These pictures are copies of others in the sample, and are counted once. Answer "
            "<code>different</code> where that is wrong.",
        ),
    ):
        some = [one for one in questions if one.near == near]
        if not some:
            continue
        yield f"<p>{text}</p>"
        pictures = [
            [_item(one.item, shown), *_near(one, shown), escape(one.answer)] for one in some
        ]
        of = ["list", "distance"] if near == "entry" else ["copy of"]
        yield from _table(["picture", *of, "answer"], pictures, markup=True)
        if len(some) > MOST_QUESTIONS:
            rest = len(some) - MOST_QUESTIONS
            yield f'<p class="soft">{rest:,} more are in the file of questions.</p>'


def _near(one: Question, shown: Shown) -> list[str]:
    if one.near == "entry":
        return [escape(one.of), str(one.distance)]
    return [_item(one.of, shown)]


def _item(key: str, shown: Shown) -> str:
    text = escape(key)
    link = shown.link(key)
    if link is not None:
        text = f'<a href="{escape(link)}">{text}</a>'
    small = shown.thumbnails.get(key)
    if small is not None:
        text += f'<img class="small" src="{escape(small)}" alt="">'
    return text


def _of_queue(decided: Decided) -> Iterator[str]:
    if not decided.precision:
        return
    yield "<h2>What people decided</h2>"
    totals = [one for one in decided.precision if one.distance is None]
    rows = [
        [f"{one.list} ({one.algorithm})", f"{one.share.part:,} of {one.share.whole:,}",
         _percent(one.share)]
        for one in totals
    ]  # fmt: skip
    yield from _table(["list", "confirmed", "95 % interval"], rows)
    for total in totals:
        own = [
            one for one in decided.limits
            if (one.list, one.algorithm) == (total.list, total.algorithm)
        ]  # fmt: skip
        by_distance = [
            (one.distance, one.share) for one in decided.precision
            if one.distance is not None
            and (one.list, one.algorithm) == (total.list, total.algorithm)
        ]  # fmt: skip
        if not own:
            continue
        name = f"{total.list} ({total.algorithm})"
        yield f"<h3>{escape(name)}</h3>"
        yield from _both(
            partial(_whiskers, by_distance, f"distance in bits of {total.algorithm}"),
            f"Confirmed cases of {name} by distance, with 95 % intervals",
        )
        yield from _both(
            partial(
                _whiskers, [(one.distance, one.share) for one in own],
                f"limit in bits of {total.algorithm}",
            ),
            f"Confirmed cases of {name} up to each limit, with 95 % intervals",
        )  # fmt: skip
        yield (
            '<p class="soft">Confirmed, of the decided cases: first by their distance, then of all '
            "up to a limit.</p>"
        )
        yield from _table(
            ["limit", "confirmed", "95 % interval", "missed", "saved"],
            [
                [f"{one.distance}", f"{one.share.part:,} of {one.share.whole:,}",
                 _percent(one.share), f"{one.missed:,}", f"{one.saved:,}"]
                for one in own
            ],
        )  # fmt: skip
    yield (
        '<p class="soft">With a lower limit, as many confirmed cases would have been '
        "<em>missed</em>, and as many that were not a match would have been <em>saved</em>.</p>"
    )
    yield "<h3>By kind of question</h3>"
    yield from _table(
        ["list", "variant", "confirmed", "95 % interval"],
        [
            [f"{one.list} ({one.algorithm})", one.variant or "",
             f"{one.share.part:,} of {one.share.whole:,}", _percent(one.share)]
            for one in decided.variants
        ],
    )  # fmt: skip


def _whiskers(points: Sequence[tuple[int, Share]], below: str, width: int) -> Plot:
    return whiskers(points, width, below)


def _percent(share: Share) -> str:
    return f"{100 * share.low:.3g} to {100 * share.high:.3g} %"


def _both(draw: Callable[[int], Plot], title: str) -> Iterator[str]:
    """Yield a plot twice: for a phone, and for a wider screen."""
    for name, width in WIDTHS.items():
        yield f'<div class="{name}">{svg(draw(width), COLOURS, title)}</div>'


def _table(
    heads: Sequence[str], rows: Iterable[Sequence[str]], *, markup: bool = False
) -> Iterator[str]:
    yield '<div class="scroll"><table><thead><tr>'
    yield "".join(f'<th scope="col">{escape(head)}</th>' for head in heads)
    yield "</tr></thead><tbody>"
    for row in rows:
        cells = row if markup else map(escape, row)
        how = ' class="key"' if markup else ""
        yield "<tr>" + "".join(f"<td{how}>{cell}</td>" for cell in cells) + "</tr>"
    yield "</tbody></table></div>"
