"""Which keys have signed a manifest, and what keys show of themselves."""

from __future__ import annotations

import base64
import copy
import importlib
import os
import re
import shutil
import subprocess
import traceback
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from hashmatch.errors import StoreError, UntrustedList, UsageError
from hashmatch.review.webhook.signing import Secrets
from hashmatch.store.encryption import list_key
from hashmatch.store.signing import (
    DOMAIN,
    PASSPHRASE,
    PrivateKey,
    PublicKey,
    Signature,
    decode,
    encode,
    given_passphrase,
    load_private,
    load_public,
    save_public,
    sign,
    verify,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SECRETS = [bytes([number]) * 32 for number in range(1, 6)]
KEYS = [PrivateKey(Ed25519PrivateKey.from_private_bytes(secret)) for secret in SECRETS]
ONE, TWO, THREE, FOUR, STRANGER = KEYS
MANIFEST = b'{"name":"demo"}'


def test_a_known_answer() -> None:
    """RFC 8032, 7.1, test 1."""
    secret = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    key = PrivateKey(Ed25519PrivateKey.from_private_bytes(secret))
    assert key.public.raw.hex() == (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
    )
    assert key.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06")
    assert key.public.key_id == "21fe31dfa154a261"


@given(st.sets(st.integers(0, 4)), st.sets(st.integers(0, 4), min_size=1), st.integers(1, 5))
def test_k_of_n(signing: set[int], trusting: set[int], needed: int) -> None:
    signatures = [sign(MANIFEST, KEYS[number]) for number in signing]
    trusted = [KEYS[number].public for number in trusting]
    expected = tuple(sorted(KEYS[number].public.key_id for number in signing & trusting))
    if needed > len(trusting):
        with pytest.raises(UsageError):
            verify(MANIFEST, signatures, trusted, needed)
    elif len(expected) < needed:
        with pytest.raises(UntrustedList, match="needed"):
            verify(MANIFEST, signatures, trusted, needed)
    else:
        assert verify(MANIFEST, signatures, trusted, needed) == expected


def test_one_key_counts_once() -> None:
    twice = [sign(MANIFEST, ONE)] * 2
    for trusted in ([ONE.public, TWO.public], [ONE.public, PublicKey(ONE.public.raw), TWO.public]):
        with pytest.raises(UntrustedList, match="2 signatures are needed, and 1 of 2 trusted keys"):
            verify(MANIFEST, twice, trusted, 2)
    with pytest.raises(UsageError, match="cannot ask for 2 signatures: there are 1 keys"):
        verify(MANIFEST, twice, [ONE.public, ONE.public], 2)


@pytest.mark.parametrize("needed", [0, -1, 3])
def test_a_number_of_signatures_that_trusts_nothing_or_all(needed: int) -> None:
    with pytest.raises(UsageError, match="cannot ask for"):
        verify(MANIFEST, [sign(MANIFEST, ONE)], [ONE.public, TWO.public], needed)
    with pytest.raises(UsageError, match="there are 0 keys"):
        verify(MANIFEST, [sign(MANIFEST, ONE)], [])


def test_missing_and_strange_signatures() -> None:
    for signatures in ([], [sign(MANIFEST, STRANGER)]):
        with pytest.raises(UntrustedList, match=r"none of 1 trusted keys signed it. Sign it "):
            verify(MANIFEST, signatures, [ONE.public])


def test_a_strangers_signature_under_a_trusted_name() -> None:
    forged = Signature(ONE.public.key_id, sign(MANIFEST, STRANGER).signature)
    for signatures in ([forged], [sign(MANIFEST, ONE), forged], [forged, sign(MANIFEST, ONE)]):
        with pytest.raises(UntrustedList, match=f"the signature of key {ONE.public.key_id} is not"):
            verify(MANIFEST, signatures, [ONE.public])


def test_signatures_of_something_else() -> None:
    """Of another manifest, of the same bytes for another purpose, or of a part of them."""
    raw = base64.b64encode(ONE.sign(MANIFEST)).decode()
    moved = base64.b64encode(ONE.sign(DOMAIN[:-1] + MANIFEST)).decode()
    others = [sign(data, ONE).signature for data in (MANIFEST + b" ", MANIFEST[:-1], b"")]
    for signature in (raw, moved, *others):
        with pytest.raises(UntrustedList):
            verify(MANIFEST, [Signature(ONE.public.key_id, signature)], [ONE.public])


def test_every_bit_of_a_manifest_and_of_its_signatures() -> None:
    data = encode([sign(MANIFEST, ONE), sign(MANIFEST, TWO)])
    trusted = [ONE.public, TWO.public]
    for place in range(len(MANIFEST) * 8):
        changed = bytearray(MANIFEST)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(UntrustedList):
            verify(bytes(changed), decode("s", data), trusted)
    for place in range(len(data) * 8):
        changed = bytearray(data)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(StoreError):
            verify(MANIFEST, decode("s", bytes(changed)), trusted, 2)
    for end in range(len(data)):
        with pytest.raises(StoreError, match="s: it is damaged, or holds no signatures"):
            decode("s", data[:end])
    assert verify(MANIFEST, decode("s", data), trusted, 2)


@pytest.mark.parametrize(
    "data", [b"null", b"{}", b"[1]", b"[[]]", b"[ ]", b"[" * 90_000, b" " * 70_000, b"\xff"]
)
def test_files_that_are_no_signatures(data: bytes) -> None:
    with pytest.raises(StoreError, match=r"s\.sig: it is damaged, or holds no signatures"):
        decode("s.sig", data)
    assert decode("s.sig", encode([])) == ()


def test_one_signature_has_one_text() -> None:
    good = sign(MANIFEST, ONE)
    assert msgspec.json.decode(encode([good])) == [
        {"key_id": ONE.public.key_id, "signature": good.signature}
    ]
    same = good.signature[:-3] + chr(ord(good.signature[-3]) + 1) + "=="
    assert base64.b64decode(same) == base64.b64decode(good.signature)
    with pytest.raises(ValueError, match="no base64"):
        Signature(ONE.public.key_id, same)
    assert encode([sign(MANIFEST, ONE), sign(MANIFEST, TWO)]) == encode(
        [sign(MANIFEST, TWO), sign(MANIFEST, ONE)]
    )


@pytest.mark.parametrize("passphrase", [None, b"correct horse \xff battery"])
def test_keys_in_files(tmp_path: Path, passphrase: bytes | None) -> None:
    path, public = str(tmp_path / "a.key"), str(tmp_path / "a.pub")
    ONE.save(path, passphrase)
    save_public(public, ONE.public)
    assert os.stat(path).st_mode & 0o777 == 0o600
    assert load_private(path, passphrase).public == load_public(public) == ONE.public
    for again in (partial(TWO.save, path), partial(save_public, public, TWO.public)):
        with pytest.raises(StoreError, match="it is there already, and is never written over"):
            again()
    assert load_public(public) == ONE.public
    if passphrase is None:
        assert load_private(path, b"not needed").public == ONE.public
    else:
        with pytest.raises(
            StoreError, match=f"it is encrypted. Give its passphrase in {PASSPHRASE}"
        ):
            load_private(path)
        with pytest.raises(StoreError, match=f"or {PASSPHRASE} is not its passphrase"):
            load_private(path, b"wrong")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o602, 0o644])
