"""The HTTP interface of Hasher-Matcher-Actioner 1.1.7, for clients that speak it already.

Paths, parameters, shapes, states and messages are its own, as its clients parse them. What is
different on purpose stands in ``docs/service.md``. A bank is a list that is served, which others
keep, or one that was made here, over HTTP.
"""

from __future__ import annotations

import hashlib
import re
import time
from contextlib import contextmanager
from html import escape
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import numpy as np
from msgspec import UNSET

from hashmatch import registry
from hashmatch.decode import load
from hashmatch.errors import StoreError, UsageError
from hashmatch.hashing.hash_image import HashPlan, hash_loaded
from hashmatch.lists.vpdq_signal import parse_signal, write_signal
from hashmatch.matching.clips import EVERY, hash_clip
from hashmatch.matching.matcher import Matcher
from hashmatch.records.entries import Entry
from hashmatch.records.enums import HAVE_HASH, MAY_PASS
from hashmatch.records.hash_list import HashList
from hashmatch.records.hashes import HashBatch
from hashmatch.records.images import HashedImage
from hashmatch.records.video_columns import VIDEO_SPEC, Videos, video_key
from hashmatch.records.videos import HashedVideo, VideoFrames
from hashmatch.review.adapters import video_distance, video_percentages
from hashmatch.service.banks import NAME, BankError
from hashmatch.service.http import HttpError, Response, as_json, flag
from hashmatch.service.lookups import HashLookup

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterator, Mapping, Sequence

    from hashmatch.matching.lookup import Found
    from hashmatch.records.hashes import HashSpec
    from hashmatch.records.review import RecordMatch
    from hashmatch.service.banks import Bank, Banks, Content
    from hashmatch.service.http import Form, Request
    from hashmatch.service.service import Service
    from hashmatch.service.snapshots import Snapshot

Signal: TypeAlias = HashBatch | VideoFrames
"""What is matched: a hash, or all frames of a video."""
CONTENT_TYPES = ("photo", "video")
CALLED = {"photo": "picture", "video": "video"}
METADATA_KEYS = frozenset({"content_id", "content_uri", "json"})
MAX_NOTE = 255
MAX_DISABLED_YEARS = 5
OTHERS = 1 << 52
"""Ids of entries of lists begin here, so that no id of a content here is one of them; JavaScript
knows whole numbers below 2**53."""
HTML = b"text/html; charset=utf-8"
PDQ_HEX = re.compile(r"[0-9a-f]{64}")


def signal_types(snapshot: Snapshot, *, switched_off: bool = False) -> list[str]:
    """Return the signal types that the lists hold, and ``pdq``; without those of ratio 0."""
    off = snapshot.off.lists if snapshot.off else ()
    names = {"pdq", *snapshot.specs, *(known.spec.algorithm for known in off)}
    ratios = snapshot.type_ratios
    return sorted(name for name in names if switched_off or ratios.get(name, 1.0) > 0)


class ValidationError(HttpError):
    """A parameter that is missing, or of another type; answered with a list, as theirs is.

    Parameters
    ----------
    kind, message : str
        As pydantic names and words it.
    name : str
        Of the parameter.
    given : object
        What came, where that can be shown: no hash.
    """

    def __init__(self, kind: str, message: str, name: str, given: object = None) -> None:
        super().__init__(422, message)
        self.errors = [{"type": kind, "loc": [name], "msg": message, "input": given, "url": ""}]


class NoPath(HttpError):
    """A path that is none of ours: what is in it cannot be a number."""

    def __init__(self) -> None:
        super().__init__(404, "There is nothing at this path.")


def error_page(status: int, text: str) -> Response:
    """Return the page that an error is answered with which is of no path of ours."""
    title = HTTPStatus(status).phrase
    page = (
        f"<!doctype html>\n<html lang=en>\n<title>{status} {title}</title>\n<h1>{title}</h1>\n"
        f"<p>{escape(text)}</p>\n"
    )
    return Response(page.encode(), status, HTML)


def error_response(error: HttpError) -> Response:
    """Return how an error is answered here."""
    if isinstance(error, NoPath):
        return error_page(error.status, error.message)
    body: object = {"message": error.message}
    if isinstance(error, ValidationError):
        body = error.errors
    return as_json(body, error.status, ordered=True)


