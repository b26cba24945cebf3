"""``Patient/[id]/$known-answers``: what the record knows of each item of a form.

An operation of this server (docs/continuity.md); every answer names the versions that it stands on,
who said it and when, and why it is known, to be confirmed, in conflict, or to be asked.
"""

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import urlencode

from server.continuity import questionnaires
from server.continuity.answers import Answered, answered
from server.continuity.citations import Cited, cited, remember
from server.continuity.form import Form, form_of
from server.continuity.known import Candidate, Known
from server.continuity.site import Site
from server.continuity.withheld import is_withheld
from server.fhir import json as fhir_json
from server.fhir.dates import DAY, instant_text
from server.fhir.errors import InvalidParameter
from server.fhir.references import split_reference
from server.operations.registry import Call, Operation, Param
from server.validation import check

_AGES: Final = ((730 * DAY, 365 * DAY, "year"), (60 * DAY, 30 * DAY, "month"), (DAY, DAY, "day"))


def operation(site: Site) -> Operation:
    """Return the operation; ``site`` is what the site decides about continuity."""

    async def run(call: Call) -> bytes:
        assert call.id is not None
        form = await _form(call)
        made = await answered(
            call.services, call.access, call.id, form, site, encounter=_encounter(call)
        )
        await _tell(call, form, made)
        withheld = await is_withheld(call.services, call.access, f"Patient/{call.id}")
        return fhir_json.dumps(answer(made.known, call.services.now(), withheld=withheld))

    return Operation(
        code="known-answers",
        definition="https://tellonce.org/fhir/OperationDefinition/Patient-known-answers",
        documentation="Returns what the record knows of each item of a form: `known` (shown as "
        "answered), `confirm` (shown, one tap), `conflict` (all answers, the more cautious one "
        "first) or `ask`, with the rule and the reason. Each answer has its versioned sources, "
        "when it was said, its age, its author and what kind of author that is. Computed under "
        "the caller's access: what the caller may not see changes nothing. Whom the access policy "
        "tells of it gets `withheld` as well, when labels hide something of the record.",
        levels=("instance",),
        types=("Patient",),
        scopes="`Patient.r`; `Questionnaire.rs`, unless the form is sent along; `.rs` of the types "
        "that may answer, such as `AllergyIntolerance`, `Observation` and `QuestionnaireResponse`: "
        "what is not open is asked. `Provenance.rs` tells who said and confirmed it; without it "
        "more is to be confirmed.",
        params=_PARAMS,
        run=run,
    )


_PARAMS: Final = (
    Param(
        "questionnaire",
        "canonical",
        "The form: canonical URL, `Questionnaire/id`, or the resource itself.",
        required=True,
        also=("uri", "string", "Reference", "Resource"),
    ),
    Param(
        "encounter",
        "Reference",
        "The Encounter in which it is asked; what is confirmed in each encounter is known only in "
        "the one in which it was said.",
        also=("string",),
    ),
)


async def _form(call: Call) -> Form:
    value = call.args["questionnaire"]
    if isinstance(value, dict) and "resourceType" in value:
        if value["resourceType"] != "Questionnaire":
            raise InvalidParameter(
                f"questionnaire takes a Questionnaire, not a {value['resourceType']}",
                expression=("questionnaire",),
            )
        check(value)
        return form_of(value)
    text = value.get("reference", "") if isinstance(value, dict) else value
    return await questionnaires.form(call.services, call.access, text)


def _encounter(call: Call) -> str | None:
    value = call.args.get("encounter")
    if value is None:
        return None
    text = value.get("reference", "") if isinstance(value, dict) else value
    named = split_reference(text, call.services.base_url)
    if named.type not in (None, "Encounter") or not text:
        raise InvalidParameter("encounter refers to an Encounter", expression=("encounter",))
    return named.id or text


async def _tell(call: Call, form: Form, made: Answered) -> None:
    """Keep which versions were shown to whom (C11), and tell audit of it."""
    services, access = call.services, call.access
    patient = f"Patient/{call.id}"
    shown = {source for one in made.known for said in one.candidates for source in said.sources}
    await remember(
        services,
        access,
        Cited(
            "known-answers",
            patient,
            frozenset(map(cited, shown)),
            services.now(),
            access.principal,
            access.person,
        ),
    )
    if services.audit is not None:
        asked = urlencode([("questionnaire", form.canonical)])
        services.audit.shown(access, "operation", made.shown, f"{patient}/$known-answers?{asked}")


def answer(known: Iterable[Known], now: int, *, withheld: bool = False) -> dict[str, Any]:
    """Return Parameters: one ``item`` for each item of the form that can have an answer.

    Its parts: ``linkId``, ``text``, ``state``, ``rule``, ``reason``, and for each answer
    ``answer`` with ``value``, ``source`` (versioned references), ``saidAt``, ``age``, ``author``
    and ``authorKind``.  ``withheld``: told first, to who may know it.
    """
    first = [{"name": "withheld", "valueBoolean": True}] if withheld else []
    parts = [{"name": "item", "part": list(_item(one, now))} for one in known]
    return {"resourceType": "Parameters", **({"parameter": first + parts} if first + parts else {})}


def _item(known: Known, now: int) -> Iterable[dict[str, Any]]:
    yield {"name": "linkId", "valueString": known.item.link_id}
    if known.item.text:
        yield {"name": "text", "valueString": known.item.text}
    yield {"name": "state", "valueCode": known.state}
    yield {"name": "rule", "valueString": known.rule}
    if known.reason:
        yield {"name": "reason", "valueString": known.reason}
    for one in known.candidates:
        yield {"name": "answer", "part": list(_answer(one, now))}


def _answer(one: Candidate, now: int) -> Iterable[dict[str, Any]]:
    yield {"name": "value", **one.value}
    for reference in dict.fromkeys(source.reference for source in one.sources):
        yield {"name": "source", "valueReference": {"reference": reference}}
    if one.said_at is not None:
        yield {"name": "saidAt", "valueDateTime": instant_text(one.said_at)}
    yield {"name": "age", "valueString": age(one.said_at, now)}
    who = {"reference": one.author.reference, "display": one.author.display}
    named = {name: text for name, text in who.items() if text}
    if named:
        yield {"name": "author", "valueReference": named}
    yield {"name": "authorKind", "valueCode": one.author.kind}


def age(said_at: int | None, now: int) -> str:
    """Return how long ago something was said, in words, rounded down.

    >>> age(0, 3 * DAY + 5), age(0, 70 * DAY), age(5, 5), age(None, 5)
    ('3 days ago', '2 months ago', 'today', 'nobody knows when')
    """
    if said_at is None:
        return "nobody knows when"
    past = max(0, now - said_at)
    for least, unit, word in _AGES:
        if past >= least:
            count = past // unit
            return f"{count} {word}{'' if count == 1 else 's'} ago"
    return "today"
