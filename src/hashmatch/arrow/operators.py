"""`Hash` and `Match`: a batch of pictures in, a batch of what became of each out, row for row."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from hashmatch import registry
from hashmatch._files.atomic import locked, make_folder
from hashmatch.arrow import process, schemas
from hashmatch.arrow.rows import Addresses, Rows, with_version
from hashmatch.arrow.schemas import match_row
from hashmatch.decode import load
from hashmatch.errors import IndexFileError, UsageError
from hashmatch.hashing.hash_image import HashPlan, hash_loaded, judged
from hashmatch.index.hash_index import HashIndex
from hashmatch.lists.exclusions import leave_out
from hashmatch.matching.clips import EVERY
from hashmatch.matching.identity import snapshot_name
from hashmatch.matching.list_paths import ListPaths, reference_key
from hashmatch.matching.matcher import Matcher
from hashmatch.records.enums import Outcome, Surface
from hashmatch.records.hashes import HashBatch
from hashmatch.records.images import HashedImage, ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from hashmatch.arrow.rows import Row
    from hashmatch.matching.videos import VideoThresholds
    from hashmatch.records.enums import Level
    from hashmatch.records.hash_list import HashList
    from hashmatch.records.hashes import HashSpec
    from hashmatch.records.images import ImageItem
    from hashmatch.records.videos import HashedVideo
    from hashmatch.sandbox.pool import DecodePool

    Made = Sequence[HashedImage | HashedVideo]
    Hashed = tuple[ImageItem, Made | ImageError]
    Picture = tuple[ImageItem, Made]
    Hashing = Callable[[bytes, str, DecodePool], Made]


_NO_PIXELS = np.zeros((1, 1, 3), np.uint8)


class _Operator:
    """What `Hash` and `Match` have in common: batches, and pictures that become hashes."""

    url_prefixes: Sequence[str]
    allow_private: Sequence[str]
    workers: int | None

    @property
    def schema(self) -> pa.Schema:
        """The columns that come out."""
        raise NotImplementedError

    def __call__(self, batch: pa.RecordBatch | pa.Table) -> pa.RecordBatch | pa.Table:
        """Return a row for each row of `batch`, in order; of a table, a table.

        Parameters
        ----------
        batch : pyarrow.RecordBatch or pyarrow.Table
            With the columns that the class names.

        Returns
        -------
        pyarrow.RecordBatch or pyarrow.Table
            Of `schema`.

        Raises
        ------
        UsageError
            If `batch` lacks a column, or has one of another type.
        HashmatchError
            If lists cannot be opened, or decode workers not be started.
        """
        if isinstance(batch, pa.Table):
            parts = [self(part) for part in batch.to_batches()]
            return pa.Table.from_batches(parts, self.schema)
        if not isinstance(batch, pa.RecordBatch):
            raise UsageError(
                f"cannot use a {type(batch).__name__}. Give a pyarrow.RecordBatch or Table"
            )
        return self._answer(batch)

    def map_iterator(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield what calling with each batch gives, as Spark's ``mapInArrow`` asks for it.

        Parameters
        ----------
        batches : iterable of pyarrow.RecordBatch
            Taken one at a time.
        """
        return map(self, batches)

    def _answer(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        raise NotImplementedError

    def _hashed(self, rows: Rows, named: Sequence[Row], hashing: Hashing) -> Iterator[Hashed]:
        """Yield each of some rows that have an item, in order, with what was hashed of it."""
        threads = process.threads(self.workers)
        work = partial(_hash, hashing, threads.pool)
        items = [(row.item, row) for row in named if row.item is not None]
        if rows.kind == "image":
            yield from threads.map(work, ((item, rows.image, row) for item, row in items))
            return
        addresses = Addresses(self.url_prefixes, self.allow_private)
        fetched = addresses.fetch([(item, rows.value(row.number)) for item, row in items])
        yield from threads.map(work, fetched)

    def _paired(self, rows: Rows, hashing: Hashing) -> Iterator[tuple[Row, Hashed | None]]:
        """Yield every row, in order, with what was hashed of it; None if it names no item."""
        every = list(rows)
        hashed = self._hashed(rows, every, hashing)
        for row in every:
            yield row, None if row.item is None else next(hashed)


def _hash(
    hashing: Hashing, pool: DecodePool, item: ImageItem, data: Any, row: Row | None = None
) -> Hashed:
    """Hash one item; `data` is its bytes, or why it has none, or what gives them for `row`."""
    if row is not None:
        data = data(row)
    if isinstance(data, ImageError):
        return item, data
    item = with_version(item, data)
    return item, hashing(data, item.key, pool)


def _by_plan(plan: HashPlan, data: bytes, name: str, pool: DecodePool) -> list[HashedImage]:
    return hash_loaded(load(data, name), plan, pool.pictures)


@dataclass(frozen=True)
class Hash(_Operator):
    """Hashes pictures: what `Match` looks up later, once or many times.

    Columns in are ``key``, and ``image`` (binary) or ``url``; optional are ``version`` and
    ``surface``. Columns out are those of `hash_schema`. A row that cannot be hashed has an
    ``outcome`` and a ``reason``.

    Parameters
    ----------
    algorithms : sequence of str
        Names of hashers; ``hash`` is that of the first.
    variants : {"none", "orientations", "standard", "thorough"}
        Which other questions to ask about each picture, see `hashmatch.hash_all`.
    min_quality : int, optional
        Below it the outcome is ``low_quality``; by default each hasher's own.
    surface : str, optional
        Where the pictures were published, unless a column says it or it is said when matching.
    url_prefixes : sequence of str
        Places below which addresses are fetched: ``https://cdn.example/photos``,
        ``s3://bucket/folder``, or a folder.
    allow_private : sequence of str
        Hosts and networks that may be asked though they are not public.
    workers : int, optional
        Decode workers of each process; by default as many as the engine gives it cores.

    Raises
    ------
    UsageError
        If there is no such algorithm, level or surface.

    Examples
    --------
    >>> batch = pa.record_batch({"key": ["a", "b"], "image": [b"no picture", None]})
    >>> Hash()(batch).column("outcome").to_pylist()
    ['unsupported', 'failed']
    """

    algorithms: Sequence[str] = ("pdq",)
    variants: Level = "none"
    min_quality: int | None = None
    surface: str | None = None
    url_prefixes: Sequence[str] = ()
    allow_private: Sequence[str] = ()
    workers: int | None = None

    def __post_init__(self) -> None:
        _as_tuples(self, "algorithms", "url_prefixes", "allow_private")
        if not self.algorithms:
            raise UsageError("cannot hash by no algorithm. Give one at least")
        schemas.check_plan(self._plan)
        if self.surface is not None:
            object.__setattr__(self, "surface", str(Surface.parse(self.surface)))

    @property
    def _plan(self) -> HashPlan:
        return HashPlan(self.algorithms, self.variants, self.min_quality, chrome=True)

    @property
    def schema(self) -> pa.Schema:
        """The columns that come out, see `hash_schema`."""
        return schemas.hash_schema(self.algorithms[0])

    def _answer(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        rows = Rows(batch, self.surface, needs_surface=False)
        if rows.kind not in {"image", "url"}:
            raise UsageError("cannot hash a batch of hashes. Give a column image or url")
        plan = self._plan
        plan_name = schemas.plan_name(plan)
        made = []
        for row, hashed in self._paired(rows, partial(_by_plan, plan)):
            if hashed is None or isinstance(hashed[1], ImageError):
                made.append({**_unhashed(row, hashed), "plan": plan_name})
            else:
                pictures = cast("Sequence[HashedImage]", hashed[1])
                made.append(schemas.hash_row(hashed[0], row.surface, pictures, plan_name))
        return schemas.batch_of(made, self.schema)


@dataclass(frozen=True)
class Match(_Operator):
    """Matches pictures and clips, or hashes of pictures, against known-hash lists.

    Rows say what `hashmatch.scan_source` would of the same key, version, surface and content, the
    ``record_id`` included. There is no breaker: its answers depend on what came before.

    Columns in are ``key``, and one of ``image`` (binary: the file of a picture, or of a clip if a
    list has hashes of PDQ or vPDQ), ``url``, ``images`` (as `Hash` makes it)
    and ``hash`` (fixed-size binary, of whole pictures, by `algorithm`; with an optional
    ``quality``); optional are ``version``, by default a digest of the content, and ``surface``.
    Columns out are `MATCHES`. A list that changes is opened anew with the next batch: ``snapshot``
    says which answered.

    The key of references is in the environment of each process, ``HASHMATCH_REFERENCE_KEY``, as is
    that of encrypted stores unless `list_key` names its file.

    Parameters
    ----------
    lists : sequence of str
        List files and folders of stores, as processes find them; ``md5=PATH`` for another kind of
        hash than `algorithm`. Processes of one machine share the index of a store.
    surface : str, optional
        Where the pictures were published; needed unless a column says it.
    algorithm : str
        Which hashes of each list are used, unless its path says it.
    max_distance : int or mapping of str to int, optional
        Inclusive limit in bits, see `hashmatch.Matcher`.
    variants : {"none", "orientations", "standard", "thorough"}
        Which other questions to ask about each picture; that of the hashes, if hashes are given.
    min_quality : int, optional
        Pictures of a lower quality are not searched; by default what the algorithm recommends.
    max_matches : int
        The most entries that a row names; ``match_count`` has their full number.
    include_hash : bool
        Give the picture's own hash in ``hash``, and in its record.
    benign : sequence of str
        Lists of harmless pictures, as `lists`.
    min_sources : int
        A match backed by less different sources is suppressed.
    disabled : str, optional
        A file of entries that are left out, see `hashmatch.read_disabled`.
    skip_bad_rows : bool
        Leave out rows of list files that cannot be used.
    trusted : sequence of str
        Files of the public keys that have to have signed stores; by default those that
        ``HASHMATCH_TRUSTED_KEYS`` names.
    needed : int
        How many of them have to have signed.
    list_key : str, optional
        The file of the key of encrypted stores.
    index_cache : str, optional
        A folder for indexes of list files: made once, and shared by the processes of a machine. It
        holds hashes of lists, and is for its owner only. Stores have an index already.
    every : float
        Seconds between two frames of a clip that are looked up, 0 for every frame.
    video_thresholds : VideoThresholds, optional
        From when on a video of a list matches.
    since : int, optional
        Give only rows of pictures near an entry that is new or changed since that version of the
        lists, which are stores then: what a list update adds to an earlier job.
    url_prefixes : sequence of str
        Places below which addresses are fetched: ``https://cdn.example/photos``,
        ``s3://bucket/folder``, or a folder.
    allow_private : sequence of str
        Hosts and networks that may be asked though they are not public.
    workers : int, optional
        Decode workers of each process; by default as many as the engine gives it cores.

    Raises
    ------
    UsageError
        If there is no list, or a name or number is out of its range.

    Examples
    --------
    >>> match = Match(["fixtures/lists/demo-pdq.csv"], surface="profile_photo")
    >>> with open("fixtures/images/plain/tiles.png", "rb") as file:
    ...     batch = pa.record_batch({"key": ["user/42"], "image": [file.read()]})
    >>> answer = match(batch)
    >>> answer.column("outcome").to_pylist()
    ['match']
    >>> answer.column("matches")[0][0]["list"].as_py()
    'demo-pdq'
    """

    lists: Sequence[str]
    surface: str | None = None
    algorithm: str = "pdq"
    max_distance: int | Mapping[str, int] | None = None
    variants: Level = "none"
    min_quality: int | None = None
    max_matches: int = 100
    include_hash: bool = False
    benign: Sequence[str] = ()
    min_sources: int = 1
    disabled: str | None = None
    skip_bad_rows: bool = False
    trusted: Sequence[str] = ()
    needed: int = 1
    list_key: str | None = None
    index_cache: str | None = None
    every: float = EVERY
    video_thresholds: VideoThresholds | None = None
    since: int | None = None
    url_prefixes: Sequence[str] = ()
    allow_private: Sequence[str] = ()
    workers: int | None = None

    def __post_init__(self) -> None:
        _as_tuples(self, "lists", "benign", "trusted", "url_prefixes", "allow_private")
        if not self.lists:
            raise UsageError("cannot match without a list. Give one at least")
        registry.hasher(self.algorithm)
        HashPlan((self.algorithm,), self.variants, self.min_quality)
        if isinstance(self.max_distance, Mapping):  # what it is found by has to be hashable
            object.__setattr__(self, "max_distance", tuple(sorted(self.max_distance.items())))
        if self.surface is not None:
            object.__setattr__(self, "surface", str(Surface.parse(self.surface)))

    @property
    def schema(self) -> pa.Schema:
        """The columns that come out: `MATCHES`."""
        return schemas.MATCHES

    @property
    def _paths(self) -> tuple[ListPaths, ListPaths]:
        """Where the lists are, and the benign ones."""
        known = ListPaths(
            tuple(self.lists), self.algorithm, self.disabled, self.skip_bad_rows,
            tuple(self.trusted), self.needed, None, self.list_key,
        )  # fmt: skip
        return known, replace(known, paths=tuple(self.benign))

    def _lists(self) -> _Lists:
        state = tuple(paths.stamps() for paths in self._paths)
        return process.once(self, state, partial(_Lists, self))

    def _answer(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        rows = Rows(batch, self.surface)
        lists = self._lists()
        plan = lists.matcher.plan
        if self.since is not None and rows.kind in {"images", "hash"}:
            _reader(rows, batch, self, plan)  # says what cannot be used, whatever is near
            # Most rows are near no change: they are left out before anything is made of them.
            batch = batch.take(lists.rows_near_changes(batch, self.algorithm))
            rows = Rows(batch, self.surface)
        if rows.kind in {"image", "url"}:
            pairs = list(self._paired(rows, lists.hashed))
        else:
            pairs = list(_given(rows, batch, self, plan))
        pictures: list[Picture] = []
        of_row: dict[int, int] = {}
        for row, hashed in pairs:
            if hashed is not None and not isinstance(hashed[1], ImageError):
                of_row[row.number] = len(pictures)
                pictures.append((hashed[0], hashed[1]))
        wanted = lists.wanted(pictures)
        kept = sorted(wanted)
        decided = lists.matcher.decide_each([pictures[number] for number in kept])
        results = dict(zip(kept, decided, strict=True))
        made = []
        for row, hashed in pairs:
            if row.number in of_row:
                number = of_row[row.number]
                if number in results:
                    said = match_row(results[number], pictures[number][1], self.include_hash)
                    made.append({**said, "snapshot": lists.snapshot})
            elif self.since is None:
                said = {**_unhashed(row, hashed), "match_count": 0, "matches": []}
                made.append({**said, "snapshot": lists.snapshot})
        return schemas.batch_of(made, self.schema)


def _as_tuples(operator: object, *names: str) -> None:
    """Make fields tuples that were given as lists: what is open is found by all of them."""
    for name in names:
        given = getattr(operator, name)
        if isinstance(given, str):
            raise UsageError(f"cannot use {given!r} as {name}. Give a list, as [{given!r}]")
        object.__setattr__(operator, name, tuple(map(str, given)))


def _unhashed(row: Row, hashed: Hashed | None) -> dict[str, Any]:
    """Return what a row says of which nothing was hashed: it names no item, or has no picture."""
    if hashed is None or not isinstance(hashed[1], ImageError):
        problem = ImageError(Outcome.FAILED, row.problem)
        return schemas.unhashed_row(row.key, None, row.surface, problem)
    return schemas.unhashed_row(row.key, hashed[0].version, row.surface, hashed[1])


def _given(
    rows: Rows, batch: pa.RecordBatch, match: Match, plan: HashPlan
) -> Iterator[tuple[Row, Hashed | None]]:
    """Yield every row with the hashes that it has, made before."""
    read = _reader(rows, batch, match, plan)
    for row in rows:
        yield row, None if row.item is None else (row.item, read(row))


def _reader(
    rows: Rows, batch: pa.RecordBatch, match: Match, plan: HashPlan
) -> _ImagesColumn | _HashColumn:
    """Return what reads the hashes of a row."""
    return (_ImagesColumn if rows.kind == "images" else _HashColumn)(rows, batch, match, plan)


class _HashColumn:
    """Hashes of whole pictures in one column, with or without their quality."""

    def __init__(self, rows: Rows, batch: pa.RecordBatch, match: Match, plan: HashPlan) -> None:
        self._hasher = registry.hasher(match.algorithm)
        self._rows, self._plan = rows, plan
        self._size = self._hasher.spec.bits // 8
        kind = batch.column("hash").type
        if pa.types.is_fixed_size_binary(kind) and kind.byte_width != self._size:
            raise UsageError(
                f"cannot use the column hash: {kind.byte_width} bytes, a "
                f"{match.algorithm} hash has {self._size}. Give algorithm"
            )
        there = "quality" in batch.schema.names
        self._quality = batch.column("quality").to_pylist() if there else None

    def __call__(self, row: Row) -> list[HashedImage] | ImageError:
        data = self._rows.value(row.number)
        if data is None:
            return ImageError(Outcome.FAILED, "its row has no hash")
        if len(data) != self._size:
            return ImageError(Outcome.FAILED, f"its hash has {len(data)} bytes, not {self._size}")
        quality = None if self._quality is None else self._quality[row.number]
        outcome, reason = Outcome.HASHED, ""
        if quality is not None:
            outcome, reason = judged(_NO_PIXELS, quality, self._hasher, self._plan.min_quality)
        spec = self._hasher.spec
        hashes = HashBatch.from_bytes(spec, data)
        return [HashedImage(str(row.key), spec, outcome, hashes, reason, quality)]


def _whole_hashes(column: pa.Array, spec: HashSpec) -> tuple[HashBatch, NDArray[np.int64]]:
    """Return the hashes of a column, and their rows; without those of another length, and null."""
    sizes = pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(sizes == spec.bits // 8)
    return HashBatch.from_bytes(spec, b"".join(column.take(rows).to_pylist())), rows


class _ImagesColumn:
    """All hashes of each picture, as `Hash` gives them."""

    def __init__(self, rows: Rows, batch: pa.RecordBatch, match: Match, plan: HashPlan) -> None:
        self._rows, self._algorithms = rows, plan.algorithms
        names = batch.schema.names
        plans = set(batch.column("plan").to_pylist()) if "plan" in names else set()
        wanted = schemas.plan_name(plan)
        for other in plans - {None, wanted}:
            raise UsageError(
                f"cannot match hashes that were made with {other}: this asks {wanted}. Give the "
                "same variants and min_quality"
            )
        self._said = [
            batch.column(name).to_pylist() if name in names else None
            for name in ("outcome", "reason")
        ]

    def __call__(self, row: Row) -> list[HashedImage] | ImageError:
        images = self._rows.value(row.number)
        if images is None:
            outcome, reason = (None if said is None else said[row.number] for said in self._said)
            if outcome is None:
                return ImageError(Outcome.FAILED, "its row has no hashes")
            return ImageError(Outcome(outcome), reason or "")
        used = [one for one in images if one["algorithm"] in self._algorithms]
        return schemas.hashed_images(str(row.key), used)


class _Lists:
    """The lists of a `Match`, opened."""

    def __init__(self, match: Match) -> None:
        paths, benign_paths = match._paths
        benign, key, out = benign_paths.open(), reference_key(), paths.left_out()
        every = replace(paths, disabled=None).open()
        known = [leave_out(each, out, key) for each in every]
        self.snapshot = snapshot_name(every, known, out)
        if match.index_cache is not None:
            known = [_indexed(each, match.index_cache) for each in known]
        limit = match.max_distance
        rules: dict[str, Any] = {
            "max_distance": dict(limit) if isinstance(limit, tuple) else limit,
            "min_quality": match.min_quality,
            "variants": match.variants,
            "every": match.every,
            "video_thresholds": match.video_thresholds,
            "reference_key": key,
        }
        self.matcher = Matcher(
            *known, **rules, max_matches=match.max_matches, include_hash=match.include_hash,
            benign=benign, min_sources=match.min_sources,
        )  # fmt: skip
        self._changed: Matcher | None = None
        if match.since is not None:
            self._changed = Matcher(*paths.changed(match.since), **rules)

    def hashed(self, data: bytes, name: str, pool: DecodePool) -> Made:
        """Hash a picture, or a clip where a list has what can be found of clips."""
        return self.matcher.hash(data, name, pool.pictures, pool)

    def rows_near_changes(self, batch: pa.RecordBatch, algorithm: str) -> NDArray[np.int64]:
        """Return the rows of a batch of hashes of which any is near an entry that has changed."""
        changed = self._changed
        if changed is None:
            return np.arange(batch.num_rows)
        found = [np.empty(0, np.int64)]
        for spec in dict.fromkeys(known.spec for known in changed.lists):
            if "images" in batch.schema.names:
                hashes, rows = schemas.hashes_of(batch.column("images"), spec)
            elif spec.algorithm == algorithm:
                hashes, rows = _whole_hashes(batch.column("hash"), spec)
            else:
                continue
            found.append(rows[changed.rows_that_match(hashes)])
        return np.unique(np.concatenate(found))

    def wanted(self, pictures: Sequence[Picture]) -> set[int]:
        """Return the numbers of the pictures that are asked for: all, or those near a change."""
        if self._changed is None:
            return set(range(len(pictures)))
        return set(self._changed.pictures_that_match([hashed for _, hashed in pictures]))


def _indexed(known: HashList, folder: str) -> HashList:
    """Return a list with an index that is mapped from a file of a folder, which is made once."""
    if known.index is not None:
        return known
    make_folder(folder)
    path = os.path.join(folder, f"{known.digest}.index")
    with locked(f"{path}.lock"):  # one process makes it, and the others wait
        try:
            index = HashIndex.open(path)
        except IndexFileError:
            HashIndex.build_file(path, known, registry.hasher(known.spec.algorithm).max_distance)
            index = HashIndex.open(path, check=False)  # it was just written
    return replace(known, index=index)
