"""What may be passed where an image is asked for, turned into bytes or pixels once."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cached_property
from operator import attrgetter, methodcaller
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias, Union, cast

import numpy as np
from PIL.Image import Image
from PIL.ImageFile import ImageFile

from hashmatch.decode import limits
from hashmatch.decode.exif import orientation
from hashmatch.errors import UsageError
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError, clean_name, escape_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

ImageInput: TypeAlias = Union[
    "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]",
    "Image",
    "NDArray[np.uint8]",
    "LoadedImage",
]
"""A path, the bytes of a file, a file object, a Pillow image, an array of pixels, or any of them as
`load` gives it."""

STEP = 2**20
"""Bytes that are asked of a file object at a time, since it may reserve them all at once."""
CONTENT = b"hashmatch-item"
"""What the version of an item that has none is a SHA-256 of, and then its content: so it is never
what a list has of a file. With the instructions of processors it takes half as long as BLAKE2b."""
VERSION = "s2-{:.24}"
"""How that is written."""


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """One image as bytes or pixels, or why it could not be read; see `load`.

    Exactly one of `data`, `pixels` and `error` is there.

    Parameters
    ----------
    name : str
        What messages call it.
    data : bytes, optional
        The file, undecoded.
    pixels : PIL.Image.Image or ndarray of uint8, optional
        An image that was open already, as the caller has it.
    error : ImageError, optional
        Why there is neither, with its outcome.
    """

    name: str
    data: bytes | None = field(default=None, repr=False)
    pixels: Image | NDArray[np.uint8] | None = field(default=None, repr=False)
    error: ImageError | None = None

    @cached_property
    def version(self) -> str:
        """A digest of the content; ``unread`` where there is none.

        Of a Pillow image that has its pixels no longer from its file, ask once it is hashed:
        hashing loads it, tolerantly if it has to, while loading it here would raise on a damaged
        one, or hide its damage from the hash.
        """
        digest = hashlib.sha256(CONTENT)
        data = self.data
        if isinstance(self.pixels, Image):
            data = unread_file(self.pixels)
        if data is not None:
            digest.update(data)
        elif self.pixels is None:
            return "unread"
        else:
            image = self.pixels
            try:
                pixels = np.asarray(image)
                # What the numbers of a Pillow image mean, its mode and colours say.
                colours = (image.mode, image.getpalette()) if isinstance(image, Image) else ()
            except Exception:  # as undecodable as its outcome says; Pillow may raise anything
                return "unread"
            digest.update(str((pixels.shape, pixels.dtype, *colours)).encode())
            digest.update(np.ascontiguousarray(pixels).reshape(-1).data)
        return VERSION.format(digest.hexdigest())


def load(image: ImageInput, name: str | None = None) -> LoadedImage:
    r"""Return `image` as bytes or pixels; a file is read here, once, and nowhere else.

    Everything that takes an image takes what this returns, and then reads and copies nothing.
    A file that cannot be read, or is too large, raises nothing here: it is an `ImageError` in the
    result, and becomes the outcome of the image.

    Parameters
    ----------
    image : path, bytes, bytearray, memoryview, file object, PIL.Image.Image or ndarray of uint8
        Or a `LoadedImage`, which is given back. A file object is read from its beginning where it
        can be wound back. ``bytes``, Pillow images and arrays are not copied.
    name : str, optional
        What messages call it; by default the path or file name.

    Returns
    -------
    LoadedImage

    Raises
    ------
    UsageError
        If `image` is none of these things.

    Examples
    --------
    >>> loaded = load("fixtures/images/plain/tiles.png")
    >>> loaded.name, loaded.data[:4], loaded.version[:3]
    ('fixtures/images/plain/tiles.png', b'\x89PNG', 's2-')
    >>> load("missing.png").error.reason
    'cannot be read: No such file or directory'
    """
    if isinstance(image, LoadedImage):
        return image if name is None else replace(image, name=name)
    if name is None:
        name = describe(image)
    if isinstance(image, np.ndarray | Image):
        return LoadedImage(name, pixels=image)
    try:
        return LoadedImage(name, _file_bytes(image))
    except ImageError as error:
        return LoadedImage(name, error=error.with_traceback(None))


def unread_file(image: Image) -> bytes | None:
    """Return the file of a Pillow image that was opened and nothing else; None of any other.

    What Pillow would make of it is not always what is seen, so such an image is decoded as its file
    is. One that was loaded, drafted, moved to another frame or edited is what it is now.
    """
    if not isinstance(image, ImageFile) or getattr(image, "_im", image) is not None:
        return None
    data = file_behind(image)
    if data is None:
        return None
    try:
        with closing(type(image)(io.BytesIO(data), "")) as afresh:
            same = all(
                told(image) == told(afresh)
                for told in (attrgetter("size", "mode", "info"), methodcaller("tell"), orientation)
            )
    except Exception:  # it is of the caller's own class, or its file has changed
        return None
    return data if same else None


def file_behind(image: Any) -> bytes | None:
    """Return the bytes that an open image is read from; None if there are none any more."""
    try:
        file = getattr(image, "_fp", None) or image.fp
        position = file.tell()
        file.seek(0)
        try:
            data: bytes = file.read(limits.MAX_BYTES + 1)
        finally:
            file.seek(position)
    except Exception:  # closed, or the caller's own and raising anything
        return None
    return data if len(data) <= limits.MAX_BYTES else None


def describe(image: ImageInput) -> str:
    """Return a name for `image` in messages."""
    if isinstance(image, str | os.PathLike):
        try:
            return escape_name(os.fsencode(image))
        except UnicodeEncodeError:  # there is no such file in this locale
            return clean_name(os.fspath(image))
    name = getattr(image, "name", None) or getattr(image, "filename", None)
    return clean_name(name) if isinstance(name, str) else f"<{type(image).__name__}>"


def _file_bytes(image: object) -> bytes:
    if isinstance(image, bytes | bytearray | memoryview):
        limits.check_bytes(image.nbytes if isinstance(image, memoryview) else len(image))
        return bytes(image)
    if isinstance(image, str | os.PathLike):
        return read_file(Path(image))
    if hasattr(image, "read"):
        return _read_object(cast("IO[bytes]", image))
    raise UsageError(
        f"cannot read an image from {type(image).__name__}. Give a path, bytes, a file object, "
        "a Pillow image or a uint8 array"
    )


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Return the content of a regular file of at most `limits.MAX_BYTES`.

    Raises ImageError, ``failed`` if it cannot be read, ``unsupported`` if it is no regular file,
    ``refused`` if it is larger.
    """
    try:
        # Without O_NONBLOCK, opening a FIFO would wait for a writer for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                raise ImageError(Outcome.UNSUPPORTED, "a folder, not a regular file")
            if not stat.S_ISREG(status.st_mode):
                raise ImageError(Outcome.UNSUPPORTED, "not a regular file")
            limits.check_bytes(status.st_size)
            # A size that is asked for is reserved at once: 256 MiB for a thumbnail, if it were
            # `limits.MAX_BYTES`. Files that the system makes up say 0.
            size = status.st_size or STEP
            data = os.read(descriptor, size)  # without a file object, which costs as much again
            while len(data) < size and (more := os.read(descriptor, size - len(data))):
                data += more
            return data
        finally:
            os.close(descriptor)
    except MemoryError:
        raise ImageError(Outcome.REFUSED, "not enough memory to read it") from None
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL in it
        reason = getattr(error, "strerror", None) or str(error)
        raise ImageError(Outcome.FAILED, f"cannot be read: {reason}") from None


def _read_object(file: IO[bytes]) -> bytes:
    """Return all that a file object holds, from its beginning where it can be wound back."""
    chunks: list[bytes] = []
    size = 0
    try:
        seekable = getattr(file, "seekable", None)
        if seekable is not None and seekable():
            file.seek(0)
        # A raw file or a socket gives what it has at the moment: only nothing means the end.
        most = limits.MAX_BYTES
        while size <= most and (chunk := file.read(min(STEP, most + 1 - size))):
            chunks.append(chunk)
            size += len(chunk)
        data = b"".join(chunks)
    except TypeError:
        raise UsageError(
            "cannot read an image from a file object that is open as text. Open it in binary mode "
            "('rb')"
        ) from None
    except Exception as error:  # it is the caller's, or a network's: it may raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(Outcome.FAILED, f"cannot be read: {reason}") from None
    limits.check_bytes(size)
    return data
