"""Encryption at rest: files of a list that are decrypted in memory only, and read whole or refused.

Every file has a key of its own, so that no pair of key and nonce is ever used twice; it is derived
from the list's key and a salt (HKDF, RFC 5869). Its chunks are encrypted apart, so that nothing is
handed out before it is verified, and each knows where it belongs.

=========  ==========================================================================
bytes      what is there
=========  ==========================================================================
0 to 7     ``89 48 4d 53 45 41 4c 01``: no ASCII, then "HMSEAL", then the format, 1
8 to 15    the id of the list's key
16 to 47   the salt, random
48         the chunks: 2**20 bytes, fewer in the last, encrypted, and a tag of 16 bytes;
           of no bytes only if there are none at all. Nothing follows the last
=========  ==========================================================================

A chunk is encrypted with AES-256-GCM (NIST SP 800-38D). Its nonce is its number, 12 bytes; its
associated data are the header, its number and whether it is the last. Numbers are big-endian.

The list's key comes from the environment or from a file. `RowCipher` encrypts rows of a database,
one by one, in the same way.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import itertools
import os
import re
import secrets
import struct
from typing import TYPE_CHECKING, Any, NoReturn

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hashmatch._files import atomic, private
from hashmatch._files.private import Digest
from hashmatch.errors import StoreError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    Data = bytes | bytearray | memoryview | NDArray[Any]

MAGIC = b"\x89HMSEAL\x01"
CHUNK = 1 << 20
TAG = 16
SALT = 32
HEADER = struct.Struct(f">8s8s{SALT}s")
PLACE = struct.Struct(">QB")
MOST = 1 << 32
"""Chunks of a file: 4 PiB."""


def encrypt(path: str, data: Iterable[Data], key: ListKey) -> Digest:
    """Write a new encrypted file, whole or not at all, and return the digest of what is written.

    It holds `data`: bytes or arrays in C order, of any lengths. See
    `hashmatch._files.atomic.writing`.
    """
    header = HEADER.pack(MAGIC, key.key_id, secrets.token_bytes(SALT))
    cipher = _cipher(key, header)
    total, length = hashlib.sha256(header), len(header)
    with atomic.writing(path) as file:
        atomic.put(file, header)
        for number, (piece, is_last) in enumerate(_pieces(data)):
            if number >= MOST:
                raise StoreError(f"cannot write {path}: it would be too large")
            chunk = cipher.encrypt(_nonce(number), piece, _bound(header, number, is_last))
            total.update(chunk)
            length += len(chunk)
            atomic.put(file, chunk)
    return Digest(total.hexdigest(), length)


def decrypted_bytes(path: str, file: int) -> int:
    """Return how many bytes an open encrypted file holds, as far as its length tells.

    `path` is for messages. StoreError if it has a length that no such file has.
    """
    body = os.fstat(file).st_size - HEADER.size
    chunks = -(-body // (CHUNK + TAG))
    last = body - (chunks - 1) * (CHUNK + TAG) - TAG
    # A last chunk of nothing after others would be read by nobody: sixteen bytes of anything.
    if chunks < 1 or last < (chunks > 1) or chunks > MOST:
        raise StoreError(
            f"cannot read {path}: it is damaged: part of it is missing, or too much. Restore it"
        )
    return body - chunks * TAG


def decrypt(path: str, file: int, key: ListKey) -> Iterator[bytes]:
    """Yield what an open encrypted file holds, from its beginning, each chunk once it is verified.

    That all was there is known only when the iterator has ended. StoreError if the key is another
    one, or the file not as it was written: changed, cut off, continued, or with chunks in other
    places or of other files.
    """
    left = decrypted_bytes(path, file)
    header = _read(path, file, HEADER.size, 0)
    magic, key_id, _ = HEADER.unpack(header)
    if magic != MAGIC:
        raise StoreError(
            f"cannot read {path}: it is not an encrypted file of a list, or is damaged. Restore it"
        )
    if key_id != key.key_id:
        raise StoreError(
            f"cannot read {path}: it is encrypted with the key {key_id.hex()}, and given is "
            f"{key.key_id.hex()}. Give that key, or restore the file"
        )
    cipher = _cipher(key, header)
    number, offset, is_last = 0, HEADER.size, False
    while not is_last:
        size = min(CHUNK, left)
        left -= size
        is_last = left == 0
        chunk = _read(path, file, size + TAG, offset)
        try:
            plain = cipher.decrypt(_nonce(number), chunk, _bound(header, number, is_last))
        except InvalidTag:
            raise StoreError(
                f"cannot read {path}: it is damaged at byte {offset:,} or after it. Restore "
                "it, or import the list again"
            ) from None
        number, offset = number + 1, offset + len(chunk)
        yield plain


def decrypt_into(path: str, file: int, key: ListKey, buffer: Data) -> None:
    """Decrypt an open file into a buffer that is as long as `decrypted_bytes` says.

    The buffer is bytes that can be written to, or an array in C order. If this raises StoreError,
    as `decrypt` or because the buffer is of another length, it holds the verified beginning of the
    file, and is not to be used.
    """
    view = memoryview(buffer)  # type: ignore[arg-type]  # before Python 3.12 arrays do not say so
    if view.nbytes != decrypted_bytes(path, file):
        raise StoreError(
            f"cannot read {path}: it is damaged: it is not as long as its list. Restore it"
        )
    place, target = 0, view.cast("B") if view.nbytes else view
    for plain in decrypt(path, file, key):
        if plain:
            target[place : place + len(plain)] = plain
        place += len(plain)


def _cipher(key: ListKey, header: bytes) -> AESGCM:
    return AESGCM(key.derive(header[-SALT:]))


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


def _bound(header: bytes, number: int, is_last: bool) -> bytes:
    return header + PLACE.pack(number, is_last)


def _pieces(data: Iterable[Data]) -> Iterator[tuple[bytearray, bool]]:
    """Yield the data in pieces as long as a chunk, and whether it is the last."""
    held = bytearray()
    for block in data:
        view = memoryview(block)  # type: ignore[arg-type]
        if not view.nbytes:
            continue  # Python does not cast these
        view = view.cast("B")
        while view:
            if len(held) == CHUNK:
                yield held, False
                held = bytearray()
            taken = view[: CHUNK - len(held)]
            held += taken
            view = view[len(taken) :]
    yield held, True


def _read(path: str, file: int, size: int, offset: int) -> bytes:
    try:
        data = os.pread(file, size, offset)
        while len(data) < size and (more := os.pread(file, size - len(data), offset + len(data))):
            data += more
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror}") from None
    if len(data) < size:
        raise StoreError(f"cannot read {path}: it was cut off while it was read. Restore it")
    return data


KEY = "HASHMATCH_LIST_KEY"
"""The environment variable that has the key, in hexadecimal or base64."""
LENGTH = 32
"""Bytes of a key."""
INFO = b"hashmatch sealed file 1"
"""What keys derived from it are for (RFC 5869, 3.2)."""
ROWS = b"hashmatch sealed rows 1"
"""The same, of keys for rows of a database."""


class ListKey:
    """A key of 32 random bytes, which shows nothing of itself, and is never pickled.

    A passphrase is no key.

    Examples
    --------
    >>> ListKey(bytes(range(32)))
    <ListKey 25fd0be329f24b88>
    """

    __slots__ = ("_raw", "key_id")

    def __init__(self, raw: bytes) -> None:
        if len(raw) != LENGTH:
            raise UsageError(
                f"cannot use a key of {len(raw)} bytes for lists. Give one of {LENGTH}"
            )
        self._raw = bytes(raw)
        #: 8 bytes that tell keys apart, and nothing of them.
        self.key_id = hashlib.blake2b(
            b"", digest_size=8, key=self._raw, person=b"hashmatch key id"
        ).digest()

    @classmethod
    def generate(cls) -> ListKey:
        """Return a new key, from the system's randomness."""
        return cls(secrets.token_bytes(LENGTH))

    def derive(self, salt: bytes, info: bytes = INFO) -> bytes:
        """Return the key of 32 bytes of the one file, or whatever `info` says, with this salt."""
        return HKDF(SHA256(), LENGTH, salt, info).derive(self._raw)

    def save(self, path: str) -> None:
        """Write it to a new file, in hexadecimal; StoreError if something is there."""
        atomic.write(path, self._raw.hex().encode() + b"\n", replace=False)

    def __repr__(self) -> str:
        return f"<ListKey {self.key_id.hex()}>"

    def __reduce__(self) -> NoReturn:
        raise UsageError("cannot pickle a key for lists. Send the path of its file instead")


