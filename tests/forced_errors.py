"""Makes each function of ours that a call goes through fail once, as if by a bug or a full disk."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hashmatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import CodeType, FrameType

OURS = str(Path(hashmatch.__file__).parent)


class Forced(Exception):
    """What nobody expects."""


def failures(call: Callable[[], object]) -> Iterator[tuple[str, BaseException]]:
    """Yield where it was made to fail, and the error that came of it, for each function of ours.

    It fails as the function returns the first time, when most is in its hands; those whose failure
    is mended or reported in another way are passed over.
    """
    reached: dict[CodeType, None] = {}

    def note(frame: FrameType) -> None:
        reached[frame.f_code] = None

    _traced(call, note)
    for code in reached:

        def fail(frame: FrameType, code: CodeType = code) -> None:
            if frame.f_code is code:
                raise Forced

        error = _traced(call, fail, code)
        if error is not None:
            yield f"{Path(code.co_filename).name}: {code.co_qualname}", error


def _traced(
    call: Callable[[], object], on_return: Callable[[FrameType], None], only: CodeType | None = None
) -> Any:
    def local(frame: FrameType, event: str, arg: object) -> Any:
        if event == "return" and not _cleans_up(frame):
            on_return(frame)
        return local

    def begin(frame: FrameType, event: str, arg: object) -> Any:
        if only is not None and frame.f_code is not only:
            return None
        if not frame.f_code.co_filename.startswith(OURS):
            return None
        frame.f_trace_lines = False
        return local

    before = sys.gettrace()
    sys.settrace(begin)
    try:
        call()
    except Exception as error:
        return error
    finally:
        sys.settrace(before)
    return None


def _cleans_up(frame: FrameType | None) -> bool:
    """Return whether a frame is of a `__del__`, whose errors Python reports and goes on."""
    while frame is not None and frame.f_code.co_name != "__del__":
        frame = frame.f_back
    return frame is not None
