"""The rows of a dirty town, table by table, as the four provider services and the old scripts leave them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tests.dirty_town.kinds import Call, Customer, Names, Place, Registered, Status
from tests.dirty_town.truth import AQABA, MOVED_TO, SAMPLES, USELESS, Town

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

JANUARY, MAY = "2025-01-10T08:00:00Z", "2025-05-03T10:00:00Z"
HOSTILE = "<script>alert('x')</script> & \"Sons\""
PHONE_FORMATS = ("+962 7{0}", "009627{0}", "07{0}", "07-{0}", "(07) {0}")
SEVERITIES = ("Critical", "High", "Low", "critical", "medium")


class Table(NamedTuple):
    """Rows to copy into one table."""

    name: str
    columns: str
    rows: Sequence[tuple[Any, ...]]


def key(table: int, row: int) -> str:
    """Give the id of a row, the same in each run."""
    return f"{table:08x}-0000-4000-8000-{row:012x}"


def _key(table: int, row: int | None) -> str | None:
    return None if row is None else key(table, row)


SUBSTATION, FEEDER, POINT, METER, TWIN_METER = range(1, 6)
HOUSE, CUSTOMER, TWIN, EVENT, TICKET, OUTAGE, GONE = range(6, 13)


def phone(row: int, style: int) -> str:
    """Give the phone of a meter's customer, in one of `PHONE_FORMATS`."""
    return PHONE_FORMATS[style % len(PHONE_FORMATS)].format(f"{row + 10_000_000:08d}")


def recorded_places(town: Town) -> tuple[list[Any], list[Any]]:
    """Give the longitudes and latitudes that the registries hold: numbers, ``"NaN"`` or None."""
    longitude, latitude = town.longitude.tolist(), town.latitude.tolist()
    wrong = {
        Place.ABSENT: lambda x, y: (None, None),
        Place.NOT_A_NUMBER: lambda x, y: ("NaN", "NaN"),
        Place.NULL_ISLAND: lambda x, y: (0, 0),
        Place.SWAPPED: lambda x, y: (y, x),
        Place.OUT_OF_RANGE: lambda x, y: (361, 95.5),
    }
    for kind, spoil in wrong.items():
        for row in town.rows(kind).tolist():
            longitude[row], latitude[row] = spoil(longitude[row], latitude[row])
    return longitude, latitude


def substation_of_registry(town: Town) -> list[int | None]:
    """Give the row of the substation that ``oms_meters`` names for each meter, Aqaba's after the last."""
    aqaba, right = len(town.substation_longitude), town.substation
    named = (
        Registered.RIGHT,
        Registered.AGAINST,
        Registered.OTHER_FEEDER,
        Registered.TWO_FEEDERS,
        Registered.INACTIVE,
    )
    found = np.where(np.isin(town.registered, named), right, -1)
    found[town.registered == Registered.FAR] = aqaba
    return [None if row < 0 else row for row in found.tolist()]


def tables(town: Town, *, shape: str) -> Iterator[Table]:
    """Give all tables in the order of their foreign keys; shape B also has ids that name nothing."""
    yield from _network(town)
    yield _customers(town)
    yield from _registry(town)
    yield from _mappings(town)
    yield from _onu(town, orphans=shape == "B")
    yield from _kaifa(town)
    yield from _calls(town)
    yield from _history(town)
    yield from _outages()


def _network(town: Town) -> Iterator[Table]:
    places = list(zip(town.substation_longitude.tolist(), town.substation_latitude.tolist(), strict=True))
    places[0] = MOVED_TO
    stations = [(town.substation_code(row), f"Station {row}", *place) for row, place in enumerate(places)]
    stations[1] = (stations[1][0], HOSTILE, *places[1])
    stations.append((AQABA[0], "Aqaba", AQABA[1], AQABA[2]))
    stations += [(code, f"Sample {code}", *place) for code, place in SAMPLES.items()]
    stations += [(code, f"Useless {code}", *place) for code, place in USELESS.items()]
    yield Table(
        "network_substations",
        "id, substation_id, name, location_lng, location_lat, region_code",
        [(key(SUBSTATION, row), *station, "AM") for row, station in enumerate(stations)],
    )
    feeders = [
        (town.feeder_code(row), key(SUBSTATION, station), f"Feeder {row}", lon, lat)
        for row, (station, lon, lat) in enumerate(
            zip(
                town.feeder_substation.tolist(),
                town.feeder_longitude.tolist(),
                town.feeder_latitude.tolist(),
                strict=True,
            )
        )
    ]
    aqaba = key(SUBSTATION, len(places))
    feeders.append(("FDAQ1", aqaba, "Feeder of Aqaba", AQABA[1], AQABA[2]))
    # The three of the migration script hang on one arbitrary substation, at random places.
    feeders += [(f"FD00{n}", aqaba, f"Feeder {n}", AQABA[1] + n / 1e3, AQABA[2] - n / 1e3) for n in (1, 2, 3)]
    yield Table(
        "network_feeders",
        "id, feeder_id, substation_id, name, location_lng, location_lat",
        [(key(FEEDER, row), *feeder) for row, feeder in enumerate(feeders)],
    )
    kinds, lons, lats = town.building_customers.tolist(), town.building_longitude, town.building_latitude
    yield Table(
        "network_distribution_points",
        "id, dp_id, feeder_id, name, location_lng, location_lat, building_id",
        [
            (
                key(POINT, row), "DP-" + town.building_code(row), key(FEEDER, feeder), f"Point {row}",
                lon, lat, None if kinds[row] == Customer.PLACE else town.building_code(row),
            )
            for row, (feeder, lon, lat) in enumerate(
                zip(town.building_feeder.tolist(), lons.tolist(), lats.tolist(), strict=True)
            )
        ],
    )  # fmt: skip


