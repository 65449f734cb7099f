"""A network stored in the tables and read back answers every question as it did."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg.sql
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from oms_topology import Topology, samples
from oms_topology.errors import StoreUnavailableError, TopologyError
from oms_topology.model import NetworkColumns

if TYPE_CHECKING:
    from collections.abc import Sequence

    from oms_topology.persistence.database import Database
    from tests.servers import LiveServer

KINDS = ("substation", "feeder", "section", "distribution_point")
STORED = {
    "device": "SELECT kind, code, name, parent_no, normal_parent_no, parent_is_explicit, is_source,"
    " longitude, latitude, segment_no, position_no, last_position_no, depth, is_stale"
    " FROM oms_topology.device",
    "branch": "SELECT from_no, to_no, kind, code, is_switch, normally_open, is_open FROM oms_topology.branch",
    "alternate_supply": "SELECT * FROM oms_topology.alternate_supply",
    "oms_meters": "SELECT to_jsonb(m) - 'updated_at' FROM public.oms_meters m",
    "network_feeder_meters": "SELECT * FROM public.network_feeder_meters",
    "network_substation_meters": "SELECT * FROM public.network_substation_meters",
    "oms_customers": "SELECT to_jsonb(c) - 'updated_at' FROM public.oms_customers c",
}
# Meters in each device's range of the preorder, as the tables say it; the alternates apart.
RANGES = text(
    """
    SELECT d.kind, d.code, m.meter_number, false AS is_alternate
    FROM oms_topology.device d
    JOIN public.oms_meters m
        ON m.segment_no = d.segment_no AND m.position_no BETWEEN d.position_no AND d.last_position_no
    UNION ALL
    SELECT d.kind, d.code, m.meter_number, true
    FROM oms_topology.device d
    JOIN oms_topology.alternate_supply a
        ON a.segment_no = d.segment_no AND a.position_no BETWEEN d.position_no AND d.last_position_no
    JOIN public.oms_meters m USING (meter_no)
    """
)

STOP_WAITING = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock'
"""


def answers(net: Topology, asked: slice = slice(None)) -> dict[tuple[str, str], Any]:
    """What the network says of its devices, switches and meters."""
    said: dict[tuple[str, str], Any] = {}
    columns = net.columns
    places = list(zip(columns.device_kind, columns.device_code, strict=True))
    places += [("switch", code) for code in net.switches]
    for kind, code in sorted(places)[asked]:
        impact = net.impact(code, kind=kind)
        said[kind, code] = {
            "current": set(net.downstream(code, kind=kind)),
            "normal": set(net.downstream(code, kind=kind, state="normal")),
            "upstream": net.upstream(code, kind=kind),
            "normal upstream": net.upstream(code, kind=kind, state="normal"),
            "lost": set(impact.lost),
            "backed up": set(impact.backed_up),
            "customers": impact.customers,
            "by feeder": impact.by_feeder,
        }
    for meter in sorted(columns.meter_number)[asked]:
        said["meter", meter] = (
            net.upstream(meter, kind="meter"),
            net.upstream(meter, kind="meter", state="normal"),
        )
    return said


def assert_same(loaded: Topology, stored: Topology, asked: slice = slice(None)) -> None:
    again, before = answers(loaded, asked), answers(stored, asked)
    assert again.keys() == before.keys()
    assert {place: said for place, said in again.items() if said != before[place]} == {
        place: said for place, said in before.items() if said != again[place]
    }
    assert set(loaded.energised) == set(stored.energised)
    assert set(loaded.meters) == set(stored.meters)


def findings(net: Topology) -> list[tuple[str, tuple[str, ...], int]]:
    """Findings of the network itself: what was dropped when it was read is not stored."""
    clean = Topology.from_columns(net.columns)
    return [(finding.rule, finding.ids, finding.count) for finding in clean.validate()]


def ranges(database: Database) -> dict[tuple[str, str, bool], set[str]]:
    found: dict[tuple[str, str, bool], set[str]] = {}
    with database.engine.connect() as connection:
        for kind, code, meter, is_alternate in connection.execute(RANGES):
            found.setdefault((kind, code, is_alternate), set()).add(meter)
    return found


