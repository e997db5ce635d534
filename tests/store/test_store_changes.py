"""What a list store refuses, what it lets pass when told to, and how long it keeps what."""

from __future__ import annotations

import os
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import hashmatch as hm
from hashmatch.lists.degenerate import degenerate_pictures
from hashmatch.records.safeguards import Safeguard, allowing, collecting
from hashmatch.store import rollback
from hashmatch.store.list_store import ListStore
from hashmatch.store.signing import PrivateKey
from hashmatch.testing import flipped, random_hashes
from list_stores import (
    KEY,
    NOW,
    PDQ,
    PHASH,
    TRUST,
    answers,
    ids,
    lower_sharing,
    make,
    open_store,
    page,
    rows,
)

OTHER = PrivateKey.generate()


def update(store: hm.ListStore, folder: Path, count: int, new: str, **change: Any) -> hm.Changed:
    """Add so many rows to a list, whose ids begin with `new`."""
    given = [page(folder, rows(count, seed=sum(map(ord, new)), name=new))]
    return store.update_files(given, hm.Change(**{"signer": KEY, **change}))


def test_too_great_a_change_is_refused_unless_accepted(tmp_path: Path) -> None:
    store = make(tmp_path, rows(20))
    for lines, told in ((rows(25, name="m"), "20 to 45"), (rows(15), "20 to 15")):
        given = [page(tmp_path, lines)]
        act = store.update_files if len(lines) > 20 else store.import_files
        with pytest.raises(hm.StoreError, match=f"from {told} pdq entries.*accept size-change"):
            act(given, hm.Change(signer=KEY))
    assert len(ids(store)) == 20
    assert sorted(os.listdir(store.folder.inside("versions"))) == ["00000001.json", "00000001.sig"]
    assert len(os.listdir(store.folder.inside("files"))) == 3  # what was refused left nothing
    store.import_files([page(tmp_path, rows(24))], hm.Change(signer=KEY))  # 20 % is not more
    store.import_files([page(tmp_path, rows(3))], hm.Change(signer=KEY, accept=["size-change"]))
    assert len(ids(store)) == 3


def test_too_many_bad_rows_are_refused_unless_accepted(tmp_path: Path) -> None:
    bad = {"hash": "5ec4e7"}
    lines = [*rows(994), *[bad] * 5]
    store = open_store(tmp_path / "store")
    with pytest.raises(hm.StoreError, match=r"6 of 1,000 rows .*than 0.1%.*line 995.*bad-rows"):
        store.import_files([page(tmp_path, [*lines, {"hash": ""}])], hm.Change(signer=KEY))
    made = store.import_files([page(tmp_path, lines)], hm.Change(signer=KEY))  # five are few
    assert [row.line for _, row in made.rejected] == list(range(995, 1000))
    assert not any("5ec4e7" in row.reason for _, row in made.rejected)
    store.update_files([page(tmp_path, [*rows(1, name="m"), *[bad] * 5])], hm.Change(signer=KEY))
    given = [page(tmp_path, [*lines, *[bad] * 5])]
    store.import_files(given, hm.Change(signer=KEY, accept=["bad-rows"]))
    with pytest.raises(hm.UsageError, match="cannot accept 'everything'"):
        hm.Change(accept=["everything"])
    with pytest.raises(hm.UsageError, match=r"Give a whole number from 0 to 256"):
        hm.Change(limits={"pdq": 257})


def test_nothing_is_no_list(tmp_path: Path) -> None:
    store = open_store(tmp_path / "store")
    with pytest.raises(hm.StoreError, match="no usable hash"):
        store.import_files([page(tmp_path, [{"hash": "", "id": "a", "status": "deleted"}])])
    with pytest.raises(hm.StoreError, match="it has no version of a list"):
        store.open()
    with pytest.raises(hm.StoreError, match="it is no list store"):
        open_store(tmp_path).open()
    with pytest.raises(hm.StoreError, match="other things in it"):
        open_store(tmp_path).import_files([page(tmp_path, rows(1))])


