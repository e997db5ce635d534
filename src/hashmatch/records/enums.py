"""The closed sets: where a picture may come from, what is asked of it, what may become of it."""

from __future__ import annotations

from difflib import get_close_matches
from enum import StrEnum
from typing import Literal, TypeAlias, get_args

from hashmatch.errors import UnknownSurface, UsageError


class Surface(StrEnum):
    """An unencrypted place that a picture may come from.

    The set is closed: end-to-end encrypted message content has no member, and none can be added
    by configuration.

    Examples
    --------
    >>> Surface.parse("profile_photo")
    <Surface.PROFILE_PHOTO: 'profile_photo'>
    """

    PROFILE_PHOTO = "profile_photo"
    GROUP_PHOTO = "group_photo"
    USER_REPORT = "user_report"
    PUBLIC_POST = "public_post"

    @classmethod
    def parse(cls, name: str) -> Surface:
        """Return the surface called `name`.

        Parameters
        ----------
        name : str
            One of the four, or a `Surface` itself.

        Raises
        ------
        UnknownSurface
            If `name` is none of the four.
        """
        if not isinstance(name, str):
            raise UnknownSurface(f"cannot use {name!r} as a surface. Give one of {', '.join(cls)}")
        try:
            return cls(name)
        except ValueError:
            near = get_close_matches(name, cls, n=1)
            meant = f"; did you mean {near[0]}?" if near else ""
            raise UnknownSurface(
                f"cannot use {name!r} as a surface. Give one of {', '.join(cls)}{meant}"
            ) from None


class Outcome(StrEnum):
    """What became of one picture: every item ends in exactly one of these."""

    HASHED = "hashed"
    """It has a hash. Hashing alone says so; a scan says ``match`` or ``no_match`` instead."""
    MATCH = "match"
    """At least one list entry is near enough: a review record waits for a person."""
    NO_MATCH = "no_match"
    """It was hashed and searched, and nothing is near enough."""
    LOW_QUALITY = "low_quality"
    """Too flat for its hash to mean anything: hashed, not searched."""
    TOO_SMALL = "too_small"
    """Fewer pixels on a side than the algorithm can hash reliably."""
    UNSUPPORTED = "unsupported"
    """Not a picture, or a format or pixel layout that hashmatch does not read."""
    UNDECODABLE = "undecodable"
    """A known format whose content is broken beyond the tolerant decoder."""
    REFUSED = "refused"
    """Over a safety limit; nothing of it was decoded."""
    FAILED = "failed"
    """It could not be read at all."""
    SUPPRESSED = "suppressed"
    """It matched, and a rule of the platform keeps it out of the queue, counted."""


class Orientation(StrEnum):
    """The eight ways to lay a picture, in the order in which all eight hashes are given.

    Rotations are counter-clockwise; the transverse diagonal runs from bottom left to top right.
    """

    UPRIGHT = "upright"
    ROTATE_90 = "rotate_90"
    ROTATE_180 = "rotate_180"
    ROTATE_270 = "rotate_270"
    FLIP_TOP_BOTTOM = "flip_top_bottom"
    FLIP_LEFT_RIGHT = "flip_left_right"
    TRANSPOSE = "transpose"
    TRANSVERSE = "transverse"


WHOLE = frozenset(map(str, Orientation))
"""Variants that show all of a picture. What is said of a part of it says nothing of the rest."""

Level: TypeAlias = Literal["none", "orientations", "standard", "thorough"]
"""How much is asked about one picture: each asks what the one before it asks, and more."""

LEVELS: tuple[Level, ...] = get_args(Level)


def check_level(level: str) -> None:
    """Raise UsageError unless `level` is one of `LEVELS`."""
    if level not in LEVELS:
        raise UsageError(f"cannot use {level!r} as variants. Give one of {', '.join(LEVELS)}")


LimitSetter: TypeAlias = Literal["entry", "list", "caller", "algorithm"]
"""Who may say how near a match has to be; each outranks those after it."""

SEARCHED = frozenset({Outcome.MATCH, Outcome.NO_MATCH, Outcome.SUPPRESSED})
"""Outcomes of what was looked up."""

#: Outcomes with a hash behind them. The others are what ``--strict`` turns into exit code 1.
HAVE_HASH = SEARCHED | {Outcome.HASHED, Outcome.LOW_QUALITY}

MAY_PASS = frozenset({Outcome.FAILED})
"""Outcomes that may be another when the same picture is tried again."""
