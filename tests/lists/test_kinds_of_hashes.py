"""Lists of another kind of hash than they are taken for are told, and those of other tools read."""

from __future__ import annotations

import io
import json
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import hashmatch as hm
from foreign_lists import COUNT, WRITE, drawn, foreign, own
from hashmatch import registry
from hashmatch.errors import StoreError, UsageError
from hashmatch.lists.kinds import Sample, suspicion
from hashmatch.testing import picture, random_hashes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

HASHES = ("pdq", "phash", "dhash", "ahash", "whash")


def batch(algorithm: str, texts: Sequence[str]) -> hm.HashBatch:
    return hm.HashBatch.from_hex(registry.spec(algorithm), texts)


@cache
def long_phash() -> tuple[str, ...]:
    """256 bits of `imagehash.phash(hash_size=16)`."""
    imagehash = pytest.importorskip("imagehash")
    pictures = [Image.fromarray(drawn(seed)) for seed in range(COUNT)]
    return tuple(str(imagehash.phash(each, hash_size=16)) for each in pictures)


def blockhash(seed: int, off: int = 0) -> str:
    """Blockhash as its authors describe it: blocks above the median of their quarter."""
    grey = Image.fromarray(drawn(seed)).convert("L").resize((16, 16), Image.Resampling.BOX)
    quarters = np.asarray(grey, float).reshape(4, 64) + np.arange(64) / 1000
    return np.packbits(quarters.argsort(1).argsort(1) >= 32 + off).tobytes().hex()


def listed(texts: Sequence[str]) -> io.BytesIO:
    return io.BytesIO("".join(f"{text},{n}\n" for n, text in enumerate(texts)).encode())


def file(texts: Sequence[str], **options: object) -> hm.ListFile:
    told = hm.ListFormat(reader="pdq-text", **options)  # type: ignore[arg-type]
    return hm.read_list_file(listed(texts), told, name="made")


@pytest.mark.parametrize("algorithm", HASHES)
@pytest.mark.parametrize("pictures", [drawn, picture])
def test_genuine_lists_are_not_suspected(
    algorithm: str, pictures: Callable[[int], np.ndarray]
) -> None:
    hasher = registry.hasher(algorithm)
    hashes = [hasher.hash(pictures(seed))[0].to_hex()[0] for seed in range(COUNT)]
    for count in (20, COUNT):
        assert suspicion(Sample(batch(algorithm, hashes[:count]))) is None


@pytest.mark.parametrize("algorithm", [*HASHES, "md5", "sha1", "sha256"])
def test_made_up_hashes_are_not_suspected(algorithm: str) -> None:
    for count in (1, 20, 2000):
        assert suspicion(Sample(random_hashes(registry.spec(algorithm), count, seed=count))) is None


def test_one_hash_many_times_is_no_population() -> None:
    assert suspicion(Sample(batch("pdq", [own("pdq")[0]] * 500))) is None
    assert suspicion(Sample(batch("phash", ["7" + own("phash")[0][1:]] * 500))) is None


@pytest.mark.parametrize(
    ("algorithm", "texts", "kind"),
    [
        ("pdq", lambda: [blockhash(seed) for seed in range(COUNT)], "blockhash"),
        ("pdq", lambda: [blockhash(seed, 1) for seed in range(COUNT)], "npm image-hash"),
        ("pdq", long_phash, "pHash of 256 bits"),
        ("pdq", lambda: [WRITE["binary"](text) for text in own("phash")], "binary digits"),
        ("phash", lambda: foreign("phash", "reversed"), "phash with its bits reversed"),
        ("phash", lambda: foreign("phash", "inverted"), "phash with its bits inverted"),
        ("phash", lambda: foreign("phash", "bytes-reversed"), "phash with its bits bytes-reversed"),
        ("dhash", lambda: own("phash"), "phash"),
        ("ahash", lambda: own("phash"), "phash"),
        ("whash", lambda: own("phash"), "phash"),
        ("phash", lambda: own("whash"), "whash"),
        ("phash", lambda: own("dhash"), "ahash, dhash or the like"),
        ("sha256", lambda: own("pdq"), "hashes of pictures, such as PDQ"),
    ],
)
def test_another_kind_is_named_and_refused_unless_accepted(
    tmp_path: Path, algorithm: str, texts: Callable[[], Sequence[str]], kind: str
) -> None:
    told = f"these {COUNT} {algorithm} entries are probably {kind}: "
    read = file(texts(), algorithm=algorithm)
    assert [warning.startswith(told) for warning in read.warnings[:1]] == [True]
    path = tmp_path / "page.txt"
    path.write_bytes(listed(texts()).read())
    change = hm.Change(format=hm.ListFormat(algorithm))
    with pytest.raises(StoreError, match=kind) as refused:
        hm.ListStore(tmp_path / "store").import_files([str(path)], change)
    shown = f"{refused.value} {read.warnings}"
    assert not any(text in shown for text in texts())
    accepted = hm.Change(format=hm.ListFormat(algorithm), accept=["kind"])
    made = hm.ListStore(tmp_path / "store").import_files([str(path)], accepted)
    assert any(problem.startswith(told) for problem in made.problems)


