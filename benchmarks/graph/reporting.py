"""The figures of a run, printed as they come, and in the end as one table and as JSON."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from benchmarks.graph.measuring import Timing

__all__ = ["OURS", "Report"]

OURS = "oms_topology"
_SCALES = {"ns": 1e9, "us": 1e6, "ms": 1e3, "s": 1.0}


@dataclass(frozen=True)
class Figure:
    """One figure: what was done, by whom, on how many meters; the goal where there is one."""

    subject: str
    work: str
    who: str
    meters: int
    best: float
    median: float
    unit: str
    goal: str


class Report:
    """Gathers figures and shows them."""

    def __init__(self) -> None:
        self.figures: list[Figure] = []
        self.missing: list[str] = []
        self._subject = ""

    def begin(self, subject: str, meters: int) -> None:
        """Head the figures that follow."""
        self._subject = subject
        print(f"\n{subject}, {meters:,} meters", flush=True)

    def time(
        self, work: str, meters: int, timing: Timing, unit: str, *, who: str = OURS, goal: str = ""
    ) -> None:
        """Note a time."""
        scale = _SCALES[unit]
        self._add(
            Figure(
                self._subject, work, who, meters, timing.best_s * scale, timing.median_s * scale, unit, goal
            )
        )

    def size(
        self, work: str, meters: int, value: float, unit: str, *, who: str = OURS, goal: str = ""
    ) -> None:
        """Note a size, or a ratio."""
        self._add(Figure(self._subject, work, who, meters, value, value, unit, goal))

    def _add(self, figure: Figure) -> None:
        self.figures.append(figure)
        name = figure.work if figure.who == OURS else f"  {figure.work} ({figure.who})"
        goal = f"   goal {figure.goal}" if figure.goal else ""
        print(f"  {name:66}{figure.best:14,.3f}{figure.median:14,.3f} {figure.unit}{goal}", flush=True)

    def skip(self, what: str, reason: str) -> None:
        """Say that something is not measured, and why; the table repeats it."""
        self.missing.append(f"{what}: {reason}")
        print(f"  not measured: {what}: {reason}", file=sys.stderr, flush=True)

    def median(self, work: str, meters: int, who: str = OURS) -> float | None:
        """Give the median that was noted, in its unit; None when there is none."""
        found = [f.median for f in self.figures if (f.work, f.meters, f.who) == (work, meters, who)]
        return found[-1] if found else None

    def growth(self, work: str, goal: str = "") -> None:
        """Note how a time of ours grew from the smallest to the largest network."""
        sizes = sorted({f.meters for f in self.figures if f.work == work and f.who == OURS})
        if len(sizes) > 1:
            first, last = self.median(work, sizes[0]), self.median(work, sizes[-1])
            if first and last:
                self.size(f"{work}: times {sizes[0]:,}", sizes[-1], last / first, "x", goal=goal)

    def markdown(self) -> str:
        """Give all figures as one table: a row a piece of work, a column a size; median (best)."""
        sizes = sorted({figure.meters for figure in self.figures})
        lines = [
            f"| work | by | {' | '.join(f'{size:,}' for size in sizes)} | goal |",
            "|---|---|" + "---|" * len(sizes) + "---|",
        ]
        for subject in dict.fromkeys(figure.subject for figure in self.figures):
            lines.append(f"| **{subject}** | | {' | ' * len(sizes)} |")
            mine = [figure for figure in self.figures if figure.subject == subject]
            lines += [_line(mine, *row, sizes) for row in dict.fromkeys((f.work, f.who) for f in mine)]
        lines += ["", "Median (best); single values where nothing was repeated.", ""]
        return "\n".join([*lines, *(f"Not measured: {each}." for each in dict.fromkeys(self.missing))])

    def plain(self) -> list[dict[str, object]]:
        """Give the figures for JSON."""
        return [asdict(figure) for figure in self.figures]


def _line(figures: Iterable[Figure], work: str, who: str, sizes: Iterable[int]) -> str:
    mine = {figure.meters: figure for figure in figures if (figure.work, figure.who) == (work, who)}
    cells = [_cell(mine[size]) if size in mine else "" for size in sizes]
    goals = "; ".join(dict.fromkeys(figure.goal for figure in mine.values() if figure.goal))
    return f"| {work} | {who} | {' | '.join(cells)} | {goals} |"


def _cell(figure: Figure) -> str:
    median, best = _short(figure.median), _short(figure.best)
    return f"{median} {figure.unit}" if median == best else f"{median} ({best}) {figure.unit}"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
