"""Kills processes that change a list store, and looks at what they leave; run by its tests.

    python crash_stores.py FOLDER {import,update,rewrite} {everywhere,SECONDS} TRIALS

``everywhere`` kills before each call that changes something on the disk, one after the other;
SECONDS is how long a change may take before it is killed, at random.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import hashmatch as hm
from list_stores import KEY, answers, open_store, page, rows

if TYPE_CHECKING:
    from collections.abc import Callable

CALLS = "write", "pwrite", "fsync", "rename", "replace", "link", "unlink", "mkdir", "ftruncate"
FIRST, MORE = rows(40), rows(3, seed=2, name="more")
REWRITTEN = rows(38)


def change(store: hm.ListStore, how: str, folder: Path) -> None:
    if how == "import":
        store.import_files([page(folder, FIRST, "first")], hm.Change(signer=KEY))
    elif how == "update":
        store.update_files([page(folder, MORE, "more")], hm.Change(signer=KEY))
    else:
        store.import_files([page(folder, REWRITTEN, "again")], hm.Change(signer=KEY))


def count_calls(before: Callable[[int], None]) -> None:
    """Have `before` told the number of each call that changes something on the disk."""
    count = 0

    def counting(function: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **options: object) -> object:
            nonlocal count
            count += 1
            before(count)
            return function(*args, **options)

        return call

    for name in CALLS:
        setattr(os, name, counting(getattr(os, name)))


def killed(store: hm.ListStore, how: str, folder: Path, place: int, delay: float) -> bool:
    """Change a store in a process that is killed at a place, or after a while; whether it was."""
    child = os.fork()
    if not child:
        try:
            if place:
                count_calls(lambda n: os.kill(os.getpid(), signal.SIGKILL) if n == place else None)
            change(store, how, folder)
            os._exit(0)
        except BaseException as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
            os._exit(1)
    if not place:
        time.sleep(delay)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert status in {0, signal.SIGKILL}, "the change failed by itself"
    return status != 0


def check(store: hm.ListStore, how: str, expected: dict[str, list[tuple[str, ...]]]) -> str:
    """Check that the version before or the one after serves, and return which."""
    if how == "import" and not os.path.exists(store.folder.inside("versions", "00000001.json")):
        assert os.path.isdir(store.path) or not os.path.lexists(store.path)
        return "0"
    (known,) = store.open()
    assert not known.problems, known.problems
    assert answers(store, QUERIES) == expected[known.version], known.version
    assert not any(problems for _, problems in store.verify())
    return known.version


def check_clean(store: hm.ListStore) -> None:
    """Check that there is nothing in a store that no version needs."""
    versions = store.folder.versions()
    named = {file.sha256 for v in versions for file in store.folder.manifest(v)[1].files}
    names = {f"{v:08}.{suffix}" for v in versions for suffix in ("json", "sig")}
    assert set(os.listdir(store.folder.inside("versions"))) == names
    assert set(os.listdir(store.folder.inside("files"))) == named
    assert set(os.listdir(store.folder.inside("copies"))) <= named | {"secret.key"}
    outside = {"versions", "files", "copies", "marks.json", "marks.json.lock", "secret.key", "lock"}
    assert set(os.listdir(store.path)) == outside


QUERIES = hm.HashBatch.from_hex(hm.HashSpec("pdq", 256), [row["hash"] for row in FIRST + MORE])


def main(folder: Path, how: str, when: str, trials: int) -> None:
    from hashmatch.store import compaction

    compaction.SHARED_FROM = 4
    # Everything is imported and compiled before the first fork, and what is right is known.
    expected: dict[str, list[tuple[str, ...]]] = {}
    pristine, done = open_store(folder / "before"), open_store(folder / "after")
    if how != "import":
        change(pristine, "import", folder)
        expected["1"] = answers(pristine, QUERIES)
        shutil.copytree(pristine.path, done.path)
    change(done, how, folder)
    expected[done.open()[0].version] = answers(done, QUERIES)
    ended: dict[str, int] = {}
    rng = random.Random(1)
    for trial in range(trials):
        place = trial + 1 if when == "everywhere" else 0
        store = open_store(folder / "trial")
        if how != "import":
            shutil.copytree(pristine.path, store.path)
        delay = 0 if place else rng.uniform(0, float(when))
        was_killed = killed(store, how, folder, place, delay)
        version = check(store, how, expected)
        ended[version] = ended.get(version, 0) + 1
        assert was_killed or version == max(expected)
        change(store, "import" if how == "import" else "rewrite", folder)
        assert int(store.open()[0].version) == int(version) + 1
        check_clean(store)
        shutil.rmtree(store.path)
        if place and not was_killed:
            break  # there are no more places
    else:
        assert when != "everywhere", "there are more places"
    sys.stdout.write(f"{sum(ended.values())} {ended}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))
