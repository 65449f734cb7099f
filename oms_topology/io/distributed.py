"""Linking on many machines: parts of the town go to the workers of a Dask scheduler."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from oms_topology.errors import MissingExtraError, SchedulerError
from oms_topology.geo.asking import asked_of_points, rank_of_ids
from oms_topology.geo.confidence import DEFAULT_POSITION_ERROR_M
from oms_topology.geo.coordinates import bounds_of
from oms_topology.geo.linking import Links, link_nearest
from oms_topology.geo.partition import Part, spatial_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from oms_topology.geo.reading import Read

__all__ = ["link_distributed"]

ROWS_A_PART: Final = 250_000
_PARTS_A_WORKER: Final = 3  # one at work, one that waits there, one on its way
_PATIENCE_S: Final = 10


class _Question(NamedTuple):
    """What a worker needs for one part."""

    points: NDArray[np.float64]
    targets: NDArray[np.float64]
    rank: NDArray[np.intp]
    groups: NDArray[Any] | None
    target_groups: NDArray[Any] | None


class _Answer(NamedTuple):
    """What it says, row by row of the part; targets are rows of the part's."""

    target: NDArray[np.intp]
    distance_m: NDArray[np.float64]
    second_distance_m: NDArray[np.float64]
    status: NDArray[np.uint8]


def link_distributed(
    points: Any,
    targets: Any,
    *,
    scheduler: str,
    max_distance_m: float,
    target_ids: Sequence[Any] | NDArray[Any] | None = None,
    groups: Sequence[Any] | NDArray[Any] | None = None,
    target_groups: Sequence[Any] | NDArray[Any] | None = None,
    bounds: tuple[float, float, float, float] | None = None,
    position_error_m: float = DEFAULT_POSITION_ERROR_M,
    rows_a_part: int = ROWS_A_PART,
    progress: Callable[[int, int], None] | None = None,
) -> Links:
    """Link as `link_nearest` does, on the workers of a Dask scheduler.

    Parameters
    ----------
    points, targets, max_distance_m, target_ids, groups, target_groups, bounds, position_error_m
        As in `link_nearest`; targets are points here.
    scheduler : str
        Its address, such as ``"tcp://10.0.0.5:8786"``. The workers must have this package.
    rows_a_part : int
        How many points go to a worker at a time, at least 1.
    progress : callable, optional
        Is told how many points have been answered, and how many there are.

    Returns
    -------
    Links
        The very bytes of `link_nearest`, whatever the parts and the workers: each part comes with all
        targets that its points can reach.

    Raises
    ------
    MissingExtraError
        ``distributed`` is not installed (extra ``dask``).
    SchedulerError
        The scheduler cannot be reached, or its workers could not do it.
    GeometryError, ValueError
        As `link_nearest`.
    """
    whole = asked_of_points(points, targets, target_ids, groups, target_groups)
    asked, offered, count = whole.points, whole.targets, len(whole.target_status)
    box = bounds or bounds_of(*whole.usable_targets)
    how = {"max_distance_m": max_distance_m, "bounds": box, "position_error_m": position_error_m}
    rank = np.arange(count) if target_ids is None else rank_of_ids(target_ids, count, np.arange(count))
    sides = _objects(groups), _objects(target_groups)
    links = _without_workers(asked, whole.status, whole.target_status, how)
    total, done = int(np.count_nonzero(whole.status == 0)), 0
    parts = spatial_parts(asked, offered, max_distance_m=max_distance_m, rows_a_part=rows_a_part)
    questions = ((part, _question(part, asked, offered, rank, *sides)) for part in parts)
    with _client(scheduler) as client:
        for part, answer in _answers(client, questions, how):
            _fill(links, part, answer)
            done += len(part.points)
            if progress:
                progress(done, total)
    return links


def link_part(question: _Question, how: dict[str, Any]) -> _Answer:
    """Link the points of one part; runs on a worker."""
    links = link_nearest(
        question.points,
        question.targets,
        target_ids=question.rank,
        groups=question.groups,
        target_groups=question.target_groups,
        **how,
    )
    return _Answer(links.target, links.distance_m, links.second_distance_m, links.status)


def _distributed() -> Any:
    try:
        import distributed
    except ImportError as error:
        raise MissingExtraError("Linking by a scheduler", "dask") from error
    return distributed


@contextmanager
def _client(scheduler: str) -> Iterator[Any]:
    distributed = _distributed()
    try:
        client = distributed.Client(scheduler, timeout=_PATIENCE_S, set_as_default=False)
    except (OSError, TimeoutError, ValueError):
        raise SchedulerError(scheduler, "cannot be reached") from None
    with client:
        if not client.scheduler_info(n_workers=-1)["workers"]:
            raise SchedulerError(scheduler, "has no workers")
        yield client


def _answers(
    client: Any, questions: Iterator[tuple[Part, _Question]], how: dict[str, Any]
) -> Iterator[tuple[Part, _Answer]]:
    """Keep every worker busy, and no more parts on the way than that takes."""
    asked: dict[str, Part] = {}
    under_way = _distributed().as_completed(loop=client.loop)
    room = _PARTS_A_WORKER * len(client.scheduler_info(n_workers=-1)["workers"])
    for part, question in questions:
        # In the task itself, not scattered: when a worker dies, the scheduler still has it for another.
        future = client.submit(link_part, question, how, pure=False)
        asked[future.key] = part
        under_way.add(future)
        if len(asked) >= room:
            yield _taken(next(under_way), asked)
    for future in under_way:
        yield _taken(future, asked)


def _taken(future: Any, asked: dict[str, Part]) -> tuple[Part, _Answer]:
    part, error = asked.pop(future.key), future.exception()
    if error is not None:
        raise SchedulerError(future.client.scheduler.address, f"could not do a part: {type(error).__name__}")
    answer = future.result()
    future.release()
    return part, answer


def _degrees(read: Read, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    return np.column_stack([read.longitude_deg[rows], read.latitude_deg[rows]])


def _without_workers(
    asked: Read, status: NDArray[np.uint8], target_status: NDArray[np.uint8], how: dict[str, Any]
) -> Links:
    """Answer rows without a usable position, make room for the rest, refuse what cannot be asked."""
    rest = np.flatnonzero(status != 0)
    alone = link_nearest(_degrees(asked, rest), np.empty((0, 2)), **how)
    told, nothing = status.copy(), np.full(len(status), np.nan)
    told[rest] = np.where(asked.absent[rest], status[rest], alone.status)
    return replace(
        alone,
        target=np.full(len(status), -1),
        distance_m=nothing,
        second_distance_m=nothing.copy(),
        status=told,
        target_status=target_status,
    )


def _objects(groups: Sequence[Any] | NDArray[Any] | None) -> NDArray[np.object_] | None:
    return None if groups is None else np.asarray(groups, dtype=object)


def _question(
    part: Part,
    asked: Read,
    offered: Read,
    rank: NDArray[np.intp],
    groups: NDArray[Any] | None,
    target_groups: NDArray[Any] | None,
) -> _Question:
    return _Question(
        _degrees(asked, part.points),
        _degrees(offered, part.targets),
        rank[part.targets],
        None if groups is None else groups[part.points],
        None if target_groups is None else target_groups[part.targets],
    )


def _fill(links: Links, part: Part, answer: _Answer) -> None:
    linked = answer.target >= 0
    links.target[part.points[linked]] = part.targets[answer.target[linked]]
    links.distance_m[part.points] = answer.distance_m
    links.second_distance_m[part.points] = answer.second_distance_m
    links.status[part.points] = answer.status
