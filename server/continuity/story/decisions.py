"""What was decided, and what is still to come: plans, prescriptions, orders, procedures, visits."""

from collections.abc import Callable, Mapping
from typing import Final

from server.continuity.story.findings import dosage, medicine, reported
from server.continuity.story.people import is_of
from server.continuity.story.sentence import Sentence
from server.continuity.story.states import in_brackets, where
from server.continuity.story.telling import Found, Telling
from server.continuity.story.wording import (
    Json,
    OpenEnd,
    at,
    code,
    codes,
    date,
    dated,
    happened,
    is_named,
    label,
    labels,
    listed,
    moment,
    on_or_in,
    period,
    plain,
    value_of,
)

_PROPOSED: Final = ("proposal", "plan", "option")  # R4 request-intent: nobody has decided yet
_ORDERED: Final = ("order", "original-order", "reflex-order", "filler-order", "instance-order")
_LOOK_AGAIN: Final = ("https://tellonce.org/fhir/CodeSystem/task-code", "look-again")
_OVER: Final = ("completed", "cancelled", "stopped", "revoked")
_ONGOING: Final = ("active", "on-hold")
_HERE: Final = ("arrived", "triaged", "in-progress", "onleave")


def plan(telling: Telling, found: Found) -> Sentence:
    """Return a CarePlan by its title or category."""
    resource, words = found.resource, telling.words
    what = plain(resource.get("title")) or plain(resource.get("description"))
    what = what or labels(resource.get("category"), words) or words.say("nameless")
    status, intent = code(resource.get("status")) or "unknown", code(resource.get("intent"))
    proposed = intent in ("proposal", "option")  # a care plan is of the intent "plan"
    variant = intent if proposed and status not in _OVER else status
    told = [words.status(intent)] if proposed else []
    told.append(words.status(status))
    main = words.say_as("plan", variant, what=what, status=", ".join(told))
    during = period(resource.get("period"), words, _open_end(status, _ONGOING))
    then = words.say("during", period=during) if during else ""
    return telling.said(found, main, resource.get("created"), then=then)


def _open_end(status: str, ongoing: tuple[str, ...]) -> OpenEnd:
    """Return how the start of something is told that has no end."""
    if status in ongoing:
        return "since"
    return "began" if status in ("finished", "completed", "revoked") else "starting"


def prescription(telling: Telling, found: Found) -> Sentence:
    """Return a MedicationRequest, or that it forbids the medicine."""
    resource, words = found.resource, telling.words
    what, sources = medicine(telling, found)
    reason, more = telling.reason(found)
    stopped = labels(resource.get("statusReason"), words)
    detail = dosage(telling, resource) + reason + (f", {stopped}" if stopped else "")
    forbids = resource.get("doNotPerform") is True
    main = words.say_as(
        "medication-not" if forbids else "medication",
        _stage(resource),
        what=what,
        status=_status(telling, found),
        intent=words.status(code(resource.get("intent")) or "unknown"),
        detail=detail,
    )
    cautious = 0 if forbids else 1
    on, did = resource.get("authoredOn"), _did(resource, "prescribed")
    then = _from(telling, resource)
    more = (*sources, *more)
    return telling.said(found, main, on, then=then, cautious=cautious, more=more, did=did)


def _from(telling: Telling, prescription_: Json) -> str:
    """Return from when on a medicine is given, as a clause or ``""``; systems often say that alone,
    and not when it was written."""
    paths = ("dosageInstruction.timing.repeat.boundsPeriod", "dispenseRequest.validityPeriod")
    words = telling.words
    told = next((one for path in paths for one in at(prescription_, path)), None)
    during = period(told, words, "starting")
    return words.say("during", period=during) if during else ""


def order(telling: Telling, found: Found) -> Sentence:
    """Return a ServiceRequest, or that it forbids something."""
    return _order(telling, found, "order-not" if forbids(found) else "order")


def waiting_order(telling: Telling, found: Found) -> Sentence:
    """Return an order that has no result yet."""
    return _order(telling, found, "waiting-order")


def forbids(found: Found) -> bool:
    """Tell whether an order says that something is not to be done."""
    return is_forbidding(found.resource)


