"""How often links are right where truth is known, rule by rule: ``python -m benchmarks.geo.accuracy``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import shapely

import oms_topology as omt
from benchmarks.geo.truth import NETWORKS, Truth, shaken, truth

if TYPE_CHECKING:
    from oms_topology.geo.linking import Links

ERRORS_M: Final = (0.0, 5.0, 10.0, 20.0, 50.0)
LIMIT_M: Final = 1_000.0


def by_rule(known: Truth, points: Any, error_m: float) -> dict[str, Links]:
    """Link by every rule; capacities are the true numbers of customers, and a third more."""
    fed = np.bincount(known.link, minlength=len(known.targets)).astype(float)
    how: dict[str, Any] = {
        "max_distance_m": LIMIT_M,
        "target_ids": known.target_ids,
        "position_error_m": error_m,
    }
    asked = (points, known.targets)
    found = {"nearest": omt.link_nearest(*asked, **how)}
    if len(known.lines) * 2 > len(known.targets):  # else hardly anything but service drops is drawn
        drawn = shapely.linestrings(known.lines)
        found["nearest line"] = omt.link_along_lines(points, drawn, known.targets, **how)
    found["capacity"] = omt.link_within_capacity(*asked, fed, **how)
    found["capacity and a third"] = omt.link_within_capacity(*asked, np.ceil(fed * 4 / 3), **how)
    found["least sum within capacity"] = omt.link_within_capacity(*asked, fed, least_total=True, **how)
    return found


def shares(known: Truth, error_m: float, rounds: int) -> dict[str, tuple[float, float]]:
    """Give by rule the share of customers that it says something of, and how much of that is right."""
    rng = np.random.default_rng(11)
    told: dict[str, list[np.ndarray[Any, Any]]] = {}
    for _ in range(rounds if error_m else 1):
        found = by_rule(known, shaken(known.points, error_m, rng), error_m)
        said = {name: links.target for name, links in found.items()}
        if "nearest line" in said:
            agree = said["nearest"] == said["nearest line"]
            said["nearest and line agree"] = np.where(agree, said["nearest"], -1)
        for name, target in said.items():
            told.setdefault(name, []).append(np.stack([target >= 0, target == known.link]))
    counts = {name: np.concatenate(parts, axis=1) for name, parts in told.items()}
    return {name: (count[0].mean(), count[1].sum() / count[0].sum()) for name, count in counts.items()}


def main() -> None:
    """Print a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds: that it runs, not what it says")
    rounds = 1 if parser.parse_args().quick else 20
    for name in NETWORKS:
        known = truth(name)
        print(f"\n{name}: {len(known.points):,} customers, {len(known.targets):,} transformers")
        print("right, of those that the rule says something of (share of all), positions moved by")
        rows = {error_m: shares(known, error_m, rounds) for error_m in ERRORS_M}
        print(" " * 28 + "".join(f"{error_m:>12.0f} m    " for error_m in ERRORS_M))
        for rule in rows[0.0]:
            cells = [f"{right:7.1%} ({told:4.0%})   " for told, right in (row[rule] for row in rows.values())]
            print(f"  {rule:26}" + "".join(cells))


if __name__ == "__main__":
    main()
