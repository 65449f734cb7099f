"""The network as of a past version or instant: what an operator who replays last week relies on."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import psycopg
import pytest

from oms_topology import Topology
from oms_topology.errors import TopologyError, TopologyHistoryError
from oms_topology.persistence.network_load import load_network
from oms_topology.persistence.schema import upgrade
from tests.persistence.deployed.shapes import build_shape_a

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oms_topology.model import NetworkColumns
    from oms_topology.persistence.database import Database

Session = psycopg.Connection[Any]

TOWN = "SS1 >SW1> F1 > DP1 > M1..M3; SS1 > F2 > DP2 > M4; SS2 > F3 > DP3 > M5; F2 ~> M1"
AS_OLD_SERVICES_HOLD_IT = (
    "UPDATE oms_topology.device SET parent_is_explicit = false",
    "UPDATE oms_meters SET device_is_explicit = false",
)
REFEED = (
    "UPDATE network_feeders SET substation_id = (SELECT id FROM network_substations"
    " WHERE substation_id = %s) WHERE feeder_id = %s"
)
MOVE = (
    "UPDATE oms_meters SET (feeder_id, dp_id) = (SELECT p.feeder_id, p.id FROM network_distribution_points p"
    " WHERE p.dp_id = %s) WHERE meter_number = ANY (%s)"
)


@pytest.fixture
def town(database: Database) -> Database:
    database.store_network(Topology.from_text(TOWN))
    return database


@pytest.fixture
def session(town: Database) -> Iterator[Session]:
    with connected(town) as opened:
        for statement in AS_OLD_SERVICES_HOLD_IT:
            opened.execute(statement)
        yield opened


def connected(database: Database, *, autocommit: bool = True) -> Session:
    url = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    options = "-c timezone=UTC -c statement_timeout=120s"
    return psycopg.connect(url, options=options, autocommit=autocommit)


def value(session: Session, query: str, *parameters: Any) -> Any:
    row = session.execute(query, parameters).fetchone()
    assert row is not None
    return row[0]


def feeds(columns: NetworkColumns) -> dict[str, str | None]:
    """Each meter with the code of the device that normally feeds it."""
    codes = [*columns.device_code.tolist(), None]
    return {
        number: codes[row]
        for number, row in zip(columns.meter_number.tolist(), columns.meter_device.tolist(), strict=True)
    }


def drawn(columns: NetworkColumns) -> list[tuple[str, str, bool]]:
    codes = columns.device_code
    return [
        (codes[start], codes[end], bool(is_open))
        for start, end, is_open in zip(
            columns.branch_from, columns.branch_to, columns.branch_is_open, strict=True
        )
    ]


def test_a_switch_that_was_opened_is_closed_before_and_open_after(town: Database, session: Session) -> None:
    before = load_network(town.engine)
    session.execute("UPDATE oms_topology.branch SET is_open = true WHERE code = 'SW1'")
    after = load_network(town.engine)

    assert after.topology_version > before.topology_version
    assert ("SS1", "F1", True) in drawn(after)
    past = load_network(town.engine, as_of=before.topology_version)
    assert past.topology_version == before.topology_version
    assert drawn(past) == drawn(before)
    assert ("SS1", "F1", False) in drawn(past)
    # The graph made of it answers as of then.
    assert set(Topology.from_columns(past).downstream("SS1")) == {"M1", "M2", "M3", "M4"}
    assert set(Topology.from_columns(after).downstream("SS1")) == {"M1", "M4"}


def test_an_instant_stands_for_the_version_that_was_settled_by_then(town: Database, session: Session) -> None:
    first = load_network(town.engine)
    session.execute(MOVE, ("DP2", ["M2"]))
    second = load_network(town.engine)
    at = value(
        session,
        "SELECT changed_at FROM oms_topology.topology_change WHERE topology_version = %s",
        second.topology_version,
    )

    assert feeds(load_network(town.engine, as_of=at))["M2"] == "DP2"
    assert feeds(load_network(town.engine, as_of=at - timedelta(microseconds=1)))["M2"] == "DP1"
    elsewhere = at.astimezone(timezone(timedelta(hours=3)))
    assert load_network(town.engine, as_of=elsewhere).topology_version == second.topology_version
    # An application's clock may be ahead of the server's.
    ahead = load_network(town.engine, as_of=datetime.now(UTC) + timedelta(minutes=5))
    assert ahead.topology_version == second.topology_version
    assert feeds(first) == feeds(load_network(town.engine, as_of=first.topology_version))


def test_a_naive_time_is_refused_with_what_to_do(town: Database) -> None:
    with pytest.raises(ValueError, match="no time zone; pass an aware time"):
        load_network(town.engine, as_of=datetime(2026, 1, 1))  # noqa: DTZ001


def test_what_is_older_than_the_memory_or_not_yet_is_an_error_that_says_so(town: Database) -> None:
    newest = load_network(town.engine).topology_version
    for too_old in (0, -1, datetime(2020, 1, 1, tzinfo=UTC)):
        with pytest.raises(
            TopologyHistoryError, match=r"No network is known as of .* Ask for that one"
        ) as told:
            load_network(town.engine, as_of=too_old)
        assert (told.value.first_version, told.value.newest_version) == (1, newest)
        assert told.value.first_at is not None
        assert told.value.as_of == too_old
        assert isinstance(told.value, TopologyError)
        assert not told.value.is_transient
    with pytest.raises(TopologyHistoryError, match=f"no topology version {newest + 1} yet; the newest"):
        load_network(town.engine, as_of=newest + 1)


def test_a_version_number_that_a_rolled_back_change_took_is_the_one_before(
    town: Database, session: Session
) -> None:
    before = load_network(town.engine)
    with session.transaction(force_rollback=True):
        session.execute(MOVE, ("DP2", ["M2"]))
        session.execute("SELECT oms_topology.settle()")
    session.execute(MOVE, ("DP3", ["M2"]))
    after = load_network(town.engine)
    assert after.topology_version == before.topology_version + 2
    assert feeds(load_network(town.engine, as_of=before.topology_version + 1)) == feeds(before)


def test_the_first_network_of_an_empty_database_is_an_empty_one(town: Database) -> None:
    first = load_network(town.engine, as_of=1)
    assert (len(first.device_code), len(first.meter_number), len(first.branch_from)) == (0, 0, 0)


def test_the_first_network_of_an_upgraded_database_is_what_the_upgrade_found(
    any_version_database: Database,
) -> None:
    build_shape_a(any_version_database.engine)
    upgrade(any_version_database.engine)
    found = load_network(any_version_database.engine)
    assert found.topology_version == 1
    assert len(found.meter_number)
    with connected(any_version_database) as session:
        assert value(session, "SELECT count(*) FROM oms_topology.topology_before") == 0
        session.execute("TRUNCATE oms_meters, network_substations CASCADE")
    assert len(load_network(any_version_database.engine).meter_number) == 0
    past = load_network(any_version_database.engine, as_of=1)
    assert feeds(past) == feeds(found)
    assert drawn(past) == drawn(found)


def test_meters_that_are_gone_come_back_under_their_numbers(town: Database, session: Session) -> None:
    before = load_network(town.engine)
    session.execute("DELETE FROM oms_meters WHERE meter_number = 'M1'")
    session.execute("UPDATE oms_meters SET status = 'inactive' WHERE meter_number = 'M3'")
    session.execute("UPDATE oms_meters SET meter_number = 'M22' WHERE meter_number = 'M2'")
    middle = load_network(town.engine)
    session.execute("TRUNCATE oms_meters RESTART IDENTITY CASCADE")
    session.execute("INSERT INTO oms_meters (meter_number) VALUES ('M77')")
    after = load_network(town.engine)

    assert sorted(feeds(middle)) == ["M22", "M4", "M5"]
    assert feeds(after) == {"M77": None}
    assert feeds(load_network(town.engine, as_of=before.topology_version)) == feeds(before)
    assert feeds(load_network(town.engine, as_of=middle.topology_version)) == feeds(middle)
    past = load_network(town.engine, as_of=before.topology_version)
    alternates = [past.meter_number[row] for row in past.alternate_meter]
    assert alternates == ["M1"]


def test_a_meter_renumbered_and_moved_at_once_is_where_it_was_under_the_number_it_had(
    town: Database, session: Session
) -> None:
    before = load_network(town.engine)
    session.execute("UPDATE oms_meters SET meter_number = 'M22' WHERE meter_number = 'M2'")
    session.execute(MOVE, ("DP3", ["M22"]))
    assert feeds(load_network(town.engine))["M22"] == "DP3"
    assert feeds(load_network(town.engine, as_of=before.topology_version)) == feeds(before)


def test_names_and_places_are_todays_of_what_has_the_code_today(town: Database, session: Session) -> None:
    session.execute(
        "INSERT INTO oms_customers (customer_id) VALUES ('C2'), ('C9');"
        " UPDATE oms_meters SET customer_id = c.id FROM oms_customers c"
        " WHERE c.customer_id = 'C2' AND meter_number = 'M2'"
    )
    before = load_network(town.engine)
    # A nightly job that fills the registry anew: other rows, the same codes.
    session.execute("DELETE FROM oms_meters")
    session.execute(
        "INSERT INTO oms_meters (meter_number, customer_id, location_lat, location_lng)"
        " SELECT 'M2', id, 32.5, 35.9 FROM oms_customers WHERE customer_id = 'C9'"
    )
    session.execute("DELETE FROM network_feeders WHERE feeder_id = 'F3'")
    session.execute(
        "INSERT INTO network_feeders (feeder_id, substation_id, name)"
        " SELECT 'F3', id, 'North' FROM network_substations WHERE substation_id = 'SS2'"
    )
    load_network(town.engine)
    past = load_network(town.engine, as_of=before.topology_version)
    assert feeds(past) == feeds(before)
    row = past.meter_number.tolist().index("M2")
    assert past.meter_customer[row] == "C9"
    assert (past.meter_latitude[row], past.meter_longitude[row]) == (32.5, 35.9)
    assert past.device_name[past.device_code.tolist().index("F3")] == "North"
    assert past.meter_customer[past.meter_number.tolist().index("M1")] == ""


def test_what_is_not_settled_yet_is_in_no_version(town: Database, session: Session) -> None:
    newest = load_network(town.engine).topology_version
    session.execute("INSERT INTO network_substations (substation_id, name) VALUES ('SS9', '')")
    session.execute("DELETE FROM oms_meters WHERE meter_number = 'M5'")
    session.execute(REFEED, ("SS2", "F2"))

    devices = "SELECT count(*) FROM oms_topology.devices_as_of(%s) WHERE code = 'SS9'"
    above = (
        "SELECT p.code FROM oms_topology.devices_as_of(%s) d JOIN oms_topology.device p"
        " ON p.device_no = d.parent_no WHERE d.code = 'F2'"
    )
    meters = "SELECT count(*) FROM oms_topology.meters_as_of(%s) WHERE meter_number = 'M5'"
    assert [value(session, query, newest) for query in (devices, above, meters)] == [0, "SS1", 1]
    session.execute("SELECT oms_topology.settle()")
    assert [value(session, query, newest + 1) for query in (devices, above, meters)] == [1, "SS2", 0]
    assert [value(session, query, newest) for query in (devices, above, meters)] == [0, "SS1", 1]


def test_a_change_that_commits_while_others_settle_is_in_the_version_whole(
    town: Database, session: Session
) -> None:
    """It has what settle() waits for in hand; what else it did was passed by before it committed."""
    with (
        connected(town, autocommit=False) as service,
        connected(town) as worker,
        ThreadPoolExecutor(1) as pool,
    ):
        session.execute(MOVE, ("DP2", ["M1"]))
        service.execute(MOVE, ("DP3", ["M1"]))
        service.execute(REFEED, ("SS2", "F2"))
        settling = pool.submit(value, worker, "SELECT oms_topology.settle()")
        while not value(
            session,
            "SELECT wait_event_type IS NOT DISTINCT FROM 'Lock' FROM pg_stat_activity WHERE pid = %s",
            worker.info.backend_pid,
        ):
            time.sleep(0.01)
        service.commit()
        assert settling.result()
        assert not value(worker, "SELECT oms_topology.settle()")
    now = load_network(town.engine)
    assert feeds(now)["M1"] == "DP3"
    assert ("SS2", "F2", False) in drawn(now)


def test_a_version_is_one_row_of_the_log_however_many_meters_moved(town: Database, session: Session) -> None:
    session.execute(
        "INSERT INTO oms_meters (meter_number, dp_id) SELECT 'N' || n, p.id"
        " FROM generate_series(1, 500) n, network_distribution_points p WHERE p.dp_id = 'DP1'"
    )
    session.execute("SELECT oms_topology.settle()")
    session.execute("UPDATE network_feeders SET feeder_id = feeder_id || 'x'")
    session.execute("UPDATE oms_meters SET meter_number = 'N' || meter_number WHERE meter_number LIKE 'N%'")
    session.execute(
        "UPDATE oms_meters SET dp_id = (SELECT id FROM network_distribution_points WHERE dp_id = 'DP3'),"
        " feeder_id = NULL WHERE meter_number LIKE 'NN%'"
    )
    session.execute("SELECT oms_topology.settle()")
    sizes = (
        "SELECT array_agg(ARRAY[cardinality(device_nos), cardinality(meter_nos)]"
        " ORDER BY topology_version DESC) FROM oms_topology.topology_before"
    )
    assert value(session, sizes)[:2] == [[3, 500], [None, 500]]


def test_a_network_stored_again_with_one_switch_moved_logs_that_switch(
    town: Database, session: Session
) -> None:
    before = load_network(town.engine)
    net = Topology.from_text(TOWN)
    net.open("SW1")
    town.store_network(net)
    after = load_network(town.engine)
    assert drawn(after) == [(start, end, (start, end) == ("SS1", "F1")) for start, end, _ in drawn(before)]
    log = "SELECT count(*) FROM oms_topology.branch_before WHERE topology_version > %s"
    assert value(session, log, before.topology_version) == 1
    assert drawn(load_network(town.engine, as_of=before.topology_version)) == drawn(before)


def test_a_network_stored_over_another_leaves_the_other_in_the_past(town: Database) -> None:
    before = load_network(town.engine)
    town.store_network(
        Topology.from_text("SS1 >SW1> F1 > DP1 > M1, M6; SS1 > F2 > DP2 > M4, M2; F3 ~> M1; F2 /T1/ DP1")
    )
    after = load_network(town.engine)
    assert (feeds(after)["M2"], feeds(after)["M6"]) == ("DP2", "DP1")
    past = load_network(town.engine, as_of=before.topology_version)
    assert feeds(past) == feeds(before)
    assert drawn(past) == drawn(before)
    codes = past.device_code
    assert [codes[row] for row in past.alternate_device] == ["F2"]


def test_the_log_is_forgotten_up_to_an_instant_and_the_present_never(
    town: Database, session: Session
) -> None:
    versions = []
    for point in ("DP2", "DP3", "DP1"):
        session.execute(MOVE, (point, ["M2"]))
        versions.append(load_network(town.engine))
    first, second, third = versions
    kept_at = value(
        session,
        "SELECT changed_at FROM oms_topology.topology_change WHERE topology_version = %s",
        second.topology_version,
    )
    forget = "SELECT oms_topology.forget_topology_before(%s)"
    assert value(session, forget, datetime(2020, 1, 1, tzinfo=UTC)) == 0
    assert value(session, forget, kept_at) == second.topology_version - 1
    assert value(session, forget, kept_at) == 0
    with pytest.raises(TopologyHistoryError) as told:
        load_network(town.engine, as_of=first.topology_version)
    assert (told.value.first_version, told.value.first_at) == (second.topology_version, kept_at)
    assert feeds(load_network(town.engine, as_of=second.topology_version)) == feeds(second)
    # Even an instant to come leaves the newest version its row: running graphs compare with it.
    assert value(session, forget, datetime(2999, 1, 1, tzinfo=UTC)) == 1
    assert load_network(town.engine).topology_version == third.topology_version
    assert feeds(load_network(town.engine)) == feeds(third)
    assert value(session, "SELECT count(*) FROM oms_topology.topology_before") == 0


def test_versions_follow_one_another_in_time_even_where_the_clock_does_not(
    town: Database, session: Session
) -> None:
    session.execute(
        "UPDATE oms_topology.topology_change SET changed_at = now() + interval '1 hour'"
        " WHERE topology_version = (SELECT max(topology_version) FROM oms_topology.topology_change)"
    )
    session.execute(MOVE, ("DP2", ["M2"]))
    newest = load_network(town.engine).topology_version
    out_of_order = (
        "SELECT count(*) FROM (SELECT changed_at < lag(changed_at) OVER (ORDER BY topology_version)"
        " AS is_early FROM oms_topology.topology_change) c WHERE is_early"
    )
    assert value(session, out_of_order) == 0
    ahead = datetime.now(UTC) + timedelta(hours=2)
    assert load_network(town.engine, as_of=ahead).topology_version == newest
