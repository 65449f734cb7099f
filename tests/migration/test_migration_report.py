"""The report of a migration as a value: rates, success, and what JSON gets."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from oms_topology.migration.plan import STEPS, MigrationPlan
from oms_topology.migration.report import MigrationReport, MigrationTotals, StepOutcome
from oms_topology.model import Finding, FindingSeverity

AT = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def report_of(totals: MigrationTotals) -> MigrationReport:
    finding = Finding("long_mrid", FindingSeverity.WARNING, "Too long.", "Nothing.", ("a",), 1)
    step = StepOutcome(2, "kaifa_mrids", "KAIFA mRIDs", {"registered": 3}, (finding,))
    return MigrationReport(
        dry_run=True, plan=MigrationPlan(), started_at=AT, finished_at=AT, steps=(step,), totals=totals,
        links=(), coverage=(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("totals", "is_success"),
    [
        (MigrationTotals(), True),
        (MigrationTotals(active_meters=250, with_substation=245, source_names=250, migrated_names=250), True),
        (MigrationTotals(active_meters=10, with_substation=9, source_names=10, migrated_names=10), False),
        (MigrationTotals(active_meters=10, with_substation=10, source_names=10, migrated_names=9), False),
    ],
)
def test_success_is_over_nine_tenths_of_both(totals: MigrationTotals, is_success: bool) -> None:
    assert report_of(totals).is_success is is_success


def test_a_report_goes_through_json() -> None:
    report = report_of(MigrationTotals(active_meters=4, with_substation=3))
    told = json.loads(json.dumps(report.to_dict()))
    assert told["totals"]["substation_rate"] == 0.75
    assert told["steps"][0]["findings"][0] == {
        "rule": "long_mrid", "severity": "warning", "message": "Too long.", "remedy": "Nothing.",
        "ids": ["a"], "count": 1,
    }  # fmt: skip
    assert told["is_success"] is False
    assert told["started_at"] == "2026-01-02T03:04:00+00:00"
    assert report.findings[0].rule == "long_mrid"


def test_the_plan_has_ten_steps_in_order() -> None:
    assert [step.number for step in STEPS] == list(range(1, 11))
    assert len({step.name for step in STEPS}) == 10
