"""The nouns: their rules, their opaqueness, the review record's form."""

from __future__ import annotations

import base64
import copy
import dataclasses
import json
import pickle
import traceback
import tracemalloc
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hashmatch as hm
import naive
from hashmatch.index.segment import Segment
from hashmatch.records.entries import Entries, Entry, concatenated
from hashmatch.records.hashes import ENCODINGS
from hashmatch.records.images import ImageError
from hashmatch.testing import example_record, hash_list, random_hashes

if TYPE_CHECKING:
    from collections.abc import Callable

PDQ = hm.HashSpec("pdq", 256)


def test_surfaces_are_the_four_unencrypted_ones() -> None:
    assert [*hm.Surface] == ["profile_photo", "group_photo", "user_report", "public_post"]
    with pytest.raises(hm.UnknownSurface, match=r"'private_message'.*profile_photo"):
        hm.Surface.parse("private_message")
    with pytest.raises(TypeError):

        class More(hm.Surface):  # type: ignore[misc]  # a closed enum cannot be extended
            MESSAGE = "message"


def test_outcomes_are_closed() -> None:
    assert len([*hm.Outcome]) == 10
    assert all(outcome.value for outcome in hm.Outcome)


@given(st.sampled_from([64, 128, 160, 256]), st.data())
def test_hex_and_words_agree_with_the_oracle(bits: int, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(0, 2**bits - 1), max_size=4))
    texts = [f"{value:0{bits // 4}x}" for value in values]
    batch = hm.HashBatch.from_hex(hm.HashSpec("any", bits), [text.upper() for text in texts])
    assert batch.words.tolist() == [naive.words(value, bits) for value in values]
    assert batch.to_hex() == texts


@pytest.mark.parametrize(
    ("text", "encoding", "reason"),
    [
        ("", "hex", "empty"),
        ("ab" * 31 + "a", "hex", "63 hex digits, a pdq hash has 64"),
        ("g" * 64, "hex", "the hash is not hex"),
        ("ab " * 21 + "a", "hex", "the hash is not hex"),
        ("é" * 64, "hex", "the hash is not hex"),
        ("AAAA", "base64", "24 bits, a pdq hash has 256"),
        ("A" * 43 + "!", "base64", "the hash is not base64"),
        ("1" * 56, "base32", "the hash is not base32"),
        ("10" * 120, "binary", "240 bits, a pdq hash has 256"),
        ("10" * 100 + "1", "binary", "the hash is not binary"),
        ("12" * 128, "binary", "the hash is not binary"),
        ("1" + "0" * 64, "hex-unpadded", r"say so \(--encoding decimal\)"),
        ("-1a2b3c4d5e", "hex-unpadded", "the hash is not hex-unpadded"),
        ("12_345_678_9", "decimal", "the hash is not decimal"),
        ("+1234567890", "decimal", "the hash is not decimal"),
        ("1234567890.0", "decimal", "a number, as spreadsheets make of digits"),
        ("-1234567890", "decimal", r"say so \(--encoding signed\)"),
        (str(1 << 256), "decimal", "the number is not within the 256 bits of a hash$"),
        (str(1 << 255), "signed", r"say so \(--encoding decimal\)"),
        (str(-1 - (1 << 255)), "signed", "the number is not within the 256 bits of a hash$"),
        ("9" * 79, "decimal", "the hash is not decimal"),
    ],
)
def test_what_is_no_hash_is_refused_without_showing_it(
    text: str, encoding: str, reason: str
) -> None:
    with pytest.raises(hm.UsageError, match=reason) as caught:
        PDQ.parse(text, encoding)
    shown = "".join(traceback.format_exception(caught.value, chain=True))
    assert len(text) < 8 or text not in shown


