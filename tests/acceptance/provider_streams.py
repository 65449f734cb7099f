"""Messages of all providers about one small town, some twice, some useless; the same for the same seed."""

from __future__ import annotations

import json
from random import Random
from typing import TYPE_CHECKING, Any

from tests.acceptance.scada_grid import at

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["METERS", "TOWN", "ProviderStreams"]

FEEDERS = tuple(f"{feeder:02d}" for feeder in range(1, 25))
# Two substations, 24 feeders, each with two switched distribution points of two meters; two meters on the
# first feeder can be fed from the last one too.
TOWN = "\n".join(
    f"SS{1 + (feeder > '12')} > F{feeder}; F{feeder} >SW{feeder}{point}> DP{feeder}{point}"
    f" > M{feeder}{point}1..M{feeder}{point}2"
    for feeder in FEEDERS
    for point in "12"
) + "\nF24 ~> M0111, M0112\n"  # fmt: skip
METERS = tuple(f"M{feeder}{point}{meter}" for feeder in FEEDERS for point in "12" for meter in "12")

_SOAP = """<s:Envelope xmlns:s="http://schemas.xmlsoap.org/soap/envelope/" xmlns:m="http://iec.ch/TC57/2011/schema/message"
 xmlns:e="http://iec.ch/TC57/2011/EndDeviceEvents#"><s:Body><m:EventMessage>
<m:Header><m:Verb>Create</m:Verb><m:Timestamp>{when}</m:Timestamp><m:MessageID>{key}</m:MessageID></m:Header>
<m:Payload><e:EndDeviceEvents><e:EndDeviceEvent><e:mRID>{key}_1</e:mRID>
<e:createdDateTime>{when}</e:createdDateTime><e:severity>Critical</e:severity>
<e:Assets><e:mRID>{meter}</e:mRID></e:Assets><e:EndDeviceEventType ref="{kind}"/>
</e:EndDeviceEvent></e:EndDeviceEvents></m:Payload></m:EventMessage></s:Body></s:Envelope>"""


class ProviderStreams:
    """Makes messages; each call goes on where the one before stopped."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._count = 0
        self._said: dict[str, list[bytes]] = {}
        self._makers: dict[str, Callable[[int, str], Any]] = {
            "scada": self._scada,
            "onu": self._onu,
            "kaifa": self._kaifa,
            "call_center": self._ticket,
        }

    def some(self, provider: str, count: int) -> list[bytes]:
        """Make so many messages of a provider: one in seven was said before, one in thirty is useless."""
        return [self._one(provider) for _ in range(count)]

    def _one(self, provider: str) -> bytes:
        said = self._said.setdefault(provider, [])
        if said and self._random.random() < 1 / 7:
            return self._random.choice(said)
        self._count += 1
        when = at(self._random.uniform(0, 600)).isoformat().replace("+00:00", "Z")
        if self._random.random() < 1 / 30:
            message = json.dumps({"useless": self._count}).encode()
        else:
            event = self._makers[provider](self._count, when)
            sent = at(601).replace(tzinfo=None).isoformat()
            message = json.dumps({"timestamp": sent, **event, "processed_at": sent}).encode()
        said.append(message)
        return message

    def _is_loss(self) -> bool:
        return self._random.random() < 0.5

    def _scada(self, _number: int, when: str) -> dict[str, Any]:
        feeder = self._random.choice((*FEEDERS, "99"))  # nobody knows the last: a dead letter
        event = {
            "eventType": "MV_AlarmLossOfVoltage",
            "substationId": "SS2" if feeder > "12" else "SS1",
            "feederId": f"F{feeder}",
            "alarmType": "De-energized" if self._is_loss() else "Energized",
            "timestamp": when,
        }
        if feeder != "99" and self._random.random() < 0.3:
            event["switchId"] = f"SW{feeder}{self._random.choice('12')}"
        return {"source": "SCADA-Simulator", "event": event}

    def _onu(self, number: int, when: str) -> dict[str, Any]:
        onu_id = self._random.randrange(len(METERS) // 2)
        meters = METERS[2 * onu_id : 2 * onu_id + 2]
        event = {
            "eventId": f"onu_{number}",
            "type": "ONU_LastGaspAlert" if self._is_loss() else "ONU_PowerRestored",
            "onuId": 9_100_000 + onu_id,
            "onuSerial": f"48575443{onu_id:08X}",
            "timestamp": when,
            "associatedMeters": list(meters),
        }
        return {"source": "onu-upstream", "event_type": "ONU_Event", "event": event}

    def _kaifa(self, number: int, when: str) -> dict[str, Any]:
        body = _SOAP.format(
            when=when,
            key=f"msg_{number}",
            meter=self._random.choice(METERS),
            kind="PowerOutage" if self._is_loss() else "PowerRestored",
        )
        return {"source": "web2-hes-mock-generator", "request": {"method": "POST", "body": body}}

    def _ticket(self, number: int, when: str) -> dict[str, Any]:
        customer = {
            "phone": f"+962-7-{number:08d}",
            "meterNumber": self._random.choice(METERS),
            "notes": "No power",
        }
        event = {"ticketId": f"TC_{number}", "timestamp": when, "customer": customer}
        return {"source": "call-center-intake", "event": event}