def _required(request: Request, name: str) -> str:
    value = request.query.get(name)
    if value is None:
        raise ValidationError("missing", "Field required", name)
    return value


def _flag(request: Request, name: str, *, default: bool = False) -> bool:
    try:
        return flag(request.query.get(name), default=default)
    except ValueError:
        raise ValidationError(
            "bool_parsing", "Input should be a valid boolean, unable to interpret input", name
        ) from None


@contextmanager
def _bank_errors() -> Iterator[None]:
    try:
        yield
    except BankError as error:
        text = str(error)
        is_taken = text.endswith("already exists")
        raise HttpError(403 if is_taken or " is a list" in text else 404, text) from None
    except StoreError as error:
        raise HttpError(503, str(error), retry=True, retry_after=1) from None


# Hashing


async def hash_file(service: Service, request: Request) -> Response:
    """``POST /h/hash``: the hashes of a file."""
    hashed = await _hash_upload(service, request)
    return as_json(_shown(hashed), ordered=True)


async def hash_url(service: Service, request: Request) -> Response:
    """``GET /h/hash``: the hashes of what an address leads to."""
    hashed = await _hash_url(service, request, _required(request, "url"))
    return as_json(_shown(hashed), ordered=True)


def _shown(hashed: Mapping[str, Signal]) -> dict[str, str]:
    return {
        name: write_signal(signal) if isinstance(signal, VideoFrames) else signal.to_hex()[0]
        for name, signal in hashed.items()
    }


def _types(service: Service, request: Request, only: str | None = None) -> list[str]:
    """Return the algorithms that are asked for, by default `only`, or all that the lists hold."""
    known = signal_types(service.snapshot())
    if only is not None:
        if only not in known:
            raise HttpError(400, f"No such SignalType '{shown_text(only)}'")
        return [only]
    given = request.query.get("types")
    if given is None:
        return known
    names = [name.strip() for name in given.split(",") if name.strip()]
    for name in names:
        if name not in known:
            raise HttpError(400, f"signal type '{shown_text(name)}' doesn't exist or is disabled")
    if not names:
        raise HttpError(400, "empty signal type selection")
    return names


async def _upload(request: Request) -> Form:
    """Return a form with one file, of a type that can be hashed; HttpError 400 otherwise."""
    form = await request.form()
    if not form.files:
        raise HttpError(400, "Missing multipart/form-data file upload")
    if len(form.files) > 1:
        raise HttpError(400, "Only one file allowed per request")
    _content_type(form.files[0].field)
    return form


async def _hash_upload(service: Service, request: Request) -> dict[str, Signal]:
    types: list[str] = []
    content: list[str] = []

    async def read() -> bytes:
        form = await _upload(request)
        types.extend(_types(service, request))
        content.append(form.files[0].field)
        return form.files[0].data

    return await service.with_picture(read, lambda data: _hashes(service, data, types, content[0]))


async def _hash_url(
    service: Service, request: Request, url: str, only: str | None = None
) -> dict[str, Signal]:
    given = request.query.get("content_type")
    if given is not None:
        _content_type(given)
    types = _types(service, request, only)

    async def read() -> bytes:
        return await service.fetch(url)

    content = given or "photo"
    return await service.with_picture(read, lambda data: _hashes(service, data, types, content))


def _content_type(name: str) -> None:
    if name not in CONTENT_TYPES:
        raise HttpError(400, f"no such content_type: '{shown_text(name)}'")


