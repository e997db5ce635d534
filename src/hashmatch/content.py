"""What an image's content is called where nobody gave it a version."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING

import numpy as np
from PIL.Image import Image

from hashmatch.decode.inputs import file_bytes
from hashmatch.errors import ImageError

if TYPE_CHECKING:
    from hashmatch.decode.inputs import ImageInput


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
