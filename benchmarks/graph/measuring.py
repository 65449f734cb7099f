"""Timing by rounds, and comparing answers: what every measurement here is made with."""

from __future__ import annotations

import gc
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

__all__ = ["Timing", "agree", "asked_each", "count_processor_time", "fresh", "now", "timed"]

_clock = time.perf_counter


def count_processor_time() -> None:
    """Count from now on what this thread has of a processor, for machines that are busy with other work."""
    global _clock
    _clock = time.thread_time


def now() -> float:
    """Read the clock, in seconds."""
    return _clock()


_Input = TypeVar("_Input")


@dataclass(frozen=True)
class Timing:
    """Seconds of one piece of work.

    Attributes
    ----------
    best_s, median_s : float
        Over the rounds.
    """

    best_s: float
    median_s: float

    @classmethod
    def of(cls, taken: Sequence[float]) -> Timing:
        """Sum up the rounds."""
        return cls(min(taken), statistics.median(taken))

    def divided(self, count: float) -> Timing:
        """Give the share of one among so many."""
        return Timing(self.best_s / count, self.median_s / count)


def timed(work: Callable[[], Any], rounds: int, *, warm: bool = True) -> Timing:
    """Time whole pieces of work, garbage collector off; the first is not counted if ``warm``."""
    if warm:
        work()
    taken = []
    for _ in range(rounds):
        gc.collect()
        gc.disable()
        begin = now()
        work()
        taken.append(now() - begin)
        gc.enable()
    return Timing.of(taken)


def asked_each(ask: Callable[[_Input], Any], batches: Iterable[Sequence[_Input]]) -> Timing:
    """Time one question, each of another input; a round is a batch of inputs, the first is not counted.

    What the loop itself costs, some 15 ns a question, is in the figure.
    """
    taken = []
    for batch in batches:
        gc.collect()
        gc.disable()
        begin = now()
        for each in batch:
            ask(each)
        taken.append((now() - begin) / len(batch))
        gc.enable()
    return Timing.of(taken[1:] or taken)


def fresh(codes: Iterable[str]) -> list[str]:
    """Copies, as they come out of a message: other objects than the network holds, not hashed yet."""
    return " ".join(codes).split(" ")


def agree(what: str, ours: Any, theirs: Any) -> None:
    """Stop the benchmark if two answers differ: a wrong answer has no speed.

    Raises
    ------
    SystemExit
        They are not equal.
    """
    if isinstance(ours, np.ndarray) or isinstance(theirs, np.ndarray):
        equal = np.array_equal(ours, theirs)
    else:
        equal = ours == theirs
    if not equal:
        raise SystemExit(f"WRONG ANSWER, {what}: {str(ours)[:200]} where {str(theirs)[:200]} was expected")
