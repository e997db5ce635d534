"""md5: an exact digest of the file as received, 128 bits.

sha1: an exact digest of the file as received, 160 bits.

sha256: an exact digest of the file as received, 256 bits.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, ClassVar, Literal

from hashmatch.records.hashes import HashBatch, HashSpec

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Md5:
    """md5 (RFC 1321) of a file's bytes: equal or not, so `max_distance` is 0."""

    spec: ClassVar = HashSpec("md5", 128)
    reads: ClassVar[Literal["bytes"]] = "bytes"
    max_distance: ClassVar = 0
    min_quality: ClassVar = 0
    min_side: ClassVar = 0

    def hash(self, data: NDArray[np.uint8]) -> tuple[HashBatch, None]:
        """Return the digest of `data`, shape (n,); no quality is measured."""
        # Not for security: these are the digests that lists carry.
        digest = hashlib.md5(data.data, usedforsecurity=False).digest()
        return HashBatch.from_bytes(self.spec, digest), None


class Sha1:
    """sha1 (FIPS 180-4) of a file's bytes: equal or not, so `max_distance` is 0."""

    spec: ClassVar = HashSpec("sha1", 160)
    reads: ClassVar[Literal["bytes"]] = "bytes"
    max_distance: ClassVar = 0
    min_quality: ClassVar = 0
    min_side: ClassVar = 0

    def hash(self, data: NDArray[np.uint8]) -> tuple[HashBatch, None]:
        """Return the digest of `data`, shape (n,); no quality is measured."""
        # Not for security: these are the digests that lists carry.
        digest = hashlib.sha1(data.data, usedforsecurity=False).digest()
        return HashBatch.from_bytes(self.spec, digest), None


class Sha256:
    """sha256 (FIPS 180-4) of a file's bytes: equal or not, so `max_distance` is 0."""

    spec: ClassVar = HashSpec("sha256", 256)
    reads: ClassVar[Literal["bytes"]] = "bytes"
    max_distance: ClassVar = 0
    min_quality: ClassVar = 0
    min_side: ClassVar = 0

    def hash(self, data: NDArray[np.uint8]) -> tuple[HashBatch, None]:
        """Return the digest of `data`, shape (n,); no quality is measured."""
        # Not for security: these are the digests that lists carry.
        digest = hashlib.sha256(data.data, usedforsecurity=False).digest()
        return HashBatch.from_bytes(self.spec, digest), None
