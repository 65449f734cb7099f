"""A feed tells each committed change once, and its image is the table, whatever commits in whatever order.

First step by step, several sessions side by side with savepoints and rollbacks, where every poll is
foretold; then with threads that write as they like, while readers poll, lose their connections and go on.
"""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from oms_topology.errors import StoreUnavailableError
from oms_topology.persistence.feed import ChangeFeed, Changes
from oms_topology.persistence.meter_status import COMMUNICATION_STATUSES, POWER_STATUSES

if TYPE_CHECKING:
    from oms_topology.persistence.database import Database

Image = dict[int, tuple[str, str, str]]
METERS = 6
TABLE = "SELECT meter_no, meter_number, power_status, communication_status FROM oms_meters"
POWER = (
    "UPDATE oms_meters SET power_status = %(power)s"
    " WHERE meter_number = ANY (%(meters)s) AND power_status <> %(power)s RETURNING meter_no"
)
COMMUNICATION = (
    "UPDATE oms_meters SET communication_status = %(communication)s"
    " WHERE meter_number = ANY (%(meters)s) AND communication_status <> %(communication)s RETURNING meter_no"
)
ADDED = (
    "INSERT INTO oms_meters (meter_number) SELECT unnest(%(meters)s::text[])"
    " ON CONFLICT DO NOTHING RETURNING meter_no"
)
DELETED = "DELETE FROM oms_meters WHERE meter_number = ANY (%(meters)s) RETURNING meter_no"
LOGGED = (
    "SELECT meter_no, oms_topology.log_status_change(ARRAY[meter_no]) FROM oms_meters"
    " WHERE meter_number = ANY (%(meters)s)"
)
STATEMENTS = (POWER, COMMUNICATION, ADDED, DELETED, LOGGED)


def take_in(image: Image, changes: Changes) -> set[int]:
    """Bring an image up to date, and give the numbers of the meters that were told."""
    if changes.is_everything:
        image.clear()
    meters = changes.meters
    for no, number, power, communication in zip(
        meters.meter_no.tolist(),
        meters.meter_number.tolist(),
        meters.power_status.tolist(),
        meters.communication_status.tolist(),
        strict=True,
    ):
        image[no] = number, POWER_STATUSES[power].value, COMMUNICATION_STATUSES[communication].value
    for no in meters.gone.tolist():
        image.pop(no, None)
    return {*meters.meter_no.tolist(), *meters.gone.tolist()}


def table(connection: psycopg.Connection[Any]) -> Image:
    return {no: tuple(rest) for no, *rest in connection.execute(TABLE)}


def connect(database: Database, *, autocommit: bool = True) -> psycopg.Connection[Any]:
    address = database.engine.url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(address, autocommit=autocommit)


def parameters(power: str, communication: str, meters: list[str]) -> dict[str, Any]:
    return {"power": power, "communication": communication, "meters": meters}


DRAWN = st.builds(
    parameters,
    st.sampled_from(["on", "off", "unknown"]),
    st.sampled_from(["online", "offline", "unknown"]),
    st.lists(st.sampled_from([f"M{n}" for n in range(METERS)]), min_size=1, max_size=3, unique=True),
)
SESSION = st.integers(0, 2)
READER = st.integers(0, 1)


class Session:
    """One connection with what its open transaction has logged so far, by savepoints."""

    def __init__(self, database: Database) -> None:
        self.connection = connect(database, autocommit=False)
        self.connection.execute("SET lock_timeout = '5ms'")
        self.connection.commit()
        self.logged: list[set[int]] = [set()]

    def run(self, statement: str, drawn: dict[str, Any]) -> None:
        try:
            self.logged[-1] |= {row[0] for row in self.connection.execute(statement, drawn)}
        except psycopg.errors.LockNotAvailable:
            self.end(keeps=False)

    def save(self) -> None:
        self.connection.execute(f"SAVEPOINT s{len(self.logged)}")
        self.logged.append(set())

    def go_back(self) -> None:
        if len(self.logged) > 1:
            self.logged.pop()
            self.connection.execute(f"ROLLBACK TO SAVEPOINT s{len(self.logged)}")

    def end(self, *, keeps: bool) -> set[int]:
        told = set().union(*self.logged) if keeps else set()
        self.connection.commit() if keeps else self.connection.rollback()
        self.logged = [set()]
        return told


