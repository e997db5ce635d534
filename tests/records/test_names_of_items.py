"""Names of items are valid Unicode, and no two names of bytes are written alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

import hashmatch as hm
from hashmatch.records.images import escape_name, unescape_name

# What is easily mixed up: bytes that are no UTF-8, and the text that they are written as.
NAMES = st.lists(
    st.sampled_from([b"\\", b"x", b"e9", b"\xe9", b"\\xe9", b"\xc3\xa9", b"8", b"0", b"a"])
).map(b"".join)


@given(NAMES | st.binary())
def test_every_name_of_bytes_can_be_had_back(name: bytes) -> None:
    key = escape_name(name)
    key.encode()
    assert unescape_name(key) == name
    assert escape_name(name.decode(errors="surrogateescape")) == key


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_text_without_backslashes_stays_what_it_is(name: str) -> None:
    plain = name.replace("\\", "")
    assert escape_name(plain) == plain


@pytest.mark.parametrize(
    ("name", "key"),
    [
        (b"caf\xe9", r"caf\xe9"), (rb"caf\xe9", r"caf\\xe9"), (rb"caf\\xe9", r"caf\\\\xe9"),
        (b"\\\xe9", r"\\\xe9"), (rb"C:\xampp\x41", r"C:\xampp\x41"), ("é", "é"),
        ("\udcc3\udca9", "é"), ("\ud800", r"\xed\xa0\x80"),
    ],
)  # fmt: skip
def test_how_names_are_written(name: bytes | str, key: str) -> None:
    assert escape_name(name) == key


def test_an_item_keeps_a_name_that_was_written_before() -> None:
    for key in (escape_name(rb"caf\xe9"), escape_name(b"caf\xe9")):
        assert hm.ImageItem(key, "1", hm.Surface.USER_REPORT).key == key