def is_forbidding(resource: Json) -> bool:
    """Tell whether a request says that something is not to be done."""
    return resource.get("doNotPerform") is True


def _order(telling: Telling, found: Found, key: str) -> Sentence:
    resource, words = found.resource, telling.words
    reason, sources = telling.reason(found)
    intent = code(resource.get("intent"))
    told = [words.status(intent)] if intent in _PROPOSED else []
    main = words.say_as(
        key,
        _stage(resource),
        what=telling.label(resource.get("code")) + in_brackets(*where(telling, resource)),
        status=", ".join((*told, _status(telling, found))),
        detail=_planned(telling, resource) + reason,
    )
    cautious = 0 if key == "order-not" else 1
    on, did = resource.get("authoredOn"), _did(resource, "ordered")
    return telling.said(found, main, on, cautious=cautious, more=sources, did=did)


def _did(resource: Json, did: str) -> str:
    """Return what who asked for it did; ``""`` where it is no order yet, or nobody gave it."""
    is_order = code(resource.get("intent")) in _ORDERED and resource.get("status") != "draft"
    return did if is_order and "requester" in resource and not is_forbidding(resource) else ""


def _planned(telling: Telling, resource: Json) -> str:
    """Return when something is to happen, as a clause or ``""``."""
    words = telling.words
    told = date(resource.get("occurrenceDateTime"), words)
    told = told or period(resource.get("occurrencePeriod"), words, "starting")
    return f", {told}" if told else ""


def _stage(resource: Json) -> str:
    """Return which words a request takes: proposed, being written, over, or its plain status."""
    status = code(resource.get("status")) or "unknown"
    if status in _OVER:
        return "completed" if status == "completed" else "ended"
    # What somebody else prescribed is noted as a plan as well (US Core); it is no proposal.
    reported = resource.get("reportedBoolean") is True or "reportedReference" in resource
    intent = code(resource.get("intent"))
    return "proposed" if intent in _PROPOSED and not (intent == "plan" and reported) else status


def procedure(telling: Telling, found: Found) -> Sentence:
    """Return a Procedure, or that it was not done, and why."""
    resource, words = found.resource, telling.words
    status = code(resource.get("status")) or "unknown"
    reason, sources = telling.reason(found)
    why = label(resource.get("statusReason"), words)
    outcome = label(resource.get("outcome"), words)
    detail = "".join(f", {text}" for text in (why, outcome) if text)
    trouble = labels(resource.get("complication"), words)
    after = words.say("complication", text=trouble) if trouble else ""
    main = words.say_as(
        "procedure",
        status,
        what=telling.label(resource.get("code")) + in_brackets(*where(telling, resource)),
        status=words.status(status),
        detail=detail,
    )
    then = happened(resource, words, "performed")  # R4 does not say when it was written down
    return telling.said(found, main, then=then, after=reason + after, more=sources)


def goal(telling: Telling, found: Found) -> Sentence:
    """Return a Goal in the words that it was put in."""
    resource, words = found.resource, telling.words
    what = telling.label(resource.get("description"))
    reached = labels(resource.get("achievementStatus"), words)
    status = words.status(code(resource.get("lifecycleStatus")) or "unknown")
    targets = [one for one in listed(resource.get("target")) if isinstance(one, dict)]
    aims = [_aim(telling, one) for one in targets]
    what += "".join(f"; {aim}" for aim in aims if aim)
    due = next((one["dueDate"] for one in targets if date(one.get("dueDate"), words)), None)
    told = ", ".join(filter(None, (status, reached)))
    main = words.say("goal", what=what, status=told)
    start = date(resource.get("startDate"), words)
    then = words.say("during", period=words.say("since", date=start)) if start else ""
    after = words.say_as("goal-due", on_or_in(due), due=date(due, words)) if due else ""
    return telling.said(found, main, resource.get("statusDate"), then=then, after=after)


def _aim(telling: Telling, target: Json) -> str:
    """Return what is to be measured and which value it is to have."""
    measure = label(target.get("measure"), telling.words)
    value = value_of(target, telling.words, "detail")
    return " ".join(filter(None, (measure, value))) if value else ""


