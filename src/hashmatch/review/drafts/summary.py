"""The summary of a draft as a page of HTML that needs nothing else: for the people who sign it."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from hashmatch.records.controls import escape_controls
from hashmatch.records.times import timestamp
from hashmatch.review.drafts.questions import of_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from hashmatch.review.drafts.destinations import DraftDestination, DraftFacts, Rendered
    from hashmatch.review.drafts.seen import FileView, ReportedFile

STYLE = """
:root { color-scheme: light dark; }
body { max-width: 60rem; margin: 0 auto; padding: 1rem; font: 1rem/1.5 system-ui, sans-serif;
  overflow-wrap: anywhere; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { width: 100%; border-collapse: collapse; }
th, td { padding: .3rem .5rem .3rem 0; text-align: left; vertical-align: top;
  border-bottom: 1px solid #8886; white-space: pre-wrap; }
th { width: 40%; font-weight: 400; opacity: .8; }
.gap { border-left: 4px solid #b35c00; padding-left: .75rem; }
"""


def html(destination: DraftDestination, rendered: Rendered, facts: DraftFacts) -> bytes:
    """Return the summary of a draft."""
    return ("\n".join(_lines(destination, rendered, facts)) + "\n").encode()


def _lines(destination: DraftDestination, rendered: Rendered, facts: DraftFacts) -> Iterator[str]:
    case = facts.case
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield f"<title>Draft for {_text(destination.title)}</title>\n<style>{STYLE}</style>\n</head>"
    yield f"<body>\n<h1>Draft for {_text(destination.title)}</h1>"
    yield (
        f"<p>Case {_text(case.case_id)}, written {timestamp(facts.at)}. This is a draft: nothing "
        "was submitted. Two people sign it off, and then a person files it. No legal advice.</p>"
    )
    missing = [gap for gap in rendered.gaps if not gap.note]
    notes = [gap for gap in rendered.gaps if gap.note]
    for title, gaps in (("What is missing", missing), ("To be supplied by who files it", notes)):
        if gaps:
            yield f"<h2>{title}</h2>"
            for gap in gaps:
                page = f' (<a href="{_text(gap.page)}">page</a>)' if gap.page else ""
                yield f'<p class="gap"><b>{_text(gap.field)}</b>: {_text(gap.reason)}{page}</p>'
    yield "<h2>Who decided</h2>"
    yield from _table(
        (decision.reviewer, f"{decision.verdict}, {timestamp(decision.decided_at)}: "
         f"{decision.reason}") for decision in case.decisions
    )  # fmt: skip
    for file in facts.files:
        yield f"<h2>File {file.number}</h2>"
        yield from _table(_file_rows(destination, facts, file))
    yield "<h2>What a person chose about the report</h2>"
    yield from _table(_choices(destination, facts, None))
    yield "<h2>What the documents say</h2>"
    yield from _table(rendered.rows)
    yield f"<p>Head of the history: {_text(str(facts.head))}</p>\n</body>\n</html>"


def _file_rows(
    destination: DraftDestination, facts: DraftFacts, file: ReportedFile
) -> Iterator[tuple[str, str]]:
    yield "source", file.source or "not named"
    yield "key", file.key
    yield "version", file.version
    yield "viewed by a person", _proof(file.proof_of_view)
    yield "EXIF data viewed by a person", _proof(file.proof_of_exif)
    lesser = [view for view in file.views if view.extent != "exif"]
    if lesser and not file.viewed:
        yield "other views, which are not of the whole file", _proof(lesser)
    yield from _choices(destination, facts, file)


def _choices(
    destination: DraftDestination, facts: DraftFacts, file: ReportedFile | None
) -> Iterator[tuple[str, str]]:
    chosen = of_file(facts.choices, file)
    for question in destination.questions:
        if (question.about == "file") == (file is not None):
            choice = chosen.get(question.name)
            values = "nobody has chosen yet"
            if choice is not None:
                what = "; ".join(choice.values) or "none of them"
                values = f"{what} ({choice.who}, event {choice.event})"
            yield question.text, values


def _proof(views: Iterable[FileView]) -> str:
    lines = [
        ", ".join(filter(None, (v.who, v.part, v.extent, timestamp(v.at), f"event {v.event}")))
        for v in views
    ]
    return "\n".join(["yes", *lines]) if lines else "no"


def _table(rows: Iterable[tuple[str, str]]) -> Iterator[str]:
    yield "<table>"
    for name, value in rows:
        yield f'<tr><th scope="row">{_text(name)}</th><td>{_text(value)}</td></tr>'
    yield "</table>"


def _text(text: str) -> str:
    return escape(escape_controls(text, keep="\n"))
