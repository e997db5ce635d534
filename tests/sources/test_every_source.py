"""What holds for all sources: odd names, names that come again, any locale, place and shard."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
import zipfile
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hashmatch as hm
import s3_server
from cli_tools import DEMO
from hashmatch import registry
from hashmatch.interfaces import passed_over
from hashmatch.records.images import escape_name
from hashmatch.retry import read_item
from hashmatch.scan.report import ScanReport
from hashmatch.scan.shard import Shard
from hashmatch.sources._base_folder import Unique
from hashmatch.sources.bucket import BucketSource
from hashmatch.testing import check_source

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hashmatch.interfaces import Source

SURFACE = hm.Surface.PUBLIC_POST

# Names that are told apart by little, and names that say something to somebody.
NAMES = [
    b"caf\xe9.jpg", rb"caf\xe9.jpg", rb"caf\\xe9.jpg", "café.jpg".encode(),
    "cafe\u0301.jpg".encode(), b"CAF\xc9.jpg", b"a.jpg", b"A.JPG", b"a.jpg ", b" a.jpg", b"a\tb",
    b"%41.jpg", b"a#2", b"a", b"a?b=c&d", b"d/a.jpg", b"d/b/a.jpg", b"d.jpg", b"-rf", b"~", b"\\",
    b"\xff\xfe", b"x" * 255, b"7", b"7.0", b"null", b"inner.tar", b'"quoted"', b"a,b", b"#note",
]  # fmt: skip
TEXTS = [name for name in NAMES if name.decode(errors="ignore").encode() == name]
"""Those that are UTF-8, as names of buckets and in JSON are."""
AGAIN = ["a", "a", "a#2", "a", "a#2", "a#2#2", "b#2", "b", "b"]
"""Names that come again, each for another picture; what their items are called is in `CALLED`."""
CALLED = ["a", "a#2", "a#2#2", "a#3", "a#2#3", "a#2#2#2", "b#2", "b", "b#3"]


def content(name: bytes, number: int) -> bytes:
    return b"%d: " % number + name


def folder(place: Path, names: list[bytes]) -> Source:
    for number, name in enumerate(names):
        path = os.path.join(os.fsencode(place / "folder"), name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(os.fsdecode(path)).write_bytes(content(name, number))
    return registry.open_source(str(place / "folder"), SURFACE)


def tar(place: Path, names: list[bytes], mode: str = "w") -> Source:
    with tarfile.open(place / "a.tar", mode, encoding="utf-8") as archive:  # type: ignore[call-overload]
        for number, name in enumerate(names):
            member = tarfile.TarInfo(name.decode(errors="surrogateescape"))
            member.size = len(content(name, number))
            archive.addfile(member, io.BytesIO(content(name, number)))
    return registry.open_source(f"tar://{place}/a.tar", SURFACE)


def tar_gz(place: Path, names: list[bytes]) -> Source:
    return tar(place, names, "w:gz")


class NamedInBytes(zipfile.ZipInfo):
    """A member whose name is any bytes, as zip tools of Unix write it."""

    raw = b""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:  # noqa: N802
        return self.raw, 0


def zip_(place: Path, names: list[bytes]) -> Source:
    with zipfile.ZipFile(place / "a.zip", "w") as archive:
        for number, name in enumerate(names):
            member = NamedInBytes(f"{number}")
            member.raw, member.create_system = name, 3
            archive.writestr(member, content(name, number))
    return registry.open_source(f"zip://{place}/a.zip", SURFACE)


def lines(place: Path, names: list[bytes]) -> Source:
    folder(place, names)
    (place / "keys.txt").write_bytes(b"\n".join(names))
    return registry.open_source(f"manifest://{place}/keys.txt?base={place}/folder", SURFACE)


def rows(place: Path, names: list[bytes]) -> Source:
    (place / "a.jsonl").write_text(
        "".join(
            json.dumps({"key": name.decode(), "image": b64encode(content(name, number)).decode()})
            + "\n"
            for number, name in enumerate(names)
        ),
        encoding="utf-16",
    )
    return registry.open_source(f"jsonl://{place}/a.jsonl", SURFACE)


def addresses(place: Path, names: list[bytes]) -> Source:
    for number, name in enumerate(names):
        (place / f"{number}.jpg").write_bytes(content(name, number))
    (place / "b.jsonl").write_text(
        "".join(
            json.dumps({"key": name.decode(), "url": f"{number}.jpg"}) + "\n"
            for number, name in enumerate(names)
        )
    )
    return registry.open_source(f"jsonl://{place}/b.jsonl", SURFACE)


def table(place: Path, names: list[bytes]) -> Source:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    images = [content(name, number) for number, name in enumerate(names)]
    columns = {"key": [name.decode() for name in names], "image": images}
    parquet.write_table(pa.table(columns), place / "a.parquet", row_group_size=7)
    return registry.open_source(f"parquet://{place}/a.parquet", SURFACE)


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    for needed in ("moto", "botocore", "obstore"):
        pytest.importorskip(needed)
    empty = tmp_path_factory.mktemp("buckets")
    (empty / "photos").mkdir()
    with s3_server.moto(empty) as port:
        yield port


Make = Callable[[Path, list[bytes]], "Source"]
BYTES: list[Make] = [folder, tar, tar_gz, zip_, lines]
TEXT: list[Make] = [rows, addresses, table]


def read_all(source: Source) -> dict[str, object]:
    """Return what is read of each item, or its outcome; every key comes once."""
    read: dict[str, object] = {}
    for item in source.items():
        assert item.key not in read
        data = read_item(source, item)[1]
        read[item.key] = data.outcome if isinstance(data, hm.ImageError) else data
    return read


@pytest.mark.parametrize("make", [*BYTES, *TEXT])
def test_names_that_are_nearly_alike_are_items_of_their_own(make: Make, tmp_path: Path) -> None:
    names = NAMES if make in BYTES else TEXTS
    source = make(tmp_path, names)
    expected = {escape_name(name): content(name, number) for number, name in enumerate(names)}
    assert len(expected) == len(names)
    assert read_all(source) == expected
    assert not passed_over(source)
    check_source(source)


def test_names_in_a_bucket(port: int) -> None:
    names = [*TEXTS, b"/a.jpg", b"x/", b"a//b", b"a/../b", b"a/./b"]
    for number, name in enumerate(names):
        s3_server.moto_put("photos", name.decode(), content(name, number))
    source = BucketSource("s3://photos", SURFACE, s3_server.options(port))
    expected = {escape_name(name): content(name, number) for number, name in enumerate(names)}
    assert read_all(source) == expected
    check_source(source)


@pytest.mark.parametrize("make", [tar, tar_gz, zip_, *TEXT])
def test_names_that_come_again_are_items_of_their_own(make: Make, tmp_path: Path) -> None:
    names = [name.encode() for name in AGAIN]
    source = make(tmp_path, names)
    assert read_all(source) == {
        key: content(name, number)
        for number, (key, name) in enumerate(zip(CALLED, names, strict=True))
    }
    assert not passed_over(source)
    check_source(source)


@pytest.mark.parametrize("make", [tar, rows])
def test_many_of_one_name_take_no_more_time_each(make: Make, tmp_path: Path) -> None:
    source = make(tmp_path, [b"a"] * 3000)
    assert [item.key for item in source.items()][-1] == "a#3000"


def test_the_same_picture_named_again_is_counted(tmp_path: Path) -> None:
    folder(tmp_path, [b"a.jpg", b"b.jpg"])
    said: list[Any] = [
        "a.jpg", "b.jpg", "a.jpg", {"key": "a.jpg"}, {"key": "a.jpg", "version": "1-2"},
        {"key": "a.jpg", "url": "b.jpg"}, {"key": "b.jpg", "url": "b.jpg"},
    ]  # fmt: skip
    text = "\r\n".join(line if isinstance(line, str) else json.dumps(line) for line in said)
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"):
        (tmp_path / "keys.txt").write_text(text, encoding)
        place = f"manifest://{tmp_path}/keys.txt?base={tmp_path}/folder"
        source = registry.open_source(place, SURFACE)
        read = read_all(source)
        assert read == {
            "a.jpg": b"0: a.jpg", "b.jpg": b"1: b.jpg", "a.jpg#2": b"0: a.jpg",
            "a.jpg#3": b"1: b.jpg",
        }  # fmt: skip
        assert passed_over(source) == {"lines that name an item again": 3}
        check_source(source)


def test_keys_of_a_list_may_be_numbers_and_nothing_is_taken_for_absent(
    tmp_path: Path,
) -> None:
    folder(tmp_path, [b"7", b"100"])
    said: list[Any] = [{"key": 7}, {"key": 100.0}, {"key": "100"}, {"key": True, "url": "7"},
                       {"key": [1], "url": "7"}, {"key": "x", "url": {}}, {"key": "y", "image": 1},
                       {"key": None, "url": "7"}]  # fmt: skip
    (tmp_path / "keys.jsonl").write_text("\n".join(map(json.dumps, said)))
    place = f"jsonl://{tmp_path}/keys.jsonl?base={tmp_path}/folder"
    source = registry.open_source(place, SURFACE)
    failed = hm.Outcome.FAILED
    assert read_all(source) == {
        "7": b"0: 7", "100": b"1: 100", "7#2": failed, "7#3": failed, "x": failed, "y": failed,
    }  # fmt: skip
    assert passed_over(source) == {"lines that name an item again": 2}


@pytest.mark.parametrize("make", [*BYTES, *TEXT])
def test_a_scan_accounts_for_every_name(make: Make, tmp_path: Path) -> None:
    names = TEXTS if make in (folder, lines) else [*TEXTS, *TEXTS]
    make(tmp_path, names).close()
    matcher = hm.Matcher(hm.read_list(DEMO))
    for count in (1, 3):
        keys = set[str]()
        for number in range(count):
            report = ScanReport(matcher)
            shard = Shard(make(tmp_path, names), number, count)
            for result in hm.scan_source(shard, matcher, observe=report):
                assert isinstance(result, hm.ItemOutcome)
                keys.add(result.key)
                report.add(result)
            report.finish()
        assert len(keys) == len(names)


@given(st.lists(st.sampled_from(["a", "a#2", "a#3", "a#2#2", "a#", "#2", "b", ""])))
def test_no_two_items_have_one_key(names: list[str]) -> None:
    unique, found = Unique(), list[str]()
    for name in names:
        found.append(unique.name(name))
        assert found[-1] == name or found[-1].rpartition("#")[0] == name
        assert found[-1] == name or name in found
    assert len(set(found)) == len(found)


SAYS_WHAT_IT_LISTS = """
import json, sys
from hashmatch import registry
from hashmatch.retry import read_item
from hashmatch.scan.shard import shard_of
for place in sys.argv[1:]:
    source = registry.open_source(place, "public_post")
    items = list(source.items())
    bad = [item.key for item in items if not isinstance(read_item(source, item)[1], bytes)]
    items = [[item.key, item.version, item.position, shard_of(item.key, 7)] for item in items]
    print(json.dumps([source.identity(), items, bad]))
