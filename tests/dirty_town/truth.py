"""The town as it really is: substations 8 km apart, four feeders each, buildings around each feeder.

A clean meter is nearest to its own substation, of that substation's feeders to its own, and of all buildings
to its own. Substations lie far enough apart that where one was moved no other is within 5 km.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from tests.dirty_town.kinds import Call, Customer, Names, Place, Registered, Status

if TYPE_CHECKING:
    from collections.abc import Mapping
    from enum import IntEnum

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]

METRES_PER_DEGREE = 111_200.0
FEEDERS_EACH = 4
BUILDINGS_EACH = 25
SAMPLES = {"SS001": (35.93, 31.95), "SS002": (35.95, 32.00), "SS003": (36.00, 31.93)}
AQABA = ("AQ001", 35.00, 29.53)
USELESS = {"SS901": (None, None), "SS902": (0.0, 0.0), "SS903": (30.01, 36.21), "SS904": ("NaN", "NaN")}
"""Substations that no rule can use: no place, null island, swapped, not a number."""
MOVED_TO = (35.85, 32.55)
"""Where a script has moved the first substation, name kept."""

_PLACES = {
    Place.BETWEEN_TWO: 0.04,
    Place.ABSENT: 0.03,
    Place.NOT_A_NUMBER: 0.01,
    Place.NULL_ISLAND: 0.02,
    Place.SWAPPED: 0.02,
    Place.OUT_OF_RANGE: 0.01,
}
_NAMES = {
    Names.ASSET_IS_NUMBER: 0.15,
    Names.ASSET_SPELT_OTHERWISE: 0.06,
    Names.ASSET_IN_REGISTRY: 0.07,
    Names.ASSET_ALONE: 0.03,
    Names.REGISTERED_TWICE: 0.03,
    Names.TWO_USAGE_POINTS: 0.03,
    Names.SHARED_USAGE_POINT: 0.02,
    Names.LONG_MRID: 0.01,
    Names.CONTESTED: 0.01,
    Names.REGISTRY_ONLY: 0.02,
    Names.CALL_ONLY: 0.01,
}
_REGISTERED = {
    Registered.UNLINKED: 0.15,
    Registered.RIGHT: 0.25,
    Registered.FAR: 0.02,
    Registered.FANNED_OUT: 0.02,
    Registered.AGAINST: 0.02,
    Registered.MAPPED_ONLY: 0.02,
    Registered.OTHER_FEEDER: 0.02,
    Registered.TWO_FEEDERS: 0.02,
    Registered.INACTIVE: 0.02,
}
_STATUSES = {Status.STALE: 0.05, Status.NEVER_HEARD: 0.03, Status.ILLEGAL: 0.01, Status.NULL: 0.01}
_CALLS = {Call.EXACT: 0.04, Call.SPELT_OTHERWISE: 0.02}


@dataclass(frozen=True, slots=True, eq=False)
class Town:
    """Columns by row: of substations, feeders, buildings (each one distribution point) and physical meters.

    Attributes
    ----------
    seed, n_meters : int
        Of what it was made.
    substation_longitude, substation_latitude : array of float
        Where they really are; row 0 has been moved in the tables (`MOVED_TO`).
    feeder_longitude, feeder_latitude, feeder_substation : array
        Feeders, and the substation of each.
    building_longitude, building_latitude, building_feeder, building_customers : array
        Buildings, the feeder of each, and its `Customer` kind.
    longitude, latitude, building : array
        Where each meter really is, and in which building.
    place, names, registered, status, customer, call : array of int
        The kinds of dirt of each meter.
    """

    seed: int
    n_meters: int
    substation_longitude: Floats
    substation_latitude: Floats
    feeder_longitude: Floats
    feeder_latitude: Floats
    feeder_substation: Ints
    building_longitude: Floats
    building_latitude: Floats
    building_feeder: Ints
    building_customers: Ints
    longitude: Floats
    latitude: Floats
    building: Ints
    place: Ints
    names: Ints
    registered: Ints
    status: Ints
    customer: Ints
    call: Ints

    @property
    def feeder(self) -> Ints:
        """The feeder that really feeds each meter."""
        return self.building_feeder[self.building]

    @property
    def substation(self) -> Ints:
        """The substation that really feeds each meter."""
        return self.feeder_substation[self.feeder]

    @property
    def has_onu(self) -> NDArray[np.bool_]:
        """Whether each meter stands in ``meters``."""
        elsewhere = (Names.ASSET_ALONE, Names.LONG_MRID, Names.REGISTRY_ONLY, Names.CALL_ONLY)
        return ~np.isin(self.names, elsewhere)

    @property
    def has_asset(self) -> NDArray[np.bool_]:
        """Whether KAIFA has named each meter."""
        return ~np.isin(self.names, (Names.ONU_ONLY, Names.REGISTRY_ONLY, Names.CALL_ONLY))

    @property
    def has_row(self) -> NDArray[np.bool_]:
        """Whether ``oms_meters`` has a row of each meter's number before the migration."""
        return self.registered != Registered.NOT

    @property
    def is_linkable(self) -> NDArray[np.bool_]:
        """Whether each meter has a sound position of which its own substation is within 5 km."""
        known = np.isin(self.place, (Place.RIGHT, Place.BETWEEN_TWO)) & (self.has_onu | self.has_row)
        return known & (self.substation != 0)

    def rows(self, kind: IntEnum) -> Ints:
        """Give the meters of one kind, in order."""
        column = {
            Place: self.place,
            Names: self.names,
            Registered: self.registered,
            Status: self.status,
            Customer: self.customer,
            Call: self.call,
        }[type(kind)]
        return np.flatnonzero(column == kind)

    def number(self, row: int) -> str:
        """Give the number that people know a meter by; that of one that KAIFA alone knows is its mRID."""
        if self.names[row] in (Names.ASSET_ALONE, Names.LONG_MRID):
            return self.asset(row)
        return f"M{row:08d}"

    def asset(self, row: int) -> str:
        """Give the mRID of a meter's asset as KAIFA spells it."""
        kind = self.names[row]
        if kind in (Names.ASSET_IS_NUMBER, Names.TWO_USAGE_POINTS, Names.SHARED_USAGE_POINT):
            return f"M{row:08d}"
        if kind == Names.ASSET_SPELT_OTHERWISE:
            return f" m{row:08d} "
        if kind == Names.LONG_MRID:
            return f"urn:uuid:{row:08d}:" + "0123456789" * 8
        return f"asset_{row:08d}"

    def customer_code(self, row: int) -> str | None:
        """Give the customer of a meter, where some rule can find it."""
        kind = self.customer[row]
        if kind in (Customer.PHONE, Customer.PLACE):
            return f"CUST_{row:08d}"
        return f"HOUSE_{self.building[row]:06d}" if kind == Customer.BUILDING else None

    @staticmethod
    def substation_code(row: int) -> str:
        """Give the code of a substation of the town."""
        return f"SS{row + 101}"

    @staticmethod
    def feeder_code(row: int) -> str:
        """Give the code of a feeder of the town."""
        return f"FD{row + 101:05d}"

    @staticmethod
    def building_code(row: int) -> str:
        """Give the code of a building; its distribution point is ``DP-`` and the same."""
        return f"B{row:06d}"


