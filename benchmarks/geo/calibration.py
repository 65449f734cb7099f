"""How often the nearest target is the right one, by ratio of distances and by error of positions.

``python -m benchmarks.geo.calibration`` fits the table that `oms_topology.geo.confidence` holds, prints it,
says whether it is the one there, and judges it: fitted on one network with known links, judged on the other.
"""

from __future__ import annotations

import argparse
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.optimize import LinearConstraint, minimize
from scipy.sparse import coo_array, csr_array

import oms_topology as omt
from benchmarks.geo.truth import NETWORKS, Truth, shaken, truth
from oms_topology.geo.confidence import ERROR_SHARES, RATIOS, TABLE, TWINS, interpolated

if TYPE_CHECKING:
    from numpy.typing import NDArray

ERRORS_M: Final = (0.0, 2.5, 5.0, 7.5, 10.0, 15.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0, 80.0, 100.0, 150.0)
JUDGED_M: Final = (0.0, 5.0, 10.0, 20.0, 50.0)
BINS: Final = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 1.01)
LIMIT_M: Final = 5_000.0


class Trials(NamedTuple):
    """Links of shaken customers, shape (n,) each: the features, and whether the link was right."""

    ratio: NDArray[np.float64]
    error_share: NDArray[np.float64]
    right: NDArray[np.bool_]


def trials(known: Truth, errors_m: tuple[float, ...], rounds: int, seed: int) -> Trials:
    """Link the customers with every error, some rounds each; without an error all rounds are alike."""
    rng = np.random.default_rng(seed)
    found = []
    for error_m in errors_m:
        for _ in range(rounds):
            links = omt.link_nearest(
                shaken(known.points, error_m, rng),
                known.targets,
                max_distance_m=LIMIT_M,
                target_ids=known.target_ids,
            )
            second_m = links.second_distance_m
            found.append((links.distance_m / second_m, error_m / second_m, links.target == known.link))
    ratio, share, right = (np.concatenate(column) for column in zip(*found, strict=True))
    return Trials(ratio, share, right.astype(bool))


def fitted(part: Trials) -> NDArray[np.float64]:
    """Fit a table by least squares that falls along both axes."""
    shape = (len(RATIOS), len(ERROR_SHARES))
    apart = part.ratio < 1
    weights = _hats(part.ratio[apart], part.error_share[apart])
    # The least weight on each knot settles those that no trial is near to.
    square = (weights.T @ weights).toarray() / apart.sum() + np.eye(shape[0] * shape[1]) * 1e-7
    linear = weights.T @ part.right[apart] / apart.sum()
    solved = minimize(
        lambda knots: knots @ square @ knots / 2 - linear @ knots,
        np.full(len(linear), 0.5),
        jac=lambda knots: square @ knots - linear,
        method="SLSQP",
        bounds=[(0, 1)] * len(linear),
        constraints=LinearConstraint(_falling(shape), 0, np.inf),
        options={"maxiter": 500, "ftol": 1e-12},
    )
    # Rounded down, so that what is promised is kept; nearness alone makes nothing certain.
    return np.minimum(np.floor(solved.x.reshape(shape) * 100 + 1e-6) / 100, 0.99)


def twins(parts: list[Trials]) -> float:
    """How often the link is right where the second target is exactly as near."""
    alike = np.concatenate([part.right[part.ratio == 1] for part in parts])
    return float(np.floor(alike.mean() * 100) / 100)


def _hats(ratio: NDArray[np.float64], share: NDArray[np.float64]) -> csr_array:
    """Give the weight of each knot of the table for each trial."""
    rows, columns, weights = [], [], []
    low = [_split(ratio, RATIOS), _split(share, ERROR_SHARES)]
    for up_ratio in (0, 1):
        for up_share in (0, 1):
            (at, part), (beside, piece) = low
            weight = np.where(up_ratio, part, 1 - part) * np.where(up_share, piece, 1 - piece)
            rows.append(np.arange(len(ratio)))
            columns.append((at + up_ratio) * len(ERROR_SHARES) + beside + up_share)
            weights.append(weight)
    shape = (len(ratio), len(RATIOS) * len(ERROR_SHARES))
    return coo_array(
        (np.concatenate(weights), (np.concatenate(rows), np.concatenate(columns))), shape
    ).tocsr()


def _split(
    values: NDArray[np.float64], knots: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    within = np.interp(values, knots, np.arange(len(knots)))
    at = np.minimum(within.astype(np.intp), len(knots) - 2)
    return at, within - at


def _falling(shape: tuple[int, int]) -> NDArray[np.float64]:
    """Write a row for each pair of neighbours: the first must not be less than the second."""
    number = np.arange(shape[0] * shape[1]).reshape(shape)
    first = np.concatenate([number[:-1].ravel(), number[:, :-1].ravel()])
    second = np.concatenate([number[1:].ravel(), number[:, 1:].ravel()])
    matrix = np.zeros((len(first), shape[0] * shape[1]))
    matrix[np.arange(len(first)), first] = 1
    matrix[np.arange(len(first)), second] = -1
    return matrix


def judge(name: str, known: Truth, table: NDArray[np.float64], rounds: int) -> None:
    """Print of each error how often links were right, by bin of confidence."""
    print(f"\n{name}: right of the links, by confidence (links)")
    print("  error   all   " + "".join(f"{low:.1f}-{min(high, 1):.1f}        " for low, high in _pairs()))
    for error_m in JUDGED_M:
        part = trials(known, (error_m,), rounds if error_m else 1, seed=2)
        sure = interpolated(part.ratio, part.error_share, table)
        sure[part.ratio == 1] = np.minimum(sure[part.ratio == 1], TWINS)
        cells = []
        for low, high in _pairs():
            inside = (sure >= low) & (sure < high)
            share = f"{100 * part.right[inside].mean():5.1f} %" if inside.any() else "      -"
            cells.append(f"{share} ({inside.sum():5})")
        print(f"  {error_m:3.0f} m {100 * part.right.mean():5.1f} %  " + " ".join(cells))


def _pairs() -> list[tuple[float, float]]:
    return list(pairwise(BINS))


def main() -> int:
    """Fit, compare and judge; 1 if the table of the package is another one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few rounds: that it runs, not what it says")
    quick = parser.parse_args().quick
    rounds = 1 if quick else 100
    known = {name: truth(name) for name in NETWORKS}
    drawn = {name: trials(known[name], ERRORS_M, rounds, seed=1) for name in NETWORKS}
    fits = {name: fitted(drawn[name]) for name in NETWORKS}
    # The poorer network counts, so that what is promised is kept in both.
    table = np.minimum.reduce(list(fits.values()))
    print("error of positions by second distance:", ERROR_SHARES.tolist())
    for ratio, row in zip(RATIOS, table, strict=True):
        print(f"  ratio {ratio:.2f}: {row.tolist()}")
    print(f"two equally near: {twins(list(drawn.values()))}")
    same = np.array_equal(table, TABLE)
    print(f"This is {'' if same else 'not '}the table of the package.")
    for name in NETWORKS:
        (other,) = set(NETWORKS) - {name}
        judge(f"fitted on {other}, judged on {name}", known[name], fits[other], rounds)
        judge(f"the table of the package on {name}", known[name], TABLE, rounds)
    return 0 if same or quick else 1


if __name__ == "__main__":
    sys.exit(main())
