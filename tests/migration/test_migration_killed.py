"""kill -9 of a migration at random moments: the next run goes on, and in the end nothing tells of it.

Three kills by default; ``OMS_TOPOLOGY_TEST_KILLS`` sets another number.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from random import Random
from typing import TYPE_CHECKING

from tests.migration.table_state import registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from oms_topology.persistence.database import Database
    from tests.dirty_town.truth import Town

KILLS = int(os.environ.get("OMS_TOPOLOGY_TEST_KILLS", "3"))
# The server may need a moment to notice that the one who was killed is gone.
PROGRAM = """
import sys, time
from oms_topology.errors import ConflictError
from oms_topology.persistence.database import Database
with Database(sys.argv[1]) as database:
    for attempt in range(600):
        try:
            database.migrate_legacy(progress=lambda step, share: print(step.number, share, flush=True))
            break
        except ConflictError:
            time.sleep(0.1)
"""


def start(database: Database) -> subprocess.Popen[str]:
    address = database.url.render_as_string(hide_password=False)
    return subprocess.Popen([sys.executable, "-c", PROGRAM, address], stdout=subprocess.PIPE, text=True)


def is_killed_at_work(database: Database, step_no: int, delay_s: float) -> bool:
    """Run a migration in a process of its own, and kill it some time after a step begins."""
    with start(database) as process:
        assert process.stdout is not None
        for line in process.stdout:
            number, share = line.split()
            if int(number) == step_no and share == "0.0":
                time.sleep(delay_s)
                break
        was_at_work = process.poll() is None
        process.kill()
    return was_at_work


def test_killed_at_random_moments_the_registry_is_that_of_an_undisturbed_run(
    town_factory: Callable[..., tuple[Database, Town]],
) -> None:
    undisturbed, _ = town_factory(shape="B", n_meters=120)
    database, _ = town_factory(shape="B", n_meters=120)
    expected = undisturbed.migrate_legacy()
    random = Random(KILLS)
    steps = sorted(random.choices(range(1, 11), k=KILLS))
    hits = sum(is_killed_at_work(database, step_no, random.uniform(0, 0.1)) for step_no in steps)
    assert hits >= KILLS // 2
    with start(database) as survivor:
        survivor.communicate(timeout=60)
    assert survivor.returncode == 0
    assert registry(database) == registry(undisturbed)
    assert database.migrate_legacy().totals == expected.totals