def _hashes(
    service: Service, data: bytes, algorithms: Sequence[str], content: str
) -> dict[str, Signal]:
    """Return a picture's or video's hashes; what the matcher asks besides is not part of it.

    Raises
    ------
    HttpError
        422 if it has none, which trying again does not change; 503 if one could not be made now.
    """
    kinds = tuple(name for name in algorithms if _is_of(content, name))
    if not kinds:
        raise HttpError(422, f"cannot hash it: none of the signal types is of a {content}.")
    hashed: Sequence[HashedImage | HashedVideo]
    if content == "video":
        hashed = hash_clip(data, "upload", HashPlan(kinds), EVERY, service.pool)
        if VIDEO_SPEC.algorithm not in kinds:
            hashed = [one for one in hashed if isinstance(one, HashedImage)]
    else:
        hashed = hash_loaded(load(data, "upload"), HashPlan(kinds, "none"), service.pool.pictures)
    found: dict[str, Signal] = {}
    for one in hashed:
        service.metrics.item(one.outcome)
        if isinstance(one, HashedVideo):
            if one.frames is not None:
                found[VIDEO_SPEC.algorithm] = one.frames
        elif one.outcome in HAVE_HASH:
            found.setdefault(one.spec.algorithm, one.hashes[:1])
    failed = next((one for one in hashed if one.outcome in MAY_PASS), None)
    if failed is not None:
        text = f"cannot hash the {CALLED[content]}: {failed.outcome}, {failed.reason}"
        raise HttpError(503, text, retry=True, retry_after=1)
    if not found:
        first = hashed[0]
        raise HttpError(422, f"cannot hash the {CALLED[content]}: {first.outcome}, {first.reason}")
    return found


def _is_of(content: str, algorithm: str) -> bool:
    """Return whether a content of that type has such a hash; any has a digest of its file."""
    if content == "video":
        return registry.hasher(algorithm).reads != "pixels"
    return algorithm != VIDEO_SPEC.algorithm and not algorithm.startswith("video_")


# Matching


def lookup(service: Service, request: Request) -> Response | HashLookup | Awaitable[Response]:
    """``GET /m/lookup``: by a signal, or by what an address leads to."""
    query = request.query
    signal, name, url = query.get("signal"), query.get("signal_type"), query.get("url")
    if url is not None:
        return _lookup_url(service, request, url, name)
    if signal is None or name is None:
        raise HttpError(400, "Either url or both signal and signal_type are required")
    snapshot = service.snapshot()
    algorithm = _algorithm(snapshot, name)
    spec = snapshot.specs.get(algorithm)
    if algorithm == VIDEO_SPEC.algorithm:
        found = _look_up_all(snapshot, request, {name: _frames(signal)})
        return _answer(found[name], snapshot)
    data = _data(algorithm, name, signal)
    if spec is None:  # no list is of its kind
        return _answer({}, snapshot)

    def respond(found: Found) -> Response:
        return _answer(_by_bank(snapshot, request, data, found, name), snapshot)

    return HashLookup(snapshot, spec, data, respond)


async def _lookup_url(service: Service, request: Request, url: str, name: str | None) -> Response:
    hashed = await _hash_url(service, request, url, name)
    snapshot = service.snapshot()
    found = _look_up_all(snapshot, request, hashed)
    return _answer(found if name is None else found[name], snapshot)


async def lookup_file(service: Service, request: Request) -> Response:
    """``POST /m/lookup``: by a file."""
    hashed = await _hash_upload(service, request)
    snapshot = service.snapshot()
    return _answer(_look_up_all(snapshot, request, hashed), snapshot)


def _look_up_all(
    snapshot: Snapshot, request: Request, hashed: Mapping[str, Signal]
) -> dict[str, dict[str, list[dict[str, object]]]]:
    answer: dict[str, dict[str, list[dict[str, object]]]] = {}
    for name, signal in hashed.items():
        if _spec(signal).algorithm in snapshot.specs:
            found = _near(snapshot.matcher, signal)
            answer[name] = _by_bank(snapshot, request, _said(signal), found, name)
        else:
            answer[name] = {}
    return answer


def _spec(signal: Signal) -> HashSpec:
    return VIDEO_SPEC if isinstance(signal, VideoFrames) else signal.spec


def _said(signal: Signal) -> bytes:
    """Return the bytes that a signal is."""
    if isinstance(signal, VideoFrames):
        return video_key(signal)
    return bytes.fromhex(signal.to_hex()[0])


def _near(matcher: Matcher, signal: Signal) -> Found:
    if isinstance(signal, VideoFrames):
        return matcher.look_up_video(signal)
    return matcher.look_up(signal)[0]


def _holds(matcher: Matcher, signal: Signal) -> bool:
    return any(known.spec == _spec(signal) for known in matcher.lists)


