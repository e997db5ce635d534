"""Errors that leave a function that forgets: all of their story, and nothing it was about."""

from __future__ import annotations

import traceback

import pytest

from hashmatch._redact import unseen

SECRET = "a secret"


def frames(error: BaseException) -> dict[str, dict[str, object]]:
    found = traceback.walk_tb(error.__traceback__)
    return {frame.f_code.co_name: dict(frame.f_locals) for frame, _ in found}


def inner(text: str) -> None:
    held = [text]
    raise ValueError(len(held))


@unseen
def outer(text: str) -> None:
    inner(text)


@unseen
def hiding(text: str) -> None:
    try:
        raise KeyError(text)
    except KeyError:
        raise ValueError("hidden") from None


@unseen
def chaining(text: str) -> None:
    try:
        inner(text)
    except ValueError as error:
        raise TypeError from error


def test_frames_are_known_and_empty() -> None:
    with pytest.raises(ValueError, match="1") as caught:
        outer(SECRET)
    found = frames(caught.value)
    assert found["outer"] == found["inner"] == {}
    assert SECRET not in repr(found["call"])
    assert "raise ValueError(len(held))" in "".join(traceback.format_exception(caught.value))


def test_what_an_error_hides_goes() -> None:
    with pytest.raises(ValueError, match="hidden") as caught:
        hiding(SECRET)
    assert caught.value.__context__ is None


def test_what_it_came_of_is_emptied_too() -> None:
    with pytest.raises(TypeError) as caught:
        chaining(SECRET)
    cause = caught.value.__cause__
    assert isinstance(cause, ValueError)
    assert frames(cause)["inner"] == {}


def test_what_the_caller_was_handling_is_left_alone() -> None:
    def handles() -> None:
        try:
            inner("of the caller")
        except ValueError:
            hiding(SECRET)

    with pytest.raises(ValueError, match="hidden") as caught:
        unseen(handles)()
    assert caught.value.__context__ is None  # all of it was within
    kept: list[BaseException] = []
    try:
        inner("of the caller")
    except ValueError as error:
        kept.append(error)
        with pytest.raises(ValueError, match="hidden"):
            hiding(SECRET)
    assert frames(kept[0])["inner"]["text"] == "of the caller"


def test_it_is_the_same_function() -> None:
    assert outer.__name__ == "outer"
    assert unseen(len)("four") == 4
