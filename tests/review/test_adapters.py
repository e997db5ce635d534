"""Review records in the shapes of HMA, python-threatexchange and Coop, as these document them."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

import hashmatch as hm
from hashmatch.review.adapters import FACTS, HALF, hma_content_id
from hashmatch.testing import example_record

if TYPE_CHECKING:
    from hashmatch.records.review import ReviewRecord


def record_of(*matches: tuple[str, str, str, int], suppressed: bool = False) -> ReviewRecord:
    """Return a record that matches entries of lists: list, entry, algorithm and distance."""
    record = example_record(suppressed=suppressed)
    (made,) = record.matches
    named = [
        replace(made, list=known, entry=entry, algorithm=algorithm, distance=distance)
        for known, entry, algorithm, distance in matches
    ]
    return replace(record, matches=tuple(named), match_count=len(named))


MATCHES = (
    ("hotline-a", "1001", "pdq", 4),
    ("hotline-a", "img/7", "pdq", 9),
    ("2 b", "0042", "pdq", 9),
    ("hotline-a", "1001", "md5", 0),
)


def is_lookup(answer: object) -> bool:
    """Say whether it is what HMA documents: banks by signal type, matches by bank."""
    assert isinstance(answer, dict)
    for banks in answer.values():
        for bank, matches in banks.items():
            assert re.fullmatch("[A-Z_][A-Z0-9_]*", bank)  # HMA's rule for names of banks
            assert matches
            for match in matches:
                assert set(match) == {"bank_content_id", "distance"}
                assert type(match["bank_content_id"]) is int
                assert type(match["distance"]) is str
    return True


def test_hma_is_answered_as_documented() -> None:
    answer = hm.to_hma(record_of(*MATCHES))
    assert is_lookup(answer)
    far = hma_content_id("hotline-a", "img/7")
    assert answer == {
        "pdq": {
            "HOTLINE_A": [
                {"bank_content_id": 1001, "distance": "4"},
                {"bank_content_id": far, "distance": "9"},
            ],
            "_2_B": [{"bank_content_id": hma_content_id("2 b", "0042"), "distance": "9"}],
        },
        "md5": {"HOTLINE_A": [{"bank_content_id": 1001, "distance": "0"}]},
    }


def test_an_entry_has_one_content_id_that_javascript_reads() -> None:
    assert hma_content_id("a", "0") == 0
    assert hma_content_id("a", str(HALF - 1)) == HALF - 1
    others = ["", "007", "-1", "٣", "1e3", str(HALF), "demo-7", "ref:00ff"]
    ids = [hma_content_id(known, entry) for known in ("a", "a1", "") for entry in others]
    assert all(HALF <= number < 2 * HALF for number in ids)
    assert len(set(ids)) == len(ids)
    assert hma_content_id("a", "1x") != hma_content_id("a1", "x")  # lengths keep parts apart


def test_coop_reads_its_banks_in_the_answer_of_hma() -> None:
    """Coop asks for one signal, and a bank matched that is there and not empty."""
    record = record_of(("hotline-a", "5", "pdq", 3))
    body = hm.to_hma(record, banks={"hotline-a": "COOP_ORG1_HOTLINE"})["pdq"]
    assert [bank for bank in ("COOP_ORG1_HOTLINE", "COOP_ORG1_OTHER") if body.get(bank)] == [
        "COOP_ORG1_HOTLINE"
    ]


def test_what_waits_for_nobody_matches_nothing_elsewhere() -> None:
    record = example_record(suppressed=True)
    assert hm.to_hma(record) == {"pdq": {}}
    assert hm.to_pytx(record) == []
    with pytest.raises(hm.UsageError, match="it is suppressed"):
        hm.to_coop(record, type_id="photo", url="https://media.example/1.jpg")


def check_pytx() -> None:
    found = hm.to_pytx(record_of(*MATCHES))
    assert [match.similarity_info.distance for match in found] == [4, 9, 9]
    assert [match.similarity_info.pretty_str() for match in found] == ["4", "9", "9"]
    assert [match.metadata.entry for match in found] == ["1001", "img/7", "0042"]
    near, far, also = (match.similarity_info for match in found)
    assert near < far
    assert far == also
    assert far <= also
    assert not far < near
    assert min(found, key=lambda match: match.similarity_info.distance) is found[0]
    assert found[0] == hm.to_pytx(record_of(*MATCHES))[0] != found[1]
    assert [m.metadata.distance for m in hm.to_pytx(record_of(*MATCHES), "md5")] == [0]


def test_pytx_is_answered_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "threatexchange"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "threatexchange", None)
    check_pytx()
    assert type(hm.to_pytx(example_record())[0]).__module__.startswith("hashmatch.")


@pytest.mark.peers
def test_pytx_is_answered_with_its_own_classes() -> None:
    index = pytest.importorskip("threatexchange.signal_type.index")
    check_pytx()
    (found,) = hm.to_pytx(example_record())
    assert isinstance(found, index.IndexMatchUntyped)
    assert isinstance(found.similarity_info, index.SignalSimilarityInfoWithIntDistance.__origin__)
    assert found == index.IndexMatchUntyped(
        index.SignalSimilarityInfoWithIntDistance(4), example_record().matches[0]
    )
    assert found.similarity_info < index.SignalSimilarityInfoWithIntDistance(31)


@pytest.mark.peers
def test_pytx_finds_the_same_distances() -> None:
    """An index of theirs over the demo list, asked about a picture, answers what we hand over."""
    pdq = pytest.importorskip("threatexchange.signal_type.pdq.signal").PdqSignal
    known = hm.read_list("fixtures/lists/demo-pdq.csv")
    theirs = pdq.get_index_cls().build(
        (text, known.entries[row].external_id) for row, text in enumerate(known.hashes.to_hex())
    )
    picture = "fixtures/images/plain/tiles.png"
    record = hm.Matcher(known, include_hash=True).check(picture, surface="profile_photo")
    assert isinstance(record, hm.ReviewRecord)
    answer = theirs.query(str(record.hash.value))
    ours = {(m.metadata.entry, m.similarity_info.distance) for m in hm.to_pytx(record)}
    assert ours
    assert ours == {
        (m.metadata, m.similarity_info.distance) for m in answer if m.similarity_info.distance <= 31
    }


def test_coop_is_sent_an_item_as_documented() -> None:
    url = "https://bucket.example/a.jpg?X-Signature=abc"
    body = hm.to_coop(record_of(*MATCHES), type_id="type-1", url=url)
    assert set(body) == {"items"}
    (item,) = body["items"]
    assert set(item) == {"id", "typeId", "data"}
    assert (item["id"], item["typeId"]) == ("profiles/1.jpg", "type-1")
    assert item["data"]["images"] == [url]  # an array of URLs
    assert item["data"] == {
        "images": [url],
        "record_id": "0" * 32,
        "created_at": "2026-01-01T00:00:00Z",
        "surface": "profile_photo",
        "algorithm": "pdq",
        "distance": 4,
        "max_distance": 31,
        "list": "hotline-a",
        "entry": "1001",
        "labels": ["A1"],
        "match_count": 4,
    }
    assert set(FACTS) == set(item["data"]) - {"images"}
    (named,) = hm.to_coop(
        example_record(), type_id="t", url=url, item_id="user/1", facts=["distance"]
    )["items"]
    assert named == {"id": "user/1", "typeId": "t", "data": {"images": [url], "distance": 4}}


@pytest.mark.parametrize("url", ["", "a.jpg", "file:///etc/passwd", "https://", "s3://b/a.jpg"])
def test_coop_is_sent_no_url_that_it_cannot_fetch(url: str) -> None:
    with pytest.raises(hm.UsageError, match="https://"):
        hm.to_coop(example_record(), type_id="t", url=url)


def test_there_are_no_other_facts() -> None:
    with pytest.raises(hm.UsageError, match="cannot send fact 'hash'"):
        hm.to_coop(example_record(), type_id="t", url="https://a.example/1", facts=["hash"])


def test_no_hash_is_in_any_of_them() -> None:
    record = example_record()
    value = "f8" * 32
    shown = replace(record, hash=replace(record.hash, value=value))
    said: list[object] = [hm.to_hma(shown), [match.metadata for match in hm.to_pytx(shown)]]
    said.append(hm.to_coop(shown, type_id="t", url="https://a.example/1"))
    assert value not in repr(said)
