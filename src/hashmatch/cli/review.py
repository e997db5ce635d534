"""``hashmatch review``: the queue of what people have to look at."""

from __future__ import annotations

import click

from hashmatch.cli.review_benign import accept, benign, propose
from hashmatch.cli.review_changes import hold, look_again, purge, release, reviewers, settings
from hashmatch.cli.review_entries import disable, disabled, enable, report
from hashmatch.cli.review_export import export
from hashmatch.cli.review_looks import list_, show, status, verify
from hashmatch.cli.review_push import push, secret
from hashmatch.cli.review_records import add, init
from hashmatch.cli.review_serve import serve
from hashmatch.cli.review_teach import teach


@click.group("review")
def review() -> None:
    """Keep what matched until people have decided about it, and a history of who decided what.

    QUEUE is a file, or postgresql://USER@HOST/DATABASE.
    """


for command in (
    init,
    add,
    status,
    list_,
    show,
    verify,
    purge,
    settings,
    reviewers,
    look_again,
    hold,
    release,
    serve,
    export,
    push,
    secret,
    teach,
    propose,
    accept,
    benign,
    report,
    disable,
    enable,
    disabled,
):
    review.add_command(command)