def test_digests_in_place_of_pdq_are_a_remark() -> None:
    texts = random_hashes(registry.spec("sha256"), 50, seed=1).to_hex()
    assert ["SHA-256" in remark for remark in file(texts).remarks] == [True]
    assert file(own("pdq")).remarks == ()


def test_zeros_in_front_that_are_lost(tmp_path: Path) -> None:
    texts = ["00" + text[2:] if n % 5 == 0 else text for n, text in enumerate(own("dhash"))]
    bare = [text.lstrip("0") for text in texts]
    read = file(bare, algorithm="dhash")
    assert any("--encoding hex-unpadded" in warning for warning in read.warnings)
    whole = file(bare, algorithm="dhash", encoding="hex-unpadded")
    assert sorted(whole.lists[0].hashes.to_hex()) == sorted(texts)
    path = tmp_path / "page.txt"
    path.write_bytes(listed(bare).read())
    with pytest.raises(StoreError, match="hex-unpadded"):
        hm.ListStore(tmp_path / "s").import_files(
            [str(path)], hm.Change(format=hm.ListFormat("dhash", "pdq-text"), accept=["bad-rows"])
        )


@pytest.mark.parametrize("encoding", WRITE)
@pytest.mark.parametrize("algorithm", ["pdq", "phash"])
@pytest.mark.parametrize("form", ["csv", "jsonl", "text"])
def test_every_encoding_in_every_format(encoding: str, algorithm: str, form: str) -> None:
    texts = [WRITE[encoding](text) for text in own(algorithm)]
    lines = {
        "csv": [f"{algorithm},id", *(f"{text},{n}" for n, text in enumerate(texts))],
        "jsonl": [json.dumps({algorithm: text, "id": "x"}) for text in texts],
        "text": texts,
    }[form]
    data = io.BytesIO("\n".join(lines).encode())
    reader = "pdq-text" if form == "text" else None
    told = hm.ListFormat(algorithm, reader=reader, encoding=encoding)
    (known,) = hm.read_list_file(data, told, name="made").lists
    assert known.hashes.to_hex() == list(own(algorithm))
    assert not any(problem for problem in known.problems)


def test_json_numbers_are_read_where_it_is_told_what_they_are() -> None:
    lines = [json.dumps({"phash": int(WRITE["signed"](text))}) for text in own("phash")]
    data = "\n".join(lines).encode()
    told = hm.ListFormat("phash", encoding="signed")
    (known,) = hm.read_list_file(io.BytesIO(data), told, name="made").lists
    assert known.hashes.to_hex() == list(own("phash"))
    rounded = data.replace(b"\n", b"").split(b"}")
    rounded = [line[:-3] + b"000}" for line in rounded if line]
    with pytest.raises(hm.ListError, match="end in 00"):
        hm.read_list_file(io.BytesIO(b"\n".join(rounded)), told, name="made")


@pytest.mark.parametrize(
    ("algorithm", "orders", "options"),
    [
        ("phash", ["reversed"], {}),  # libphash
        ("dhash", ["inverted"], {"encoding": "base64"}),  # perception
        ("phash", ["bytes-reversed"], {}),  # OpenCV
        ("ahash", ["transposed"], {}),
        ("pdq", ["transposed"], {"encoding": "decimal"}),
        ("phash", ["reversed", "bytes-reversed"], {"encoding": "signed"}),  # little-endian bigint
    ],
)
def test_a_list_of_another_tool_matches_its_pictures_at_zero(
    algorithm: str, orders: list[str], options: dict[str, str]
) -> None:
    texts = foreign(algorithm, *orders[::-1])
    texts = [WRITE[options["encoding"]](text) if options else text for text in texts]
    told = hm.ListFormat(algorithm, reader="pdq-text", bits=orders, **options)  # type: ignore[arg-type]
    known = hm.read_list(listed(texts), format=told, name="made")
    item = hm.ImageItem("7", "1", hm.Surface.USER_REPORT)
    matcher = hm.Matcher(known)
    record = matcher.decide(item, matcher.hash(Image.fromarray(drawn(7)), "7"))
    assert isinstance(record, hm.ReviewRecord)
    assert (record.matches[0].entry, record.matches[0].distance) == ("7", 0)
    assert known.problems == ()


