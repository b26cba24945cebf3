"""What a story looks for: one bounded search for each kind of entry, as data.

Each is answered newest first through the index.  What a search leaves out is counted, so that the
story can say how much more there is: nothing is dropped in silence.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from server.continuity.story.home import BEFORE_DAYS, RECENT_DAYS
from server.fhir.dates import DAY
from server.search import parameters
from server.search.query import (
    EVERYTHING,
    AllOf,
    AnyOf,
    DateIs,
    HasKey,
    IdIs,
    Not,
    Predicate,
    Query,
    ReferredBy,
    SortKey,
    UpdatedIs,
)

STATUS: Final = {
    "AllergyIntolerance": "verification-status",
    "Condition": "verification-status",
    "Goal": "lifecycle-status",
}
_ERROR: Final = "entered-in-error"
CHANGING: Final = (
    "AllergyIntolerance", "Appointment", "CarePlan", "Communication", "Condition",
    "DiagnosticReport", "DocumentReference", "Encounter", "FamilyMemberHistory", "Goal",
    "Immunization", "MedicationRequest", "MedicationStatement", "Observation", "Procedure",
    "QuestionnaireResponse", "ServiceRequest", "Task",
)  # fmt: skip
"""The types that a story tells of."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One search.  ``limit`` 0: what is found is counted, and nothing of it told."""

    name: str
    type: str
    limit: int
    where: Predicate = EVERYTHING
    sort: tuple[SortKey, ...] = ()

    def query(self, patient: str, encounter: str | None) -> Query:
        """Return the search over one patient's entries, of one visit if that is asked for."""
        parts = [HasKey((f"{self.type}|patient|r|{patient}",)), self.where, _sound(self.type)]
        if encounter is not None:
            parts.append(_of_visit(self.type, encounter))
        return Query((self.type,), AllOf(tuple(one for one in parts if one != EVERYTHING)))


def asks(patient: str, now: int) -> tuple[Ask, ...]:
    """Return the searches for the story of ``Patient/x`` at ``now`` (microseconds)."""
    at_home = _at_home(patient)
    measured = _measured(patient)
    start = now - (RECENT_DAYS + BEFORE_DAYS) * DAY
    lately = DateIs("Observation", "date", "ge", start, start + 1)
    past = DateIs("Appointment", "date", "lt", now, now + 1)  # what has no date yet is to come
    return (
        Ask("visits", "Encounter", 10, _of("Encounter", _HERE)),
        Ask("past visits", "Encounter", 3, Not(_of("Encounter", _HERE))),
        Ask("complaints", "Observation", 5, _COMPLAINT),
        Ask("forms", "QuestionnaireResponse", 5),
        Ask("messages", "Communication", 15),
        Ask("words", "Observation", 30, AllOf((at_home, Not(measured), Not(_COMPLAINT)))),
        Ask("goals", "Goal", 20),
        Ask("worries", "Condition", 20, AllOf((_CONCERN, Not(_past_condition())))),
        Ask("allergies", "AllergyIntolerance", 100),
        Ask("conditions", "Condition", 40, Not(AnyOf((_past_condition(), _CONCERN)))),
        Ask("past conditions", "Condition", 0, _past_condition()),
        Ask("medicines taken", "MedicationStatement", 40),
        Ask("reports", "DiagnosticReport", 15, Not(_of("DiagnosticReport", _OPEN_REPORT))),
        Ask("results", "Observation", 25, Not(AnyOf((at_home, _COMPLAINT)))),
        Ask("documents", "DocumentReference", 10),
        Ask("immunizations", "Immunization", 10),
        Ask("family", "FamilyMemberHistory", 20),
        Ask("plans", "CarePlan", 10),
        Ask("prescriptions", "MedicationRequest", 40, Not(_of("MedicationRequest", _ENDED))),
        Ask("past prescriptions", "MedicationRequest", 0, _of("MedicationRequest", _ENDED)),
        Ask("orders", "ServiceRequest", 15, Not(_waiting())),
        Ask("procedures", "Procedure", 15),
        Ask("waiting orders", "ServiceRequest", 30, _waiting()),
        Ask("open reports", "DiagnosticReport", 20, _of("DiagnosticReport", _OPEN_REPORT)),
        Ask("appointments", "Appointment", 20, Not(past), (SortKey("date", "date"),)),
        Ask("past appointments", "Appointment", 0, past),
        Ask("tasks", "Task", 20, Not(_of("Task", _CLOSED_TASK))),
        Ask("home", "Observation", 1000, AllOf((measured, lately))),
        Ask("past home", "Observation", 0, AllOf((measured, Not(lately)))),
    )


