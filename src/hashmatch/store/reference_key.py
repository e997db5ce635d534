"""The secret of a store that references to entries are made with: kept twice, and checked."""

from __future__ import annotations

import hashlib
import os
import secrets
from typing import TYPE_CHECKING

from hashmatch._files import atomic, private
from hashmatch.errors import StoreError
from hashmatch.store import encryption
from hashmatch.store.encryption import KEY

if TYPE_CHECKING:
    from hashmatch.store.encryption import ListKey
    from hashmatch.store.layout import Folder

PLACES = ("secret.key",), ("copies", "secret.key")
SECRET = 32
"""Bytes."""
CHECK = 16
"""Bytes after it that depend on all of it, so that no bit changes unnoticed, and references too."""
LARGEST = 1 << 10


def keep(folder: Folder, key: ListKey | None) -> None:
    """Make the secret if there is none, encrypted if there is a key; repair it if one is damaged.

    StoreError if both are damaged: a new one would give every entry without an id another name.
    """
    paths = [folder.inside(*names) for names in PLACES]
    if any(map(os.path.lexists, paths)):
        problems: list[str] = []
        secret = read(folder, key, problems)
        if not problems and (key is None or all(map(_is_encrypted, paths))):
            return
    else:
        secret = secrets.token_bytes(SECRET)
    for path in paths:
        if key is None:
            atomic.write(path, secret + _check(secret))
        else:
            encryption.encrypt(path, [secret + _check(secret)], key)


def read(folder: Folder, key: ListKey | None, problems: list[str]) -> bytes:
    """Return the secret; what is wrong with the one of two that does not serve is a problem."""
    found: bytes | None = None
    wrong = []
    for names in PLACES:
        path = folder.inside(*names)
        try:
            secret = _read(path, key, folder.allow_readable)
            if found is not None and secret != found:
                raise StoreError(f"cannot use {path}: it is of another store. Remove it")
            found = secret
        except StoreError as error:
            wrong.append(str(error))
    if found is None:
        raise StoreError(
            "; ".join(wrong)
            + "; restore one, or remove both: then import again, and entries without an id get "
            "other references"
        )
    problems += wrong
    return found


def _read(path: str, key: ListKey | None, allow_readable: bool) -> bytes:
    data = private.read(path, LARGEST, allow_readable=allow_readable)
    if data.startswith(encryption.MAGIC):
        if key is None:
            raise StoreError(
                f"cannot read {path}: it is encrypted. Give the key of the list in {KEY}"
            )
        with private.opened(path, allow_readable=allow_readable) as file:
            data = b"".join(encryption.decrypt(path, file, key))
    secret = data[:SECRET]
    if len(secret) < SECRET or data != secret + _check(secret):
        raise StoreError(f"cannot read {path}: it is damaged")
    return secret


def _check(secret: bytes) -> bytes:
    """Return a keyed BLAKE2b (RFC 7693) of nothing."""
    return hashlib.blake2b(key=secret, digest_size=CHECK, person=b"hashmatch-secret").digest()


def _is_encrypted(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(len(encryption.MAGIC)) == encryption.MAGIC
