"""Launch handles: what an app is started with, kept until the app comes to fetch it, once."""

from dataclasses import dataclass, field
from secrets import token_urlsafe
from typing import Any
from urllib.parse import urlencode

from server.access.context import AccessContext
from server.auth.oauth.authorize import fit_context
from server.auth.pages import finding
from server.auth.pages.visit import Visit
from server.auth.records import Client, Launch, User, key_of
from server.fhir.errors import InvalidRequest
from server.store.port import RecordWrite

LIFE_US = 300_000_000  # an app that was started comes within seconds

_TEXTS = ("intent", "tenant")


@dataclass(frozen=True, slots=True)
class Asked:
    """What a launch is to be of: ids, and the members of SMART's launch context."""

    client: str
    patient: str | None = None
    encounter: str | None = None
    context: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def read(cls, sent: Any) -> "Asked":
        """Read the JSON of a POST.

        Raises:
            InvalidRequest: with the member that is wrong.
        """
        if not isinstance(sent, dict):
            raise InvalidRequest("send a JSON object with client, and patient, encounter ...")
        known = {"client", "user", "csrf", "patient", "encounter", "fhirContext"}
        known |= {"need_patient_banner", *_TEXTS}
        if unknown := sorted(sent.keys() - known):
            raise InvalidRequest(f"{unknown[0]} is not a member of a launch")
        texts = {name: _text(sent, name) for name in ("client", "patient", "encounter", *_TEXTS)}
        client = texts["client"]
        if not client:
            raise InvalidRequest("client is missing: the id of the app")
        if texts["encounter"] and not texts["patient"]:
            raise InvalidRequest("an encounter is of a patient: send patient too")
        context: dict[str, Any] = {name: texts[name] for name in _TEXTS if texts[name]}
        banner = sent.get("need_patient_banner")
        if banner is not None and not isinstance(banner, bool):
            raise InvalidRequest("need_patient_banner is true or false")
        if banner is not None:
            context["need_patient_banner"] = banner
        if "fhirContext" in sent:
            context["fhirContext"] = _fhir_context(sent["fhirContext"])
        return cls(client, texts["patient"], texts["encounter"], context)


async def make_handle(
    visit: Visit, asked: Asked, user: User, access: AccessContext, session: str | None
) -> tuple[str, str | None]:
    """Return a new handle and the address that starts the app with it.

    ``None``: the app has no such address.

    Raises:
        InvalidRequest: the app, the patient or the encounter is not there for the user.
    """
    services = visit.context.services
    client = await visit.context.ledger.client(asked.client)
    if client is None or "authorization_code" not in client.grants:
        raise InvalidRequest(f"there is no app {asked.client} that can be started")
    await _check_record(visit, asked, access)
    context = {**asked.context, **({"encounter": asked.encounter} if asked.encounter else {})}
    launch = Launch(user.name, client.id, asked.patient, context, session)
    handle = token_urlsafe(32)
    until = services.now() + LIFE_US
    kept = RecordWrite(Launch.KIND, key_of(handle), launch.pack(), user.name, 0, until)
    await services.store.commit([], records=[kept])
    patients = (f"Patient/{asked.patient}",) if asked.patient else ()
    visit.tell("E", "grant", user=user.name, patients=patients, why=f"launch of {client.id}")
    return handle, launch_address(client, services.base_url, handle)


def launch_address(client: Client, base_url: str, handle: str) -> str | None:
    """Return where an app is started.  app-launch.html#launch-app-ehr-launch."""
    if client.launch_uri is None:
        return None
    more = urlencode({"iss": base_url, "launch": handle})
    return f"{client.launch_uri}{'&' if '?' in client.launch_uri else '?'}{more}"


async def _check_record(visit: Visit, asked: Asked, access: AccessContext) -> None:
    services = visit.context.services
    if asked.patient and await finding.patient(services, access, asked.patient) is None:
        raise InvalidRequest("there is no such patient whose record the user may open")
    if not (asked.encounter and asked.patient):
        return
    if await finding.visit_of(services, access, asked.encounter, asked.patient) is None:
        raise InvalidRequest("there is no such encounter of the patient")


def _text(sent: dict[str, Any], name: str) -> str | None:
    value = sent.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > 256 or not value.isprintable():
        raise InvalidRequest(f"{name} is a text of at most 256 characters")
    return value


def _fhir_context(value: Any) -> list[dict[str, Any]]:
    """Check ``fhirContext``: what SMART does not allow is refused, not left out silently."""
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise InvalidRequest("fhirContext is a list of objects")
    fit: list[dict[str, Any]] = fit_context({"fhirContext": value}, None)["fhirContext"]
    if fit != value:
        raise InvalidRequest(
            "fhirContext: each names a reference, canonical or identifier; patients and encounters "
            "need a role, and roles of your own are absolute URIs"
        )
    return fit
