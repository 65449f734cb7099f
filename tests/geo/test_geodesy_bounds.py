"""Chord and geodesic bound one another, as the module says."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from oms_topology.geo.geodesy import (
    ROUNDING_M,
    SERIES_LIMIT_M,
    geodesic_at_most_m,
    geodesic_from_short_chord_m,
    geodesic_m,
    to_earth_centred_m,
)
from tests.geo.brute_force import GEOD

LATITUDE = st.floats(-90, 90)
AZIMUTH = st.floats(-180, 180)


def chord_over_m(latitude_deg: float, azimuth_deg: float, length_m: float) -> tuple[float, float]:
    """The chord under a geodesic, and the geodesic itself as it is measured."""
    longitude, latitude, _ = GEOD.fwd(0.0, latitude_deg, azimuth_deg, length_m)
    ends = np.array([0.0, longitude]), np.array([latitude_deg, latitude])
    earth_centred = to_earth_centred_m(*ends)
    measured = geodesic_m(ends[0][:1], ends[1][:1], ends[0][1:], ends[1][1:])
    return float(np.linalg.norm(earth_centred[1] - earth_centred[0])), float(measured[0])


@given(latitude=LATITUDE, azimuth=AZIMUTH, length=st.floats(0, 1.2e7))
def test_a_geodesic_lies_between_its_chord_and_the_bound(
    latitude: float, azimuth: float, length: float
) -> None:
    chord_m, length_m = chord_over_m(latitude, azimuth, length)
    assert chord_m <= length_m + ROUNDING_M
    assert length_m <= geodesic_at_most_m(np.array([chord_m]))[0] + ROUNDING_M


@given(latitude=LATITUDE, azimuth=AZIMUTH, length=st.floats(0, SERIES_LIMIT_M))
def test_the_series_is_as_good_as_the_geodesic(latitude: float, azimuth: float, length: float) -> None:
    chord_m, length_m = chord_over_m(latitude, azimuth, length)
    assert abs(geodesic_from_short_chord_m(np.array([chord_m]))[0] - length_m) < 2e-7


def test_no_pairs_have_no_lengths() -> None:
    assert geodesic_m(*[np.empty(0)] * 4).shape == (0,)
