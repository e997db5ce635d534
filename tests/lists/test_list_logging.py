"""What is logged of lists: which, how many entries, what was refused; never a hash."""

from __future__ import annotations

import logging
import re
import sys
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
import processes
from canaries import all_canaries
from canary_lists import FILES, hash_in, with_canaries
from conftest import LISTS

if TYPE_CHECKING:
    from pathlib import Path

    from hashmatch.store.importer import Changed


def said(caplog: pytest.LogCaptureFixture, name: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == name]


def silent(caplog: pytest.LogCaptureFixture) -> None:
    for record in caplog.records:
        assert not all_canaries().find(f"{record.getMessage()} {vars(record)!r}")


def test_a_list_that_is_read(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "hashmatch")
    hm.read_list(LISTS / "bad-rows.csv", skip_bad_rows=True, version="7")
    assert said(caplog, "hashmatch.lists") == [
        "list bad-rows, version 7, is loaded: 6 pdq entries; 5 rows were rejected"
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_no_hash_of_it_though_it_is_called_after_one(
    path: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "hashmatch")
    data = with_canaries(path)
    name = hash_in(data).decode()
    known = tmp_path / f"{name}.list"
    known.write_bytes(data)
    file = hm.read_list_file(known, version=name)
    loaded = [text for text in said(caplog, "hashmatch.lists") if "is loaded" in text]
    named = [text.split(",")[0] for text in loaded]
    assert len(named) == len(file.lists)
    assert all(re.fullmatch(r"list ref:[0-9a-f]{24}", text) for text in named)
    store = hm.ListStore(tmp_path / "store")

    def change() -> Changed:
        accept = ("bad-rows", "size-change", "unknown-status")
        return store.import_files([str(known)], hm.Change(name=name, accept=accept))

    if not file.lists:
        with pytest.raises(hm.StoreError):
            change()
        return
    change()
    change()
    store.open()
    (damaged,) = (tmp_path / "store/versions").glob("00000002.json")
    damaged.write_bytes(data)
    store.open()
    text = said(caplog, "hashmatch.store")
    published = [line for line in text if line.endswith("is published")]
    assert published == ["version 1 is published", "version 2 is published"]
    assert any(re.search(r"list ref:[0-9a-f]{24}, version 2, is loaded", line) for line in text)
    assert any("version 2 is not used" in line for line in text)
    silent(caplog)


def test_nobody_who_does_not_listen_hears_of_it(tmp_path: Path) -> None:
    code = (
        "import sys, hashmatch as hm\n"
        "store = hm.ListStore(sys.argv[1])\n"
        "store.import_files(['fixtures/lists/demo-pdq.csv'])\n"
        "store.import_files(['fixtures/lists/demo-pdq.csv'])\n"
        "store.folder.sign(2, [])\n"
        "open(store.folder.inside('versions', '00000002.json'), 'w').close()\n"
        "assert store.open()[0].problems\n"
    )
    run = processes.run([sys.executable, "-c", code, tmp_path / "store"], text=True)
    assert run.stdout + run.stderr == ""
