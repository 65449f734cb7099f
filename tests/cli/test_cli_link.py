"""The command that links: files in, files out, and one exit code for what was found."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from typer.testing import CliRunner

import oms_topology as omt
from oms_topology.cli.app import app

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result


@pytest.fixture
def town(tmp_path: Path) -> Path:
    """Sixty meters and twenty transformers of two substations, and two meters that cannot be linked."""
    rng = np.random.default_rng(4)
    for name, ids, count in (("meters", "meter_number", 60), ("pillars", "dp_id", 20)):
        with (tmp_path / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow([ids, "substation", "longitude", "latitude", "kva"])
            for row, (east, north) in enumerate(rng.uniform(0, 0.01, (count, 2))):
                writer.writerow([f"{ids[0]}{row:02}", f"SS{row % 2}", 35.9 + east, 31.95 + north, 4])
            if name == "meters":
                writer.writerow(["m98", "SS1", "", "", 4])
                writer.writerow(["m99", "SS1", 36.5, 31.95, 4])
    return tmp_path


def run(town: Path, *words: str) -> Result:
    files = [str(town / "meters.csv"), str(town / "pillars.csv")]
    return CliRunner().invoke(app, ["link", *files, "--max-distance-m", "500", *words])


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def positions(path: Path) -> np.ndarray[Any, Any]:
    return np.array([[float(row[axis] or "nan") for axis in ("longitude", "latitude")] for row in rows(path)])


def test_links_and_doubts_are_written(town: Path) -> None:
    files = {"output": "links.csv", "work-list": "todo.geojson", "parts": "parts.csv"}
    named = [word for name, file in files.items() for word in (f"--{name}", str(town / file))]
    result = run(town, "--json", "--sure", "0.6", *named)
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["status"] == {"linked": 60, "too_far": 1, "no_position": 1}
    links = omt.link_nearest(
        positions(town / "meters.csv"), positions(town / "pillars.csv"), max_distance_m=500
    )
    written = rows(town / "links.csv")
    assert [row["target"] for row in written[:60]] == [f"d{row:02}" for row in links.target[:60]]
    assert [float(row["confidence"]) for row in written[:60]] == links.confidence[:60].tolist()
    assert [row["status"] for row in written[60:]] == ["no_position", "too_far"]
    doubts = json.loads((town / "todo.geojson").read_text())["features"]
    unsure = int((links.confidence[:60] < 0.6).sum())
    assert len(doubts) == facts["work_list"] == unsure + 2 > 2
    first, last = doubts[0]["properties"], doubts[-1]
    assert first["confidence"] == links.confidence[:60].min()
    assert first["candidate_1"] == first["target"]
    assert first["candidate_2_m"] == pytest.approx(first["second_distance_m"])
    assert {doubt["properties"]["id"] for doubt in doubts[-2:]} == {"m98", "m99"}
    assert last["properties"]["candidate_1"] == ""
    parts = rows(town / "parts.csv")
    assert sum(int(row["points"]) for row in parts) == 61
    assert sum(int(row["linked"]) for row in parts) == 60


def test_groups_and_capacities_are_kept_to(town: Path) -> None:
    output = town / "links.csv"
    result = run(town, "--same-group", "substation", "--output", str(output))
    assert result.exit_code == 0, result.output
    assert "of the links are right" in result.stdout
    linked = [row for row in rows(output) if row["status"] == "linked"]
    assert len(linked) > 50
    assert all(int(row["id"][1:]) % 2 == int(row["target"][1:]) % 2 for row in linked)
    demand = ["--capacity", "kva", "--demand", "kva"]
    result = run(town, *demand, "--json", "--at-least", "0.5", "--output", str(output))
    assert result.exit_code == 1
    facts = json.loads(result.stdout)
    targets = [row["target"] for row in rows(output) if row["target"]]
    assert facts["rule"] == "capacity"
    assert len(targets) == len(set(targets)) == facts["status"]["linked"] <= 20
    assert facts["status"]["no_capacity"] >= 40


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--same-group", "street"], "points: there is no column 'street'; there are: meter_number"),
        (["--capacity", "tons"], "targets: there is no column 'tons'"),
        (["--point-id", "substation"], "the id 'SS0' stands twice"),
        (["--output", "links.doc"], "has no ending that can be written"),
        (["--demand", "kva"], "--capacity"),
        (["--lines", "lines.geojson", "--capacity", "kva"], "do not go together"),
        (["--part", "quarter"], "there is no column 'quarter'"),
    ],
)
def test_wrong_usage_ends_with_two(town: Path, words: list[str], says: str) -> None:
    result = run(town, *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert says in " ".join(result.stderr.replace("│", " ").split())


def test_lines_are_followed_and_where_the_nearest_differs_somebody_looks(town: Path) -> None:
    drawn = [(row["longitude"], row["latitude"]) for row in rows(town / "pillars.csv")[:2]]
    meter = rows(town / "meters.csv")[0]
    # The first transformer's line ends beside the first meter.
    ends = [[float(axis) for axis in place] for place in (drawn[0], (meter["longitude"], meter["latitude"]))]
    ends[1][0] += 1e-5
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "LineString", "coordinates": ends}}
    (town / "lines.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    words = ["--lines", str(town / "lines.geojson"), "--work-list", str(town / "todo.csv"), "--json"]
    result = run(town, *words, "--sure", "0", "--output", str(town / "links.csv"))
    assert result.exit_code == 0, result.output
    facts, first = json.loads(result.stdout), rows(town / "links.csv")[0]
    assert (facts["rule"], first["target"], first["rule"]) == ("line", "d00", "line")
    assert float(first["distance_m"]) < 0.96
    listed = {row["id"] for row in rows(town / "todo.csv")}
    differ = {
        row["id"] for row in rows(town / "links.csv") if row["nearest"] and row["nearest"] != row["target"]
    }
    assert first["nearest"] != "d00"
    assert listed == differ | {"m98", "m99"} | {
        row["id"] for row in rows(town / "links.csv") if not row["target"]
    }


def test_targets_may_be_lines(town: Path) -> None:
    feeders = {"FD1": [[35.9, 31.949], [35.91, 31.949]], "FD2": [[35.9, 31.961], [35.91, 31.961]]}
    features = [
        {
            "type": "Feature",
            "id": name,
            "properties": {},
            "geometry": {"type": "LineString", "coordinates": ends},
        }
        for name, ends in feeders.items()
    ]
    path = town / "feeders.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    words = ["--max-distance-m", "2000", "--output", str(town / "l.csv"), "--work-list", str(town / "w.csv")]
    result = CliRunner().invoke(app, ["link", str(town / "meters.csv"), str(path), *words])
    assert result.exit_code == 0, result.output
    north = positions(town / "meters.csv")[:60, 1] > 31.955
    nearest = [row["target"] for row in rows(town / "l.csv")[:60]]
    assert nearest == np.where(north, "FD2", "FD1").tolist()
    doubts = rows(town / "w.csv")
    assert len(doubts) > 2
    assert all(row["candidate_1"] == row["target"] for row in doubts if row["target"])
