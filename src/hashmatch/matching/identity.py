"""What answers depend on, as one digest: the same digest, the same answers to the same pictures.

Record ids, the state of a scan and kept hashes go by it. Whatever is added to the rules of a
`Matcher` has to be added here.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from hashmatch import registry
from hashmatch.decode.policy import POLICY

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from hashmatch.lists.exclusions import Disabled
    from hashmatch.matching.suppression import Protection
    from hashmatch.records.hash_list import HashList
    from hashmatch.records.hashes import HashSpec

ANSWERS = 3
"""Raise it whenever the same picture and the same rules come to another answer than before."""


def matcher_identity(
    lists: Iterable[HashList], protection: Protection, rules: Mapping[str, object]
) -> str:
    """Return the digest of all that the answers of a matcher depend on, in hexadecimal.

    The order of its lists makes no difference. `rules` are its other options: values of one
    ``repr`` are one rule. No secrets: see `key_digest`.
    """
    lists, breaker = list(lists), protection.breaker
    specs = {known.spec for known in (*lists, *protection.lists)}
    parts = {
        "answers": ANSWERS,
        "decode_policy": POLICY,
        "hashers": sorted(map(_hasher, specs)),
        "lists": sorted(map(_list, lists)),
        "benign": sorted(map(_list, protection.lists)),
        "min_sources": protection.min_sources,
        "suppress_chrome": protection.suppress_chrome,
        "breaker": None if breaker is None else (breaker.limit, breaker.window),
        **rules,
    }
    return hashlib.blake2b(
        repr(parts).encode(), digest_size=16, person=b"hashmatch-answer"
    ).hexdigest()


def key_digest(key: bytes | None) -> str | None:
    """Return what tells a reference key from others, and says nothing of it."""
    if key is None:
        return None
    return hashlib.blake2b(key=key, digest_size=16, person=b"hashmatch-refkey").hexdigest()


def snapshot_name(
    lists: Iterable[HashList], used: Iterable[HashList], disabled: Iterable[Disabled]
) -> str:
    """Return the name of a snapshot: its lists, their versions, and what is left out of each.

    What is left out is named by how many entries that is, and a digest of which.
    """
    named = sorted({(each.list, each.entry) for each in disabled})
    names: dict[str, int] = {}
    ends: dict[str, str] = {}
    for known, kept in zip(lists, used, strict=True):
        name = f"{known.name}@{known.version}"
        names[name] = names.get(name, 0) + len(known) - len(kept)
        of_list = repr([entry for list_name, entry in named if list_name == known.name])
        ends[name] = hashlib.blake2b(of_list.encode(), digest_size=4).hexdigest()
    return ",".join(f"{name}-{out}.{ends[name]}" if out else name for name, out in names.items())


def _list(known: HashList) -> tuple[str, ...]:
    return known.name, known.version, known.spec.algorithm, known.digest


def _hasher(spec: HashSpec) -> tuple[Any, ...]:
    hasher = registry.hasher(spec.algorithm)
    return (
        spec.algorithm, spec.bits, hasher.max_distance, hasher.min_quality, hasher.min_side,
        registry.maker(registry.HASHERS, spec.algorithm),
    )  # fmt: skip
