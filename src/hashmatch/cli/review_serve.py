"""``hashmatch review serve``: the page for the people who look at matches."""

from __future__ import annotations

import click

from hashmatch.cli.console import printable
from hashmatch.errors import UsageError


@click.command(
    short_help="Serve the page on which people look at matches.",
    epilog="Python: hashmatch.review.web.server.serve(Serving(...), queue)",
)
@click.argument("queue")
@click.option("--host", default="127.0.0.1", show_default=True, help="An address of this machine.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8470, show_default=True, help="0: a free one."
)
@click.option(
    "--name",
    "names",
    multiple=True,
    metavar="HOST[:PORT]",
    help="Host name of this server, where that is not its address. Repeatable.",
)
@click.option(
    "--token-file", metavar="FILE", help="File with a token that every request has to carry."
)
@click.option("--tls-cert", metavar="FILE", help="Certificate in PEM, to serve over TLS.")
@click.option("--tls-key", metavar="FILE", help="Key of the certificate in PEM.")
@click.option(
    "--client-ca", metavar="FILE", help="Authority in PEM whose certificates browsers have to show."
)
@click.option(
    "--pictures",
    default="",
    metavar="SOURCE",
    help="Source of the pictures of records that do not say theirs.",
)
def serve(
    queue: str,
    host: str,
    port: int,
    names: tuple[str, ...],
    token_file: str | None,
    tls_cert: str | None,
    tls_key: str | None,
    client_ca: str | None,
    pictures: str,
) -> None:
    """Serve the page of QUEUE to the people who look at matches, until it is interrupted.

    Only this machine can reach it, unless a token or certificates of browsers are asked for. People
    log in with their name and the token that hashmatch review reviewers shows once. A picture is
    shown when somebody asks for it, from its source, covered, and is kept nowhere. Needs the extra
    review.

    \b
    hashmatch review serve queue.db
    hashmatch review serve queue.db --host 10.0.0.5 --token-file token
    """  # noqa: D301  (the backspace tells click to keep the lines)
    try:
        from hashmatch.review.web.server import Serving
        from hashmatch.review.web.server import serve as serve_it
    except ImportError:
        raise UsageError("cannot serve the page: install hashmatch[review]") from None
    from hashmatch.review.queue import ReviewQueue

    serving = Serving(host, port, names, token_file, tls_cert, tls_key, client_ca, pictures)
    with ReviewQueue.open(queue) as opened:
        if not opened.reviewers.list():
            raise UsageError(
                "cannot serve the page: there are no reviewers. "
                f"Run hashmatch review reviewers {printable(queue)} --add NAME."
            )
        scheme = "https" if serving.tls else "http"

        def started(where: int) -> None:
            name = f"[{host}]" if ":" in host else host
            click.echo(f"{scheme}://{name}:{where}/", err=True)
            if not serving.is_local and not serving.tls:
                click.echo("not encrypted: give --tls-cert, or use a proxy with TLS", err=True)

        serve_it(serving, opened, started)