def _by_bank(
    snapshot: Snapshot, request: Request, data: bytes, found: Found, name: str
) -> dict[str, list[dict[str, object]]]:
    """Return what was found by bank; of banks that answer a share, whether this hash is in it."""
    if not found.matches:
        return {}
    query = request.query
    wanted = _banks(query.get("banks"))
    share = 0.0
    if any(ratio < 1 for of in (snapshot.ratios, snapshot.type_ratios) for ratio in of.values()):
        bypass = query.get("bypass_coinflip") in {"true", "True", "1"}
        share = 0.0 if bypass else _share(data, query.get("seed"))
    answer: dict[str, list[dict[str, object]]] = {}
    for match in found.matches:
        bank = snapshot.bank_of[match.list]
        if wanted is not None and bank not in wanted:
            continue
        if snapshot.ratio(match.list, name) < share:
            continue
        answer.setdefault(bank, []).append(
            {"bank_content_id": content_id(match), "distance": _distance(name, match)}
        )
    return answer


def _share(data: bytes, seed: str | None) -> float:
    """Return where a hash lies between 0 and 1: the same place always, for the same answer."""
    key = b"" if seed is None else seed.encode()[:64]
    value = hashlib.blake2b(data, digest_size=8, key=key).digest()
    return (int.from_bytes(value) + 1) / 2**64


def _distance(name: str, match: RecordMatch) -> str:
    if match.video is not UNSET:
        return video_distance(match.video)
    return "-" if registry.hasher(name).max_distance == 0 else str(match.distance)


def content_id(match: RecordMatch) -> int:
    """Return the number that stands for an entry: a content's own, else a digest of its name."""
    if match.list_version == "live":
        return int(match.entry)
    return entry_id(match.list, match.entry)


def entry_id(list_name: str, entry: str) -> int:
    """Return the number of an entry of a list, from 2**52 to 2**53; the same in every version."""
    digest = hashlib.blake2b(f"{list_name}\0{entry}".encode(), digest_size=8).digest()
    return OTHERS | int.from_bytes(digest) >> 12


def _banks(given: str | None) -> frozenset[str] | None:
    if given is None:
        return None
    return frozenset(name.strip() for name in given.split(",") if name.strip())


def raw_lookup(service: Service, request: Request) -> Response:
    """``GET /m/raw_lookup``: the entries that are near, whatever bank they are in."""
    signal, name = _required(request, "signal"), _required(request, "signal_type")
    with_distance = _flag(request, "include_distance")
    with_disabled = _flag(request, "include_disabled")
    wanted = _banks(request.query.get("banks"))
    snapshot = service.snapshot()
    _algorithm(snapshot, name)
    asked = _hash(name, signal)
    matchers = [snapshot.matcher, snapshot.off if with_disabled else None]
    matches = [
        match
        for matcher in matchers
        if matcher is not None and _holds(matcher, asked)
        for match in _near(matcher, asked).matches
        if wanted is None or snapshot.bank_of[match.list] in wanted
    ]
    found: list[object] = [
        {"bank_content_id": content_id(m), "distance": _distance(name, m)}
        if with_distance
        else content_id(m)
        for m in matches
    ]
    return _answer({"matches": found}, snapshot)


def _answer(value: object, snapshot: Snapshot) -> Response:
    if not value:
        return snapshot.nothing
    return as_json(value, ordered=True, headers=snapshot.headers)


def _algorithm(snapshot: Snapshot, name: str) -> str:
    """Return the algorithm of a signal type that there is; HttpError 400 otherwise."""
    algorithm = name
    if algorithm not in snapshot.specs and name not in signal_types(snapshot):
        raise HttpError(400, f"No such SignalType '{shown_text(name)}'")
    return algorithm


def _data(algorithm: str, name: str, value: object) -> bytes:
    """Return a signal as bytes; HttpError 400, which does not show it, if it is none."""
    if algorithm == "pdq":
        if isinstance(value, str) and PDQ_HEX.fullmatch(value):
            return bytes.fromhex(value)
        raise HttpError(400, "invalid signal: invalid PDQ hash")
    try:
        return registry.spec(algorithm).parse(value)  # type: ignore[arg-type]  # it says so
    except UsageError:
        raise HttpError(400, f"invalid signal: invalid {name} hash") from None


def _frames(value: object) -> VideoFrames:
    """Return a signal of a video; HttpError 400, which does not show it, if it is none."""
    try:
        return parse_signal(value if isinstance(value, str) else "")
    except UsageError as error:
        raise HttpError(400, f"invalid signal: invalid vpdq hash: {error}") from None


