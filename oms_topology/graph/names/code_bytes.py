"""Codes as rows of bytes, all of one width: what tables of codes store, hash and compare."""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Matrix = NDArray[np.uint8]

__all__ = ["PAD", "hashes", "padded", "spelled", "text_list", "texts_of", "width_for"]

PAD = 0xFF
"""What fills a row behind its code: a byte that no UTF-8 text has."""

_BATCH = 1 << 14
_OUTLIER_BYTES = 250
_LONGEST = 1 << 10


def text_list(codes: Sequence[Any] | NDArray[Any]) -> list[str]:
    """Give codes as a list of ``str``; bytes are read as UTF-8, what is no text as its text."""
    if isinstance(codes, np.ndarray):
        if codes.dtype.kind == "S":
            return [code.decode(errors="surrogateescape") for code in codes.tolist()]
        codes = codes.tolist()
    return [code if isinstance(code, str) else str(code) for code in codes]


def spelled(codes: Sequence[Any] | NDArray[Any]) -> Matrix:
    """Write codes one after another as UTF-8, each with a NUL behind it.

    Parameters
    ----------
    codes : sequence of str, or object, S or U array, shape (n,)
        The codes. One that has a NUL, or cannot be written as UTF-8, becomes a single byte 255.

    Returns
    -------
    uint8 array
        Has exactly n NULs. A few nanoseconds a code for texts; arrays of S and U are not turned
        into Python strings.
    """
    if isinstance(codes, np.ndarray):
        if codes.dtype.kind in "SU":
            return _spelled_array(codes)
        codes = codes.tolist()
    if not len(codes):
        return np.empty(0, dtype=np.uint8)
    try:
        joined = "\0".join(codes).encode() + b"\0"
    except (TypeError, UnicodeEncodeError):
        return _spelled_one_by_one(text_list(codes))
    data = np.frombuffer(joined, dtype=np.uint8)
    return data if np.count_nonzero(data == 0) == len(codes) else _spelled_one_by_one(text_list(codes))


def _spelled_one_by_one(texts: list[str]) -> Matrix:
    pieces = []
    for text in texts:
        piece = text.encode(errors="surrogatepass")
        is_odd = 0 in piece or any("\ud800" <= letter <= "\udfff" for letter in text)
        pieces.append(b"\xff" if is_odd else piece)
    return np.frombuffer(b"\0".join(pieces) + b"\0", dtype=np.uint8)


def _spelled_array(codes: NDArray[Any]) -> Matrix:
    """Spell an S or U array through its own bytes; a trailing NUL in these is no part of the code."""
    width = codes.dtype.itemsize // (1 if codes.dtype.kind == "S" else 4)
    if not len(codes) or not width:
        return np.zeros(len(codes), dtype=np.uint8)
    native = np.ascontiguousarray(codes, dtype=codes.dtype.newbyteorder("="))
    letters = native.view(np.uint8 if codes.dtype.kind == "S" else np.uint32).reshape(len(codes), width)
    has_inner_nul = ((letters[:, :-1] == 0) & (letters[:, 1:] != 0)).any()
    if has_inner_nul or letters.max() > 127:
        return spelled(text_list(codes))
    rows = np.zeros((len(codes), width + 1), dtype=np.uint8)
    rows[:, :width] = letters
    if letters[:, -1].all():
        return rows.reshape(-1)
    kept = rows != 0
    kept[:, -1] = True
    shortened: Matrix = rows[kept]
    return shortened


def _spans(data: Matrix) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    ends = np.flatnonzero(data == 0)
    starts = np.empty_like(ends)
    starts[:1] = 0
    starts[1:] = ends[:-1] + 1
    return starts, ends - starts


