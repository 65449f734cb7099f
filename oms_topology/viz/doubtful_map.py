"""A map of the links that somebody should look at, as inline SVG in metres around the middle of them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from html import escape
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oms_topology.migration.report import MigrationReport, SubstationCoverage, WorkItem

__all__ = ["Plane", "draw_map", "place_of", "plane_of"]

_METRES_PER_DEGREE = 111_200.0
_NARROWEST_M = 300.0
_OUTLIERS = 0.1
_NOWHERE = ("null_island", "suspected_swap", "out_of_range", "not_a_number", "no_position")


@dataclass(frozen=True, slots=True)
class Plane:
    """Metres east and south of a place; good for the eye, and for nothing that is measured.

    Attributes
    ----------
    longitude_deg, latitude_deg : float
        The place that is (0, 0).

    Examples
    --------
    >>> x, y = Plane(179.9, 0.0).at(-179.9, 0.1)
    >>> round(x), round(y)
    (22240, -11120)
    """

    longitude_deg: float
    latitude_deg: float

    def at(self, longitude_deg: float, latitude_deg: float) -> tuple[float, float]:
        """Give the metres east and south of a position, across the antimeridian if that is shorter."""
        east_deg = (longitude_deg - self.longitude_deg + 180) % 360 - 180
        shrunk = max(math.cos(math.radians(self.latitude_deg)), 0.01)
        return (
            east_deg * shrunk * _METRES_PER_DEGREE,
            (self.latitude_deg - latitude_deg) * _METRES_PER_DEGREE,
        )

    def span_of(self, item: WorkItem) -> float:
        """Give the metres that a view of a meter with its candidates is wide."""
        farthest_m = max((one.distance_m or 0.0 for one in item.candidates), default=0.0)
        return max(_NARROWEST_M, 3 * farthest_m)


def place_of(item: WorkItem) -> tuple[float, float] | None:
    """Give the longitude and latitude of a meter; None where what stands there is no place of the network."""
    if item.longitude is None or item.latitude is None or item.status in _NOWHERE:
        return None
    return item.longitude, item.latitude


def plane_of(report: MigrationReport) -> Plane | None:
    """Lay a plane through the doubtful links, or the substations where there are none; None without places.

    The middle is the median of both coordinates: one meter far out does not move it.
    """
    places = _places(report)
    if not places:
        return None
    return Plane(median(x for x, _ in places), median(y for _, y in places))


def _places(report: MigrationReport) -> list[tuple[float, float]]:
    """Give the positions of the doubtful links, or else of the substations."""
    doubtful = [place for item in report.work_list if (place := place_of(item))]
    stations = ((one.longitude, one.latitude) for one in report.coverage)
    return doubtful or [(x, y) for x, y in stations if x is not None and y is not None]


def draw_map(report: MigrationReport, plane: Plane) -> str:
    """Draw substations by how sure their links are, and doubtful meters with lines to their candidates."""
    stations = "".join(_station(one, plane) for one in report.coverage)
    items = "".join(_item(number, item, plane) for number, item in enumerate(report.work_list))
    keys = (
        '<button id="nearer">+</button><button id="farther">&minus;</button><button id="whole">all</button>'
    )
    return (
        f'<div class="map"><svg viewBox="{_view(report, plane)}" role="img" aria-label="Doubtful links">'
        f'{stations}{items}</svg><div class="tools">{keys}</div></div>'
        '<p class="note">Large: substations, by the mean confidence of their links. Dots: meters with a'
        " doubtful link or none, solid lines to what they are linked to, broken ones to other candidates.</p>"
    )


def _view(report: MigrationReport, plane: Plane) -> str:
    """Frame what lies together; the few far out are reached by zooming."""
    spots = [plane.at(*place) for place in _places(report)]
    cut = int(len(spots) * _OUTLIERS)
    (west, east), (north, south) = (
        (values[cut], values[-1 - cut]) for values in (sorted(axis) for axis in zip(*spots, strict=True))
    )
    width, height = max(east - west, 1_000.0) * 1.6, max(south - north, 1_000.0) * 1.6
    x, y = (east + west - width) / 2, (north + south - height) / 2
    return f"{x:.1f} {y:.1f} {width:.1f} {height:.1f}"


def _dot(kind: str, spot: tuple[float, float]) -> str:
    # A line of no length with round ends keeps its size in pixels, however far the view is zoomed.
    return f'<path class="{kind}" d="M{spot[0]:.1f} {spot[1]:.1f}h0"/>'


def _line(kind: str, start: tuple[float, float], end: tuple[float, float]) -> str:
    return f'<path class="{kind}" d="M{start[0]:.1f} {start[1]:.1f}L{end[0]:.1f} {end[1]:.1f}"/>'


def _station(one: SubstationCoverage, plane: Plane) -> str:
    if one.longitude is None or one.latitude is None:
        return ""
    sure = "" if one.mean_confidence is None else f", mean confidence {one.mean_confidence:.2f}"
    title = escape(f"{one.substation_id} {one.name}: {one.meters:,} meters, {one.doubtful:,} doubtful{sure}")
    dot = _dot(f"station {_tone(one.mean_confidence)}".strip(), plane.at(one.longitude, one.latitude))
    return f"<g><title>{title}</title>{dot}</g>"


def _item(number: int, item: WorkItem, plane: Plane) -> str:
    place = place_of(item)
    if place is None:
        return ""
    spot = plane.at(*place)
    drawn = []
    for rank, one in enumerate(item.candidates):
        if one.longitude is None or one.latitude is None:
            continue
        end = plane.at(one.longitude, one.latitude)
        is_linked = rank == 0 and item.status == "linked"
        drawn += [_line("to-linked" if is_linked else "to-other", spot, end), _dot("candidate", end)]
    codes = ", ".join(one.code for one in item.candidates) or "no candidate"
    kind = item.target_kind.replace("_", " ")
    title = escape(f"{item.meter_number}: {kind}, {item.status.replace('_', ' ')}; {codes}")
    meter = _dot("meter fair" if item.status == "linked" else "meter bad", spot)
    return (
        f'<g class="item" id="item{number}" data-kind="{escape(item.target_kind)}"><title>{title}</title>'
        f"{''.join(drawn)}{meter}</g>"
    )


def _tone(confidence: float | None) -> str:
    if confidence is None:
        return ""
    return "good" if confidence > 0.9 else "fair" if confidence > 0.8 else "bad"
