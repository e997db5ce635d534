"""The service's own interface, ``/v1``: pictures and hashes checked, answers explained.

Every answer names the snapshot that it comes from. Its shapes are the structures below, from which
the OpenAPI description is made.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from functools import partial
from operator import attrgetter
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from hashmatch import registry
from hashmatch.decode import load
from hashmatch.errors import HashmatchError, UsageError
from hashmatch.records.enums import MAY_PASS, Outcome, Surface
from hashmatch.records.hashes import HashBatch
from hashmatch.records.images import HashedImage, ImageItem, ItemOutcome
from hashmatch.records.review import RecordMatch, ReviewRecord, SuppressedBy
from hashmatch.records.typed import json_decoder
from hashmatch.records.videos import HashedVideo
from hashmatch.service.http import (
    Disconnected,
    HttpError,
    Response,
    Streamed,
    as_json,
    from_json,
)
from hashmatch.service.lookups import HashLookup
from hashmatch.service.missed import Picture

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence

    from hashmatch.matching.lookup import Found
    from hashmatch.matching.matcher import Matcher
    from hashmatch.records.hashes import HashSpec
    from hashmatch.service.http import Request
    from hashmatch.service.service import Service
    from hashmatch.service.snapshots import Snapshot

    _Answer = tuple[
        Snapshot, ImageItem, list[HashedImage | HashedVideo], ReviewRecord | ItemOutcome
    ]

MAX_HASHES = 10_000
"""Hashes of one request."""
NDJSON = b"application/x-ndjson"
AT_ONCE = 1000
"""Hashes of one request that are looked up, and answered, together."""
MAX_NEAREST = 100
SURFACES = frozenset(map(str, Surface))


class Checked(msgspec.Struct, frozen=True, omit_defaults=True):
    """What became of a picture.

    Parameters
    ----------
    snapshot : str
        The lists that it was checked against, each with its version.
    outcome : Outcome
        ``match``, ``suppressed``, ``no_match``, or why it was not searched.
    item_id, version : str
        Of the picture.
    retry : bool
        Whether the same picture may come out otherwise later.
    record : ReviewRecord, optional
        Of a match, for a person to look at.
    reason : str
        Why it was not searched.
    quality : int, optional
        Of the picture, 0 to 100.
    damaged : bool
        Whether some of the file was missing.
    """

    snapshot: str
    outcome: Outcome
    item_id: str
    version: str
    retry: bool
    record: ReviewRecord | UnsetType = UNSET
    reason: str = ""
    quality: int | None = None
    damaged: bool = False


class HashQuery(msgspec.Struct, frozen=True):
    """A hash that was made elsewhere: of a whole picture, and good enough to be searched.

    Parameters
    ----------
    hash : str
        In hexadecimal. No answer and no message repeats it.
    algorithm : str
        What it is.
    id : str, optional
        Repeated in the answer.
    """

    hash: Annotated[str, Meta(max_length=4096)]
    algorithm: Annotated[str, Meta(max_length=64)] = "pdq"
    id: Annotated[str, Meta(max_length=1024)] | UnsetType = UNSET

    def __repr__(self) -> str:
        """Without the hash, for logs and tracebacks."""
        return f"<HashQuery {self.algorithm}>"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        """Without the hash, as rich shows it."""
        return [("algorithm", self.algorithm)]


class Looked(msgspec.Struct, frozen=True):
    """What a hash is near.

    Parameters
    ----------
    snapshot : str
        The lists that it was looked up in.
    outcome : {"match", "no_match", "suppressed", "refused"}
        What it comes to; ``refused`` is a line of many that cannot be read.
    matches : tuple of RecordMatch
        Closest first.
    match_count : int
        All entries that matched, named or not.
    suppressed_by : SuppressedBy, optional
        The rule that keeps it out of a queue.
    id : str, optional
        Of the question.
    message : str
        Why it was refused.
    """

    snapshot: str
    outcome: Literal["match", "no_match", "suppressed", "refused"]
    matches: tuple[RecordMatch, ...] = ()
    match_count: int = 0
    suppressed_by: SuppressedBy | UnsetType = UNSET
    id: str | UnsetType = UNSET
    message: str = ""


class Near(msgspec.Struct, frozen=True):
    """An entry that is near, or would be: how far it is, and whose limit says what that means.

    Parameters
    ----------
    list, list_version, entry, algorithm : str
        Which.
    distance : int
        Bits.
    max_distance : int
        Its limit, inclusive.
    max_distance_from : str
        Who set the limit.
    matches : bool
        Whether it is within it, and counts.
    variant : str
        Of which question about the picture it is the nearest.
    frame : int
        Of which frame.
    switched_off : bool
        Whether the entry, or the bank that it is in, is switched off, so that it is not matched.
    """

    list: str
    list_version: str
    entry: str
    algorithm: str
    distance: int
    max_distance: int
    max_distance_from: str
    matches: bool
    variant: str = "upright"
    frame: int = 0
    switched_off: bool = False


class Asked(msgspec.Struct, frozen=True):
    """One hash of a picture, and what became of it.

    Parameters
    ----------
    algorithm : str
        What it is.
    outcome : Outcome
        ``hashed``, or why it was not searched.
    reason : str
        The same in words.
    quality : int, optional
        Of the picture by this algorithm.
    min_quality : int, optional
        What is searched at least.
    variants : tuple of str
        The questions that were asked about it.
    frame : int
        Of which frame.
    """

    algorithm: str
    outcome: Outcome
    reason: str
    quality: int | None
    min_quality: int | None
    variants: tuple[str, ...]
    frame: int


class Explained(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why a picture, or a hash, matches or not.

    Parameters
    ----------
    snapshot : str
        The lists.
    outcome : Outcome
        What it comes to.
    nearest : tuple of Near
        Of each list the nearest entries, nearest first, within the limit that was asked for.
    asked : tuple of Asked
        The hashes of a picture.
    suppressed_by : SuppressedBy, optional
        The rule that keeps it out of the queue.
    """

    snapshot: str
    outcome: Outcome
    nearest: tuple[Near, ...]
    asked: tuple[Asked, ...] = ()
    suppressed_by: SuppressedBy | UnsetType = UNSET


