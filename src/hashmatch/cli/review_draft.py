"""``hashmatch review draft``: drafts of reports that a person may file."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hashmatch.cli.choices import PluginName
from hashmatch.cli.command import command, group, option
from hashmatch.cli.console import Exit, print_json, printable
from hashmatch.cli.options import (
    by_option,
    json_option,
    open_queue,
    queue_argument,
    quiet_option,
)
from hashmatch.cli.units import INPUT, OUTPUT
from hashmatch.errors import UsageError
from hashmatch.matching.list_paths import reference_key

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.review.drafts.draft import DraftStatus
    from hashmatch.review.drafts.questions import Question
    from hashmatch.review.queue import ReviewQueue


@group(short_help="Draft a report that a person may file.")
def draft() -> None:
    """Draft a report of a confirmed case, which a person may file. Nothing is ever submitted.

    People choose what only they may say, the draft is written to a folder with the data of the
    account, and two people sign it off. This is no legal advice.
    """


#: Which draft: of a case, for whom.
for_option = option(
    "--for",
    "destination",
    required=True,
    type=PluginName("hashmatch.drafts", "destination of drafts"),
    metavar="NAME",
    help="Whom the draft is for: ncmec (United States), nca (United Kingdom).",
)


@command(
    short_help="Choose what only a person may say.",
    epilog="Python: hashmatch.review.drafts.draft.choose(queue, case_id, destination, ...)",
)
@queue_argument
@click.argument("case_id", metavar="CASE")
@click.argument("question", required=False)
@click.argument("values", nargs=-1, metavar="[VALUE]...")
@for_option
@click.option(
    "--file", "number", type=click.IntRange(1), metavar="N", help="Which file it is about. "
    "[default: each]",
)  # fmt: skip
@click.option("--none", "is_none", is_flag=True, help="None of the values applies.")
@by_option
@json_option
def choose(
    queue: str,
    case_id: str,
    question: str | None,
    values: tuple[str, ...],
    destination: str,
    number: int | None,
    is_none: bool,
    who: str,
    as_json: bool,
) -> None:
    """Choose VALUE as the answer to QUESTION about CASE, or a file of it, instead of another.

    Without a QUESTION, show all of them, what each value means, and what is chosen.

    \b
    hashmatch review draft choose queue.db 17 --for ncmec
    hashmatch review draft choose queue.db 17 relevance Reported --for ncmec
    hashmatch review draft choose queue.db 17 annotations --none --for ncmec
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.drafts.destinations import load_destination
    from hashmatch.review.drafts.draft import choose as choose_answer
    from hashmatch.review.drafts.draft import files_and_choices

    asked = {one.name: one for one in load_destination(destination).questions}
    with open_queue(queue) as opened:
        if question is None:
            _print_questions(opened, case_id, destination, as_json)
            return
        if not values and not is_none:
            raise UsageError(f"cannot choose {question}: no value is given. Give one, or --none.")
        if values and is_none:
            raise UsageError("cannot use --none with values. Leave one of them out.")
        records = [""]
        if question in asked and asked[question].about == "file":
            files, _ = files_and_choices(opened, case_id, destination)
            if number is not None and number > len(files):
                raise UsageError(
                    f"cannot choose {question} for file {number}: there are {len(files)}. Give one "
                    "of them."
                )
            records = [
                file.items[0].record.record_id for file in files if number in {None, file.number}
            ]
        elif number is not None:
            raise UsageError(f"cannot use --file with {question}: it is about the whole report.")
        with opened.transaction():
            for record in records:
                choose_answer(opened, case_id, destination, question, values, who, record=record)


def _print_questions(queue: ReviewQueue, case_id: str, destination: str, as_json: bool) -> None:
    from hashmatch.review.drafts.destinations import load_destination
    from hashmatch.review.drafts.draft import files_and_choices
    from hashmatch.review.drafts.questions import of_file

    files, chosen = files_and_choices(queue, case_id, destination)
    for question in load_destination(destination).questions:
        for file in files if question.about == "file" else (None,):
            choice = of_file(chosen, file).get(question.name)
            values = None if choice is None else list(choice.values)
            if as_json:
                number, key = (None, None) if file is None else (file.number, file.key)
                about = {"question": question.name, "file": number, "key": key}
                print_json({**about, "chosen": values})
                continue
            where = "the report" if file is None else f"file {file.number}, {file.key}"
            said = "not chosen" if values is None else "; ".join(values) or "none of them"
            click.echo(printable(f"{question.name}, {where}: {said}"))
        if not as_json:
            for line in _meanings(question):
                click.echo(printable(line))


def _meanings(question: Question) -> Iterator[str]:
    yield f"  {question.text}"
    for each in question.options:
        yield f"    {each.value}: {each.meaning}"
    if question.page:
        yield f"    see {question.page}"


