"""How every kernel is compiled, and the one instruction that Python has no name for.

Compiled kernels kept on disk: found where nothing can be written, and safe to share.

Numba has such a cache of its own, and this is made of its parts. It was not enough in three ways.
It never reads from where it cannot write, so that what was compiled into a container image was
compiled again by every container. It takes any folder that it can write to, be it another user's.
And the code of all signatures of a function is numbered in one index: two processes that compile
two of them at once may give both the same number, and one will run the other's code ever after.
Here each signature, processor and version of numba and of the sources has a file of its own.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, cast

import numba
from numba import njit, types
from numba.core import caching
from numba.extending import intrinsic, overload

from hashmatch._kernels.cache_folders import places

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np


class Kept(NamedTuple):
    """A kernel that this process has used: where it is kept, and whether it was compiled now."""

    folder: Path | None
    is_new: bool


used: list[Kept] = []


class _Source(caching._CacheLocator):  # type: ignore[misc]
    """What numba asks about a function's source file; where kernels are kept is not its matter."""

    def __init__(self, function: Callable[..., Any], file: str) -> None:
        self._py_file = file
        self._line = function.__code__.co_firstlineno

    @classmethod
    def from_function(cls, function: Callable[..., Any], file: str) -> _Source | None:
        return cls(function, file) if Path(file).is_file() else None

    def get_cache_path(self) -> str:
        return str(Path(self._py_file).with_name("__pycache__"))

    def get_source_stamp(self) -> str:
        return hashlib.sha256(Path(self._py_file).read_bytes()).hexdigest()

    def get_disambiguator(self) -> str:
        return str(self._line)


class _Implementation(caching.CompileResultCacheImpl):  # type: ignore[misc]
    _locator_classes = (_Source,)


class KernelCache(caching.FunctionCache):  # type: ignore[misc]
    """The cache of one kernel.

    Parameters
    ----------
    function : callable
        What is compiled. RuntimeError is raised if it comes from no file.
    digest : str
        Changes whenever a kernel does that may be compiled into this one. Numba itself looks at
        the file of `function` alone.
    """

    _impl_class = _Implementation

    def __init__(self, function: Callable[..., Any], digest: str) -> None:
        super().__init__(function)
        self._package = Path(inspect.getfile(function)).parent
        self._stamp = numba.__version__ + digest + self._impl.locator.get_source_stamp()

    @property
    def _places(self) -> Any:
        return places(self._package, numba.config.CACHE_DIR)

    def _file(self, folder: Path, key: Any) -> Any:
        own = hashlib.sha256(repr((self._stamp, key)).encode()).hexdigest()[:16]
        name = f"{self._impl.filename_base}-{own}"
        return caching.IndexDataCacheFile(str(folder), name, self._stamp)

    def _load_overload(self, sig: Any, target_context: Any) -> Any:
        # The key holds the processor: another one's code is never found.
        key = self._index_key(sig, target_context.codegen())
        for folder in self._places.read:
            # A file cut short by a crash, or not to be read: compiling mends it.
            with contextlib.suppress(Exception):
                kept = self._file(folder, key).load(key)
                if kept is not None:
                    result = self._impl.rebuild(target_context, kept)
                    used.append(Kept(folder, is_new=False))
                    return result
        return None

    def _save_overload(self, sig: Any, data: Any) -> None:
        folder = self._places.write if self._impl.check_cachable(data) else None
        if folder is not None:
            key = self._index_key(sig, data.codegen)
            try:
                file = self._file(folder, key)
                file.flush()  # an index cut short would be read before it is written
                file.save(key, self._impl.reduce(data))
            except OSError:  # the disk is full, or the folder gone: compiled for this process only
                folder = None
        used.append(Kept(folder, is_new=True))


F = TypeVar("F", bound="Callable[..., Any]")


def _digest() -> str:
    """Return what changes whenever any kernel's source does."""
    sources = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:12]


DIGEST = _digest()


def kernel(function: F) -> F:
    """Compile `function` without the GIL, kept on disk where that is possible and safe.

    Nothing is compiled before the first call. IEEE order of operations is kept (no fastmath):
    PDQ's bits depend on it. Where kernels are kept, `hashmatch._kernels.cache_folders` says.
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