def _customers(town: Town) -> Table:
    houses = np.flatnonzero(town.building_customers == Customer.BUILDING).tolist()
    rows: list[tuple[Any, ...]] = [
        (key(HOUSE, row), f"HOUSE_{row:06d}", None, f"House {row}", town.building_code(row), None, None)
        for row in houses
    ]
    for row in np.flatnonzero(~np.isin(town.customer, (Customer.NONE, Customer.BUILDING))).tolist():
        kind, place = town.customer[row], (None, None)
        building: str | None = town.building_code(town.building[row])
        if kind == Customer.PLACE:
            building, place = None, (float(town.longitude[row]) + 1.5e-5, float(town.latitude[row]))
        number = phone(row, row) if kind in (Customer.PHONE, Customer.PHONE_SHARED) else None
        rows.append((key(CUSTOMER, row), f"CUST_{row:08d}", number, f"Flat {row}", building, *place))
        if kind == Customer.PHONE_SHARED:
            twin = phone(row, row + 2)
            rows.append((key(TWIN, row), f"TWIN_{row:08d}", twin, f"Flat {row}", building, None, None))
    columns = "id, customer_id, phone, address, building_id, location_lng, location_lat"
    return Table("oms_customers", columns, rows)


def _registry(town: Town) -> Iterator[Table]:
    longitude, latitude = recorded_places(town)
    named, feeders, buildings = substation_of_registry(town), town.feeder.tolist(), town.building.tolist()
    onus, has_onu, aqaba_feeder = onu_ids(town), town.has_onu.tolist(), len(town.feeder_longitude)
    contested = iter(town.rows(Names.CONTESTED).tolist())
    rows: list[tuple[Any, ...]] = []
    for row in np.flatnonzero(town.has_row).tolist():
        kind, status, station = town.registered[row], town.status[row], named[row]
        feeder = None if station is None else aqaba_feeder if kind == Registered.FAR else feeders[row]
        point = buildings[row] if kind == Registered.RIGHT else None
        asset = None
        if kind == Registered.RIGHT and town.names[row] == Names.ONU_ONLY:
            claimed = next(contested, None)
            asset = None if claimed is None else town.asset(claimed)
        blind = kind == Registered.FANNED_OUT
        rows.append((
            key(METER, row), town.number(row), "smart",
            _key(SUBSTATION, station), _key(FEEDER, feeder), _key(POINT, point),
            None if blind else longitude[row], None if blind else latitude[row],
            town.building_code(buildings[row]), None if status == Status.NULL else "online", JANUARY,
            {Status.ILLEGAL: "banana", Status.NULL: None}.get(Status(status), "on"), asset,
            onus[row] if has_onu[row] else None, "inactive" if kind == Registered.INACTIVE else "active",
        ))  # fmt: skip
    for row in town.rows(Names.REGISTERED_TWICE).tolist():
        asset = town.asset(row)
        rows.append((
            key(TWIN_METER, row), asset, "kaifa", *(None,) * 6, "online", JANUARY, "unknown", asset, None,
            "active",
        ))  # fmt: skip
    yield Table(
        "oms_meters",
        "id, meter_number, meter_type, substation_id, feeder_id, dp_id, location_lng, location_lat,"
        " building_id, communication_status, last_communication, power_status, asset_mrid, onu_id, status",
        rows,
    )
    tied = (Names.ASSET_IN_REGISTRY, Names.REGISTERED_TWICE, Names.CONTESTED)
    yield Table(
        "oms_smart_meters",
        "meter_number, asset_mrid, usage_point_mrid",
        [
            (town.number(row), town.asset(row), f"up_{row:08d}")
            for row in np.flatnonzero(np.isin(town.names, tied)).tolist()
        ],
    )


