"""The kinds of dirt, and of which a meter has one each: place, names, registry, status, customer, call."""

from __future__ import annotations

from enum import IntEnum, auto


class Place(IntEnum):
    """What the registries say of where the meter is."""

    RIGHT = 0
    BETWEEN_TWO = auto()
    """Right, but as far from one distribution point as from another, to a few metres."""
    ABSENT = auto()
    NOT_A_NUMBER = auto()
    NULL_ISLAND = auto()
    SWAPPED = auto()
    OUT_OF_RANGE = auto()
    """No latitude on earth: the upgrade sets it aside, as it does NaN, and leaves NULL."""


class Names(IntEnum):
    """Under which names the meter goes, and what ties them together."""

    ONU_ONLY = 0
    """In ``meters`` alone."""
    ASSET_IS_NUMBER = auto()
    """KAIFA's asset mRID is the meter number."""
    ASSET_SPELT_OTHERWISE = auto()
    """The same but for case and spaces around."""
    ASSET_IN_REGISTRY = auto()
    """``oms_smart_meters`` says which number the asset has."""
    ASSET_ALONE = auto()
    """KAIFA alone knows it: its asset mRID is its number."""
    REGISTERED_TWICE = auto()
    """``oms_meters`` has a row for the number and one for the mRID; ``oms_smart_meters`` ties them."""
    TWO_USAGE_POINTS = auto()
    """One asset (its mRID is the number) seen with two usage points."""
    SHARED_USAGE_POINT = auto()
    """Its usage point is named by the asset of another meter too."""
    LONG_MRID = auto()
    """KAIFA alone knows it, by an mRID longer than any meter number."""
    CONTESTED = auto()
    """``oms_smart_meters`` says that the asset is this meter, ``oms_meters`` that it is another."""
    REGISTRY_ONLY = auto()
    """A row of ``oms_meters`` that no provider names."""
    CALL_ONLY = auto()
    """Only a caller has named it."""


class Registered(IntEnum):
    """What ``oms_meters`` and the mappings say of its supply, from earlier runs and by hand."""

    NOT = 0
    """No row (but see `Names`)."""
    UNLINKED = auto()
    RIGHT = auto()
    """Both truths, and both right."""
    FAR = auto()
    """Linked and mapped to Aqaba by a migration that knew no limit."""
    FANNED_OUT = auto()
    """Mapped to every substation with priority 3, and linked to none."""
    AGAINST = auto()
    """Linked to its own substation, mapped to another."""
    MAPPED_ONLY = auto()
    """Mapped to its own substation and feeder; the registry has neither."""
    OTHER_FEEDER = auto()
    """The substation's mapping names another feeder than registry and feeder mapping."""
    TWO_FEEDERS = auto()
    """A second feeder, on purpose: mapped with priority 2 beside its own with 1."""
    INACTIVE = auto()
    """Right, and no longer in service."""


class Status(IntEnum):
    """What the registry says of its power, against what the ONU said last."""

    NEUTRAL = 0
    STALE = auto()
    """Registry on and online of January; the ONU lost power in May."""
    NEVER_HEARD = auto()
    """The flag stands at its default, false, and has no date: nobody ever said so."""
    ILLEGAL = auto()
    """'banana'."""
    NULL = auto()


class Customer(IntEnum):
    """By what rule the meter's customer can be found."""

    NONE = 0
    PHONE = auto()
    """A ticket with its number and the customer's phone, in another format."""
    PHONE_SHARED = auto()
    """The ticket's phone is that of two customers, and nothing else tells them apart."""
    BUILDING = auto()
    """The only customer of the building."""
    BUILDING_SHARED = auto()
    """One of many in the building, and nothing else tells them apart."""
    PLACE = auto()
    """A customer without a building stands a metre or two from it."""


class Call(IntEnum):
    """How the call center spells the meter's number."""

    NONE = 0
    EXACT = auto()
    SPELT_OTHERWISE = auto()
