"""All ten steps over a dirty town of a million meters from four providers, then once more: embedded database.

Run as ``python -m benchmarks.migration.run [--quick] [--meters 1000000]``. The CPU time is that of
this process and of all processes of the server together; a step's wall time is beside it.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oms_topology.persistence.database import Database
from tests.dirty_town.filling import fill_town

if TYPE_CHECKING:
    from oms_topology.migration.plan import MigrationStep
    from oms_topology.migration.report import MigrationReport

__all__ = ["main", "measure"]


class Clock:
    """Wall and CPU seconds of each step, by the calls of a progress callback."""

    def __init__(self, home: Path) -> None:
        self._server = (home / "data" / "postmaster.pid").read_text().split()[0]
        self._begun = (0.0, 0.0)
        self._ticks: dict[str, int] = {}
        self.seconds: dict[str, dict[str, float]] = {}

    def __call__(self, step: MigrationStep, share: float) -> None:
        now = (time.perf_counter(), self._cpu_s())
        if share == 0.0:
            self._begun = now
        wall_s, cpu_s = (after - before for after, before in zip(now, self._begun, strict=True))
        self.seconds[step.name] = {"wall_s": round(wall_s, 2), "cpu_s": round(cpu_s, 2)}

    def _cpu_s(self) -> float:
        for directory in Path("/proc").glob("[0-9]*"):
            try:
                fields = (directory / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue  # it has ended meanwhile
            if fields[1] == self._server:
                self._ticks[directory.name] = int(fields[11]) + int(fields[12])
        return sum(self._ticks.values()) / 100 + time.process_time()


def measure(*, meters: int = 1_000_000, shape: str = "A") -> dict[str, Any]:
    """Migrate a town twice.

    Returns
    -------
    dict
        Of the run and of the rerun the seconds of each step and in all; what the registry came to.
    """
    with tempfile.TemporaryDirectory() as home, Database.embedded(home) as database:
        fill_town(database.engine, shape=shape, n_meters=meters)
        database.upgrade()
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql("VACUUM ANALYZE")
        first, report = _migrated(database, Path(home))
        again, _ = _migrated(database, Path(home))
        return {"meters": meters, "run": first, "rerun": again, "totals": report.to_dict()["totals"]}


def _migrated(database: Database, home: Path) -> tuple[dict[str, Any], MigrationReport]:
    clock = Clock(home)
    begun = time.perf_counter()
    report = database.migrate_legacy(progress=clock)
    wall_s = round(time.perf_counter() - begun, 2)
    cpu_s = round(sum(step["cpu_s"] for step in clock.seconds.values()), 2)
    return {"wall_s": wall_s, "cpu_s": cpu_s, "steps": clock.seconds}, report


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="500 meters: that it runs, not what it says")
    parser.add_argument("--meters", type=int, default=1_000_000)
    parser.add_argument("--shape", choices=("A", "B"), default="A")
    arguments = parser.parse_args()
    print(
        json.dumps(
            measure(meters=500 if arguments.quick else arguments.meters, shape=arguments.shape), indent=2
        )
    )


if __name__ == "__main__":
    main()