def walked(net: Topology) -> dict[tuple[str, str, bool], set[str]]:
    """The same from the network: every meter counts at each device on the way up from its own device."""
    columns, current, normal = net.columns, net.supply_parents("current"), net.supply_parents("normal")
    found: dict[tuple[str, str, bool], set[str]] = {}
    own = columns.meter_device.tolist()
    feeds = [(meter, device, False) for meter, device in enumerate(own)]
    # An alternate that is on the meter's own way in the normal state is no second way.
    feeds += [
        (meter, device, True)
        for meter, device in zip(
            columns.alternate_meter.tolist(), columns.alternate_device.tolist(), strict=True
        )
        if device not in way(normal, own[meter])
    ]
    for meter, device, is_alternate in feeds:
        for at in way(current, device):
            place = (columns.device_kind[at], columns.device_code[at], is_alternate)
            found.setdefault(place, set()).add(columns.meter_number[meter])
    return found


def way(parents: Sequence[int], device: int) -> list[int]:
    """The rows from a device up to where nothing feeds any more."""
    found = []
    while device >= 0:
        found.append(device)
        device = int(parents[device])
    return found


def rows(database: Database) -> dict[str, list[str]]:
    with database.engine.connect() as connection:
        return {table: sorted(map(repr, connection.execute(text(query)))) for table, query in STORED.items()}


