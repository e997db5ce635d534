"""The frames of many videos, held as columns, and the key that stands for all that one has."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from hashmatch.errors import UsageError
from hashmatch.records.hashes import HashBatch, HashSpec, Opaque
from hashmatch.records.videos import FRAME_SPEC, VideoFrames

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

VIDEO_SPEC = HashSpec("vpdq", 256)
"""Of a list of videos. What stands in the place of an entry's hash is `video_key`."""

KEY = 32
"""Bytes of a key."""


def video_key(frames: VideoFrames) -> bytes:
    """Return what stands for a video among the hashes of a list: 32 bytes.

    A BLAKE2b (RFC 7693) of all that is said of its frames, so that the same statement about the
    same video comes to the same key, and any other to another.

    Examples
    --------
    >>> none = VideoFrames(
    ...     np.empty(0, np.int64), np.empty(0), np.empty(0, np.uint8),
    ...     HashBatch.from_bytes(FRAME_SPEC, b""),
    ... )
    >>> len(video_key(none))
    32
    """
    digest = hashlib.blake2b(digest_size=KEY, person=b"hashmatch-video")
    digest.update(frames.frames.astype("<i8").tobytes())
    digest.update(frames.times.astype("<f8").tobytes())
    digest.update(frames.quality.tobytes())
    digest.update(frames.hashes.words.astype("<u8").tobytes())
    return digest.digest()


COLUMNS = "keys", "ends", "frames", "times", "quality", "words", "set_aside"
"""Of `Videos`, in the order of its arguments."""


