"""Fetches a picture when somebody asks to see it, blurs it here, and keeps none of it."""

from __future__ import annotations

import asyncio
import io
import os
import threading
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from msgspec import UNSET
from PIL import Image
from starlette.responses import PlainTextResponse, Response

from hashmatch import registry
from hashmatch.errors import HashmatchError, QueueUnavailable, ReviewError
from hashmatch.interfaces import BasedSource
from hashmatch.records.images import ImageError, ImageItem, unescape_name
from hashmatch.retry import Limits, Tries, read_item
from hashmatch.review.web import film_strip
from hashmatch.review.web.places import BUCKETS, below, is_below, is_key_below, server_of
from hashmatch.review.web.threads import RETRY_AFTER, start
from hashmatch.sandbox.confinement import WorkerLimits
from hashmatch.sandbox.pool import DecodePool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from numpy.typing import NDArray
    from starlette.types import Receive, Scope, Send

    from hashmatch.interfaces import Source
    from hashmatch.records.cases import CaseItem
    from hashmatch.records.enums import Surface
    from hashmatch.records.review import RecordItem, ReviewRecord

LONGEST_SIDE = 800
"""Pixels of what is sent."""
BLURRED_SIDES = (16, 60)
"""Pixels of the longer side that the first two steps are made of: a blur cannot be sharpened again
beyond them, whatever a browser does with it."""
STRIP_SIDE = 96
"""Pixels across of a frame in the strip of a video."""
JPEG_QUALITY = 85
DEADLINE = 8.0
"""Seconds until a request for a picture gets an error instead, whatever it is that takes long:
others' pictures, a listing, the source or the decoder."""
LATE = "This picture takes too long: its source is slow, or others ask for much. Ask again."
MAX_OF_A_SOURCE = 8
"""Pictures of one source that are read at a time."""
MAX_RUNNING = 64
"""Pictures of all sources; as many threads hang at most, if that is what their sources do."""
WORKER_LIMITS = WorkerLimits(cpu_seconds=DEADLINE, wall_seconds=2 * DEADLINE, tries=2)
"""No decoder works for longer than somebody waits for it."""
BY_LISTING = frozenset({"tar", "parquet"})
"""Sources whose items are read by more than their key and location: size, or number of the row."""
ONE_PICTURE = frozenset({"image/jpeg", "image/bmp"})
"""Media types of files that have no other frame or page. Of others a second one is looked for."""
MAX_OPEN = 16
"""Sources that are open at a time."""


class NoPicture(HashmatchError):
    """There is nothing to show; the message says why, in one line and for a person.

    `is_late` says that asking again may help.
    """

    def __init__(self, words: str, *, is_late: bool = False) -> None:
        super().__init__(words)
        self.is_late = is_late


class PictureThreads:
    """Threads for pictures, apart from those of pages: whatever a source does, pages have theirs.

    What hangs as one is one source here: a bucket, a server, a folder that the operator named. A
    reviewer has one picture of each at a time, and what they ask for last is what they get.
    A thread keeps its place until it ends, whether somebody still waits for it or not, so that a
    source that hangs has so many and never more.
    """

    def __init__(self) -> None:
        self._running: set[tuple[str, str]] = set()
        self._latest: dict[str, asyncio.Task[Any] | None] = {}
        self._ended = asyncio.Event()

    async def run(self, reviewer: str, source: str, call: Callable[[Tries], View]) -> View:
        """Return what a call returns; NoPicture if it is late, or the reviewer asks for another.

        The call's `Tries` are stopped when nobody waits for it any more.
        """
        task = asyncio.current_task()
        before = self._latest.get(reviewer)
        self._latest[reviewer] = task
        if before is not None:
            before.cancel()
        tries = Tries(Limits(deadline=DEADLINE))
        try:
            async with asyncio.timeout(DEADLINE):
                while not self._has_room(reviewer, source):
                    await self._ended.wait()
                future = start(partial(call, tries))
                self._running.add((reviewer, source))
                future.add_done_callback(partial(self._end, reviewer, source))
                return await asyncio.shield(future)
        except TimeoutError:
            raise NoPicture(LATE, is_late=True) from None
        finally:
            tries.stop()
            if self._latest.get(reviewer) is task:
                del self._latest[reviewer]

    def _has_room(self, reviewer: str, source: str) -> bool:
        of_source = sum(other == source for _, other in self._running)
        is_free = of_source < MAX_OF_A_SOURCE and len(self._running) < MAX_RUNNING
        return is_free and (reviewer, source) not in self._running

    def _end(self, reviewer: str, source: str, _: object) -> None:
        self._running.discard((reviewer, source))
        self._ended.set()
        self._ended = asyncio.Event()


