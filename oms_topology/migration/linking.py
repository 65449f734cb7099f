"""Meters are linked to what is nearest, within the limit, and every meter gets one status."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from sqlalchemy import text

from oms_topology.geo.coordinates import Bounds, position_status, suspected_swaps
from oms_topology.geo.geodesy import geodesic_m
from oms_topology.geo.linking import LinkStatus
from oms_topology.migration.copying import copy_in, copy_out
from oms_topology.migration.queries import query

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.geo.linking import Links
    from oms_topology.migration.work import StepWork

__all__ = ["link_by_place", "measure_links", "store_links"]

_AMBIGUOUS = 100
_STATUS_NAMES = {int(status): status.name.lower() for status in LinkStatus} | {_AMBIGUOUS: "ambiguous"}
_NOWHERE_NEAR_DEG = 0.5
_POINTS = (
    "SELECT meter_no, longitude, latitude, COALESCE(group_no, 0) FROM link_point"
    " WHERE longitude IS NOT NULL AND latitude IS NOT NULL AND (group_no IS NULL) = {}"
)
_TARGETS = (
    "SELECT row_no, longitude, latitude FROM link_target"
    " WHERE longitude IS NOT NULL AND latitude IS NOT NULL ORDER BY row_no"
)
_LINES = (
    "SELECT t.row_no, l.longitudes, l.latitudes FROM link_target t"
    " JOIN oms_topology.feeder_line l ON l.feeder_id = t.target_id ORDER BY t.row_no, l.line_no"
)
_MEMBERS = "SELECT row_no, group_no FROM link_target_group ORDER BY row_no, group_no"
_UNUSABLE = (
    "{kind}_position_unusable | Positions of {words} that cannot be used, or that seem exchanged; nothing is"
    " linked to them by place. | Correct them."
)

Columns = dict[str, "NDArray[Any]"]


def link_by_place(
    work: StepWork, kind: str, max_distance_m: float, *, is_ambiguous_at_tie: bool = False
) -> None:
    """Link the meters of ``link_point`` to the nearest of ``link_target``, into ``link_decision``.

    A meter of a group is linked to the targets of that group (``link_target_group``) only.

    Parameters
    ----------
    work : StepWork
        The step, with these tables made.
    kind : str
        What the targets are.
    max_distance_m : float
        The limit.
    is_ambiguous_at_tie : bool
        Of two at the same distance neither is taken; else the first by code.
    """
    work.connection.exec_driver_sql(
        "INSERT INTO link_decision SELECT meter_no, 'no_position' FROM link_point"
        " WHERE longitude IS NULL OR latitude IS NULL"
    )
    bounds = network_bounds(work)
    targets = _usable(work, kind, _columns(work, _TARGETS, "row_no", "longitude", "latitude"), bounds)
    if kind == "feeder":
        targets = _with_lines(work, targets)
    free = _columns(work, _POINTS.format("true"), "meter_no", "longitude", "latitude", "group_no")
    del free["group_no"]
    _link(work, free, targets, max_distance_m, bounds, is_ambiguous_at_tie)
    scoped = _columns(work, _POINTS.format("false"), "meter_no", "longitude", "latitude", "group_no")
    if len(scoped["meter_no"]):
        _link(work, scoped, _in_groups(work, targets), max_distance_m, bounds, is_ambiguous_at_tie)


def _link(
    work: StepWork,
    points: Columns,
    targets: Columns,
    max_distance_m: float,
    bounds: Bounds | None,
    is_ambiguous_at_tie: bool,
) -> None:
    links = work.linker(
        np.column_stack((points["longitude"], points["latitude"])),
        targets.get("shape", np.column_stack((targets["longitude"], targets["latitude"]))),
        max_distance_m=max_distance_m,
        target_ids=targets["row_no"],
        bounds=bounds,
        groups=points.get("group_no"),
        target_groups=targets.get("group_no"),
    )
    status = links.status.astype(np.int32)
    rows = np.append(targets["row_no"], np.int32(-1))
    target = rows[links.target]
    if is_ambiguous_at_tie:
        tied = (links.target >= 0) & (links.second_distance_m == links.distance_m)
        status[tied], target[tied] = _AMBIGUOUS, -1
    _store_found(work, points["meter_no"], target, status, links)


def _with_lines(work: StepWork, targets: Columns) -> Columns:
    """Give those targets their lines that have been drawn; the others stay where they are."""
    parts: dict[int, list[Any]] = {}
    for row_no, longitudes, latitudes in work.connection.exec_driver_sql(_LINES):
        parts.setdefault(row_no, []).append(shapely.LineString(np.column_stack((longitudes, latitudes))))
    if not parts:
        return targets
    shapes = shapely.points(targets["longitude"], targets["latitude"])
    for place, row_no in enumerate(targets["row_no"].tolist()):
        if row_no in parts:
            shapes[place] = shapely.MultiLineString(parts[row_no])
    return {**targets, "shape": shapes}


def _in_groups(work: StepWork, targets: Columns) -> Columns:
    """Give each target once for each group that it is in."""
    member = _columns(work, _MEMBERS, "row_no", "group_no")
    place = np.full(int(max(targets["row_no"], default=-1)) + 1, -1)
    place[targets["row_no"]] = np.arange(len(targets["row_no"]))
    known = member["row_no"] < len(place)
    known[known] &= place[member["row_no"][known]] >= 0
    at = place[member["row_no"][known]]
    return {**{name: values[at] for name, values in targets.items()}, "group_no": member["group_no"][known]}


def network_bounds(work: StepWork) -> Bounds | None:
    """Give the box of all positions but the outermost tenth on each side, and half a degree more.

    Swapped positions, if fewer than a tenth, do not widen it; sound ones beyond it are not taken for swapped.
    """
    at = _columns(work, query("links", "positions").rstrip(";"), "longitude", "latitude")
    sound = position_status(at["longitude"], at["latitude"], np.zeros(len(at["longitude"]), np.bool_)) == 0
    if not sound.any():
        return None
    (west, east), (south, north) = (
        np.quantile(at[name][sound], (0.1, 0.9), method="nearest") for name in ("longitude", "latitude")
    )
    margin = _NOWHERE_NEAR_DEG
    return Bounds(float(west - margin), float(south - margin), float(east + margin), float(north + margin))


def _columns(work: StepWork, sql: str, *names: str) -> Columns:
    return copy_out(work.connection, sql, {name: "i4" if name.endswith("_no") else "f8" for name in names})


def _usable(work: StepWork, kind: str, targets: Columns, bounds: Bounds | None) -> Columns:
    longitude, latitude = targets["longitude"], targets["latitude"]
    sound = position_status(longitude, latitude, np.zeros(len(longitude), np.bool_)) == 0
    if bounds is not None:
        sound &= ~suspected_swaps(longitude, latitude, bounds)
    if not sound.all():
        bad = work.connection.execute(
            text('SELECT code FROM link_target WHERE row_no = ANY (:rows) ORDER BY code COLLATE "C"'),
            {"rows": targets["row_no"][~sound].tolist()},
        ).scalars()
        work.find(
            _UNUSABLE.format(kind=kind, words=kind.replace("_", " ") + "s"), list(bad), int((~sound).sum())
        )
    return {name: values[sound] for name, values in targets.items()}


def _store_found(
    work: StepWork,
    meter_no: NDArray[np.int32],
    target: NDArray[np.int32],
    status: NDArray[np.int32],
    links: Links,
) -> None:
    work.connection.exec_driver_sql("DROP TABLE IF EXISTS link_found")
    work.connection.exec_driver_sql(query("links", "found"))
    linked = target >= 0
    confidence = np.where(linked, links.confidence, np.nan)
    columns = {"meter_no": meter_no, "target_row": target, "status_no": status}
    distances = {
        "distance_m": links.distance_m,
        "second_distance_m": links.second_distance_m,
        "confidence": confidence,
    }
    copy_in(
        work.connection, "link_found", {**columns, **{k: v.astype(np.float64) for k, v in distances.items()}}
    )
    work.connection.execute(
        text(query("links", "take_found")),
        {"status_nos": list(_STATUS_NAMES), "status_names": list(_STATUS_NAMES.values())},
    )
    work.connection.exec_driver_sql("DROP TABLE link_found")


def measure_links(work: StepWork) -> None:
    """Note how far apart those are that were linked by building or phone; a link is no worse for it."""
    names = ("meter_no", "longitude", "latitude", "to_longitude", "to_latitude")
    at = _columns(work, query("links", "ruled").rstrip(";"), *names)
    if not len(at["meter_no"]):
        return
    work.connection.exec_driver_sql(
        "CREATE TEMP TABLE link_measure (meter_no integer, distance_m double precision)"
    )
    distance_m = geodesic_m(*(at[name] for name in names[1:]))
    copy_in(work.connection, "link_measure", {"meter_no": at["meter_no"], "distance_m": distance_m})
    work.connection.exec_driver_sql(
        "UPDATE link_decision d SET distance_m = NULLIF(f.distance_m, 'NaN')"
        " FROM link_measure f WHERE d.meter_no = f.meter_no"
    )
    work.connection.exec_driver_sql("DROP TABLE link_measure")


def store_links(work: StepWork, kind: str) -> None:
    """Write the decisions into ``oms_topology.meter_link``: what is the same already is not touched.

    Parameters
    ----------
    work : StepWork
        The step; its counts get the statuses, ``kind`` before each, and how many links changed.
    kind : str
        What the targets are.
    """
    work.connection.exec_driver_sql("ANALYZE link_decision")
    changed = 0
    for name in ("forget", "revise", "add"):
        changed += work.connection.execute(text(query("links", name)), {"target_kind": kind}).rowcount
    if changed:
        # The planner would take a table of a million rows that it has never looked at for an empty one.
        work.connection.exec_driver_sql("ANALYZE oms_topology.meter_link")
    work.add(f"{kind}_links_changed", changed)
    for status, rule, count in work.connection.execute(
        text(query("links", "statuses")), {"target_kind": kind}
    ):
        work.add(f"{kind}_{status}" + (f"_by_{rule}" if rule else ""), count)
