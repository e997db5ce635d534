"""How every kernel is compiled, and the one instruction that Python has no name for."""

from __future__ import annotations

import contextlib
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from numba import njit, types
from numba.extending import intrinsic, overload

from hashmatch._kernels.cache import KernelCache

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
    """Compile `function` without the GIL, kept on disk where that is possible and safe.

    Nothing is compiled before the first call. IEEE order of operations is kept (no fastmath):
    PDQ's bits depend on it. Where kernels are kept, `hashmatch._kernels.places` says.
    """
    compiled: Any = njit(nogil=True, error_model="numpy")(function)
    if compiled is not function:  # as it is with the JIT disabled
        with contextlib.suppress(RuntimeError):  # it comes from no file
            compiled._cache = KernelCache(function, DIGEST)
    return cast("F", compiled)


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