"""


@pytest.fixture(scope="module")
def latin1(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the environment of a locale in ISO 8859-1, in which every byte is a letter."""
    folder = tmp_path_factory.mktemp("locales")
    command = ["localedef", "-i", "en_US", "-f", "ISO-8859-1", str(folder / "en_US.ISO-8859-1")]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("localedef cannot make a locale")
    return {"LOCPATH": str(folder), "LC_ALL": "en_US.ISO-8859-1"}


def test_locale_time_zone_and_hash_seed_change_nothing(
    tmp_path: Path, latin1: dict[str, str]
) -> None:
    odd = tmp_path / os.fsdecode(b"caf\xe9 \xc3\xa9")
    odd.mkdir()
    for make in BYTES:
        make(odd, NAMES).close()
    places = [f"{odd}/folder", *(f"{kind}://{odd}/a.{kind}" for kind in ("tar", "zip"))]
    places.append(f"manifest://{odd}/keys.txt?base={odd}/folder")
    plain = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    said = set()
    for more in (
        {"LC_ALL": "C.utf8", "TZ": "UTC", "PYTHONHASHSEED": "1"},
        plain | {"LC_ALL": "C", "TZ": "Asia/Tokyo", "PYTHONHASHSEED": "2"},
        plain | {"LC_ALL": "POSIX", "PYTHONHASHSEED": "3"},
        plain | latin1,
    ):
        done = subprocess.run(
            [sys.executable, "-c", SAYS_WHAT_IT_LISTS, *places],
            env=dict(os.environ) | more, capture_output=True, check=False,
        )  # fmt: skip
        assert not done.stderr
        said.add(done.stdout)
    (one,) = said
    for line in one.splitlines():
        _, items, bad = json.loads(line)
        assert {item[0] for item in items} == set(map(escape_name, NAMES))
        assert not bad