class Videos(Opaque):
    """The frames of many videos, found by their keys, each video once.

    Parameters
    ----------
    keys : ndarray of uint64, shape (m, 4)
        `video_key` of each, as `HashBatch.words` holds it, ascending.
    ends : ndarray of int64, shape (m + 1,)
        Where the frames of each begin: those of video i are rows ``ends[i]`` to ``ends[i + 1]``.
    frames, times, quality : ndarray of int64, float64 and uint8, shape (n,)
        As `VideoFrames` has them.
    words : ndarray of uint64, shape (n, 4)
        Their PDQ hashes.
    set_aside : ndarray of uint8, shape (n,)
        Why a frame is not matched, see `hashmatch.lists.degenerate`, or 0.

    Raises
    ------
    UsageError
        If the arrays do not belong together.

    Examples
    --------
    >>> len(Videos.of([]))
    0
    """

    # No tuple of them either: it would show the hashes.
    __slots__ = ("_names", *COLUMNS)

    keys: NDArray[np.uint64]
    ends: NDArray[np.int64]
    frames: NDArray[np.int64]
    times: NDArray[np.float64]
    quality: NDArray[np.uint8]
    words: NDArray[np.uint64]
    set_aside: NDArray[np.uint8]
    _names: NDArray[np.bytes_]

    def __init__(
        self,
        keys: NDArray[np.uint64],
        ends: NDArray[np.int64],
        frames: NDArray[np.int64],
        times: NDArray[np.float64],
        quality: NDArray[np.uint8],
        words: NDArray[np.uint64],
        set_aside: NDArray[np.uint8],
    ) -> None:
        arrays: tuple[NDArray[Any], ...] = (
            keys, ends, frames, times, quality, words, set_aside,
        )  # fmt: skip
        count, number = len(keys), len(frames)
        wanted: tuple[tuple[Any, tuple[int, ...]], ...] = (
            (np.uint64, (count, VIDEO_SPEC.words)), (np.int64, (count + 1,)),
            (np.int64, (number,)), (np.float64, (number,)), (np.uint8, (number,)),
            (np.uint64, (number, FRAME_SPEC.words)), (np.uint8, (number,)),
        )  # fmt: skip
        fits = all(
            each.dtype == kind and each.shape == shape
            for each, (kind, shape) in zip(arrays, wanted, strict=True)
        )
        fits = fits and ends[0] == 0 and ends[-1] == number and bool((np.diff(ends) >= 0).all())
        names = _names(keys) if fits else np.empty(0, f"S{KEY}")
        if not fits or not (names[1:] > names[:-1]).all():
            raise UsageError(
                "cannot use these columns as videos: their lengths, types or order do not belong "
                "together. Make them with Videos.of"
            )
        for name, each in zip(COLUMNS, arrays, strict=True):
            each.flags.writeable = False
            object.__setattr__(self, name, each)
        object.__setattr__(self, "_names", names)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} is immutable")

    @classmethod
    def of(cls, videos: Iterable[VideoFrames]) -> Videos:
        """Return the columns of some videos; of those that are the same, one."""
        by_key = {video_key(each): each for each in videos}
        order = sorted(by_key)
        every = [by_key[key] for key in order]
        keys = HashBatch.from_bytes(VIDEO_SPEC, b"".join(order)).words
        ends = np.zeros(len(every) + 1, np.int64)
        np.cumsum([len(each) for each in every], out=ends[1:])
        return cls(
            keys,
            ends,
            np.concatenate([np.empty(0, np.int64), *(each.frames for each in every)]),
            np.concatenate([np.empty(0, np.float64), *(each.times for each in every)]),
            np.concatenate([np.empty(0, np.uint8), *(each.quality for each in every)]),
            np.concatenate(
                [np.empty((0, FRAME_SPEC.words), np.uint64), *(v.hashes.words for v in every)]
            ),
            np.zeros(int(ends[-1]), np.uint8),
        )

    def __len__(self) -> int:
        return len(self.keys)

    def __repr__(self) -> str:
        return f"<Videos n={len(self)}, {len(self.frames)} frames>"

    def columns(self) -> tuple[NDArray[Any], ...]:
        """Return all of them, in the order of the arguments."""
        return tuple(getattr(self, name) for name in COLUMNS)

    @property
    def hashes(self) -> HashBatch:
        """The PDQ hashes of all frames, those of one video after those of another."""
        return HashBatch(FRAME_SPEC, self.words, owned=True)

    def usable(self, min_quality: int) -> NDArray[np.bool_]:
        """Return which frames are matched: of that quality and more, and not set aside."""
        usable: NDArray[np.bool_] = self.quality >= min_quality
        usable &= self.set_aside == 0
        return usable

    def rows(self, keys: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Return where the videos of some keys, shape (k, 4), are.

        Raises
        ------
        UsageError
            If there is none of a key.
        """
        wanted = _names(keys)
        rows = np.searchsorted(self._names, wanted)
        known = rows < len(self)
        known[known] = self._names[rows[known]] == wanted[known]
        if not known.all():
            raise UsageError(
                "cannot find the frames of a video of the list. Read the list again from its file"
            )
        return rows.astype(np.int64)

    def __getitem__(self, row: int) -> VideoFrames:
        """Return the frames of one video."""
        rows = slice(*self.ends[row : row + 2].tolist())
        return VideoFrames(
            self.frames[rows],
            self.times[rows],
            self.quality[rows],
            HashBatch(FRAME_SPEC, self.words[rows]),
        )

    def take(self, rows: NDArray[np.int64]) -> Videos:
        """Return some of the videos; `rows` ascend."""
        lengths = np.diff(self.ends)[rows]
        taken = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(lengths, out=taken[1:])
        source = np.arange(taken[-1]) - np.repeat(taken[:-1] - self.ends[:-1][rows], lengths)
        return Videos(self.keys[rows], taken, *(column[source] for column in self.columns()[2:]))

    def of_keys(self, keys: NDArray[np.uint64]) -> Videos:
        """Return the videos of some keys, shape (k, 4), each once, in any order."""
        return self.take(np.unique(self.rows(keys)))

    def setting_aside(self, codes: NDArray[np.uint8]) -> Videos:
        """Return the same videos, some of whose frames are not matched.

        Parameters
        ----------
        codes : ndarray of uint8, shape (n,)
            Why, of each frame; 0 if it is.
        """
        kept = (self.keys, self.ends, self.frames, self.times, self.quality, self.words)
        return Videos(*kept, codes)


def joined(parts: Sequence[Videos]) -> Videos:
    """Return the videos of all parts, each once, as the first part has it."""
    if len(parts) == 1:
        return parts[0]
    names = np.concatenate([np.empty(0, f"S{KEY}"), *(_names(part.keys) for part in parts)])
    _, first = np.unique(names, return_index=True)
    numbers = np.concatenate([np.empty(0, np.int64), *(np.arange(len(part)) for part in parts)])
    of_part = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    columns = [
        np.concatenate(each) for each in zip(*(part.columns() for part in parts), strict=True)
    ]
    begins = np.cumsum([0, *(len(part.frames) for part in parts)])
    lengths = np.concatenate([np.diff(part.ends) for part in parts])[first]
    source = [
        begins[part] + parts[part].ends[number]
        for part, number in zip(of_part[first].tolist(), numbers[first].tolist(), strict=True)
    ]
    ends = np.zeros(len(first) + 1, np.int64)
    np.cumsum(lengths, out=ends[1:])
    rows = np.arange(ends[-1]) + np.repeat(np.array(source, np.int64) - ends[:-1], lengths)
    return Videos(columns[0][first], ends, *(column[rows] for column in columns[2:]))


def _names(keys: NDArray[np.uint64]) -> NDArray[np.bytes_]:
    """Return keys as bytes that sort; NumPy takes zeros at their ends for padding, alike in all."""
    return np.ascontiguousarray(keys.astype(">u8")).view(f"S{KEY}").reshape(-1)
