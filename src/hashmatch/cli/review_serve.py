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
    help="What people call this server, where that is not its address. Repeatable.",
)
@click.option("--token-file", metavar="FILE", help="With what every request has to bring.")
@click.option("--tls-cert", metavar="FILE", help="A certificate in PEM, to speak TLS.")
@click.option("--tls-key", metavar="FILE", help="Its key in PEM.")
@click.option("--client-ca", metavar="FILE", help="Whose certificates browsers have to show.")
@click.option(
    "--pictures", default="", metavar="SOURCE", help="Where those pictures are that do not say it."
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
        raise UsageError("the page needs hashmatch[review]; install that") from None
    from hashmatch.review.queue import ReviewQueue

    serving = Serving(host, port, names, token_file, tls_cert, tls_key, client_ca, pictures)
    with ReviewQueue.open(queue) as opened:
        if not opened.reviewers.list():
            raise UsageError(
                f"nobody may review yet: hashmatch review reviewers {printable(queue)} --add NAME"
            )
        scheme = "https" if serving.tls else "http"

        def started(where: int) -> None:
            name = f"[{host}]" if ":" in host else host
            click.echo(f"{scheme}://{name}:{where}/", err=True)
            if not serving.is_local and not serving.tls:
                click.echo("what travels is not encrypted: --tls-cert, or a proxy's TLS", err=True)

        serve_it(serving, opened, started)
