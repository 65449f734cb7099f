"""What the event codes of meters mean: IEC 61968-9 codes and the names that head-ends write instead.

The table ``data/end_device_event_codes.csv`` gathers the codes that public event lists of Aclara, AEP and
EnergyICT (Connexo) name, each row with its list in ``seen_in``; the code scheme is that of IEC 61968-9.
"""

from __future__ import annotations

import csv
import re
import string
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

from oms_topology.model import CommunicationStatus, PowerStatus

__all__ = ["Meaning", "meaning_of_end_device_event"]

_NAMES = {
    PowerStatus.OFF: (
        "poweroutage",
        "poweroff",
        "powerfailure",
        "powerfail",
        "powerloss",
        "powerdown",
        "primarypowerdown",
        "lastgasp",
    ),
    PowerStatus.ON: (
        "powerrestored",
        "powerrestore",
        "powerrestoration",
        "poweron",
        "powerup",
        "primarypowerup",
    ),
}
_COMMUNICATION_NAMES = {
    "communicationloss": CommunicationStatus.OFFLINE,
    "communicationlost": CommunicationStatus.OFFLINE,
    "communicationfailure": CommunicationStatus.OFFLINE,
    "communicationrestored": CommunicationStatus.ONLINE,
}
_LOWER = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)
_NO_LETTERS = re.compile("[^a-z0-9]")


class Meaning(NamedTuple):
    """What an event type says of power and of communication, and in words."""

    power_status: PowerStatus
    communication_status: CommunicationStatus
    words: str


def meaning_of_end_device_event(event_type: str) -> Meaning | None:
    """Tell what an event type says; None for one that nobody knows here.

    A meter that reports its loss of power is about to fall silent, so it counts as offline; one that reports
    anything else has been reached, but for the loss of communication itself, which says nothing of power.
    The SQL table ``oms_topology.end_device_event_code`` holds the same.

    Examples
    --------
    >>> meaning_of_end_device_event("3.26.0.85").power_status.value
    'off'
    >>> meaning_of_end_device_event("3.23.136.47")[:2]
    (<PowerStatus.UNKNOWN: 'unknown'>, <CommunicationStatus.OFFLINE: 'offline'>)
    >>> meaning_of_end_device_event("Firmware") is None
    True
    """
    known = _meanings()
    if event_type in known:
        return known[event_type]
    lower = event_type.translate(_LOWER)
    return known.get(lower) or known.get(_NO_LETTERS.sub("", lower))


@lru_cache(maxsize=1)
def _meanings() -> dict[str, Meaning]:
    meanings = {name: _of_power(power, name) for power, names in _NAMES.items() for name in names}
    for name, communication in _COMMUNICATION_NAMES.items():
        meanings[name] = Meaning(PowerStatus.UNKNOWN, communication, name)
    table = resources.files("oms_topology.events") / "data" / "end_device_event_codes.csv"
    with table.open(encoding="utf-8") as rows:
        for row in csv.DictReader(rows):
            meanings[row["code"]] = _of_words(row["meaning_for_oms"])
    for name in ("PowerOutage", "PowerRestored"):
        meanings[name] = meanings[name.lower()]
    return meanings


def _of_words(words: str) -> Meaning:
    if words.startswith("power off"):
        return _of_power(PowerStatus.OFF, words)
    if words.startswith("power on"):
        return _of_power(PowerStatus.ON, words)
    lost = "COMMS" in words
    communication = CommunicationStatus.OFFLINE if lost else CommunicationStatus.ONLINE
    return Meaning(PowerStatus.UNKNOWN, communication, words)


def _of_power(power: PowerStatus, words: str) -> Meaning:
    on = power is PowerStatus.ON
    return Meaning(power, CommunicationStatus.ONLINE if on else CommunicationStatus.OFFLINE, words)
