"""Encrypted files hold what was put into them, or are refused before a byte is handed out."""

from __future__ import annotations

import base64
import copy
import hashlib
import importlib
import os
import traceback
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from hashmatch._files import private
from hashmatch.errors import StoreError, UsageError
from hashmatch.store import encryption
from hashmatch.store.encryption import (
    INFO,
    KEY,
    ListKey,
    decrypt,
    decrypt_into,
    decrypted_bytes,
    encrypt,
    list_key,
)

if TYPE_CHECKING:
    from pathlib import Path

RAW = bytes(range(100, 132))
OURS = ListKey(RAW)
OTHER = ListKey(RAW[::-1])
SMALL = 32
"""Bytes of a chunk in most tests."""


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "file")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encryption, "CHUNK", SMALL)


def opened(path: str, key: ListKey = OURS) -> bytes:
    with private.opened(path) as file:
        data = b"".join(decrypt(path, file, key))
        assert len(data) == decrypted_bytes(path, file)
        buffer = bytearray(len(data))
        decrypt_into(path, file, key, buffer)
        assert buffer == data
    return data


@given(st.lists(st.binary(max_size=3 * SMALL), max_size=5))
def test_what_is_encrypted_is_read(
    tmp_path_factory: pytest.TempPathFactory, blocks: list[bytes]
) -> None:
    path = str(tmp_path_factory.getbasetemp() / "encrypted")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encryption, "CHUNK", SMALL)
        digest = encrypt(path, blocks, OURS)
        assert opened(path) == b"".join(blocks)
    with private.opened(path) as file:
        assert private.digest(path, file) == digest


