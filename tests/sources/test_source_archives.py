"""Tar and zip archives: every member an item, bombs refused, what is cut off an error."""

from __future__ import annotations

import gzip
import io
import os
import random
import shutil
import struct
import subprocess
import tarfile
import warnings
import zipfile
import zlib
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
from hashmatch import registry
from hashmatch.decode.limits import MAX_BYTES
from hashmatch.records.images import escape_name
from hashmatch.scan.pipeline import fetch
from hashmatch.sources import zip_archive
from hashmatch.sources.tar_archive import TarSource
from hashmatch.sources.zip_archive import ZipSource
from hashmatch.testing import check_source

if TYPE_CHECKING:
    from pathlib import Path

    from hashmatch.interfaces import Source

SURFACE = hm.Surface.PUBLIC_POST
NOISE = random.Random(5).randbytes(5000)
FILES = [
    ("a.jpg", b"first"), ("é/b.jpg", b""), ("x" * 300, NOISE), ("512", NOISE[:512]),
    ("a.jpg", b"second"), ("../up.jpg", b"up"), ("/etc/x", b"slash"),
]  # fmt: skip
READ = {("a.jpg#2" if data == b"second" else name): data for name, data in FILES}


def outcomes(source: Source) -> dict[str, object]:
    read: dict[str, object] = {}
    for item, data in fetch(source):
        assert item.key not in read
        read[item.key] = data.outcome.value if isinstance(data, hm.ImageError) else data
    return read


def tar(place: Path, mode: str = "w", kind: int = tarfile.PAX_FORMAT) -> str:
    with tarfile.open(place, mode, format=kind) as archive:  # type: ignore[call-overload]
        for name, data in FILES:
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(data), 1_700_000_000
            archive.addfile(member, io.BytesIO(data))
        for kind_of_link in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE):
            member = tarfile.TarInfo(f"special {kind_of_link.decode()}")
            member.type, member.linkname = kind_of_link, "/etc/passwd"
            archive.addfile(member)
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    return f"tar://{place}"


SPECIAL = {f"special {number}": "unsupported" for number in (2, 6, 3)} | {"special 1": "failed"}