@pytest.mark.parametrize(
    ("trust", "message"),
    [
        (hm.Trust([OTHER.public]), "none of 1 trusted keys signed it"),
        (hm.Trust([OTHER.public, KEY.public], 2), "2 signatures are needed, and 1 of 2"),
    ],
)
def test_who_has_not_signed(tmp_path: Path, trust: hm.Trust, message: str) -> None:
    make(tmp_path, rows(3))
    store = open_store(tmp_path / "store", trust=trust)
    with pytest.raises(hm.UntrustedList, match=message):
        store.open()
    assert message in next(store.verify())[1][0]
    store.sign(OTHER)
    assert store.open()[0].version == "1"
    assert make_trusting(store).version == "1"  # whose was there stays


def make_trusting(store: hm.ListStore) -> hm.HashList:
    return open_store(store.path, trust=TRUST).open()[0]


def test_more_signatures_than_keys() -> None:
    for keys, needed in ((), 2), ((KEY.public, KEY.public), 2), ((), 0):
        with pytest.raises(hm.UsageError, match="cannot ask for"):
            hm.Trust(keys, needed)


def test_a_version_that_is_not_signed_yet_waits(tmp_path: Path) -> None:
    store = make(tmp_path, rows(10))
    made = update(store, tmp_path, 1, "late", signer=None)
    assert "version 2 does not serve yet" in made.problems[0]
    (known,) = store.open()
    assert (known.version, len(known.problems)) == ("1", 1)
    store.sign(KEY)
    (known,) = store.open()
    assert (known.version, known.problems) == ("2", ())


def test_an_older_folder_put_back_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HASHMATCH_MARKS", str(tmp_path / "marks"))
    store = make(tmp_path, rows(10))
    shutil.copytree(store.path, tmp_path / "old")
    update(store, tmp_path, 1, "b")
    assert store.open()[0].version == "2"
    shutil.rmtree(store.path)
    shutil.copytree(tmp_path / "old", store.path)
    with pytest.raises(hm.UntrustedList, match="version 1: it is older than version 2"):
        store.open()
    with pytest.raises(hm.UntrustedList, match="version 1: it is older than version 2"):
        update(store, tmp_path, 1, "c")
    # Manifests of made-up versions do not excuse one that is further back than they are many.
    Path(store.folder.inside("versions", "00000099.json")).write_bytes(b"{}")
    os.chmod(store.folder.inside("versions", "00000099.json"), 0o600)
    assert store.open()[0].problems  # one back, where one is damaged
    for number in range(3):
        with open_store(store.path).folder.locked():
            pass
        update(store, tmp_path, 1, f"d{number}", accept=["damage"])
    assert store.open()[0].version == "102"
    shutil.rmtree(store.path)
    shutil.copytree(tmp_path / "old", store.path)
    with pytest.raises(hm.UntrustedList, match="version 1: it is older than version 102"):
        store.open()


def test_another_list_by_the_same_key_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HASHMATCH_MARKS", str(tmp_path / "marks"))
    (tmp_path / "b").mkdir()
    one, other = make(tmp_path, rows(10)), make(tmp_path / "b", rows(10, seed=2), name="b")
    for name in "cd":
        update(other, tmp_path / "b", 1, name)
    one.open()
    for folder in ("files", "versions", "copies"):
        shutil.copytree(other.folder.inside(folder), one.folder.inside(folder), dirs_exist_ok=True)
    with pytest.raises(hm.StoreError, match="is the manifest of another list"):
        one.open()
    assert all("another list" in problems[-1] for _, problems in one.verify())


def test_files_and_statements_of_another_version(tmp_path: Path) -> None:
    store = make(tmp_path, rows(10))
    update(store, tmp_path, 1, "b")
    of = [{f.role: f.sha256 for f in store.folder.manifest(v)[1].files} for v in (1, 2)]
    shutil.copy(store.folder.inside("files", of[0]["statements"]),
                store.folder.inside("files", of[1]["statements"]))  # fmt: skip
    (known,) = store.open()
    assert known.version == "1"
    assert "not what its manifest says" in known.problems[0]
    for suffix in ("json", "sig"):
        versions = [store.folder.inside("versions", f"0000000{n}.{suffix}") for n in (1, 2)]
        shutil.copy(*versions)
    assert (
        "is the manifest of version 1, in the place of version 2" in (store.open()[0].problems[0])
    )


