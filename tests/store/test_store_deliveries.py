"""What deliveries of real formats do to a list: nothing is lost, and everything is told."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

import hashmatch as hm
from hashmatch.store.encryption import ListKey
from hashmatch.store.importer import Effects
from hashmatch.testing import random_hashes
from list_stores import KEY, MD5, NOW, PDQ, held, ids, lower_sharing, make, open_store, page, rows

if TYPE_CHECKING:
    from pathlib import Path

ANY = hm.Change(accept=["size-change"], signer=KEY)
TEXTS = random_hashes(PDQ, 10, seed=3).to_hex()
DIGESTS = random_hashes(MD5, 10, seed=3).to_hex()


class Deliveries:
    """A store, and files that are delivered to it; the clock stands still unless it is moved."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.now = NOW

    @property
    def store(self) -> hm.ListStore:
        return open_store(self.folder / "store", trust=hm.Trust(), now=self.now)

    def file(self, name: str, text: str) -> str:
        path = self.folder / name
        path.write_text(text)
        return str(path)

    def imported(self, name: str, text: str, **format: Any) -> hm.Changed:
        change = hm.Change(accept=["size-change"], format=hm.ListFormat(**format))
        return self.store.import_files([self.file(name, text)], change)

    def updated(self, name: str, text: str, **format: Any) -> hm.Changed:
        change = hm.Change(accept=["size-change"], format=hm.ListFormat(**format))
        return self.store.update_files([self.file(name, text)], change)

    def __call__(self) -> list[tuple[str | None, str]]:
        return sorted((name, text) for name, _, text, _ in held(self.store))


@pytest.fixture(params=[False, True], ids=["rewritten", "appended"])
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: Any) -> Deliveries:
    if request.param:
        lower_sharing(monkeypatch, 1)
    return Deliveries(tmp_path)


@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_every_hash_of_a_name_that_comes_again_stays(
    given: Deliveries, form: str, dated: bool
) -> None:
    def text(first: int, last: int) -> str:
        numbers = range(first, last)
        if form == "csv":
            times = [f",2025-01-0{n + 1}" if dated else "," for n in numbers]
            lines = [f"{TEXTS[n]},IMG_1.JPG{time}" for n, time in zip(numbers, times, strict=True)]
            return "\n".join(["pdq,id,updated", *lines])
        times = [f', "updated": "2025-01-0{n + 1}"' if dated else "" for n in numbers]
        return "\n".join(
            f'{{"hash": "{TEXTS[n]}", "id": "IMG_1.JPG"{time}}}'
            for n, time in zip(numbers, times, strict=True)
        )

    given.imported(f"all.{form}", text(0, 9))
    assert given() == sorted(("IMG_1.JPG", value) for value in TEXTS[:9])
    given.imported(f"first.{form}", text(0, 4))
    made = given.updated(f"then.{form}", text(4, 9))
    assert given() == sorted(("IMG_1.JPG", value) for value in TEXTS[:9])
    assert made.effects == Effects(added=5)
    made = given.updated(f"then.{form}", text(4, 9))
    assert made.effects == Effects(0, without_effect=("IMG_1.JPG",) * 5)
    made = given.updated(f"all.{form}", text(0, 9), unique_ids=True)
    counts = made.manifest.counts["rows"]
    if dated:
        assert given() == [("IMG_1.JPG", TEXTS[8])]
        assert (made.effects.superseded, counts["superseded"]) == (8, 8)
    else:  # of those said at once none is later
        assert len(given()) == 9


def test_hashes_of_one_kind_leave_those_of_another(given: Deliveries) -> None:
    lines = [f'{{"hash": "{text}", "algorithm": "md5", "id": "{n}"}}' for n, text in
             enumerate(DIGESTS)]  # fmt: skip
    given.imported("md5.jsonl", "\n".join(lines), unique_ids=True)
    more = [f'{{"hash": "{text}", "algorithm": "pdq", "id": "{n}"}}' for n, text in
            enumerate(TEXTS)]  # fmt: skip
    assert given.updated("pdq.jsonl", "\n".join(more), unique_ids=True).effects.added == 10
    assert len(given()) == 20
    flipped = TEXTS[3].translate(str.maketrans("0123456789abcdef", "fedcba9876543210"))
    changed = f'{{"hash": "{flipped}", "algorithm": "pdq", "id": "3"}}'
    made = given.updated("one.jsonl", changed, unique_ids=True)
    assert made.effects == Effects(added=1, superseded=1)
    assert len(given()) == 20
    made = given.updated("gone.jsonl", '{"id": "3", "status": "expired"}', unique_ids=True)
    assert made.effects == Effects(0, withdrawn=2)  # of any kind


def ncmec(images: str = "", videos: str = "") -> str:
    return (
        '<queryResult xmlns="https://hashsharing.ncmec.org/hashsharing/v2">'
        f"<images>{images}</images><videos>{videos}</videos></queryResult>"
    )