@pytest.mark.parametrize("length", [0, 1, 2**20 - 1, 2**20, 2**20 + 1, 2 * 2**20, 2**21 + 77])
def test_arrays_of_all_lengths(path: str, length: int) -> None:
    data = np.random.default_rng(1).integers(0, 256, length, np.uint8)
    encrypt(path, [data[:5], data[5:5], data[5:]], OURS)
    assert opened(path) == data.tobytes()
    assert os.path.getsize(path) == 48 + length + 16 * max(1, -(-length // 2**20))
    assert os.stat(path).st_mode & 0o777 == 0o600
    with private.opened(path) as file:
        array = np.zeros(length, np.uint8)
        decrypt_into(path, file, OURS, array)
        assert np.array_equal(array, data)


def test_wider_arrays(path: str) -> None:
    words = np.arange(60, dtype=np.uint64).reshape(15, 4)
    encrypt(path, [words, np.zeros((0, 4), np.uint64)], OURS)
    out = np.zeros_like(words)
    with private.opened(path) as file:
        decrypt_into(path, file, OURS, out)
        assert np.array_equal(out, words)
        with pytest.raises(StoreError, match="is not as long as its list"):
            decrypt_into(path, file, OURS, np.zeros((15, 3), np.uint64))


@pytest.mark.usefixtures("small")
def test_the_bytes_are_those_of_the_description(path: str) -> None:
    """Written again from the module's table alone, with a key derived by hand."""
    encrypt(path, [b"a" * SMALL + b"b"], OURS)
    with open(path, "rb") as file:
        data = file.read()
    assert data[:8] == b"\x89HMSEAL\x01"
    key = HKDF(SHA256(), 32, data[16:48], INFO).derive(RAW)
    for number, (start, end, last, plain) in enumerate(
        [(48, 48 + SMALL + 16, 0, b"a" * SMALL), (48 + SMALL + 16, len(data), 1, b"b")]
    ):
        bound = data[:48] + number.to_bytes(8, "big") + bytes([last])
        assert AESGCM(key).decrypt(number.to_bytes(12, "big"), data[start:end], bound) == plain


def test_no_two_files_are_alike(path: str) -> None:
    found = set()
    for _ in range(20):
        found.add(encrypt(path, [b"the same"], OURS).sha256)
    assert len(found) == 20


def refused(path: str, data: bytes, plain: bytes) -> None:
    """Assert that a file is refused, and that what was handed out before is its true beginning."""
    handed = b""
    descriptor = os.memfd_create("encrypted")
    try:
        os.write(descriptor, data)
        with pytest.raises(StoreError) as raised:  # noqa: PT012
            for chunk in decrypt(path, descriptor, OURS):
                handed += chunk
    finally:
        os.close(descriptor)
    assert str(raised.value).startswith(f"cannot read {path}: ")
    assert "\n" not in str(raised.value)
    assert plain.startswith(handed)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("length", [0, 1, SMALL, 2 * SMALL, 2 * SMALL + 7])
def test_every_bit_flipped_every_truncation_and_more_at_the_end(path: str, length: int) -> None:
    plain = bytes(range(length))
    encrypt(path, [plain], OURS)
    with open(path, "rb") as file:
        good = file.read()
    for place in range(len(good) * 8):
        changed = bytearray(good)
        changed[place // 8] ^= 1 << place % 8
        refused(path, bytes(changed), plain)
    for end in range(len(good)):
        refused(path, good[:end], plain)
    for more in (b"\0", b"\0" * 16, b"\0" * (SMALL + 16), good[48:], good):
        refused(path, good + more, plain)
    refused(path, b"", plain)


@pytest.mark.usefixtures("small")
def test_chunks_in_other_places_and_of_other_files(path: str) -> None:
    """Mix-and-match within files: each chunk is whole, and none is where it belongs."""
    plain, step = bytes(range(3 * SMALL)), SMALL + 16

    def parts() -> tuple[bytes, list[bytes]]:
        encrypt(path, [plain], OURS)
        with open(path, "rb") as file:
            data = file.read()
        return data[:48], [data[start : start + step] for start in range(48, len(data), step)]

    (head, (a, b, c)), (other, (x, y, z)) = parts(), parts()
    for chunks in ([b, a, c], [a, a, c], [a, c], [a, b], [c], [a, b, c, c], [a, b, z], [x, b, c]):
        refused(path, head + b"".join(chunks), plain)
    for chunks in ([a, b, c], [x, y, c]):
        refused(path, other + b"".join(chunks), plain)


def test_a_wrong_key(path: str) -> None:
    encrypt(path, [b"x" * 99], OURS)
    with pytest.raises(StoreError, match=f"is encrypted with the key {OURS.key_id.hex()}, and giv"):
        opened(path, OTHER)
    private_part = RAW.hex()
    same_id = ListKey(RAW[:-1] + b"?")
    same_id.key_id = OURS.key_id  # a key id that somebody wrote into another file
    with pytest.raises(StoreError, match="is damaged at byte 48") as raised:
        opened(path, same_id)
    assert private_part not in "".join(traceback.format_exception(raised.value))


def test_a_file_that_is_not_encrypted(path: str) -> None:
    refused(path, b"plain text, and enough of it to be one of our files" * 9, b"")


def test_a_file_that_is_cut_off_while_it_is_read(path: str) -> None:
    encrypt(path, [bytes(2**20 + 5)], OURS)
    with private.opened(path) as file:
        chunks = decrypt(path, file, OURS)
        assert next(chunks) == bytes(2**20)
        os.truncate(path, 2**20 + 48 + 16 + 3)
        with pytest.raises(StoreError, match="was cut off while it was read"):
            next(chunks)


def test_nothing_is_left_of_a_file_that_was_not_finished(path: str) -> None:
    def blocks() -> object:
        yield b"x" * 99
        raise RuntimeError

    with pytest.raises(RuntimeError):
        encrypt(path, blocks(), OURS)  # type: ignore[arg-type]
    assert os.listdir(os.path.dirname(path)) == []


def test_keys_come_from_the_environment_or_a_file(
    path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KEY, raising=False)
    assert list_key() is None
    texts = [RAW.hex(), RAW.hex().upper(), base64.b64encode(RAW).decode(), f"  {RAW.hex()}\n"]
    for text in texts:
        monkeypatch.setenv(KEY, text)
        assert opened_with(list_key()) == OURS.key_id
    monkeypatch.setenv(KEY, OTHER.derive(b"").hex())
    for data in [text.encode() for text in texts] + [RAW]:
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, 0o600)
        assert opened_with(list_key(path)) == OURS.key_id
    os.chmod(path, 0o640)
    with pytest.raises(StoreError, match="can be read by others"):
        list_key(path)
    os.remove(path)
    with pytest.raises(StoreError, match=r"cannot read .*: No such file"):
        list_key(path)
    OURS.save(path)
    assert opened_with(list_key(path)) == OURS.key_id
    with pytest.raises(StoreError, match="is never written over"):
        OTHER.save(path)


def opened_with(key: ListKey | None) -> bytes:
    assert key is not None
    return key.key_id


@pytest.mark.parametrize("text", ["x", "ab" * 31, "ab" * 33, "g" * 64, "é" * 32, "A" * 44, "\t"])
def test_what_is_no_key(text: str, path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY, text)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    os.chmod(path, 0o600)
    for asked, name in ((list_key, KEY), (partial(list_key, path), path)):
        with pytest.raises(
            UsageError, match=f"^cannot use {name}: it holds no key. A key is 32 bytes"
        ) as raised:
            asked()
        assert text * 2 not in str(raised.value)
    for length in (0, 16, 31, 33):
        with pytest.raises(UsageError, match="cannot use a key of"):
            ListKey(bytes(length))


def test_a_key_shows_nothing_and_is_never_pickled() -> None:
    assert repr(OURS) == str(OURS) == f"<ListKey {OURS.key_id.hex()}>"
    assert OURS.key_id not in hashlib.blake2b(RAW).digest()
    assert ListKey.generate().key_id != ListKey.generate().key_id
    for attempt in (importlib.import_module("pickle").dumps, copy.copy, copy.deepcopy):
        with pytest.raises(UsageError, match="cannot pickle"):
            attempt(OURS)


def test_rows_are_decrypted_in_their_place_with_their_key_and_whole() -> None:
    """And no key and nonce come twice, of one object or of two."""
    key = ListKey(bytes(range(32)))
    one, other = encryption.RowCipher(key), encryption.RowCipher(key)
    rows = [cipher.encrypt(b"text", b"item") for cipher in (one, other) for _ in range(50)]
    assert len({row[:44] for row in rows}) == 100
    assert len({row[44:] for row in rows}) == 100
    reader = encryption.RowCipher(key)
    assert {reader.decrypt(row, b"item") for row in rows} == {b"text"}
    row = rows[0]
    wrong = [row[:-1], row + b"x", row[:20], b"", row[:-1] + bytes([row[-1] ^ 1])]
    for each, place in [(row, b"found"), *((each, b"item") for each in wrong)]:
        with pytest.raises(StoreError, match="damaged"):
            reader.decrypt(each, place)
    with pytest.raises(StoreError, match="damaged"):
        encryption.RowCipher(ListKey(bytes(32))).decrypt(row, b"item")
