"""``hashmatch review request``: lawful requests, and the signed answers to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from hashmatch.cli.command import command, group
from hashmatch.cli.console import print_json, print_line, printable, working
from hashmatch.cli.options import (
    by_option,
    json_option,
    open_queue,
    queue_argument,
    quiet_option,
)
from hashmatch.cli.units import INPUT, MOMENT, OUTPUT, format_moment

if TYPE_CHECKING:
    from datetime import datetime

    from hashmatch.review.lawful_requests import LawfulRequest


@group(short_help="Enter and answer lawful requests.")
def request() -> None:
    """Enter lawful requests for cases, and answer them with a signed bundle of exactly these.

    While a request waits for its answer, none of its cases is purged. This is no legal advice.
    """


@command(
    short_help="Enter a request.",
    epilog="Python: hashmatch.review.lawful_requests.add_request(queue, reference, ...)",
)
@queue_argument
@click.argument("reference")
@click.argument("cases", nargs=-1, required=True, metavar="CASE...")
@click.option("--authority", required=True, metavar="NAME", help="Who asks.")
@click.option("--received", type=MOMENT, required=True, help="When the request came.")
@click.option("--due", type=MOMENT, help="When it has to be answered.")
@by_option
@quiet_option
def add(
    queue: str,
    reference: str,
    cases: tuple[str, ...],
    authority: str,
    received: datetime,
    due: datetime | None,
    who: str,
    quiet: bool,
) -> None:
    """Enter the request REFERENCE, which is about each CASE, an id or its number.

    \b
    hashmatch review request add queue.db 2026-114 17 --authority "a court" \\
        --received 2026-01-31
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.lawful_requests import add_request

    with open_queue(queue) as opened:
        found = add_request(opened, reference, authority, received, cases, who, due)
    if not quiet:
        click.echo(_line(found), err=True)


@command(
    "list",
    short_help="List requests, and to whom answers went.",
    epilog="Python: hashmatch.review.lawful_requests.lawful_requests(queue)",
)
@queue_argument
@json_option
def list_(queue: str, as_json: bool) -> None:
    """List the requests in QUEUE: first those that wait for an answer, by when that is due.

    \b
    hashmatch review request list queue.db
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from dataclasses import asdict

    from hashmatch.review.lawful_requests import lawful_requests

    with open_queue(queue) as opened:
        found = lawful_requests(opened)
    for each in found:
        if as_json:
            print_json(asdict(each))
        else:
            print_line(_line(each))
    if not found and not as_json:
        click.echo("there is no request", err=True)


@command(
    short_help="Write the signed answer to a request.",
    epilog="Python: hashmatch.review.lawful_requests.answer_request(queue, reference, folder, ...)",
)
@queue_argument
@click.argument("reference")
@click.option(
    "-o", "--out", type=OUTPUT, required=True, metavar="DIR", help="A new folder for the answer."
)
@click.option(
    "--sign",
    "signer",
    required=True,
    type=INPUT,
    metavar="FILE.key",
    help="Sign the answer with this key, from hashmatch list keygen.",
)
@click.option("--to", required=True, metavar="NAME", help="To whom the answer is given.")
@by_option
@quiet_option
def answer(
    queue: str, reference: str, out: str, signer: str, to: str, who: str, quiet: bool
) -> None:
    """Write the answer to the request REFERENCE to a folder: its cases, and no other.

    The whole history is verified first. With each case come the events about it, and with all of
    them the digest of every event, so that who gets it can compare them with heads of the history
    that were kept elsewhere. To whom it is given is recorded.

    \b
    hashmatch review request answer queue.db 2026-113 --out given \\
        --sign lists-2026.key --to "Officer Example"
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.lawful_requests import answer_request
    from hashmatch.store.signing import given_passphrase, load_private

    key = load_private(signer, given_passphrase())
    with open_queue(queue) as opened, working("checking the history", quiet):
        manifest = answer_request(opened, reference, out, key, to, who)
    if not quiet:
        count = len(manifest.cases)
        click.echo(
            printable(
                f"{count:,} case{'s' * (count != 1)} for {to} in {out}, head {manifest.head}"
            ),
            err=True,
        )


@command(
    short_help="Check an answer that was given to you.",
    epilog="Python: hashmatch.review.lawful_requests.check_answer(folder, key)",
)
@click.argument("folder", type=INPUT, metavar="DIR")
@click.argument("key", type=INPUT, metavar="FILE.pub")
@json_option
def check(folder: str, key: str, as_json: bool) -> None:
    """Check the signature of the answer in DIR, its files, and the digest of each event in it.

    \b
    hashmatch review request check answer lists-2026.pub
    """  # noqa: D301  (the backspace tells click to keep the lines)
    from hashmatch.review.lawful_requests import check_answer
    from hashmatch.store.signing import load_public

    manifest = check_answer(folder, load_public(key))
    if as_json:
        print_json(manifest)
    else:
        count = len(manifest.cases)
        click.echo(
            printable(
                f"sound: answer to {manifest.reference}, {count:,} case{'s' * (count != 1)}, "
                f"head {manifest.head}"
            )
        )


def _line(found: LawfulRequest) -> str:
    due = "" if found.due is None else f"  due {format_moment(found.due)}"
    answers = "; ".join(f"given to {one.to} on {format_moment(one.at)}" for one in found.answers)
    state = answers or "waits for an answer"
    return printable(
        f"{found.reference}  {found.authority}  {len(found.cases):,} "
        f"case{'s' * (len(found.cases) != 1)}{due}  {state}"
    )


for each in (add, list_, answer, check):
    request.add_command(each)
