"""Untrusted bytes to upright RGB pixels, under the decode policy ``rgb/2``.

``inputs`` (what may be passed), ``limits`` (every number about files and pictures), ``formats``
(allow-list, opening, what Pillow misreads), ``bmp`` (colours in any bits), ``isobmff`` (boxes of an
AVIF or HEIF), ``tiles`` (giants in tiles), ``jxl`` (JPEG XL), ``webp`` (its size),
``tiff_samples`` (TIFF that Pillow does not read), ``metadata`` (a file without it),
``jpeg`` (the fast decoder), ``color`` (any pixel layout to RGB), ``cicp`` (HDR to SDR), ``exif``
(orientation), ``pillow_settings`` (for one thread only), ``policy`` (the order in which these are
applied), ``animation`` (more than the first picture of a file: ``gif`` and ``apng`` find the
``frame_parts`` that ``compositing`` puts together, ``tiff`` the pages), ``readings`` (the same
picture as others read it, with ``profiles``).
"""

from hashmatch.decode.inputs import LoadedImage, load

__all__ = ["LoadedImage", "load"]
