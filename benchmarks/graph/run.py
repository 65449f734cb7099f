"""Measure the graph room against the graph libraries, in one run on one machine.

    python -m benchmarks.graph.run [--quick] [--sizes 1000 1000000 10000000] [--only SUBJECT ...]
                                   [--peers-python PYTHON ...] [--json FILE] [--markdown FILE] [--processor]

Every time is the minimum and the median of several rounds with the garbage collector off, every
question another one than the round before. ``--processor`` counts the processor time of the thread
instead, where other work runs on the machine. What is compared is asked of networks whose ids are
permuted, as they are in a real extract. Answers are held against a peer's or against plain arrays
in the same run; a wrong one stops it. pandapower and power-grid-model-ds are looked for in this
environment and in those of ``--peers-python`` (pandapower wants an older pandas than ours).
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.graph import (
    apart,
    backend,
    batches,
    below,
    building,
    changes,
    common,
    memory,
    transfers,
    validation,
)
from benchmarks.graph.case import Case
from benchmarks.graph.measuring import count_processor_time
from benchmarks.graph.networks import city, strands, with_breakers, with_transfers
from benchmarks.graph.reporting import Report

if TYPE_CHECKING:
    from collections.abc import Callable

_SUBJECTS = (
    "below",
    "batches",
    "common",
    "building",
    "changes",
    "transfers",
    "apart",
    "memory",
    "validation",
    "backend",
)
_MEDIUM = 100_000


def main(arguments: list[str] | None = None) -> int:
    """Run, print, and write JSON and the table where asked."""
    chosen = _arguments(arguments)
    sizes = chosen.sizes or ([1_000, 20_000] if chosen.quick else [1_000, 1_000_000, 10_000_000])
    if chosen.processor:
        count_processor_time()
    report = Report()
    begin = time.perf_counter()
    for meters in sizes:
        _measure(report, meters, chosen)
    if "apart" in chosen.only and not chosen.quick and _MEDIUM not in sizes:
        _bearable(report, chosen)
    if "backend" in chosen.only:
        backend.measure(report, quick=chosen.quick)
    _conclude(report, chosen)
    took = time.perf_counter() - begin
    print(f"\n{took:,.0f} s in all, Python {platform.python_version()}, {platform.machine()}")
    return 0


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="1,000 and 20,000 meters, few rounds")
    parser.add_argument("--sizes", type=int, nargs="+", help="meters in the networks, thousands")
    parser.add_argument("--only", nargs="+", choices=_SUBJECTS, default=_SUBJECTS, help="some subjects only")
    parser.add_argument("--peers-python", nargs="+", default=[], help="interpreters that have further peers")
    parser.add_argument("--processor", action="store_true", help="processor time, not wall time")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    parser.add_argument("--markdown", type=Path, help="write the table to this file")
    return parser.parse_args(arguments)


def _measure(report: Report, meters: int, chosen: argparse.Namespace) -> None:
    rounds = 3 if chosen.quick else 9
    for subject, measure in _by_network(report, meters, rounds, chosen).items():
        if subject in chosen.only:
            measure()
    gc.unfreeze()


def _by_network(
    report: Report, meters: int, rounds: int, chosen: argparse.Namespace
) -> dict[str, Callable[[], None]]:
    """Say how each subject is measured at a size; networks are made when first needed, and given up."""
    kept: dict[str, Case] = {}

    def usual() -> Case:
        if "city" not in kept:
            kept["city"] = Case(with_breakers(city(meters)), meters, rounds, report)
        return kept["city"]

    def other(columns: object) -> Case:
        return Case(columns, meters, rounds, report)  # type: ignore[arg-type]

    def both_depths() -> None:
        common.measure(usual(), "3 deep")
        common.measure(other(strands(meters)), "432 deep")
        if meters == 1_000:
            common.measure_chain(other(strands(5_000, 5_000, 1, 1)))

    def build() -> None:
        building.measure(usual(), "3 deep")
        if meters <= 2_000_000:
            building.measure(other(strands(meters)), "432 deep")

    def changed() -> None:
        changes.measure(usual())
        kept.clear()
        gc.unfreeze()

    return {
        "below": lambda: below.measure(usual()),
        "batches": lambda: batches.measure(usual()),
        "common": both_depths,
        "building": build,
        "apart": lambda: apart.measure(usual(), [sys.executable, *chosen.peers_python]),
        "backend": lambda: backend.check(usual()) if meters <= _MEDIUM else None,
        "changes": changed,
        "transfers": lambda: transfers.measure(other(with_transfers(max(2, meters // 1_000)))),
        "memory": lambda: memory.measure(report, meters),
        "validation": lambda: validation.measure(
            report, meters, 1 if meters > 2_000_000 else max(1, rounds // 3)
        ),
    }


def _bearable(report: Report, chosen: argparse.Namespace) -> None:
    """Ask the slow peers of a network that they bear, and us of the same."""
    case = Case(with_breakers(city(_MEDIUM)), _MEDIUM, 9, report)
    below.measure(case)
    apart.measure(case, [sys.executable, *chosen.peers_python])


def _conclude(report: Report, chosen: argparse.Namespace) -> None:
    report.begin("Growth of the time", max(figure.meters for figure in report.figures))
    for kind in below.LEVELS:
        report.growth(below.view_of(kind), goal="at most 3")
        report.growth(below.again_of(kind), goal="at most 3")
    if chosen.json:
        chosen.json.write_text(
            json.dumps({"figures": report.plain(), "missing": report.missing}, indent=2) + "\n",
            encoding="utf-8",
        )
    if chosen.markdown:
        chosen.markdown.write_text(report.markdown(), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
