"""Reads JSON and MessagePack into types, in any number of threads.

msgspec takes a type apart when it is first read into. Where two threads do that at once, one may
meet what the other has half made, and the process ends by a segmentation fault (seen with msgspec
0.22.0). So every type is taken apart here, once, by one thread.
"""

from __future__ import annotations

from functools import cache
from threading import Lock
from typing import Any, TypeVar, cast

import msgspec

T = TypeVar("T")

_alone = Lock()


@cache
def _decoders(kind: Any) -> tuple[msgspec.json.Decoder[Any], msgspec.msgpack.Decoder[Any]]:
    with _alone:
        return msgspec.json.Decoder(kind), msgspec.msgpack.Decoder(kind)


def json_decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """Return msgspec's decoder of JSON that is of a type."""
    return _decoders(kind)[0]


def from_json(data: bytes | bytearray | memoryview | str, kind: type[T]) -> T:
    """Return what JSON says. Raises msgspec.MsgspecError if it is not JSON of this type."""
    value: T = json_decoder(kind).decode(data)
    return value


def from_msgpack(data: bytes | bytearray | memoryview, kind: type[T]) -> T:
    """Return what MessagePack says. Raises msgspec.MsgspecError if it is not of this type."""
    decoder: Any = _decoders(cast("Any", kind))[1]
    value: T = decoder.decode(data)
    return value


def converted(value: object, kind: type[T]) -> T:
    """Return plain values as a type. Raises msgspec.ValidationError if they are not of it."""
    json_decoder(kind)
    return msgspec.convert(value, kind)