class View(NamedTuple):
    """What is shown of a file: a JPEG, or the text of its EXIF tags.

    `whole` says that there is no more to be seen in the file: no other frame or page. `second` is
    where in a video a frame is.
    """

    data: bytes
    media_type: str = "image/jpeg"
    whole: bool = True
    second: float | None = None


class ViewResponse(Response):
    """A picture or the EXIF tags of a record's file, or a line that says why there is none.

    Nothing is fetched any more when the client that asked for it has gone. `record` is called
    before it is sent, and it is not sent if that fails.
    """

    def __init__(
        self,
        view: Callable[[], Awaitable[View]],
        record: Callable[[View], Awaitable[object]] | None = None,
    ) -> None:
        self._view, self._record = view, record

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer when the picture is there."""
        showing = asyncio.create_task(self._answer())
        leaving = asyncio.create_task(_disconnected(receive))
        try:
            await asyncio.wait({showing, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if showing.done():
                answer = showing.result()
                await answer(scope, receive, send)
        finally:
            showing.cancel()
            leaving.cancel()

    async def _answer(self) -> Response:
        try:
            view = await self._view()
            if self._record is not None:
                await self._record(view)
        except (QueueUnavailable, TimeoutError):
            text = "That you look cannot be recorded now, and so it is not shown. Try again.\n"
            return PlainTextResponse(text, 503, headers={"retry-after": str(RETRY_AFTER)})
        except ReviewError as error:
            return PlainTextResponse(f"{error}\n", 409)
        except NoPicture as error:
            answer = PlainTextResponse(f"{error}\n", 503 if error.is_late else 409)
            if error.is_late:
                answer.headers["retry-after"] = str(RETRY_AFTER)
            return answer
        except asyncio.CancelledError:
            return PlainTextResponse("Another picture was asked for.\n", 409)
        return Response(view.data, media_type=view.media_type)


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class Pictures:
    """Pictures of cases, blurred. Used by many threads.

    Nothing of a picture is kept or written here: it is fetched, decoded in a worker that is closed
    in, blurred and forgotten, every time. Nothing is fetched but from below `places`, locations of
    sources, whatever a record says; the first is that of records that do not say theirs. A `pool`
    that is given is left open by `close`. `allow_private` names hosts and networks that are not
    public, where a place leads to one.
    """

    def __init__(
        self,
        places: Sequence[str] = (),
        pool: DecodePool | None = None,
        allow_private: Collection[str] = (),
    ) -> None:
        self._places = tuple(places)
        self._allow_private = tuple(allow_private)
        self._own = pool is None
        self._pool = pool or DecodePool(workers=2, limits=WORKER_LIMITS)
        self._sources: dict[tuple[str, Surface], Source] = {}
        self._lock = threading.Lock()
        self._threads = PictureThreads()

    async def show(
        self, reviewer: str, item: CaseItem, step: BlurStep, at: int | None = None
    ) -> View:
        """Return what `jpeg` does, made in a thread; NoPicture if that takes too long."""
        server = server_of(self._named(item), self._places)
        return await self._threads.run(
            reviewer, server, lambda tries: self.jpeg(item, step, tries, at)
        )

    async def show_exif(self, reviewer: str, item: CaseItem) -> View:
        """Return what `exif` does, made in a thread; NoPicture if that takes too long."""
        server = server_of(self._named(item), self._places)
        return await self._threads.run(reviewer, server, lambda tries: self.exif(item, tries))

    def jpeg(
        self, item: CaseItem, step: BlurStep, tries: Tries | None = None, at: int | None = None
    ) -> View:
        """Return the picture of a record as JPEG, blurred as `step` says.

        Of a video it is frame `at` of those that `film_strip.moments` names; None is a strip of all
        of them, which is covered whatever `step` says. NoPicture says why it cannot be fetched or
        decoded, or that it is no longer the picture that was matched, or that `tries` were stopped.
        """
        if film_strip.is_video(item.record):
            return self._seen(item, tries, lambda data: self._frame(data, item.record, step, at))
        return self._seen(item, tries, lambda data: self._decode(data, item.record.item, step))

    def _frame(self, content: bytes, record: ReviewRecord, step: BlurStep, at: int | None) -> View:
        """Return a frame of a video, or a strip of the matched ones."""
        times = film_strip.moments(record)
        if at is not None and not 0 <= at < len(times):
            raise NoPicture("There is no such frame of this video.")
        wanted = times if at is None else times[at : at + 1]
        every = 0.0 if record.item.every is UNSET else record.item.every
        found = list(film_strip.frames_at(self._pool, content, wanted, every))
        if not found:
            raise NoPicture("This video has no frame at that time, which is one that was matched.")
        if at is not None:
            return View(blurred(found[0], step), whole=False, second=times[at])
        covered = [_covered(pixels) for pixels in found]
        return View(_as_jpeg(Image.fromarray(film_strip.strip(covered))), whole=False)

    def exif(self, item: CaseItem, tries: Tries | None = None) -> View:
        """Return the EXIF tags of a record's file as text; NoPicture as of `jpeg`."""
        return self._seen(item, tries, self._exif)

    def _seen(self, item: CaseItem, tries: Tries | None, look: Callable[[bytes], View]) -> View:
        tries = tries or Tries(Limits(deadline=DEADLINE))
        where: str | None = None
        try:
            where = self._where(item)
            content = self._content(item, where, tries)
            _check_wanted(tries)
            return look(content)
        except NoPicture:
            raise
        except ImageError as error:
            self._forget(where)
            raise NoPicture(f"The picture cannot be shown: {error.reason}.") from None
        except HashmatchError:
            self._forget(where)
            # Its message names places that are no business of whoever looks at pictures.
            raise NoPicture("The source of the picture cannot be read now.") from None

    def close(self) -> None:
        """Let go of every source, and of the workers."""
        self._forget()
        if self._own:
            self._pool.close()

    def _forget(self, where: str | None = None) -> None:
        """Open a source, or each, anew next time: a list of pictures may have been replaced."""
        with self._lock:  # each ends with the last who reads from it
            for key in [key for key in self._sources if where in {None, key[0]}]:
                del self._sources[key]

    def _named(self, item: CaseItem) -> str:
        """Return the source of a record, as it says itself."""
        return item.origin.source or (self._places[0] if self._places else "")

    def _where(self, item: CaseItem) -> str:
        """Return the source of a record, as it is to be opened."""
        named = self._named(item)
        if not named:
            raise NoPicture("Nobody said where this picture is.")
        try:
            where = below(named, self._places)
        except ValueError:  # a NUL in it
            where = ""
        if not where:
            raise NoPicture("This picture is not below a source that --pictures names.")
        return where

    def _content(self, item: CaseItem, where: str, tries: Tries) -> bytes:
        wanted = item.record.item
        source = self._open(where, wanted.surface)
        listed = _listed(source, where, wanted, item.origin.location, tries)
        try:
            if isinstance(source, BasedSource) and source.leads_out(listed):
                raise NoPicture(_OUTSIDE)
            read, content = read_item(source, listed, tries)
        except (ValueError, LookupError):  # a location that no source of ours has written
            raise NoPicture(_OUTSIDE) from None
        if isinstance(content, ImageError):
            raise content
        if read.version != wanted.version:
            raise NoPicture(
                "What is there now is not the picture that was matched: it has changed since. "
                "It is not shown."
            )
        return content

    def _open(self, where: str, surface: Surface) -> Source:
        """Return a source, kept open: a bucket's connections are worth keeping."""
        with self._lock:
            source = self._sources.get((where, surface))
        if source is None:
            source = registry.open_source(where, surface, allow_private=self._allow_private)
            with self._lock:
                if len(self._sources) >= MAX_OPEN:
                    self._sources.pop(next(iter(self._sources)))  # may be in use: it ends with that
                self._sources[where, surface] = source
        return source

    def _exif(self, content: bytes) -> View:
        text = self._pool.exif_tags(content) or "There is no EXIF data in this file."
        return View(text.encode(), "text/plain")

    def _decode(self, content: bytes, item: RecordItem, step: BlurStep) -> View:
        frame = item.frame
        shown: bytes | None = None
        pictures = self._pool.pictures(content, frames=item.media_type not in ONE_PICTURE)
        try:
            for picture in pictures:
                if picture.reading:
                    continue
                if shown is not None:
                    return View(shown, whole=False)
                if picture.frame == frame or not frame:
                    shown = blurred(picture.pixels, step)
                    if frame:
                        return View(shown, whole=False)
        except ImageError:  # in what comes behind the picture that is to be shown
            if shown is None:
                raise
            return View(shown, whole=False)
        finally:
            pictures.close()
        if shown is not None:
            return View(shown)
        raise NoPicture(f"The picture has no frame {frame}, which is the one that was matched.")