class ListInUse(msgspec.Struct, frozen=True):
    """A list that is matched against.

    Parameters
    ----------
    name, version, algorithm : str
        Which, and what its hashes are.
    entries : int
        How many.
    problems : tuple of str
        What was found wrong and did not keep it from serving.
    """

    name: str
    version: str
    algorithm: str
    entries: int
    problems: tuple[str, ...]


class ListsInUse(msgspec.Struct, frozen=True):
    """The lists in use.

    Parameters
    ----------
    snapshot : str
        Their name together.
    since : str
        When they were put in use, UTC.
    lists : tuple of ListInUse
        Each.
    problems : tuple of str
        What keeps newer versions from being used.
    """

    snapshot: str
    since: str
    lists: tuple[ListInUse, ...]
    problems: tuple[str, ...]


class SnapshotUse(msgspec.Struct, frozen=True):
    """A snapshot, and when it was in use.

    Parameters
    ----------
    snapshot : str
        Its name.
    since : str
        When it came into use, UTC.
    until : str, optional
        When another took its place.
    """

    snapshot: str
    since: str
    until: str | None


class SnapshotsInUse(msgspec.Struct, frozen=True):
    """The snapshots of the process that answers.

    Parameters
    ----------
    snapshot : str
        The one in use.
    snapshots : tuple of SnapshotUse
        Up to 1,000, the latest first.
    """

    snapshot: str
    snapshots: tuple[SnapshotUse, ...]


class Problem(msgspec.Struct, frozen=True):
    """Why a request was not answered.

    Parameters
    ----------
    message : str
        *Cannot X: reason. Do Y.*
    retry : bool
        Whether the same request may succeed later.
    noted : bool
        Whether the picture is noted as missed, and will be checked by ``hashmatch missed run``.
    """

    message: str
    retry: bool
    noted: bool = False


def error_response(error: HttpError) -> Response:
    """Return how an error is answered here."""
    return as_json(Problem(error.message, error.retry, error.noted), error.status)


async def check(service: Service, request: Request) -> Response:
    """Check a picture: its bytes as the body, or a form with ``image``, or an address of it."""
    given: dict[str, str | None] = {"surface": None, "item_id": None}
    version = request.query.get("version")
    note = _Note(service, given, version)

    async def read() -> bytes:
        if "url" in request.query:
            await note.begin()  # it is accepted: who sends a body sees whether it is
        data = await _picture(service, request, given)
        _surface(given["surface"])
        _item(given["item_id"])
        await note.begin(data)
        return data

    def work(data: bytes) -> _Answer:
        snapshot = service.snapshot()
        matcher = snapshot.matcher
        loaded = load(data, _item(given["item_id"]))
        hashed = matcher.hash(loaded, loaded.name, to_keep=service.recent is not None)
        named = loaded.version if version is None else version
        item = ImageItem(loaded.name, named, _surface(given["surface"]))
        return snapshot, item, hashed, matcher.decide(item, hashed)

    given |= {name: request.query.get(name) for name in given}
    if "url" in request.query:
        given["item_id"] = given["item_id"] or request.query["url"]
    async with note.unless_checked():
        answer = await service.with_picture(read, work)
        checked = _checked(answer[0], answer[-1])
        if isinstance(checked.record, ReviewRecord):
            kept = await service.keep(checked.record)
            checked = msgspec.structs.replace(checked, record=kept)
        await service.remember(*answer)
    if checked.retry:
        await note.missed(checked.reason)
    else:
        note.done()
    service.metrics.item(checked.outcome)
    return as_json(checked)


