"""The command line: one file for each group of commands, found here.

Data goes to standard output, text for people to standard error. Nothing heavy is imported before
a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import atexit
import io
import logging
import os
import sys
import threading
import warnings
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TextIO

import click

from hashmatch.cli.calibrate import calibrate
from hashmatch.cli.command import Group
from hashmatch.cli.completion import completion
from hashmatch.cli.console import Exit, PipedOutput, flush_output, printable
from hashmatch.cli.demo import demo
from hashmatch.cli.hash import hash_, match
from hashmatch.cli.list import list_
from hashmatch.cli.missed import missed
from hashmatch.cli.rescan import rescan
from hashmatch.cli.review import review
from hashmatch.cli.scan import scan
from hashmatch.cli.serve import serve, token
from hashmatch.cli.warm import warm
from hashmatch.errors import BadRows, HashmatchError
from hashmatch.records import VERSION
from hashmatch.records.safeguards import collecting

if TYPE_CHECKING:
    from collections.abc import Iterator

PR_SET_DUMPABLE = 4
"""Of Linux, prctl(2): 0 also keeps other processes of the same user from attaching to this one."""
DEBUG = "HASHMATCH_DEBUG"


def no_core_dumps() -> None:
    """Ask the system for none, for good: the memory of a crashed process would hold every hash.

    Where it has no such thing, nothing happens.
    """
    with suppress(ImportError, OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        with suppress(ImportError, OSError, AttributeError):
            import ctypes

            ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)


def exit_now(code: object) -> None:
    """End the process with an exit code, or return where the interpreter has to end it.

    What is registered for the end is done, and output written. But the modules are not taken apart
    one by one, which takes a fifth of the time of a command that checks one picture.
    """
    is_main_alone = all(
        thread.daemon or thread is threading.main_thread() for thread in threading.enumerate()
    )
    if not isinstance(code, int) or not is_main_alone:
        return
    atexit._run_exitfuncs()
    try:
        for output in (sys.stdout, sys.stderr):
            if output is not None:
                output.flush()
    except (OSError, ValueError):  # nobody reads it, or it is closed
        return
    os._exit(code & 0xFF)


class _Commands(Group):
    """Turns every way a command can end into its exit code and at most a line of text."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # Here, since this is how the program starts: whoever calls commands from Python, as tests
        # do, keeps his process as it is.
        if os.environ.get(DEBUG):
            return self._run(*args, **kwargs)
        no_core_dumps()
        try:
            return self._run(*args, **kwargs)
        except SystemExit as end:
            exit_now(end.code)
            raise

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        """Run with an output that knows when its reader is gone."""
        before = sys.__stdout__
        if before is None or sys.stdout is not before or before.isatty():
            return super().__call__(*args, **kwargs)
        sys.stdout = PipedOutput(before.fileno())
        try:
            return super().__call__(*args, **kwargs)
        finally:
            sys.stdout = before  # what is printed after this is held back by nobody

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run; what is said of an error may meet a reader that is gone, too."""
        try:
            try:
                return super().main(*args, **kwargs)
            finally:
                flush_output()  # help and the version are printed before a command runs
        except BrokenPipeError:
            _close_outputs()
            sys.exit(Exit.PIPE_CLOSED)
        except OSError as error:
            _close(sys.stdout)
            _say(_cannot_write(error))
            sys.exit(Exit.USAGE)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Return the context; help and the version are printed while it is made."""
        try:
            return super().make_context(*args, **kwargs)
        except BrokenPipeError:  # click would end the process with 1
            _close_outputs()
            raise click.exceptions.Exit(Exit.PIPE_CLOSED) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, and end as it does."""
        try:
            return self._invoke(ctx)
        except BrokenPipeError:
            _close_outputs()
            ctx.exit(Exit.PIPE_CLOSED)

    def _invoke(self, ctx: click.Context) -> Any:
        if sys.stdout is None:
            _say("cannot write: standard output is closed. Send it to a file, or to /dev/null.")
            ctx.exit(Exit.USAGE)
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(encoding="utf-8")  # JSON is, whatever the locale
        try:
            with _warnings_said(), _kernels_reported(), collecting():
                result = super().invoke(ctx)
            flush_output()
            return result
        except BadRows as error:
            _say(*error.lines)
            click.echo("Correct the list, or leave these rows out with --skip-bad-rows.", err=True)
            if len(error.rejected) > error.NAMED:
                click.echo("hashmatch list inspect FILE -v lists all of them.", err=True)
            ctx.exit(Exit.USAGE)
        except HashmatchError as error:
            _say(str(error))
            _flush_or_close()  # the error may be about just that
            ctx.exit(Exit.USAGE)
        except KeyboardInterrupt:
            _flush_or_close()  # whoever reads it was probably interrupted as well
            ctx.exit(Exit.INTERRUPTED)
        except (BrokenPipeError, click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except OSError as error:  # files have errors of their own; this is the output
            _close(sys.stdout)
            _say(_cannot_write(error))
            ctx.exit(Exit.USAGE)
        except Exception as error:
            if os.environ.get(DEBUG):
                raise
            _say(
                f"cannot finish: internal error {type(error).__name__}. Please report it; "
                f"{DEBUG}=1 shows where it is."
            )
            ctx.exit(Exit.BUG)


def _say(*lines: str) -> None:
    click.echo("hashmatch: " + "\n".join(map(printable, lines)), err=True)


class _Waivers(logging.Handler):
    """Says what protects less than it could, however quiet a command is to be."""

    def emit(self, record: logging.LogRecord) -> None:
        wipe = "\r\x1b[K" if sys.stderr.isatty() else ""  # a bar that is drawn there
        click.echo(f"{wipe}hashmatch: {printable(record.getMessage())}", err=True)


@contextmanager
def _warnings_said() -> Iterator[None]:
    """Say every warning in a line, but those of Pillow, whose odd files have outcomes."""
    log, lines = logging.getLogger("hashmatch.safeguards"), _Waivers()
    log.addHandler(lines)
    try:
        with warnings.catch_warnings():
            if not os.environ.get(DEBUG):
                warnings.filterwarnings("ignore", module=r"PIL\.")
                warnings.showwarning = lambda message, *_: _say(f"warning: {message}")
            yield
    finally:
        log.removeHandler(lines)


class _KernelLines(logging.Handler):
    """Says once that kernels are being compiled, and adds up for how long; says every warning."""

    seconds: float | None = None

    def emit(self, record: logging.LogRecord) -> None:
        if record.levelno >= logging.WARNING:
            self.say(record.getMessage())
        elif self.seconds is None:
            self.seconds = 0.0
            self.say("compiling search kernels for this processor (once) ...")
        else:
            self.seconds += getattr(record, "seconds", 0.0)

    def say(self, text: str) -> None:
        wipe = "\r\x1b[K" if self.level == logging.INFO else ""  # a bar that is drawn there
        click.echo(f"{wipe}hashmatch: {printable(text)}", err=True)


@contextmanager
def _kernels_reported() -> Iterator[None]:
    """Tell people on a terminal what they wait for; warnings also go to a log."""
    log, lines = logging.getLogger("hashmatch.kernels"), _KernelLines()
    sources = logging.getLogger("hashmatch.sources")
    is_seen = sys.stderr is not None and sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
    lines.setLevel(logging.INFO if is_seen else logging.WARNING)
    log.addHandler(lines)
    sources.addHandler(lines)
    log.setLevel(lines.level)
    try:
        yield
    finally:
        if lines.seconds and log.level < logging.ERROR:
            lines.say(f"compiled search kernels in {lines.seconds:.0f} s")
        log.removeHandler(lines)
        sources.removeHandler(lines)
        log.setLevel(logging.NOTSET)


def _cannot_write(error: OSError) -> str:
    why = error.strerror or str(error)
    return f"cannot write the output: {why}. Free space, or send it elsewhere."


def _flush_or_close() -> None:
    """Write what was printed; if that cannot be, nothing more will be written either."""
    try:
        flush_output()
    except OSError:
        _close(sys.stdout)


def _close_outputs() -> None:
    """Send all that is still to be written nowhere."""
    for output in (sys.stdout, sys.stderr):
        _close(output)


def _close(output: TextIO | None) -> None:
    """Send what is still to be flushed nowhere: the end of the process would try it again."""
    if output is not None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), output.fileno())


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Begin with: hashmatch demo",
)
@click.version_option(VERSION, prog_name="hashmatch")
def main() -> None:
    """Match pictures against known-hash lists, for human review.

    hashmatch hashes the images of an unencrypted surface, finds every list entry within a Hamming
    distance, and writes review records. It decides nothing: every match waits for a person.

    Exit codes: 0 finished, every item accounted for; 1 finished, and something is not as it should
    be: with --strict an image that could not be hashed, a list that is not sound, a message that
    was not delivered; 2 wrong usage, or a list or source that cannot be read; 130 interrupted;
    141 standard output or standard error closed before all was written; 70 a bug in hashmatch.
    """


COMMANDS = (
    scan, calibrate, rescan, hash_, match, list_, review, serve, token, missed, demo, warm,
    completion,
)  # fmt: skip
for command in COMMANDS:
    main.add_command(command)
