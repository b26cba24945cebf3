"""Utility functions (hl7.org/fhirpath/N1, section 5.9), types (section 10) and precision."""

from datetime import datetime
from decimal import Decimal

from server.fhir.fhirpath.environment import Environment
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.functions.function import Function, Run, each
from server.fhir.fhirpath.items import TYPE_INFO, Item, Items, computed
from server.fhir.fhirpath.singleton import text
from server.fhir.fhirpath.temporal import Temporal


def _trace(env: Environment, items: Items, focus: Items, name: Run, *projection: Run) -> Items:
    """Return the items as they are; whoever listens is told of them, or of what they are made."""
    told = text(name(focus, env)) or ""
    if env.outside.trace is not None:
        shown = items
        if projection:
            shown = [made for _, found in each(env, items, projection[0]) for made in found]
        env.outside.trace(told, shown)
    return items


def _clock(env: Environment) -> datetime:
    if env.now is None:
        raise FhirPathError("there is no clock here")
    return env.now


def _now(env: Environment, items: Items) -> Items:
    now = _clock(env)
    offset = now.utcoffset()
    minutes = None if offset is None else int(offset.total_seconds()) // 60
    fields = (now.year, now.month, now.day, now.hour, now.minute)
    return computed(Temporal("dateTime", fields, _seconds(now), minutes))


def _today(env: Environment, items: Items) -> Items:
    now = _clock(env)
    return computed(Temporal("date", (now.year, now.month, now.day)))


def _time_of_day(env: Environment, items: Items) -> Items:
    now = _clock(env)
    return computed(Temporal("time", (now.hour, now.minute), _seconds(now)))


def _seconds(now: datetime) -> Decimal:
    return Decimal(now.second * 1000 + now.microsecond // 1000).scaleb(-3)


def _type(env: Environment, items: Items) -> Items:
    """Return for each item what it is: ``namespace`` and ``name``."""
    return [_type_of(item) for item in items]


def _type_of(item: Item) -> Item:
    namespace, dot, name = item.type.rpartition(".")
    facts = {"namespace": namespace if dot else "FHIR", "name": name}
    return Item(facts, TYPE_INFO, TYPE_INFO)


FUNCTIONS = {
    "trace": Function(_trace, 1, 2, lazy=True),
    "now": Function(_now),
    "today": Function(_today),
    "timeOfDay": Function(_time_of_day),
    "type": Function(_type),
}