def entry(kind: str, value: str, day: int) -> str:
    return (
        f'<{kind}><member id="42">M</member><timestamp>2025-01-0{day}T00:00:00Z</timestamp>'
        f"<id>7</id><fingerprints><pdq>{value}</pdq></fingerprints></{kind}>"
    )


def deletion(kind: str, day: int) -> str:
    return (
        f'<{kind}><member id="42"/><timestamp>2025-01-0{day}T00:00:00Z</timestamp><id>7</id>'
        f"</{kind}>"
    )


def test_images_and_videos_of_one_number(given: Deliveries) -> None:
    both = ncmec(entry("image", TEXTS[0], 1), entry("video", TEXTS[1], 1))
    given.imported("both.xml", both)
    assert given() == sorted([("42-7", TEXTS[0]), ("42-7", TEXTS[1])])
    made = given.updated("gone.xml", ncmec(videos=deletion("deletedVideo", 2)))
    assert made.effects == Effects(0, withdrawn=1)
    assert given() == [("42-7", TEXTS[0])]
    made = given.updated("more.xml", ncmec(videos=entry("video", TEXTS[2], 3)))
    assert given() == sorted([("42-7", TEXTS[0]), ("42-7", TEXTS[2])])
    made = given.updated("late.xml", ncmec(videos=entry("video", TEXTS[1], 1)))
    assert (made.effects.older, len(given())) == (("42-7",), 2)
    made = given.updated("gone.xml", ncmec(deletion("deletedImage", 2)))
    assert given() == [("42-7", TEXTS[2])]


def test_a_weekly_list_of_files_of_cameras(given: Deliveries) -> None:
    given.imported("one.txt", f"{TEXTS[0]},IMG_1.JPG\n{TEXTS[1]},IMG_2.JPG\n")
    made = given.updated("two.txt", f"{TEXTS[2]},IMG_1.JPG\n{TEXTS[3]},IMG_2.JPG\n")
    assert (made.effects, len(given())) == (Effects(added=2), 4)


@pytest.mark.parametrize("clock", [0, -3600, 3600])
@pytest.mark.parametrize("unique", [True, False])
def test_a_later_delivery_wins_whatever_the_clock_says(
    given: Deliveries, clock: int, unique: bool
) -> None:
    def text(label: str, status: str = "", said: str = "") -> str:
        return f"pdq,id,label,status,updated\n{TEXTS[0]},a,{label},{status},{said}\n"

    ahead = "2028-01-01T00:00:00Z"  # a slip of two years
    made = given.imported("a.csv", text("old", said=ahead), unique_ids=unique)
    assert made.problems == ["1 row is dated in the future, and taken as said now"]
    given.now += timedelta(seconds=clock)
    made = given.updated("b.csv", text("new"), unique_ids=unique)
    assert made.effects == Effects(0, changed=1)
    assert [labels for *_, labels in held(given.store)] == [("new",)]
    made = given.updated("c.csv", text("new", "withdrawn"), unique_ids=unique)
    assert made.effects == Effects(0, withdrawn=1)
    assert given() == []
    made = given.updated("d.csv", text("new"), unique_ids=unique)
    assert (made.effects, len(given())) == (Effects(added=1), 1)


@pytest.mark.parametrize(
    ("listed", "withdrawn"),
    [
        ("2025-06-01T15:04:05Z", "2025-06-01"),
        ("2025-06-01T15:04:05.25Z", "2025-06-01T15:04Z"),
        ("2025-06-01T15:04:05.9Z", "2025-06-01T15:04:05Z"),
    ],
)
def test_a_coarser_time_is_not_older(given: Deliveries, listed: str, withdrawn: str) -> None:
    def text(said: str, status: str) -> str:
        return f'{{"hash": "{TEXTS[0]}", "id": "a", "updated": "{said}", "status": "{status}"}}\n'

    given.imported("a.jsonl", text(listed, "active"))
    made = given.updated("b.jsonl", text(withdrawn, "suspicious"))
    assert made.effects == Effects(0, changed=1)
    made = given.updated("b.jsonl", text(withdrawn, "revoked"))
    assert (made.effects, given()) == (Effects(0, withdrawn=1), [])
    made = given.updated("a.jsonl", text(listed, "active"))  # the page comes again
    assert (made.effects, given()) == (Effects(0, older=("a",)), [])
    made = given.updated("c.jsonl", text("2025-06-02", "active"))
    assert made.effects == Effects(added=1)


