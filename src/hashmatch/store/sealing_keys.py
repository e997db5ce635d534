"""The key that the files of a list are encrypted with: from the environment, or from a file."""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import re
import secrets
from typing import NoReturn

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from hashmatch.errors import UsageError
from hashmatch.store import private, whole

KEY = "HASHMATCH_LIST_KEY"
"""The environment variable that has the key, in hexadecimal or base64."""
LENGTH = 32
"""Bytes of a key."""
INFO = b"hashmatch sealed file 1"
"""What keys derived from it are for (RFC 5869, 3.2)."""


class SealingKey:
    """A key of 32 bytes, which shows nothing of itself, and is never pickled.

    Parameters
    ----------
    raw : bytes
        Random ones: a passphrase is no key.

    Examples
    --------
    >>> SealingKey(bytes(range(32)))
    <SealingKey 25fd0be329f24b88>
    """

    __slots__ = ("_raw", "key_id")

    def __init__(self, raw: bytes) -> None:
        if len(raw) != LENGTH:
            raise UsageError(f"a key for lists has {LENGTH} bytes, this one {len(raw)}")
        self._raw = bytes(raw)
        #: 8 bytes that tell keys apart, and nothing of them.
        self.key_id = hashlib.blake2b(
            b"", digest_size=8, key=self._raw, person=b"hashmatch key id"
        ).digest()

    @classmethod
    def generate(cls) -> SealingKey:
        """Return a new key, from the system's randomness."""
        return cls(secrets.token_bytes(LENGTH))

    def derive(self, salt: bytes) -> bytes:
        """Return the key of 32 bytes of the one file that has this salt."""
        return HKDF(SHA256(), LENGTH, salt, INFO).derive(self._raw)

    def save(self, path: str) -> None:
        """Write it to a new file, in hexadecimal; StoreError if something is there."""
        whole.write(path, self._raw.hex().encode() + b"\n", replace=False)

    def __repr__(self) -> str:
        return f"<SealingKey {self.key_id.hex()}>"

    def __reduce__(self) -> NoReturn:
        raise UsageError("a key for lists is never pickled; send the path of its file instead")


def sealing_key(path: str | None = None) -> SealingKey | None:
    """Return the key in a file or, without one, that of the environment, if it has one.

    Parameters
    ----------
    path : str, optional
        Holds the 32 bytes, or them in hexadecimal or base64. Only its owner may be able to read it;
        it may be a link.

    Raises
    ------
    StoreError
        If the file cannot be read, or can be read by others.
    UsageError
        If what it or HASHMATCH_LIST_KEY holds is no key; nothing of it is shown.
    """
    if path is not None:
        data = private.read(path, 1000, follow=True)
        return SealingKey(data if len(data) == LENGTH else _parsed(data, path))
    text = os.environb.get(KEY.encode())
    return SealingKey(_parsed(text, KEY)) if text else None


def _parsed(text: bytes, place: str) -> bytes:
    text = text.strip()
    if re.fullmatch(rb"[0-9a-fA-F]{64}", text):
        return binascii.unhexlify(text)
    if re.fullmatch(rb"[A-Za-z0-9+/]{43}=", text):
        return base64.b64decode(text)
    raise UsageError(
        f"{place} holds no key: it takes {LENGTH} bytes, as {2 * LENGTH} hexadecimal digits or in "
        "base64"
    )
