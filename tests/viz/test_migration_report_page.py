"""The page of a migration's report: complete, self-contained, and safe against what stands in a registry."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oms_topology.migration.plan import STEPS, MigrationPlan
from oms_topology.migration.report import (
    Candidate,
    LinkStatistics,
    MigrationReport,
    MigrationTotals,
    StepOutcome,
    SubstationCoverage,
    WorkItem,
)
from oms_topology.model import Finding, FindingSeverity
from oms_topology.viz.doubtful_map import plane_of
from oms_topology.viz.migration_report import migration_report_html

HOSTILE = "\"><script>alert('x')</script><img src=x onerror=alert(1)> & 'Sons'"
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)


def report_of(name: str = "Amman <East>", *, meters: int = 3) -> MigrationReport:
    station = Candidate(name, name, 35.91, 31.95, 412.0)
    other = Candidate("SS2", "West", 35.90, 31.95, 418.5)
    items = tuple(
        WorkItem(
            f"{name}{row}",
            "substation",
            "linked",
            "nearest",
            35.905 + row / 1e3,
            31.951,
            0.55,
            (station, other),
        )
        for row in range(meters)
    )
    lost = WorkItem(f"{name}-lost", "customer", "no_position", None, None, None, None)
    findings = (Finding("swapped", FindingSeverity.WARNING, f"Said {name}.", "Look.", (name,), 400),)
    return MigrationReport(
        dry_run=False,
        plan=MigrationPlan(),
        started_at=NOW,
        finished_at=NOW + timedelta(seconds=12.5),
        steps=tuple(
            StepOutcome(
                step.number, step.name, step.title, {"meters_added": 1234}, findings * (step.number == 1)
            )
            for step in STEPS
        ),
        totals=MigrationTotals(1000, 800, 600, 50, 945, 940, 900, 899, 2000, 1999),
        links=(
            LinkStatistics("substation", {"linked": 900, "too_far": 100}, {"nearest": 900}, {"0.9": 900}),
        ),
        coverage=(
            SubstationCoverage("SS1", name, 35.91, 31.95, 4, 945, 899, 900, 0.913, 3),
            SubstationCoverage("SS9", "No meters", None, None, 0, 0, 0, 0, None, 0),
        ),
        work_list=(*items, lost),
        work_count=len(items) + 1,
    )


class Page(HTMLParser):
    """The tags of a page, what hangs on them, and its text outside of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        self.open.append("/" + tag)

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] == "script":
            self.scripts.append(data)
        elif not self.open or self.open[-1] != "style":
            self.text += data


def test_everything_of_the_report_is_on_the_page() -> None:
    text = Page(migration_report_html(report_of())).text
    for said in (
        "1,000", "94.5 %", "89.9 %", "99.9 %", "1,999 of 2,000", "12.5 s", "ONU service", "KAIFA",
        "Call center",
        "Amman <East>0", "Amman <East>-lost", "no position", "412.0 m", "418.5 m", "0.913", "0.55",
        *(step.title for step in STEPS), "meters added 1,234", "Said Amman <East>.", "too far 100",
    ):  # fmt: skip
        assert said in text, said


@pytest.mark.parametrize(("migrated", "word"), [(2000, "success"), (1700, "to be looked at")])
def test_the_verdict_stands_at_the_top(migrated: int, word: str) -> None:
    report = report_of()
    page = Page(
        migration_report_html(replace(report, totals=replace(report.totals, migrated_names=migrated)))
    )
    assert page.text.index(word) < page.text.index("active meters")


def test_a_trial_says_that_nothing_was_written() -> None:
    assert "Nothing was written" in Page(migration_report_html(replace(report_of(), dry_run=True))).text


def test_nothing_is_loaded_and_no_other_script_runs() -> None:
    page = Page(migration_report_html(report_of(HOSTILE)))
    assert HOSTILE + "0" in page.text
    assert len(page.scripts) == 1
    (policy,) = (attrs["content"] for tag, attrs in page.tags if attrs.get("http-equiv"))
    allowed = base64.b64encode(hashlib.sha256(page.scripts[0].encode()).digest()).decode()
    assert policy is not None
    assert re.fullmatch(rf"default-src 'none'; .*script-src 'sha256-{re.escape(allowed)}'", policy)
    for tag, attrs in page.tags:
        assert tag not in ("img", "iframe", "link", "object", "form", "a", "base")
        assert not [name for name in attrs if name.startswith("on") or name in ("src", "href")]


@settings(max_examples=40, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=40))
def test_no_name_changes_what_the_page_is_made_of(name: str) -> None:
    plain, named = (Page(migration_report_html(report_of(one))) for one in ("plain", name))
    assert [tag for tag, _ in named.tags] == [tag for tag, _ in plain.tags]
    assert named.scripts == plain.scripts
    assert name + "1" in named.text


def test_the_same_report_gives_the_same_page() -> None:
    assert migration_report_html(report_of()) == migration_report_html(report_of())


def test_a_row_of_the_work_list_leads_to_its_place_on_the_map() -> None:
    report = report_of()
    page = Page(migration_report_html(report))
    plane = plane_of(report)
    assert plane is not None
    rows = [attrs for tag, attrs in page.tags if tag == "tr" and attrs.get("data-kind")]
    assert [row.get("data-item") for row in rows] == ["item0", "item1", "item2", None]
    items = {attrs["id"] for tag, attrs in page.tags if attrs.get("class") == "item"}
    assert items == {"item0", "item1", "item2"}
    x, y = plane.at(35.905, 31.951)
    assert (rows[0]["data-at"] or "").startswith(f"{x:.1f} {y:.1f} ")


def test_without_any_place_there_is_no_map() -> None:
    report = replace(report_of(meters=0), coverage=())
    page = Page(migration_report_html(report))
    assert "No doubtful link has a place." in page.text
    assert "svg" not in {tag for tag, _ in page.tags}
    assert plane_of(replace(report, work_list=())) is None
    assert "Nothing is left to do." in Page(migration_report_html(replace(report, work_list=()))).text


def test_a_single_meter_far_out_does_not_move_the_middle() -> None:
    report = report_of(meters=9)
    far = replace(report.work_list[0], longitude=35.0, latitude=29.5)
    plane = plane_of(replace(report, work_list=(*report.work_list, far)))
    assert plane is not None
    assert (plane.longitude_deg, plane.latitude_deg) == pytest.approx((35.9085, 31.951), abs=1e-3)


@pytest.mark.parametrize("status", ["null_island", "suspected_swap", "out_of_range"])
def test_what_is_no_place_of_the_network_is_listed_and_not_drawn(status: str) -> None:
    report = report_of()
    nowhere = replace(report.work_list[0], meter_number="LOST", status=status, longitude=0.0, latitude=0.0)
    page = Page(migration_report_html(replace(report, work_list=(nowhere, *report.work_list))))
    assert "LOST" in page.text
    assert {attrs["id"] for _, attrs in page.tags if attrs.get("class") == "item"} == {
        "item1",
        "item2",
        "item3",
    }
    assert plane_of(replace(report, work_list=(nowhere, *report.work_list))) == plane_of(report)