def test_what_had_no_effect_is_named(given: Deliveries) -> None:
    given.imported("a.jsonl", "\n".join(f'{{"hash": "{t}", "id": "{t[:4]}"}}' for t in TEXTS))
    made = given.updated("b.jsonl", '{"id": "unknown", "status": "deleted"}\n')
    assert made.effects == Effects(0, without_effect=("unknown",))
    assert made.manifest.counts["rows"] == {"rejected": 0, "withdrawal": 1}
    assert made.manifest.counts["effects"]["without effect"] == 1
    secret = f'{{"id": "{"ab" * 32}", "status": "deleted"}}\n'  # may be a hash: not named
    assert given.updated("c.jsonl", secret).effects.without_effect == (None,)


def test_withdrawals_that_say_neither_an_id_nor_a_hash_are_counted(given: Deliveries) -> None:
    given.imported("a.jsonl", "\n".join(f'{{"hash": "{t}", "id": "{t[:4]}"}}' for t in TEXTS))
    made = given.updated("b.jsonl", '{"hash": "", "status": "withdrawn"}\n' * 3)
    assert made.effects == Effects(0, without_effect=(None,) * 3)
    assert made.manifest.counts["rows"] == {"rejected": 0, "withdrawal": 3}


@pytest.mark.parametrize("value", [TEXTS[0], DIGESTS[0]])
def test_what_is_named_after_its_hash_is_withdrawn_by_that_name(
    given: Deliveries, value: str
) -> None:
    kind = "pdq" if len(value) == 64 else "md5"
    name = f"photos/{value.upper()}.jpg"
    rows = [{kind: value, "filename": name}, {"pdq": TEXTS[1], "filename": "b.jpg"}]
    given.imported("a.jsonl", "\n".join(map(json.dumps, rows)))
    made = given.updated("b.jsonl", json.dumps({"filename": name, "status": "withdrawn"}))
    assert made.effects == Effects(0, withdrawn=1)
    assert given() == [("b.jpg", TEXTS[1])]


def test_a_withdrawn_id_is_out_though_its_hash_is_now_said_to_be_of_a_video(
    given: Deliveries,
) -> None:
    def text(*lines: tuple[str, str, str, bool, str]) -> str:
        records = [
            {
                "id": name,
                "indicator": value,
                "type": kind,
                "last_updated": 1735689600 + is_out,
                "should_delete": is_out,
                "descriptors": {"data": [{"status": "MALICIOUS", "tags": [tag]}]},
            }
            for name, value, kind, is_out, tag in lines
        ]
        return json.dumps({"data": records})

    first, second = DIGESTS[:2]
    given.imported(
        "a.json",
        text(("1", first, "HASH_MD5", False, "x"), ("2", second, "HASH_MD5", False, "x")),
    )
    made = given.updated(
        "b.json",
        text(
            ("1", first, "HASH_MD5", True, "media_type_video"),
            ("9", "http://x", "URI", True, "x"),
        ),
    )
    assert made.effects == Effects(0, withdrawn=1)  # most of other kinds was never listed
    assert given() == [("2", second)]


def test_a_whole_list_over_an_earlier_one(given: Deliveries) -> None:
    lines: list[dict[str, Any]] = rows(10)
    store = make(given.folder, lines)
    lines[1]["labels"] = ["A1"]
    lines[2]["status"] = "inactive"
    given_rows = [*lines[1:8], *rows(2, seed=5, name="new")]
    made = store.import_files([page(given.folder, given_rows)], ANY)
    assert made.effects == Effects(added=2, changed=1, withdrawn=1, dropped=3)
    assert ids(store) == {"n1", *(f"n{n}" for n in range(3, 8)), "new0", "new1"}


def test_a_page_that_is_none_is_refused_whatever_is_accepted(given: Deliveries) -> None:
    good = given.file("good.txt", "\n".join(TEXTS))
    accept = hm.Change(accept=["bad-rows", "size-change"])
    for name, text in {
        "error.json": '{"error": {"message": "token expired"}}\n',
        "pretty.json": '{\n "message": "rate limited"\n}\n',
        "gateway.html": "<!DOCTYPE html><html><body>502</body></html>\n",
        "error.xml": '<?xml version="1.0"?><error>denied</error>',
        "bad.csv": "pdq,id\nxyz,1\n",
    }.items():
        bad = given.file(name, text)
        with pytest.raises(hm.ListError, match=name):
            given.store.import_files([good, bad], accept)
    told = hm.Change(accept=["bad-rows"], format=hm.ListFormat(reader="tat-json"))
    for text in ('{"detail": "no"}', '{"error": "x", "results": []}', "{}"):
        with pytest.raises(hm.ListError, match=r"page.json.*cannot be a page of the list"):
            given.store.import_files([given.file("page.json", text)], told)
    assert not given.store.folder.versions()