async def _picture(
    service: Service, request: Request, given: dict[str, str | None] | None = None
) -> bytes:
    """Return the picture that a request is about; `given` gets what a form says."""
    given = {} if given is None else given
    if (url := request.query.get("url")) is not None:
        return await service.fetch(url)
    if not request.header(b"content-type").lower().startswith(b"multipart/form-data"):
        return await request.body()
    form = await request.form()
    files = [file for file in form.files if file.field == "image"]
    if len(files) != 1 or len(form.files) != 1:
        raise HttpError(422, "cannot check the picture: a form has one file, image.")
    given.update((name, form.fields[name]) for name in given if name in form.fields)
    return files[0].data


def named(query: Mapping[str, str]) -> Picture | None:
    """Return what a picture is noted by, as the query of its check says; None if it does not."""
    key, surface = query.get("item_id") or query.get("url"), query.get("surface")
    if not key or surface is None or surface not in SURFACES:
        return None  # nobody can say what it is
    return Picture(key, query.get("version") or "", surface)


class _Note:
    """The note that a picture is being checked, in the journal of a service that has one."""

    def __init__(self, service: Service, given: dict[str, str | None], version: str | None) -> None:
        self._journal, self._metrics = service.journal, service.metrics
        self._given, self._version = given, version or ""
        self._number: int | None = None
        self._data = b""

    @asynccontextmanager
    async def unless_checked(self) -> AsyncIterator[None]:
        """Count a picture that is not checked, whatever comes between; note it if that may pass."""
        try:
            yield
        except HttpError as error:
            self._metrics.unchecked(retry=error.retry)
            if error.retry:
                error.noted = await self.missed(error.message)
            else:
                self.done()
            raise
        except Disconnected:
            self._metrics.unchecked(retry=True)
            await self.missed("the caller went away before all of the picture was there")
            raise
        except Exception as error:
            self._metrics.unchecked(retry=True)
            is_ours = isinstance(error, HashmatchError)
            await self.missed(str(error) if is_ours else f"internal error: {type(error).__name__}")
            raise

    async def begin(self, data: bytes | None = None) -> None:
        """Note it, before anything is done with it; again, once its bytes are there."""
        self._data = data or b""
        key, surface = self._given["item_id"], self._given["surface"]
        if self._journal is None or not key or surface is None or surface not in SURFACES:
            return
        if self._number is None:
            begun = self._journal.begin(key, self._version, surface, data)
            self._number = await asyncio.wrap_future(begun)
        elif data is not None and self._journal.keep_bytes:
            await asyncio.wrap_future(self._journal.keep(self._number, data))

    async def missed(self, reason: str) -> bool:
        """Note that it was not checked, and why; return whether it is noted."""
        if self._journal is None:
            return False
        if self._number is not None:
            await asyncio.wrap_future(self._journal.failed(self._number, reason))
            return True
        key, surface = self._given["item_id"], self._given["surface"]
        if not key or surface is None or surface not in SURFACES:
            return False  # nobody can say what it is
        await asyncio.wrap_future(self._journal.miss(key, self._version, surface, reason))
        return True

    def done(self) -> None:
        """Remove the note, and those of the times that the same picture was refused before.

        If one stays, the picture is checked twice, and has the same record.
        """
        if self._journal is not None and self._number is not None:
            key, surface = str(self._given["item_id"]), str(self._given["surface"])
            self._journal.done(self._number, key, self._version, surface, self._data)


def _surface(given: str | None) -> Surface:
    try:
        return Surface.parse(given or "")
    except UsageError:
        names = ", ".join(Surface)
        raise HttpError(422, f"cannot check the picture: its surface is one of {names}.") from None


def _item(given: str | None) -> str:
    if not given:
        raise HttpError(422, "cannot check the picture: it has no name. Give item_id.")
    return given


