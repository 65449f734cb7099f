"""Tables with a position in each row, from files and frames of any make."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from oms_topology.errors import GeometryError, MissingExtraError, SourceError
from oms_topology.graph.reading.tables import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

__all__ = ["FORMATS", "PlaceTable", "read_places"]

_LONGITUDE: Final = ("longitude", "lon", "lng", "long")
_LATITUDE: Final = ("latitude", "lat")
_IDS: Final = ("id", "meter_number", "dp_id", "feeder_id", "substation_id")
_WGS84_NAMES: Final = ("CRS84", "EPSG::4326", "EPSG:4326")


@dataclass(frozen=True, slots=True)
class PlaceTable:
    """A table with a position in each row.

    Attributes
    ----------
    name : str
        What it is called in messages.
    table : Table
        The columns that are no geometry.
    geometry : Any
        What `link_nearest` takes, row by row.
    """

    name: str
    table: Table
    geometry: Any

    def __len__(self) -> int:
        return len(self.geometry)

    def ids(self, column: str | None = None) -> NDArray[np.str_]:
        """Give the ids: of the named column, else of `id`, `meter_number`, ..., else numbers from 1 on.

        Raises
        ------
        SourceError
            There is no such column, or an id is missing or stands twice.
        """
        if column is None and not self.table.has_any(*_IDS):
            return np.array([f"{row:d}" for row in range(1, len(self) + 1)], dtype=np.str_)
        ids = self.codes(column) if column else self.table.codes(*_IDS).astype(np.str_)
        values, counts = np.unique(ids, return_counts=True)
        wrong = values[(counts > 1) | (values == "")]
        if len(wrong):
            what = f"the id {str(wrong[0])!r} stands twice" if wrong[0] else "an id is missing"
            raise SourceError(self.name, f"{what}; name a column whose values differ")
        return ids

    def codes(self, column: str) -> NDArray[np.str_]:
        """Give a column as text, empty where it is missing; SourceError if there is none."""
        self._need(column)
        return self.table.codes(column).astype(np.str_)

    def numbers(self, column: str) -> NDArray[np.float64]:
        """Give a column of numbers; SourceError if there is none, or something in it is no number."""
        self._need(column)
        numbers = self.table.numbers(column)
        if np.isnan(numbers).any():
            row = int(np.flatnonzero(np.isnan(numbers))[0])
            raise SourceError(self.name, f"row {row + 1} of the column {column!r} is no number")
        return numbers

    def _need(self, column: str) -> None:
        if column not in self.table:
            raise SourceError(self.name, f"there is no column {column!r}; there are: {_named(self.table)}")


def read_places(source: Any, name: str = "places") -> PlaceTable:
    """Read a table of places.

    Parameters
    ----------
    source : path, GeoDataFrame, data frame, Arrow table, or mapping of columns
        A file by its ending: CSV; GeoJSON; GeoPackage, Shapefile or FlatGeobuf (extra ``geo``); Parquet,
        Feather or Arrow (extra ``frames``, with geometries ``geo``). Without geometries there must be columns
        ``longitude`` and ``latitude`` (or ``lon`` and ``lat``) in degrees of WGS84.
    name : str
        What to call it in messages.

    Returns
    -------
    PlaceTable
        In the order of the source. A file that names a projection is turned into degrees; a frame in memory
        that has another one than WGS84 is an error when it is linked.

    Raises
    ------
    SourceError
        The file cannot be read, or columns are missing.
    GeometryError
        A file of geometries without a coordinate reference system, or columns that hold no degrees.
    MissingExtraError
        The package for the format is not installed.

    Examples
    --------
    >>> places = read_places({"meter_number": ["M1", "M2"], "lon": [35.9, None], "lat": ["31.9", None]})
    >>> places.ids().tolist(), places.geometry.tolist()
    (['M1', 'M2'], [<POINT (35.9 31.9)>, None])
    """
    if isinstance(source, (str, Path)):
        return _read_file(Path(source), name)
    if hasattr(source, "crs") and hasattr(source, "geometry"):
        return _of_geo_frame(source, name)
    return _of_columns(Table(source, name), name)


def _read_file(path: Path, name: str) -> PlaceTable:
    reader = FORMATS.get(path.suffix.lower())
    if reader is None:
        raise SourceError(name, f"{path.name} has no ending that is known: {', '.join(FORMATS)}")
    try:
        return reader(path, name)
    except OSError as error:
        raise SourceError(name, f"{path.name}: {error.strerror or 'it cannot be read'}") from None
    except (UnicodeDecodeError, csv.Error, json.JSONDecodeError):
        raise SourceError(name, f"{path.name} is no {path.suffix.lower().lstrip('.')} in UTF-8") from None


def _read_csv(path: Path, name: str) -> PlaceTable:
    with path.open(encoding="utf-8-sig", newline="") as file:
        sample = file.readline()
        file.seek(0)
        delimiter = max(",;\t", key=sample.count)
        header, *rows = list(csv.reader(file, delimiter=delimiter)) or [[]]
    uneven = next((at for at, row in enumerate(rows) if len(row) != len(header)), None)
    if uneven is not None:
        raise SourceError(name, f"row {uneven + 1} has {len(rows[uneven])} cells instead of {len(header)}")
    columns = zip(*rows, strict=True) if rows else [() for _ in header]
    return _of_columns(Table(dict(zip(header, map(list, columns), strict=True)), name), name)


def _read_geojson(path: Path, name: str) -> PlaceTable:
    document = json.loads(path.read_bytes())
    features = document.get("features") if isinstance(document, dict) else None
    if not isinstance(features, list) or not all(isinstance(feature, dict) for feature in features):
        raise SourceError(name, f"{path.name} is no FeatureCollection")
    declared = str((document.get("crs") or {}).get("properties", {}).get("name", "CRS84"))
    if not declared.endswith(_WGS84_NAMES):
        raise GeometryError(name, f"{path.name} is in {declared}; GeoJSON is in degrees of WGS84")
    from oms_topology.geo.shapes import shapes_of_geojson

    rows = [_properties(feature) for feature in features]
    names = dict.fromkeys(column for row in rows for column in row)
    table = Table({column: [row.get(column) for row in rows] for column in names}, name)
    return PlaceTable(name, table, shapes_of_geojson([feature.get("geometry") for feature in features], name))


def _properties(feature: dict[str, Any]) -> dict[str, Any]:
    properties = feature.get("properties") or {}
    return {"id": feature["id"], **properties} if "id" in feature else properties


def _read_with_geopandas(path: Path, name: str) -> PlaceTable:
    try:
        import geopandas
    except ImportError as error:
        raise MissingExtraError(f"Reading {path.suffix}", "geo") from error
    if path.suffix.lower() in (".parquet", ".pq"):
        frame = geopandas.read_parquet(path)
    elif path.suffix.lower() in (".feather", ".arrow"):
        frame = geopandas.read_feather(path)
    else:
        if not path.exists():
            raise SourceError(name, f"{path.name}: there is no such file")
        frame = geopandas.read_file(path)
    return _of_geo_frame(frame.to_crs(4326) if frame.crs is not None else frame, name)


def _read_arrow(path: Path, name: str) -> PlaceTable:
    try:
        from pyarrow import ArrowInvalid, feather, parquet
    except ImportError as error:
        raise MissingExtraError(f"Reading {path.suffix}", "frames") from error
    is_parquet = path.suffix.lower() in (".parquet", ".pq")
    try:
        read = parquet.read_table(path) if is_parquet else feather.read_table(path)
    except ArrowInvalid:
        raise SourceError(name, f"{path.name} is no {'Parquet' if is_parquet else 'Arrow'} file") from None
    if b"geo" in (read.schema.metadata or {}):
        return _read_with_geopandas(path, name)
    return _of_columns(Table(read, name), name)


def _of_geo_frame(frame: Any, name: str) -> PlaceTable:
    columns = getattr(frame, "columns", ())
    geometry = frame.geometry
    table = Table({column: frame[column].tolist() for column in columns if column != geometry.name}, name)
    return PlaceTable(name, table, geometry)


def _of_columns(table: Table, name: str) -> PlaceTable:
    from oms_topology.geo.shapes import points_of

    for wanted in (_LONGITUDE, _LATITUDE):
        if not table.has_any(*wanted):
            raise SourceError(
                name, f"there is no column {wanted[0]!r} or {wanted[1]!r}; there are: {_named(table)}"
            )
    absent = (table.codes(*_LONGITUDE) == "") & (table.codes(*_LATITUDE) == "")
    numbers = table.numbers(*_LONGITUDE), table.numbers(*_LATITUDE)
    return PlaceTable(name, table, points_of(*numbers, absent.astype(bool), name))


def _named(table: Table) -> str:
    return ", ".join(table.names)


FORMATS: Final[Mapping[str, Callable[[Path, str], PlaceTable]]] = {
    ".csv": _read_csv,
    ".geojson": _read_geojson,
    ".json": _read_geojson,
    ".gpkg": _read_with_geopandas,
    ".shp": _read_with_geopandas,
    ".fgb": _read_with_geopandas,
    ".parquet": _read_arrow,
    ".pq": _read_arrow,
    ".feather": _read_arrow,
    ".arrow": _read_arrow,
}
"""How to read a file, by its ending."""