def make_town(n_meters: int, seed: int = 0) -> Town:
    """Make the truth: the same for the same arguments.

    Parameters
    ----------
    n_meters : int
        Physical meters, from 100 on; each kind of dirt occurs at least once.
    seed : int
        Which town.
    """
    if n_meters < 100:
        raise ValueError("a town has at least 100 meters, so that it has each kind of dirt")
    rng = np.random.default_rng(seed)
    meters_each = 20 if n_meters >= 20_000 else 5
    n_buildings = -(-n_meters // meters_each)
    n_substations = max(3, -(-n_buildings // (FEEDERS_EACH * BUILDINGS_EACH)))
    side = int(np.ceil(np.sqrt(n_substations)))
    substation = np.arange(n_substations)
    substation_lon, substation_lat = _shift(
        np.full(n_substations, 36.2),
        np.full(n_substations, 30.0),
        substation % side * 8e3,
        substation // side * 8e3,
    )
    feeder_substation = np.repeat(substation, FEEDERS_EACH)
    corner = np.tile(np.arange(FEEDERS_EACH), n_substations)
    feeder_lon, feeder_lat = _shift(
        substation_lon[feeder_substation],
        substation_lat[feeder_substation],
        np.where(corner % 2, 900.0, -900.0),
        np.where(corner // 2, 900.0, -900.0),
    )
    # Dealt to the feeders in turn, so that a small town has buildings on each.
    building = np.arange(n_buildings)
    building_feeder = building % len(feeder_lon)
    spot = building // len(feeder_lon)
    building_lon, building_lat = _shift(
        feeder_lon[building_feeder],
        feeder_lat[building_feeder],
        (spot % 5 - 2) * 150.0,
        (spot // 5 - 2) * 150.0,
    )
    meter = np.arange(n_meters)
    home = meter // meters_each
    turn, radius = meter % meters_each * 2.399963, 8 + 30 * np.sqrt(meter % meters_each / meters_each)
    longitude, latitude = _shift(
        building_lon[home], building_lat[home], radius * np.cos(turn), radius * np.sin(turn)
    )
    names = _deal(rng, _NAMES, np.ones(n_meters, dtype=bool))
    unknown = np.isin(names, (Names.ASSET_ALONE, Names.LONG_MRID, Names.CALL_ONLY))
    registered = _deal(rng, _REGISTERED, ~unknown)
    registered[
        (registered == Registered.NOT) & np.isin(names, (Names.REGISTRY_ONLY, Names.REGISTERED_TWICE))
    ] = Registered.UNLINKED
    place = _deal(rng, _PLACES, ~unknown)
    between = place == Place.BETWEEN_TWO
    longitude[between], latitude[between] = _shift(
        building_lon[home[between]],
        building_lat[home[between]],
        np.where(spot[home[between]] % 5 < 4, 74.0, -74.0),
        np.zeros(int(between.sum())),
    )
    status = _deal(rng, _STATUSES, (registered != Registered.NOT) & (names < Names.ASSET_ALONE))
    calls = _deal(rng, _CALLS, ~np.isin(names, (Names.LONG_MRID, Names.CALL_ONLY)))
    calls[names == Names.CALL_ONLY] = Call.EXACT
    building_customers = np.array(
        [Customer.BUILDING, Customer.BUILDING_SHARED, Customer.PLACE, Customer.NONE, Customer.BUILDING_SHARED]
    )[building % 5]
    customer = building_customers[home].copy()
    crowded = customer == Customer.BUILDING_SHARED
    calls[np.flatnonzero(crowded & ~unknown)[:2]] = Call.EXACT  # so that the smallest town has both kinds
    shared = np.flatnonzero(crowded & (calls != Call.NONE))
    customer[shared] = np.where(np.arange(len(shared)) % 4 == 1, Customer.PHONE_SHARED, Customer.PHONE)
    customer[(customer == Customer.PLACE) & (place != Place.RIGHT)] = Customer.NONE
    # A meter that only KAIFA or a caller knows has neither place nor building in any registry.
    customer[unknown & ~np.isin(customer, (Customer.PHONE, Customer.PHONE_SHARED))] = Customer.NONE
    return Town(
        seed, n_meters, substation_lon, substation_lat, feeder_lon, feeder_lat, feeder_substation,
        building_lon, building_lat, building_feeder, building_customers, longitude, latitude, home,
        place, names, registered, status, customer, calls,
    )  # fmt: skip


def _shift(longitude: Floats, latitude: Floats, east_m: Floats, north_m: Floats) -> tuple[Floats, Floats]:
    """Move places by metres, well enough for a town; seven decimals are a centimetre."""
    shrunk = METRES_PER_DEGREE * np.cos(np.radians(latitude))
    return np.round(longitude + east_m / shrunk, 7), np.round(latitude + north_m / METRES_PER_DEGREE, 7)


def _deal(rng: np.random.Generator, shares: Mapping[IntEnum, float], among: NDArray[np.bool_]) -> Ints:
    """Give each kind its share of the rows, at least one; the others are 0."""
    dealt = np.zeros(len(among), dtype=np.int64)
    order = rng.permutation(np.flatnonzero(among))
    first = 0
    for kind, share in shares.items():
        last = first + max(1, round(share * len(order)))
        dealt[order[first:last]] = kind
        first = last
    return dealt
