"""Hash a file that may be a video, as lists need it: its frames, and digests of all of it."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import cache
from hashlib import sha256
from importlib.util import find_spec
from typing import TYPE_CHECKING

from hashmatch.decode.formats import identify
from hashmatch.decode.inputs import CONTENT, VERSION
from hashmatch.decode.video_formats import GIF, HEAD, identify_video
from hashmatch.decode.video_inputs import open_video
from hashmatch.errors import install
from hashmatch.records.enums import Outcome
from hashmatch.records.images import HashedImage, ImageError
from hashmatch.records.video_columns import VIDEO_SPEC
from hashmatch.records.videos import FRAME_SPEC, HashedVideo
from hashmatch.sandbox.pool import DecodePool

if TYPE_CHECKING:
    from hashmatch.decode.inputs import ImageInput
    from hashmatch.hashing.hash_image import Decode, HashPlan

EVERY = 0.25
"""Seconds between two frames of a clip that are looked up, by default. What is cut out of a video
is hashed at other moments than the original: `docs/video.md` has what is found at which distance.
Decoding costs the most, and has to be done for any."""


def takes_videos(plan: HashPlan) -> bool:
    """Return whether a clip can be compared with lists that need such hashes."""
    return any(hasher.spec in {VIDEO_SPEC, FRAME_SPEC} for hasher in plan.hashers)


def is_video(head: bytes) -> bool:
    """Return whether a file that begins with `head` is a video. An animated GIF is a picture."""
    found = identify_video(head[:HEAD])
    return found is not None and found != GIF


def wanted(plan: HashPlan, head: bytes) -> None:
    """Raise ImageError if a file that begins so has none of the hashes of a plan."""
    if not (takes_videos(plan) and is_video(head)):
        identify(head)


def head_of(image: ImageInput) -> bytes:
    """Return how a file begins that is given as bytes or as a path; empty if it cannot be read."""
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image[:HEAD])
    if not isinstance(image, str | os.PathLike):
        return b""
    try:
        descriptor = os.open(image, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            return os.read(descriptor, HEAD)
        finally:
            os.close(descriptor)
    except (OSError, ValueError):  # who reads it says why
        return b""


def pool_of(decode: Decode | None) -> DecodePool | None:
    """Return the pool that pictures are decoded in, if they are in one: videos are as well."""
    owner = getattr(decode, "__self__", None)
    return owner if isinstance(owner, DecodePool) else None


def digest_of(path: str | os.PathLike[str]) -> str:
    """Return the version of a file that has none, as `hashmatch.decode.load` makes it of pictures.

    Raises ImageError if it cannot be read.
    """
    digest = sha256(CONTENT)
    with open_video(path) as opened:
        for chunk in opened.chunks():
            digest.update(chunk)
    return VERSION.format(digest.hexdigest())


def hash_clip(
    video: str | os.PathLike[str] | bytes,
    item: str,
    plan: HashPlan,
    every: float,
    pool: DecodePool | None,
) -> list[HashedImage | HashedVideo]:
    """Hash a video by a plan: digests of the file, each as of a picture, and then its frames.

    Parameters
    ----------
    video : path or bytes
        The file.
    item : str
        Its name in messages.
    plan : HashPlan
        What to hash it as. Hashes of pictures that are no PDQ are not made of videos.
    every : float
        Seconds between two hashed frames, 0 for every frame.
    pool : DecodePool, optional
        What decodes it; by default a pool that is started for it.

    Returns
    -------
    list of HashedImage and HashedVideo
    """
    digests = tuple(hasher.spec.algorithm for hasher in plan.hashers if hasher.reads == "bytes")
    if not _is_installed():
        made = HashedVideo(
            item,
            Outcome.UNSUPPORTED,
            f"a video, whose decoder is not installed. {install('video')}",
            every=every,
        )
        if digests:
            from hashmatch.video.hash_video import digests_of

            try:
                with open_video(video, item) as opened:
                    made = replace(made, digests=digests_of(opened, digests))
            except ImageError as error:
                made = replace(made, outcome=error.outcome, reason=error.reason)
    else:
        from hashmatch.video.hash_video import MIN_QUALITY, hash_video

        made = hash_video(
            video,
            every=every,
            digests=digests,
            item=item,
            min_quality=MIN_QUALITY if plan.min_quality is None else plan.min_quality,
            decode=pool,
        )
    each = [HashedImage(item, batch.spec, Outcome.HASHED, batch) for batch in made.digests]
    return [*each, made]


@cache
def _is_installed() -> bool:
    return find_spec("av") is not None
