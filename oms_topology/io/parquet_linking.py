"""Linking points that only a file can hold: Parquet in, Parquet out, batch after batch."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from oms_topology.errors import MissingExtraError, SourceError
from oms_topology.geo.linking import LinkStatus, link_batches

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

__all__ = ["link_parquet"]

_AXES = ["longitude", "latitude"]
_STATUS_NAMES = [
    LinkStatus(code).name.lower() if code in list(LinkStatus) else "" for code in range(max(LinkStatus) + 1)
]
_COLUMNS = ["target", "distance_m", "second_distance_m", "status"]


def link_parquet(
    points: str | Path,
    targets: str | Path,
    output: str | Path,
    *,
    max_distance_m: float,
    target_id: str | None = None,
    rows_a_batch: int = 1_000_000,
) -> dict[str, int]:
    """Link the points of a Parquet file to the targets of another one, and write a third.

    Parameters
    ----------
    points, targets : str or Path
        Parquet files with the columns ``longitude`` and ``latitude`` in degrees.
    output : str or Path
        A row for each point, in their order: ``target`` (row of the target, -1 for none), ``distance_m``,
        ``second_distance_m`` (null for none) and ``status``. What is there is replaced.
    max_distance_m : float
        Above 0, at most 10,000 km.
    target_id : str, optional
        The column of targets by which equally near ones go; rows if not given.
    rows_a_batch : int
        How many points are in memory at a time.

    Returns
    -------
    dict of str to int
        How many points have each status.

    Raises
    ------
    SourceError
        A column is missing, or the file is no Parquet file.
    MissingExtraError
        pyarrow is not installed.
    ValueError
        For a limit out of its range.

    Notes
    -----
    The bytes of the columns are those of `link_nearest`, whatever the size of the batches. Memory is that of
    the targets (about 250 bytes each) and of one batch; all processors work on a batch.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise MissingExtraError("link_parquet()", "frames") from error
    columns = [*_AXES, target_id] if target_id else _AXES
    offered, asked = _opened(targets, "targets", columns).read(columns), _opened(points, "points", _AXES)
    found = link_batches(
        _batches(asked, rows_a_batch),
        _degrees(offered),
        max_distance_m=max_distance_m,
        target_ids=offered.column(target_id).to_numpy() if target_id else None,
    )
    kinds = pa.int64(), pa.float64(), pa.float64(), pa.dictionary(pa.int8(), pa.string())
    schema = pa.schema(list(zip(_COLUMNS, kinds, strict=True)))
    counts: Counter[str] = Counter()
    with parquet.ParquetWriter(output, schema) as writer:
        for links in found:
            counts.update(links.counts())
            told = links.target, links.distance_m, links.second_distance_m
            arrays = [pa.array(column, from_pandas=True) for column in told]
            status = pa.DictionaryArray.from_arrays(links.status.astype(np.int8), _STATUS_NAMES)
            writer.write_table(pa.table([*arrays, status], schema=schema))
    return dict(counts)


def _opened(path: str | Path, name: str, columns: list[str]) -> Any:
    from pyarrow import ArrowInvalid, parquet

    try:
        file = parquet.ParquetFile(path)
    except (ArrowInvalid, OSError):
        raise SourceError(name, f"{Path(path).name} is no Parquet file that can be read") from None
    if missing := [column for column in columns if column not in file.schema_arrow.names]:
        raise SourceError(name, f"{Path(path).name} has no column {missing[0]!r}")
    return file


def _batches(file: Any, rows: int) -> Iterator[NDArray[np.float64]]:
    for batch in file.iter_batches(rows, columns=_AXES):
        yield _degrees(batch)


def _degrees(table: Any) -> NDArray[np.float64]:
    """Take longitude and latitude, NaN for null; shape (n, 2)."""
    return np.column_stack([np.asarray(table.column(axis).to_numpy(zero_copy_only=False)) for axis in _AXES])
