"""What each step runs: files of SQL, and what only Python can do between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from oms_topology.migration.history import record_history
from oms_topology.migration.identity import merge_meters
from oms_topology.migration.linking import link_by_place, measure_links, store_links
from oms_topology.migration.validation import find_troubles

if TYPE_CHECKING:
    from collections.abc import Callable

    from oms_topology.migration.work import StepWork

__all__ = ["run_step"]


def run_step(name: str, work: StepWork, tell: Callable[[float], None]) -> None:
    """Do one step.

    Parameters
    ----------
    name : str
        Of the step.
    work : StepWork
        In a transaction; gets counts and findings.
    tell : callable
        Called with the share that is done.
    """
    if name == "history":
        record_history(work, tell)
    else:
        _STEPS[name](work)


def _onu_meters(work: StepWork) -> None:
    merge_meters(work, "same_number")
    work.run("01_onu_meters")
    _analyze(work, "public.oms_meters", "public.meters")


def _kaifa_mrids(work: StepWork) -> None:
    merge_meters(work, "mrids")
    work.run("02_kaifa_mrids")
    _analyze(work, "public.oms_meters", "public.kaifa_event_assets", "public.kaifa_event_usage_points")


def _call_numbers(work: StepWork) -> None:
    merge_meters(work, "typed_number")
    work.run("03_call_numbers")
    _analyze(work, "public.oms_meters", "public.callcenter_customers")


def _substations(work: StepWork) -> None:
    work.run("04_substations")
    link_by_place(work, "substation", work.limits.substation_m)
    store_links(work, "substation")


def _feeders(work: StepWork) -> None:
    work.run("05_distribution_points")
    link_by_place(work, "distribution_point", work.limits.distribution_point_m)
    measure_links(work)
    store_links(work, "distribution_point")
    work.run("05_feeders")
    link_by_place(work, "feeder", work.limits.feeder_m)
    store_links(work, "feeder")
    work.run("05_substations_of_feeders")


def _customers(work: StepWork) -> None:
    work.run("06_customers")
    link_by_place(work, "customer", work.limits.customer_m, is_ambiguous_at_tie=True)
    work.run("06_callers")
    measure_links(work)
    store_links(work, "customer")


def _substation_mapping(work: StepWork) -> None:
    work.run("07_substation_mapping")
    _analyze(work, "public.oms_meters", "public.network_substation_meters")


def _feeder_mapping(work: StepWork) -> None:
    work.run("08_feeder_mapping")
    _analyze(work, "public.oms_meters", "public.network_feeder_meters", "oms_topology.device")


def _analyze(work: StepWork, *tables: str) -> None:
    """Let the planner know what the step has made of some tables, where it has made anything of them."""
    if work.rows_written or work.counts.get("merged"):
        for table in tables:
            work.connection.exec_driver_sql(f"ANALYZE {table}")


_STEPS: Final[dict[str, Callable[[StepWork], None]]] = {
    "onu_meters": _onu_meters,
    "kaifa_mrids": _kaifa_mrids,
    "call_numbers": _call_numbers,
    "substations": _substations,
    "feeders": _feeders,
    "customers": _customers,
    "substation_mapping": _substation_mapping,
    "feeder_mapping": _feeder_mapping,
    "validation": find_troubles,
}
