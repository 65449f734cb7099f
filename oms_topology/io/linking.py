"""One table of places linked to another, from whatever they are in to what a person should look at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from oms_topology.geo.capacity import link_within_capacity
from oms_topology.geo.confidence import DEFAULT_POSITION_ERROR_M
from oms_topology.geo.following import link_along_lines
from oms_topology.geo.linking import link_nearest
from oms_topology.geo.reviewing import SURE, certainty, link_columns, work_list
from oms_topology.io.distributed import link_distributed
from oms_topology.io.places import PlaceTable, read_places

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from oms_topology.geo.linking import Links

__all__ = ["STAGES", "LinkOptions", "LinkReport", "link_tables"]

STAGES: Final = ("reading points", "reading targets", "linking", "looking for doubts")
"""What `link_tables` says it does, in this order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkOptions:
    """How to link.

    Attributes
    ----------
    max_distance_m, position_error_m : float
        As in `link_nearest`.
    point_id, target_id : str or None
        The columns with the ids; see `PlaceTable.ids`.
    same_group : str or None
        A column of both tables: only targets with the same value count.
    capacity, demand : str or None
        A column of the targets, and one of the points; see `link_within_capacity`.
    sure : float
        Links below this confidence go to the work list.
    part : str or None
        A column of the points by which the parts of the town are told; cells of 500 m if not given.
    snap_m : float
        What is as good as joined in a drawing; see `link_along_lines`.
    scheduler : str or None
        The address of a Dask scheduler whose workers shall link to the nearest; not with ``capacity`` or
        lines.
    """

    max_distance_m: float
    position_error_m: float = DEFAULT_POSITION_ERROR_M
    point_id: str | None = None
    target_id: str | None = None
    same_group: str | None = None
    capacity: str | None = None
    demand: str | None = None
    sure: float = SURE
    part: str | None = None
    snap_m: float = 1.0
    scheduler: str | None = None


@dataclass(frozen=True, slots=True, repr=False)
class LinkReport:
    """What came of it; columns are dictionaries of arrays, see `link_columns`, `work_list` and `certainty`.

    Attributes
    ----------
    links : Links
        Row by row.
    columns : dict of str to array
        The links with ids and positions, one row for each point.
    work_list : dict of str to array
        What a person should look at.
    parts : dict of str to array
        How sure each part of the town is.
    bad_targets : int
        Targets without a usable position.
    """

    links: Links
    columns: dict[str, NDArray[Any]]
    work_list: dict[str, NDArray[Any]]
    parts: dict[str, NDArray[Any]]
    bad_targets: int

    def __repr__(self) -> str:
        return f"LinkReport({self.links!r}, {len(self.work_list['id'])} to look at)"

    @property
    def linked_share(self) -> float:
        """The share of points that have a link; 1 where there are no points."""
        return float(np.mean(self.links.target >= 0)) if len(self.links) else 1.0

    def to_dict(self) -> dict[str, Any]:
        """Give the figures as plain values, without the rows."""
        confidence = self.links.confidence[self.links.target >= 0]
        return {
            "points": len(self.links),
            "targets": len(self.links.target_status),
            "bad_targets": self.bad_targets,
            "rule": self.links.rule,
            "max_distance_m": self.links.max_distance_m,
            "position_error_m": self.links.position_error_m,
            "status": self.links.counts(),
            "linked_share": round(self.linked_share, 4),
            "expected_right": round(float(confidence.mean()), 4) if len(confidence) else None,
            "work_list": len(self.work_list["id"]),
            "parts": len(self.parts["part"]),
        }