def _mappings(town: Town) -> Iterator[Table]:
    stations = len(town.substation_longitude)
    everywhere = range(min(21, stations + 1 + len(SAMPLES) + len(USELESS)))
    own, feeders = town.substation.tolist(), town.feeder.tolist()
    by_station: list[tuple[int, int, int, int | None, int]] = []
    by_feeder: list[tuple[int, int, int]] = []
    for row, kind in enumerate(town.registered.tolist()):
        home, feeder = own[row], feeders[row]
        if kind == Registered.FAR:
            home, feeder = stations, len(town.feeder_longitude)
        if kind == Registered.FANNED_OUT:
            by_station += [(METER, row, number, None, 3) for number in everywhere]
        elif kind == Registered.AGAINST:
            by_station.append((METER, row, (home + 1) % stations, None, 2))
        elif kind > Registered.UNLINKED:
            named = feeder ^ 1 if kind == Registered.OTHER_FEEDER else feeder
            by_station.append((METER, row, home, named, 2))
        if kind == Registered.TWO_FEEDERS:
            by_feeder += [(row, feeder, 1), (row, feeder ^ 1, 2)]
        elif kind > Registered.UNLINKED and kind != Registered.FANNED_OUT:
            by_feeder.append((row, feeder, 2))
    for row in town.rows(Names.REGISTERED_TWICE).tolist()[::2]:
        by_station += [(TWIN_METER, row, number, None, 3) for number in everywhere]
    yield Table(
        "network_substation_meters",
        "substation_id, meter_id, feeder_id, priority",
        [
            (key(SUBSTATION, home), key(table, row), _key(FEEDER, feeder), priority)
            for table, row, home, feeder, priority in by_station
        ],
    )
    yield Table(
        "network_feeder_meters",
        "feeder_id, meter_id, priority",
        [(key(FEEDER, feeder), key(METER, row), priority) for row, feeder, priority in by_feeder],
    )