def _hash(name: str, value: object) -> Signal:
    if name == VIDEO_SPEC.algorithm:
        return _frames(value)
    return HashBatch.from_bytes(registry.spec(name), _data(name, name, value))


async def compare(service: Service, request: Request) -> Response:
    """``POST /m/compare``: whether two signals of a type are near each other."""
    try:
        given = await object_body(request)
    except ValidationError:
        raise HttpError(400, "cannot compare: the body is no object of signal types.") from None
    known = signal_types(service.snapshot())
    answer: dict[str, object] = {}
    for name, pair in given.items():
        if name not in known:
            raise HttpError(400, f"No such SignalType '{shown_text(name)}'")
        if not isinstance(pair, list):
            raise HttpError(400, f"cannot compare: {shown_text(name)} is no list of two signals.")
        if len(pair) != 2:
            raise HttpError(
                400, f"cannot compare: {shown_text(name)} has {len(pair)} signals, not two."
            )
        if name == VIDEO_SPEC.algorithm:
            answer[name] = _compared(*map(_frames, pair))
            continue
        one, other = (
            HashBatch.from_bytes(registry.spec(name), _data(name, name, each)) for each in pair
        )
        distance = int(np.bitwise_count(one.words[0] ^ other.words[0]).sum())
        limit = registry.hasher(name).max_distance
        answer[name] = [distance <= limit, {"distance": distance}]
    return as_json(answer, ordered=True)


def _compared(query: VideoFrames, entry: VideoFrames) -> list[object]:
    """Return whether two videos match, the first as the query, and vPDQ's two percentages."""
    keys = HashBatch.from_bytes(VIDEO_SPEC, video_key(entry))
    known = HashList("other", "1", VIDEO_SPEC, keys, (Entry("other"),), videos=Videos.of([entry]))
    matches = Matcher(known).look_up_video(query).matches
    if not matches or matches[0].video is UNSET:
        return [False, {"query_match_percent": 0.0, "compared_match_percent": 0.0}]
    return [True, video_percentages(matches[0].video)]


async def index_status(service: Service, request: Request) -> Response:
    """``GET /m/index/status``: what is ready to be matched with."""
    return as_json(
        {
            name: {"built_to": built if is_held else -1, "present": is_held, "size": size}
            for name, (size, built, is_held) in _sizes(service, request).items()
        },
        ordered=True,
    )


async def signal_type_index(service: Service, request: Request) -> Response:
    """``GET /c/signal_type/index``: as `index_status`, in other words."""
    return as_json(
        {
            name: {
                "db_size": size,
                "index_built_to": built,
                "index_out_of_date": False,
                "index_size": size,
                "newest_db_item": built,
            }
            for name, (size, built, _) in _sizes(service, request).items()
        },
        ordered=True,
    )


def _sizes(service: Service, request: Request) -> dict[str, tuple[int, int, bool]]:
    """Return how many hashes of each type are matched, since when, and whether a list has it."""
    snapshot = service.snapshot()
    known = signal_types(snapshot)
    wanted = request.query.get("signal_type")
    if wanted is not None and wanted not in known:
        raise HttpError(400, f"No such signal type '{shown_text(wanted)}'")
    from datetime import datetime

    built = int(datetime.fromisoformat(snapshot.since).timestamp())
    return {
        name: (
            sum(len(each) for each in snapshot.matcher.lists if each.spec.algorithm == name),
            built,
            name in snapshot.specs,
        )
        for name in known
        if wanted is None or name == wanted
    }


# Curation


def kept_banks(service: Service) -> Banks:
    """Return the banks that are kept; HttpError 403 if there is no place for any."""
    banks = service.snapshots.banks
    if banks is None:
        raise HttpError(403, "cannot use banks: the service has no folder for them. Give --data.")
    return banks


async def object_body(request: Request) -> dict[str, Any]:
    """Return a body that is an object of JSON; HttpError if it is something else."""
    data = await request.body(min(2**20, request.max_body))
    try:
        given = msgspec.json.decode(data) if data else {}
    except (msgspec.DecodeError, RecursionError):
        raise HttpError(400, "cannot read the body: it is no JSON.") from None
    if not isinstance(given, dict):
        raise ValidationError("model_type", "Input should be a valid dictionary", "body")
    return given