def test_the_number_of_bad_rows_is_the_true_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hashmatch.lists.ingest.MOST_NAMED", 1000)
    given = Deliveries(tmp_path)
    bad = given.file("l.txt", "\n".join(TEXTS) + "\nx" * 1007)
    with pytest.raises(hm.StoreError, match="1,007 of 1,017 rows cannot be used"):
        given.store.import_files([bad])
    made = given.store.import_files([bad], hm.Change(accept=["bad-rows"]))
    assert made.manifest.counts["rows"]["rejected"] == 1007
    assert made.manifest.sources[0].rejected == 1007


@pytest.mark.parametrize("by", ["a,withdrawn,2020-01-05T08:00:00,", "a,revoked,2020-01-05,{}"])
def test_a_withdrawal_of_any_date_takes_out_what_has_no_time(given: Deliveries, by: str) -> None:
    """Nobody knows which of them is older; what is listed again after it is."""
    listed = f"id,status,updated,pdq\na,active,,{TEXTS[0]}\nb,active,,{TEXTS[1]}\n"
    withdrawn = f"id,status,updated,pdq\n{by.format(TEXTS[0])}\n"
    given.imported("first.csv", listed)
    given.now += timedelta(days=1)
    changed = given.updated("withdrawn.csv", withdrawn)
    assert (changed.effects.counts["withdrawn"], given()) == (1, [("b", TEXTS[1])])
    given.now += timedelta(days=1)
    assert given.updated("again.csv", listed).effects.counts["added"] == 1
    assert given() == [("a", TEXTS[0]), ("b", TEXTS[1])]
    given.imported("both.csv", listed + withdrawn.partition("\n")[2])
    assert given() == [("b", TEXTS[1])]


@pytest.mark.parametrize("key", [None, ListKey.generate()], ids=["plain", "encrypted"])
def test_a_version_keeps_the_ids_of_what_was_in_vain(tmp_path: Path, key: Any) -> None:
    store = open_store(tmp_path / "store", trust=hm.Trust(), now=NOW, key=key)
    change = hm.Change(accept=["size-change"])
    rows = {
        "first": f"a,,2020-01-02,{TEXTS[0]}\nb,,2020-01-02,{TEXTS[1]}\n",
        "second": f"a,,2020-01-01,{TEXTS[0]}\nno,deleted,,\nb,,2020-01-02,{TEXTS[1]}\n",
        "third": f"c,,2020-01-02,{TEXTS[2]}\n",
    }
    for name, text in rows.items():
        (tmp_path / name).write_text("id,status,updated,pdq\n" + text)
    store.import_files([str(tmp_path / "first")], change)
    assert store.latest()[0].ids.older == ()
    done = store.update_files([str(tmp_path / "second")], change).effects
    ids = store.latest()[0].ids
    assert (ids.older, ids.without_effect) == (done.older, done.without_effect)
    assert (ids.older, sorted(map(str, ids.without_effect))) == (("a",), ["b", "no"])
    assert [problems for _, problems in store.verify()] == [[], []]
    store.update_files([str(tmp_path / "third")], change)
    assert store.latest()[0].ids.without_effect == ()


def test_an_update_that_says_nothing_new_may_make_no_version(tmp_path: Path) -> None:
    """Though what it withdraws is not there: that is kept, for what comes late."""
    dated = [{**row, "updated": "2025-01-01T00:00:00Z"} for row in rows(5)]
    store = make(tmp_path, dated)
    skip = hm.Change(signer=KEY, skip_unchanged=True)
    made = store.update_files([page(tmp_path, dated)], skip)
    assert (made.manifest.version, store.latest_version()) == (1, 1)
    assert made.effects.counts["added"] == 0
    withdrawal = page(tmp_path, [{"id": "unheard", "status": "withdrawn", "updated": "2025-01-02"}])
    assert store.update_files([withdrawal], skip).manifest.version == 2
    assert store.update_files([withdrawal], skip).manifest.version == 2
    assert store.update_files([withdrawal], hm.Change(signer=KEY)).manifest.version == 3
    limited = hm.Change(signer=KEY, skip_unchanged=True, limits={"pdq": 7})
    assert store.update_files([withdrawal], limited).manifest.version == 4


def test_an_import_of_the_same_files_may_make_no_version(tmp_path: Path) -> None:
    given = page(tmp_path, rows(5))
    store = make(tmp_path, rows(5))
    skip = hm.Change(signer=KEY, skip_unchanged=True)
    assert store.import_files([given], skip).manifest.version == 1
    assert store.import_files([given], hm.Change(signer=KEY)).manifest.version == 2
    more = page(tmp_path, rows(6), "more.jsonl")
    assert store.import_files([more], skip).manifest.version == 3


def test_pages_may_be_file_objects(tmp_path: Path) -> None:
    store = make(tmp_path, rows(5))
    with open(page(tmp_path, rows(1, seed=3, name="more")), "rb") as file:
        made = store.update_files([file], hm.Change(signer=KEY))
    assert made.manifest.sources[0].name == "page.jsonl"
    assert len(ids(store)) == 6
