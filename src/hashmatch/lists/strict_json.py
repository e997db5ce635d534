"""JSON as it ought to be: no NaN, no repeated keys, no endless numbers; Python lets those pass."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from typing import Any

from hashmatch.lists.lines import shown

MAX_DIGITS = 20
"""Of a whole number; ids of 64 bits have as many. Python refuses more than 4,300 by itself."""

SURROGATE = re.compile(r"\\u[dD][89abAB]|\\u[dD][c-fC-F]")


class Refused(ValueError):
    """JSON that Python reads and nobody should; the message holds no value."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        keys = Counter(key for key, _ in pairs)
        raise Refused(f"the key {shown(keys.most_common(1)[0][0])} is there twice")
    return found


def _constant(_: str) -> None:
    raise Refused("NaN and Infinity are not JSON")


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise Refused("a number is too large")
    return number


def _int(digits: str) -> int:
    if len(digits) > MAX_DIGITS:
        raise Refused(f"a number has more than {MAX_DIGITS} digits")
    return int(digits)


PARSER = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_float=_float, parse_int=_int
)


def parsed(element: bytes | str) -> tuple[Any, str | None]:
    """Return the value of JSON text and None, or None and why it has none."""
    try:
        text = element if isinstance(element, str) else element.decode()
        value = PARSER.decode(text)
        if SURROGATE.search(text):
            json.dumps(value, ensure_ascii=False).encode()  # half of a pair is no text
    except UnicodeError:
        return None, "the record is not UTF-8 text"
    except Refused as error:
        return None, str(error)
    except (ValueError, RecursionError):  # whose messages may hold text
        return None, "not JSON"
    return value, None
