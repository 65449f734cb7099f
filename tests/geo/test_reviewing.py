"""Nothing doubtful is left off the work list, and the parts of the town add up."""

from __future__ import annotations

import numpy as np
import pytest
from shapely import Point

import oms_topology as omt
from oms_topology.geo.coordinates import Positions
from oms_topology.geo.reviewing import certainty, link_columns, work_list
from tests.geo.brute_force import all_lengths_m, scattered

COUNT, TARGETS, LIMIT_M = 400, 60, 900.0


@pytest.fixture
def town() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(8)
    points = np.column_stack(scattered(rng, COUNT, 35.9, 31.95, 0.05))
    points[:4] = [(np.nan, 31.9), (0, 0), (200, 31.9), (37.5, 31.9)]
    return {
        "points": points,
        "targets": np.column_stack(scattered(rng, TARGETS, 35.9, 31.95, 0.05)),
        "point_ids": rng.permutation(COUNT).astype(str),
        "target_ids": rng.permutation(TARGETS).astype(str),
    }


def test_the_work_list_holds_all_that_is_doubtful_with_the_nearest_there_are(
    town: dict[str, np.ndarray],
) -> None:
    names = {name: town[name] for name in ("point_ids", "target_ids")}
    links = omt.link_nearest(town["points"], town["targets"], max_distance_m=LIMIT_M)
    listed = work_list(town["points"], town["targets"], links, sure=0.8, shown=4, **names)
    doubtful = ~(links.confidence >= 0.8)
    assert set(listed["id"]) == set(town["point_ids"][doubtful])
    assert 4 < len(listed["id"]) < COUNT
    sure = listed["confidence"][np.isfinite(listed["confidence"])]
    assert (np.diff(sure) >= 0).all()
    assert np.isnan(listed["confidence"][len(sure) :]).all()
    assert listed["id"][len(sure) :].tolist() == sorted(listed["id"][len(sure) :])
    row_of = {name: row for row, name in enumerate(town["point_ids"].tolist())}
    usable = [row for row, name in enumerate(listed["id"]) if row_of[name] > 2]
    at = np.array([row_of[listed["id"][row]] for row in usable])
    length_m = all_lengths_m(Positions(*town["points"][at].T.copy()), Positions(*town["targets"].T.copy()))
    length_m[length_m > LIMIT_M * 10] = np.nan
    order = np.argsort(length_m, axis=1)[:, :4]
    for place in range(4):
        away_m = np.take_along_axis(length_m, order[:, [place]], axis=1)[:, 0]
        np.testing.assert_allclose(listed[f"candidate_{place + 1}_m"][usable], away_m, atol=1e-6)
        wanted = np.where(np.isnan(away_m), "", town["target_ids"][order[:, place]])
        assert listed[f"candidate_{place + 1}"][usable].tolist() == wanted.tolist()
    unusable = [row for row in range(len(listed["id"])) if row not in usable]
    assert [listed["candidate_1"][row] for row in unusable] == [""] * 3


def test_others_can_be_put_on_the_list_and_groups_are_kept_to(town: dict[str, np.ndarray]) -> None:
    names = {name: town[name] for name in ("point_ids", "target_ids")}
    groups, target_groups = np.arange(COUNT) % 2, np.arange(TARGETS) % 2
    how = {"groups": groups, "target_groups": target_groups}
    links = omt.link_nearest(town["points"], town["targets"], max_distance_m=LIMIT_M, **how)
    also = np.zeros(COUNT, dtype=bool)
    also[np.flatnonzero(links.confidence > 0.95)[0]] = True
    listed = work_list(town["points"], town["targets"], links, sure=0, also=also, **names, **how)
    assert set(listed["id"]) == set(town["point_ids"][also | (links.target < 0)])
    group_of = dict(zip(town["point_ids"].tolist(), groups.tolist(), strict=True))
    target_group_of = dict(zip(town["target_ids"].tolist(), target_groups.tolist(), strict=True)) | {"": None}
    for name, candidate in zip(listed["id"].tolist(), listed["candidate_2"].tolist(), strict=True):
        assert target_group_of[candidate] in (group_of[name], None)


@pytest.mark.parametrize("grouped", [False, True])
def test_the_parts_of_the_town_add_up(town: dict[str, np.ndarray], grouped: bool) -> None:
    links = omt.link_nearest(town["points"], town["targets"], max_distance_m=LIMIT_M)
    groups = np.array(["east", "west"])[(town["points"][:, 0] < 35.9).astype(int)] if grouped else None
    parts = certainty(town["points"], links, groups=groups, sure=0.8)
    confidence = links.confidence[links.target >= 0]
    assert parts["points"].sum() == COUNT - 3
    assert parts["linked"].sum() == len(confidence)
    assert parts["unsure"].sum() == (confidence < 0.8).sum()
    expected = np.nansum(parts["expected_right"] * parts["linked"])
    assert expected == pytest.approx(confidence.sum())
    assert len(parts["part"]) == len(set(parts["part"].tolist())) == (2 if grouped else len(parts["part"]))
    known = parts["expected_right"][np.isfinite(parts["expected_right"])]
    assert (np.diff(known) >= 0).all()
    if not grouped:
        assert len(known) > 20
        far = parts["longitude"] > 37
        assert (parts["points"][far].tolist(), parts["linked"][far].tolist()) == ([1], [0])
        assert np.isnan(parts["expected_right"][far]).all()


def test_nothing_gives_empty_columns() -> None:
    nothing = np.empty((0, 2))
    links = omt.link_nearest(nothing, [Point(35.9, 31.95)], max_distance_m=500)
    ids = {"point_ids": np.empty(0, dtype=str), "target_ids": np.array(["DP1"])}
    for columns in (
        link_columns(nothing, links, **ids),
        work_list(nothing, [Point(35.9, 31.95)], links, **ids),
        certainty(nothing, links),
    ):
        assert {len(column) for column in columns.values()} == {0}
