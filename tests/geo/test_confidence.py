"""Of links with a confidence of 0.9 nine in ten are right, where truth is known; more sure is more right."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import oms_topology as omt
from benchmarks.geo.truth import NETWORKS, shaken, truth
from oms_topology.geo.confidence import TABLE, TWINS, link_confidence

BINS = (0.0, 0.5, 0.7, 0.9, 1.01)
FEW = 30


@pytest.mark.parametrize("error_m", [0.0, 5.0, 10.0, 20.0, 50.0])
@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_calibrated_where_the_truth_is_known(name: str, error_m: float) -> None:
    known, rng = truth(name), np.random.default_rng(5)
    sure, right = [], []
    for _ in range(20 if error_m else 1):
        links = omt.link_nearest(
            shaken(known.points, error_m, rng),
            known.targets,
            max_distance_m=5_000,
            target_ids=known.target_ids,
            position_error_m=error_m,
        )
        sure.append(links.confidence)
        right.append(links.target == known.link)
    confidence, is_right = np.concatenate(sure), np.concatenate(right)
    inside = [(confidence >= low) & (confidence < high) for low, high in pairwise(BINS)]
    shares = [is_right[rows].mean() for rows in inside if rows.sum() >= FEW]
    assert shares == sorted(shares)
    best = is_right[confidence >= 0.9]
    assert best.size == 0 or best.mean() >= 0.9
    # Not by being shy: where positions are good, most of what is right is said to be.
    assert error_m > 5 or (is_right & (confidence >= 0.7)).sum() > 0.7 * is_right.sum()


@given(
    nearer=st.floats(0, 1),
    farther=st.floats(0, 1),
    second_m=st.floats(0.001, 1e6),
    errors_m=st.tuples(st.floats(0, 1e6), st.floats(0, 1e6)),
)
def test_it_falls_with_the_ratio_and_with_the_error(
    nearer: float, farther: float, second_m: float, errors_m: tuple[float, float]
) -> None:
    near_m = np.array(sorted((nearer, farther))) * second_m
    by_error = [
        link_confidence(near_m, np.full(2, second_m), max_distance_m=1e7, position_error_m=error_m)
        for error_m in sorted(errors_m)
    ]
    table = np.array(by_error)
    assert ((table >= 0) & (table <= 1)).all()
    apart = near_m < second_m
    assert (np.diff(table, axis=0) <= 1e-12).all()
    assert not apart.all() or (np.diff(table, axis=1) <= 1e-12).all()


def test_what_is_missing_or_equal_is_not_trusted() -> None:
    near = np.array([np.nan, 5.0, 5.0, 0.0, 499.0])
    second = np.array([np.nan, 5.0, np.nan, 0.0, np.nan])
    confidence = link_confidence(near, second, max_distance_m=500)
    assert np.isnan(confidence[0])
    assert (confidence[[1, 3]] <= TWINS).all()
    assert link_confidence(near, second, max_distance_m=500, position_error_m=0)[1] == TWINS
    # A lone target is judged as if the next one stood just beyond the limit.
    beyond = link_confidence(near[[2, 4]], np.full(2, 500.0), max_distance_m=500)
    assert confidence[[2, 4]].tolist() == beyond.tolist()
    assert confidence[4] < 0.5 < 0.9 < confidence[2]
    assert link_confidence(np.empty(0), np.empty(0), max_distance_m=500).shape == (0,)


def test_the_table_falls_along_both_axes() -> None:
    assert (np.diff(TABLE, axis=0) <= 0).all()
    assert (np.diff(TABLE, axis=1) <= 0).all()


def test_it_asks_for_an_error_that_can_be() -> None:
    with pytest.raises(ValueError, match="position_error_m"):
        omt.link_nearest(np.zeros((1, 2)), np.zeros((1, 2)), max_distance_m=5, position_error_m=-1)
    links = omt.link_nearest(np.array([[35.9, 31.9]]), np.array([[35.9, 31.9]]), max_distance_m=5)
    assert (links.rule, links.max_distance_m, links.position_error_m) == ("nearest", 5, 5)
