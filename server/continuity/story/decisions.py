"""What was decided, and what is still to come: plans, prescriptions, orders, procedures, visits."""

from collections.abc import Callable, Mapping
from typing import Final

from server.continuity.story.findings import dosage, medicine, when
from server.continuity.story.sentence import Sentence
from server.continuity.story.telling import Found, Telling
from server.continuity.story.wording import code, date, label, labels, listed, period, plain


def plan(telling: Telling, found: Found) -> Sentence:
    """Return a CarePlan by its title or category."""
    resource, words = found.resource, telling.words
    what = plain(resource.get("title")) or plain(resource.get("description"))
    what = what or labels(resource.get("category"), words) or words.say("nameless")
    main = words.say("plan", what=what, status=_status(telling, found))
    on = resource.get("created") or (resource.get("period") or {}).get("start")
    return telling.said(found, main, on)


def prescription(telling: Telling, found: Found) -> Sentence:
    """Return a MedicationRequest, or that it forbids the medicine."""
    resource, words = found.resource, telling.words
    what, sources = medicine(telling, found)
    reason, more = telling.reason(found)
    stopped = labels(resource.get("statusReason"), words)
    detail = dosage(resource) + reason + (f", {stopped}" if stopped else "")
    forbids = resource.get("doNotPerform") is True
    main = words.say(
        "medication-not" if forbids else "medication",
        what=what,
        status=_status(telling, found),
        intent=words.status(code(resource.get("intent")) or "unknown"),
        detail=detail,
    )
    cautious = 0 if forbids else 1
    on = resource.get("authoredOn")
    return telling.said(found, main, on, cautious=cautious, more=(*sources, *more))


def order(telling: Telling, found: Found) -> Sentence:
    """Return a ServiceRequest, or that it forbids something."""
    forbids = found.resource.get("doNotPerform") is True
    return _order(telling, found, "order-not" if forbids else "order")


def waiting_order(telling: Telling, found: Found) -> Sentence:
    """Return an order that has no result yet."""
    return _order(telling, found, "waiting-order")


def _order(telling: Telling, found: Found, key: str) -> Sentence:
    resource, words = found.resource, telling.words
    reason, sources = telling.reason(found)
    planned = when(telling, resource)
    main = words.say(
        key,
        what=telling.label(resource.get("code")),
        status=_status(telling, found),
        detail=planned + reason,
    )
    cautious = 0 if key == "order-not" else 1
    return telling.said(found, main, resource.get("authoredOn"), cautious=cautious, more=sources)


def procedure(telling: Telling, found: Found) -> Sentence:
    """Return a Procedure, or that it was not done, and why."""
    resource, words = found.resource, telling.words
    not_done = resource.get("status") == "not-done"
    reason, sources = telling.reason(found)
    why = label(resource.get("statusReason"), words)
    outcome = label(resource.get("outcome"), words)
    detail = "".join(f", {text}" for text in (why, outcome) if text) + reason
    main = words.say(
        "procedure-not" if not_done else "procedure",
        what=telling.label(resource.get("code")),
        status=_status(telling, found),
        detail=detail,
    )
    on = resource.get("performedDateTime") or (resource.get("performedPeriod") or {}).get("start")
    return telling.said(found, main, on, more=sources)


def goal(telling: Telling, found: Found) -> Sentence:
    """Return a Goal in the words that it was put in."""
    resource, words = found.resource, telling.words
    what = telling.label(resource.get("description"))
    status = words.status(code(resource.get("lifecycleStatus")) or "unknown")
    dues = [one.get("dueDate") for one in listed(resource.get("target")) if isinstance(one, dict)]
    due = next(filter(None, (date(one, words) for one in dues)), None)
    key = "goal-due" if due else "goal"
    main = words.say(key, what=what, status=status, due=due)
    return telling.said(found, main, resource.get("startDate") or resource.get("statusDate"))


def visit(telling: Telling, found: Found) -> Sentence:
    """Return an Encounter: what, when, where and why the patient is here."""
    resource, words = found.resource, telling.words
    kind = labels(resource.get("type"), words) or words.visit(resource.get("class"))
    kind = kind or label({"coding": [resource.get("class")]}, words)
    period_ = period(resource.get("period"), words)
    main = words.say(
        "encounter" if period_ else "encounter-undated",
        **{"class": kind or words.say("nameless")},
        status=_status(telling, found),
        period=period_,
    )
    reason, sources = telling.reason(found)
    places = [one for one in (resource.get("serviceProvider"), *_locations(found)) if one]
    named = next(filter(None, (telling.people.named(one, resource) for one in places)), None)
    if named is not None:
        main += words.say("at-place", place=named.text)
        sources += named.sources
    return telling.plainly(found, main + reason, *sources)


def _locations(found: Found) -> list[object]:
    places = listed(found.resource.get("location"))
    return [one.get("location") for one in places if isinstance(one, dict)]


def appointment(telling: Telling, found: Found) -> Sentence:
    """Return an Appointment with its time, and what it is for."""
    resource, words = found.resource, telling.words
    what = plain(resource.get("description")) or labels(resource.get("serviceType"), words)
    what = what or label(resource.get("appointmentType"), words) or words.say("nameless")
    start = date(resource.get("start"), words, time=True) or words.say("undated-word")
    main = words.say("appointment", date=start, what=what, status=_status(telling, found))
    reason, sources = telling.reason(found)
    return telling.plainly(found, main + reason, *sources)


def task(telling: Telling, found: Found) -> Sentence:
    """Return a Task that is open."""
    resource, words = found.resource, telling.words
    what = plain(resource.get("description")) or telling.label(resource.get("code"))
    owner = telling.people.named(resource.get("owner"), resource)
    detail = f", {owner.text}" if owner else ""
    main = words.say("task", what=what, status=_status(telling, found), detail=detail)
    sources = owner.sources if owner else ()
    return telling.said(found, main, resource.get("authoredOn"), more=sources)


def open_report(telling: Telling, found: Found) -> Sentence:
    """Return a DiagnosticReport that is not final."""
    resource = found.resource
    what = telling.label(resource.get("code"))
    main = telling.words.say("waiting-report", what=what, status=_status(telling, found))
    return telling.said(found, main, resource.get("issued") or resource.get("effectiveDateTime"))


def _status(telling: Telling, found: Found) -> str:
    return telling.words.status(code(found.resource.get("status")) or "unknown")


TELLERS: Final[Mapping[str, Callable[[Telling, Found], Sentence]]] = {
    "Appointment": appointment,
    "CarePlan": plan,
    "Encounter": visit,
    "Goal": goal,
    "MedicationRequest": prescription,
    "Procedure": procedure,
    "ServiceRequest": order,
    "Task": task,
}
