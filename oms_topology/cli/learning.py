"""``oms-topology outages learn``: how far reports can be trusted, by the outages that are over."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from oms_topology.cli.common import DatabaseOption, JsonOption, emit_json, opened, screen, table

if TYPE_CHECKING:
    from oms_topology.outages.learning import LearnedRate

__all__ = ["learn"]


def learn(
    *,
    write: Annotated[bool, typer.Option("--write", help="Weigh by what was learned from now on.")] = False,
    days: Annotated[int, typer.Option(min=1, help="How far back to look.")] = 365,
    least_confidence: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="How probable the cause must be, unless confirmed.")
    ] = 0.9,
    database: DatabaseOption = None,
    as_json: JsonOption = False,
) -> None:
    """Learn from closed outages how often each kind of report comes, with power and without.

    The usual rates count as 100 meters without power and 20,000 with.
    """
    from oms_topology.service.learning import learn_from_history

    with opened(database) as target:
        learned = learn_from_history(target, days=days, least_confidence=least_confidence, write=write)
    if as_json:
        report = {
            kind.value: {"detection": asdict(detection), "false_alarm": asdict(false_alarm)}
            for kind, (detection, false_alarm) in learned.report.items()
        }
        emit_json(
            {
                "outages": learned.outages,
                "written": write,
                "report": report,
                "rates": learned.rates.to_mapping(),
            }
        )
    elif learned.report:
        rows = [
            (kind.value, name, *_told(rate))
            for kind, (detection, false_alarm) in learned.report.items()
            for name, rate in (("without power", detection), ("with power", false_alarm))
        ]
        screen().print(table(["report", "comes", "#usual", "#learned", "#deviation", "#cases"], rows))
        screen().print(f"From {learned.outages:,} closed outages{', and set' if write else ''}.")
    else:
        screen().print("No closed outage to learn from.")


def _told(rate: LearnedRate) -> tuple[str, str, str, str]:
    return f"{rate.before:.6f}", f"{rate.after:.6f}", f"{rate.deviation:.6f}", f"{rate.seen:,}"
