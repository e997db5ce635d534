"""What may be passed where an image is asked for, and its bytes.

What an image's content is called where nobody gave it a version.
"""

from __future__ import annotations

import hashlib
import os
import stat
from pathlib import Path
from typing import IO, TYPE_CHECKING, TypeAlias, Union, cast

import numpy as np
from PIL.Image import Image

from hashmatch.decode import limits
from hashmatch.errors import UsageError
from hashmatch.records.enums import Outcome
from hashmatch.records.images import ImageError, clean_name

if TYPE_CHECKING:
    from numpy.typing import NDArray

ImageInput: TypeAlias = Union[
    "str | os.PathLike[str] | bytes | bytearray | memoryview | IO[bytes]",
    "Image",
    "NDArray[np.uint8]",
]
"""A path, the bytes of a file, a file object, a Pillow image, or an array of pixels."""

STEP = 2**20
"""Bytes that are asked of a file object at a time, since it may reserve them all at once."""


def describe(image: ImageInput) -> str:
    """Return a name for `image` in messages."""
    if isinstance(image, str | os.PathLike):
        return clean_name(os.fsdecode(image))
    name = getattr(image, "name", None) or getattr(image, "filename", None)
    return clean_name(name) if isinstance(name, str) else f"<{type(image).__name__}>"


def file_bytes(image: ImageInput) -> bytes | None:
    """Return the bytes of `image` as received; None if it is pixels already.

    Raises
    ------
    ImageError
        ``failed`` if it cannot be read, ``unsupported`` if it is no regular file, ``refused`` if
        it is larger than `limits.MAX_BYTES`.
    """
    if isinstance(image, bytes | bytearray | memoryview):
        data = bytes(image)
    elif isinstance(image, str | os.PathLike):
        return read_file(Path(image))
    elif hasattr(image, "read"):
        data = _read_object(cast("IO[bytes]", image))
    elif hasattr(type(image), "__array_interface__"):
        # Arrays, and Pillow images too: of those the type is asked, since asking one itself loads
        # and copies the whole picture, and raises if it is damaged.
        return None
    else:
        raise UsageError(
            f"an image is a path, bytes, a file object, a Pillow image or a uint8 array, "
            f"not {type(image).__name__}"
        )
    limits.check_bytes(len(data))
    return data


def read_file(path: Path) -> bytes:
    """Return the content of a regular file of at most `limits.MAX_BYTES`; see `file_bytes`."""

    def opener(name: str, flags: int) -> int:
        # Without O_NONBLOCK, opening a FIFO would wait for a writer for ever.
        return os.open(name, flags | os.O_NONBLOCK)

    try:
        with open(path, "rb", opener=opener) as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise ImageError(Outcome.UNSUPPORTED, "not a regular file")
            limits.check_bytes(status.st_size)
            # A size that is asked for is reserved at once: 256 MiB for a thumbnail, if it were
            # `limits.MAX_BYTES`. Files that the system makes up say 0.
            return file.read(status.st_size or STEP)
    except MemoryError:
        raise ImageError(Outcome.REFUSED, "not enough memory to read it") from None
    except IsADirectoryError:
        raise ImageError(Outcome.UNSUPPORTED, "a folder, not a regular file") from None
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
        return b"".join(chunks)
    except TypeError:
        raise UsageError("the file object is open as text; open it in binary mode ('rb')") from None
    except Exception as error:  # it is the caller's, or a network's: it may raise anything
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(Outcome.FAILED, f"cannot be read: {reason}") from None


def read_once(image: ImageInput) -> ImageInput:
    """Return the bytes of `image` if it is a file, so that it is read once; else itself."""
    try:
        data = file_bytes(image)
    except ImageError:
        return image  # hashing it will say why
    return image if data is None else data


def content_version(image: ImageInput) -> str:
    """Return a version made of the content of an image that `read_once` gave and that is hashed.

    Hashing has loaded a Pillow image by then, tolerantly if it had to be: loading it here would
    raise on a damaged one, or hide its damage from the hash.
    """
    digest = hashlib.blake2b(digest_size=12, person=b"hashmatch-item")
    if isinstance(image, bytes):
        digest.update(image)
    elif isinstance(image, str | os.PathLike) or hasattr(image, "read"):
        return "unread"
    else:
        try:
            pixels = np.asarray(image)
            # What the numbers of a Pillow image mean, its mode and colours say.
            colours = (image.mode, image.getpalette()) if isinstance(image, Image) else ()
        except Exception:  # as undecodable as its outcome says; Pillow may raise anything
            return "unread"
        digest.update(str((pixels.shape, pixels.dtype, *colours)).encode() + pixels.tobytes())
    return f"b2-{digest.hexdigest()}"