def _bank_json(bank: Bank) -> dict[str, object]:
    return {"matching_enabled_ratio": bank.ratio, "name": bank.name}


def _ratio(given: Mapping[str, Any]) -> float | None:
    """Return the ratio that a body asks for, a number or text that is one; 0 if it is not enabled.

    ``enabled: false`` outranks a ratio: a client that sends it believes that the bank is off.
    """
    enabled, value = given.get("enabled"), given.get("enabled_ratio")
    try:
        is_on = flag(str(enabled), default=True) if enabled is not None else None
    except ValueError:
        raise ValidationError(
            "bool_parsing", "Input should be a valid boolean, unable to interpret input", "enabled"
        ) from None
    if value is None:
        return None if is_on is None else float(is_on)
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        try:
            ratio = float(value)
        except (ValueError, OverflowError):
            ratio = -1.0
        if 0 <= ratio <= 1:
            return 0.0 if is_on is False else ratio
    raise HttpError(400, "cannot set enabled_ratio: it is a number from 0 to 1.")


async def banks(service: Service, request: Request) -> Response:
    """``GET /c/banks``: every bank."""
    service.snapshot()  # while lists are loaded, there is no saying which banks there are
    with _bank_errors():
        return as_json([_bank_json(bank) for bank in kept_banks(service).banks()], ordered=True)


async def create_bank(service: Service, request: Request) -> Response:
    """``POST /c/banks``: a new bank."""
    given = await object_body(request)
    name = given.get("name")
    if name is None:
        raise ValidationError("missing", "Field required", "name")
    if not isinstance(name, str) or not NAME.fullmatch(name):
        raise HttpError(400, "Bank names must be UPPER_WITH_UNDERSCORE")
    ratio = _ratio(given)
    store = kept_banks(service)
    who = caller(request)
    with _bank_errors():
        made = await service.in_thread(
            lambda: store.create(name, 1.0 if ratio is None else ratio, who)
        )
    return as_json(_bank_json(made), 201, ordered=True)


async def bank(service: Service, request: Request) -> Response:
    """``GET /c/bank/N``: one bank; while lists are loaded none is unknown."""
    service.snapshot()
    with _bank_errors():
        return as_json(_bank_json(kept_banks(service).bank(request.path["bank"])), ordered=True)


async def change_bank(service: Service, request: Request) -> Response:
    """``PUT /c/bank/N``: its name, or what share of hashes it answers."""
    given = await object_body(request)
    new = given.get("name")
    if new is not None and (not isinstance(new, str) or not NAME.fullmatch(new)):
        raise HttpError(400, "Bank names must be UPPER_WITH_UNDERSCORE")
    ratio, store, who = _ratio(given), kept_banks(service), caller(request)
    with _bank_errors():
        changed = await service.in_thread(
            lambda: store.change(request.path["bank"], who, new=new, ratio=ratio)
        )
    return as_json(_bank_json(changed), ordered=True)


async def delete_bank(service: Service, request: Request) -> Response:
    """``DELETE /c/bank/N``: the bank and what is in it."""
    store, who = kept_banks(service), caller(request)
    with _bank_errors():
        await service.in_thread(lambda: store.remove(request.path["bank"], who))
    return as_json({"message": "Done"})


async def content(service: Service, request: Request) -> Response:
    """``GET /c/bank/N/content/ID``: one content, with its signals only if they are asked for."""
    with_signals = _flag(request, "include_signals")
    with_metadata = _flag(request, "include_metadata", default=True)
    store, number = kept_banks(service), _number(request)
    with _bank_errors():
        store.bank(request.path["bank"])
        found = store.content(number)
        answer: dict[str, object] = {
            "bank": _bank_json(store.bank(found.bank)),
            "id": found.id,
            "disable_until_ts": found.disable_until,
            "original_media_uri": found.uri,
        }
        if with_signals:
            answer["signals"] = _shown(store.signals(number))
    if with_metadata:
        answer["metadata"] = _metadata_json(found)
        answer["note"] = found.note
    return as_json(answer, ordered=True)


def _metadata_json(found: Content) -> dict[str, object]:
    return {"collab": None, **{key: found.metadata.get(key) for key in sorted(METADATA_KEYS)}}


