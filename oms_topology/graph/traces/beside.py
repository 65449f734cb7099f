"""Values that are worked out from arrays once, and kept as long as the arrays live."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from numpy.typing import NDArray

__all__ = ["Beside"]

_Made = TypeVar("_Made")


class Beside(Generic[_Made]):
    """A store of what was made from columns that nobody writes to.

    Networks that were forked share columns, and so share what is kept here; a column that grew is
    another array. What is kept must not itself hold the arrays it was made from.

    Examples
    --------
    >>> import numpy as np
    >>> column, store = np.arange(3), Beside()
    >>> store.of((column,), "sum", lambda: int(column.sum())), len(store)
    (3, 1)
    >>> del column
    >>> len(store)
    0
    """

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept: dict[tuple[Hashable, ...], tuple[list[weakref.ref[Any]], _Made]] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, arrays: tuple[NDArray[Any], ...], what: Hashable, make: Callable[[], _Made]) -> _Made:
        """Give what was made of the arrays, and make it if nobody asked before.

        Parameters
        ----------
        arrays : tuple of arrays
            What it is made from; told apart by identity.
        what : hashable
            Which of several things made from them.
        make : callable
            Makes it.
        """
        key = (*map(id, arrays), what)
        found = self._kept.get(key)
        if found is None:
            kept = self._kept

            def forget(_: object) -> None:
                kept.pop(key, None)

            found = kept[key] = [weakref.ref(array, forget) for array in arrays], make()
        return found[1]
