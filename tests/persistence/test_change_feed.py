"""The change feed: what is logged by whom, the bell, positions, and a log that was cut."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from sqlalchemy import create_engine, text

from oms_topology import Pipeline, Topology
from oms_topology.errors import StoreUnavailableError
from oms_topology.persistence import meter_status
from oms_topology.persistence.feed import ChangeFeed, Changes, forget_changes_before
from oms_topology.persistence.meter_status import POWER_STATUSES
from tests.acceptance.scada_grid import Grid, event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from oms_topology.persistence.database import Database

ALL = [f"M{number}" for number in range(1, 10)]


@pytest.fixture
def grid(database: Database) -> Grid:
    return Grid(database)


@pytest.fixture
def feed(grid: Grid) -> Iterator[ChangeFeed]:
    """A feed that has seen all there is."""
    with ChangeFeed(grid.database) as opened:
        assert opened.poll().is_everything
        yield opened


@pytest.fixture
def listener(grid: Grid) -> Iterator[psycopg.Connection[Any]]:
    address = grid.database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address, autocommit=True) as connection:
        connection.execute("LISTEN oms_topology_change")
        yield connection


def power(changes: Changes) -> dict[str, str]:
    meters = changes.meters
    codes = meters.power_status.tolist()
    return {
        number: POWER_STATUSES[code].value
        for number, code in zip(meters.meter_number.tolist(), codes, strict=True)
    }


def test_the_first_poll_gives_everything_and_the_next_one_nothing(grid: Grid) -> None:
    with ChangeFeed(grid.database) as feed:
        assert feed.position is None
        first = feed.poll()
        assert (first.is_everything, sorted(first.meters.meter_number)) == (True, ALL)
        assert first.topology_version == grid.value(
            "SELECT max(topology_version) FROM oms_topology.topology_change"
        )
        assert first.position == feed.position
        assert not feed.poll()


def test_a_trip_is_told_with_each_meter_once(grid: Grid, feed: ChangeFeed) -> None:
    grid.through_sql(event(feeder="F1"))
    changes = feed.poll()
    assert power(changes) == {"M1": "unknown", "M2": "off", "M3": "off", "M4": "unknown", "M5": "off"}
    assert (changes.is_everything, changes.topology_version) == (False, None)
    assert not feed.poll()
    grid.through_sql(event(feeder="F3", substation="SS2", minute=1))
    assert power(feed.poll()) == dict.fromkeys(["M1", "M4", "M8", "M9"], "off")  # M1 and M4 had two supplies


def test_meters_own_reports_are_told_where_they_change_something(grid: Grid, feed: ChangeFeed) -> None:
    grid.say(["M6", "M7"], "off", 0, event_id="onu_1")
    assert power(feed.poll()) == {"M6": "off", "M7": "off"}
    grid.say(["M6", "M7"], "off", 1, event_id="onu_2")
    assert not feed.poll()
    grid.say(["M6"], "on", 0.5, event_id="onu_3")  # late, and so looked at
    assert power(feed.poll()) == {"M6": "off"}


def test_a_late_report_is_told(grid: Grid, feed: ChangeFeed) -> None:
    grid.through_sql(event(feeder="F2", minute=5))
    grid.through_sql(event(feeder="F2", minute=9, alarm="Energized"))
    feed.poll()
    grid.through_sql(event(feeder="F2", minute=12))
    grid.through_sql(event(feeder="F2", minute=11, alarm="Energized"))
    assert power(feed.poll()) == {"M6": "off", "M7": "off"}


def test_an_update_by_an_old_service_is_told(grid: Grid, feed: ChangeFeed) -> None:
    grid.rows("UPDATE oms_meters SET power_status = 'off' WHERE meter_number IN ('M1', 'M2')")
    assert power(feed.poll()) == {"M1": "off", "M2": "off"}
    grid.rows("UPDATE oms_meters SET communication_status = 'offline' WHERE meter_number = 'M3'")
    changes = feed.poll()
    assert (changes.meters.meter_number.tolist(), changes.meters.communication_status.tolist()) == (
        ["M3"],
        [2],
    )


def test_a_write_that_changes_no_status_is_not_told(grid: Grid, feed: ChangeFeed) -> None:
    grid.rows("UPDATE oms_meters SET communication_status = communication_status, meter_type = 'smart'")
    assert not feed.poll()


def test_writers_that_log_for_themselves_are_not_logged_again(grid: Grid, feed: ChangeFeed) -> None:
    with grid.database.engine.begin() as connection:
        connection.exec_driver_sql("SET LOCAL oms_topology.logs_status = 'on'")
        connection.exec_driver_sql("UPDATE oms_meters SET communication_status = 'offline'")
    assert not feed.poll()


def test_meters_that_come_go_and_change_their_number_are_told(grid: Grid, feed: ChangeFeed) -> None:
    grid.rows("INSERT INTO oms_meters (meter_number, power_status) VALUES ('M10', 'on'), ('M11', 'off')")
    assert power(feed.poll()) == {"M10": "on", "M11": "off"}
    gone = grid.column("DELETE FROM oms_meters WHERE meter_number IN ('M10', 'M11') RETURNING meter_no")
    changes = feed.poll()
    assert (len(changes.meters), sorted(changes.meters.gone)) == (0, sorted(gone))
    grid.rows("UPDATE oms_meters SET meter_number = 'M12' WHERE meter_number = 'M9'")
    assert power(feed.poll()) == {"M12": "unknown"}
    grid.rows("TRUNCATE oms_meters CASCADE")
    changes = feed.poll()
    assert (changes.is_everything, len(changes.meters)) == (True, 0)


def test_a_new_version_of_the_topology_is_told(grid: Grid, feed: ChangeFeed) -> None:
    grid.rows("UPDATE oms_topology.branch SET is_open = true WHERE code = 'SW1'")
    assert feed.poll().topology_version is None  # nobody has settled it yet
    grid.rows("SELECT oms_topology.settle()")
    changes = feed.poll()
    assert changes.topology_version == grid.value(
        "SELECT max(topology_version) FROM oms_topology.topology_change"
    )
    assert not len(changes.meters)


def test_another_feed_goes_on_from_a_position(grid: Grid, feed: ChangeFeed) -> None:
    position = feed.position
    grid.through_sql(event(feeder="F2"))
    with ChangeFeed(grid.database, position=position) as other:
        assert power(other.poll()) == {"M6": "off", "M7": "off"}
        assert not other.poll()


def test_a_position_of_another_database_gives_everything(
    grid: Grid, feed: ChangeFeed, database_factory: Callable[..., Database]
) -> None:
    elsewhere = database_factory(upgraded=True)
    with ChangeFeed(elsewhere, position=feed.position) as other:
        assert other.poll().is_everything


def test_a_position_that_is_ahead_of_the_server_gives_everything(grid: Grid, feed: ChangeFeed) -> None:
    home, _, _ = str(feed.position).rpartition("@")
    with ChangeFeed(grid.database, position=f"{home}@9000000:9000000:") as other:
        assert other.poll().is_everything
        assert not other.poll()


def test_who_is_behind_a_log_that_was_cut_is_given_everything(grid: Grid, feed: ChangeFeed) -> None:
    position = feed.position
    grid.through_sql(event(feeder="F2"))
    assert power(feed.poll())
    assert forget_changes_before(grid.database, datetime.now(UTC) + timedelta(hours=1)) > 0
    assert grid.value("SELECT count(*) FROM oms_topology.change") == 0
    assert not feed.poll()
    with ChangeFeed(grid.database, position=position) as behind:
        changes = behind.poll()
        assert (changes.is_everything, sorted(changes.meters.meter_number)) == (True, ALL)
        grid.through_sql(event(feeder="F3", substation="SS2"))
        assert not behind.poll().is_everything


def test_a_cut_spares_what_an_open_transaction_stands_beside(grid: Grid, feed: ChangeFeed) -> None:
    with grid.database.engine.connect() as open_one, open_one.begin():
        open_one.execute(text("SELECT pg_current_xact_id()"))
        grid.through_sql(event(feeder="F2"))
        forget_changes_before(grid.database, datetime.now(UTC) + timedelta(hours=1))
        assert power(feed.poll()) == {"M6": "off", "M7": "off"}
    with ChangeFeed(grid.database) as fresh:
        assert fresh.poll().is_everything
        assert not fresh.poll()


def test_a_horizon_from_a_dump_of_another_server_does_not_hold_up(grid: Grid, feed: ChangeFeed) -> None:
    grid.rows("UPDATE oms_topology.change_horizon SET forgotten_through = '9000000'")
    grid.through_sql(event(feeder="F2"))
    assert not feed.poll().is_everything
    forget_changes_before(grid.database, datetime.now(UTC) + timedelta(hours=1))
    assert grid.value("SELECT forgotten_through < pg_current_xact_id() FROM oms_topology.change_horizon")


def test_an_instant_without_a_zone_is_refused(grid: Grid) -> None:
    with pytest.raises(ValueError, match="no time zone"):
        forget_changes_before(grid.database, datetime(2026, 1, 1))  # noqa: DTZ001


def test_the_bell_is_rung_only_where_somebody_waits(grid: Grid, listener: psycopg.Connection[Any]) -> None:
    grid.through_sql(event(feeder="F2"))
    assert list(listener.notifies(timeout=0.2)) == []
    listener.execute("SELECT pg_advisory_lock_shared(hashtext('oms_topology.change'))")
    grid.through_sql(event(feeder="F3", substation="SS2"))
    assert [n.channel for n in listener.notifies(timeout=30, stop_after=1)] == ["oms_topology_change"]
    held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ExclusiveLock'"
    assert grid.value(held) == 0


def test_a_feed_that_waits_is_woken_and_tells_it_is_waiting(grid: Grid, feed: ChangeFeed) -> None:
    with ThreadPoolExecutor(1) as pool:
        woken = pool.submit(feed.wait, 60)
        waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND mode = 'ShareLock'"
        while not grid.value(waiting):
            pass
        grid.through_sql(event(feeder="F2"))
        assert woken.result()
    assert grid.value(waiting) == 0
    assert power(feed.poll()) == {"M6": "off", "M7": "off"}


def test_a_bell_that_never_rings_costs_no_change(grid: Grid, feed: ChangeFeed) -> None:
    grid.rows("ALTER TABLE oms_topology.change DISABLE TRIGGER ring_change_bell")
    with ThreadPoolExecutor(1) as pool:
        woken = pool.submit(feed.wait, 60)
        grid.through_sql(event(feeder="F2"))
        assert woken.result()
    assert power(feed.poll()) == {"M6": "off", "M7": "off"}


def test_nothing_to_wait_for_is_told_when_the_time_is_over(feed: ChangeFeed) -> None:
    assert feed.wait(0.05) is False


def test_a_feed_whose_connection_is_shot_down_goes_on(grid: Grid, feed: ChangeFeed) -> None:
    assert feed._connection is not None
    assert grid.value("SELECT pg_terminate_backend(:pid)", pid=feed._connection.info.backend_pid)
    grid.through_sql(event(feeder="F2"))
    assert power(feed.poll()) == {"M6": "off", "M7": "off"}


def test_a_database_that_cannot_be_reached_is_a_transient_error(grid: Grid) -> None:
    nowhere = create_engine("postgresql+psycopg://nobody@/oms?host=/nowhere")
    with ChangeFeed(nowhere) as feed:
        with pytest.raises(StoreUnavailableError):
            feed.poll()
        assert feed.wait(0.01) is False


def test_iterating_gives_one_change_after_the_other(grid: Grid) -> None:
    address = grid.database.engine.url.render_as_string(hide_password=False)
    with ChangeFeed(address) as feed:
        seen = iter(feed)
        assert next(seen).is_everything
        for feeder in ("F2", "F1"):
            grid.through_sql(event(feeder=feeder))
            assert [bool(changes) for changes in islice(seen, 1)] == [True]


def test_many_changed_meters_are_picked_from_the_whole_table(
    grid: Grid, feed: ChangeFeed, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(meter_status, "_MOST_LOOKED_UP", 1)
    monkeypatch.setattr(meter_status, "_PAGES_A_CHUNK", 1)
    grid.through_sql(event(feeder="F2"))
    (gone,) = grid.column("DELETE FROM oms_meters WHERE meter_number = 'M8' RETURNING meter_no")
    changes = feed.poll()
    assert (power(changes), changes.meters.gone.tolist()) == ({"M6": "off", "M7": "off"}, [gone])


def test_a_role_that_may_only_read_can_follow(grid: Grid) -> None:
    grid.rows(
        "CREATE ROLE feed_reader LOGIN; GRANT USAGE ON SCHEMA oms_topology TO feed_reader;"
        "GRANT SELECT ON oms_meters, oms_topology.topology_change TO feed_reader"
    )
    try:
        url = grid.database.engine.url.set(username="feed_reader")
        with ChangeFeed(url) as feed:
            assert feed.poll().is_everything
            grid.through_sql(event(feeder="F2"))
            assert power(feed.poll()) == {"M6": "off", "M7": "off"}
    finally:
        grid.rows("DROP OWNED BY feed_reader; DROP ROLE feed_reader")


def test_it_reads_alike_on_every_version(any_version_factory: Callable[..., Database]) -> None:
    database = any_version_factory(upgraded=True)
    database.store_network(Topology.from_text("SS1 > F1 > M1, M2"))
    with ChangeFeed(database) as feed, Pipeline(database) as pipeline:
        assert sorted(power(feed.poll())) == ["M1", "M2"]
        pipeline.handle("scada", event(feeder="F1"))
        assert feed.wait(60)
        assert power(feed.poll()) == {"M1": "off", "M2": "off"}
