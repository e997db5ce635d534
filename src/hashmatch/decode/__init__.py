"""Untrusted bytes to upright RGB pixels, under the decode policy ``rgb/1``.

``inputs`` (what may be passed), ``formats`` (allow-list, limits, opening), ``heif`` (the format
that needs an extra), ``tolerance`` (damaged files), ``quirks`` (what Pillow misreads), ``jpeg``
(the fast decoder), ``modes`` (any pixel layout to RGB), ``policy`` (the order in which these are
applied), ``frames`` (more than the first picture of a file: ``gif`` and ``apng`` find the
``patches`` that ``canvas`` puts together, ``tiff`` the pages).
"""

from hashmatch.decode.inputs import LoadedImage, load

__all__ = ["LoadedImage", "load"]
