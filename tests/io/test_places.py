"""The same places read alike from every format; what cannot be read is told in one sentence."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import geopandas
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import feather, parquet
from shapely import Point

import oms_topology as omt
from oms_topology.errors import GeometryError, SourceError
from oms_topology.io.places import read_places
from oms_topology.io.writing import write_columns

if TYPE_CHECKING:
    from pathlib import Path

COLUMNS: dict[str, list[Any]] = {
    "meter_number": ["007", "M2", "M3"],
    "longitude": [35.9, None, 35.91],
    "latitude": [31.95, None, 31.96],
    "kw": [1.5, 2.0, 3.0],
}
PILLARS = [Point(35.9001, 31.95), Point(35.91, 31.9601)]


def geo_frame() -> geopandas.GeoDataFrame:
    points = [Point(35.9, 31.95), None, Point(35.91, 31.96)]
    rest = {name: COLUMNS[name] for name in ("meter_number", "kw")}
    return geopandas.GeoDataFrame(rest, geometry=points, crs=4326)


def csv_file(home: Path) -> Path:
    path = home / "meters.csv"
    text = "meter_number;longitude;latitude;kw\n007;35.9;31.95;1.5\nM2;;;2\nM3;35.91;31.96;3\n"
    path.write_text(text, encoding="utf-8-sig")
    return path


def files(home: Path) -> dict[str, Any]:
    geojson, gpkg, plain = home / "meters.geojson", home / "meters.gpkg", home / "plain.parquet"
    geo_frame().to_file(geojson, driver="GeoJSON")
    geo_frame().to_crs(32636).to_file(gpkg, driver="GPKG")
    parquet.write_table(pa.table(COLUMNS), plain)
    feather.write_feather(pa.table(COLUMNS), home / "meters.feather")
    geo_frame().to_parquet(home / "geo.parquet")
    return {
        "csv": csv_file(home),
        "geojson": geojson,
        "geopackage in a projection": gpkg,
        "parquet": plain,
        "arrow": str(home / "meters.feather"),
        "geoparquet": home / "geo.parquet",
        "columns": COLUMNS,
        "pandas": pd.DataFrame(COLUMNS),
        "arrow table": pa.table(COLUMNS),
        "geopandas": geo_frame(),
    }


def test_every_format_gives_the_same_links(tmp_path: Path) -> None:
    for name, source in files(tmp_path).items():
        places = read_places(source, "points")
        links = omt.link_nearest(places.geometry, PILLARS, max_distance_m=50)
        assert places.ids().tolist() == COLUMNS["meter_number"], name
        assert places.numbers("kw").tolist() == COLUMNS["kw"], name
        assert (links.target.tolist(), links.status_names[1]) == ([0, -1, 1], "no_position"), name
        np.testing.assert_allclose(links.distance_m[[0, 2]], [9.456, 11.088], atol=2e-3, err_msg=name)


@pytest.mark.parametrize("ending", ["csv", "geojson", "parquet", "gpkg"])
def test_what_is_written_can_be_read(tmp_path: Path, ending: str) -> None:
    columns = {
        "id": np.array(["007", "M2"]),
        "longitude": np.array([35.9, np.nan]),
        "latitude": np.array([31.95, np.nan]),
        "target": np.array(["DP1", ""]),
        "distance_m": np.array([9.5, np.nan]),
    }
    path = tmp_path / f"links.{ending}"
    write_columns(columns, path)
    places = read_places(path)
    assert places.ids().tolist() == ["007", "M2"]
    assert places.codes("target").tolist() == ["DP1", ""]
    np.testing.assert_array_equal(places.table.numbers("distance_m"), columns["distance_m"])
    links = omt.link_nearest(places.geometry, PILLARS, max_distance_m=50)
    # A GeoPackage keeps a point of NaN as an empty one; both are no position to go by.
    assert links.status_names.tolist() == ["linked", "no_position"]


def test_a_number_that_is_none_spoils_its_row_alone() -> None:
    places = read_places({"lon": ["35.9", "east", ""], "lat": ["31.95", "31.95", ""]})
    links = omt.link_nearest(places.geometry, PILLARS, max_distance_m=50)
    assert links.status_names.tolist() == ["linked", "not_a_number", "no_position"]
    assert places.ids().tolist() == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"x": [1.0], "y": [2.0]}, "no column 'longitude' or 'lon'; there are: x, y"),
        ({"lon": [1.0]}, "no column 'latitude' or 'lat'"),
        ("places.xlsx", "has no ending that is known"),
        ("nowhere.csv", "No such file"),
        ("nowhere.gpkg", "no such file"),
    ],
)
def test_what_cannot_be_read_is_said(source: Any, said: str) -> None:
    with pytest.raises(SourceError, match=said):
        read_places(source, "points")


def test_metres_are_not_taken_for_degrees(tmp_path: Path) -> None:
    with pytest.raises(GeometryError, match=r"\(630201.7, 3360290.7\) are no degrees"):
        read_places({"lon": [630201.7, 630202.7], "lat": [3360290.7, 3360291.7]}, "points")
    projected = geo_frame().to_crs(32636)
    with pytest.raises(GeometryError, match="projected"):
        omt.link_nearest(read_places(projected).geometry, PILLARS, max_distance_m=50)
    nameless = tmp_path / "nameless.parquet"
    geo_frame().set_crs(None, allow_override=True).to_parquet(nameless)
    with pytest.raises(GeometryError, match="no coordinate reference system"):
        omt.link_nearest(read_places(nameless).geometry, PILLARS, max_distance_m=50)
    declared = tmp_path / "old.geojson"
    crs = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32636"}}
    declared.write_text(json.dumps({"type": "FeatureCollection", "crs": crs, "features": []}))
    with pytest.raises(GeometryError, match="GeoJSON is in degrees"):
        read_places(declared)


@pytest.mark.parametrize(
    ("text", "ending", "said"),
    [
        ("id,lon,lat\nA,1\n", "csv", "row 1 has 2 cells instead of 3"),
        ("id,lon,lat\nA\xff", "csv", "is no csv in UTF-8"),
        ("{", "geojson", "is no geojson"),
        ("[]", "geojson", "is no FeatureCollection"),
        ("PAR1", "parquet", "is no Parquet file"),
    ],
)
def test_broken_files_are_told(tmp_path: Path, text: str, ending: str, said: str) -> None:
    path = tmp_path / f"broken.{ending}"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(SourceError, match=said):
        read_places(path)


def test_ids_are_ids() -> None:
    places = read_places({"id": ["A", "A"], "name": ["x", ""], "lon": [1, 1], "lat": [1, 1]}, "targets")
    with pytest.raises(SourceError, match="targets: the id 'A' stands twice"):
        places.ids()
    with pytest.raises(SourceError, match="an id is missing"):
        places.ids("name")
    with pytest.raises(SourceError, match="no column 'code'; there are: id, name, lon, lat"):
        places.ids("code")
    with pytest.raises(SourceError, match="row 1 of the column 'id' is no number"):
        places.numbers("id")
