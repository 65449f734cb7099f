"""How long to wait before trying again."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

__all__ = ["Backoff"]


@dataclass(slots=True)
class Backoff:
    """Waiting times that double, up to a limit, with jitter so that many consumers do not knock at once.

    Parameters
    ----------
    first_s : float
        The longest first wait, in seconds.
    limit_s : float
        The longest wait at all, in seconds.

    Examples
    --------
    >>> backoff = Backoff(first_s=0.1, limit_s=5)
    >>> waits = [backoff.next_s() for _ in range(20)]
    >>> 0.05 <= waits[0] <= 0.1 and 2.5 <= waits[-1] <= 5 and backoff.attempts == 20
    True
    >>> backoff.reset()
    >>> backoff.next_s() <= 0.1
    True
    """

    first_s: float = 0.05
    limit_s: float = 5.0
    attempts: int = field(default=0, init=False)

    def next_s(self) -> float:
        """Give the next wait in seconds: between half and the whole of what doubling comes to."""
        whole_s = min(self.limit_s, self.first_s * 2.0 ** min(self.attempts, 60))
        self.attempts += 1
        return whole_s * random.uniform(0.5, 1.0)  # noqa: S311 - nobody guesses it to any profit

    def reset(self) -> None:
        """Begin anew after a success."""
        self.attempts = 0
