"""How every kernel is compiled, and the one instruction that Python has no name for."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from numba import njit, types
from numba.extending import intrinsic, overload

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

F = TypeVar("F", bound="Callable[..., Any]")


def _digest() -> str:
    """Return what changes whenever any kernel's source does."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


DIGEST = _digest()


def kernel(function: F) -> F:
    """Compile `function` without the GIL, cached on disk where a place can be written.

    Nothing is compiled before the first call. IEEE order of operations is kept (no fastmath):
    PDQ's bits depend on it.

    numba looks at the file of `function` alone to see whether what it has in its cache is old, but
    kernels of other files are compiled into it. Hence all their sources are in the name that it is
    cached under; without, an upgrade that changes one of them would go on running the other.
    """
    function.__qualname__ += f"-{DIGEST}"
    try:
        compiled: F = njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError:
        # Numba found nowhere to write its cache (a read-only image without a home directory).
        compiled = njit(nogil=True, error_model="numpy")(function)
    return compiled


def popcount(word: np.uint64) -> int:
    """Return the number of bits set in a 64-bit `word`. This is the Python twin of `_ctpop`."""
    return int(word).bit_count()


@intrinsic
def _ctpop(typing_context: Any, word: types.Type) -> Any:
    def generate(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return builder.ctpop(args[0])

    # Only a uint64 is taken: another width would count other bits.
    return (types.uint64(types.uint64), generate) if word == types.uint64 else None


# Numba wants both signatures to be equal to the letter, annotations included.
@overload(popcount)
def _compiled_popcount(word):  # type: ignore[no-untyped-def]
    if word != types.uint64:
        return None

    def compiled(word):  # type: ignore[no-untyped-def]
        return types.int64(_ctpop(word))

    return compiled
