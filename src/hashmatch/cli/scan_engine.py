"""``hashmatch scan --engine``: a scan whose parts are given to processes, or to a cluster."""

from __future__ import annotations

import os
from contextlib import ExitStack, closing, contextmanager
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from click.core import ParameterSource

from hashmatch.cli.lists_and_matcher import open_matcher
from hashmatch.cli.options import waive_sandbox
from hashmatch.cli.scan_output import anywhere
from hashmatch.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import click

    from hashmatch.cli.lists_and_matcher import MatcherOptions
    from hashmatch.matching.matcher import Matcher
    from hashmatch.records.enums import Surface
    from hashmatch.scan.events import Observe, Result
    from hashmatch.scan.parts.coordinator import PartOptions
    from hashmatch.scan.parts.output import Format
    from hashmatch.scan.report import ScanReport


def is_folder(engine: str | None, out: str | None) -> bool:
    """Return whether records go into a folder, a file for each part."""
    if engine is None or out is None:
        return False
    return "://" in out or out.endswith(os.sep) or os.path.isdir(out)


def check_engine(
    engine: str | None,
    state: str | None,
    part_size: int | None,
    kept_in: str | None,
    limit_rate: float | None,
    out: str | None,
    out_format: str | None,
    shadow: int | dict[str, int] | None,
) -> None:
    """Refuse options that an engine, or no engine, does not go with."""
    if out_format is not None and not is_folder(engine, out):
        raise UsageError(
            "cannot use --out-format: only the folder of --engine has files of parts. Give "
            "--engine, and --out DIR/ or s3://BUCKET/FOLDER."
        )
    if engine is None:
        if out is not None and "://" in out:
            raise UsageError(
                f"cannot write the records of one process to {out}. Give --out a file, or give "
                "--engine as well."
            )
        if part_size is not None:
            raise UsageError("cannot use --part-size without --engine. Give both, or neither.")
        if state is not None and "://" in state:
            raise UsageError(
                f"cannot keep the state of one process in {state}. Give --state a folder, or give "
                "--engine as well."
            )
        return
    if kept_in is not None:
        raise UsageError(
            "cannot keep hashes with --engine: one process writes them. Scan with --shard and "
            "--keep-hashes, or leave out --keep-hashes."
        )
    if shadow is not None:
        raise UsageError("cannot count a shadow limit with --engine. Leave out one of them.")
    if not engine.startswith("dask"):
        return
    if state is None:
        raise UsageError(
            "cannot scan on other machines without --state. Give a folder that all of them share, "
            "or s3://BUCKET/FOLDER."
        )
    if limit_rate is not None:
        raise UsageError(
            "cannot limit the rate of a cluster: how many workers it has changes. Leave out "
            "--limit-rate, or give --engine local:N."
        )


@contextmanager
def parted_scan(
    ctx: click.Context,
    rules: MatcherOptions,
    matcher: Matcher,
    done: ScanReport,
    observe: Sequence[Observe],
    *,
    source: str,
    surface: Surface,
    shard: tuple[int, int] | None,
    allow_private: Sequence[str],
    engine: str,
    part_size: int | None,
    state: str | None,
    out: str | None,
    out_format: Format | None,
    include_hash: bool,
    **options: Any,
) -> Iterator[Iterator[Result]]:
    """Give the results of a scan by an engine; without a state, it is kept until the scan ends."""
    from hashmatch.scan.parts.coordinator import PartedScan
    from hashmatch.scan.parts.output import PartOutput

    output = None
    if out is not None and is_folder(engine, out):
        output = PartOutput(anywhere(out), out_format or "jsonl", include_hash=include_hash)
    if options["in_process"]:
        waive_sandbox()
    with ExitStack() as stack:
        if state is None:
            state = stack.enter_context(TemporaryDirectory(prefix="hashmatch-"))
        scan = PartedScan(
            anywhere(source),
            {
                "rules": rules.plain(),
                "versions": rules.versions(matcher.lists),
                "include_hash": matcher.include_hash,
            },
            surface=surface,
            engine=engine,
            state=anywhere(state),
            opener=open_matcher,
            matcher=matcher,
            options=_part_options(ctx, engine, part_size, **options),
            shard=shard,
            allow_private=allow_private,
            observe=[done, *observe],
            output=output,
        )
        yield stack.enter_context(closing(scan.results()))
        done.sandbox = scan.sandbox


def _part_options(
    ctx: click.Context,
    engine: str,
    part_size: int | None,
    *,
    workers: int,
    readers: int,
    limit_rate: float | None,
    in_process: bool,
) -> PartOptions:
    """Return how a scan is shared; a rate among all processes of this machine."""
    from hashmatch.scan.parts.coordinator import PartOptions
    from hashmatch.scan.parts.engine import EngineName

    processes = EngineName.parse(engine).processes or 1
    is_given = ctx.get_parameter_source("workers") is not ParameterSource.DEFAULT
    decoders = 0 if in_process else workers if is_given else None
    rate = limit_rate / processes if limit_rate else None
    return PartOptions(part_size, decoders, readers, rate)
