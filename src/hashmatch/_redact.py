"""Keeps what functions had in their hands out of the errors that leave them.

An error's traceback holds each frame it came through, with its local variables: a line of a list, a
hash, an array of them. Python prints none of these, but debuggers and the services that collect
errors do. So the functions that others call forget them when an error leaves: where it was raised
stays known, and with what does not.
"""

from __future__ import annotations

import sys
from functools import wraps
from traceback import clear_frames
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    P = ParamSpec("P")
    R = TypeVar("R")


def unseen(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function that does the same; of its errors, frames hold no local variables.

    Parameters
    ----------
    function : callable
        No generator: its errors leave where it is iterated.

    Examples
    --------
    >>> import traceback
    >>> @unseen
    ... def number(secret):
    ...     return int(secret, 16)
    >>> try:
    ...     number("not hexadecimal")
    ... except ValueError as error:
    ...     frames = traceback.walk_tb(error.__traceback__)
    ...     [frame.f_locals for frame, _ in frames if frame.f_code.co_name == "number"]
    [{}]
    """

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        handled = sys.exception()
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            forget(error, handled)
            raise
        finally:
            del args, kwargs, handled

    return call


def forget(error: BaseException, handled: BaseException | None = None) -> None:
    """Clear the frames of an error that have ended, and of the errors that it came of.

    Errors that it hides (``raise ... from None``) are taken off it: their texts and arguments may
    hold what they were about, as those of `UnicodeDecodeError` do. What the caller was handling
    already, `handled`, is none of our errors, and not touched.
    """
    seen = {id(handled), id(None)}
    left: list[BaseException | None] = [error]
    while left:
        each = left.pop()
        if each is None or id(each) in seen:
            continue
        seen.add(id(each))
        clear_frames(each.__traceback__)
        if each.__suppress_context__ and each.__context__ is not handled:
            each.__context__ = None
        left += [each.__cause__, each.__context__]
