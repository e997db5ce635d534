r"""Characters of untrusted text that steer what shows it, written out so that they are seen.

They are control characters (C0, delete, C1), line separators, halves of characters, and what
changes the direction of text (Unicode Bidirectional Algorithm, UAX #9, table 4): keys and labels
are somebody else's text, and must neither steer a terminal, begin a row, nor move what is beside
them. Isolation alone is not enough: text may close the isolate that it is in.
"""

from __future__ import annotations

import re

STEERING = re.compile(
    "[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


def escape_controls(text: str, keep: str = "") -> str:
    r"""Return `text` with such characters as Python writes them; those in `keep` stay.

    Examples
    --------
    >>> print(escape_controls("a\x1b[2J\u202eb\u2069"))
    a\x1b[2J\u202eb\u2069
    """
    if text.isascii() and text.isprintable():
        return text
    return STEERING.sub(
        lambda found: found[0] if found[0] in keep else found[0].encode("unicode_escape").decode(),
        text,
    )


def escape_json(line: str) -> str:
    r"""Return JSON that means the same, in which such characters are written as ``\u009b``.

    An encoder escapes C0 only; a terminal obeys C1 as well.

    Examples
    --------
    >>> print(escape_json('{"key":"a\x9b2J"}'))
    {"key":"a\u009b2J"}
    """
    if line.isascii() and "\x7f" not in line:
        return line
    return STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", line)