def changes(patient: str, since: int, encounter: str | None) -> Query:
    """Return the search for what was stored after ``since``, withdrawn entries included.

    Without measurements from home: there are many, and they are told as trends.
    """
    of_patient = HasKey(tuple(f"{type_}|patient|r|{patient}" for type_ in CHANGING))
    stored = UpdatedIs("gt", since, since + 1)
    parts: list[Predicate] = [of_patient, stored, Not(_measured(patient))]
    if encounter is not None:
        visits = (AllOf((HasKey((t,)), _of_visit(t, encounter))) for t in CHANGING)
        parts.append(AnyOf(tuple(visits)))
    return Query(CHANGING, AllOf(tuple(parts)))


NEWEST: Final = (SortKey("_lastUpdated", "updated", descending=True),)

_COMPLAINT: Final = HasKey(
    tuple(f"Observation|code|s|http://loinc.org|{one}" for one in ("8661-1", "10154-3", "29299-5"))
)
_CONCERN: Final = HasKey(("Condition|category|c|health-concern",))
_HERE: Final = ("planned", "arrived", "triaged", "in-progress", "onleave")
_OPEN_REPORT: Final = ("registered", "partial", "preliminary")
_DONE_REPORT: Final = ("final", "amended", "corrected", "appended")
_ENDED: Final = ("completed", "cancelled", "stopped")
_CLOSED_TASK: Final = ("completed", "cancelled", "rejected", "failed")


def _of(type_: str, statuses: Iterable[str], param: str = "status") -> HasKey:
    return HasKey(tuple(f"{type_}|{param}|c|{one}" for one in statuses))


def _past_condition() -> HasKey:
    return _of("Condition", ("inactive", "remission", "resolved"), "clinical-status")


def new_home(since: int, patient: str) -> Ask:
    """Return what counts the measurements from home that were stored after ``since``."""
    stored = UpdatedIs("gt", since, since + 1)
    return Ask("new home", "Observation", 0, AllOf((_measured(patient), stored)))


def _measured(patient: str) -> Predicate:
    return AllOf((_at_home(patient), HasKey(("Observation|value-quantity|?",))))


def _at_home(patient: str) -> Predicate:
    """Return what the patient measured or said, or a device that belongs to nobody's visit.

    Monitors of a ward and machines of a laboratory are devices, too.
    """
    elsewhere = HasKey(("Observation|encounter|?", "Observation|performer|?"))
    alone = AllOf((HasKey(("Observation|device|?",)), Not(elsewhere)))
    return AnyOf((HasKey((f"Observation|performer|r|{patient}",)), alone))


def _waiting() -> Predicate:
    """Return what an order without any final result looks like."""
    answered = tuple(
        ReferredBy(Query((type_,), _of(type_, _DONE_REPORT)), "based-on")
        for type_ in ("DiagnosticReport", "Observation")
    )
    sent = _of("ServiceRequest", ("active", "on-hold"))
    proposed = _of("ServiceRequest", ("proposal", "plan", "option"), "intent")
    return AllOf((sent, Not(proposed), *(Not(one) for one in answered)))


def _sound(type_: str) -> Predicate:
    """Return what leaves out entries in error, so that they take no place among the newest."""
    param = STATUS.get(type_, "status")
    if param not in _params(type_):
        return EVERYTHING
    return Not(_of(type_, (_ERROR,), param))


def _of_visit(type_: str, encounter: str) -> Predicate:
    """Return what belongs to a visit; allergies, goals and the like belong to every one."""
    if type_ == "Encounter":
        return IdIs((encounter.partition("/")[2],))
    for param in ("encounter", "context"):
        if param in _params(type_):
            return HasKey((f"{type_}|{param}|r|{encounter}",))
    return EVERYTHING


@lru_cache(maxsize=64)
def _params(type_: str) -> frozenset[str]:
    return frozenset(parameters.searchable(type_))