def visit(telling: Telling, found: Found) -> Sentence:
    """Return an Encounter: what, when, where and why the patient is here."""
    resource, words = found.resource, telling.words
    named = [one for one in listed(resource.get("type")) if is_named(one)]
    kind = labels(named, words) or words.visit(resource.get("class")) or _class(telling, resource)
    status = code(resource.get("status")) or "unknown"
    period_ = period(resource.get("period"), words, _open_end(status, _HERE))
    period_ = period_ and words.say("during", period=period_)
    main = words.say_as(
        "encounter",
        "here" if status in _HERE else status,
        **{"class": kind},
        status=words.status(status),
        period=period_ or words.say("during", period=words.say("undated-word")),
    )
    reason, sources = telling.reason(found)
    places = [one for one in (resource.get("serviceProvider"), *_locations(found)) if one]
    at_ = next(filter(None, (telling.people.named(one, resource) for one in places)), None)
    if at_ is not None:
        main += words.say("at-place", place=at_.text)
        sources += at_.sources
    return telling.plainly(found, main + reason, *sources)


def _class(telling: Telling, visit_: Json) -> str:
    """Return the kind of a visit that only a code tells."""
    codings = [visit_.get("class"), *at(visit_, "type.coding")]
    bare = [plain(one.get("code")) for one in codings if isinstance(one, dict)]
    named = (
        label({"coding": codings[:1]}, telling.words) if is_named({"coding": codings[:1]}) else ""
    )
    return named or telling.words.say("visit", code=next(filter(None, bare), "?"))


def _locations(found: Found) -> list[object]:
    places = listed(found.resource.get("location"))
    return [one.get("location") for one in places if isinstance(one, dict)]


def is_coming(telling: Telling, found: Found) -> bool:
    """Tell whether a visit is to take place: neither called off nor missed, nor declined."""
    status = code(found.resource.get("status"))
    return status in ("booked", "pending", "arrived", "checked-in") and not _declined(
        telling, found.resource
    )


def appointment(telling: Telling, found: Found) -> Sentence:
    """Return an Appointment with its time, and what it is for."""
    resource, words = found.resource, telling.words
    what = plain(resource.get("description")) or labels(resource.get("serviceType"), words)
    what = what or label(resource.get("appointmentType"), words) or words.say("nameless")
    start = date(resource.get("start"), words, time=True)
    status = code(resource.get("status")) or "unknown"
    at = moment(resource.get("start"))
    is_past = status in ("booked", "arrived", "checked-in") and (at or telling.now) < telling.now
    told = [words.status(status)]
    told += [words.say("declined")] if _declined(telling, resource) else []
    main = words.say_as(
        "appointment" if start else "appointment-undated",
        "past" if is_past else status,
        date=start,
        what=what,
        status=", ".join(told),
    )
    reason, sources = telling.reason(found)
    return telling.plainly(found, main + reason, *sources)


def _declined(telling: Telling, appointment: Json) -> bool:
    """Tell whether the patient has said that they will not come."""
    return any(
        isinstance(one, dict)
        and one.get("status") == "declined"
        and is_of(one.get("actor"), telling.patient, telling.people.base_url)
        for one in listed(appointment.get("participant"))
    )


def task(telling: Telling, found: Found) -> Sentence:
    """Return a Task that is open."""
    resource, words = found.resource, telling.words
    owner = telling.people.named(resource.get("owner"), resource)
    detail = words.say("owner", who=owner.text) if owner else ""
    if _LOOK_AGAIN in codes(resource.get("code")):
        # Its description speaks to its owner: "what you were shown" is not what others were.
        when = dated(resource.get("authoredOn"), words, "when")
        main = words.say("look-again", detail=detail, when=when)
        return telling.plainly(found, main, *(owner.sources if owner else ()))
    what = plain(resource.get("description")) or telling.label(resource.get("code"))
    main = words.say("task", what=what, status=_status(telling, found), detail=detail)
    sources = owner.sources if owner else ()
    return telling.said(found, main, resource.get("authoredOn"), more=sources)


def open_report(telling: Telling, found: Found) -> Sentence:
    """Return a DiagnosticReport that is not final, with what it says so far."""
    return reported(telling, found, "waiting-report")


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
