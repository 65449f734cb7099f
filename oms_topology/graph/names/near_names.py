"""Codes that look alike: guesses at what was meant, looked up in tables, and distances over bytes at once."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np

from oms_topology.graph.names.code_bytes import PAD, padded, spelled, texts_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from numpy.typing import NDArray

    from oms_topology.graph.names.code_bytes import Matrix

__all__ = ["SMALL", "alphabet", "close_rows", "closest_of", "guesses", "near_among", "second_guesses"]

SMALL = 20_000
"""So many codes are compared one by one; of more, guesses are looked up."""

_LONGEST = 64
_SAMPLES = 64
_BLOCK = 1 << 13
_SECOND_GUESSES = 45_000
_SHORTEST_PART = 4


def _folded(letters: Matrix) -> Matrix:
    """Read small ASCII letters as capitals."""
    is_small = (letters >= ord("a")) & (letters <= ord("z"))
    return letters - is_small.view(np.uint8) * np.uint8(32)


def distances(code: str, rows: Matrix) -> NDArray[np.uint8]:
    """Count the edits from a code to each of many, whatever the case of ASCII letters.

    Parameters
    ----------
    code : str
        At most 64 bytes of it count.
    rows : uint8 array, shape (n, width + 1)
        As :func:`~oms_topology.graph.names.code_bytes.padded`.

    Returns
    -------
    uint8 array, shape (n,)
        Bytes left out, added, changed, or swapped with the next one. Some 0.1 us each.
    """
    word = _folded(np.frombuffer(code.encode(errors="replace")[:_LONGEST], dtype=np.uint8)).tolist()
    found = np.empty(len(rows), dtype=np.uint8)
    for first in range(0, len(rows), _BLOCK):
        letters = np.ascontiguousarray(_folded(rows[first : first + _BLOCK, :-1]).T[:_LONGEST])
        found[first : first + _BLOCK] = _block_distances(word, letters)
    return found


def _block_distances(word: list[int], letters: Matrix) -> NDArray[np.uint8]:
    """Fill the usual table of edit distances a row at a time, for all codes together."""
    width, count = letters.shape
    last = np.empty((width + 1, count), dtype=np.uint8)
    last[:] = np.arange(width + 1, dtype=np.uint8)[:, None]
    before = last
    for at, letter in enumerate(word):
        now = np.empty_like(last)
        now[0] = at + 1
        np.minimum(last[1:] + np.uint8(1), last[:-1] + (letters != letter).view(np.uint8), out=now[1:])
        if at:
            swapped = (letters[:-1] == letter) & (letters[1:] == word[at - 1])
            now[2:] = np.where(swapped, np.minimum(now[2:], before[:-2] + np.uint8(1)), now[2:])
        for place in range(1, width + 1):
            np.minimum(now[place], now[place - 1] + np.uint8(1), out=now[place])
        before, last = last, now
    lengths = (letters != PAD).sum(axis=0)
    chosen: NDArray[np.uint8] = last[lengths, np.arange(count)]
    return chosen


def close_rows(code: str, rows: Matrix, n: int) -> NDArray[np.intp]:
    """Find the codes nearest to one, at most a third of the shorter one away, by comparing all.

    Parameters
    ----------
    code : str
        What was asked for.
    rows : uint8 array, shape (m, width + 1)
        The codes; rows that are all NUL are none.
    n : int
        How many to find.

    Returns
    -------
    int array
        Rows, the nearest first; with those that are just as far as the n-th, so that a tie can be broken.
    """
    lengths = (np.ascontiguousarray(rows[:, :-1].T) != PAD).sum(axis=0)
    allowed = np.maximum(1, np.minimum(lengths, len(code)) // 3)
    close = np.flatnonzero(
        (np.abs(lengths - len(code.encode(errors="replace"))) <= allowed) & (rows[:, 0] != 0)
    )
    away = distances(code, rows.take(close, axis=0))
    if len(close) > n:
        allowed[close] = np.minimum(allowed[close], np.partition(away, n - 1)[n - 1])
    chosen: NDArray[np.intp] = close[away <= allowed[close]]
    return chosen


def closest_of(code: str, candidates: Iterable[str], n: int) -> list[str]:
    """Put codes in the order of likeness: fewest edits, longest common beginning, then by code.

    Parameters
    ----------
    code : str
        What was asked for.
    candidates : iterable of str
        Codes, in any order.
    n : int
        How many to give.

    Returns
    -------
    list of str
        At most n of the candidates, each once.
    """
    texts = list({each for each in candidates if each and "\0" not in each})
    if not texts:
        return []
    texts.sort()
    rows = padded(spelled(texts), len(texts), min(max(map(len, texts)), _LONGEST))
    away = distances(code, rows).tolist()
    order = sorted(range(len(texts)), key=lambda at: (away[at], -_common(code, texts[at]), texts[at]))
    return [texts[at] for at in order[:n]]


def _common(one: str, other: str) -> int:
    pairs = zip(one, other, strict=False)
    return next((at for at, (left, right) in enumerate(pairs) if left != right), min(len(one), len(other)))


def alphabet(codes: Iterable[str]) -> str:
    """Give the letters of some codes, the most frequent first."""
    counts = Counter("".join(codes))
    return "".join(sorted(counts, key=lambda letter: (-counts[letter], letter)))


def guesses(code: str, letters: str, samples: Sequence[str]) -> list[str]:
    """Guess what was meant by a code that does not exist.

    Parameters
    ----------
    code : str
        What was asked for.
    letters : str
        The letters that codes are made of.
    samples : sequence of str
        Some codes that exist: a code that lacks their beginning is tried with it.

    Returns
    -------
    list of str
        The code in other case and without blanks; with the beginning of a sample; each part of it
        of at least four letters; and all that is one letter left out, added, changed or swapped away.
    """
    code = code[:_LONGEST]
    if not code.strip():
        return []
    forms = dict.fromkeys((code, code.strip(), code.upper(), code.strip().upper(), code.lower()))
    found = dict.fromkeys(forms)
    for sample in samples:
        found.update(
            (sample[: len(sample) - len(form)] + form, None) for form in forms if len(form) < len(sample)
        )
    for form in forms:
        found.update(dict.fromkeys(_edits(form, letters)))
    ends = range(_SHORTEST_PART, len(code) + 1)
    found.update((code[start:end], None) for end in ends for start in range(end - _SHORTEST_PART + 1))
    return list(found)


def _edits(code: str, letters: str) -> Iterable[str]:
    for at in range(len(code) + 1):
        head, tail = code[:at], code[at:]
        yield from (head + letter + tail for letter in letters)
        if tail:
            yield head + tail[1:]
            yield head + tail[1:2] + tail[:1] + tail[2:]
            yield from (head + letter + tail[1:] for letter in letters)


def second_guesses(code: str, letters: str) -> Matrix:
    """Guess at what is two edits away; of many letters only its own and the most frequent are tried.

    Parameters
    ----------
    code : str
        What was asked for.
    letters : str
        The letters that codes are made of, the most frequent first.

    Returns
    -------
    uint8 array, shape (at most some 45,000, width + 1)
        As :func:`~oms_topology.graph.names.code_bytes.padded`, some more than once, some with a gap
        of :data:`PAD`; none at all for a code that is not ASCII or has more than 64 letters.
    """
    if not code.isascii() or len(code) > _LONGEST:
        return np.empty((0, 2), dtype=np.uint8)
    plain = np.frombuffer(code.encode(), dtype=np.uint8)
    width = len(plain) + 2
    start = np.full((1, width + 1), PAD, dtype=np.uint8)
    start[0, : len(plain)], start[0, width] = plain, 0
    usable = int((2 * _SECOND_GUESSES) ** 0.5 / (2 * width)) - 1
    plain_letters = sorted(
        filter(str.isascii, letters.replace("\0", "")), key=lambda letter: letter not in code
    )
    tried = np.frombuffer("".join(plain_letters[: max(usable, 1)]).encode(), dtype=np.uint8)
    pieces = []
    for first in range(len(plain) + 1):
        once = _edited_at(start, first, tried)
        pieces += [_edited_at(once, then, tried) for then in range(first, width)]
    return np.concatenate(pieces)


def _edited_at(rows: Matrix, at: int, letters: Matrix) -> Matrix:
    """Edit each row at one place: leave out, swap with the next, change, add before."""
    count, width, tried = len(rows), rows.shape[1] - 1, len(letters)
    edited = np.empty((2 + 2 * tried, count, width + 1), dtype=np.uint8)
    edited[:] = rows
    edited[0, :, at : width - 1], edited[0, :, width - 1] = rows[:, at + 1 : width], PAD
    if at < width - 1:
        edited[1, :, at], edited[1, :, at + 1] = rows[:, at + 1], rows[:, at]
    longer = edited[2 + tried :]
    longer[:, :, at + 1 : width] = rows[:, at : width - 1]
    edited[2 : 2 + tried, :, at] = longer[:, :, at] = letters[:, None]
    return edited.reshape(-1, width + 1)


def near_among(code: str, pools: Sequence[Collection[str]], n: int, *, tries_twice: bool = True) -> list[str]:
    """Suggest codes out of dictionaries or sets, without going through them one by one.

    Parameters
    ----------
    code : str
        What was asked for.
    pools : sequence of dict or set of str
        The codes that exist.
    n : int
        How many to suggest.
    tries_twice : bool
        Where there are too many codes to compare all, look also for those two edits away.

    Returns
    -------
    list of str
        Best first; empty where nothing looks alike. Some milliseconds.
    """
    names = [name for pool in pools if len(pool) <= SMALL for name in list(pool)]
    samples = [name for pool in pools for name in list(islice(pool, _SAMPLES))]
    letters = alphabet(samples)
    found = [guess for guess in guesses(code, letters, samples) for pool in pools if guess in pool]
    if names:
        rows = padded(spelled(names), len(names), min(max(map(len, names)), _LONGEST))
        found += [names[at] for at in close_rows(code, rows, n).tolist()]
    if tries_twice and not found and len(names) < sum(map(len, pools)):
        texts = texts_of(second_guesses(code, letters))
        found = [text for pool in pools if pool for text in filter(pool.__contains__, texts)]
    return closest_of(code, found, n)
