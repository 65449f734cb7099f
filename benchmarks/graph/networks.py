"""Networks of any size for measuring: substations of 1,000 meters, rows and ids in no order."""

from __future__ import annotations

import numpy as np

from oms_topology.model import NetworkColumns

METERS_PER_SUBSTATION = 1_000
_FEEDERS, _POINTS = 10, 100
_DEVICES = 1 + _FEEDERS + _POINTS


def city(meters: int, seed: int = 7) -> NetworkColumns:
    """Draw substations of 10 feeders, 100 distribution points and 1,000 meters each, all permuted."""
    random = np.random.default_rng(seed)
    stations = meters // METERS_PER_SUBSTATION
    at = np.arange(stations * _DEVICES)
    station, place = at // _DEVICES, at % _DEVICES
    is_station, is_feeder = place == 0, (place > 0) & (place <= _FEEDERS)
    feeder = station * _DEVICES + 1 + (place - 1 - _FEEDERS) // (_POINTS // _FEEDERS)
    parent = np.where(is_feeder, station * _DEVICES, feeder)
    row = random.permutation(len(at)).astype(np.int32)
    kind, code = np.empty(len(at), dtype=object), np.empty(len(at), dtype=object)
    kind[row] = np.select([is_station, is_feeder], ["substation", "feeder"], "distribution_point").astype(
        object
    )
    prefix = np.select([is_station, is_feeder], ["SS", "FD"], "DP")
    numbers = np.where(is_station, station, at)
    code[row] = [f"{letters}{number:07d}" for letters, number in zip(prefix, numbers, strict=True)]
    is_source = np.zeros(len(at), dtype=np.bool_)
    is_source[row] = is_station
    below = random.permutation(np.flatnonzero(~is_station))
    meter = random.permutation(stations * METERS_PER_SUBSTATION)
    point = (meter // METERS_PER_SUBSTATION) * _DEVICES + 1 + _FEEDERS + meter % METERS_PER_SUBSTATION // 10
    labels = random.permutation(len(meter))
    return NetworkColumns(
        device_kind=kind,
        device_code=code,
        device_is_source=is_source,
        branch_from=row[parent[below]],
        branch_to=row[below],
        meter_number=np.array([f"M{label:09d}" for label in labels], dtype=object),
        meter_device=row[point],
    )
