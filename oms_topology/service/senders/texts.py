"""The words of messages: templates in several languages, filled with what is known of an outage."""

from __future__ import annotations

import string
import tomllib
import unicodedata
from dataclasses import dataclass
from datetime import UTC, tzinfo
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from oms_topology.persistence.notifications import DueNotification

__all__ = ["MessageTexts", "one_line"]

_KINDS: Final = ("outage_detected", "crew_dispatched", "restored")
_NAMES: Final = frozenset({"area", "started", "restored", "estimate"})
_PHRASES: Final = ("time_format", "separator", "and_others", "unknown_area")
_MOST_AREAS = 3
_LONGEST_NAME = 80
_ISOLATE: Final = "\N{FIRST STRONG ISOLATE}"
_END_ISOLATE: Final = "\N{POP DIRECTIONAL ISOLATE}"
_JOINERS: Final = "\N{ZERO WIDTH NON-JOINER}\N{ZERO WIDTH JOINER}"
_UNSEEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class _Language:
    direction: str
    phrases: Mapping[str, str]
    subjects: Mapping[str, str]
    texts: Mapping[str, str]


class MessageTexts:
    """Templates by language and kind, and the zone in which customers read times.

    Parameters
    ----------
    languages : mapping, optional
        As the file ``texts.toml`` has them, which is taken when left out: English and Arabic.
    zone : tzinfo
        The local zone of the customers.
    default_language : str
        For customers whose language there is not.

    Raises
    ------
    ValueError
        A language lacks something, or a template has a placeholder that does not exist.

    Examples
    --------
    >>> from datetime import datetime
    >>> texts = MessageTexts()
    >>> sorted(texts.languages)
    ['ar', 'en']
    >>> MessageTexts({"en": {"direction": "ltr"}})
    Traceback (most recent call last):
    ValueError: language en: time_format is missing
    """

    def __init__(
        self,
        languages: Mapping[str, Any] | None = None,
        *,
        zone: tzinfo = UTC,
        default_language: str = "en",
    ) -> None:
        given = _shipped() if languages is None else languages
        self.languages = {tag: _checked(tag, said) for tag, said in given.items()}
        if default_language not in self.languages:
            raise ValueError(f"there are no texts in the language {default_language}")
        self._zone = zone
        self._default = default_language

    @classmethod
    def from_file(cls, path: Path, *, zone: tzinfo = UTC, default_language: str = "en") -> MessageTexts:
        """Read templates from a TOML file of the form of ``texts.toml``.

        Raises
        ------
        ValueError
            It is no such file.
        OSError
            It cannot be read.
        """
        return cls(
            tomllib.loads(path.read_text(encoding="utf-8")), zone=zone, default_language=default_language
        )

    def language_of(self, tag: str | None) -> str:
        """Give the language that a customer of that language gets: it, else its main one, else the default.

        Examples
        --------
        >>> texts = MessageTexts()
        >>> texts.language_of("ar-IQ"), texts.language_of("ku"), texts.language_of(None)
        ('ar', 'en', 'en')
        """
        wanted = (tag or "").lower()
        main = wanted.split("-")[0]
        return next((known for known in (wanted, main) if known in self.languages), self._default)

    def direction(self, tag: str | None) -> str:
        """Give the writing direction of a language: ``ltr`` or ``rtl``."""
        return self.languages[self.language_of(tag)].direction

    def subject(self, message: DueNotification) -> str:
        """Give the subject of a message: one line."""
        language = self.languages[self.language_of(message.language)]
        return " ".join(self._filled(language, language.subjects[message.kind], message).split())

    def text(self, message: DueNotification) -> str:
        """Give the words of a message."""
        language = self.languages[self.language_of(message.language)]
        return self._filled(language, language.texts[message.kind], message)

    def _filled(self, language: _Language, template: str, message: DueNotification) -> str:
        phrases = language.phrases
        expected = self._time(language, message.expected_at)
        estimate = (
            phrases["estimate_known"].format(expected=expected) if expected else phrases["estimate_unknown"]
        )
        return template.format(
            area=_area(language, message.areas),
            started=self._time(language, message.started_at),
            restored=self._time(language, message.ended_at),
            estimate=estimate,
        )

    def _time(self, language: _Language, at: datetime | None) -> str:
        if at is None:
            return ""
        said = at.astimezone(self._zone).strftime(language.phrases["time_format"])
        return _within(language, said)


def one_line(text: str, longest: int = _LONGEST_NAME) -> str:
    r"""Make one printable line of a text: no line breaks, control or direction characters, not too long.

    Examples
    --------
    >>> one_line("Pump\r\nBcc: all@example.org\u202e")
    'Pump Bcc: all@example.org'
    >>> one_line("x" * 200, 5)
    'xxxx…'
    """
    seen = "".join(" " if _is_unseen(sign) else sign for sign in text)
    line = " ".join(seen.split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def _is_unseen(sign: str) -> bool:
    # Joiners belong to the spelling of names; what else is of category Cf turns the direction of text.
    return unicodedata.category(sign) in _UNSEEN and sign not in _JOINERS


def _area(language: _Language, areas: tuple[str, ...]) -> str:
    phrases = language.phrases
    names = list(dict.fromkeys(name for name in map(one_line, areas) if name))
    if not names:
        return phrases["unknown_area"]
    shown = phrases["separator"].join(_within(language, name) for name in names[:_MOST_AREAS])
    return shown + (phrases["and_others"] if len(names) > _MOST_AREAS else "")


def _within(language: _Language, said: str) -> str:
    """Let what may run from left to right keep its direction within a sentence that runs the other way."""
    # Not in other languages: one such sign makes a short message of the mobile network cost twice as much.
    return f"{_ISOLATE}{said}{_END_ISOLATE}" if language.direction == "rtl" else said


def _shipped() -> dict[str, Any]:
    place = files("oms_topology.service.senders") / "texts.toml"
    return tomllib.loads(place.read_text(encoding="utf-8"))


def _checked(tag: str, said: Any) -> _Language:
    if not isinstance(said, dict):
        raise ValueError(f"language {tag}: it is no table")  # noqa: TRY004 - a wrong file, no wrong type
    phrases = {name: _template(tag, said, name, frozenset()) for name in _PHRASES}
    phrases["estimate_known"] = _template(tag, said, "estimate_known", frozenset({"expected"}))
    phrases["estimate_unknown"] = _template(tag, said, "estimate_unknown", frozenset())
    if said.get("direction") not in ("ltr", "rtl"):
        raise ValueError(f"language {tag}: direction is ltr or rtl")
    tables = {kind: said.get(kind, {}) for kind in _KINDS}
    return _Language(
        said["direction"],
        phrases,
        {kind: _template(f"{tag}.{kind}", table, "subject", _NAMES) for kind, table in tables.items()},
        {kind: _template(f"{tag}.{kind}", table, "text", _NAMES) for kind, table in tables.items()},
    )


def _template(tag: str, table: Any, name: str, known: frozenset[str]) -> str:
    text = table.get(name) if isinstance(table, dict) else None
    if not isinstance(text, str):
        raise ValueError(f"language {tag}: {name} is missing")  # noqa: TRY004 - as above
    # What a template names is filled in as it is: no attributes, no items, no formats.
    for _, named, form, conversion in string.Formatter().parse(text):
        if named is not None and (named not in known or form or conversion):
            raise ValueError(f"language {tag}: {name} has an unknown placeholder {{{named}}}")
    return text