def _checked(snapshot: Snapshot, result: ReviewRecord | ItemOutcome) -> Checked:
    if isinstance(result, ReviewRecord):
        item = result.item
        return Checked(
            snapshot.name, result.outcome, item.key, item.version, False, result,
            quality=result.hash.quality, damaged=item.damaged,
        )  # fmt: skip
    return Checked(
        snapshot.name, result.outcome, result.key, result.version, result.outcome in MAY_PASS,
        reason=result.reason, quality=result.quality, damaged=result.damaged,
    )  # fmt: skip


def match(service: Service, request: Request) -> HashLookup | Awaitable[Response]:
    """Look up a hash that was made elsewhere, or one a line of them."""
    if request.whole is None:
        return _match_read(service, request)
    question = from_json(request.whole, HashQuery)
    return _lookup(service.snapshot(), question)


async def _match_read(service: Service, request: Request) -> Response:
    """Look up what a body says that is not there yet."""
    if request.header(b"content-type").lower().startswith(NDJSON):
        lines = (await request.body()).split(b"\n")
        if lines and not lines[-1].strip():
            lines.pop()
        if len(lines) > MAX_HASHES:
            raise HttpError(413, f"cannot look up more than {MAX_HASHES:,} hashes at once.")
        return Streamed(_match_lines(service, service.snapshot(), lines), NDJSON)
    question = await request.json(HashQuery)
    return _lookup(service.snapshot(), question).answer()


def _lookup(snapshot: Snapshot, question: HashQuery) -> HashLookup:
    """Return how a hash is looked up, and answered."""
    spec, data = _parsed(snapshot, question)

    def respond(found: Found) -> Response:
        return as_json(_looked(snapshot, question, HashBatch.from_bytes(spec, data), found))

    return HashLookup(snapshot, spec, data, respond)


async def _match_lines(
    service: Service, snapshot: Snapshot, lines: Sequence[bytes]
) -> AsyncIterator[bytes]:
    """Yield the answers to some lines, in order, as they are made; all of one snapshot."""
    for begin in range(0, len(lines), AT_ONCE):
        some = lines[begin : begin + AT_ONCE]
        yield await service.in_thread(partial(_match_some, snapshot, some, begin))


def _match_some(snapshot: Snapshot, lines: Sequence[bytes], before: int) -> bytes:
    """Return an answer for each line, in order; those of one algorithm are looked up together."""
    answers: list[object] = [None] * len(lines)
    questions: dict[str, list[tuple[int, HashQuery]]] = {}
    decode = json_decoder(HashQuery).decode
    for number, line in enumerate(lines):
        try:
            asked = decode(line)
            _parsed(snapshot, asked)
        except (msgspec.MsgspecError, RecursionError):
            text = (
                f"cannot read line {before + number + 1}: it is not a JSON object with a hash. "
                'Send {"hash": "...", "algorithm": "pdq"}.'
            )
            answers[number] = Looked(snapshot.name, "refused", message=text)
        except HttpError as error:
            answers[number] = Looked(snapshot.name, "refused", id=asked.id, message=error.message)
        else:
            questions.setdefault(asked.algorithm, []).append((number, asked))
    for asked_of in questions.values():
        found = _look_up(snapshot, [asked for _, asked in asked_of])
        for (number, _), looked in zip(asked_of, found, strict=True):
            answers[number] = looked
    encode = msgspec.json.encode
    return b"".join(encode(answer) + b"\n" for answer in answers)


def _parsed(snapshot: Snapshot, question: HashQuery) -> tuple[HashSpec, bytes]:
    """Return what kind of hash is asked about, and the hash; HttpError 422 if it is none."""
    spec = snapshot.specs.get(question.algorithm)
    if spec is None:
        held = ", ".join(sorted(snapshot.specs))
        raise HttpError(422, f"cannot look up the hash: no list is of its algorithm, only {held}.")
    try:
        return spec, spec.parse(question.hash)
    except UsageError:
        raise HttpError(
            422, f"cannot look up the hash: it is not {spec.bits // 4} hexadecimal digits."
        ) from None


def _batch(snapshot: Snapshot, questions: Sequence[HashQuery]) -> HashBatch:
    """Return hashes of one kind; HttpError 422 if one is none."""
    parsed = [_parsed(snapshot, each) for each in questions]
    return HashBatch.from_bytes(parsed[0][0], b"".join([data for _, data in parsed]))


def _look_up(snapshot: Snapshot, questions: Sequence[HashQuery]) -> list[Looked]:
    """Look up hashes of one kind."""
    batch = _batch(snapshot, questions)
    return [
        _looked(snapshot, questions[number], batch[number : number + 1], found)
        for number, found in enumerate(snapshot.matcher.look_up(batch))
    ]