async def add_content(service: Service, request: Request) -> Response:
    """``POST /c/bank/N/content``: hash a picture, and keep its hashes in the bank."""
    store, name, who = kept_banks(service), request.path["bank"], caller(request)
    with _bank_errors():
        store.bank(name)
    url = request.query.get("url")
    note, metadata = None, {}
    if url is not None:
        body = await object_body(request)
        note, metadata = _note(body.get("note")), _metadata(body.get("metadata"))
        hashed = await _hash_url(service, request, url)
    else:
        kept: list[tuple[str | None, dict[str, Any]]] = []
        types: list[str] = []
        content: list[str] = []

        async def read() -> bytes:
            form = await _upload(request)
            text = form.fields.get("metadata")
            try:
                given = None if text is None else msgspec.json.decode(text)
            except (msgspec.DecodeError, RecursionError):
                raise HttpError(400, "cannot read metadata: it is no JSON.") from None
            kept.append((_note(form.fields.get("note")), _metadata(given)))
            types.extend(_types(service, request))
            content.append(form.files[0].field)
            return form.files[0].data

        hashed = await service.with_picture(
            read, lambda data: _hashes(service, data, types, content[0])
        )
        note, metadata = kept[0]
    kept_signals = _without_frames(hashed)
    with _bank_errors():
        number = await service.in_thread(
            lambda: store.add(name, kept_signals, who, note=note, uri=url, metadata=metadata)
        )
    return as_json({"id": number, "signals": _shown(kept_signals)}, ordered=True)


def _number(request: Request) -> int:
    """Return the number of a content; HttpError 404 if none can have it."""
    digits: str = request.path["content"]
    if not (digits.isascii() and digits.isdigit()):
        raise NoPath
    if len(digits) > 18:  # more than a database has numbers for
        raise HttpError(404, f"content '{digits[:18]}...' not found")
    return int(digits)


def _note(given: object) -> str | None:
    if given is None:
        return None
    if not isinstance(given, str) or len(given) > MAX_NOTE:
        raise HttpError(400, f"cannot keep the note: it is text of at most {MAX_NOTE} characters.")
    return given


def _metadata(given: object) -> dict[str, Any]:
    if given is None:
        return {}
    if not isinstance(given, dict) or not given.keys() <= METADATA_KEYS:
        raise HttpError(
            400, f"cannot keep metadata: its keys are {', '.join(sorted(METADATA_KEYS))}."
        )
    return given


async def change_content(service: Service, request: Request) -> Response:
    """``PUT /c/bank/N/content/ID``: switch it off or on, or change its note."""
    given = await object_body(request)
    until, note = given.get("disable_until_ts"), _note(given.get("note"))
    if until is not None:
        latest = int(time.time()) + MAX_DISABLED_YEARS * 366 * 86400
        if isinstance(until, bool) or not isinstance(until, int) or not 0 <= until <= latest:
            raise HttpError(
                400, "cannot set disable_until_ts: it is 0, 1, or a time at most 5 years ahead."
            )
    store, who, number = kept_banks(service), caller(request), _number(request)
    with _bank_errors():
        store.bank(request.path["bank"])
        found = await service.in_thread(
            lambda: store.update(number, who, disable_until=until, note=note)
        )
        answer = {
            "bank": _bank_json(store.bank(found.bank)),
            "collab_metadata": {},
            "disable_until_ts": found.disable_until,
            "id": found.id,
            "note": found.note,
            "original_media_uri": found.uri,
            "user_metadata": _metadata_json(found),
        }
    return as_json(answer, ordered=True)


async def delete_content(service: Service, request: Request) -> Response:
    """``DELETE /c/bank/N/content/ID``: it is matched no more."""
    store, who, name = kept_banks(service), caller(request), request.path["bank"]
    number = _number(request)
    with _bank_errors():
        store.bank(name)
        deleted = await service.in_thread(lambda: store.delete(name, number, who))
    return as_json({"deleted": int(deleted)})


def _without_frames(signals: Mapping[str, Signal]) -> dict[str, HashBatch]:
    """Return the signals that a bank can keep; HttpError 400 if there is none.

    Frames of videos are not kept in banks here: they come as lists.
    """
    kept = {name: one for name, one in signals.items() if isinstance(one, HashBatch)}
    if signals and not kept:
        raise HttpError(400, "cannot keep vpdq in a bank: import a list of the videos.")
    return kept


