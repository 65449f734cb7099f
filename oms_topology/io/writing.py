"""Columns to a file, by its ending."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING, Any, Final

from oms_topology.errors import MissingExtraError, SourceError
from oms_topology.io.geojson import feature_collection

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["WRITERS", "check_ending", "write_columns"]


def write_columns(columns: Mapping[str, NDArray[Any]], path: Path) -> None:
    """Write columns of equal length, with ``longitude`` and ``latitude`` among them, to a file.

    Parameters
    ----------
    columns : mapping of str to array
        In the order in which they shall stand.
    path : Path
        Ending in .csv, .geojson, .parquet or .gpkg; what is there is replaced.

    Raises
    ------
    SourceError
        Another ending, or the file cannot be written.
    MissingExtraError
        The package for the format is not installed.

    Examples
    --------
    >>> import numpy as np, pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as home:
    ...     path = pathlib.Path(home, "places.csv")
    ...     write_columns({"longitude": np.array([35.9]), "latitude": np.array([np.nan])}, path)
    ...     path.read_text().split()
    ['longitude,latitude', '35.9,']
    """
    check_ending(path)
    try:
        WRITERS[path.suffix.lower()](columns, path)
    except OSError as error:
        raise SourceError("output", f"{path.name}: {error.strerror or 'it cannot be written'}") from None


def check_ending(path: Path) -> None:
    """Raise SourceError for a file whose ending no format has, before there is anything to write."""
    if path.suffix.lower() not in WRITERS:
        raise SourceError("output", f"{path.name} has no ending that can be written: {', '.join(WRITERS)}")


def _write_csv(columns: Mapping[str, NDArray[Any]], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip(*(_cells(column) for column in columns.values()), strict=True))


def _cells(column: NDArray[Any]) -> list[Any]:
    values: list[Any] = column.tolist()
    return ["" if value != value else value for value in values] if column.dtype.kind == "f" else values


def _write_geojson(columns: Mapping[str, NDArray[Any]], path: Path) -> None:
    with path.open("w", encoding="utf-8") as file:
        json.dump(feature_collection(columns), file, ensure_ascii=False)
        file.write("\n")


def _write_parquet(columns: Mapping[str, NDArray[Any]], path: Path) -> None:
    try:
        from pyarrow import parquet, table
    except ImportError as error:
        raise MissingExtraError("Writing .parquet", "frames") from error
    parquet.write_table(table({name: _missing_as_null(column) for name, column in columns.items()}), path)


def _missing_as_null(column: NDArray[Any]) -> Any:
    from pyarrow import array

    return array(column.tolist() if column.dtype.kind == "U" else column, from_pandas=True)


def _write_geopackage(columns: Mapping[str, NDArray[Any]], path: Path) -> None:
    try:
        import geopandas
    except ImportError as error:
        raise MissingExtraError("Writing .gpkg", "geo") from error
    rest = {name: column for name, column in columns.items() if name not in ("longitude", "latitude")}
    places = geopandas.points_from_xy(columns["longitude"], columns["latitude"])
    geopandas.GeoDataFrame(rest, geometry=places, crs=4326).to_file(path, driver="GPKG", layer="links")


WRITERS: Final[Mapping[str, Callable[[Mapping[str, NDArray[Any]], Path], None]]] = {
    ".csv": _write_csv,
    ".geojson": _write_geojson,
    ".parquet": _write_parquet,
    ".gpkg": _write_geopackage,
}
"""How to write a file, by its ending."""
