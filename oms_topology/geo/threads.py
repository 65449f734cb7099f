"""Work on long arrays in parts, on all processors."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["in_parts"]


def in_parts(answer: Callable[[slice], None], count: int, rows_a_part: int) -> None:
    """Answer part after part of so many rows.

    Parameters
    ----------
    answer : callable
        Answers the rows of a slice, and touches no others; it is called from several threads if there is more
        than one part.
    count : int
        How many rows there are; none is no call.
    rows_a_part : int
        How many rows a part has at most.

    Raises
    ------
    Exception
        The first that ``answer`` raises.

    Examples
    --------
    >>> seen = []
    >>> in_parts(seen.append, 3, 5)
    >>> seen
    [slice(0, 3, None)]
    """
    parts = [slice(begin, min(begin + rows_a_part, count)) for begin in range(0, count, rows_a_part)]
    if len(parts) < 2:
        for part in parts:
            answer(part)
        return
    with ThreadPoolExecutor(min(len(parts), _processors())) as threads:
        for _ in threads.map(answer, parts):
            pass


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
