"""Plug-ins of other people: found through entry points, held to the contract, never guessed at."""

from __future__ import annotations

import subprocess
import sys
import time
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from hashmatch import registry, testing
from hashmatch.interfaces import ListOptions, ListRow, PlainRows
from hashmatch.lists.readers.pdq_text import PdqText
from hashmatch.testing import XorHash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

MODULE = '''
"""A hasher, list format, source and sink of somebody else's; they inherit nothing."""
import numpy as np
import hashmatch as hm
from hashmatch.interfaces import ListRow

class MeanColour:
    spec = hm.HashSpec("meancolour", 64)
    reads = "pixels"
    max_distance = 2
    min_quality = 0
    min_side = 1
    def hash(self, data):
        mean = data.reshape(-1, 3).mean(axis=0).astype(np.uint8)
        return hm.HashBatch.from_bytes(self.spec, bytes(mean) + bytes(5)), None

class Lines:
    def detects(self, head):
        return 100 if head.startswith(b"%lines\\n") else 0
    def rows(self, stream, options):
        stream.readline()
        for number, line in enumerate(stream, 2):
            yield ListRow(number, line.decode().strip(), algorithm="meancolour", external_id="x")

class Two:
    def __init__(self, location, surface):
        self.surface = surface
    def items(self, after=None):
        for key in ("one", "two"):
            if after is None or key > after:
                yield hm.ImageItem(key, "1", self.surface)
    def read(self, item):
        import io
        from PIL import Image
        file = io.BytesIO()
        Image.effect_mandelbrot((64, 64), (-2, -1, 1, 1), 9).save(file, "PNG")
        return file.getvalue()
    def count(self):
        return 2
    def close(self):
        pass

class Count:
    def __init__(self, path):
        self.path, self.n = path, 0
    def write(self, record):
        self.n += 1
    def close(self):
        self.path.write_text(f"{self.n} records")
    def abandon(self):
        pass
'''
ENTRY_POINTS = """
[hashmatch.hashers]
meancolour = other_peoples:MeanColour
[hashmatch.lists]
lines = other_peoples:Lines
[hashmatch.sources]
two = other_peoples:Two
[hashmatch.sinks]
count = other_peoples:Count
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """Return a folder that is to Python what site-packages is, with one distribution in it."""
    (tmp_path / "other_peoples.py").write_text(MODULE)
    info = tmp_path / "other_peoples-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-peoples\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(ENTRY_POINTS)
    return tmp_path


def run(installed: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hashmatch", *command],
        env={"PYTHONPATH": str(installed), "PATH": "/usr/bin:/bin", "HOME": str(installed)},
        cwd=installed,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_third_party_distribution_serves_a_whole_scan(installed: Path) -> None:
    (installed / "known.txt").write_text("%lines\n" + "00" * 8 + "\n" + "ff" * 8 + "\n")
    scan = run(
        installed, "scan", "two://anywhere", "--list", "known.txt", "--algorithm", "meancolour",
        "--max-distance", "64", "--surface", "public_post", "--out", "result.count",
    )  # fmt: skip
    assert scan.returncode == 0, scan.stderr
    assert (installed / "result.count").read_text() == "2 records"
    assert "2 meancolour entries" in scan.stderr


def test_a_source_that_is_none_of_a_kind_keeps_no_state(installed: Path) -> None:
    (installed / "known.txt").write_text("%lines\n" + "00" * 8 + "\n")
    scan = run(
        installed, "scan", "two://anywhere", "--list", "known.txt", "--algorithm", "meancolour",
        "--surface", "public_post", "--state", "state",
    )  # fmt: skip
    assert (scan.returncode, scan.stdout, scan.stderr.count("\n")) == (2, "", 1)
    assert "cannot resume a scan of a Two" in scan.stderr


def test_its_names_are_listed_when_one_is_not_found(installed: Path) -> None:
    result = run(installed, "hash", "known.txt", "--algorithm", "nope")
    assert result.returncode == 2
    assert "meancolour" in result.stderr


def test_two_packages_with_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint("pdq", f"package{n}:Pdq", registry.HASHERS) for n in (1, 2)]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    registry._points.cache_clear()
    try:
        with pytest.raises(hm.UnknownPlugin, match=r"package1:Pdq and package2:Pdq. Uninstall one"):
            registry.names(registry.HASHERS)
    finally:
        registry._points.cache_clear()


def test_a_plugin_that_cannot_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    points = [EntryPoint("gone", "no_such_package:Gone", registry.HASHERS)]
    monkeypatch.setattr(registry, "entry_points", lambda group: points)
    registry._points.cache_clear()
    try:
        with pytest.raises(hm.UnknownPlugin, match=r"cannot load the .* 'gone'.*no_such_package"):
            registry.load(registry.HASHERS, "gone")
    finally:
        registry._points.cache_clear()


def broken_hashers() -> list[Any]:
    """Return hashers that each break one rule."""

    class OtherSpec(XorHash):
        def hash(self, data: NDArray[np.uint8]) -> tuple[hm.HashBatch, int | None]:
            return testing.random_hashes(hm.HashSpec("other", 64), 1, seed=1), None

    class TwoHashes(XorHash):
        def hash(self, data: NDArray[np.uint8]) -> tuple[hm.HashBatch, int | None]:
            return testing.random_hashes(self.spec, 2, seed=1), None

    class Restless(XorHash):
        calls = 0

        def hash(self, data: NDArray[np.uint8]) -> tuple[hm.HashBatch, int | None]:
            Restless.calls += 1
            return testing.random_hashes(self.spec, 1, seed=Restless.calls), None

    class TooFar(XorHash):
        max_distance = 65

    class TooGood(XorHash):
        def hash(self, data: NDArray[np.uint8]) -> tuple[hm.HashBatch, int | None]:
            return testing.random_hashes(self.spec, 1, seed=1), 101

    return [OtherSpec(), TwoHashes(), Restless(), TooFar(), TooGood(), object()]


@pytest.mark.parametrize("hasher", broken_hashers(), ids=lambda hasher: type(hasher).__name__)
def test_the_contract_finds_broken_hashers(hasher: Any) -> None:
    testing.check_hasher(XorHash())
    with pytest.raises(AssertionError):
        testing.check_hasher(hasher)


def test_a_hasher_may_not_write_into_the_picture() -> None:
    class Vandal(XorHash):
        def hash(self, data: NDArray[np.uint8]) -> tuple[hm.HashBatch, int | None]:
            data[0] = 0
            return super().hash(data)

    with pytest.raises(ValueError, match="read-only"):
        testing.check_hasher(Vandal())


def test_the_contract_finds_broken_list_readers() -> None:
    class Greedy:
        def detects(self, head: bytes) -> int:
            return 50

        def rows(self, stream: Any, options: ListOptions) -> Iterator[ListRow]:
            yield ListRow(1, "")

    with pytest.raises(AssertionError, match="claims an empty file"):
        testing.check_list_reader(Greedy(), b"x", good=1, bad=0)


def test_the_contract_finds_plain_rows_that_are_others() -> None:
    class Forgetful(PdqText):
        def plain_rows(self, stream: Any, options: ListOptions) -> Iterator[PlainRows]:
            for row in super().plain_rows(stream, options):
                if isinstance(row, PlainRows):
                    yield row._replace(ids=[b""] * len(row.ids))

    sample = f"{'0f' * 32},a\n{'f0' * 32},b\n".encode()
    testing.check_list_reader(PdqText(), sample, good=2, bad=0)
    with pytest.raises(AssertionError, match="its plain rows are others"):
        testing.check_list_reader(Forgetful(), sample, good=2, bad=0)


def test_the_contract_finds_broken_sources() -> None:
    class Twice(testing.MemorySource):
        def items(self, after: str | None = None) -> Iterator[hm.ImageItem]:
            yield from super().items(after)
            yield from super().items(after)

    with pytest.raises(AssertionError, match="listed twice"):
        testing.check_source(Twice({"a": b""}, hm.Surface.PUBLIC_POST))

    class FromTheStart(testing.MemorySource):
        def items(self, after: str | None = None) -> Iterator[hm.ImageItem]:
            yield from super().items()

    with pytest.raises(AssertionError, match="does not list on after a"):
        testing.check_source(FromTheStart({"a": b"", "b": b""}, hm.Surface.PUBLIC_POST))

    class OneAtATime(testing.MemorySource):
        reading = 0

        def read(self, item: hm.ImageItem) -> bytes:
            self.reading += 1
            time.sleep(0.01)
            self.reading -= 1
            return b"alone" if not self.reading else b"disturbed"

    images = {str(number): b"" for number in range(8)}
    with pytest.raises(AssertionError, match="many threads read something else"):
        testing.check_source(OneAtATime(images, hm.Surface.PUBLIC_POST))


def test_the_contract_finds_broken_sinks(tmp_path: Path) -> None:
    class Hasty:
        def __init__(self, path: Path | None) -> None:
            assert path is not None
            self.path = path

        def write(self, record: hm.ReviewRecord) -> None:
            self.path.write_bytes(record.to_json())

        def close(self) -> None: ...
        def abandon(self) -> None: ...

    make: Callable[[Path | None], Any] = Hasty
    with pytest.raises(AssertionError, match="stands in the place of a whole one"):
        testing.check_sink(make, tmp_path / "r")


def test_a_list_format_that_fails_is_named_and_the_others_are_asked(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    asked = registry.list_reader
    names, maker = registry.names, registry.maker

    def fail(name: str) -> Any:
        if name == "broken":
            raise RuntimeError
        return asked(name)

    monkeypatch.setattr(registry, "list_reader", fail)
    monkeypatch.setattr(registry, "names", lambda group: ["broken", *names(group)])
    monkeypatch.setattr(
        registry,
        "maker",
        lambda group, name: "other 1.0" if name == "broken" else maker(group, name),
    )
    assert hm.read_list_file("fixtures/lists/demo-pdq.csv").format == "csv"
    assert "the list format broken of other 1.0: it failed with RuntimeError" in caplog.text


def test_a_source_tree_that_is_not_installed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "entry_points", lambda group: [])
    registry._points.cache_clear()
    try:
        with pytest.raises(hm.UnknownPlugin, match=r"hashmatch is not installed.* Run pip install"):
            registry.names(registry.HASHERS)
    finally:
        registry._points.cache_clear()