class RowCipher:
    """Encrypts rows of a database, each by itself; used by many threads.

    Each object has a key of its own, derived with a random salt, and counts its nonces: no pair of
    them is used twice, however many processes write. A row is the salt, the nonce, and the text as
    AES-256-GCM encrypts it.

    Parameters
    ----------
    key : ListKey
        What its key is derived from.
    """

    def __init__(self, key: ListKey) -> None:
        self._key, self._salt = key, secrets.token_bytes(SALT)
        self._ciphers = {self._salt: AESGCM(key.derive(self._salt, ROWS))}
        self._numbers = itertools.count()

    def encrypt(self, text: bytes, place: bytes) -> bytes:
        """Return a row; only for the same place, a table, is it decrypted again."""
        nonce = _nonce(next(self._numbers))
        return self._salt + nonce + self._ciphers[self._salt].encrypt(nonce, text, place)

    def decrypt(self, row: bytes, place: bytes) -> bytes:
        """Return what was encrypted; StoreError if it is damaged, or of another key or place."""
        salt, nonce, text = row[:SALT], row[SALT : SALT + 12], row[SALT + 12 :]
        try:
            cipher = self._ciphers.get(salt)
            if cipher is None:
                cipher = self._ciphers[salt] = AESGCM(self._key.derive(salt, ROWS))
            return cipher.decrypt(nonce, text, place)
        except (InvalidTag, ValueError):
            raise StoreError("cannot read an encrypted row: it is damaged. Restore it") from None


def list_key(path: str | None = None, variable: str = KEY) -> ListKey | None:
    """Return the key in a file or, without one, that of the environment, if it has one.

    The file holds the 32 bytes, or them in hexadecimal or base64. Only its owner may be able to
    read it, else StoreError; it may be a link. UsageError if what it or the variable of the
    environment holds is no key; nothing of it is shown.
    """
    if path is not None:
        data = private.read(path, 1000, follow=True)
        return ListKey(data if len(data) == LENGTH else _parsed(data, path))
    text = os.environb.get(variable.encode())
    return ListKey(_parsed(text, variable)) if text else None


def _parsed(text: bytes, place: str) -> bytes:
    text = text.strip()
    if re.fullmatch(rb"[0-9a-fA-F]{64}", text):
        return binascii.unhexlify(text)
    if re.fullmatch(rb"[A-Za-z0-9+/]{43}=", text):
        return base64.b64decode(text)
    raise UsageError(
        f"cannot use {place}: it holds no key. A key is {LENGTH} bytes, as {2 * LENGTH} "
        "hexadecimal digits or in base64"
    )
