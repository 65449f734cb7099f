"""Columns to data frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from oms_topology.errors import MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["to_frame"]


def to_frame(columns: Mapping[str, NDArray[Any]]) -> pd.DataFrame:
    """Make a data frame of columns of equal length.

    Parameters
    ----------
    columns : mapping of str to array
        The columns, in the order in which they shall stand.

    Returns
    -------
    pandas.DataFrame
        One row per element, numbered from 0.

    Raises
    ------
    MissingExtraError
        pandas is not installed.

    Examples
    --------
    >>> import numpy as np
    >>> to_frame({"meter_number": np.array(["M1", "M2"], dtype=object)}).shape
    (2, 1)
    """
    try:
        import pandas as pd
    except ImportError as error:
        raise MissingExtraError("to_frame()", "frames") from error
    return pd.DataFrame(dict(columns))
