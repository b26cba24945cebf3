"""``Patient/[id]/$story``: the story so far, each sentence with the versions it was read from."""

from typing import Any

from server.continuity import citations
from server.continuity.citations import Cited
from server.continuity.site import Site
from server.continuity.story import tell
from server.continuity.story.tell import Asked, Story
from server.continuity.story.words import Register
from server.fhir import json as fhir_json
from server.fhir.dates import InvalidDate, interval
from server.fhir.errors import InvalidParameter
from server.fhir.references import split_reference
from server.interactions.read import looked_up
from server.operations.registry import Call, Operation, Param

AUDIENCES: tuple[Register, ...] = ("clinician", "patient")


def operation(site: Site) -> Operation:
    """Return the operation of a site."""

    async def run(call: Call) -> bytes:
        services, asked = call.services, _asked(call)
        if asked.encounter is not None:
            await _check_visit(call, asked.encounter)
        story = await tell.story(
            services,
            call.access,
            asked,
            departments=site.departments,
            rephraser=site.rephraser,
        )
        await _tell_of(call, asked, story)
        if call.args.get("document"):
            return fhir_json.dumps(story.document(services.base_url, services.new_id()))
        return fhir_json.dumps(story.composition)

    return Operation(
        code="story",
        definition="https://tellonce.org/fhir/OperationDefinition/story",
        documentation="Tells the story of a patient: why they are here, what they said in their "
        "own words, what was found, decided and is pending, what is new, what was measured at "
        "home. A Composition, each sentence with the versions that say so.",
        levels=("instance",),
        types=("Patient",),
        scopes="`Patient.r`, and `.rs` of the types that are to be told, usually `*.rs`; "
        "`Encounter.r` with `encounter`.",
        params=_PARAMS,
        run=run,
    )


async def _tell_of(call: Call, asked: Asked, story: Story) -> None:
    """Keep who was shown which versions, for corrections and for the audit."""
    services, access = call.services, call.access
    sources = frozenset(f"{v.type}/{v.id}/_history/{v.number}" for v in story.versions)
    patient = f"Patient/{asked.patient}"
    cited = Cited("story", patient, sources, story.at, access.principal, access.person)
    await citations.remember(services, access, cited)
    if services.audit is not None:
        # The address alone stands for a look at the whole; that at one visit is told as such.
        beside = f"?encounter={asked.encounter}" if asked.encounter else ""
        services.audit.shown(access, "operation", story.versions, f"{patient}/$story{beside}")


def _asked(call: Call) -> Asked:
    args, base_url = call.args, call.services.base_url
    audience = args.get("audience") or ("patient" if _is_patient(call) else "clinician")
    if audience not in AUDIENCES:
        raise InvalidParameter(
            f"audience is one of {', '.join(AUDIENCES)}", expression=("audience",)
        )
    return Asked(
        call.id or "",
        audience,
        _since(args.get("since")),
        args.get("department"),
        _encounter(args.get("encounter"), base_url),
    )


async def _check_visit(call: Call, encounter: str) -> None:
    """Refuse a visit that is not there, or another patient's: its story would be the wrong one."""
    services, id_ = call.services, encounter.removeprefix("Encounter/")
    visit = await looked_up(services, call.access, "Encounter", id_, place=("encounter",))
    said = fhir_json.loads(visit.body or b"{}").get("subject", {}).get("reference", "")
    if split_reference(str(said), services.base_url).local != f"Patient/{call.id}":
        raise InvalidParameter("encounter is that of another patient", expression=("encounter",))


def _is_patient(call: Call) -> bool:
    return call.access.person == f"Patient/{call.id}"


def _since(text: Any) -> int | None:
    if text is None:
        return None
    try:
        return interval(text)[0]
    except InvalidDate as error:
        raise InvalidParameter(f"since: {error}", expression=("since",)) from None


def _encounter(text: str | None, base_url: str) -> str | None:
    if text is None:
        return None
    named = split_reference(text, base_url)
    if named.type not in (None, "Encounter") or not (named.id or "/" not in text):
        raise InvalidParameter("encounter is Encounter/x", expression=("encounter",))
    return f"Encounter/{named.id or text}"


_PARAMS = (
    Param(
        "audience",
        "code",
        "`clinician`, or `patient`: in plain language. For whom the record is about, `patient` is "
        "the default, else `clinician`.",
    ),
    Param(
        "since",
        "dateTime",
        "What was stored after this is told as new. Without it: since the reader's own department "
        "last saw the whole record.",
    ),
    Param(
        "department",
        "string",
        "Of a reader with several: whose last look counts (`Organization/x`, "
        "`HealthcareService/x`). It must be one of the reader's own.",
    ),
    Param("encounter", "string", "Only what belongs to this visit, and what belongs to every one."),
    Param("document", "boolean", "`true`: a document Bundle with every version that is cited."),
)
