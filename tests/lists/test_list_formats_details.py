"""What exchanges do that is easily missed: times, votes, counts, wobbling types, several pages."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

import hashmatch as hm
from hashmatch import registry
from hashmatch.interfaces import ListOptions, ListRow, Span
from hashmatch.lists.readers._fields import seconds
from hashmatch.lists.readers._json_stream import MAX_RECORD
from hashmatch.testing import random_hashes

H = random_hashes(hm.HashSpec("pdq", 256), 8, seed=7).to_hex()
NCMEC = '<queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2">'


def rows(format: str, data: str | bytes) -> list[Any]:
    stream = io.BytesIO(data.encode() if isinstance(data, str) else data)
    return list(registry.list_reader(format).rows(stream, ListOptions()))


@pytest.mark.parametrize(
    ("text", "time", "length"),
    [
        ("2024-01-01T00:00:00Z", 1704067200.0, 1),
        ("2024-01-01T00:00:00+0000", 1704067200.0, 1),
        ("2024-01-01T00:00:00", 1704067200.0, 1),  # no zone is UTC, not where we are
        ("2024-01-01T01:00:00+01:00", 1704067200.0, 1),
        ("2024-01-01 00:00:00.500000000Z", 1704067200.5, 0),
        ("2024-01-01T00:00", 1704067200.0, 60),
        ("2024-01-01", 1704067200.0, 86400),
        (1704067200, 1704067200.0, 1),
        (1704067200.5, 1704067200.5, 0),
        ("1704067200", 1704067200.0, 1),
        (1704067200000, 1704067200.0, 0),  # milliseconds
        (0, 0.0, 1),
    ],
)
def test_times(text: Any, time: float, length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/Los_Angeles")
    said = seconds(text)
    assert said is not None
    assert said.begin == time
    assert said.end - said.begin == pytest.approx(length, abs=1e-6)


@pytest.mark.parametrize(
    "text",
    [
        "", "soon", "2024-13-01", "2024-01-01T25:00:00Z", "01/02/2024", -1, True, None, [], 1e300,
        float("nan"), float("inf"), "9" * 40, "\u0662024-01-01", "2024-01-01T00:00:00+99:99",
        "1969-12-31T23:59:59Z", "0001-01-01",
    ],
)  # fmt: skip
def test_what_is_no_time(text: Any) -> None:
    assert seconds(text) is None


def te(**more: Any) -> str:
    return json.dumps({"data": [{"id": "1", "indicator": H[0], "type": "HASH_PDQ", **more}]})


def test_threatexchange_deletions() -> None:
    assert [row.status for row in rows("threatexchange-json", te())] == ["deleted"]
    empty = te(descriptors={"data": []})
    assert [row.status for row in rows("threatexchange-json", empty)] == ["deleted"]
    kept = te(descriptors={"data": [{"status": "MALICIOUS"}]}, should_delete="True")
    assert [row.status for row in rows("threatexchange-json", kept)] == ["deleted"]
    (odd,) = rows("threatexchange-json", te(should_delete="perhaps"))
    assert odd == hm.RejectedRow(1, "should_delete is neither true nor false")


def votes(*descriptors: dict[str, Any]) -> tuple[str, int, int]:
    (row,) = rows("threatexchange-json", te(descriptors={"data": list(descriptors)}))
    return row.status, row.upvotes, row.downvotes


def test_threatexchange_votes() -> None:
    def said(owner: str, status: str, *reactions: tuple[str, str]) -> dict[str, Any]:
        told = [{"key": key, "value": value} for key, value in reactions]
        return {"owner": {"id": owner}, "status": status, "reactions": told}

    assert votes(said("1", "MALICIOUS")) == ("malicious", 0, 0)
    assert votes(said("1", "MALICIOUS"), said("2", "MALICIOUS")) == ("malicious", 1, 0)
    assert votes(said("1", "MALICIOUS"), said("2", "NON_MALICIOUS")) == ("malicious", 0, 1)
    both = said("1", "MALICIOUS", ("HELPFUL", "2, 3"), ("DISAGREE_WITH_TAGS", "3,4"))
    assert votes(both) == ("malicious", 2, 1)
    own = said("1", "MALICIOUS", ("DISAGREE_WITH_TAGS", "1"))
    assert votes(own) == ("malicious", 0, 0)
    mine = {**said("1", "UNKNOWN"), "my_reactions": ["DISAGREE_WITH_TAGS"]}
    assert votes(mine) == ("unknown", 0, 1)


def test_the_records_are_found_wherever_they_stand() -> None:
    record = '{"hashValue": "%s", "signalType": "ImagePDQ", "hashStatus": "Active"}'
    page = '{"a": {"hashRecords": 5, "b": [{}]}, "hashRecords": [%s], "count": 1}'
    two = page % (record % H[0]) + "\n" + page % (record % H[1])
    assert [(row.line, row.hash) for row in rows("stopncii-json", two)] == [(1, H[0]), (2, H[1])]
    assert [row.hash for row in rows("stopncii-json", "\ufeff \n" + page % (record % H[2]))] == [
        H[2]
    ]


def test_a_count_is_held_against_the_records_of_its_page() -> None:
    record = f'{{"hash_digest": "{H[0]}", "algorithm": "PDQ"}}'
    page = '{"count": %d, "results": [%s], "next": %s}'
    assert rows("tat-json", page % (5, record, "null"))[1:] == [
        hm.RejectedRow(1, "the page says 5 records and has 1")
    ]
    assert len(rows("tat-json", page % (5, record, '"?page=2"'))) == 1  # of all pages
    assert len(rows("tat-json", page % (0, record, '"?page=2"'))) == 2
    ncmec = f'{NCMEC}<images count="%d"><deletedImage><member id="1"/><id>2</id></deletedImage>'
    ncmec += "</images></queryResult>"
    assert [len(rows("ncmec-xml", ncmec % count)) for count in (0, 1, 2)] == [1, 1, 2]


def test_a_record_of_the_largest_size_and_one_beyond(tmp_path: Any) -> None:
    def record(hash: str, size: int) -> str:
        text = f'{{"hash_digest": "{hash}", "algorithm": "PDQ", "more": "%s"}}'
        return text % ("x" * (size - len(text) + 2))

    page = '{"results": [%s,\n%s,\n%s]}'
    text = page % (record(H[0], MAX_RECORD), record(H[1], MAX_RECORD + 1), record(H[2], 200))
    first, second, third = rows("tat-json", text)
    assert (first.hash, third.hash) == (H[0], H[2])
    assert isinstance(second, hm.RejectedRow)
    assert (second.line, third.line) == (2, 3)


def test_an_object_within_a_bad_record_is_no_record() -> None:
    bad = f'{{"MediaID": 1, "MD5": "{H[0][:32]}", "x": nope, "MediaFiles": [{{"MD5": "{H[1]}"}}]}}'
    good = f'{{"MediaID": 2, "MD5": "{H[2][:32]}"}}'
    found = rows("vics-json", f'{{"@odata.context": "x", "value": [{bad}, {good}]}}')
    assert [type(row).__name__ for row in found] == ["RejectedRow", "ListRow"]
    assert found[1].hash == H[2][:32]


@pytest.mark.parametrize(
    ("more", "kinds", "labels", "status"),
    [
        ({"Category": "1"}, ["md5"], ("category 1",), "active"),
        ({"Category": 0.0}, ["md5"], ("category 0",), "not_pertinent"),
        ({"Category": None, "Tags": "a; b,"}, ["md5"], ("a", "b"), "active"),
        ({"MimeType": "Video/MP4", "SHA1": "x"}, ["video_md5", "video_sha1"], (), "active"),
        ({"MediaID": "abc", "PhotoDNA": "AAAA"}, ["md5", "photodna"], (), "active"),
        ({"AlternativeHashes": [{"HashName": "SHA-256", "HashValue": "aa"}]}, ["md5", "sha256"], (),
         "active"),
        ({"AlternativeHashes": [{"HashName": "F1 Fuzzy", "HashValue": "aa"}]}, ["md5", "f1fuzzy"],
         (), "active"),
    ],
)  # fmt: skip
def test_vics_types_wobble(more: Any, kinds: list[str], labels: Any, status: str) -> None:
    page = json.dumps({"value": [{"MediaID": 1, "MD5": "aa", **more}]})
    found = rows("vics-json", page)
    assert [(row.algorithm, row.labels, row.status) for row in found] == [
        (kind, labels, status) for kind in kinds
    ]
    assert all(row.hash == "" for row in found if row.algorithm == "photodna")


def test_pdq_is_of_a_picture_even_where_the_rest_is_of_a_video() -> None:
    tags = ["media_type_video"]
    page = te(descriptors={"data": [{"status": "MALICIOUS", "tags": tags}]})
    assert [(row.algorithm, row.hash) for row in rows("threatexchange-json", page)] == [
        ("pdq", H[0])
    ]


@pytest.mark.parametrize(
    ("format", "page"),
    [
        ("threatexchange-json", '{"data": [], "paging": {}}'),
        ("stopncii-json", '{"count":0,"nextSetTimestamp":1,"hashRecords":[]}'),
        ("tat-json", '{"count":0,"next":null,"checkpoint":"1,2","results":[]}'),
        ("vics-json", '{"odata.metadata":"x#Cases","value":[]}'),
        ("ncmec-xml", f'{NCMEC}<images count="0"/><videos count="0"/></queryResult>'),
    ],
)
def test_pages_without_records(format: str, page: str, tmp_path: Any) -> None:
    (tmp_path / "page").write_text(page)
    file = hm.read_list_file(tmp_path / "page")
    assert (file.format, file.types, file.rejected) == (format, {}, ())


def test_ncmec_pages_without_pictures_are_errors() -> None:
    with pytest.raises(hm.ListError, match="line 1: cannot be a page of the list"):
        rows("ncmec-xml", f"{NCMEC}<error>denied</error></queryResult>")
    for page in ("", "<paging/>", '<notice>x</notice><images count="0"/>'):
        assert rows("ncmec-xml", f"{NCMEC}{page}</queryResult>") == []


def test_ncmec_refuses_what_may_hide_entities() -> None:
    for kind in ("<!DOCTYPE x>", '<!DOCTYPE x [<!ENTITY a "b">]>'):
        with pytest.raises(hm.ListError, match="document type"):
            rows("ncmec-xml", f"{kind}{NCMEC}</queryResult>")
    with pytest.raises(hm.ListError, match="is not a queryResult"):
        rows("ncmec-xml", "<queryResult/>")
    (row,) = rows("ncmec-xml", f"{NCMEC}<images>&a;</images></queryResult>")
    assert "undefined entity; nothing after it was read" in row.reason


@pytest.mark.parametrize("encoding", ["UTF-16", "cp037", "shift_jis", "nope-8", "idna"])
def test_ncmec_is_utf8_whatever_it_says(encoding: str) -> None:
    text = f"<?xml version='1.0' encoding='{encoding}'?>{NCMEC}</queryResult>"
    assert rows("ncmec-xml", text) == []


def test_ncmec_prefixes_and_comments_change_nothing() -> None:
    entry = (
        "<x:image><x:id>i</x:id><!-- a --><x:member id='4'/><x:fingerprints><x:pdq>"
        f"{H[0][:9]}<!-- b --><![CDATA[{H[0][9:]}]]></x:pdq></x:fingerprints></x:image>"
    )
    head = NCMEC.replace("queryResult", "x:queryResult").replace("xmlns", "xmlns:x")
    (row,) = rows("ncmec-xml", f"{head}<x:images>{entry}</x:images></x:queryResult>")
    assert (row.hash, row.external_id, row.sources) == (H[0], "4-i", ("4",))


def test_stopncii_says_what_platforms_say() -> None:
    feedback = [
        {"source": "a", "feedbackValue": "Blocked", "tags": ["x"]},
        {"source": "a", "feedbackValue": "Blocked"},
        {"source": "b", "feedbackValue": "NotBlocked", "tags": ["y"]},
        {"source": "c", "feedbackValue": "PendingReview"},
        {"source": "d", "feedbackValue": None},
    ]
    record = {"signalType": "ImagePDQ", "hashValue": H[0], "CSPFeedbacks": feedback}
    (row,) = rows("stopncii-json", json.dumps({"hashRecords": [record]}))
    assert (row.upvotes, row.downvotes, row.labels, row.status) == (1, 1, ("x",), "unknown")


def test_categories_of_the_threatexchange_dataset_are_statuses() -> None:
    head = "signal_type,signal_str,collab,category,tags\n"
    text = head + f"pdq,{H[0]},c,NEGATIVE_CLASS,a\npdq,{H[1]},c,INVESTIGATION_SEED,\n"
    first, second = rows("csv", text)
    assert (first.status, first.labels) == ("NEGATIVE_CLASS", ("NEGATIVE_CLASS", "a"))
    assert second.status == "INVESTIGATION_SEED"
    (told,) = rows("csv", f"pdq,category,status\n{H[0]},DISPUTED,Active\n")
    assert told.status == "Active"


def test_icse_export() -> None:
    head = (
        "MD5;SHA1;PhotoDNA;Image ID;Is distributed;Victim identified;Offender identified;"
        "Series name;Number of submissions;File Available;Media Type;Baseline\n"
    )
    text = head + f"{H[0][:32]};{H[0][:40]};AAAA;42;Y;N;N;;1;Y;Image;Y\n"
    assert rows("csv", text) == [
        ListRow(2, H[0][:32], "md5", "42"),
        ListRow(2, H[0][:40], "sha1", "42"),
        ListRow(2, "", "photodna", "42"),
    ]


def test_updated_in_csv_and_json_lines() -> None:
    good, bad = rows("csv", f"pdq,last_updated\n{H[0]},2024-01-01T00:00:00Z\n{H[1]},soon\n")
    assert good.updated == Span.lasting(1704067200.0, 1)
    assert bad == hm.RejectedRow(3, "updated is not a time")
    good, bad = rows("jsonl", f'{{"hash":"{H[0]}","updated":1}}\n{{"hash":"","updated":"soon"}}')
    assert good.updated == Span.lasting(1.0, 1)
    assert bad == hm.RejectedRow(2, "updated is not a time")
    told = ListOptions({"pdq": "a", "updated": "b"})
    data = io.BytesIO(f"a,b\n{H[0]},1\n".encode())
    (row,) = registry.list_reader("csv").rows(data, told)
    assert isinstance(row, ListRow)
    assert row.updated == Span.lasting(1.0, 1)


def test_photodna_is_counted_and_not_kept() -> None:
    assert rows("csv", "hash,algorithm\nAAAA,PhotoDNA\n") == [ListRow(2, "", "photodna")]
    assert rows("jsonl", '{"hash":"AAAA","algorithm":"PDNA"}') == [ListRow(1, "", "photodna")]
    assert rows("pdq-text", "photodna AAAA") == [ListRow(1, "", "photodna")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (f"0,100,{H[0]}", "3 fields, a frame has 4"),
        (f"x,100,{H[0]},0.0", "frame is not a number"),
        (f"0,x,{H[0]},0.0", "quality is not a number"),
        (f"0,1,{H[0]},soon", "timestamp is not a number of seconds"),
        (f"0,1,{H[0]},inf", "timestamp is not a number of seconds"),
    ],
)
def test_bad_vpdq_frames(line: str, reason: str) -> None:
    text = f"{line}\n1,9,{H[1]},1.23e+03\n"
    frame = {"quality": 9, "hash": H[1], "timestamp": 1230.0}
    assert rows("vpdq", text) == [
        hm.RejectedRow(1, reason),
        ListRow(2, json.dumps({"1": frame}), "vpdq", encoding="hex"),
    ]
    assert rows("vpdq-frames", text) == [
        hm.RejectedRow(1, reason),
        ListRow(2, H[1], "pdq", quality=9, encoding="hex"),
    ]


def test_te_files_say_which_digests_are_of_videos() -> None:
    text = f'{H[0][:32]},7,2024-01-01T00:00:00+0000,"media_type_video"\n{H[0]},8,soon,\n{H[0]},7\n'
    video, late, short = rows("threatexchange-te", text)
    assert (video.algorithm, video.hash) == ("video_md5", H[0][:32])
    assert late == hm.RejectedRow(2, "added_on is not a time")
    assert short == hm.RejectedRow(3, "2 columns, there ought to be 4 or 5")
