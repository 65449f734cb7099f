"""Phases in words and in bits: 1 for A, 2 for B, 4 for C, added up; 0 where they are not known."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from oms_topology.errors import TopologyError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from oms_topology.graph.reading.tables import Table

__all__ = ["ALL_PHASES", "phase_bits", "phase_letters", "phases_column", "single_phase"]

ALL_PHASES = 7

_ALPHABETS = ("ABC", "RST", "UVW", "123")
_LETTERS = re.compile(r"L(?=[123])|[\s,;:/&+_.-]|N")
_DOTTED = re.compile(r"\.?[1-4](\.[0-4])*")


def phase_bits(text: str) -> int:
    """Read what a table says of phases.

    Parameters
    ----------
    text : str
        Letters in any order, with or without separators and a neutral: ``"ABC"``, ``"B"``, ``"A,C,N"``,
        ``"RST"``, ``"L1 L3"``; or numbered conductors with dots between: ``"1.3"``, ``".2"``. A bare
        number counts phases: ``"3"`` is all of them, and ``"1"`` does not say which.

    Returns
    -------
    int
        From 0 to 7; 0 when the text does not tell which phases.

    Examples
    --------
    >>> [phase_bits(text) for text in ("ABC", "bn", "L1/L3", "2.3", "3", "1", "", "s12")]
    [7, 2, 5, 6, 7, 0, 0, 0]
    """
    word = text.strip().upper()
    if word in ("3", "3.0"):
        return ALL_PHASES
    if "." in word:
        return _dotted(word)
    is_numbered = "L" in word
    word = _LETTERS.sub("", word)
    if word.isdigit() and not is_numbered:
        return 0
    for alphabet in _ALPHABETS:
        if word and set(word) <= set(alphabet):
            return sum(1 << alphabet.index(letter) for letter in set(word))
    return 0


def _dotted(word: str) -> int:
    """Read conductor numbers; 0 is earth, 4 the neutral, and ``1.0`` the number one as a float."""
    if not _DOTTED.fullmatch(word) or (len(word) == 3 and word.endswith(".0")):
        return 0
    return sum(1 << (int(number) - 1) for number in set(word.split(".")) if number in "123" and number)


def phase_letters(bits: int) -> str:
    """Write phases as letters.

    Examples
    --------
    >>> phase_letters(5), phase_letters(0)
    ('AC', '')
    """
    return "".join(letter for place, letter in enumerate("ABC") if bits >> place & 1)


def single_phase(phase: str) -> int:
    """Give the bit of the one phase that is asked for; raises TopologyError for anything else."""
    bits = phase_bits(phase)
    if bits not in (1, 2, 4):
        raise TopologyError(f"There is no phase {phase!r}; ask for 'A', 'B' or 'C'.")
    return bits


def phases_column(table: Table) -> NDArray[np.uint8]:
    """Read the column ``phases`` of a table, 0 in every row where there is none."""
    if "phases" not in table:
        return np.zeros(len(table), dtype=np.uint8)
    texts = table.codes("phases").tolist()
    known = {text: phase_bits(text) for text in set(texts)}
    return np.array([known[text] for text in texts], dtype=np.uint8)