def width_for(pieces: Sequence[Matrix]) -> int:
    """Choose the width that makes a table smallest, with what is longer kept aside.

    Parameters
    ----------
    pieces : sequence of uint8 arrays
        The codes, as :func:`spelled`.

    Returns
    -------
    int
        At least 1.
    """
    counts = np.zeros(_LONGEST + 1, dtype=np.int64)
    for data in pieces:
        lengths = np.minimum(_spans(data)[1], _LONGEST)
        counts += np.bincount(lengths, minlength=_LONGEST + 1)
    total = int(counts.sum())
    longer = total - np.cumsum(counts)
    cost = np.arange(_LONGEST + 1) * total + longer * _OUTLIER_BYTES
    return max(int(np.argmin(cost[:_LONGEST])), 1)


def padded(data: Matrix, count: int, width: int) -> Matrix:
    """Put spelled codes into rows of one width, each with a NUL behind it.

    Parameters
    ----------
    data : uint8 array
        The codes, as :func:`spelled`.
    count : int
        How many codes these are.
    width : int
        Bytes of a code.

    Returns
    -------
    uint8 array, shape (n, width + 1)
        Codes filled up with :data:`PAD`; rows that are all NUL stand for those that do not fit.
    """
    if len(data) == count * (width + 1) and not data[width :: width + 1].any():
        rows = data.reshape(-1, width + 1)
        return rows if data.max(initial=0) < PAD else _without_odd(rows.copy())
    starts, lengths = _spans(data)
    rows = np.full((len(starts), width + 1), PAD, dtype=np.uint8)
    rows[:, width] = 0
    for length in np.flatnonzero(np.bincount(np.minimum(lengths, width + 1))).tolist():
        if length > width:
            rows[lengths > width] = 0
        elif length:
            chosen = np.flatnonzero(lengths == length)
            source = np.ndarray((len(data) - length + 1,), f"V{length}", data, strides=(1,))
            target = np.ndarray((len(rows),), f"V{length}", rows, strides=(width + 1,))
            target[chosen] = source[starts[chosen]]
    odd = starts[data[starts] == PAD]
    if len(odd):
        rows[np.searchsorted(starts, odd)] = 0
    return rows


def _without_odd(rows: Matrix) -> Matrix:
    rows[(rows == PAD).any(axis=1)] = 0
    return rows


@lru_cache(maxsize=4)
def _parts(width: int) -> tuple[list[NDArray[np.uint32]], int]:
    """Tell what two bytes at each place add to the CRC of a row: CRC-32 is linear over XOR."""
    plain = bytearray(b"\xff" * width)
    base = zlib.crc32(plain)
    single = np.zeros((width + width % 2, 256), dtype=np.uint32)
    for place in range(width):
        for bit in range(8):
            plain[place] = PAD ^ (1 << bit)
            flipped = (np.arange(256) ^ PAD) >> bit & 1 == 1
            single[place, flipped] ^= np.uint32(zlib.crc32(plain) ^ base)
        plain[place] = PAD
    low, high = single[0::2, None, :], single[1::2, :, None]
    return list((low ^ high).reshape(-1, 1 << 16)), base


def hashes(rows: Matrix) -> NDArray[np.uint32]:
    """Give ``zlib.crc32`` of the first ``width`` bytes of each row, about 8 ns a row.

    Parameters
    ----------
    rows : uint8 array, shape (n, width + 1)
        As :func:`padded`.

    Returns
    -------
    uint32 array, shape (n,)
    """
    width = rows.shape[1] - 1
    parts, base = _parts(width)
    found = np.full(len(rows), base, dtype=np.uint32)
    for first in range(0, len(rows), _BATCH):
        block = rows[first : first + _BATCH, : width + width % 2]
        pairs = np.ascontiguousarray(block).view("<u2").T
        piece = found[first : first + _BATCH]
        for part, column in zip(parts, pairs, strict=True):
            piece ^= part.take(column)
    return found


def texts_of(rows: Matrix) -> list[str]:
    """Read rows back as texts.

    Parameters
    ----------
    rows : uint8 array, shape (n, width + 1)
        As :func:`padded`, without rows that are all NUL.

    Returns
    -------
    list of str
        About 30 ns each when all fill their row, 45 ns else.
    """
    data = rows.tobytes()
    if PAD in data:
        data = data.translate(None, b"\xff")
    texts = data.decode().split("\0")
    texts.pop()
    return texts
