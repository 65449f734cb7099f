"""From meter numbers to rows and back: ten million of them in some 20 bytes each, numbers included."""

from __future__ import annotations

import sys
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.graph.names.code_bytes import PAD, hashes, padded, spelled, text_list, texts_of, width_for
from oms_topology.graph.names.near_names import (
    SMALL,
    alphabet,
    close_rows,
    closest_of,
    guesses,
    near_among,
    second_guesses,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from oms_topology.graph.names.code_bytes import Matrix

__all__ = ["CodeTable"]

_BUILD = 1 << 16
_BATCH = 1 << 14
_FEW = 24
_LEAST_WIDTH = 7  # rows of 8 bytes compare as one integer
_SAMPLES = 64
_LEAST_CONTAINED = 3
_SEARCHED_BYTES = 1 << 22
_crc = zlib.crc32


class CodeTable:
    """A hash index over a column of codes that keeps the codes itself, as bytes of one width.

    Beside a row of bytes per code it has 10 bytes of slots per code, searched by linear probing from
    the CRC-32 of the row. Codes that are much longer than the others, that have a NUL or that cannot
    be written as UTF-8 are kept aside in a dictionary, as are those appended later: some 200 bytes
    each. Codes can be appended but never leave; a copy made by :meth:`fork` appends on its own.

    Parameters
    ----------
    codes : object array of str, S or U array, or sequence of str
        The codes; S is read as UTF-8. Of equal codes the first is found. The array is not kept.
    rivals : iterable of str
        Codes of other things; those that stand here too are kept in ``shared_codes``.

    Attributes
    ----------
    duplicate_rows : int32 array
        Rows whose code an earlier row has, ascending.
    shared_codes : list of str
        The rivals that have a row here.

    Notes
    -----
    Costs 0.06 s for a million codes. Readers in other threads need no lock while codes are appended.

    Examples
    --------
    >>> table = CodeTable(np.array(["M1", "M2"], dtype=object))
    >>> table.row("M2"), table.row("M3")
    (1, -1)
    >>> table.rows(["M2", "M3", "M1"]).tolist(), table.codes([1, 0]).tolist()
    ([1, -1, 0], ['M2', 'M1'])
    """

    __slots__ = (
        "_apart",
        "_apart_codes",
        "_count",
        "_has_gaps",
        "_key_at",
        "_matrix",
        "_slot_view",
        "_slots",
        "_width",
        "duplicate_rows",
        "shared_codes",
    )

    def __init__(self, codes: Sequence[str] | NDArray[Any], rivals: Iterable[str] = ()) -> None:
        self._count = len(codes)
        self._apart: dict[str, int] = {}
        self._apart_codes: dict[int, str] = {}
        pieces = [spelled(codes[first : first + _BUILD]) for first in range(0, len(codes), _BUILD)]
        self._width = max(width_for(pieces), _LEAST_WIDTH)
        matrix = np.empty((len(codes), self._width + 1), dtype=np.uint8)
        for place, piece in enumerate(pieces):
            block = matrix[place * _BUILD : (place + 1) * _BUILD]
            block[:] = padded(piece, len(block), self._width)
        del pieces
        gaps = np.flatnonzero(matrix[:, 0] == 0)
        self._has_gaps = len(gaps) > 0
        doubled = self._set_apart(codes, gaps)
        self._slots = np.full(5 * len(codes) // 2 + 1, -1, dtype=np.int32)
        doubled += _filled(self._slots, matrix)
        self.duplicate_rows = np.array(sorted(doubled), dtype=np.int32)
        self._matrix = matrix
        self._view()
        self.shared_codes = self._shared_with(list(rivals))

    def _view(self) -> None:
        """Look at the arrays in the way that is fast for one code: through views without numpy's scalars."""
        self._key_at = self._matrix.reshape(-1).view(f"S{self._width + 1}").item
        self._slot_view = memoryview(self._slots.data)

    def _set_apart(self, codes: Sequence[str] | NDArray[Any], gaps: NDArray[np.intp]) -> list[int]:
        doubled = []
        for row in gaps.tolist():
            code = text_list(codes[row : row + 1])[0]
            self._apart_codes[row] = code
            if self._apart.setdefault(code, row) != row:
                doubled.append(row)
        return doubled

    def _shared_with(self, rivals: list[str]) -> list[str]:
        return [rivals[at] for at in np.flatnonzero(self.rows(rivals) >= 0).tolist()]

    def row(self, code: str) -> int:
        """Give the row of a code, -1 when there is none; about 0.4 us."""
        try:
            key = code.encode()
        except UnicodeEncodeError:
            return self._apart.get(code, -1)
        if len(key) != self._width:
            key = key.ljust(self._width, b"\xff")
        key_at, slots = self._key_at, self._slot_view
        slot = _crc(key) % len(slots)
        while (row := slots[slot]) >= 0:
            if key_at(row) == key:
                return row
            slot = slot + 1 if slot + 1 < len(slots) else 0
        return self._apart.get(code, -1) if self._apart else -1

    def rows(self, codes: Sequence[str] | NDArray[Any]) -> NDArray[np.int32]:
        """Give the rows of many codes at once.

        Parameters
        ----------
        codes : sequence of str, or object, S or U array, shape (n,)
            What to look for; anything but text is read as its text.

        Returns
        -------
        int32 array, shape (n,)
            In the order of the codes, -1 for those that are not here. About 0.06 us each.
        """
        found = np.empty(len(codes), dtype=np.int32)
        for first in range(0, len(codes), _BATCH):
            some = codes[first : first + _BATCH]
            found[first : first + _BATCH] = self._rows_of(padded(spelled(some), len(some), self._width))
        if self._apart:
            missed = np.flatnonzero(found < 0)
            texts = text_list([codes[at] for at in missed.tolist()])
            found[missed] = [self._apart.get(text, -1) for text in texts]
        return found

    def _rows_of(self, keys: Matrix) -> NDArray[np.int32]:
        """Look up rows of bytes, all at once; those that collide go on, the last few one by one."""
        slots, size = self._slots, np.uint32(len(self._slots))
        marks = hashes(keys)
        slot = (marks - marks // size * size).astype(np.intp)
        found = slots.take(slot)
        if not self._count:
            return found
        misses = np.flatnonzero(~self._holds(found, keys))
        row, found[misses] = found[misses], -1
        left = misses[row >= 0]
        slot = slot[left]
        while len(left) > _FEW:
            slot += 1
            slot[slot == len(slots)] = 0
            row = slots.take(slot)
            hit = self._holds(row, keys.take(left, axis=0))
            found[left[hit]] = row[hit]
            goes_on = np.flatnonzero(~hit & (row >= 0))
            left, slot = left[goes_on], slot[goes_on]
        for at in left[keys[left, 0] != 0].tolist():
            text = keys[at, :-1].tobytes().rstrip(b"\xff")
            found[at] = self.row(text.decode(errors="surrogateescape"))
        return found

    def _holds(self, rows: NDArray[np.int32], keys: Matrix) -> NDArray[np.bool_]:
        """Compare rows of the table with rows of bytes, -1 holds none."""
        mine = self._matrix.take(rows, axis=0, mode="clip")
        return _alike(mine, keys) & (rows >= 0)

    def code(self, row: int) -> str:
        """Give the code of a row; raises IndexError for a row that the table does not have."""
        if row in self._apart_codes:
            return self._apart_codes[row]
        if not 0 <= row < self._count:
            raise IndexError(f"The table has no row {row}.")
        key: bytes = self._key_at(row)
        return key.rstrip(b"\xff").decode()

    def codes(self, rows: Sequence[int] | NDArray[np.integer[Any]]) -> NDArray[np.object_]:
        """Give the codes of many rows at once.

        Parameters
        ----------
        rows : sequence or array of int, shape (n,)
            Rows of the table; -1 stands for none.

        Returns
        -------
        object array of str, shape (n,)
            In the order of the rows, ``""`` for -1; about 0.04 us each.

        Raises
        ------
        IndexError
            A row that the table does not have.
        """
        wanted = np.asarray(rows, dtype=np.intp)
        if len(wanted) and int(wanted.view(np.uintp).max()) >= self._count:
            return self._codes_with_gaps(wanted)
        picked = self._matrix.take(wanted, axis=0)
        if self._has_gaps and not picked[:, 0].all():
            return self._codes_with_gaps(wanted)
        return np.fromiter(texts_of(picked), dtype=object, count=len(wanted))

    def _codes_with_gaps(self, wanted: NDArray[np.intp]) -> NDArray[np.object_]:
        plain = (wanted >= 0) & (wanted < self._count)
        plain[plain] = self._matrix[wanted[plain], 0] != 0
        found = np.empty(len(wanted), dtype=object)
        found[plain] = texts_of(self._matrix.take(wanted[plain], axis=0))
        rest = np.flatnonzero(~plain)
        found[rest] = ["" if row == -1 else self.code(row) for row in wanted[rest].tolist()]
        return found

    def near(self, code: str, n: int = 3, *, tries_twice: bool = True) -> list[str]:
        """Suggest codes that look like one that is not here.

        Parameters
        ----------
        code : str
            What was asked for.
        n : int
            How many to suggest.
        tries_twice : bool
            In a large table, look also for codes two edits away and for such that contain the code,
            where nothing is nearer.

        Returns
        -------
        list of str
            Best first: fewest edits, longest common beginning, then by code; empty where nothing looks
            alike. Some milliseconds, whatever the size.
        """
        samples = self.codes(
            np.linspace(0, self._count - 1, min(self._count, _SAMPLES), dtype=np.intp)
        ).tolist()
        letters = alphabet(samples)
        tried = guesses(code, letters, samples)
        found = [tried[at] for at in np.flatnonzero(self.rows(tried) >= 0).tolist()]
        if self._count <= SMALL:
            found += self.codes(close_rows(code, self._matrix, n)).tolist()
        elif tries_twice and not found:
            far = _cut(second_guesses(code, letters), self._width)
            rows = self._rows_of(far)
            found += self.codes(np.unique(rows[rows >= 0])).tolist()
        if self._apart:
            found += near_among(code, (self._apart,), n, tries_twice=tries_twice)
        if tries_twice and not found:
            found = self._containing(code, n)
        return closest_of(code, found, n)

    def _containing(self, code: str, n: int) -> list[str]:
        """Find codes that contain another, among the first few hundred thousand."""
        key = code.encode(errors="replace")
        if len(key) < _LEAST_CONTAINED:
            return []
        rows: dict[int, None] = {}
        data = self._matrix[: _SEARCHED_BYTES // self._matrix.shape[1]].tobytes()
        at = data.find(key)
        while at >= 0 and len(rows) < n:
            rows[at // self._matrix.shape[1]] = None
            at = data.find(key, at + 1)
        codes: list[str] = self.codes(list(rows)).tolist()
        return codes

    def append(self, code: str, row: int) -> None:
        """Add a code that the table does not have, with a row behind all that it has."""
        self._apart_codes[row] = code
        self._apart[code] = row

    def fork(self) -> CodeTable:
        """Make a table that knows the same codes and appends on its own."""
        other = object.__new__(CodeTable)
        for slot in CodeTable.__slots__:
            setattr(other, slot, getattr(self, slot))
        other._apart, other._apart_codes = dict(self._apart), dict(self._apart_codes)
        return other

    def __iter__(self) -> Iterator[str]:
        for first in range(0, self._count, _BATCH):
            yield from self.codes(range(first, min(first + _BATCH, self._count))).tolist()
        yield from (code for row, code in list(self._apart_codes.items()) if row >= self._count)

    @property
    def nbytes(self) -> int:
        """Bytes of the table in all, the codes included."""
        apart = sys.getsizeof(self._apart) + sys.getsizeof(self._apart_codes)
        apart += sum(map(sys.getsizeof, list(self._apart)))
        return self._matrix.nbytes + self._slots.nbytes + apart

    def __reduce__(self) -> tuple[Any, ...]:
        plain = {
            slot: getattr(self, slot) for slot in self.__slots__ if slot not in ("_key_at", "_slot_view")
        }
        return _revived, (plain,)


def _revived(plain: dict[str, Any]) -> CodeTable:
    table = object.__new__(CodeTable)
    for slot, value in plain.items():
        setattr(table, slot, value)
    table._view()
    return table


def _cut(rows: Matrix, width: int) -> Matrix:
    """Give rows of bytes another width; those that do not fit are left out."""
    if width < rows.shape[1] - 1:
        rows = rows[rows[:, width] == PAD]
    kept = min(width, rows.shape[1] - 1)
    cut = np.full((len(rows), width + 1), PAD, dtype=np.uint8)
    cut[:, :kept], cut[:, width] = rows[:, :kept], 0
    return cut


def _alike(mine: Matrix, others: Matrix) -> NDArray[np.bool_]:
    """Compare rows of bytes 8 at a time, the last 8 of them whatever the width."""
    count, width = mine.shape
    alike = np.ones(count, dtype=np.bool_)
    for first in {*range(0, width - 7, 8), width - 8} if count else ():
        left, right = (np.ndarray((count,), np.uint64, rows, first, (width,)) for rows in (mine, others))
        alike &= left == right
    return alike


def _filled(slots: NDArray[np.int32], matrix: Matrix) -> list[int]:
    """Put the rows of a matrix into empty slots; give those whose bytes an earlier row has.

    Block by block, so that what is at work stays in the cache; within a block all rows try a slot,
    then the losers the next one. Of the rows that want one slot the first gets it, so that an equal
    row meets it there.
    """
    marks = np.empty(len(matrix), dtype=np.uint32)
    doubled: list[int] = []
    for first in range(0, len(matrix), _BUILD):
        block = matrix[first : first + _BUILD]
        marks[first : first + _BUILD] = hashes(block)
        left = (np.flatnonzero(block[:, 0]) + first).astype(np.int32)
        slot = (marks.take(left) % np.uint32(len(slots))).astype(np.intp)
        while len(left):
            free = np.flatnonzero(slots.take(slot) < 0)[::-1]
            slots[slot.take(free)] = left.take(free)
            holder = slots.take(slot)
            lost = np.flatnonzero(holder != left)
            left, slot, holder = left.take(lost), slot.take(lost) + 1, holder.take(lost)
            slot[slot == len(slots)] = 0
            alike = np.flatnonzero(marks.take(left) == marks.take(holder))
            alike = alike[_alike(*(matrix.take(rows.take(alike), axis=0) for rows in (left, holder)))]
            if len(alike):
                doubled += left[alike].tolist()
                left, slot = np.delete(left, alike), np.delete(slot, alike)
    return doubled