class BlurStep(IntEnum):
    """How far a picture is uncovered."""

    STRONG = 0
    """Gray, and so blurred that little more than light and dark is left."""
    LIGHT = 1
    """Gray and blurred: shapes, no details."""
    GRAY = 2
    """Sharp and gray."""
    COLOUR = 3
    """As it is."""


def blurred(pixels: NDArray[np.uint8], step: BlurStep) -> bytes:
    r"""Return upright RGB, shape (height, width, 3), as JPEG, blurred as `step` says.

    It has at most `LONGEST_SIDE` pixels a side, and no metadata. Steps 0 and 1 are made of as few
    pixels as `BLURRED_SIDES` says, enlarged again.

    Examples
    --------
    >>> import numpy as np
    >>> picture = np.random.default_rng(1).integers(0, 256, (90, 160, 3)).astype(np.uint8)
    >>> blurred(picture, BlurStep.STRONG)[:2]
    b'\xff\xd8'
    """
    # A picture of 64 megapixels would take Pillow 256 MB; every n-th pixel is enough to look at.
    every = max(1, max(pixels.shape[:2]) // (2 * LONGEST_SIDE))
    image = Image.fromarray(pixels[::every, ::every].copy())
    size = _fitted(image.size, LONGEST_SIDE)
    if step is not BlurStep.COLOUR:
        image = image.convert("L")
    if step < len(BLURRED_SIDES):
        image = image.resize(_fitted(size, BLURRED_SIDES[step]), Image.Resampling.BOX)
        image = image.resize(size, Image.Resampling.BICUBIC)
    elif image.size != size:
        image = image.resize(size, Image.Resampling.LANCZOS)
    return _as_jpeg(image)


def _covered(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a frame as it is in a strip: gray, `STRIP_SIDE` wide, and made of as few pixels."""
    image = Image.fromarray(pixels).convert("L")
    size = max(1, STRIP_SIDE), max(1, round(STRIP_SIDE * image.height / image.width))
    image = image.resize(_fitted(image.size, BLURRED_SIDES[0]), Image.Resampling.BOX)
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC))


def _as_jpeg(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=JPEG_QUALITY)
    return out.getvalue()


def _fitted(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Return `size`, made smaller until its longer side is `longest`."""
    scale = min(1.0, longest / max(size))
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _check_wanted(tries: Tries) -> None:
    """Raise NoPicture if nobody waits for a picture any more."""
    if tries.stopped:
        raise NoPicture(LATE, is_late=True)


def _listed(
    source: Source, where: str, record: RecordItem, location: str, tries: Tries
) -> ImageItem:
    """Return the item of a record as its source listed it."""
    scheme, separator, rest = where.partition("://")
    if not separator:
        # A relative one is from where the scan ran, and we may be elsewhere.
        name = os.fsdecode(unescape_name(record.key))
        place = os.path.join(where, name) if os.path.isdir(where) else where
        place = os.path.realpath(location if os.path.isabs(location) else place)
        if not is_below(place, where):
            raise NoPicture(_OUTSIDE)
        return ImageItem(record.key, record.version, record.surface, place)
    if scheme in BUCKETS:
        key = location or unescape_name(record.key).decode(errors="surrogateescape")
        if not is_key_below(key, rest.partition("/")[2]):
            raise NoPicture(_OUTSIDE)
        return ImageItem(record.key, record.version, record.surface, key)
    if location and scheme not in BY_LISTING:
        return ImageItem(record.key, record.version, record.surface, location)
    for listed in source.items():
        _check_wanted(tries)
        if listed.key == record.key:
            return listed
    raise NoPicture("The picture is no longer in its source.")


_OUTSIDE = "The record names a place outside of its source."
"""It must not point at any file at all."""