def test_a_private_key_that_others_can_read(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.key"
    ONE.save(str(path))
    path.chmod(mode)
    link = tmp_path / "link.key"
    link.symlink_to(path)
    for name in (path, link):
        with pytest.raises(StoreError, match=r"by others\. Close it with chmod"):
            load_private(str(name))


def test_a_public_key_that_others_can_change(tmp_path: Path) -> None:
    path = tmp_path / "a.pub"
    save_public(str(path), ONE.public)
    path.chmod(0o644)
    assert load_public(str(path)) == ONE.public
    path.chmod(0o664)
    with pytest.raises(StoreError, match="can be changed by others"):
        load_public(str(path))


def test_files_that_hold_no_key(tmp_path: Path) -> None:
    ONE.save(str(tmp_path / "ed25519"))
    other = X25519PrivateKey.generate()
    pem = serialization.Encoding.PEM
    texts = {
        "empty": b"",
        "text": b"hello",
        "cut": (tmp_path / "ed25519").read_bytes()[:60],
        "large": b" " * 70_000,
        "private": other.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
        "public": other.public_key().public_bytes(
            pem, serialization.PublicFormat.SubjectPublicKeyInfo
        ),
    }
    for name, data in texts.items():
        path = tmp_path / name
        path.touch(0o600)
        path.write_bytes(data)
        for load in (load_private, load_public):
            with pytest.raises(StoreError, match=f"{name}: ") as raised:
                load(str(path))
            assert "\n" not in str(raised.value)
    with pytest.raises(StoreError, match=r"it holds a private key. Give the public one"):
        load_public(str(tmp_path / "ed25519"))
    with pytest.raises(StoreError, match=r"cannot read .*: No such file"):
        load_private(str(tmp_path / "none"))


def test_a_passphrase_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSPHRASE, raising=False)
    assert given_passphrase() is None
    monkeypatch.setenv(PASSPHRASE, "secret")
    assert given_passphrase() == b"secret"
    for wrong in (b"", b"x" * 1024):
        with pytest.raises(UsageError, match="Give one of 1 to 1023 bytes"):
            ONE.save("nowhere", wrong)


def test_a_key_shows_nothing_and_is_never_pickled() -> None:
    shown = f"{ONE!r} {ONE} {[ONE]} {ONE.public!r} {vars(ONE)}"
    for form in (SECRETS[0].hex(), repr(SECRETS[0]), base64.b64encode(SECRETS[0]).decode()):
        assert form not in shown
    assert repr(ONE) == f"<PrivateKey {ONE.public.key_id}>"
    for attempt in (importlib.import_module("pickle").dumps, copy.copy, copy.deepcopy):
        with pytest.raises(UsageError, match="cannot pickle") as raised:
            attempt(ONE)
        assert SECRETS[0].hex() not in "".join(traceback.format_exception(raised.value))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl to compare with")
def test_openssl_reads_the_files_and_agrees(tmp_path: Path) -> None:
    path, data = tmp_path / "a.key", tmp_path / "data"
    ONE.save(str(path))
    data.write_bytes(DOMAIN + MANIFEST)
    command = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", str(path), "-in", str(data)]
    made = subprocess.run(command, capture_output=True, check=True).stdout
    assert made == sign(MANIFEST, ONE).raw


@pytest.mark.parametrize("load", [load_public, load_private, list_key, Secrets.load])
def test_a_secret_that_is_missing_is_no_list(tmp_path: Path, load: Callable[[str], object]) -> None:
    path = str(tmp_path / "secret")
    said = f"cannot read {path}: No such file or directory. Give another path."
    if load == Secrets.load:
        said += f" Or run hashmatch review webhook secret {path}."
    with pytest.raises(StoreError, match=f"^{re.escape(said)}$"):
        load(path)