async def add_signal(service: Service, request: Request) -> Response:
    """``POST /c/bank/N/signal``: hashes that were made elsewhere."""
    given = await object_body(request)
    note = _note(given.pop("note", None))
    known = signal_types(service.snapshot())
    told: dict[str, Signal] = {}
    for name, value in given.items():
        if name not in known:
            raise HttpError(400, f"No such SignalType '{shown_text(name)}'")
        told[name] = _hash(name, value)
    signals = _without_frames(told)
    if not signals:
        raise HttpError(400, "cannot add a content without signals.")
    store, who, bank = kept_banks(service), caller(request), request.path["bank"]
    with _bank_errors():
        number = await service.in_thread(lambda: store.add(bank, signals, who, note=note))
    return as_json({"id": number, "signals": _shown(signals)}, ordered=True)


async def types(service: Service, request: Request) -> Response:
    """``GET /c/signal_type``: what hashes are of, and what share of each is answered."""
    snapshot = service.snapshot()
    names = signal_types(snapshot, switched_off=True)
    return as_json([_type_json(name, snapshot.type_ratios) for name in names], ordered=True)


def _type_json(name: str, ratios: Mapping[str, float]) -> dict[str, object]:
    return {"enabled_ratio": ratios.get(name, 1.0), "name": name}


async def change_type(service: Service, request: Request) -> Response:
    """``PUT /c/signal_type/X``: what share of its hashes is answered; 0 switches it off."""
    name: str = request.path["signal_type"]
    ratio = _ratio(await object_body(request))
    if ratio is None:
        raise ValidationError("missing", "Field required", "enabled_ratio")
    if name not in signal_types(service.snapshot(), switched_off=True):
        raise HttpError(400, f"No such signal type '{shown_text(name)}'")
    store, who = kept_banks(service), caller(request)
    with _bank_errors():
        await service.in_thread(lambda: store.change_type(name, ratio, who))
    return as_json(_type_json(name, {name: ratio}), ordered=True)


async def content_types(service: Service, request: Request) -> Response:
    """``GET /c/content_type``: what can be hashed."""
    return as_json([{"enabled": True, "name": name} for name in CONTENT_TYPES], ordered=True)


# Liveness


async def root(service: Service, request: Request) -> Response:
    """``GET /``: to ``/status``, as where there is no page for people."""
    return Response(b"", 302, HTML, [(b"location", b"/status")])


async def openapi_page(service: Service, request: Request) -> Response:
    """``GET /openapi/``: all that can be asked, for people."""
    described = msgspec.json.decode(service.description)
    rows = "".join(
        f"<tr><td>{method.upper()}<td><code>{escape(path)}</code><td>{escape(found['summary'])}\n"
        for path, methods in sorted(described["paths"].items())
        for method, found in methods.items()
    )
    page = (
        "<!doctype html>\n<html lang=en>\n<meta charset=utf-8>\n<title>hashmatch</title>\n"
        "<h1>What can be asked</h1>\n<p><a href=openapi.json>The same for programs</a>, with "
        f"parameters and answers.</p>\n<table>\n{rows}</table>\n"
    )
    return Response(page.encode(), 200, HTML)


async def site_map(service: Service, request: Request) -> Response:
    """``GET /site-map``: every path."""
    paths = msgspec.json.decode(service.description)["paths"]
    return as_json(sorted(paths))


async def status(service: Service, request: Request) -> Response:
    """``GET /status``: whether it can answer."""
    if service.snapshots.current is None:
        return Response(b"INDEX-NOT-LOADED", 503, HTML)
    return Response(b"I-AM-ALIVE", media_type=HTML)


async def live(service: Service, request: Request) -> Response:
    """``GET /status/live``: whether it runs."""
    return Response(b"I-AM-ALIVE", media_type=HTML)


def caller(request: Request) -> str:
    """Return who asks, for the history."""
    return request.token.name if request.token else ""


def shown_text(given: str) -> str:
    """Return a name of the caller's as it is shown in a message: what may be a hash is not."""
    return given if len(given) < 16 and given.isprintable() else "..."
