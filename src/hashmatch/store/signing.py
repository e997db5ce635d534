"""Signatures of lists: Ed25519 keys, which are trusted, how many are needed, and expiry.

The algorithm is that of RFC 8032, in OpenSSL's code; the files are PEM (RFC 7468), which
``openssl pkey`` reads too.

What is signed is not the manifest alone but a text before it too, so that no signature that was
made for anything else is one of a list.
"""

from __future__ import annotations

import base64
import hashlib
import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, NoReturn

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from hashmatch._files import atomic, private
from hashmatch.errors import StoreError, UntrustedList, UsageError
from hashmatch.records.typed import from_json
from hashmatch.store.manifest import KeyId  # noqa: TC001 - msgspec reads the annotation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashmatch.store.rollback import Marks

PASSPHRASE = "HASHMATCH_KEY_PASSPHRASE"  # noqa: S105 - the name of a variable
"""The environment variable that has the passphrase of a private key, if it has one."""
LARGEST_KEY = 1 << 16
"""Bytes of a key file."""
LONGEST_PASSPHRASE = 1023
"""Bytes, as OpenSSL takes them."""


class PublicKey:
    """A key that lists are trusted by, of 32 bytes."""

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

    Parameters
    ----------
    key : Ed25519PrivateKey
        As `cryptography` has it; `generate` and `load_private` make one.

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
        """Return the signature of this key, 64 bytes.

        Parameters
        ----------
        data : bytes
            What is signed.
        """
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
                raise UsageError(
                    f"cannot use the passphrase. Give one of 1 to {LONGEST_PASSPHRASE} bytes"
                )
            hidden = serialization.BestAvailableEncryption(passphrase)
        pem, pkcs8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
        atomic.write(path, self._key.private_bytes(pem, pkcs8, hidden), replace=False)

    def __repr__(self) -> str:
        return f"<PrivateKey {self.public.key_id}>"

    def __reduce__(self) -> NoReturn:
        raise UsageError("cannot pickle a private key. Send the path of its file instead")


def given_passphrase() -> bytes | None:
    """Return the passphrase that the environment has, if any."""
    return os.environb.get(PASSPHRASE.encode()) or None