def machine(database: Database) -> type[RuleBasedStateMachine]:  # noqa: C901 - one rule each
    class Committing(RuleBasedStateMachine):
        @initialize()
        def open_everything(self) -> None:
            self.onlooker = connect(database)
            self.onlooker.execute("DELETE FROM oms_meters")
            self.onlooker.execute(ADDED, parameters("", "", [f"M{n}" for n in range(0, METERS, 2)]))
            self.sessions = [Session(database) for _ in range(3)]
            self.feeds = [ChangeFeed(database.engine) for _ in range(2)]
            self.images: list[Image] = [{}, {}]
            for feed, image in zip(self.feeds, self.images, strict=True):
                take_in(image, feed.poll())
            self.expected: list[set[int]] = [set(), set()]

        @rule(who=SESSION, statement=st.sampled_from(STATEMENTS), drawn=DRAWN)
        def write(self, who: int, statement: str, drawn: dict[str, Any]) -> None:
            self.sessions[who].run(statement, drawn)

        @rule(who=SESSION)
        def save(self, who: int) -> None:
            self.sessions[who].save()

        @rule(who=SESSION)
        def go_back(self, who: int) -> None:
            self.sessions[who].go_back()

        @rule(who=SESSION, keeps=st.sampled_from([True, True, False]))
        def end(self, who: int, keeps: bool) -> None:
            told = self.sessions[who].end(keeps=keeps)
            self.expected = [each | told for each in self.expected]

        @rule(who=READER)
        def poll(self, who: int) -> None:
            assert take_in(self.images[who], self.feeds[who].poll()) == self.expected[who]
            self.expected[who] = set()
            assert self.images[who] == table(self.onlooker)

        @rule(who=READER)
        def look(self, who: int) -> None:
            assert self.feeds[who].wait(0) == bool(self.expected[who])

        @rule(who=READER)
        def go_on_from_the_position(self, who: int) -> None:
            position = self.feeds[who].position
            self.feeds[who].close()
            self.feeds[who] = ChangeFeed(database.engine, position=position)

        def teardown(self) -> None:
            for session in self.sessions:
                session.connection.close()
            for feed in self.feeds:
                feed.close()
            self.onlooker.close()

    return Committing


def test_each_poll_tells_what_was_committed_since_and_nothing_else(database: Database) -> None:
    run_state_machine_as_test(
        machine(database),
        settings=settings(
            max_examples=30,
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )


def write_at_random(database: Database, seed: int) -> None:
    """Run transactions of odd lengths; what another one has locked is left alone."""
    drawn = random.Random(seed)
    with connect(database, autocommit=False) as connection:
        for _ in range(40):
            try:
                for _ in range(drawn.randrange(1, 5)):
                    statement = drawn.choice(STATEMENTS)
                    with connection.transaction(force_rollback=drawn.random() < 0.2):
                        connection.execute("SET LOCAL lock_timeout = '20ms'")
                        connection.execute(
                            statement,
                            parameters(
                                drawn.choice(["on", "off"]),
                                drawn.choice(["online", "offline"]),
                                [f"M{drawn.randrange(40)}" for _ in range(drawn.randrange(1, 9))],
                            ),
                        )
                    connection.execute("SELECT pg_sleep(%s)", (drawn.choice([0, 0, 0.002, 0.02]),))
                connection.rollback() if drawn.random() < 0.2 else connection.commit()
            except (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected):
                connection.rollback()


def read_at_random(database: Database, seed: int, is_over: threading.Event) -> Image:
    """Follow by bell and poll, with connections that are shot down and positions that are taken up again."""
    drawn, image = random.Random(seed), {}
    feed = ChangeFeed(database.engine)
    while not is_over.is_set():
        try:
            take_in(image, feed.poll())
            feed.wait(drawn.choice([0, 0.01, 0.05]))
        except StoreUnavailableError:
            continue
        if drawn.random() < 0.1:
            feed.close()
            feed = ChangeFeed(database.engine, position=feed.position)
    take_in(image, feed.poll())
    feed.close()
    return image


@pytest.mark.parametrize("seed", [1, 2])
def test_readers_end_with_the_tables_of_many_writers(database: Database, seed: int) -> None:
    is_over = threading.Event()
    with ThreadPoolExecutor(9) as pool, connect(database) as onlooker:
        readers = [pool.submit(read_at_random, database, 100 * seed + n, is_over) for n in range(3)]
        writers = [pool.submit(write_at_random, database, 10 * seed + n) for n in range(5)]
        while not all(writer.done() for writer in writers):
            onlooker.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name = 'oms_topology' AND random() < 0.3"
            )
            is_over.wait(0.2)
        is_over.set()
        for writer in writers:
            writer.result()
        expected = table(onlooker)
        assert expected
        for reader in readers:
            assert reader.result() == expected
