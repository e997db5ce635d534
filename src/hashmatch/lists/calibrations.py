"""Calibrations of a list, kept beside it in ``LIST.calibration.json``, which holds no hash.

It says how many harmless pictures the list matches, for each kind of hash and level of variants
that somebody has calibrated, see `hashmatch.calibration`. No match depends on it.
"""

from __future__ import annotations

import os
from typing import Final, Literal

import msgspec

from hashmatch._files.atomic import OutputFile
from hashmatch.errors import ListError
from hashmatch.records.calibration import ListCalibration  # noqa: TC001  (msgspec reads it)
from hashmatch.records.typed import from_json

SUFFIX = ".calibration.json"
SCHEMA: Final = "hashmatch.calibrations/1"
LARGEST = 1 << 26
"""Bytes of such a file."""


class _File(msgspec.Struct, forbid_unknown_fields=True):
    schema: Literal["hashmatch.calibrations/1"]
    calibrations: list[ListCalibration]


def place(path: str | os.PathLike[str]) -> str:
    """Return where calibrations of a list file, or of the list in a store, are kept.

    Parameters
    ----------
    path : str or path
        The file, or the folder of the store.

    Examples
    --------
    >>> place("lists/hotline/"), place("known.csv")
    ('lists/hotline.calibration.json', 'known.csv.calibration.json')
    """
    whole = os.fspath(path)
    return (whole.rstrip(os.sep) or whole) + SUFFIX


def read_calibrations(path: str | os.PathLike[str]) -> tuple[ListCalibration, ...]:
    """Return what is kept of a list; nothing of one that was never calibrated.

    Parameters
    ----------
    path : str or path
        The list file, or the folder of the store.

    Raises
    ------
    ListError
        If what is kept cannot be read.
    """
    kept = place(path)
    try:
        with open(kept, "rb") as file:
            return tuple(from_json(file.read(LARGEST), _File).calibrations)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ListError(f"cannot read {kept}: {error.strerror}. Let this user read it") from None
    except msgspec.MsgspecError as error:
        raise ListError(
            f"cannot read {kept}: {error}. Remove it, and calibrate the list again"
        ) from None


def kept_calibrations(
    path: str | os.PathLike[str],
) -> tuple[tuple[ListCalibration, ...], tuple[str, ...]]:
    """Return what `read_calibrations` does; or nothing, and what keeps it from being read.

    Parameters
    ----------
    path : str or path
        The list file, or the folder of the store.
    """
    try:
        return read_calibrations(path), ()
    except ListError as error:  # no match depends on it
        return (), (str(error),)


def write_calibration(path: str | os.PathLike[str], new: ListCalibration) -> str:
    """Keep a calibration beside its list, instead of an earlier one of the same options.

    Parameters
    ----------
    path : str or path
        The list file, or the folder of the store.
    new : ListCalibration
        What was counted.

    Returns
    -------
    str
        Where it is kept.

    Raises
    ------
    ListError
        If what is there cannot be read.
    SinkError
        If it cannot be written.
    """
    key = new.list, new.algorithm, new.variants, new.min_quality
    others = [
        one
        for one in read_calibrations(path)
        if (one.list, one.algorithm, one.variants, one.min_quality) != key
    ]
    kept = place(path)
    with OutputFile(kept) as file:
        text = msgspec.json.encode(_File(SCHEMA, [*others, new]))
        file.write(msgspec.json.format(text, indent=1).decode() + "\n")
    return kept
