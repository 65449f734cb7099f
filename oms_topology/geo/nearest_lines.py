"""The truly nearest of many lines, by the geodesic to the nearest position of each.

Lines within a micrometre of the nearest are equally near: that of the lowest rank is taken. Up to ``NEAR_M``
lengths come from `pieces`, and are good to 0.1 micrometres; what is farther away is measured with pyproj.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from oms_topology.geo.far_lines import measure_far
from oms_topology.geo.geodesy import Floats, geodesic_at_most_m, to_earth_centred_m
from oms_topology.geo.line_blocks import two_nearest_lines_by_blocks
from oms_topology.geo.line_tree import LineTree
from oms_topology.geo.pieces import NEAR_M, feet_m, to_degrees
from oms_topology.geo.places import places_of
from oms_topology.geo.threads import in_parts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.geo.coordinates import Positions
    from oms_topology.geo.reading import Lines

__all__ = ["TIE_M", "NearestLine", "nearest_lines"]

TIE_M: Final = 1e-6
_ALONE: Final = 2_000  # fewer are answered sooner than the compiler is loaded
_CHUNK: Final = 65_536


class NearestLine(NamedTuple):
    """The nearest line of each point, shapes (n,).

    Attributes
    ----------
    target : array of int
        Row of the line, -1 where none is within the limit.
    distance_m, second_distance_m : array of float
        To it, and to the nearest of all others; NaN for none.
    foot_longitude_deg, foot_latitude_deg : array of float
        The nearest position of the line, within metres where it is more than 50 km away; NaN for none.
    """

    target: NDArray[np.intp]
    distance_m: Floats
    second_distance_m: Floats
    foot_longitude_deg: Floats
    foot_latitude_deg: Floats


def nearest_lines(
    points: Positions,
    lines: Lines,
    *,
    max_distance_m: float,
    target_rank: NDArray[np.intp] | None = None,
    group: NDArray[np.intp] | None = None,
    target_group: NDArray[np.intp] | None = None,
    compiled: bool | None = None,
) -> NearestLine:
    """Find for each point the line nearest to it, and how far the second nearest is.

    Parameters
    ----------
    points : Positions
        Usable positions in degrees, shapes (n,).
    lines : Lines
        As `read_lines` gives them, m rows.
    max_distance_m : float
        Above 0, at most 10,000 km.
    target_rank : array of int, optional
        A permutation of 0 to m - 1: of equally near lines the lowest rank is taken. Rows if not given.
    group, target_group : array of int, optional
        Shapes (n,) and (m,), both or none: only lines of the point's group count; -1 is of none.
    compiled : bool, optional
        Whether the loop that numba compiles is used. If not given: where numba is, for more than 2,000
        points. The answer is the same, byte by byte.

    Returns
    -------
    NearestLine
        It does not depend on the order of points, nor on the number of threads.

    Notes
    -----
    O((n + p) log p) for p pieces of at most 1 km. Slow (milliseconds) is a point whose nearest or second
    nearest line within the limit is more than 50 km away.

    Examples
    --------
    >>> import numpy as np
    >>> from shapely import LineString
    >>> from oms_topology.geo.coordinates import Positions
    >>> from oms_topology.geo.reading import read_lines
    >>> lines = read_lines([LineString([(35.9, 31.9), (35.9, 32.0)])], "targets")
    >>> found = nearest_lines(Positions(np.array([35.901]), np.array([31.95])), lines, max_distance_m=500)
    >>> found.target, found.distance_m.round(2), found.foot_latitude_deg.round(6)
    (array([0]), array([94.54]), array([31.95]))
    """
    asked = places_of(*points, group)
    count = len(asked.longitude_deg)
    tree = LineTree(lines, target_rank, target_group)
    if not count or not len(tree.rank):
        nothing = np.full((4, len(points.longitude_deg)), np.nan)
        return NearestLine(np.full(len(points.longitude_deg), -1), *nothing)
    if compiled is None:
        compiled = count > _ALONE and find_spec("numba") is not None
    at_m = np.ascontiguousarray(to_earth_centred_m(asked.longitude_deg, asked.latitude_deg).T)
    of_group = np.zeros(count, dtype=np.intp) if asked.group is None else asked.group
    # Beyond what the lengths are good for, more is looked at than is within the limit.
    limit_m = max_distance_m
    if max_distance_m > NEAR_M:
        limit_m = 1.01 * float(geodesic_at_most_m(np.array([max_distance_m]))[0])
    search = _by_threads if compiled else two_nearest_lines_by_blocks
    piece, length_m, second_m = search(at_m, of_group, limit_m, TIE_M, tree)
    measure_far(asked, at_m, of_group, max_distance_m, TIE_M, tree, (piece, length_m, second_m))
    columns = _told(at_m, tree, piece, length_m, second_m)
    return NearestLine(*(asked.to_rows(column) for column in columns))


def _by_threads(
    at_m: Floats, group: NDArray[np.intp], limit_m: float, tie_m: float, lines: LineTree
) -> tuple[NDArray[np.intp], Floats, Floats]:
    """Answer with the compiled loop, on all processors."""
    from oms_topology.geo.boxes import boxes_around
    from oms_topology.geo.line_kernels import two_nearest_lines

    count = at_m.shape[1]
    piece, length_m, second_m = np.empty(count, dtype=np.intp), np.empty(count), np.empty(count)
    boxes = boxes_around(lines.pieces, lines.group)
    table = np.column_stack([part.T for part in lines.pieces[:4]])
    tree = (table, lines.rank, lines.group, lines.number, *boxes)

    def answer(part: slice) -> None:
        here = np.ascontiguousarray(at_m[:, part])
        into = piece[part], length_m[part], second_m[part]
        two_nearest_lines(here, group[part], float(limit_m), tie_m, *tree, *into)

    in_parts(answer, count, _CHUNK)
    return piece, length_m, second_m


def _told(
    at_m: Floats, tree: LineTree, piece: NDArray[np.intp], length_m: Floats, second_m: Floats
) -> tuple[NDArray[np.intp], Floats, Floats, Floats, Floats]:
    """Turn pieces into lines and feet, and infinity into NaN, place by place."""
    target, foot_deg = np.full(len(piece), -1), np.full((2, len(piece)), np.nan)

    def answer(part: slice) -> None:
        found = part.start + np.flatnonzero(piece[part] >= 0)
        target[found] = tree.pieces.line[piece[found]]
        foot_deg[0, found], foot_deg[1, found] = to_degrees(feet_m(at_m[:, found], tree.pieces, piece[found]))

    in_parts(answer, len(piece), _CHUNK)
    length_m[np.isinf(length_m)] = np.nan
    second_m[np.isinf(second_m)] = np.nan
    return target, length_m, second_m, foot_deg[0], foot_deg[1]
