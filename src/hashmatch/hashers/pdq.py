"""PDQ: 256 bits, with a quality; the hash that most lists of pictures carry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from hashmatch._kernels import pdq_numpy
from hashmatch.hashers._pdq import PdqHasher
from hashmatch.records.hashes import HashBatch, HashSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hashmatch.interfaces import Disc, Framing


class Pdq(PdqHasher):
    """PDQ at full resolution, bit-identical to the reference (``pdqhash``) on the same pixels.

    Source: the ThreatExchange ``pdq`` folder, and its paper of 2019. The limits are `PdqHasher`'s.
    """

    spec = HashSpec("pdq", 256)

    def hash_framings(
        self,
        data: NDArray[np.uint8],
        framings: tuple[Framing, ...],
        oriented: tuple[Framing, ...] = (),
        hidden: tuple[Disc, ...] = (),
        unsure: tuple[Framing, ...] = (),
    ) -> HashBatch:
        """Return the hashes of RGB pixels (h, w, 3) in other frames, and without some of them.

        All come from one small grey picture, so that a hundred cost about as much as one hash.
        Discs are placed to a 64th of a side.
        """
        from hashmatch.hashers import _pdq_framings

        words = _pdq_framings.words(data, framings, oriented, hidden, unsure)
        return HashBatch(self.spec, words, owned=True)

    def hash_round(self, data: NDArray[np.uint8]) -> HashBatch:
        """Return the hashes of RGB pixels (h, w, 3) with what may have been around a disc in them.

        Three guesses by the expected value and `hashmatch.interfaces.GUESSES` around the second, in
        eight orientations each. The first call takes half a second in each process.
        """
        from hashmatch.hashers import _pdq_round

        return HashBatch(self.spec, _pdq_round.words(data), owned=True)

    def hash_covered(self, data: NDArray[np.uint8], covered: NDArray[np.bool_]) -> HashBatch:
        """Return the hashes of RGB pixels (h, w, 3) without each thing that covers cells of them.

        The likeliest and `hashmatch.interfaces.GUESSES` others of each.
        """
        from hashmatch.hashers import _pdq_covered

        return HashBatch(self.spec, _pdq_covered.words(data, covered), owned=True)

    def hash_enlarged(self, data: NDArray[np.uint8]) -> HashBatch:
        """Return the hashes of RGB pixels (h, w, 3) as a large original has them, in eight ways.

        For lists made from large pictures: see `hashmatch._kernels.enlarge`.
        """
        from hashmatch._kernels import enlarge

        pixels = data.view()
        pixels.flags.writeable = False  # compiled once, whether the caller's array is or is not
        height, width = pixels.shape[:2]
        words = np.empty((8, self.spec.words), np.uint64)
        enlarge.pdq_enlarged(
            pixels, *enlarge.tents(height), *enlarge.tents(width), pdq_numpy.DCT, words
        )
        return HashBatch(self.spec, words, owned=True)

    def hash_parts(
        self, grey: NDArray[np.float32], corners: NDArray[np.float64]
    ) -> tuple[HashBatch, NDArray[np.int64]]:
        """Return eight hashes of each part, by `corners` (n, 4, 2), of `grey`, and the qualities.

        See `hashmatch.interfaces.PartsHasher`.
        """
        from hashmatch._kernels import views

        sums = np.empty((grey.shape[0] + 1, grey.shape[1] + 1))
        views.sums_of(grey, sums)
        words = np.empty((len(corners), 8, self.spec.words), np.uint64)
        quality = np.empty(len(corners), np.int64)
        views.hash_views(grey, sums, corners, pdq_numpy.DCT, pdq_numpy.DCT_ACROSS, words, quality)
        return HashBatch(self.spec, words.reshape(-1, self.spec.words), owned=True), quality
