"""A consumer needs no more rights than its page says, and says so when it has fewer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from oms_topology import Topology
from oms_topology.service.consumers.settings import STREAMS
from tests.acceptance.provider_streams import TOWN, ProviderStreams
from tests.acceptance.scada_grid import Grid
from tests.service.consumers.members import Trial, wait_until
from tests.service.consumers.test_consume_scada import encoded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oms_topology.persistence.database import Database

_PAGE = Path(__file__).parents[3] / "docs" / "consumers.md"


def documented_grants() -> list[str]:
    """The statements of the operator's page, for a role named ``oms_consumer``."""
    (script,) = re.findall(
        r"```sql\n(CREATE ROLE oms_consumer.*?)```", _PAGE.read_text(encoding="utf-8"), re.S
    )
    return [statement.strip() for statement in script.split(";") if statement.strip()]


@pytest.fixture
def role(database: Database) -> Iterator[str]:
    name = f"consumer_{uuid4().hex[:8]}"
    with database.engine.begin() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {name} LOGIN")
    yield name
    with database.engine.begin() as connection:
        connection.exec_driver_sql(f"DROP OWNED BY {name}")
        connection.exec_driver_sql(f"DROP ROLE {name}")


def as_role(database: Database, role: str) -> str:
    return database.engine.url.set(username=role).render_as_string(hide_password=False)


def test_the_documented_grants_are_enough(database: Database, trial: Trial, role: str) -> None:
    database.store_network(Topology.from_text(TOWN))
    with database.engine.begin() as connection:
        for statement in documented_grants()[1:]:
            connection.exec_driver_sql(re.sub(r"\boms_consumer\b", role, statement))
    streams = ProviderStreams(3)
    for provider in STREAMS:
        trial.send(provider, streams.some(provider, 40))
    member = trial.start("all", address=as_role(database, role))
    for provider in STREAMS:
        wait_until(lambda name=provider: trial.is_done(name), what=f"taking {provider} in")
    counted = member.counted()
    assert sum(counted.values()) == 160
    assert min(counted["recorded"], counted["duplicate"], counted["dead_letter"]) > 0
    log = member.stop()
    assert not [line for line in log if line["level"] != "info"]


def test_a_role_without_rights_ends_with_an_error_and_takes_nothing(
    database: Database, trial: Trial, role: str
) -> None:
    Grid(database)
    trial.send("scada", [encoded(feeder="F2")])
    member = trial.start("scada", address=as_role(database, role))
    _, said = member.process.communicate(timeout=60)
    assert member.process.returncode == 3
    assert "permission denied" in said
    assert trial.next_offsets("scada") == {}