def onu_ids(town: Town) -> list[int]:
    """Give the ONU of each meter: one for two meters, but one's own where its flag says something."""
    row = np.arange(town.n_meters)
    speaks = np.isin(town.status, (Status.STALE, Status.NEVER_HEARD))
    return [int(number) for number in np.where(speaks, 6_000_000 + row, 3_000_000 + row // 2)]


def _onu(town: Town, *, orphans: bool) -> Iterator[Table]:
    longitude, latitude = recorded_places(town)
    numbers, buildings, known = onu_ids(town), town.building.tolist(), np.flatnonzero(town.has_onu).tolist()
    said = {Status.STALE: (False, MAY), Status.NEVER_HEARD: (False, None)}
    onus = {}
    for row in known:
        flag, since = said.get(Status(town.status[row]), (True, JANUARY))
        onus[numbers[row]] = (town.building_code(buildings[row]), flag, since)
    yield Table(
        "onus",
        "id, onu_serial_no, building_id, onu_power_flag, onu_power_flag_date",
        [(number, f"FHTT{number}", *rest) for number, rest in onus.items()],
    )
    has_row = town.has_row.tolist()

    def registry_id(row: int) -> str | None:
        if orphans and row % 11 == 0:
            return key(GONE, row)
        return key(METER, row) if has_row[row] else None

    yield Table(
        "meters",
        "meter_id, onu_id, building_id, location_lng, location_lat, created_at, oms_meter_id",
        [
            (
                town.number(row), numbers[row], town.building_code(buildings[row]),
                longitude[row], latitude[row], JANUARY, registry_id(row),
            )
            for row in known
        ],
    )  # fmt: skip


def _kaifa(town: Town) -> Iterator[Table]:
    assets = np.flatnonzero(town.has_asset).tolist()
    host = int(town.rows(Names.ASSET_IS_NUMBER)[0])
    events: list[tuple[int, int]] = []
    for row in assets:
        again = row % 3 == 0 or town.names[row] == Names.TWO_USAGE_POINTS
        events += [(row, 0), (row, 1)] if again else [(row, 0)]
    ids = [key(EVENT, 2 * row + turn) for row, turn in events]
    times = [f"2025-05-{1 + row % 28:02d}T{6 + turn:02d}:00:00Z" for row, turn in events]
    messages = [f"msg_{row}_{turn}" for row, turn in events]
    yield Table(
        "kaifa_events",
        "id, message_type, event_timestamp",
        [(one, "EndDeviceEvent", at) for one, at in zip(ids, times, strict=True)],
    )
    yield Table(
        "kaifa_event_headers",
        "event_id, verb, noun, header_timestamp, message_id",
        [(one, "Create", "EndDeviceEvents", at, m) for one, at, m in zip(ids, times, messages, strict=True)],
    )
    yield Table(
        "kaifa_event_payloads",
        "id, event_id, event_id_value, created_date_time, reason, severity, event_type_ref",
        [
            (one, one, m + "_2", at, "Power Restored" if row % 10 == 9 else "Power Outage",
             SEVERITIES[row % len(SEVERITIES)], "PowerRestored" if row % 10 == 9 else "PowerOutage")
            for one, at, m, (row, _) in zip(ids, times, messages, events, strict=True)
        ],
    )  # fmt: skip
    yield Table(
        "kaifa_event_assets",
        "payload_id, mrid, name",
        [(one, town.asset(row), f"Meter {row}") for one, (row, _) in zip(ids, events, strict=True)],
    )
    points = []
    for one, (row, turn) in zip(ids, events, strict=True):
        shared = town.names[row] == Names.SHARED_USAGE_POINT
        second = turn and town.names[row] == Names.TWO_USAGE_POINTS
        points.append((one, f"up_{host if shared else row:08d}" + "b" * bool(second)))
    yield Table("kaifa_event_usage_points", "payload_id, mrid", points)


def _calls(town: Town) -> Iterator[Table]:
    called = np.flatnonzero(town.call != Call.NONE).tolist()
    # A caller who insists gets a second ticket of the same number.
    tickets = [(row, copy) for row in called for copy in range(1 + (row % 10 == 0))]
    yield Table(
        "callcenter_tickets",
        "id, external_ticket_id, intake_id, intake_timestamp",
        [(key(TICKET, 2 * row + copy), f"TC_{row}", f"tc_{row}_{copy}", MAY) for row, copy in tickets]
        + [(key(TICKET, 2 * town.n_meters + n), f"TC_BLANK{n}", f"tc_blank_{n}", MAY) for n in range(2)],
    )
    spelt = {Call.EXACT: "{}", Call.SPELT_OTHERWISE: "  {} "}
    named = []
    for row, copy in tickets:
        number = spelt[Call(town.call[row])].format(town.number(row))
        number = number.lower() if town.call[row] == Call.SPELT_OTHERWISE else number
        named.append((key(TICKET, 2 * row + copy), phone(row, row + 1), number))
    blank = [
        (key(TICKET, 2 * town.n_meters + n), "0799999999", number) for n, number in enumerate(("", None))
    ]
    yield Table("callcenter_customers", "ticket_id, phone, meter_number", named + blank)


def _history(town: Town) -> Iterator[Table]:
    numbers, has_onu, has_row = onu_ids(town), town.has_onu.tolist(), town.has_row.tolist()
    told = [
        (row, turn)
        for row in range(town.n_meters)
        if has_onu[row] and (row % 10 == 1 or town.status[row] == Status.STALE)
        for turn in range(1 if town.status[row] == Status.STALE else 2)
    ]
    types, at = ("ONU_LastGaspAlert", "ONU_PowerRestored"), (MAY, "2025-05-03T12:00:00Z")
    yield Table(
        "onu_events",
        "event_id, onu_id, event_type, timestamp, alarm_category, raw_payload",
        [(f"onu_{row}_{turn}", numbers[row], types[turn], at[turn], "power", "{}") for row, turn in told],
    )
    events, statuses = ("power_off", "power_on"), ("on", "off", "on")
    # Each run of the old migration has repeated its rows, and a live one stood there before.
    yield Table(
        "oms_meter_status_events",
        "meter_id, event_type, source_type, source_event_id, previous_status, new_status, event_timestamp,"
        " confidence_score",
        [
            (key(METER, row), events[turn], "onu", f"onu_{row}_{turn}", statuses[turn], statuses[turn + 1],
             at[turn], "0.85" if copy == 0 and row % 4 == 0 else "0.8")
            for row, turn in told
            if has_row[row]
            for copy in range(1 + row % 3)
        ],
    )  # fmt: skip


def _outages() -> Iterator[Table]:
    yield Table(
        "oms_outage_events",
        "id, event_id, event_type, status, severity, first_detected_at",
        [(key(OUTAGE, n), f"OMS_1746266400_{n:08x}", "outage", "detected", "High", MAY) for n in range(5)],
    )
    yield Table(
        "oms_event_sources",
        "outage_event_id, source_type, source_event_id, source_table, detected_at",
        [(key(OUTAGE, n), "kaifa", f"msg_{n}_0", "source_events", MAY) for n in range(5)]
        + [(key(OUTAGE, n), "onu", f"onu_{n}_0", "source_events", MAY) for n in range(5)],
    )