def test_a_list_keeps_its_name(tmp_path: Path) -> None:
    store = make(tmp_path, rows(10), name="hotline")
    os.rename(store.path, tmp_path / "elsewhere")
    store = open_store(tmp_path / "elsewhere")
    assert update(store, tmp_path, 1, "b").manifest.name == "hotline"
    with pytest.raises(hm.StoreError, match="is called 'hotline', and stays so"):
        update(store, tmp_path, 1, "c", name="other")


def test_expiry(tmp_path: Path) -> None:
    day = timedelta(days=1)
    store = make(tmp_path, rows(10))
    update(store, tmp_path, 1, "b", expires_in=3 * day + timedelta(milliseconds=1))
    assert store.open()[0].problems == ()
    (known,) = open_store(store.path, now=NOW + 9 * day).open()
    assert "has expired at 2026-01-04 00:00 UTC; update it by 2026-01-11" in known.problems[0]
    late = open_store(store.path, now=NOW + 11 * day)
    with pytest.raises(hm.UntrustedList, match=r"longer ago than allowed. Update it"):
        late.open()  # an older version, which never expires, is no better
    brave = hm.Trust([KEY.public], grace=30 * day)
    assert open_store(store.path, now=NOW + 11 * day, trust=brave).open()[0].version == "2"
    assert update(late, tmp_path, 1, "c").manifest.counts["pdq"]["entries"] == 12
    assert late.open()[0].version == "3"


def test_how_long_versions_are_kept(tmp_path: Path) -> None:
    day = timedelta(days=1)
    store = make(tmp_path, rows(10))
    for number, age in enumerate((20, 40, 41, 71, 72)):
        store = open_store(store.path, now=NOW + age * day)
        update(store, tmp_path, 1, f"b{number}", keep=30 * day)
        kept = store.folder.versions()
        assert kept == {
            20: [2, 1], 40: [3, 2, 1], 41: [4, 3, 2, 1], 71: [5, 4], 72: [6, 5, 4]
        }[age]  # fmt: skip
    assert all(not problems for _, problems in store.verify())
    named = {f.sha256 for v in kept for f in store.folder.manifest(v)[1].files}
    assert set(os.listdir(store.folder.inside("files"))) == named


@pytest.mark.parametrize("sharing", [True, False])
def test_whoever_has_a_version_open_goes_on_with_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sharing: bool
) -> None:
    if sharing:
        lower_sharing(monkeypatch)
    store = make(tmp_path, rows(20), rows(1, seed=5, name="extra"))
    (known,) = store.open()
    queries = random_hashes(PDQ, 20, seed=1)
    matcher = hm.Matcher(known)
    for number in range(4):
        given = [page(tmp_path, rows(19 - number))]
        store.import_files(given, hm.Change(signer=KEY, keep=timedelta(0)))
    assert store.folder.versions() == [6, 5]
    assert [f.matches[0].entry for f in matcher.look_up(queries)] == [f"n{n}" for n in range(20)]
    assert known.entries[20].external_id == "extra0"
    assert len(known.hashes) == 21


def test_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store = make(tmp_path, rows(10), rows(1, seed=5, name="b"))
        store.open()
    finally:
        os.umask(before)
    for folder, _, names in os.walk(store.path):
        assert os.stat(folder).st_mode & 0o777 == 0o700
        for name in names:
            assert os.stat(os.path.join(folder, name)).st_mode & 0o777 == 0o600, name


@pytest.mark.parametrize("what", [".", "versions", "files", "secret.key", "versions/00000001.json"])
def test_what_others_can_read_is_refused_unless_allowed(tmp_path: Path, what: str) -> None:
    store = make(tmp_path, rows(10))
    path = store.folder.inside(what)
    os.chmod(path, 0o755 if os.path.isdir(path) else 0o644)
    if what == "secret.key":  # its copy serves
        assert "can be read by others" in store.open()[0].problems[0]
    else:
        with pytest.raises(hm.StoreError, match=r"can be read by others\. Close it with chmod"):
            store.open()
    assert open_store(store.path, allow_readable=True).open()[0].problems == ()
    os.chmod(path, 0o777)
    with pytest.raises(hm.StoreError, match="can be changed by others"):
        open_store(store.path, allow_readable=True).open() if what != "secret.key" else _first(
            store
        )


def _first(store: hm.ListStore) -> None:
    raise hm.StoreError(store.open()[0].problems[0])


