"""``Questionnaire/$populate``: a form as far as the record can answer it.

SDC 4.0, OperationDefinition/Questionnaire-populate.  The form is named by the address, by
``questionnaire`` (canonical URL, reference or resource), or as SDC 3.0 has it by ``canonical``,
``questionnaireRef`` and ``identifier``.  How it is answered: :mod:`server.continuity.populate`.
"""

from typing import Any

from server.continuity import questionnaires
from server.continuity.citations import Cited, cited, remember
from server.continuity.form import Form, form_of
from server.continuity.populate import Given, Populated, populated
from server.continuity.site import Site
from server.fhir import json as fhir_json
from server.fhir.errors import InvalidParameter, MultipleMatches, NotFound, NotSupported, outcome
from server.fhir.references import split_reference
from server.interactions.expand import expand
from server.interactions.question import parsed
from server.operations.registry import Call, Operation, Param
from server.validation import check

_FORM = ("questionnaire", "questionnaireRef", "canonical", "identifier")


def operation(site: Site) -> Operation:
    """Return the operation; ``site`` is what the site decides about continuity."""

    async def run(call: Call) -> bytes:
        form, stored = await _form(call)
        patient = _patient(call)
        made = await populated(
            call.services,
            call.access,
            patient,
            form,
            site,
            contexts=_contexts(call),
            local=call.args.get("local", True),
            stored=stored,
        )
        await _tell(call, patient, made)
        return fhir_json.dumps(_answer(made))

    return Operation(
        code="populate",
        definition="http://hl7.org/fhir/uv/sdc/OperationDefinition/Questionnaire-populate",
        documentation="Returns a QuestionnaireResponse in progress, answered as far as the record "
        "allows, in `response`, and what could not be done in `issues`. Each item says by the "
        "extension `known` whether its answer is known, to be confirmed, in conflict or to be "
        "asked, and from which versions; each answer is marked `auto` by Da Vinci DTR's "
        "`information-origin`.",
        levels=("type", "instance"),
        types=("Questionnaire",),
        scopes="`Questionnaire.rs` (a patient's app may read every form that no label hides), "
        "`Patient.r`, and as `$known-answers`.",
        params=_PARAMS,
        run=run,
    )


_CONTENT = Param(
    "content", "Reference", "A reference, or the resource itself.", many=True, also=("Resource",)
)
_CONTEXT = (
    Param("name", "string", "The launch context or variable of the form.", required=True),
    _CONTENT,
)
_PARAMS = (
    Param(
        "questionnaire",
        "uri",
        "The form: canonical URL, reference, or resource.",
        also=("canonical", "Reference", "Resource"),
    ),
    Param("questionnaireRef", "Reference", "The form, as SDC 3.0 refers to it."),
    Param("canonical", "uri", "The form's canonical URL, as SDC 3.0 has it."),
    Param("identifier", "Identifier", "The form's business identifier."),
    Param("subject", "Reference", "The Patient.", also=("string",)),
    Param("context", "parts", "A launch context, by name.", many=True, parts=_CONTEXT),
    Param(
        "launchContext", "parts", "The same, as clients also call it.", many=True, parts=_CONTEXT
    ),
    Param("local", "boolean", "`false`: nothing but the contexts is looked at; true by default."),
)


async def _form(call: Call) -> tuple[Form, bool]:
    """Return the form, and whether it is stored here."""
    given = [name for name in _FORM if name in call.args]
    if call.id is not None:
        if given:
            raise InvalidParameter(
                f"the address names the form already; leave {', '.join(given)} out",
                expression=tuple(given),
            )
        return await questionnaires.form(call.services, call.access, call.id, ""), True
    if len(given) != 1:
        raise InvalidParameter(
            f"$populate needs one of {', '.join(_FORM)}", expression=tuple(given) or _FORM
        )
    value = call.args[given[0]]
    if given == ["identifier"]:
        value = await _identified(call, value)
    elif isinstance(value, dict) and "resourceType" in value:
        if value["resourceType"] != "Questionnaire":
            raise InvalidParameter(
                f"questionnaire takes a Questionnaire, not a {value['resourceType']}",
                expression=("questionnaire",),
            )
        check(value)
        return form_of(value), False
    elif isinstance(value, dict):
        value = value.get("reference", "")
    return await questionnaires.form(call.services, call.access, value), True


async def _identified(call: Call, identifier: dict[str, Any]) -> str:
    value, system = identifier.get("value", ""), identifier.get("system", "")
    if not value:
        raise InvalidParameter("identifier has no value", expression=("identifier",))
    token = f"{_escaped(system)}|{_escaped(value)}" if system else _escaped(value)
    services, access = call.services, call.access
    asked = await parsed(services, access, "Questionnaire", [("identifier", token)], strict=True)
    wanted = await expand(services, access, asked)
    page = await services.store.search(
        access, wanted.query, limit=2, deadline_s=services.policy.deadline_s
    )
    if not page.versions:
        raise NotFound("there is no Questionnaire of that identifier", expression=("identifier",))
    if len(page.versions) > 1:
        raise MultipleMatches("several Questionnaires bear that identifier")
    return f"Questionnaire/{page.versions[0].id}"


def _escaped(text: str) -> str:
    for special in ("\\", ",", "|", "$"):
        text = text.replace(special, f"\\{special}")
    return text


def _patient(call: Call) -> str:
    """Return the id of the subject: the parameter, the launch context, or who the token is for."""
    subject = call.args.get("subject")
    text = subject.get("reference", "") if isinstance(subject, dict) else subject
    if text is None:
        text = _launched(call) or _of_token(call)
    if not text:
        raise InvalidParameter("$populate needs the parameter subject", expression=("subject",))
    named = split_reference(text, call.services.base_url)
    if named.type is None or named.id is None:
        raise InvalidParameter("subject refers to a Patient", expression=("subject",))
    if named.type != "Patient":
        raise NotSupported(
            f"subject: a form is answered about a Patient, not about {text}",
            expression=("subject",),
        )
    return named.id


def _of_token(call: Call) -> str | None:
    patient = call.access.patient
    return f"Patient/{patient.removeprefix('Patient/')}" if patient else None


def _launched(call: Call) -> str | None:
    for given in _contexts(call):
        if given.name == "patient" and given.content:
            content = given.content[0]
            if "resourceType" in content:
                return f"{content['resourceType']}/{content.get('id', '')}"
            text: str = content.get("reference", "")
            return text
    return None


def _contexts(call: Call) -> list[Given]:
    parts = [*call.args.get("context", ()), *call.args.get("launchContext", ())]
    return [Given(part["name"], tuple(part.get("content", ()))) for part in parts]


async def _tell(call: Call, patient: str, made: Populated) -> None:
    """Tell audit what was read, and keep which versions the answers stand on (C11)."""
    services, access = call.services, call.access
    sources = frozenset(cited(source) for source in made.sources)
    await remember(
        services,
        access,
        Cited("populate", f"Patient/{patient}", sources, services.now(), access.principal,
              access.person),
    )  # fmt: skip
    if services.audit is not None:
        address = "/".join(part for part in (call.type, call.id, "$populate") if part)
        services.audit.shown(access, "operation", made.read, f"{address}?subject=Patient/{patient}")


def _answer(made: Populated) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [{"name": "response", "resource": made.response}]
    if made.issues:
        parts.append({"name": "issues", "resource": outcome(list(made.issues))})
    return {"resourceType": "Parameters", "parameter": parts}
