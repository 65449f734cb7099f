"""Validation of large networks: as many troubles as were put in, told shortly, whatever is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.graph.networks import city
from benchmarks.graph.troubled import troubled
from oms_topology import Topology
from oms_topology.graph import troubles as notebook
from oms_topology.graph.troubles import RULES, Troubles

if TYPE_CHECKING:
    from oms_topology.model import Finding, NetworkColumns

MOST_IDS = 100


def counts(findings: list[Finding]) -> dict[str, int]:
    return {finding.rule: finding.count for finding in findings}


@pytest.mark.parametrize(("meters", "each"), [(10_000, 1), (10_000, 100), (40_000, 400)])
def test_every_trouble_put_in_is_counted(meters: int, each: int) -> None:
    bad = troubled(meters, each)
    findings = Topology.from_columns(bad.columns).validate()
    assert counts(findings) == bad.counts
    for finding in findings:
        assert len(finding.ids) <= MOST_IDS
        assert list(finding.ids) == sorted(set(finding.ids))
        assert len(str(finding)) < 1_000


@pytest.mark.slow
def test_a_million_meters_with_every_trouble() -> None:
    bad = troubled(1_000_000, 5_000)
    net = Topology.from_columns(bad.columns)
    assert counts(net.validate()) == bad.counts
    assert counts(net.what_if().validate()) == bad.counts


def test_a_clean_network_has_no_findings() -> None:
    assert Topology.from_columns(city(10_000)).validate() == []


def unnamed_sources(columns: NetworkColumns) -> NetworkColumns:
    return replace(columns, device_is_source=np.zeros_like(columns.device_is_source))


def meters_on_nothing(columns: NetworkColumns) -> NetworkColumns:
    return replace(columns, meter_device=np.full_like(columns.meter_device, 10**9))


def zero_positions(columns: NetworkColumns) -> NetworkColumns:
    nowhere = np.zeros(len(columns.meter_number))
    return replace(columns, meter_longitude=nowhere, meter_latitude=nowhere)


def one_number(columns: NetworkColumns) -> NetworkColumns:
    return replace(columns, meter_number=np.full_like(columns.meter_number, "M1"))


def no_numbers(columns: NetworkColumns) -> NetworkColumns:
    return replace(columns, meter_number=np.full_like(columns.meter_number, ""))


def meters_named_as_devices(columns: NetworkColumns) -> NetworkColumns:
    numbers = np.concatenate((columns.device_code, columns.meter_number[len(columns.device_code) :]))
    return replace(columns, meter_number=numbers)


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (unnamed_sources, {"orphan_device": 3_330, "orphan_meter": 30_000}),
        (meters_on_nothing, {"dangling_id": 30_000, "orphan_meter": 30_000}),
        (zero_positions, {"impossible_coordinates": 30_000}),
        (one_number, {"duplicate_id": 29_999}),
        (no_numbers, {"empty_code": 30_000}),
        (meters_named_as_devices, {"code_collision": 3_330}),
    ],
)
def test_what_is_wrong_everywhere_is_told_once(spoil: object, expected: dict[str, int]) -> None:
    columns = spoil(city(30_000))  # type: ignore[operator]
    findings = Topology.from_columns(columns).validate()
    assert counts(findings) == expected
    assert all(len(finding.ids) == min(MOST_IDS, len(set(finding.ids))) for finding in findings)


def test_the_least_of_all_codes_are_told() -> None:
    columns = meters_on_nothing(city(30_000))
    (dangling, orphans) = Topology.from_columns(columns).validate()
    least = tuple(sorted(columns.meter_number.tolist())[:MOST_IDS])
    assert dangling.ids == orphans.ids == least


def test_devices_of_one_code_are_one_with_all_that_names_them() -> None:
    columns = city(2_000)
    double, first = (int(row) for row in np.flatnonzero(columns.device_kind == "distribution_point")[[-1, 0]])
    code = columns.device_code.copy()
    code[double] = code[first]
    net = Topology.from_columns(replace(columns, device_code=code))
    assert [(each.rule, each.ids) for each in net.validate() if each.rule == "duplicate_id"] == [
        ("duplicate_id", (code[first],))
    ]
    wanted = columns.meter_number[np.isin(columns.meter_device, [first, double])]
    assert net.downstream(str(code[first])) == set(wanted.tolist())
    assert len(net.energised) == 2_000


def test_what_was_taken_out_is_no_trouble() -> None:
    net = Topology.from_text("SS1 > F1 > DP1 > M1")
    net.add_device("DP2", kind="distribution_point", parent="F1", longitude=999.0, latitude=0.0)
    assert counts(net.validate()) == {"impossible_coordinates": 1}
    net.remove_device("DP2")
    assert net.validate() == []
    assert net.undo()
    assert counts(net.validate()) == {"impossible_coordinates": 1}


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(RULES)),
            st.lists(st.sampled_from([f"C{number}" for number in range(150)]), max_size=60),
        ),
        max_size=20,
    ),
    st.integers(1, 40),
)
def test_findings_are_those_of_a_plain_list(adding: list[tuple[str, list[str]]], many: int) -> None:
    patch = pytest.MonkeyPatch()
    with patch.context() as small:
        small.setattr(notebook, "_MANY", many)
        small.setattr(notebook, "_MOST_IDS", 7)
        one, other = Troubles(), Troubles()
        for at, (rule, codes) in enumerate(adding):
            (one if at % 2 else other).add(rule, codes)
        findings = one.merged(other).findings()
    plain: dict[str, list[str]] = {}
    for rule, codes in adding:
        plain.setdefault(rule, []).extend(codes)
    assert {finding.rule: (finding.ids, finding.count) for finding in findings} == {
        rule: (tuple(sorted(set(codes))[:7]), len(codes)) for rule, codes in plain.items() if codes
    }