@pytest.mark.parametrize("name", samples.names())
def test_a_real_network_comes_back_as_it_was(name: str, database: Database) -> None:
    net = samples.load(name)
    database.store_network(net)
    loaded = Topology.from_postgres(database)

    for device in net.devices:
        for state in ("current", "normal"):
            assert loaded.downstream(device, state=state) == set(net.downstream(device, state=state))
    # Each impact in a meshed network is a walk of its own; a sample of them is enough here.
    assert_same(loaded, net, slice(None, None, max(1, len(net.devices) // 150)))
    assert findings(loaded) == findings(net)
    assert ranges(database) == walked(net)
    assert loaded.topology_version > 0


def test_switches_moved_in_a_real_network_are_moved_in_the_tables(database: Database) -> None:
    net = samples.load("ieee9500")
    database.store_network(net)
    ties = [code for code in net.switches if net.is_open(code, state="normal")]
    breakers = [code for code in net.switches if len(net.downstream(code)) > 200]
    net.close(ties[0])
    net.open(breakers[0])
    net.move_meter(next(iter(net.meters)), net.codes("substation")[0])
    database.store_network(net)

    loaded = Topology.from_postgres(database)
    assert_same(loaded, net, slice(None, None, 100))
    assert loaded.is_open(breakers[0])
    assert not loaded.is_open(breakers[0], state="normal")
    assert ranges(database) == walked(net)


@dataclass
class Plan:
    """Devices and meters that stay, and two ways of wiring them."""

    kinds: list[str]
    codes: list[str]
    meters: list[str]
    wirings: list[NetworkColumns]


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    count = draw(st.integers(2, 9))
    kinds = ["substation", *draw(st.lists(st.sampled_from(KINDS), min_size=count - 1, max_size=count - 1))]
    # Codes may collide across kinds, and with those of meters, never within one.
    numbers = [kinds[:row].count(kind) for row, kind in enumerate(kinds)]
    collide = draw(st.booleans())
    codes = [
        f"X{number}" if collide else f"{kind[0].upper()}{number}"
        for kind, number in zip(kinds, numbers, strict=True)
    ]
    meters = [f"{'X' if collide else 'M'}{number}" for number in range(draw(st.integers(0, 6)))]
    plan = Plan(kinds, codes, meters, [])
    plan.wirings = [draw(wirings(plan)), draw(wirings(plan))]
    return plan


@st.composite
def wirings(draw: st.DrawFn, plan: Plan) -> NetworkColumns:
    count = len(plan.kinds)
    devices, flags = st.integers(0, count - 1), st.booleans()
    ends = [(draw(st.integers(0, row - 1)), row) for row in range(1, count) if draw(st.integers(0, 7))]
    ends += draw(st.lists(st.tuples(devices, devices).filter(lambda pair: pair[0] != pair[1]), max_size=4))
    ends = draw(st.permutations(ends))
    kind_of = draw(st.lists(st.sampled_from(["line", "breaker"]), min_size=len(ends), max_size=len(ends)))
    codes = [f"sw{row}" if kind == "breaker" else "" for row, kind in enumerate(kind_of)]
    if ends and kind_of[0] == "breaker" and draw(flags):  # a gang: several members, one code
        ends, kind_of, codes = [*ends, ends[0][::-1]], [*kind_of, "breaker"], [*codes, codes[0]]
    is_switch = [kind == "breaker" for kind in kind_of]
    sources = {0} if draw(st.integers(0, 5)) else set()
    sources |= draw(st.sets(devices, max_size=1))
    own = [draw(st.integers(-1, count - 1)) for _ in plan.meters]
    alternates = [
        (meter, device, priority)
        for meter in range(len(plan.meters))
        for priority, device in enumerate(draw(st.lists(devices, max_size=2, unique=True)), start=2)
    ]
    table = np.array(alternates, dtype=np.int32).reshape(-1, 3)
    places = st.sampled_from([0.0, 12.5, 91.0, 200.0, float("nan"), float("inf")])
    return NetworkColumns(
        device_kind=np.array(plan.kinds, dtype=object),
        device_code=np.array(plan.codes, dtype=object),
        device_name=np.array([draw(st.sampled_from(["", "north"])) for _ in plan.codes], dtype=object),
        device_longitude=np.array([draw(places) for _ in plan.codes]),
        device_latitude=np.array([draw(places) for _ in plan.codes]),
        device_is_source=np.isin(np.arange(count), list(sources)),
        branch_from=np.array([start for start, _ in ends], dtype=np.int32),
        branch_to=np.array([end for _, end in ends], dtype=np.int32),
        branch_kind=np.array(kind_of, dtype=object),
        branch_code=np.array(codes, dtype=object),
        branch_is_switch=np.array(is_switch, dtype=np.bool_),
        branch_normally_open=np.array([draw(flags) and switch for switch in is_switch], dtype=np.bool_),
        branch_is_open=np.array([draw(flags) and switch for switch in is_switch], dtype=np.bool_),
        meter_number=np.array(plan.meters, dtype=object),
        meter_device=np.array(own, dtype=np.int32),
        meter_customer=np.array([draw(st.sampled_from(["", "c1", "c2"])) for _ in plan.meters], dtype=object),
        meter_longitude=np.array([draw(places) for _ in plan.meters]),
        meter_latitude=np.array([draw(places) for _ in plan.meters]),
        alternate_meter=table[:, 0].copy(),
        alternate_device=table[:, 1].copy(),
        alternate_priority=table[:, 2].astype(np.int8),
    )


@settings(max_examples=40, deadline=None)
@given(plan=plans())
def test_any_network_comes_back_and_its_successor_replaces_it(plan: Plan, pg_server: LiveServer) -> None:
    database = pg_server.create(upgraded=True)
    try:
        for columns in plan.wirings:
            net = Topology.from_columns(columns)
            database.store_network(net)
            loaded = Topology.from_postgres(database)
            assert_same(loaded, net)
            places = {"impossible_coordinates"}  # a meter's cannot be stored
            assert [f for f in findings(loaded) if f[0] not in places] == [
                f for f in findings(net) if f[0] not in places
            ]
            assert ranges(database) == walked(net)
            before = rows(database)
            database.store_network(net)
            assert rows(database) == before
            assert loaded.topology_version == Topology.from_postgres(database).topology_version
            database.store_network(loaded)
            assert_same(Topology.from_postgres(database), net)
    finally:
        pg_server.drop(database)


# -- single cases that matter


def test_a_section_fed_from_elsewhere_keeps_its_meters(database: Database) -> None:
    before = "SS1 > F1 > A > M1..M3; SS2 > F2; F2 > DP2 > M4"
    after = "SS1 > F1; SS2 > F2; F2 > A > M1..M3; F2 > DP2 > M4"
    for line in (before, after, before):
        net = Topology.from_text(line)
        database.store_network(net)
        loaded = Topology.from_postgres(database)
        assert_same(loaded, net)
        assert loaded.upstream("M1")[0] == "A"


def test_a_moved_meter_leaves_no_supply_behind(database: Database) -> None:
    net = Topology.from_text("SS1 > F1 > M1, M2; SS1 > F2 > M3; SS2 > M4; SS3; F2 ~> M2")
    database.store_network(net)
    net.move_meter("M1", "F2")
    net.move_meter("M4", "SS3")
    database.store_network(net)

    loaded = Topology.from_postgres(database)
    assert loaded.impact("F2").lost == {"M1", "M3"}
    assert loaded.impact("F2").backed_up == set()
    assert loaded.impact("F1").backed_up == {"M2"}
    assert loaded.impact("SS3").lost == {"M4"}


def test_any_device_may_be_an_alternate_and_stops_being_one(database: Database) -> None:
    net = Topology.from_text("SS1 > F1 > DP1 > M1; SS2 > A > DP2 > M2; DP2 ~> M1; A ~> M1; SS1 ~> M2")
    database.store_network(net)
    assert Topology.from_postgres(database).impact("F1").backed_up == {"M1"}
    assert Topology.from_postgres(database).impact("A").backed_up == {"M2"}
    assert ranges(database) == walked(net)

    net = Topology.from_text("SS1 > F1 > DP1 > M1; SS2 > A > DP2 > M2; A ~> M1")
    database.store_network(net)
    loaded = Topology.from_postgres(database)
    assert_same(loaded, net)
    assert ranges(database) == walked(net)


def test_a_meter_out_of_service_has_no_place_and_comes_back_to_it(database: Database) -> None:
    net = Topology.from_text("SS1 > F1 > A > M1, M2; SS1 > F2 > B; B ~> M1")
    database.store_network(net)
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE oms_meters SET status = 'inactive' WHERE meter_number = 'M1'"))
    assert list(Topology.from_postgres(database).downstream("SS1")) == ["M2"]
    database.store_network(net)  # and a stored network does not put it into service
    net_without = Topology.from_text("SS1 > F1 > A > M2; SS1 > F2 > B")
    assert_same(Topology.from_postgres(database), net_without)
    assert ranges(database) == walked(net_without)

    with database.engine.begin() as connection:
        connection.execute(text("UPDATE oms_meters SET status = 'active' WHERE meter_number = 'M1'"))
    assert_same(Topology.from_postgres(database), net)
    assert ranges(database) == walked(net)


def test_a_switch_that_feeds_nothing_new_is_a_new_version_all_the_same(database: Database) -> None:
    net = Topology.from_text("SS1 > F1 > DP1 > M1; SS1 > F2 > DP2 > M2; DP1 /T1/ DP2")
    database.store_network(net)
    before = Topology.from_postgres(database)
    net.close("T1")
    database.store_network(net)
    after = Topology.from_postgres(database)
    assert not after.is_open("T1")
    assert after.topology_version > before.topology_version
    assert_same(after, net)


def test_a_code_with_the_separator_in_it_is_read_like_any_other(database: Database) -> None:
    net = Topology.from_columns(
        NetworkColumns(
            device_kind=np.array(["substation"], dtype=object),
            device_code=np.array(["SS1"], dtype=object),
            device_is_source=np.array([True]),
            meter_number=np.array(["M\x1f1", "M2", "'; DROP TABLE oms_meters; --"], dtype=object),
            meter_device=np.zeros(3, dtype=np.int32),
            meter_customer=np.array(["", "c\x1f", "Ж'\\"], dtype=object),
        )
    )
    database.store_network(net)
    loaded = Topology.from_postgres(database)
    assert set(loaded.downstream("SS1")) == {"M\x1f1", "M2", "'; DROP TABLE oms_meters; --"}
    assert set(loaded.columns.meter_customer) == {"", "c\x1f", "Ж'\\"}


# -- all or nothing


@pytest.mark.parametrize("unfit", ["X" * 65, "M\x00"])
def test_what_does_not_fit_the_tables_is_named_and_nothing_is_written(unfit: str, database: Database) -> None:
    net = Topology.from_text("SS1 > F1 > M1")
    net.add_meter(unfit, "F1")
    with pytest.raises(TopologyError, match="64 characters") as caught:
        database.store_network(net)
    assert repr(unfit[:64]) in str(caught.value)
    assert not any(rows(database).values())


@pytest.mark.parametrize("table", ["network_feeders", "oms_meters", "network_feeder_meters"])
def test_a_failure_in_the_middle_leaves_everything_as_it_was(table: str, database: Database) -> None:
    database.store_network(Topology.from_text("SS1 > F1 > A > M1, M2; SS1 > F2"))
    before = rows(database)
    version = Topology.from_postgres(database).topology_version
    other = Topology.from_text("SS1 > F1; SS1 > F2 > A > M1, M2, M3; SS2 > F3 > M4; F1 ~> M2")

    url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(url) as holder, ThreadPoolExecutor(1) as pool:
        holder.execute(
            psycopg.sql.SQL("LOCK TABLE {} IN EXCLUSIVE MODE").format(psycopg.sql.Identifier(table))
        )
        storing = pool.submit(database.store_network, other)
        assert until_one(holder, STOP_WAITING)
        with pytest.raises(StoreUnavailableError):
            storing.result()

    assert rows(database) == before
    assert Topology.from_postgres(database).topology_version == version
    database.store_network(other)
    assert_same(Topology.from_postgres(database), other)


def until_one(connection: psycopg.Connection[Any], query: str) -> bool:
    """Ask until there is an answer; a minute is for machines that are very busy."""
    for _ in range(6000):
        if connection.execute(query).fetchone():
            return True
        time.sleep(0.01)
    return False
