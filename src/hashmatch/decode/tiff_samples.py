"""TIFF whose samples Pillow does not read: read by tifffile and imagecodecs, the extra ``tiff``.

Floating or 32-bit colours, deep samples in planes of their own, gray or inks with transparency, and
WebP in place of strips. What the numbers mean is said by the tags of TIFF 6.0 and its supplements;
how they come down to eight bits, by `hashmatch.decode.color`.
"""

from __future__ import annotations

import io
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.TiffImagePlugin import TiffImageFile

from hashmatch.decode import limits
from hashmatch.decode.cicp import BT709, LINEAR, Cicp
from hashmatch.decode.color import BAND, eight_bits, stretched
from hashmatch.decode.exif import upright
from hashmatch.decode.webp import size_of
from hashmatch.errors import install
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

SAMPLED = "SAMPLED"
"""What such a picture calls its format."""
READABLE = bool(find_spec("tifffile") and find_spec("imagecodecs"))

BITS_PER_SAMPLE, COMPRESSION, ORIENTATION, SAMPLES_PER_PIXEL = 258, 259, 274, 277
PLANAR_CONFIGURATION, PROFILE = 284, 34675
JPEG, WEBP = 7, 50001
COMPRESSIONS = {
    1: "none", 5: "LZW", JPEG: "JPEG", 8: "deflate", 32946: "deflate", 32773: "PackBits",
    34925: "LZMA", 50000: "zstd", WEBP: "WebP",
}  # fmt: skip
"""Those that are given how much to decode, or report it before they do."""
WHITE_IS_ZERO, BLACK_IS_ZERO, COLOUR, INKS, YCBCR, CIELAB = 0, 1, 2, 5, 6, 8
CHANNELS = {WHITE_IS_ZERO: 1, BLACK_IS_ZERO: 1, COLOUR: 3, INKS: 4, YCBCR: 3, CIELAB: 3}
"""Samples of a pixel without transparency, by PhotometricInterpretation."""
MODES = {COLOUR: "RGB", INKS: "CMYK", YCBCR: "RGB", CIELAB: "LAB"}
"""Of Pillow; of what else has one channel, L."""
STORED = {"b": np.uint8}
"""What numbers of one bit are held as."""
PREMULTIPLIED, TRANSPARENT = 1, 2
"""What ExtraSamples says of transparency."""


UNOPENED = {
    "unknown pixel mode": "samples of this kind",
    "string index out of range": "extra samples in separate planes",
}
"""What Pillow says while it opens a file, and what that means."""


def misread(image: TiffImageFile) -> str:
    """Return what Pillow reads otherwise than it is, or not, in a TIFF that it opens; else ""."""
    tags = image.tag_v2
    if tags.get(PLANAR_CONFIGURATION) == 2:
        if max(tags.get(BITS_PER_SAMPLE, (1,))) > 8:
            return "samples of more than 8 bits in separate planes"  # it takes bytes for pixels
        if image.mode == "LA" or tags.get(SAMPLES_PER_PIXEL, 1) != len(image.getbands()):
            return "extra samples in separate planes"
    return "strips of WebP" if tags.get(COMPRESSION) == WEBP else ""


def open_tiff(data: bytes) -> ImageFile.ImageFile:
    """Return the first page of a TIFF, by Pillow where it reads such samples.

    Raises ImageError, ``unsupported``, where it does not and the extra is not installed.
    """
    try:
        image = TiffImageFile(io.BytesIO(data), "")
        what = misread(image)
    except SyntaxError as error:
        what = UNOPENED.get(str(error), "")
        if str(error).isdigit():
            what = f"strips of compression {error}"
        elif not what:
            raise
    if not what:
        return image
    if not READABLE:
        raise ImageError(Outcome.UNSUPPORTED, f"TIFF: {what} are not read. {install('tiff')}")
    return SampledTiffFile(io.BytesIO(data), "")


def load_codecs() -> None:
    """Load all that is needed to read such files, which otherwise is loaded by the first of each.

    Raises ImportError or KeyError if part of it is missing.
    """
    from imagecodecs import jpeg8_decode, jpegsof3_decode, ljpeg_decode  # noqa: F401 - of JPEG
    from tifffile import TIFF, TiffWriter

    for compression in COMPRESSIONS:
        _ = TIFF.DECOMPRESSORS[compression]
    for predictor in (2, 3):
        _ = TIFF.UNPREDICTORS[predictor]
    file = io.BytesIO()
    with TiffWriter(file) as writer:
        writer.write(np.zeros((16, 16, 3), np.float32), photometric="rgb")
    with open_tiff(file.getvalue()) as image:
        image.load()


