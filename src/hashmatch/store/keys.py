"""Ed25519 keys and their files: what signs a list, and what a list is trusted by.

The algorithm is that of RFC 8032, in OpenSSL's code; the files are PEM (RFC 7468), which
``openssl pkey`` reads too.
"""

from __future__ import annotations

import hashlib
import os
from typing import NoReturn

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hashmatch.errors import StoreError, UsageError
from hashmatch.store import private, whole

PASSPHRASE = "HASHMATCH_KEY_PASSPHRASE"  # noqa: S105 - the name of a variable
"""The environment variable that has the passphrase of a private key, if it has one."""
LARGEST = 1 << 16
"""Bytes of a key file."""
LONGEST_PASSPHRASE = 1023
"""Bytes, as OpenSSL takes them."""


class PublicKey:
    """A key that lists are trusted by.

    Parameters
    ----------
    raw : bytes
        Its 32 bytes.
    """

    def __init__(self, raw: bytes) -> None:
        self.raw = bytes(raw)
        self._key = Ed25519PublicKey.from_public_bytes(self.raw)

    @property
    def key_id(self) -> str:
        """The first 16 digits of the SHA-256 of the key: a name for people, and no proof."""
        return hashlib.sha256(self.raw).hexdigest()[:16]

    def has_signed(self, data: bytes, signature: bytes) -> bool:
        """Return whether a signature over some bytes is of this key."""
        try:
            self._key.verify(signature, data)
        except InvalidSignature:
            return False
        return True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and self.raw == other.raw

    def __hash__(self) -> int:
        return hash(self.raw)

    def __repr__(self) -> str:
        return f"<PublicKey {self.key_id}>"


class PrivateKey:
    """A key that lists are signed with. It shows nothing of itself, and is never pickled.

    Examples
    --------
    >>> key = PrivateKey.generate()
    >>> key.public.has_signed(b"data", key.sign(b"data"))
    True
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.public = PublicKey(key.public_key().public_bytes_raw())

    @classmethod
    def generate(cls) -> PrivateKey:
        """Return a new key, from the system's randomness."""
        return cls(Ed25519PrivateKey.generate())

    def sign(self, data: bytes) -> bytes:
        """Return the signature of this key over some bytes, which has 64."""
        return self._key.sign(data)

    def save(self, path: str, passphrase: bytes | None = None) -> None:
        """Write it to a new file (PEM, PKCS 8), readable by its owner only.

        Parameters
        ----------
        path : str
            Raises StoreError if something is there: a key is never written over.
        passphrase : bytes, optional
            What the file is encrypted with.
        """
        hidden: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase is not None:
            if not 1 <= len(passphrase) <= LONGEST_PASSPHRASE:
                raise UsageError(f"a passphrase has 1 to {LONGEST_PASSPHRASE} bytes")
            hidden = serialization.BestAvailableEncryption(passphrase)
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        whole.write(path, self._key.private_bytes(pem, pkcs8, hidden), replace=False)

    def __repr__(self) -> str:
        return f"<PrivateKey {self.public.key_id}>"

    def __reduce__(self) -> NoReturn:
        raise UsageError("a private key is never pickled; send the path of its file instead")


def given_passphrase() -> bytes | None:
    """Return the passphrase that the environment has, if any."""
    return os.environb.get(PASSPHRASE.encode()) or None


def load_private(path: str, passphrase: bytes | None = None) -> PrivateKey:
    """Return the private key of a file.

    Parameters
    ----------
    path : str
        May be a link, as secrets that are mounted into a container are.
    passphrase : bytes, optional
        Not looked at if the file is not encrypted.

    Raises
    ------
    StoreError
        If it cannot be read, can be read by others, or holds no such key.
    """
    data = private.read(path, LARGEST, follow=True)
    is_encrypted = b"BEGIN ENCRYPTED PRIVATE KEY" in data
    if is_encrypted and passphrase is None:
        raise StoreError(f"{path} is encrypted; give its passphrase in {PASSPHRASE}")
    try:
        key = serialization.load_pem_private_key(data, passphrase if is_encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # what they say may quote the file
        told = f"or {PASSPHRASE} is not its passphrase" if is_encrypted else "or is damaged"
        raise StoreError(f"{path} holds no private key, {told}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise StoreError(f"{path} holds another kind of private key; lists take Ed25519")
    return PrivateKey(key)


def save_public(path: str, key: PublicKey) -> None:
    """Write a public key to a new file (PEM); StoreError if something is there."""
    pem, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    data = Ed25519PublicKey.from_public_bytes(key.raw).public_bytes(pem, form)
    whole.write(path, data, replace=False)


def load_public(path: str) -> PublicKey:
    """Return the public key of a file, which others may read, and may not write to.

    Raises
    ------
    StoreError
        If it cannot be read, can be changed by others, or holds no such key.
    """
    data = private.read(path, LARGEST, allow_readable=True, follow=True)
    if b"PRIVATE KEY" in data:
        raise StoreError(f"{path} holds a private key; give the public one, and keep that apart")
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise StoreError(f"{path} holds no public key, or is damaged") from None
    if not isinstance(key, Ed25519PublicKey):
        raise StoreError(f"{path} holds another kind of public key; lists take Ed25519")
    return PublicKey(key.public_bytes_raw())


def save_pair(name: str, key: PrivateKey, passphrase: bytes | None = None) -> None:
    """Write a key to NAME.key and what it is trusted by to NAME.pub, both new.

    Parameters
    ----------
    name : str
        A path without its ending.
    key : PrivateKey
        The one that signs.
    passphrase : bytes, optional
        As for `PrivateKey.save`.

    Raises
    ------
    StoreError
        If one of them is there, or cannot be written.
    """
    for path in (f"{name}.key", f"{name}.pub"):
        if os.path.lexists(path):  # before one of the two is written
            raise StoreError(f"{path} is there already, and is never written over")
    key.save(f"{name}.key", passphrase)
    save_public(f"{name}.pub", key.public)
