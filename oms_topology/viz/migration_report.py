"""The report of a migration as one page: it works offline, asks nobody for anything, and can be mailed."""

from __future__ import annotations

import base64
import hashlib
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

from oms_topology.viz.doubtful_map import draw_map, place_of, plane_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from oms_topology.migration.report import (
        Candidate,
        LinkStatistics,
        MigrationReport,
        SubstationCoverage,
        WorkItem,
    )
    from oms_topology.model import Finding
    from oms_topology.viz.doubtful_map import Plane

__all__ = ["migration_report_html"]

_ENOUGH = 0.9
_FAIR = 0.8
_MOST_IDS = 20
_STATUSES = (
    "linked",
    "explicit",
    "ambiguous",
    "too_far",
    "no_candidate",
    "no_position",
    "null_island",
    "suspected_swap",
)


def migration_report_html(report: MigrationReport) -> str:
    """Write the report of a migration as one self-contained HTML page.

    Totals by source and success, what became of each kind of link, the ten steps with what they found, a map
    of the doubtful links with their candidates, the coverage of each substation, and the work list.

    Parameters
    ----------
    report : MigrationReport
        What ``Database.migrate_legacy`` gave.

    Returns
    -------
    str
        The page, to be stored as UTF-8. Whatever the registries hold is shown as text: it cannot become
        markup, and the page's own policy lets nothing be loaded and no other script run. No phone and no
        address is in it. The same report gives the same page.

    Notes
    -----
    About 1 kB for each entry of the work list, 0.3 kB for each substation.
    """
    script, style = _part("migration_report.js"), _part("migration_report.css")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    title = "Trial of a migration" if report.dry_run else "Migration"
    plane = plane_of(report)
    sections = (
        _tiles(report),
        _section("By source", _sources(report)),
        _section("Links", "".join(map(_links, report.links))),
        _section(
            "Doubtful links", draw_map(report, plane) if plane else _nothing("No doubtful link has a place.")
        ),
        _section(f"Work list ({report.work_count:,})", _work_list(report, plane)),
        _section("Coverage of each substation", _coverage(report.coverage)),
        _section("What the steps found", _findings(report)),
        _section("The ten steps", _steps(report)),
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{style}</style></head><body>"
        f"<header><h1>{title} {_verdict(report)}</h1>{_when(report)}</header>"
        f"<main>{''.join(sections)}</main><script>{script}</script></body></html>\n"
    )


def _part(name: str) -> str:
    return (files("oms_topology.viz") / name).read_text(encoding="utf-8")


def _section(title: str, body: str) -> str:
    return f"<section><h2>{title}</h2>{body}</section>"


def _nothing(said: str) -> str:
    return f'<p class="note">{said}</p>'


def _verdict(report: MigrationReport) -> str:
    tone, word = ("good", "success") if report.is_success else ("bad", "to be looked at")
    return f'<span class="badge {tone}">{word}</span>'


def _when(report: MigrationReport) -> str:
    took_s = (report.finished_at - report.started_at).total_seconds()
    rolled = " Nothing was written." if report.dry_run else ""
    return f'<p class="when">{_instant(report.started_at)}, {took_s:,.1f} s.{rolled}</p>'


def _instant(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S %Z}"


def _tone(share: float) -> str:
    return "good" if share > _ENOUGH else "fair" if share > _FAIR else "bad"


def _tiles(report: MigrationReport) -> str:
    totals = report.totals
    shares = (
        ("Names that lead to a meter", totals.migrated_rate, totals.migrated_names, totals.source_names),
        ("Meters with a substation", totals.substation_rate, totals.with_substation, totals.active_meters),
        ("Meters with a customer", totals.customer_rate, totals.with_customer, totals.active_meters),
    )
    tiles = [f'<div class="tile"><b>{totals.active_meters:,}</b><span>active meters</span></div>']
    tiles += [
        f'<div class="tile {_tone(share)}"><b>{_percent(share)}</b>'
        f"<span>{said}: {part:,} of {whole:,}</span></div>"
        for said, share, part, whole in shares
    ]
    return f'<div class="tiles">{"".join(tiles)}</div>'


def _percent(share: float) -> str:
    # Rounded down: 89.97 % is not yet 90.
    return f"{int(share * 1000) / 10:.1f} %"


