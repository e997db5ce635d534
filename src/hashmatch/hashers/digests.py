"""Exact digests of the file as received: md5, sha1 and sha256, of 128, 160 and 256 bits.

Lists keep those of videos apart, so here they are kinds of their own (``video_md5``), too: a
list of them is never compared with the digest of a picture.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, ClassVar, Literal

from hashmatch.records.hashes import HashBatch, HashSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class _FileDigest:
    """A digest of a file's bytes: equal or not, so `max_distance` is 0."""

    spec: ClassVar[HashSpec]
    reads: ClassVar[Literal["bytes"]] = "bytes"
    max_distance: ClassVar = 0
    min_quality: ClassVar = 0
    min_side: ClassVar = 0

    def hash(self, data: NDArray[np.uint8]) -> tuple[HashBatch, None]:
        """Return the digest of `data`, shape (n,); no quality is measured."""
        # Not for security: these are the digests that lists carry.
        name = self.spec.algorithm.removeprefix("video_")
        digest = hashlib.new(name, data.data, usedforsecurity=False).digest()
        return HashBatch.from_bytes(self.spec, digest), None


class Md5(_FileDigest):
    """md5 (RFC 1321) of a file's bytes."""

    spec = HashSpec("md5", 128)


class Sha1(_FileDigest):
    """sha1 (FIPS 180-4) of a file's bytes."""

    spec = HashSpec("sha1", 160)


class Sha256(_FileDigest):
    """sha256 (FIPS 180-4) of a file's bytes."""

    spec = HashSpec("sha256", 256)


class VideoMd5(_FileDigest):
    """md5 (RFC 1321) of a video's file."""

    spec = HashSpec("video_md5", 128)


class VideoSha1(_FileDigest):
    """sha1 (FIPS 180-4) of a video's file."""

    spec = HashSpec("video_sha1", 160)


class VideoSha256(_FileDigest):
    """sha256 (FIPS 180-4) of a video's file."""

    spec = HashSpec("video_sha256", 256)