def test_limits_of_a_list_last(tmp_path: Path) -> None:
    listed = rows(20, spec=PHASH)
    listed[1]["max_distance"] = 1
    store = make(tmp_path, listed, rows(1, seed=4, spec=PHASH, name="b"), limits={"phash": 4})
    near = flipped(random_hashes(PHASH, 20, seed=1), 3, seed=2)
    assert [bool(found) for found in answers(store, near)] == [n != 1 for n in range(20)]
    update_files = [page(tmp_path, rows(1, seed=6, spec=PHASH, name="c"))]
    store.update_files(update_files, hm.Change(signer=KEY))
    (known,) = store.open()
    assert known.max_distance == 4
    assert answers(store, near)[0] == ("n0",)
    store.update_files(update_files, hm.Change(signer=KEY, limits={"phash": 2}))
    assert not any(answers(store, near))


def test_default_pictures_stay_in_quarantine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lower_sharing(monkeypatch)
    avatars = degenerate_pictures("fixtures/images/plain", "pdq")
    lines = [*rows(40), {"hash": avatars[:1].to_hex()[0], "algorithm": "pdq", "id": "avatar"}]
    store = make(tmp_path, lines, pictures={"pdq": avatars})
    assert "avatar" not in ids(store)
    assert store.folder.manifest(1)[1].counts["pdq"] == {
        "entries": 40, "quarantined: a default picture": 1
    }  # fmt: skip
    again = {"hash": avatars[3:4].to_hex()[0], "algorithm": "pdq", "id": "avatar2"}
    for lines in ([again], rows(7, seed=3, name="more")):  # a small change, and one of all
        store.update_files([page(tmp_path, lines)], hm.Change(signer=KEY))
        assert not {"avatar", "avatar2"} & ids(store)
    store.update_files([page(tmp_path, [again])], hm.Change(signer=KEY, pictures={}))
    assert {"avatar", "avatar2"} <= ids(store)


def test_what_was_ever_signed_is_not_used_unsigned_unless_that_is_allowed(tmp_path: Path) -> None:
    store = ListStore(tmp_path / "store")
    store.import_files([page(tmp_path, rows(3))])
    assert len(store.open()[0]) == 3  # nobody has signed it
    more = page(tmp_path, rows(1, seed=2, name="m"), "more.jsonl")
    change = hm.Change(signer=KEY, accept=["size-change"])
    store.update_files([more], change)  # the first signature asks for none before
    with_key = ListStore(store.path, trust=hm.Trust([KEY.public]))
    assert len(with_key.open()[0]) == 4
    refused = "somebody has signed .*, and no key is trusted. Name the key .* --unsigned"

    def is_refused() -> None:
        for act in (store.open, store.latest, lambda: store.version(1)):
            with pytest.raises(hm.UntrustedList, match=refused):
                act()

    is_refused()
    with pytest.raises(hm.UntrustedList, match=r"^versions 2, 1 are not used: ") as both:
        store.open()
    assert str(both.value).count("somebody has signed") == 1  # one reason is given once
    folder = tmp_path / "store" / "versions"
    (folder / "00000002.sig").unlink()  # what is left of it is enough to tell
    is_refused()
    with collecting() as waivers:
        assert len(ListStore(store.path, unsigned=True).open()[0]) == 4
        with allowing(Safeguard.SIGNATURES):
            assert len(store.open()[0]) == 4
    assert [str(waiver) for waiver in waivers] == [
        f"without signatures: somebody has signed {store.path}, and no key is trusted "
        "(allowed by --unsigned)"
    ]
    (folder / "00000002.json").unlink()  # version 1 was never signed; that keys were trusted stays
    assert rollback.read(f"{store.path}/marks.json").key_ids == {KEY.public.key_id}
    is_refused()


def test_who_signs_the_next_version_trusts_the_key_of_the_last(tmp_path: Path) -> None:
    store = ListStore(tmp_path / "store")
    given = [page(tmp_path, rows(3))]
    store.import_files(given, hm.Change(signer=KEY))
    with pytest.raises(hm.UntrustedList, match="no key is trusted"):
        store.update_files(given)
    with pytest.raises(hm.UntrustedList, match="none of 1 trusted keys signed it"):
        store.update_files(given, hm.Change(signer=OTHER))
    assert store.update_files(given, hm.Change(signer=KEY)).manifest.version == 2