def _table(heads: Iterable[str], rows: Iterable[str], *, scrolls: bool = False) -> str:
    """Lay out rows of cells; a head that ends with ``#`` is one of numbers."""
    head = "".join(
        f'<th class="n">{name[:-1]}</th>' if name.endswith("#") else f"<th>{name}</th>" for name in heads
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<div class="scroll">{table}</div>' if scrolls else table


def _number(value: float | None, digits: int = 0) -> str:
    return f'<td class="n">{"" if value is None else f"{value:,.{digits}f}"}</td>'


def _cell(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _sources(report: MigrationReport) -> str:
    totals = report.totals
    counted = (
        ("ONU service", totals.from_onu),
        ("KAIFA", totals.from_kaifa),
        ("Call center", totals.from_call_center),
        ("Linked to a substation", totals.with_substation),
        ("Linked to a feeder", totals.with_feeder),
        ("Linked to a distribution point", totals.with_distribution_point),
        ("Linked to a customer", totals.with_customer),
    )
    whole = max(totals.active_meters, 1)
    rows = (
        f"<tr>{_cell(said)}{_number(count)}{_number(100 * count / whole, 1)}"
        f"<td>{_bar({said: count}, whole)}</td></tr>"
        for said, count in counted
    )
    return _table(("Active meters", "Meters#", "%#", ""), rows) + _nothing(
        "A meter that several providers name counts with each of them."
    )


def _bar(parts: Mapping[str, int], whole: int) -> str:
    pieces = (
        f'<i class="{_colour(said, place)}" style="width:{100 * count / whole:.2f}%"'
        f' title="{escape(_words(said))}: {count:,}"></i>'
        for place, (said, count) in enumerate(parts.items())
        if count
    )
    return f'<div class="bar">{"".join(pieces)}</div>'


def _links(links: LinkStatistics) -> str:
    whole = max(sum(links.by_status.values()), 1)
    rules = "Linked by", _legend(links.by_rule)
    sure = "Confidence", _legend(links.by_confidence)
    parts = "".join(f'<p class="note">{said}</p>{legend}' for said, legend in (rules, sure) if legend)
    return (
        f"<h3>{escape(_words(links.target_kind)).capitalize()}</h3>{_bar(links.by_status, whole)}"
        f"{_legend(links.by_status, keyed=True)}{parts}"
    )


def _legend(counts: Mapping[str, int], *, keyed: bool = False) -> str:
    if not counts:
        return ""
    entries = []
    for place, (said, count) in enumerate(counts.items()):
        key = f'<i class="{_colour(said, place)}"></i>' if keyed else ""
        entries.append(f"<span>{key}{escape(_words(said))} {count:,}</span>")
    return f'<div class="legend">{"".join(entries)}</div>'


def _colour(said: str, place: int) -> str:
    """Give a status the same colour in each bar, and others one by their place."""
    return f"s{_STATUSES.index(said) if said in _STATUSES else place % 8}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _steps(report: MigrationReport) -> str:
    rows = (
        f"<tr>{_number(step.number)}{_cell(step.title)}<td>{_legend(step.counts)}</td>"
        f"{_number(len(step.findings))}</tr>"
        for step in report.steps
    )
    return _table(("#", "Step", "Rows", "Findings#"), rows)


def _findings(report: MigrationReport) -> str:
    if not report.findings:
        return _nothing("Nothing.")
    return _table(("", "Rows#", "What", "Which"), map(_finding, report.findings))


def _finding(finding: Finding) -> str:
    tone = "bad" if finding.severity == "error" else "fair"
    shown = " ".join(map(_code, finding.ids[:_MOST_IDS]))
    more = " ..." if finding.count > min(len(finding.ids), _MOST_IDS) else ""
    return (
        f'<tr><td><span class="badge {tone}">{finding.severity}</span></td>{_number(finding.count)}'
        f'<td class="what">{escape(finding.message)}'
        f"{_nothing(escape(finding.remedy))}</td><td>{shown}{more}</td></tr>"
    )


def _coverage(coverage: tuple[SubstationCoverage, ...]) -> str:
    most = max((one.meters for one in coverage), default=0) or 1
    heads = (
        "Code",
        "Name",
        "Feeders#",
        "Meters#",
        "Customers#",
        "By place#",
        "Mean confidence#",
        "Doubtful#",
        "",
    )
    rows = (
        f"<tr{'' if one.meters else ' class=empty'}><td>{_code(one.substation_id)}</td>{_cell(one.name)}"
        f"{_number(one.feeders)}{_number(one.meters)}{_number(one.customers)}{_number(one.by_place)}"
        f"{_number(one.mean_confidence, 3)}{_number(one.doubtful)}"
        f"<td>{_bar({'meters': one.meters}, most)}</td></tr>"
        for one in coverage
    )
    return _table(heads, rows, scrolls=True)


def _work_list(report: MigrationReport, plane: Plane | None) -> str:
    if not report.work_list:
        return _nothing("Nothing is left to do.")
    kinds = dict.fromkeys(item.target_kind for item in report.work_list)
    filters = "".join(
        f'<button data-kind="{escape(kind)}" aria-pressed="true">{escape(_words(kind))}</button> '
        for kind in kinds
    )
    rows = (_work_row(number, item, plane) for number, item in enumerate(report.work_list))
    shown = len(report.work_list)
    left = f" Shown are the {shown:,} least sure." if report.work_count > shown else ""
    heads = ("Meter", "Link", "Status", "Rule", "Confidence#", "Candidates")
    return (
        f'<p class="filters">{filters}</p>{_table(heads, rows, scrolls=True)}'
        f'<p class="note">A click on a meter with a place shows it on the map.{left}</p>'
    )


def _work_row(number: int, item: WorkItem, plane: Plane | None) -> str:
    at = ""
    place = place_of(item)
    if plane and place:
        x, y = plane.at(*place)
        at = f' data-at="{x:.1f} {y:.1f} {plane.span_of(item):.1f}" data-item="item{number}"'
    candidates = "<br>".join(map(_candidate, item.candidates))
    return (
        f'<tr data-kind="{escape(item.target_kind)}"{at}><td>{_code(item.meter_number)}</td>'
        f"{_cell(_words(item.target_kind))}{_cell(_words(item.status))}{_cell(_words(item.rule or ''))}"
        f"{_number(item.confidence, 2)}<td>{candidates}</td></tr>"
    )


def _candidate(one: Candidate) -> str:
    away = "" if one.distance_m is None else f"{one.distance_m:,.1f} m"
    return " ".join(part for part in (_code(one.code), escape(one.name), away) if part)