@pytest.mark.parametrize("kind", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_archive_is_read_whole(mode: str, kind: int, tmp_path: Path) -> None:
    source = registry.open_source(tar(tmp_path / "a", mode, kind), SURFACE)
    assert outcomes(source) == READ | SPECIAL
    check_source(source)


def test_a_compressed_member_can_be_read_again_without_its_listing(tmp_path: Path) -> None:
    source = TarSource(tar(tmp_path / "a", "w:gz"), SURFACE)
    for item in source.items():
        bare = hm.ImageItem(
            item.key, item.version, item.surface, item.location, item.position, item.size
        )
        if item.key in READ:
            assert source.read(bare) == READ[item.key]


def test_zip_archives_are_read_whole(tmp_path: Path) -> None:
    place = tmp_path / "a.zip"
    with zipfile.ZipFile(place, "w") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the name that comes twice
        for number, (name, data) in enumerate(FILES):
            kind = (zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED)[number % 2]
            archive.writestr(zipfile.ZipInfo(name), data, kind)
        archive.mkdir("folder")
        archive.writestr("packed", NOISE, zipfile.ZIP_BZIP2)
    source = registry.open_source(f"zip://{place}", SURFACE)
    assert outcomes(source) == READ | {"packed": "unsupported"}
    assert source.count() == len(FILES) + 1
    check_source(source)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_archive_that_is_cut_off_is_an_error_after_what_is_whole(
    mode: str, tmp_path: Path
) -> None:
    tar(tmp_path / "whole", mode)
    content = (tmp_path / "whole").read_bytes()
    # The mark at the end has 1,024 bytes, and what follows fills up a record of 10,240.
    length = len(content.rstrip(b"\0")) if mode == "w" else len(content) - 60
    for kept in [*range(600, length, 997), length]:
        (tmp_path / "cut").write_bytes(content[:kept])
        read: dict[hm.ImageItem, object] = {}
        with pytest.raises(hm.SourceError, match=r"cut: .* after \d+ members"):
            read.update(fetch(TarSource(f"tar://{tmp_path}/cut", SURFACE)))
        for item, data in read.items():
            assert isinstance(data, hm.ImageError) or READ[item.key] == data


def test_a_broken_header_is_not_the_end(tmp_path: Path) -> None:
    tar(tmp_path / "a")
    content = bytearray((tmp_path / "a").read_bytes())
    content[content.find(b"special 2")] ^= 1
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(hm.SourceError, match="damaged or cut off, after 7 members"):
        list(TarSource(f"tar://{tmp_path}/a", SURFACE).items())


@pytest.mark.parametrize(
    "content", [b"", b"no archive" * 200, b"\x1f\x8b" + bytes(600), bytes(4096)]
)
@pytest.mark.parametrize("scheme", ["tar", "zip"])
def test_what_is_no_archive(scheme: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(hm.SourceError, match="/a: "):
        list(registry.open_source(f"{scheme}://{tmp_path}/a", SURFACE).items())


@pytest.mark.parametrize("scheme", ["tar", "zip"])
def test_what_is_not_there(scheme: str, tmp_path: Path) -> None:
    with pytest.raises(hm.SourceError, match="No such file"):
        registry.open_source(f"{scheme}://{tmp_path}/a", SURFACE)
    with pytest.raises(hm.UsageError, match="no option"):
        registry.open_source(f"{scheme}://{tmp_path}/a?base=x", SURFACE)


def test_a_header_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK):
        header = tarfile.TarInfo("x")
        header.type, header.size = kind, 2**40
        with (tmp_path / "a").open("wb") as file:
            file.write(header.tobuf(tarfile.GNU_FORMAT))
            file.truncate(2**41)
        with pytest.raises(hm.SourceError, match="a header of 1,099,511,627,"):
            list(TarSource(f"tar://{tmp_path}/a", SURFACE).items())


def test_a_tar_archive_that_unpacks_without_end_is_an_error(tmp_path: Path) -> None:
    header = tarfile.TarInfo("large.jpg")
    header.size = 2**30
    with gzip.open(tmp_path / "a", "wb", 1) as file:
        file.write(header.tobuf())
        file.write(bytes(2**20))
    items = TarSource(f"tar://{tmp_path}/a", SURFACE).items()
    assert next(items).size == 2**30
    with pytest.raises(hm.SourceError, match="it unpacks to more than 100 times its size"):
        next(items)


def test_a_large_member_of_a_tar_archive_is_refused_unread(tmp_path: Path) -> None:
    header = tarfile.TarInfo("large.jpg")
    header.size = 2**40
    with (tmp_path / "a").open("wb") as file:
        file.write(header.tobuf())
        file.truncate(2**41)
    (item, *_) = TarSource(f"tar://{tmp_path}/a", SURFACE).items()
    with pytest.raises(hm.ImageError, match="the limit is") as caught:
        TarSource(f"tar://{tmp_path}/a", SURFACE).read(item)
    assert caught.value.outcome is hm.Outcome.REFUSED


def test_an_archive_that_changed_is_not_read_at_old_places(tmp_path: Path) -> None:
    source = TarSource(tar(tmp_path / "a"), SURFACE)
    item = next(source.items())
    os.utime(tmp_path / "a", ns=(1, 1))
    with pytest.raises(hm.ImageError, match="has changed"):
        source.read(item)


def gnu_tar(place: Path, folder: Path, *options: str) -> TarSource:
    """Return what GNU tar makes of a folder."""
    subprocess.run(["tar", *options, "-cf", place, "-C", folder, "."], check=True)
    return TarSource(f"tar://{place}", SURFACE)


@pytest.mark.parametrize("options", [(), ("-z",), ("--format=pax",), ("--format=ustar",)])
def test_hard_links_are_what_they_name(
    tmp_path: Path, options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "users"
    for name in ("1", "2", "3"):
        (folder / name).mkdir(parents=True)
    (folder / "1" / "a.jpg").write_bytes(NOISE)
    os.link(folder / "1" / "a.jpg", folder / "2" / "b.jpg")
    os.link(folder / "1" / "a.jpg", folder / "3" / "c.jpg")
    (folder / "3" / "soft.jpg").symlink_to("c.jpg")
    source = gnu_tar(tmp_path / "a", folder, *options)
    named = ("1/a.jpg", "2/b.jpg", "3/c.jpg")
    assert outcomes(source) == {f"./{name}": NOISE for name in named} | {
        "./3/soft.jpg": "unsupported"
    }
    assert source.passed_over == {"folders": 4}
    opened = list[str]()

    def unpack(path: str) -> gzip.GzipFile:
        opened.append(path)
        return gzip.GzipFile(path)

    monkeypatch.setattr(gzip, "open", unpack)
    assert [source.read(item) for item in source.items() if item.size] == [NOISE] * 3
    assert len(opened) <= 1  # not once for each link
    assert {item.size for item in source.items()} == {len(NOISE), None}
    check_source(source)


def test_backups_of_gnu_tar(tmp_path: Path) -> None:
    folder = tmp_path / "users"
    folder.mkdir()
    (folder / "a.jpg").write_bytes(NOISE)
    os.link(folder / "a.jpg", folder / "b.jpg")
    source = gnu_tar(tmp_path / "a", folder, f"-g{tmp_path}/snapshot", "--label=Monday")
    assert outcomes(source) == {"./a.jpg": NOISE, "./b.jpg": NOISE}
    assert source.passed_over == {"labels of archives": 1, "folders": 1}
    check_source(source)


def test_a_hard_link_may_name_the_path_in_another_way(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a", "w") as archive:
        member = tarfile.TarInfo("d/a.jpg")
        member.size = len(NOISE)
        archive.addfile(member, io.BytesIO(NOISE))
        names = ("./d/a.jpg", "/d/a.jpg", "d//a.jpg", "d/b.jpg")
        for number, name in enumerate(names):
            link = tarfile.TarInfo(f"{number}.jpg")
            link.type, link.linkname = tarfile.LNKTYPE, name
            archive.addfile(link)
    read = outcomes(TarSource(f"tar://{tmp_path}/a", SURFACE))
    assert read == dict.fromkeys(("d/a.jpg", "0.jpg", "1.jpg", "2.jpg"), NOISE) | {
        "3.jpg": "failed"
    }


@pytest.mark.parametrize(
    ("options", "advice"),
    [("-j", "packed with bzip2. Unpack it"), ("-J", "packed with xz. Unpack it"),
     ("zip", "a zip archive. Scan it as zip://")],
)  # fmt: skip
def test_archives_of_other_kinds_are_refused_by_name(
    tmp_path: Path, options: str, advice: str
) -> None:
    (tmp_path / "BZh1").write_bytes(NOISE)
    source = gnu_tar(tmp_path / "named.tar", tmp_path, "--exclude=*.tar", "--transform=s,./,,")
    assert outcomes(source) == {"BZh1": NOISE}  # that is how the file begins, too
    place = tmp_path / "a.tar"
    if options == "zip":
        with zipfile.ZipFile(place, "w") as archive:
            archive.writestr("a.jpg", NOISE)
    else:
        subprocess.run(["tar", options, "-cf", place, "-C", tmp_path, "BZh1"], check=True)
    with pytest.raises(hm.SourceError, match=f"^cannot read {place}: it is {advice}"):
        outcomes(TarSource(f"tar://{place}", SURFACE))


@pytest.mark.skipif(shutil.which("zip") is None, reason="needs Info-ZIP")
def test_the_last_part_of_a_split_zip_archive_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(random.Random(6).randbytes(200_000))
    subprocess.run(["zip", "-q", "-s", "64k", "a.zip", "a.jpg"], cwd=tmp_path, check=True)
    with pytest.raises(hm.SourceError, match=r"the last part of a split archive\. Join the parts"):
        ZipSource(f"zip://{tmp_path}/a.zip", SURFACE)


@pytest.mark.parametrize(
    "options",
    [(), ("-z",), *[("--format=pax", f"--sparse-version={n}") for n in ("0.0", "0.1", "1.0")]],
)
def test_sparse_members_are_read(tmp_path: Path, options: tuple[str, ...]) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    sizes = {"one.bmp": 3, "many.bmp": 40, "empty.bmp": 0}
    for name, pieces in sizes.items():
        with (folder / name).open("wb") as file:
            for number in range(pieces):
                file.seek(number * 2**17)
                file.write(NOISE)
            file.truncate(pieces * 2**17 + 2**20)
    os.link(folder / "one.bmp", folder / "zlink.bmp")
    source = gnu_tar(tmp_path / "a", folder, "--sparse", *options)
    if not options:
        assert (tmp_path / "a").stat().st_size < 2**20
    read = outcomes(source)
    assert set(read) == {f"./{name}" for name in (*sizes, "zlink.bmp")}
    for name in (*sizes, "zlink.bmp"):
        assert read[f"./{name}"] == (folder / name).read_bytes(), name
    check_source(source)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_archives_that_are_joined_are_all_read(
    tmp_path: Path, mode: str, caplog: pytest.LogCaptureFixture
) -> None:
    tar(tmp_path / "a", mode)
    whole = (tmp_path / "a").read_bytes()
    (tmp_path / "three").write_bytes(whole * 3)
    source = TarSource(f"tar://{tmp_path}/three", SURFACE)
    count = len(READ) + len(SPECIAL)
    read = outcomes(source)
    assert len(read) == 3 * count
    assert [read[f"../up.jpg{number}"] for number in ("", "#2", "#3")] == [b"up"] * 3
    assert read["a.jpg#6"] == b"second"
    assert source.passed_over == {"folders": 3}
    check_source(source)
    assert not caplog.records
    cut = len(whole) * 2 + 5000
    (tmp_path / "cut").write_bytes((whole * 3)[: cut if mode == "w" else -60])
    with pytest.raises(hm.SourceError, match=r"cut: .* after \d+ members"):
        outcomes(TarSource(f"tar://{tmp_path}/cut", SURFACE))


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_what_follows_an_archive_and_is_none_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: str
) -> None:
    tar(tmp_path / "a", mode)
    with (tmp_path / "a").open("ab") as file:
        file.write(b"no archive" * 100)
    assert outcomes(TarSource(f"tar://{tmp_path}/a", SURFACE)) == READ | SPECIAL
    assert [record.getMessage() for record in caplog.records] == [
        f"{tmp_path}/a: what follows its end is no tar archive, and not read"
    ]


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_side_files_are_counted_and_pictures_called_so_are_not(tmp_path: Path, mode: str) -> None:
    content = {
        "1.cls": b"7", "1.jpg": NOISE, "1.json": b'{"a": 1}', "1.txt": "café\n".encode(),
        "2.jpg": NOISE, "2.txt": b"", "3.JSON": b"[]",
        "no.txt": NOISE, "svg.txt": b"<svg/>", "nul.json": b"a\0b", "notes.md": b"text",
    }  # fmt: skip
    with tarfile.open(tmp_path / "a", mode) as archive:  # type: ignore[call-overload]
        for name, data in content.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    source = TarSource(f"tar://{tmp_path}/a", SURFACE)
    items = ("1.jpg", "2.jpg", "no.txt", "svg.txt", "nul.json", "notes.md")
    assert outcomes(source) == {name: content[name] for name in items}
    assert source.passed_over == {"side files": 5}
    check_source(source)


def test_names_in_a_zip_archive(tmp_path: Path) -> None:
    unicode = "é4.jpg".encode()
    field = struct.pack("<HHBL", 0x7075, 5 + len(unicode), 1, zlib.crc32(b"abc4.jpg")) + unicode
    stale = struct.pack("<HHBL", 0x7075, 5 + len(unicode), 1, 0) + unicode
    names: list[tuple[bytes, int, bytes, str]] = [
        ("é1.jpg".encode(), 3, b"", "é1.jpg"), (b"ca\xe92.jpg", 3, b"", r"ca\xe92.jpg"),
        (b"ca\x823.jpg", 0, b"", "caé3.jpg"), (b"abc4.jpg", 0, b"UT\1\0x" + field, "é4.jpg"),
        (b"abc4.jpg", 0, stale, "abc4.jpg"), (rb"ca\xe92.jpg", 3, b"", r"ca\\xe92.jpg"),
        (b"ca\xe92.jpg", 3, b"", r"ca\xe92.jpg#2"), (b"x\n\t 6 ", 3, b"", "x\n\t 6 "),
        (b"a\0b.jpg", 3, b"", "a\0b.jpg"), (b"A" * 60_000, 3, b"", "A" * 60_000),
    ]  # fmt: skip
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        for number, (name, system, extra, _) in enumerate(names):
            member = zipfile.ZipInfo(f"<{number}>".ljust(len(name), "_"))
            member.create_system, member.extra = system, extra
            archive.writestr(member, b"%d" % number)
    content = (tmp_path / "a").read_bytes()
    for number, (name, *_) in enumerate(names):  # the module writes no names but its own
        content = content.replace(f"<{number}>".encode().ljust(len(name), b"_"), name)
    (tmp_path / "a").write_bytes(content)
    source = ZipSource(f"zip://{tmp_path}/a", SURFACE)
    assert [item.key for item in source.items()] == [key for *_, key in names]
    check_source(source)


@pytest.mark.skipif(shutil.which("zip") is None, reason="Info-ZIP's zip is not installed")
@pytest.mark.parametrize("locale", ["C", "C.utf8"])
def test_names_of_info_zip(tmp_path: Path, locale: str) -> None:
    names = ("é.jpg".encode(), b"caf\xe9.jpg", rb"caf\xe9.jpg", b"sp ace\n.jpg")
    for name in names:
        (tmp_path / os.fsdecode(name)).write_bytes(name)
    (tmp_path / "soft.jpg").symlink_to("x.jpg")
    command = ["zip", "-q", "-y", "-r", "a.zip", "."]
    subprocess.run(command, check=True, cwd=tmp_path, env=dict(os.environ) | {"LC_ALL": locale})
    source = ZipSource(f"zip://{tmp_path}/a.zip", SURFACE)
    expected: dict[str, object] = {escape_name(name): name for name in names}
    assert outcomes(source) == expected | {"soft.jpg": "unsupported"}
    check_source(source)


def test_zip_archives_that_are_joined_are_all_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    parts = [small_zip(tmp_path / "a", one=b"%d" % n, two=NOISE) for n in range(3)]
    (tmp_path / "a").write_bytes(b"".join(parts))
    source = ZipSource(f"zip://{tmp_path}/a", SURFACE)
    read = outcomes(source)
    assert [read[f"one{number}"] for number in ("", "#2", "#3")] == [b"0", b"1", b"2"]
    assert [read[f"two{number}"] for number in ("", "#2", "#3")] == [NOISE] * 3
    assert len(read) == source.count() == 6
    check_source(source)
    assert not caplog.records


def test_what_lies_around_a_zip_archive_is_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = small_zip(tmp_path / "a", one=b"1")
    (tmp_path / "a").write_bytes(b"before" + content + b"behind")
    assert outcomes(ZipSource(f"zip://{tmp_path}/a", SURFACE)) == {"one": b"1"}
    said = [record.getMessage().removeprefix(f"{tmp_path}/a: ") for record in caplog.records]
    assert said == [
        "what follows its end is no zip archive, and not read",
        "what is before it is no zip archive, and not read",
    ]


def test_a_folder_with_a_content_is_a_file(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as archive:
        archive.writestr("folder/", b"")
        archive.writestr("a.jpg/", b"picture")
    source = ZipSource(f"zip://{tmp_path}/a", SURFACE)
    assert outcomes(source) == {"a.jpg/": b"picture"}
    assert source.passed_over == {"folders": 1}


def small_zip(place: Path, **files: bytes) -> bytearray:
    with zipfile.ZipFile(place, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
    return bytearray(place.read_bytes())


def test_members_that_share_their_content_are_refused(tmp_path: Path) -> None:
    content = small_zip(tmp_path / "a", one=NOISE, two=NOISE, six=b"6")
    entry = content.rfind(b"PK\1\2", 0, content.rfind(b"PK\1\2"))
    content[entry + 42 : entry + 46] = struct.pack("<L", 0)  # two lies where one lies
    (tmp_path / "a").write_bytes(content)
    read = outcomes(ZipSource(f"zip://{tmp_path}/a", SURFACE))
    assert sorted(map(str, read.values())) == sorted([str(NOISE), str(b"6"), "refused"])


def test_a_member_that_says_it_is_smaller_than_it_is(tmp_path: Path) -> None:
    content = small_zip(tmp_path / "a", bomb=bytes(10**7))
    entry = content.rfind(b"PK\1\2")
    content[entry + 24 : entry + 28] = struct.pack("<L", 100)
    (tmp_path / "a").write_bytes(content)
    assert outcomes(ZipSource(f"zip://{tmp_path}/a", SURFACE)) == {"bomb": "failed"}


def test_a_member_that_is_too_large_damaged_or_encrypted(tmp_path: Path) -> None:
    content = small_zip(tmp_path / "a", large=NOISE, wrong=NOISE, crypt=NOISE)
    entries = [at for at in range(len(content)) if content[at : at + 4] == b"PK\1\2"]
    content[entries[0] + 24 : entries[0] + 28] = struct.pack("<L", MAX_BYTES + 1)
    content[entries[1] - 2 * len(NOISE) + 4000] ^= 0xFF
    content[entries[2] + 8] |= 1
    (tmp_path / "a").write_bytes(content)
    read = outcomes(ZipSource(f"zip://{tmp_path}/a", SURFACE))
    assert (read["large"], read["crypt"]) == ("refused", "unsupported")


def test_a_directory_without_end_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_zip(tmp_path / "a", **{f"{number:04}": b"" for number in range(200)})
    monkeypatch.setattr(zip_archive, "LARGEST_DIRECTORY", 9_000)
    with pytest.raises(hm.SourceError, match="its directory has 10,000 bytes, the limit is 9,000"):
        ZipSource(f"zip://{tmp_path}/a", SURFACE)


def test_damage_anywhere_is_one_of_the_known_errors(tmp_path: Path) -> None:
    chance = random.Random(11)
    tar(tmp_path / "t")
    tar(tmp_path / "g", "w:gz")
    small_zip(tmp_path / "z", **{f"{n}": NOISE[: 100 * n] for n in range(20)})
    for name, kind in (("t", TarSource), ("g", TarSource), ("z", ZipSource)):
        whole = (tmp_path / name).read_bytes()
        for _ in range(150):
            content = bytearray(whole)
            for _ in range(chance.choice((1, 1, 5, 50))):
                content[chance.randrange(len(content))] = chance.randrange(256)
            (tmp_path / "damaged").write_bytes(content[: chance.choice((None, len(content) // 2))])
            try:
                outcomes(kind(f"x://{tmp_path}/damaged", SURFACE))
            except hm.SourceError:
                continue