class SampledTiffFile(ImageFile.ImageFile):
    """A page of such a TIFF as Pillow has other files; it is nowhere registered with Pillow."""

    format = SAMPLED
    format_description = "TIFF of other samples"

    def _open(self) -> None:
        from tifffile import TiffFile

        stream: Any = self.fp
        self._file = TiffFile(stream)
        page: Any = self._file.pages.first
        self._page = page
        self._size = self._page.imagewidth, self._page.imagelength
        self._check_layout()
        self._mode = MODES.get(self._page.photometric, "L")
        kinds = enumerate(self._page.extrasamples)
        self._alpha = next((n for n, kind in kinds if kind in {PREMULTIPLIED, TRANSPARENT}), None)
        stored = self._page.tags.valueof(ORIENTATION)
        self._orientation = stored if isinstance(stored, int) and 1 <= stored <= 8 else 1
        profile = self._page.tags.valueof(PROFILE)
        if isinstance(profile, bytes):
            self.info["icc_profile"] = profile
        elif self._page.photometric == COLOUR and self._page.dtype.kind == "f":
            self.info["cicp"] = Cicp(BT709, LINEAR)  # as many, but not all, viewers take it
        self.tile = [ImageFile._Tile("samples", (0, 0, *self._size), 0, None)]

    def _check_layout(self) -> None:
        page = self._page
        reason = ""
        if page.compression not in COMPRESSIONS:
            reason = f"compression {page.compression} of such samples is not supported"
        elif page.samplesperpixel < CHANNELS.get(page.photometric, page.samplesperpixel + 1) or (
            page.photometric == YCBCR and page.compression != JPEG
        ):
            reason = f"colours of kind {page.photometric} in such samples are not supported"
        elif not isinstance(page.bitspersample, int):
            reason = "samples of unlike bits are not supported"
        elif page.dtype is None or page.dtype.kind not in "buif" or page.imagedepth != 1:
            reason = f"samples of format {page.sampleformat} are not supported"
        elif page.photometric == CIELAB and page.dtype.kind != "u":
            reason = "CIELAB of such numbers is not supported"
        if reason:
            raise ImageError(Outcome.UNSUPPORTED, f"TIFF: {reason}")
        size = page.samplesperpixel * page.dtype.itemsize * self.width * self.height
        if size > limits.TIFF_SAMPLE_BYTES:
            raise ImageError(
                Outcome.REFUSED,
                f"TIFF: {size // 2**20} MiB of samples, the limit is "
                f"{limits.TIFF_SAMPLE_BYTES // 2**20}",
            )

    def load(self) -> Any:
        """Decode it."""
        if self.tile:
            decoded = self._picture(self._samples())
            self.im, self._mode, self.tile = decoded.im, decoded.mode, []
            self._size = decoded.size
        return Image.Image.load(self)

    def _samples(self) -> NDArray[Any]:
        """Return the samples, (height, width, samples); of a part that is missing, 0."""
        page, file = self._page, self._file.filehandle
        planes, _, height, width, samples = page.shaped
        out = np.zeros((planes, height, width, samples), STORED.get(page.dtype.kind, page.dtype))
        parts = zip(page.dataoffsets, page.databytecounts, strict=True)
        for number, (offset, size) in enumerate(parts):
            try:
                file.seek(offset)
                self._decode(file.read(size), number, out)
            except Exception:
                if not ImageFile.LOAD_TRUNCATED_IMAGES:
                    raise
        return np.moveaxis(out[..., 0], 0, 2) if planes > 1 else out[0]

    def _decode(self, data: bytes, number: int, out: NDArray[Any]) -> None:
        page = self._page
        if page.compression in {JPEG, WEBP}:
            size = size_of(data) if page.compression == WEBP else _jpeg_size(data)
            place = page.tilewidth or self.width, page.tilelength or page.rowsperstrip
            if any(a > b for a, b in zip(size, place, strict=True)):
                raise ValueError("a strip is larger than its place")
        part, (plane, _, top, left, _), _ = page.decode(data, number, jpegtables=page.jpegtables)
        rows, columns = out.shape[1] - top, out.shape[2] - left
        part = part[0, :rows, :columns]
        out[plane, top : top + part.shape[0], left : left + part.shape[1]] = part

    def _picture(self, samples: NDArray[Any]) -> Image.Image:
        page = self._page
        count = CHANNELS[page.photometric]
        colours = samples[..., :count]
        levels = self._converted(colours, eight_bits(self._bands(colours), page.bitspersample))
        if page.photometric == WHITE_IS_ZERO:
            levels = 255 - levels
        picture = Image.fromarray(levels[..., 0] if count == 1 else levels, self.mode)
        if self._alpha is None:
            return picture
        at = count + self._alpha
        white = 1.0 if page.dtype.kind == "f" else float(2**page.bitspersample - 1)
        alpha = self._converted(samples[..., at : at + 1], partial(stretched, low=0.0, high=white))
        if page.extrasamples[self._alpha] == PREMULTIPLIED and count < 4:
            layers = np.dstack([np.broadcast_to(levels, (*alpha.shape[:2], 3)), alpha])
            height, width = alpha.shape[:2]
            return Image.frombytes("RGBa", (width, height), layers.tobytes()).convert("RGBA")
        picture = picture.convert("RGB")
        picture.putalpha(Image.fromarray(alpha[..., 0]))
        return picture

    def _bands(self, samples: NDArray[Any]) -> Iterator[NDArray[Any]]:
        """Yield some rows at a time."""
        rows = max(1, BAND // self.width)
        return (samples[top : top + rows] for top in range(0, len(samples), rows))

    def _converted(
        self, samples: NDArray[Any], convert: Callable[[NDArray[Any]], NDArray[np.uint8]]
    ) -> NDArray[np.uint8]:
        """Return samples as 8-bit numbers, upright."""
        made = np.empty(samples.shape, np.uint8)
        top = 0
        for band in self._bands(samples):
            made[top : top + len(band)] = convert(band)
            top += len(band)
        return upright(made, self._orientation)


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Return the width and height of a JPEG, of which its tables may be missing."""
    with JpegImageFile(io.BytesIO(data), "") as image:
        return image.size