def load_private(path: str, passphrase: bytes | None = None) -> PrivateKey:
    """Return the private key of a file, which may be a link, as secrets in a container are.

    The passphrase is not looked at if it is not encrypted. StoreError if it cannot be read, can be
    read by others, or holds no such key.
    """
    data = private.read(path, LARGEST_KEY, follow=True)
    is_encrypted = b"BEGIN ENCRYPTED PRIVATE KEY" in data
    if is_encrypted and passphrase is None:
        raise StoreError(
            f"cannot read {path}: it is encrypted. Give its passphrase in {PASSPHRASE}"
        )
    try:
        key = serialization.load_pem_private_key(data, passphrase if is_encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # what they say may quote the file
        told = f"or {PASSPHRASE} is not its passphrase" if is_encrypted else "or is damaged"
        raise StoreError(f"cannot use {path}: it holds no private key, {told}") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise StoreError(
            f"cannot use {path}: it holds another kind of private key. Lists take Ed25519"
        )
    return PrivateKey(key)


def save_public(path: str, key: PublicKey) -> None:
    """Write a public key to a new file (PEM); StoreError if something is there."""
    pem, form = serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    data = Ed25519PublicKey.from_public_bytes(key.raw).public_bytes(pem, form)
    atomic.write(path, data, replace=False)


def load_public(path: str) -> PublicKey:
    """Return the public key of a file, which others may read, and may not write to.

    StoreError if it cannot be read, can be changed by others, or holds no such key.
    """
    data = private.read(path, LARGEST_KEY, public=True, follow=True)
    if b"PRIVATE KEY" in data:
        raise StoreError(
            f"cannot use {path}: it holds a private key. Give the public one, and keep that apart"
        )
    try:
        key = serialization.load_pem_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise StoreError(f"cannot use {path}: it holds no public key, or is damaged") from None
    if not isinstance(key, Ed25519PublicKey):
        raise StoreError(
            f"cannot use {path}: it holds another kind of public key. Lists take Ed25519"
        )
    return PublicKey(key.public_bytes_raw())


def save_pair(name: str, key: PrivateKey, passphrase: bytes | None = None) -> None:
    """Write a key to NAME.key and what it is trusted by to NAME.pub, both new.

    `name` is a path without its ending. StoreError if one of them is there, or cannot be written.
    """
    for path in (f"{name}.key", f"{name}.pub"):
        if os.path.lexists(path):  # before one of the two is written
            raise StoreError(f"cannot write {path}: it is there already, and is never written over")
    key.save(f"{name}.key", passphrase)
    save_public(f"{name}.pub", key.public)


DOMAIN = b"hashmatch.list/1 manifest\n"
"""Comes before the manifest in what is signed."""
LARGEST_SIGNATURE = 1 << 16
"""Bytes of a file of signatures."""


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signature, in base64, and the id of the key that it was made with."""

    key_id: KeyId
    signature: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9+/]{86}==\Z")]

    def __post_init__(self) -> None:
        # The last digit has four bits that say nothing: one signature, one text.
        if base64.b64encode(self.raw).decode() != self.signature:
            raise ValueError("no base64 of 64 bytes")

    @property
    def raw(self) -> bytes:
        """The 64 bytes of the signature."""
        return base64.b64decode(self.signature)


def sign(manifest: bytes, key: PrivateKey) -> Signature:
    """Return the signature of a key over the bytes of a manifest."""
    return Signature(key.public.key_id, base64.b64encode(key.sign(DOMAIN + manifest)).decode())


def encode(signatures: Sequence[Signature]) -> bytes:
    """Return the bytes of a file of signatures."""
    return msgspec.json.encode(sorted(signatures, key=lambda s: (s.key_id, s.signature)))


def decode(path: str, data: bytes) -> tuple[Signature, ...]:
    """Return the signatures that some bytes are; `path` is for messages.

    StoreError if they are none, or are written in another way than `encode` does.
    """
    try:
        if len(data) > LARGEST_SIGNATURE:
            raise ValueError
        signatures = from_json(data, tuple[Signature, ...])
        if encode(signatures) != data:
            raise ValueError
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise StoreError(
            f"cannot read {path}: it is damaged, or holds no signatures. Sign the list again"
        ) from None
    return signatures


def verify(
    manifest: bytes, signatures: Sequence[Signature], trusted: Sequence[PublicKey], needed: int = 1
) -> tuple[str, ...]:
    """Return the ids of the trusted keys that have signed the bytes of a manifest, in order.

    Signatures of other keys are passed over: a list may be signed for several platforms, and with
    the old and the new key when it changes. One of a trusted key that is not its signature over
    this manifest refuses it, however many others are. A key that is there, or has signed, twice
    counts once.

    UntrustedList if fewer than `needed` have; UsageError if that is not from one to the number of
    keys: nothing or all would be trusted.

    Examples
    --------
    >>> from hashmatch.store.signing import PrivateKey
    >>> key = PrivateKey.generate()
    >>> verify(b"...", [sign(b"...", key)], [key.public]) == (key.public.key_id,)
    True
    """
    keys = set(trusted)
    if not 1 <= needed <= len(keys):
        raise UsageError(f"cannot ask for {needed} signatures: there are {len(keys)} keys")
    signed: set[PublicKey] = set()
    for one in signatures:
        for key in keys:
            if key.key_id != one.key_id:
                continue
            if not key.has_signed(DOMAIN + manifest, one.raw):
                raise UntrustedList(
                    f"cannot trust this manifest: the signature of key {key.key_id} is not "
                    "over it. Restore the version, or import the list again"
                )
            signed.add(key)
    if len(signed) < needed:
        asked = "its signature by a trusted key is" if needed == 1 else f"{needed} signatures are"
        raise UntrustedList(
            f"cannot trust the list: {asked} needed, and {len(signed) or 'none'} of "
            f"{len(keys)} trusted keys signed it. Sign it (hashmatch list sign), or "
            "trust the key that did (--trust)"
        )
    return tuple(sorted(key.key_id for key in signed))


GRACE = timedelta(days=7)
"""How long a list is used after it has expired, by default."""


def check_fresh(
    marks: Marks, expires: datetime | None, *, now: datetime | None = None, grace: timedelta = GRACE
) -> str | None:
    """Refuse a list that expired longer than `grace` ago; return a warning if it has just expired.

    Who holds back updates can serve an old list for ever, and every signature of it is right; only
    its age shows it. If it was last used, as its marks say, later than the clock says it is, then
    the clock is wrong, and that time counts. Without `expires` a list never does.
    """
    moment = now or datetime.now(UTC)
    clock = ""
    if marks.used is not None and marks.used > moment:
        clock = f" (the clock is behind: the list was last used at {marks.used:%Y-%m-%d %H:%M} UTC)"
        moment = marks.used
    if expires is None or moment <= expires:
        return None
    told = f"the list has expired at {expires:%Y-%m-%d %H:%M} UTC{clock}"
    if moment > expires + grace:
        raise UntrustedList(f"cannot use the list: {told}, longer ago than allowed. Update it")
    return f"{told}; update it by {expires + grace:%Y-%m-%d}"


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom to believe that a list is what it says.

    Parameters
    ----------
    keys : sequence of PublicKey
        Without any, nobody's signature is asked for: a list is then only as good as its folder.
    needed : int
        How many of them have to have signed.
    grace : timedelta
        How long a list is used after it has expired.

    Raises
    ------
    UsageError
        If more signatures are needed than there are keys, or none.

    Examples
    --------
    >>> from hashmatch.store.signing import PrivateKey
    >>> Trust([PrivateKey.generate().public]).needed
    1
    """

    keys: Sequence[PublicKey] = ()
    needed: int = 1
    grace: timedelta = GRACE

    def __post_init__(self) -> None:
        count = len(set(self.keys))
        if not 1 <= self.needed <= max(1, count):
            raise UsageError(f"cannot ask for {self.needed} signatures: there are {count} keys")

    def check(self, data: bytes, signed: Sequence[Signature]) -> tuple[str, ...]:
        """Return the ids of the keys that signed a manifest; UntrustedList if too few did.

        Parameters
        ----------
        data : bytes
            The manifest.
        signed : sequence of Signature
            All that there are over it.
        """
        if not self.keys:
            return ()
        return verify(data, signed, self.keys, self.needed)
