"""``QuestionnaireResponse/$extract``: answers become facts.  SDC 4.0, docs/extract.md.

http://hl7.org/fhir/uv/sdc/OperationDefinition/QuestionnaireResponse-extract.  The standard's call
writes nothing; our parameter ``commit`` sends its own answer, with the caller's rights.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

from server.access.context import AccessContext, Permit
from server.continuity import questionnaires
from server.continuity.citations import Cited, remember
from server.continuity.extract.run import Extracted, extract
from server.continuity.form import Form, form_of
from server.continuity.same import same_content
from server.continuity.site import Site
from server.fhir import json as fhir_json
from server.fhir.errors import (
    BusinessRule,
    InvalidParameter,
    InvalidResource,
    Issue,
    outcome,
)
from server.interactions import rights
from server.interactions.bundle import process
from server.interactions.read import looked_up
from server.operations.param import Param
from server.operations.registry import Call, Operation
from server.store.port import Version
from server.validation import check

_RESPONSE: Final = "questionnaire-response"
_TELLING: Final = (
    Permit("Provenance", frozenset(("create", "update"))),
    Permit("Task", frozenset(("create",))),
)
"""What the server writes itself: who said it and when, and that somebody is to look at it."""


def operation(site: Site) -> Operation:
    """Return the operation; ``site``: what the site decides about continuity."""

    async def run(call: Call) -> bytes:
        return await _run(call, site)

    return Operation(
        code="extract",
        definition="http://hl7.org/fhir/uv/sdc/OperationDefinition/QuestionnaireResponse-extract",
        documentation="Returns what the answers of a completed response say, as a transaction "
        "Bundle: observation-, definition- and template-based (SDC 4.0), with a Provenance to the "
        "answers of each fact. Answers that only confirm what the record has make no second copy, "
        "but a Provenance that verifies it. Extracting again changes nothing; an amended response "
        "updates what was made of it. With `commit` the Bundle is written at once.",
        levels=("type", "instance"),
        types=("QuestionnaireResponse",),
        scopes="`QuestionnaireResponse.r` for a stored response, `Questionnaire.rs`, and `.rs` of "
        "what the answers confirm or amend. With `commit` also `.c` and `.u` of each type that is "
        "made, and a role that may write it: by the policy that ships a patient's app creates "
        "Observations and Goals, not allergies or medicines. Confirming takes no right to write.",
        params=(
            Param(_RESPONSE, "Resource", "The response, on type level."),
            Param(
                "questionnaire",
                "Resource",
                "Its Questionnaire, when the server does not have it.",
            ),
            Param(
                "commit",
                "boolean",
                "Write the Bundle at once, with the rights of the caller; the response must be "
                "stored. `return` is then the answer to the transaction. Our own parameter.",
            ),
        ),
        affects_state=True,
        run=run,
    )


async def _run(call: Call, site: Site) -> bytes:
    response, version = await _response(call)
    form = await _form(call, response)
    made = await extract(call.services, call.access, response, version, form, site)
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": list(made.entries)}
    if not made.entries:
        del bundle["entry"]
    body = fhir_json.dumps(bundle)
    if call.args.get("commit"):
        body = await _committed(call, made, version, bundle)
    await _tell(call, made, version)
    return _answer(body, made.issues)


async def _response(call: Call) -> tuple[dict[str, Any], Version | None]:
    """Return the response and, when that is what is stored, its version."""
    sent = call.args.get(_RESPONSE)
    if call.id is not None:
        if sent is not None:
            raise InvalidParameter(f"{_RESPONSE} is for the type level", expression=(_RESPONSE,))
        version = await looked_up(call.services, call.access, "QuestionnaireResponse", call.id)
        return fhir_json.loads(version.body or b"{}"), version
    if sent is None:
        raise InvalidParameter(
            f"$extract needs the parameter {_RESPONSE}, or the address of a response",
            expression=(_RESPONSE,),
        )
    if sent.get("resourceType") != "QuestionnaireResponse":
        raise InvalidParameter(f"{_RESPONSE} is no QuestionnaireResponse", expression=(_RESPONSE,))
    check(sent)
    there = None
    if isinstance(id_ := sent.get("id"), str):
        there = await call.services.store.read(call.access, "QuestionnaireResponse", id_)
    if there is not None and there.body is not None:
        stored = fhir_json.loads(there.body)
        if same_content(stored, sent):
            return stored, there
    return sent, None


async def _form(call: Call, response: dict[str, Any]) -> Form:
    """Return the form: as sent, as contained in the response, or as stored."""
    sent = call.args.get("questionnaire")
    if sent is not None:
        if sent.get("resourceType") != "Questionnaire":
            raise InvalidParameter("a Questionnaire is needed", expression=("questionnaire",))
        check(sent)
        form = form_of(sent)
        _demand_meant(form, response)
        return form
    named = response.get("questionnaire")
    if not named:
        raise InvalidResource(
            "the response does not say which form it answers",
            expression=("QuestionnaireResponse.questionnaire",),
        )
    if named.startswith("#"):
        for one in response.get("contained") or ():
            if one.get("id") == named[1:] and one.get("resourceType") == "Questionnaire":
                return form_of(one)
    place = "QuestionnaireResponse.questionnaire"
    return await questionnaires.form(call.services, call.access, named, place)


def _demand_meant(form: Form, response: dict[str, Any]) -> None:
    """Refuse a form that the response does not answer: its answers would get another meaning."""
    named, url = str(response.get("questionnaire") or ""), form.raw.get("url")
    if not url or not named or named.startswith("#"):
        return
    meant, _, version = named.partition("|")
    if meant != url or version not in ("", form.raw.get("version", version)):
        told = f"the response answers {named[:200]}, not {form.canonical[:200]}"
        raise InvalidParameter(told, expression=("questionnaire",))


async def _committed(
    call: Call, made: Extracted, version: Version | None, bundle: dict[str, Any]
) -> bytes:
    """Write the transaction; return its answer."""
    if version is None:
        raise BusinessRule(
            "commit needs a stored response: what is made of it must lead back to it",
            expression=("commit",),
        )
    errors = [one for one in made.issues if one.severity == "error"]
    if errors:
        raise InvalidResource(f"nothing was written: {errors[0].diagnostics}", issues=tuple(errors))
    for interaction, type_ in sorted(made.needs):
        rights.demand(call.access, interaction, type_)
    return await process(call.services, _telling(call.access), bundle, prefer="representation")


def _telling(access: AccessContext) -> AccessContext:
    """Return the caller's rights with what the server tells for them beside their facts."""
    return replace(access, permits=(*access.permits, *_TELLING))


async def _tell(call: Call, made: Extracted, version: Version | None) -> None:
    """Tell audit and the citations what was shown of which versions."""
    services, access = call.services, call.access
    if version is None:
        return
    if services.audit is not None:
        address = f"QuestionnaireResponse/{version.id}/$extract"
        services.audit.shown(access, "operation", (version,), address)
    if made.patient is not None:
        shown = Cited(
            "extract",
            made.patient,
            frozenset(made.sources),
            services.now(),
            access.principal,
            access.person,
            f"QuestionnaireResponse/{version.id}/_history/{version.number}",
        )
        await remember(services, access, shown)


def _answer(body: bytes, issues: Sequence[Issue]) -> bytes:
    parts = [b'{"name":"return","resource":%b}' % body]
    if issues:
        told = fhir_json.dumps(outcome(list(issues)))
        parts.append(b'{"name":"issues","resource":%b}' % told)
    return b'{"resourceType":"Parameters","parameter":[%b]}' % b",".join(parts)
