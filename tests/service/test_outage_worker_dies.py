"""kill -9 of the worker of outages: nothing that was said is lost, and nothing is concluded twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from oms_topology.cli.app import app
from tests.service.test_outage_worker import OUTAGES, Town, lose_dp1

if TYPE_CHECKING:
    from collections.abc import Iterator

    from oms_topology.persistence.database import Database

DIES = """
import os, signal, sys
from oms_topology.service import outage_worker

write = outage_worker.write_conclusions

def die(*arguments, **named):
    if sys.argv[2] == "after":
        write(*arguments, **named)
    os.kill(os.getpid(), signal.SIGKILL)

outage_worker.write_conclusions = die
outage_worker.OutageWorker(sys.argv[1]).drain()
"""


@pytest.fixture
def town(database: Database) -> Iterator[Town]:
    made = Town(database)
    yield made
    made.close()


def address(town: Town) -> str:
    return town.database.engine.url.render_as_string(hide_password=False)


@pytest.mark.parametrize("when", ["before", "after"])
def test_nothing_is_lost_between_taking_and_committing(town: Town, when: str) -> None:
    lose_dp1(town)
    waiting = town.waiting()
    died = subprocess.run([sys.executable, "-c", DIES, address(town), when], check=False, timeout=60)
    assert died.returncode == -signal.SIGKILL
    for _ in range(200):  # until the server has noticed
        if town.value("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in tr%'") == 0:
            break
        time.sleep(0.02)
    assert town.waiting() == waiting > 0
    assert town.rows(OUTAGES) == []
    assert [row[0] for row in town.outages()] == ["DP1"]
    assert town.column("SELECT event_type FROM oms_event_timeline") == ["detected"]
    assert town.waiting() == 0


def test_the_command_concludes_and_follows_until_it_is_stopped(town: Town) -> None:
    lose_dp1(town)
    done = CliRunner().invoke(app, ["outages", "infer", "--json", "--database", address(town)])
    assert (done.exit_code, done.stdout.split()) == (0, ["{", '"judged_trees":', "1", "}"])
    command = [sys.executable, "-m", "oms_topology.cli", "outages", "infer", "--follow"]
    environment = {**os.environ, "OMS_TOPOLOGY_DSN": address(town)}
    follower = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    try:
        for meter in ("M30", "M31", "M32", "M33", "M34"):
            town.gasp(meter, 3)
        until = time.monotonic() + 60
        while len(town.rows(OUTAGES)) < 2 and time.monotonic() < until:
            time.sleep(0.05)
        assert [row[0] for row in town.rows(OUTAGES)] == ["DP1", "DP4"]
        follower.send_signal(signal.SIGTERM)
        assert follower.wait(20) == 0
    finally:
        follower.kill()
        follower.communicate()
