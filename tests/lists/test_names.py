"""Ids and labels that are hashes of their list are taken out, and nothing else is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hashmatch as hm
from canaries import canaries

if TYPE_CHECKING:
    from pathlib import Path

PDQ, OTHER, MD5, SHA1 = (canaries(name)[8].hex() for name in ("pdq", "pdq-thumb512", "md5", "sha1"))
THIRD = canaries("pdq")[9].hex()


def entries(path: Path, text: str) -> dict[str, list[hm.Entry]]:
    path.write_text(text)
    lists = hm.read_list_file(path).lists
    return {known.spec.algorithm: list(known.entries) for known in lists}


def test_a_file_that_is_named_after_another_hash_of_its_row(tmp_path: Path) -> None:
    text = f"pdq,md5,id,labels\n{PDQ},{MD5},faces/{MD5.upper()}.jpg,A1;{PDQ}\n{THIRD},,b,A1\n"
    found = entries(tmp_path / "known.csv", text)
    assert found["pdq"] == [hm.Entry(None, ("A1",)), hm.Entry("b", ("A1",))]
    assert found["md5"] == [hm.Entry(None, ("A1",))]


def test_an_id_that_is_the_hash_of_another_row(tmp_path: Path) -> None:
    found = entries(tmp_path / "known.txt", f"{PDQ},98,a\n{OTHER},97,{PDQ}\n{THIRD},96,x{PDQ}y\n")
    assert [entry.external_id for entry in found["pdq"]] == ["a", None, None]
    assert [entry.quality for entry in found["pdq"]] == [98, 97, 96]


def test_an_id_that_only_looks_like_a_hash_is_a_reference(tmp_path: Path) -> None:
    text = f"pdq,id,labels\n{PDQ},{MD5},{SHA1}\n{THIRD},{OTHER},A1\n"
    found = entries(tmp_path / "known.csv", text)["pdq"]
    shown = [found[0].external_id, found[1].external_id, *found[0].labels]
    assert all(each is not None and each.startswith("ref:") for each in shown)
    assert len(set(shown)) == 3
    assert found[1].labels == ("A1",)
    assert entries(tmp_path / "known.csv", text)["pdq"] == found


def test_an_id_that_is_said_to_be_one_is_kept(tmp_path: Path) -> None:
    (tmp_path / "known.csv").write_text(f"pdq,id,labels\n{PDQ},{MD5},{SHA1}\n{THIRD},{PDQ},A1\n")
    known = hm.read_list(tmp_path / "known.csv", format=hm.ListFormat(keep_ids=["all"]))
    assert [entry.external_id for entry in known.entries] == [MD5, None]
    assert known.entries[0].labels == (SHA1,)


def test_entries_whose_ids_were_taken_out_stay_apart(tmp_path: Path) -> None:
    text = f"{PDQ},98,a\n{OTHER},97,{PDQ}\n{THIRD},96,{PDQ}\n"
    assert len(entries(tmp_path / "known.txt", text)["pdq"]) == 3
