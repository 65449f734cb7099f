"""Columns with positions to GeoJSON (RFC 7946)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

__all__ = ["feature_collection"]


def feature_collection(columns: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Make a collection of points of columns with ``longitude`` and ``latitude``.

    Parameters
    ----------
    columns : mapping of str to array
        Columns of equal length; ``longitude`` and ``latitude`` are WGS 84 degrees.

    Returns
    -------
    dict
        A FeatureCollection, ready for ``json.dumps``; no row, no feature. A row whose position is
        unknown or off the globe has ``geometry`` None; nan becomes None in the properties.

    Examples
    --------
    >>> import numpy as np
    >>> point = {"longitude": np.array([35.9]), "latitude": np.array([31.9])}
    >>> feature_collection(point)["features"][0]["geometry"]["coordinates"]
    [35.9, 31.9]
    """
    names = [name for name in columns if name not in ("longitude", "latitude")]
    values = [columns[name].tolist() for name in names]
    places = zip(columns["longitude"].tolist(), columns["latitude"].tolist(), strict=True)
    features = []
    for row, (longitude, latitude) in enumerate(places):
        properties = {name: _plain(column[row]) for name, column in zip(names, values, strict=True)}
        features.append(
            {"type": "Feature", "geometry": _point(longitude, latitude), "properties": properties}
        )
    return {"type": "FeatureCollection", "features": features}


def _point(longitude: float, latitude: float) -> dict[str, Any] | None:
    if not (abs(longitude) <= 180 and abs(latitude) <= 90):
        return None
    return {"type": "Point", "coordinates": [longitude, latitude]}


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)