def link_tables(
    points: Any,
    targets: Any,
    options: LinkOptions,
    *,
    lines: Any = None,
    progress: Callable[[str], None] | None = None,
) -> LinkReport:
    """Link the places of one table to those of another.

    Parameters
    ----------
    points, targets : path, frame, Arrow table, or mapping of columns
        Anything that `read_places` reads.
    options : LinkOptions
        How to link.
    lines : path or GeoDataFrame, optional
        The drawn low-voltage lines: points are linked to what feeds the nearest line. The columns then hold
        ``nearest`` as well, the id of the nearest target; where that is another one, the point is on the
        work list.
    progress : callable, optional
        Is told each of `STAGES` as it begins, and by a scheduler how many points are done.

    Returns
    -------
    LinkReport
        Independent of the order of rows where both tables have ids.

    Raises
    ------
    SourceError, GeometryError, MissingExtraError
        As `read_places`; and where a column that the options name is missing.
    ValueError
        As `link_nearest` and `link_within_capacity`.

    Examples
    --------
    >>> meters = {"meter_number": ["M1", "M2"], "lon": [35.9, 35.97], "lat": [31.95, 31.95]}
    >>> pillars = {"dp_id": ["DP1", "DP2"], "lon": [35.9001, 35.902], "lat": [31.95, 31.95]}
    >>> report = link_tables(meters, pillars, LinkOptions(max_distance_m=500))
    >>> report, report.columns["target"].tolist(), report.work_list["id"].tolist()
    (LinkReport(Links(1 linked, 1 too_far), 1 to look at), ['DP1', ''], ['M2'])
    """
    say = progress or (lambda _stage: None)
    say(STAGES[0])
    asked = read_places(points, "points")
    say(STAGES[1])
    offered = read_places(targets, "targets")
    point_ids, target_ids = asked.ids(options.point_id), offered.ids(options.target_id)
    groups = _groups(asked, offered, options)
    part = asked.codes(options.part) if options.part else None
    drawn = None if lines is None else read_places(lines, "lines").geometry
    say(STAGES[2])
    chosen = {"target_ids": target_ids, **groups}
    links = _links(asked, offered, options, chosen, point_ids, drawn, say)
    say(STAGES[3])
    columns = link_columns(asked.geometry, links, point_ids=point_ids, target_ids=target_ids)
    differ = None
    if drawn is not None:
        nearest = link_nearest(asked.geometry, offered.geometry, **_how(options), **chosen).target
        columns["nearest"] = np.append(target_ids, "")[nearest]
        differ = (nearest >= 0) & (nearest != links.target)
    return LinkReport(
        links,
        columns,
        work_list(
            asked.geometry,
            offered.geometry,
            links,
            point_ids=point_ids,
            target_ids=target_ids,
            groups=groups.get("groups"),
            target_groups=groups.get("target_groups"),
            sure=options.sure,
            also=differ,
        ),
        certainty(asked.geometry, links, groups=part, sure=options.sure),
        int(np.count_nonzero(links.target_status)),
    )


def _groups(asked: PlaceTable, offered: PlaceTable, options: LinkOptions) -> dict[str, Any]:
    if options.same_group is None:
        return {}
    groups, target_groups = (table.codes(options.same_group).astype(object) for table in (asked, offered))
    for column in (groups, target_groups):
        column[column == ""] = None
    return {"groups": groups, "target_groups": target_groups}


def _links(
    asked: PlaceTable,
    offered: PlaceTable,
    options: LinkOptions,
    chosen: dict[str, Any],
    point_ids: NDArray[np.str_],
    drawn: Any,
    say: Callable[[str], None],
) -> Links:
    how, both = {**_how(options), **chosen}, (asked.geometry, offered.geometry)
    if drawn is not None:
        return link_along_lines(asked.geometry, drawn, offered.geometry, snap_m=options.snap_m, **how)
    if options.capacity is not None:
        demand = asked.numbers(options.demand) if options.demand else None
        capacity = offered.numbers(options.capacity)
        return link_within_capacity(*both, capacity, demand=demand, point_ids=point_ids, **how)
    if options.scheduler is not None:

        def count(done: int, total: int) -> None:
            say(f"{STAGES[2]}: {done:,} of {total:,}")

        return link_distributed(*both, scheduler=options.scheduler, progress=count, **how)
    return link_nearest(*both, **how)


def _how(options: LinkOptions) -> dict[str, Any]:
    return {"max_distance_m": options.max_distance_m, "position_error_m": options.position_error_m}
