"""Groups as users name them (codes of substations), into numbers."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

__all__ = ["group_numbers"]


def group_numbers(
    groups: Sequence[Any] | NDArray[Any] | None,
    target_groups: Sequence[Any] | NDArray[Any] | None,
    count: int,
    target_count: int,
) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
    """Give the groups of points and of targets common numbers.

    Parameters
    ----------
    groups, target_groups : sequence of str or int, or None
        The group of each point and of each target; both, or none. A value that is None or NaN is of no group.
    count, target_count : int
        How many there must be.

    Returns
    -------
    tuple of arrays of int, or None
        Shapes (count,) and (target_count,): -1 for a point whose group has no target, and for a target
        without a group. None where no groups are given. O(n).

    Raises
    ------
    ValueError
        If only one of the two is given, or not one for each.

    Examples
    --------
    >>> group_numbers(["SS2", None, "SS1"], ["SS1", "SS2", None], 3, 3)
    (array([ 1, -1,  0]), array([ 0,  1, -1]))
    """
    if groups is None and target_groups is None:
        return None
    if groups is None or target_groups is None:
        raise ValueError("groups and target_groups belong together: give both, or none")
    of_points = _values(groups, "groups", count)
    of_targets = _values(target_groups, "target_groups", target_count)
    number: dict[Any, int] = {}
    for value in of_targets:
        if value is not None and value == value:  # NaN is not
            number.setdefault(value, len(number))
    return tuple(  # type: ignore[return-value]
        np.fromiter(map(number.get, values, repeat(-1)), dtype=np.intp, count=len(values))
        for values in (of_points, of_targets)
    )


def _values(groups: Sequence[Any] | NDArray[Any], argument: str, count: int) -> list[Any]:
    values = groups.tolist() if hasattr(groups, "tolist") else list(groups)
    if len(values) != count:
        raise ValueError(f"{argument} must be one for each of {count}, not {len(values)}")
    return values
