"""Makes list stores of made-up hashes, and says what is in them; shared by the tests of stores."""

from __future__ import annotations

import json
import os
from collections import Counter
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import hashmatch as hm
from hashmatch.store.compaction import SHARED_FROM
from hashmatch.store.signing import PrivateKey
from hashmatch.testing import random_hashes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pytest

    from hashmatch.store.encryption import ListKey

NOW = datetime(2026, 1, 1, tzinfo=UTC)
KEY = PrivateKey.generate()
TRUST = hm.Trust([KEY.public])
PHASH, MD5, PDQ = hm.HashSpec("phash", 64), hm.HashSpec("md5", 128), hm.HashSpec("pdq", 256)

Rows = list[dict[str, Any]]


def lower_sharing(patch: pytest.MonkeyPatch, least: int = 4) -> None:
    """Have updates of lists this short write only what they change, as those of long ones do."""
    assert least < SHARED_FROM
    patch.setattr("hashmatch.store.compaction.SHARED_FROM", least)


def rows(count: int, seed: int = 1, spec: hm.HashSpec = PDQ, name: str = "n") -> Rows:
    """Rows of a list, each with an id."""
    texts = random_hashes(spec, count, seed=seed).to_hex()
    return [
        {"hash": text, "algorithm": spec.algorithm, "id": f"{name}{number}"}
        for number, text in enumerate(texts)
    ]


def page(folder: Path, lines: Sequence[dict[str, Any]], name: str = "page.jsonl") -> str:
    """Write a page of a list, and return its path."""
    path = folder / name
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return str(path)


def open_store(path: Path | str, **options: Any) -> hm.ListStore:
    """A store as its owner opens it."""
    return hm.ListStore(path, **{"trust": TRUST, "now": NOW, **options})


def make(
    folder: Path, *parts: Sequence[dict[str, Any]], key: ListKey | None = None, **change: Any
) -> hm.ListStore:
    """Make a store with a signed version of the first of `parts`, and an update of each other."""
    store = open_store(folder / "store", key=key)
    for number, part in enumerate(parts):
        act = store.update_files if number else store.import_files
        act([page(folder, part)], hm.Change(signer=KEY, **change))
    return store


def held(store: hm.ListStore) -> Counter[tuple[str | None, str, str, tuple[str, ...]]]:
    """All that is matched: (id, algorithm, hash, labels)."""
    found: Counter[tuple[str | None, str, str, tuple[str, ...]]] = Counter()
    for known in store.open():
        texts = known.hashes.to_hex()
        for text, entry in zip(texts, known.entries, strict=True):
            found[entry.external_id, known.spec.algorithm, text, entry.labels] += 1
    return found


def ids(store: hm.ListStore) -> set[str | None]:
    """Ids of all that is matched."""
    return {name for name, *_ in held(store)}


def answers(store: hm.ListStore, queries: hm.HashBatch) -> list[tuple[str, ...]]:
    """What a matcher with the list finds of each query."""
    matcher = hm.Matcher(*store.open(queries.spec.algorithm))
    return [tuple(match.entry for match in found.matches) for found in matcher.look_up(queries)]


def files(store: hm.ListStore) -> Iterator[str]:
    """Paths of all files of a store that hold something."""
    for folder, _, names in sorted(os.walk(store.path)):
        for name in sorted(names):
            path = os.path.join(folder, name)
            if os.path.getsize(path):
                yield path
