"""Linking from file to file says what linking in memory says, whatever the size of the batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import oms_topology as omt
from oms_topology.errors import SourceError
from oms_topology.io.parquet_linking import link_parquet
from tests.geo.brute_force import scattered

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("rows_a_batch", [1, 700, 10_000])
def test_batches_change_no_byte(tmp_path: Path, rows_a_batch: int) -> None:
    rng = np.random.default_rng(4)
    count = 40 if rows_a_batch == 1 else 3_000
    points = np.column_stack(scattered(rng, count, 36.0, 31.9, 0.02))
    targets = np.column_stack(scattered(rng, 300, 36.0, 31.9, 0.01))
    targets[100:200] = targets[:100]
    points[3], points[5], points[7] = (np.nan, 31.9), (0, 0), (31.9, 36.0)
    ids = rng.permutation(300)
    for name, table in (("points", points), ("targets", targets)):
        columns = {"longitude": table[:, 0], "latitude": table[:, 1]} | (
            {"id": ids} if len(table) == 300 else {}
        )
        parquet.write_table(pa.table(columns), tmp_path / name)
    told = link_parquet(
        tmp_path / "points",
        tmp_path / "targets",
        tmp_path / "links",
        max_distance_m=400,
        target_id="id",
        rows_a_batch=rows_a_batch,
    )
    links = omt.link_nearest(points, targets, max_distance_m=400, target_ids=ids)
    written = parquet.read_table(tmp_path / "links")
    assert told == links.counts()
    assert set(told) == {"linked", "too_far", "not_a_number", "null_island", "suspected_swap"}
    assert written.column("target").to_numpy().tobytes() == links.target.tobytes()
    assert written.column("status").to_pylist() == links.status_names.tolist()
    for name in ("distance_m", "second_distance_m"):
        column = written.column(name)
        assert column.null_count == np.count_nonzero(np.isnan(getattr(links, name)))
        np.testing.assert_array_equal(column.to_numpy(), getattr(links, name))


def test_what_is_no_table_of_positions_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("longitude,latitude\n1,2\n")
    parquet.write_table(pa.table({"longitude": [35.9]}), tmp_path / "half")
    parquet.write_table(pa.table({"longitude": [35.9], "latitude": [31.9]}), tmp_path / "sound")
    for wrong, told in (("text", "Parquet"), ("none", "Parquet"), ("half", "no column 'latitude'")):
        with pytest.raises(SourceError, match=f"points: {wrong} .*{told}"):
            link_parquet(tmp_path / wrong, tmp_path / "sound", tmp_path / "out", max_distance_m=500)
    with pytest.raises(SourceError, match="targets: sound has no column 'id'"):
        link_parquet(
            tmp_path / "sound", tmp_path / "sound", tmp_path / "out", max_distance_m=500, target_id="id"
        )
    with pytest.raises(ValueError, match="max_distance_m"):
        link_parquet(tmp_path / "sound", tmp_path / "sound", tmp_path / "out", max_distance_m=0)