@command(
    short_help="Write a draft to a folder.",
    epilog="Python: hashmatch.review.drafts.draft.make_draft(...), write_draft(...)",
)
@queue_argument
@click.argument("case_id", metavar="CASE")
@for_option
@click.option(
    "--account",
    required=True,
    type=INPUT,
    metavar="FILE",
    help="JSON of what only the platform knows, readable by you only.",
)
@click.option(
    "-o", "--out", type=OUTPUT, required=True, metavar="DIR", help="A folder for the draft alone."
)
@click.option(
    "--list-entries", is_flag=True, help="Also name the entries of the list that matched."
)
@by_option
@json_option
@quiet_option
@click.pass_context
def write(
    ctx: click.Context,
    /,
    queue: str,
    case_id: str,
    destination: str,
    account: str,
    out: str,
    list_entries: bool,
    who: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write the draft of a report about CASE, which people confirmed finally.

    The folder gets a summary for people, a manifest, and the documents if nothing is missing; what
    is missing is listed, and the exit code is 1. Pictures are named, and not copied.

    \b
    hashmatch review draft write queue.db 17 --for ncmec --account account.json \\
        --out draft
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.drafts.account import read_account
    from hashmatch.review.drafts.draft import confirmed_case, make_draft, write_draft

    given = read_account(account)
    with open_queue(queue) as opened:
        case = confirmed_case(opened, case_id)
        made = make_draft(opened, case, destination, given, list_entries=list_entries)
        status = write_draft(opened, made, out, who)
    if as_json:
        print_json(_fields(status))
    else:
        for gap in made.rendered.gaps:
            what = "to be supplied" if gap.note else "missing"
            page = f" ({gap.page})" if gap.page else ""
            click.echo(printable(f"{what}: {gap.field}: {gap.reason}{page}"))
    if not quiet and not as_json:
        state = "complete; two people sign it off" if made.is_complete else "incomplete"
        click.echo(printable(f"draft of {status.manifest.case_id} in {out}: {state}"), err=True)
    if not made.is_complete:
        ctx.exit(Exit.SOME_UNHASHED)


@command(
    short_help="Check a draft, and show who signed it off.",
    epilog="Python: hashmatch.review.drafts.draft.draft_status(queue, folder)",
)
@queue_argument
@click.argument("folder", type=INPUT, metavar="DIR")
@json_option
@click.pass_context
def check(ctx: click.Context, /, queue: str, folder: str, as_json: bool) -> None:
    """Check the files of the draft in DIR. The exit code is 1 unless two people signed it off.

    \b
    hashmatch review draft check queue.db draft
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.drafts.draft import draft_status

    with open_queue(queue) as opened:
        status = draft_status(opened, folder)
    if as_json:
        print_json(_fields(status))
    else:
        click.echo(_line(status))
    if not status.is_signed_off:
        ctx.exit(Exit.SOME_UNHASHED)


@command(
    short_help="Sign a draft off.",
    epilog="Python: hashmatch.review.drafts.draft.sign_draft(queue, folder, who)",
)
@queue_argument
@click.argument("folder", type=INPUT, metavar="DIR")
@by_option
@quiet_option
def sign(queue: str, folder: str, who: str, quiet: bool) -> None:
    """Sign the draft in DIR off: you have read its summary. Two people have to.

    \b
    hashmatch review draft sign queue.db draft
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.drafts.draft import sign_draft

    with open_queue(queue) as opened:
        status = sign_draft(opened, folder, who)
    if not quiet:
        click.echo(_line(status), err=True)


@command(
    short_help="Write feedback for StopNCII.",
    epilog="Python: hashmatch.review.drafts.stopncii.write_feedback(queue, lists, path, ...)",
)
@queue_argument
@click.argument("name", metavar="LIST")
@click.argument("listed", type=INPUT, metavar="FILE")
@click.option("-o", "--out", type=OUTPUT, required=True, metavar="FILE", help="The file to write.")
@click.option("--reveal-hashes", is_flag=True, help="Needed: this writes the hashes of the list.")
@quiet_option
def feedback(
    queue: str, name: str, listed: str, out: str, reveal_hashes: bool, quiet: bool
) -> None:
    """Write whether people blocked what matched LIST, from StopNCII, which is in FILE.

    The file has the shape that its SubmitFeedback takes, and names hashes of the list. A person
    sends it.

    \b
    hashmatch review draft feedback queue.db stopncii stopncii.json \\
        --reveal-hashes --out feedback.json
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.lists.read import read_list_file
    from hashmatch.review.drafts.stopncii import write_feedback

    if not reveal_hashes:
        raise UsageError(
            "cannot write feedback: it names hashes of the list, by which alone StopNCII knows "
            "them. Give --reveal-hashes if that is what you want."
        )
    lists = read_list_file(listed, name=name).lists
    with open_queue(queue) as opened:
        found = write_feedback(
            opened, lists, out, reveal_hashes=reveal_hashes, reference_key=reference_key()
        )
    if not quiet:
        click.echo(
            printable(
                f"{found.blocked:,} blocked and {found.not_blocked:,} not blocked in {out}; "
                f"{found.unknown:,} entries are not in {listed}"
            ),
            err=True,
        )


def _line(status: DraftStatus) -> str:
    manifest = status.manifest
    if not manifest.complete:
        state = "incomplete"
    elif status.outdated:
        state = "outdated: write it anew"
    else:
        state = f"signed off by {', '.join(status.signed_by) or 'nobody'}"
        state += "" if status.is_signed_off else "; two people have to"
    return printable(f"draft of {manifest.case_id} for {manifest.destination}: {state}")


def _fields(status: DraftStatus) -> dict[str, object]:
    manifest = status.manifest
    return {
        "case_id": manifest.case_id,
        "for": manifest.destination,
        "complete": manifest.complete,
        "gaps": manifest.gaps,
        "signed_by": status.signed_by,
        "outdated": status.outdated,
        "signed_off": status.is_signed_off,
        "manifest_sha256": status.digest,
    }


for each in (choose, write, check, sign, feedback):
    draft.add_command(each)