def _looked(snapshot: Snapshot, question: HashQuery, batch: HashBatch, found: Found) -> Looked:
    """Return what was found of a hash, which is `batch`."""
    by = snapshot.matcher.suppresses(batch) if found.match_count else None
    return Looked(
        snapshot.name,
        "suppressed" if by else "match" if found.match_count else "no_match",
        found.matches,
        found.match_count,
        by or UNSET,
        question.id,
    )


async def lists(service: Service, request: Request) -> Response:
    """Return the lists in use, and what keeps newer versions of them from being used."""
    snapshot = service.snapshot()
    return as_json(
        ListsInUse(
            snapshot.name,
            snapshot.since,
            tuple(
                ListInUse(k.name, k.version, k.spec.algorithm, len(k), k.problems)
                for k in snapshot.matcher.lists
            ),
            service.snapshots.problems,
        )
    )


async def snapshots(service: Service, request: Request) -> Response:
    """Return which snapshots were in use when; those that answers named."""
    used, until = [], None
    current = service.snapshot()
    for name, since in reversed([*service.snapshots.names]):
        used.append(SnapshotUse(name, since, until))
        until = since
    return as_json(SnapshotsInUse(current.name, tuple(used)))


async def explain(service: Service, request: Request) -> Response:
    """Say why a picture, or a hash, matches or does not: the nearest entries, and whose limits.

    Distances to hashes that callers choose let them work out what a list holds, step by step: give
    the scope only to whom you would give the list.
    """
    most, within = _number(request, "nearest", 5, MAX_NEAREST), None
    if "max_distance" in request.query:
        within = _number(request, "max_distance", 0, 4096)
    if request.header(b"content-type").lower().startswith(b"application/json"):
        question = await request.json(HashQuery)
        snapshot = service.snapshot()
        batch = _batch(snapshot, [question])

        def explained() -> Explained:
            hashed = [HashedImage("", batch.spec, Outcome.HASHED, batch)]
            looked = _look_up(snapshot, [question])[0]
            return Explained(
                snapshot.name, Outcome(looked.outcome),
                _nearest(snapshot, hashed, most, within), suppressed_by=looked.suppressed_by,
            )  # fmt: skip

        return as_json(await service.in_thread(explained))

    def work(data: bytes) -> Explained:
        snapshot = service.snapshot()
        matcher = snapshot.matcher
        hashed = matcher.hash(data, "upload", to_keep=False)
        result = matcher.decide(ImageItem("upload", "", Surface.USER_REPORT), hashed)
        by = result.suppressed_by if isinstance(result, ReviewRecord) else UNSET
        images = [one for one in hashed if isinstance(one, HashedImage)]
        return Explained(
            snapshot.name, result.outcome, _nearest(snapshot, images, most, within),
            tuple(_asked(one, matcher) for one in hashed), by,
        )  # fmt: skip

    return as_json(await service.with_picture(lambda: _picture(service, request), work))


def _number(request: Request, name: str, default: int, most: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isdecimal() or int(text) > most:
        raise HttpError(422, f"cannot explain: {name} is a whole number up to {most}.")
    return int(text)


def _nearest(
    snapshot: Snapshot, hashed: Sequence[HashedImage], most: int, within: int | None
) -> tuple[Near, ...]:
    if most == 0:
        return ()
    found = []
    for matcher in filter(None, [snapshot.matcher, snapshot.off]):
        is_off = matcher is snapshot.off
        kinds = {known.spec for known in matcher.lists}
        found += [
            Near(
                each.list, each.list_version, each.entry, each.algorithm, each.distance,
                each.max_distance, each.max_distance_from,
                each.distance <= each.max_distance and not is_off,
                each.variant or "upright", each.frame or 0, is_off,
            )
            for each in matcher.nearest([one for one in hashed if one.spec in kinds], most, within)
        ]  # fmt: skip
    return tuple(sorted(found, key=attrgetter("distance")) if snapshot.off else found)


def _asked(one: HashedImage | HashedVideo, matcher: Matcher) -> Asked:
    if isinstance(one, HashedVideo):
        quality = None if one.frames is None else int(one.frames.quality.max(initial=0))
        least = matcher.plan.min_quality
        return Asked(one.algorithm, one.outcome, one.reason, quality, least, ("upright",), 0)
    least = matcher.plan.min_quality
    if least is None:
        least = registry.hasher(one.spec.algorithm).min_quality
    return Asked(
        one.spec.algorithm, one.outcome, one.reason, one.quality, least,
        tuple(map(str, one.variants)), one.frame,
    )  # fmt: skip
