"""Linked by the workers of a scheduler, the registry is the same."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import pytest
from distributed import LocalCluster

from oms_topology.errors import SchedulerError
from tests.migration.table_state import registry

if TYPE_CHECKING:
    from collections.abc import Callable

    from oms_topology.persistence.database import Database
    from tests.dirty_town.truth import Town


def test_two_workers_make_the_same_registry(town_factory: Callable[..., tuple[Database, Town]]) -> None:
    alone, _ = town_factory()
    shared, _ = town_factory()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with LocalCluster(
            n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None, host="127.0.0.1"
        ) as cluster:
            done = shared.migrate_legacy(scheduler=cluster.scheduler_address)
    assert done.links == alone.migrate_legacy().links
    assert registry(shared) == registry(alone)


def test_a_scheduler_that_is_not_there_costs_no_step_that_was_done(
    town_factory: Callable[..., tuple[Database, Town]],
) -> None:
    database, _ = town_factory()
    with pytest.raises(SchedulerError, match="cannot be reached"):
        database.migrate_legacy(scheduler="tcp://127.0.0.1:9")
    done = database.migrate_legacy()
    assert [step.number for step in done.steps if step.was_resumed] == [1, 2, 3]
    assert done.is_success
