"""Signatures over manifests: which keys have signed one, and whether that is enough of them.

What is signed is not the manifest alone but a text before it too, so that no signature that was
made for anything else is one of a list.
"""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Annotated

import msgspec

from hashmatch.errors import StoreError, UntrustedList, UsageError
from hashmatch.store.manifest import KeyId  # noqa: TC001 - msgspec reads the annotation

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hashmatch.store.keys import PrivateKey, PublicKey

DOMAIN = b"hashmatch.list/1 manifest\n"
"""Comes before the manifest in what is signed."""
LARGEST = 1 << 16
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

    Raises
    ------
    StoreError
        If they are none, or are written in another way than `encode` does.
    """
    try:
        if len(data) > LARGEST:
            raise ValueError
        signatures = msgspec.json.decode(data, type=tuple[Signature, ...], strict=True)
        if encode(signatures) != data:
            raise ValueError
    except (msgspec.MsgspecError, ValueError, RecursionError):
        raise StoreError(
            f"{path} is damaged, or holds no signatures; sign the list again"
        ) from None
    return signatures


def verify(
    manifest: bytes, signatures: Sequence[Signature], trusted: Sequence[PublicKey], needed: int = 1
) -> tuple[str, ...]:
    """Return the ids of the trusted keys that have signed a manifest, in order.

    Parameters
    ----------
    manifest : bytes
        Exactly as they are in its file.
    signatures : sequence of Signature
        Those of other keys are passed over: a list may be signed for several platforms, and with
        the old and the new key when it changes. One of a trusted key that is not its signature
        over this manifest refuses it, however many others are.
    trusted : sequence of PublicKey
        A key that is there twice counts once.
    needed : int
        How many of them have to have signed. One that has signed twice counts once.

    Raises
    ------
    UntrustedList
        If fewer have.
    UsageError
        If `needed` is not from one to the number of keys: nothing or all would be trusted.

    Examples
    --------
    >>> from hashmatch.store.keys import PrivateKey
    >>> key = PrivateKey.generate()
    >>> verify(b"...", [sign(b"...", key)], [key.public]) == (key.public.key_id,)
    True
    """
    keys = set(trusted)
    if not 1 <= needed <= len(keys):
        raise UsageError(f"{needed} signatures are asked for, and there are {len(keys)} keys")
    signed: set[PublicKey] = set()
    for one in signatures:
        for key in keys:
            if key.key_id != one.key_id:
                continue
            if not key.has_signed(DOMAIN + manifest, one.raw):
                raise UntrustedList(
                    f"the signature of key {key.key_id} is not over this manifest; "
                    "restore the version, or import the list again"
                )
            signed.add(key)
    if len(signed) < needed:
        asked = "its signature by a trusted key is" if needed == 1 else f"{needed} signatures are"
        raise UntrustedList(
            f"{asked} needed, and {len(signed) or 'none'} of {len(keys)} trusted keys signed it; "
            "sign it, or trust the key that did"
        )
    return tuple(sorted(key.key_id for key in signed))
