"""Coverage-guided fuzzing of the list readers, one target a format, run by name.

`python tests/fuzz_lists.py ncmec-xml -max_total_time=60` needs the extra ``fuzz``; what comes after
the name is for libFuzzer. The fixtures are the seeds; what a run learns is kept in a folder only if
one is named. `test_fuzz_lists.py` runs each target on its seeds without atheris.
"""

from __future__ import annotations

import io
import sys
import tempfile
from pathlib import Path

LISTS = Path(__file__).parent.parent / "fixtures" / "lists"


def seeds(format: str) -> list[bytes]:
    """Return the fixtures that are of `format`; `vpdq-frames` is what vPDQ is read as by name."""
    from hashmatch import registry

    format = {"vpdq-frames": "vpdq"}.get(format, format)

    readers = {name: registry.list_reader(name) for name in registry.names(registry.LISTS)}
    files = [path.read_bytes() for path in sorted(LISTS.iterdir())]
    return [
        data
        for data in files
        if format == max(readers, key=lambda name: readers[name].detects(data[:8192]))
    ]


def target(format: str, data: bytes) -> int:
    """Read `data` as a file of `format`, check what every reader promises, and count its rows."""
    from hashmatch import registry
    from hashmatch.errors import HashmatchError, RejectedRow
    from hashmatch.interfaces import ListOptions, ListRow, Span
    from hashmatch.lists.readers._lines import PlainText

    reader = registry.list_reader(format)
    assert 0 <= reader.detects(data[:8192]) <= 100
    file = io.BytesIO(data)
    stream = io.BufferedReader(PlainText(io.BufferedReader(file)))
    line = count = 0
    refused = ""
    try:
        for row in reader.rows(stream, ListOptions()):
            count += 1
            assert row.line >= max(1, line), "line numbers go back"
            line = row.line
            if isinstance(row, RejectedRow):
                assert row.reason, "no reason is given"
                assert row.reason.isprintable(), "a reason is one line"
                assert len(row.reason) < 300, "a reason is short"
                continue
            assert isinstance(row, ListRow)
            texts = (row.hash, row.algorithm, row.external_id, row.status, *row.labels)
            for text in (*texts, *row.sources):
                if text is not None:
                    text.encode()
            if row.updated is not None:
                assert isinstance(row.updated, Span)
                assert 0 <= row.updated.begin <= row.updated.end < 1e12
            assert row.upvotes >= 0
            assert row.downvotes >= 0
            assert row.algorithm != "photodna" or row.hash == ""
    except HashmatchError as error:
        refused = str(error)
    assert refused.isprintable(), "an error is one line"
    return count


def main(arguments: list[str]) -> None:
    """Fuzz the format that is named first."""
    import atheris

    with atheris.instrument_imports(include=["hashmatch.lists", "json", "csv"]):
        from hashmatch import registry

        if not arguments or arguments[0] not in registry.names(registry.LISTS):
            raise SystemExit(f"name a format: {', '.join(registry.names(registry.LISTS))}")
        format, *options = arguments
        registry.list_reader(format)
        found = seeds(format)
    with tempfile.TemporaryDirectory() as folder:
        for number, data in enumerate(found):
            (Path(folder) / f"seed-{number}").write_bytes(data)
        given = [sys.argv[0], "-max_len=16384", *options, folder]
        atheris.Setup(given, lambda data: target(format, data) and None)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
