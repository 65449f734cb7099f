"""A network that follows its database by what changed is the network that is loaded from it.

Two sessions change the tables by turns; after some of the commits the network follows. What it answers is
compared with what a network answers that is loaded anew, and with what is in the columns of both.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from oms_topology import Topology
from oms_topology.errors import ConflictError
from oms_topology.service.following import followed
from tests.properties.test_topology_history_versions import (
    NETWORKS,
    PARAMETERS,
    START,
    STATEMENTS,
    connected,
    impatient,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oms_topology.persistence.database import Database
    from tests.servers import LiveServer

__all__ = ["told"]

# What comes by the thousand in a running network; drawn as often as all the rest.
USUAL = [
    "add or move meters",
    "move meters",
    "take meters out",
    "take meters in",
    "switch",
    "add or re-feed points",
]


def told(net: Topology) -> dict[str, Any]:
    """All that decides who is fed by what, in no order but that of alternates; and what is answered."""
    columns = net.columns
    devices = list(zip(columns.device_kind.tolist(), columns.device_code.tolist(), strict=True))
    meters = columns.meter_number.tolist()
    branches = Counter(
        (frozenset({devices[start], devices[end]}), *rest)
        for start, end, *rest in zip(
            columns.branch_from.tolist(),
            columns.branch_to.tolist(),
            columns.branch_kind.tolist(),
            columns.branch_code.tolist(),
            columns.branch_is_switch.tolist(),
            columns.branch_normally_open.tolist(),
            columns.branch_is_open.tolist(),
            strict=True,
        )
    )
    alternates: dict[str, list[Any]] = {}
    order = sorted(range(len(columns.alternate_meter)), key=lambda row: columns.alternate_priority[row])
    for row in order:
        meter = meters[columns.alternate_meter[row]]
        alternates.setdefault(meter, []).append(devices[columns.alternate_device[row]])
    feeds = [devices[row] if row >= 0 else None for row in columns.meter_device.tolist()]
    answers = {
        (kind, code, state): (
            sorted(net.downstream(code, kind=kind, state=state)),
            net.upstream(code, kind=kind, state=state),
        )
        for kind, code in devices
        for state in ("current", "normal")
    }
    return {
        "version": net.topology_version,
        "devices": dict(zip(devices, columns.device_is_source.tolist(), strict=True)),
        "branches": branches,
        "meters": dict(zip(meters, zip(feeds, columns.meter_customer.tolist(), strict=True), strict=True)),
        "alternates": alternates,
        "answers": answers,
        "energised": sorted(net.energised),
        "impacts": {number: net.impact(number, kind="meter").by_feeder for number in meters},
    }


class Following(RuleBasedStateMachine):
    sessions: tuple[psycopg.Connection[Any], psycopg.Connection[Any]]
    loader: Database
    ways: Counter[str]

    @initialize()
    def start(self) -> None:
        for session in self.sessions:
            session.rollback()
        first, _ = self.sessions
        for statement in (
            "TRUNCATE network_substations, oms_meters CASCADE",
            "DELETE FROM oms_topology.device",
            *START,
        ):
            first.execute(statement)
        first.commit()
        self.net = Topology.from_postgres(self.loader)

    @rule(
        who=st.integers(0, 1),
        what=st.sampled_from(sorted(STATEMENTS)) | st.sampled_from(USUAL),
        parameters=PARAMETERS,
    )
    def change(self, who: int, what: str, parameters: dict[str, Any]) -> None:
        self.run(who, what, parameters)

    @rule(what=st.sampled_from(sorted(STATEMENTS)) | st.sampled_from(USUAL), parameters=PARAMETERS)
    def change_and_follow(self, what: str, parameters: dict[str, Any]) -> None:
        if self.run(0, what, parameters):
            self.sessions[0].commit()
            self.follow()

    @rule(text=st.sampled_from(NETWORKS), is_rare=st.integers(0, 4))
    def store(self, text: str, is_rare: int) -> None:
        if is_rare == 0:
            try:
                self.loader.store_network(Topology.from_text(text))
            except ConflictError:
                return

    @rule(who=st.integers(0, 1))
    def commit(self, who: int) -> None:
        self.sessions[who].commit()

    @rule(who=st.integers(0, 1))
    def roll_back(self, who: int) -> None:
        self.sessions[who].rollback()

    @rule()
    def follow(self) -> None:
        before = told(self.net)
        try:
            found = followed(self.loader, self.net)
            fresh = Topology.from_postgres(self.loader)
        except ConflictError:
            return
        assert told(self.net) == before
        assert told(found.topology) == told(fresh)
        self.ways["loaded" if found.changes is None else "followed"] += (
            before["version"] != fresh.topology_version
        )
        self.net = found.topology

    def run(self, who: int, what: str, parameters: dict[str, Any]) -> bool:
        try:
            self.sessions[who].execute(STATEMENTS[what], parameters)
        except (
            psycopg.errors.LockNotAvailable,
            psycopg.errors.DeadlockDetected,
            psycopg.errors.IntegrityError,
            psycopg.errors.RaiseException,
        ):
            self.sessions[who].rollback()
            return False
        return True


@pytest.fixture(scope="module")
def database_of_module(pg_server: LiveServer) -> Iterator[Database]:
    database = pg_server.create(upgraded=True)
    yield database
    pg_server.drop(database)


def test_a_network_that_follows_is_the_one_that_is_loaded(database_of_module: Database) -> None:
    ways: Counter[str] = Counter()
    with (
        impatient(database_of_module) as loader,
        connected(database_of_module) as first,
        connected(database_of_module) as second,
    ):
        members = {"sessions": (first, second), "loader": loader, "ways": ways}
        run_state_machine_as_test(
            type("FollowingHere", (Following,), members),
            settings=settings(
                max_examples=12,
                stateful_step_count=25,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
            ),
        )
    assert ways["followed"] > ways["loaded"] / 4 > 0