def test_an_order_of_one_algorithm_leaves_others_and_digests_alone() -> None:
    md5 = random_hashes(registry.spec("md5"), COUNT, seed=1).to_hex()
    rows = zip(foreign("phash", "reversed"), own("dhash"), md5, strict=True)
    data = "\n".join(["phash,dhash,md5", *(",".join(row) for row in rows)]).encode()
    read = hm.read_list_file(io.BytesIO(data), hm.ListFormat(bits="phash=reversed"), name="made")
    assert {known.spec.algorithm: known.hashes.to_hex() for known in read.lists} == {
        "phash": list(own("phash")),
        "dhash": list(own("dhash")),
        "md5": md5,
    }


@pytest.mark.parametrize("bits", ["backwards", "md5=reversed", ["reversed", "phash=up"]])
def test_orders_that_are_none_are_refused(bits: str) -> None:
    with pytest.raises(UsageError):
        hm.ListFormat(bits=bits)


def test_a_store_remembers_how_hashes_are_written(tmp_path: Path) -> None:
    store = hm.ListStore(tmp_path / "store")
    texts = [WRITE["base64"](text) for text in foreign("phash", "reversed")]
    pages = [tmp_path / f"{number}.txt" for number in range(2)]
    for page, part in zip(pages, (texts[:50], texts[50:]), strict=True):
        page.write_text("".join(f"{text}\n" for text in part))
    told = hm.ListFormat("phash", encoding="base64", bits="reversed")
    store.import_files([str(pages[0])], hm.Change(format=told))
    made = store.update_files([str(pages[1])], hm.Change(format=hm.ListFormat("phash"))).manifest
    assert (made.encoding, made.bits) == ("base64", ("reversed",))
    (known,) = store.open("phash")
    assert sorted(known.hashes.to_hex()) == sorted(own("phash"))
    pages[0].write_text(f"{'12' * 8}\n")
    plain = hm.ListFormat("phash", encoding="hex", bits="unchanged")
    made = store.update_files([str(pages[0])], hm.Change(format=plain)).manifest
    assert (made.encoding, made.bits) == ("hex", ())


def test_a_file_named_after_its_hash_in_any_form_does_not_show_it() -> None:
    written = foreign("phash", "reversed")
    rows = [f"{text},{other}.jpg" for text, other in zip(written, [*written[1:], ""], strict=True)]
    read = hm.read_list_file(
        io.BytesIO("\n".join(rows).encode()),
        hm.ListFormat("phash", reader="pdq-text", bits="reversed"),
        name="made",
    )
    ids = [entry.external_id for entry in read.lists[0].entries]
    assert not any(text in (name or "") for text in written for name in ids)
    numbers = [WRITE["decimal"](text) for text in own("phash")]
    read = file([f"{text},{text}" for text in numbers], algorithm="phash", encoding="decimal")
    assert not any(
        text in (entry.external_id or "")
        for text, entry in zip(numbers, read.lists[0].entries, strict=True)
    )


@pytest.mark.parametrize("name", ["blockhash", "BlockHash_16", "block-hash-8"])
def test_a_column_of_blockhash_is_no_column_of_pdq(name: str) -> None:
    """However few its hashes are."""
    spec = hm.HashSpec("pdq", 256)
    value, pdq = (random_hashes(spec, 1, seed=seed).to_hex()[0] for seed in (1, 2))
    for text in (f"id,{name}\n1,{value}\n", json.dumps({"id": "1", name: value}) + "\n"):
        file = hm.read_list_file(io.BytesIO(text.encode()), name="l")
        assert (file.lists, file.unmatchable) == ((), {"blockhash": 1})
    file = hm.read_list_file(io.BytesIO(f"id,{name},pdq\n1,{value},{pdq}\n".encode()), name="l")
    assert file.lists[0].hashes.to_hex() == [pdq]


def test_a_list_of_nothing_but_blockhash_is_refused_by_that_name(tmp_path: Path) -> None:
    (value,) = random_hashes(hm.HashSpec("pdq", 256), 1, seed=1).to_hex()
    (tmp_path / "list.csv").write_text(f"id,blockhash\n1,{value}\n")
    with pytest.raises(StoreError, match=r"no usable hash .*\(1 blockhash, not matched here\)"):
        hm.ListStore(tmp_path / "store").import_files([str(tmp_path / "list.csv")])