WRITE: dict[str, Callable[[bytes], str]] = {
    "hex": bytes.hex,
    "hex-unpadded": lambda value: f"{int.from_bytes(value):x}",
    "base64": lambda value: base64.b64encode(value).decode(),
    "base64url": lambda value: base64.urlsafe_b64encode(value).decode().rstrip("="),
    "base32": lambda value: base64.b32encode(value).decode(),
    "decimal": lambda value: str(int.from_bytes(value)),
    "signed": lambda value: str(int.from_bytes(value, signed=True)),
    "binary": lambda value: f"{int.from_bytes(value):0{len(value) * 8}b}",
}


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("first", [0, 7, 0x80, 0xFF])
@pytest.mark.parametrize("spec", [PDQ, hm.HashSpec("phash", 64), hm.HashSpec("sha1", 160)])
def test_encodings(encoding: str, first: int, spec: hm.HashSpec) -> None:
    value = bytes([first, *range(250, 250 - spec.bits // 8 + 1, -1)])
    text = WRITE[encoding](value)
    assert spec.parse(text, encoding) == value
    assert spec.parse(f" {text}\n", encoding) == value


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("0xff", "hex-unpadded"),
        ("0x00000000000000ff", "hex"),
        ("ff", "hex-unpadded"),
        ("FF", "hex-unpadded"),
        ('="255"', "decimal"),
        ("B'" + "0" * 56 + "1" * 8 + "'", "binary"),  # as PostgreSQL writes bit strings
    ],
)
def test_numbers_as_languages_and_databases_print_them(text: str, encoding: str) -> None:
    assert hm.HashSpec("phash", 64).parse(text, encoding) == bytes(7) + b"\xff"


@pytest.mark.parametrize(
    "words",
    [
        np.zeros((2, 4), np.int64),
        np.zeros((2, 3), np.uint64),
        np.zeros(4, np.uint64),
    ],
)
def test_words_of_another_shape_are_refused(words: Any) -> None:
    with pytest.raises(hm.UsageError, match=r"uint64 array of shape \(n, 4\)"):
        hm.HashBatch(PDQ, words)


def test_bits_that_no_hash_has_are_refused() -> None:
    with pytest.raises(hm.UsageError, match="beyond the 160"):
        hm.HashBatch(hm.HashSpec("sha1", 160), np.full((1, 3), 1, np.uint64))


def test_a_batch_is_read_only_and_leaves_the_caller_his_array() -> None:
    words = np.zeros((1, 4), np.uint64)
    batch = hm.HashBatch(PDQ, words)
    with pytest.raises(ValueError, match="read-only"):
        batch.words[0, 0] = 1
    words[0, 0] = 1  # still the caller's to write, and no longer the batch's
    assert not batch.words.any()
    with pytest.raises(AttributeError):
        batch.words = words
    with pytest.raises(hm.UsageError, match="Use a slice"):
        batch[0]  # type: ignore[index]
    with pytest.raises(TypeError):
        list(batch)  # type: ignore[call-overload]


@pytest.mark.parametrize("bits", [64, 160, 256])
def test_what_a_caller_does_afterwards_changes_no_batch(bits: int) -> None:
    spec = hm.HashSpec("made-up", bits)
    known = random_hashes(spec, 6, seed=3)
    text = known.to_hex()

    def changed(words: Any) -> hm.HashBatch:
        """Return a batch of an array that is all zeros by then."""
        own = np.array(known.words, order="F")[::1] if words is None else words
        shown = own[:]
        shown.flags.writeable = False
        batch = hm.HashBatch(spec, shown)
        own[:] = 0
        return batch

    memory = bytearray(known.words.tobytes())
    for own in (None, known.words.copy(), np.frombuffer(memory, np.uint64).reshape(6, -1)):
        assert changed(own).to_hex() == text
    wider = np.zeros((12, spec.words), np.uint64)
    wider[::2] = known.words
    assert changed(wider[::2]).to_hex() == text
    data = bytearray(bytes.fromhex("".join(text)))
    batch = hm.HashBatch.from_bytes(spec, data)
    assert data == bytes.fromhex("".join(text))
    data[:] = bytes(len(data))
    assert batch.to_hex() == text
    masked = np.ma.masked_array(known.words.copy())
    assert type(hm.HashBatch(spec, masked).words) is np.ndarray


def test_an_index_and_a_list_stay_when_the_caller_s_arrays_change() -> None:
    words = random_hashes(PDQ, 100, seed=5).words.copy()
    shown = words[:]
    shown.flags.writeable = False
    batch = hm.HashBatch(PDQ, shown)
    entries = [hm.Entry(f"{number}") for number in range(100)]
    known = hm.HashList("l", "1", PDQ, batch, entries)
    index = hm.HashIndex.build(known, 31)
    removed = np.array([7, 8])
    other = index.with_changes(None, removed)
    asked = hm.HashBatch(PDQ, words)
    found = index.search(asked)
    before = [column.copy() for column in (found.query, found.entry, found.distance)]
    words[:] = 0
    removed[:] = 0
    entries.clear()
    assert len(known) == 100
    assert found.entry.tolist() == list(range(100))
    for column in (found.entry, found.query, found.distance, found.max_distance):
        column[:] = 3  # they are the caller's
    again = index.search(asked)
    assert all(
        (one == two).all()
        for one, two in zip((again.query, again.entry, again.distance), before, strict=True)
    )
    assert set(other.search(asked).entry.tolist()) == set(range(100)) - {7, 8}
    nothing = index.search(hm.HashBatch.from_hex(PDQ, ["0f" * 32]))
    assert not len(nothing)
    assert not nothing.entry.flags.writeable  # it is the same one each time


def test_hashes_that_are_ours_are_not_copied() -> None:
    """Of ten million, one copy more is 320 MB."""
    size = 2**15 * 32
    data = bytearray(random_hashes(PDQ, 2**15, seed=6).words.byteswap().tobytes())
    parts = [random_hashes(PDQ, 2**14, seed=seed) for seed in (1, 2)]
    known = hm.HashList("l", "1", PDQ, random_hashes(PDQ, 2**15, seed=7), [hm.Entry()] * 2**15)
    fewer = known.without([3])

    def peak(make: Callable[[], hm.HashBatch]) -> int:
        tracemalloc.start()
        try:
            made = make()
            assert not made.words.flags.writeable
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(lambda: hm.HashBatch.from_bytes(PDQ, data, owned=True)) < size // 4
    assert peak(lambda: hm.HashBatch(PDQ, known.hashes.words, owned=True)) < size // 4
    assert peak(lambda: hm.HashBatch(PDQ, known.hashes.words)) < size * 5 // 4
    assert peak(lambda: hm.HashBatch.from_bytes(PDQ, bytes(data))) < size * 9 // 4
    assert peak(lambda: hm.HashBatch.concatenate(parts)) < size * 5 // 4
    assert peak(lambda: known.hashes[5:]) < size // 4
    assert peak(lambda: fewer.hashes) < size * 5 // 4
    assert np.shares_memory(known.hashes[5:].words, known.hashes.words)


@pytest.mark.parametrize(
    "data", ["0f" * 32, memoryview(bytes(32)), np.zeros((1, 4), np.uint64), [1] * 32, None]
)
def test_what_are_no_bytes_are_refused(data: Any) -> None:
    """The words of an array would be read in the machine's order of bytes."""
    with pytest.raises(hm.UsageError, match="cannot read hashes from a"):
        hm.HashBatch.from_bytes(PDQ, data)


@pytest.mark.parametrize("line", [None, b"0" * 64, 7])
def test_what_is_no_text_is_no_hash(line: Any) -> None:
    with pytest.raises(hm.UsageError, match="hash 2: cannot read a hash from a"):
        hm.HashBatch.from_hex(PDQ, ["00" * 32, line])


@pytest.mark.parametrize("bits", [256.0, "256", None, True])
def test_bits_are_a_whole_number(bits: Any) -> None:
    with pytest.raises(hm.UsageError, match="positive multiple of 8"):
        hm.HashSpec("pdq", bits)


def test_from_hex_names_the_line() -> None:
    with pytest.raises(hm.UsageError, match="hash 2: 3 hex digits"):
        hm.HashBatch.from_hex(PDQ, ["00" * 32, "abc"])


def test_batches_of_other_specs_do_not_join() -> None:
    with pytest.raises(hm.SpecMismatch):
        hm.HashBatch.concatenate(
            [random_hashes(PDQ, 1, seed=1), random_hashes(hm.HashSpec("sha256", 256), 1, seed=1)]
        )


@pytest.mark.parametrize("shown", [repr, str, "{}".format, "{!r}".format])
def test_hashes_are_never_shown_or_pickled(shown: object) -> None:
    batch = random_hashes(PDQ, 2, seed=4)
    known = hash_list(batch)
    matcher = hm.Matcher(known)
    bands = Segment.build(batch.words, 256, 31)
    fields = dataclasses.asdict(known)
    assert str(int(batch.words[0, 0])) not in str(fields)
    for thing in (batch, known, matcher, hm.HashIndex.build(known), bands):
        text = shown(thing)  # type: ignore[operator]
        assert str(int(batch.words[0, 0])) not in text
        for value in batch.to_hex():
            assert value[:8] not in text
        with pytest.raises(hm.HashesAreOpaque):
            pickle.dumps(thing)
        assert copy.copy(thing) is thing
        assert copy.deepcopy(thing) is thing


def test_a_list_checks_its_parts() -> None:
    batch = random_hashes(PDQ, 2, seed=4)
    with pytest.raises(hm.UsageError, match="2 hashes and 1 entries"):
        hm.HashList("l", "1", PDQ, batch, (hm.Entry(),))
    for name, version in (("l", 17), (None, "1")):
        with pytest.raises(hm.UsageError, match="name and version are no text"):
            hm.HashList(name, version, PDQ, batch, (hm.Entry(), hm.Entry()))  # type: ignore[arg-type]
    with pytest.raises(hm.SpecMismatch):
        hm.HashList("l", "1", hm.HashSpec("phash", 64), batch, (hm.Entry(), hm.Entry()))
    with pytest.raises(hm.UsageError, match="cannot use a ndarray as the hashes"):
        hm.HashList("l", "1", PDQ, batch.words, (hm.Entry(), hm.Entry()))  # type: ignore[arg-type]
    entry: Any
    for entry, said in (
        (hm.Entry(7), "cannot use 7 as an entry's id"),  # type: ignore[arg-type]
        (hm.Entry(b"7"), "as an entry's id"),  # type: ignore[arg-type]
        (hm.Entry("7", "A1"), "Give tuples of texts"),  # type: ignore[arg-type]
        (hm.Entry("7", ("A1",), "source"), "Give tuples of texts"),  # type: ignore[arg-type]
    ):
        with pytest.raises(hm.UsageError, match=said):
            hm.HashList("l", "1", PDQ, batch, (hm.Entry(), entry))


@pytest.mark.parametrize(
    "numbers", [[1.9], [True], np.array([True, False]), "1", [None], [[0, 1]], [[0], [0, 1]], ["0"]]
)
def test_entries_are_left_out_by_their_numbers_alone(numbers: Any) -> None:
    """A mask of booleans would be the numbers 0 and 1."""
    known = hm.HashList("l", "1", PDQ, random_hashes(PDQ, 2, seed=4), (hm.Entry(), hm.Entry()))
    with pytest.raises(hm.UsageError, match="cannot leave out these entries"):
        known.without(numbers)
    with pytest.raises(hm.UsageError, match="cannot leave out an entry"):
        known.without([2**70])
    for right in ([1], np.array([1, 1], np.uint8), (number for number in [1]), {1}):
        assert len(known.without(right)) == 1


def test_references_need_the_key() -> None:
    batch = random_hashes(PDQ, 2, seed=4)
    known = hm.HashList("l", "1", PDQ, batch, (hm.Entry("named"), hm.Entry()))
    assert known.reference(0, b"k") == "named"
    assert known.reference(1, b"k") == known.reference(1, b"k") != known.reference(1, b"other")
    assert known.reference(1, known.own_key()).startswith("ref:")
    assert batch.to_hex()[1][:8] not in known.reference(1, b"k")


def test_the_review_record_has_its_documented_form() -> None:
    record = json.loads(example_record().to_json())
    assert list(record) == [
        "schema", "record_id", "status", "created_at", "item", "hash", "matches", "match_count",
    ]  # fmt: skip
    assert record["schema"] == "hashmatch.review/1"
    assert record["status"] == "pending_review"
    assert record["hash"] == {
        "algorithm": "pdq", "quality": 98, "decode_policy": "rgb/2", "variant": "upright",
    }  # fmt: skip
    assert hm.ReviewRecord.from_json(example_record().to_json()) == example_record()


def test_no_record_is_born_decided() -> None:
    line = example_record().to_json().replace(b"pending_review", b"confirmed")
    for wrong in (line, b"{"):
        with pytest.raises(hm.UsageError, match="cannot read the review record"):
            hm.ReviewRecord.from_json(wrong)


def test_a_suppressed_record_says_what_suppressed_it() -> None:
    record = example_record(suppressed=True)
    assert record.outcome is hm.Outcome.SUPPRESSED
    assert hm.ReviewRecord.from_json(record.to_json()) == record
    written = json.loads(record.to_json())
    assert written["status"] == "suppressed"
    assert written["suppressed_by"] == {
        "reason": "benign", "list": "known", "list_version": "3", "entry": "b-1",
        "algorithm": "pdq", "distance": 2,
    }  # fmt: skip
    for was, becomes in (
        (record.to_json(), b"pending_review"),
        (example_record().to_json(), b"suppressed"),
        (record.to_json().replace(b'"benign"', b'"mine"'), b"suppressed"),
    ):
        wrong = was.replace(b"pending_review", becomes).replace(b'"suppressed"', b'"%s"' % becomes)
        with pytest.raises(hm.UsageError, match="cannot read the review record"):
            hm.ReviewRecord.from_json(wrong)
    for changes in ({"status": "confirmed"}, {"status": "pending_review"}):
        with pytest.raises(hm.UsageError):
            dataclasses.replace(record, **changes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "error",
    [
        ImageError(hm.Outcome.REFUSED, "too large"),
        hm.BadRows("l.csv", [hm.RejectedRow(3, "the hash is empty")]),
        hm.UsageError("x"),
    ],
)
def test_errors_travel_between_processes(error: hm.HashmatchError) -> None:
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), vars(again)) == (type(error), str(error), vars(error))


def test_a_hash_that_is_not_there_says_why() -> None:
    hashed = hm.hash_image(b"", item="a.jpg")
    with pytest.raises(hm.NotHashed, match=r"a hash of a.jpg: undecodable \(the file is empty\)"):
        _ = hashed.hex


def test_entries_are_joined_where_some_parts_are_empty() -> None:
    named, nobody = Entries.of([Entry("a"), Entry("b")]), Entries.of([])
    some = Entries.of([Entry(labels=("A1",))])
    joined = concatenated([nobody, named, nobody, some, nobody, named])
    assert list(joined) == [*named, *some, *named]
