"""EHR launch: an app is started with the patient and the visit that are open.

SMART App Launch 2.2.0, app-launch.html#launch-app-ehr-launch.  An EHR asks for a handle by POST
with JSON; who has no EHR chooses the app, the patient and the visit on the pages here.
"""

from dataclasses import replace
from typing import Any

from fastapi import Response

from server.access import scopes
from server.access.context import AccessContext
from server.auth.ending import walk
from server.auth.pages.form import check_sender, check_token, form_of, read_body
from server.auth.pages.handle import Asked, make_handle
from server.auth.pages.page_error import LoginFirst, PageError
from server.auth.pages.pick import demand_patient, demand_visit, patient_page, visit_page
from server.auth.pages.serve import Page
from server.auth.pages.sessions import matches
from server.auth.pages.views import ALWAYS
from server.auth.pages.visit import Visit
from server.auth.records import Client, Grant, User
from server.fhir import json as fhir_json
from server.fhir.errors import FhirError, Forbidden, InvalidRequest, LoginRequired

LAUNCH = "/auth/launch"
_JSON = "application/json"


def pages() -> list[Page]:
    """Return the addresses of this module."""
    return [
        Page(LAUNCH, apps),
        Page(f"{LAUNCH}/patient", patients),
        Page(f"{LAUNCH}/visit", visits),
        Page(LAUNCH, start, "POST", public=True, guarded=False),
    ]


async def apps(visit: Visit) -> Response:
    """Show the apps that can be started from here."""
    _check_practitioner(visit)
    store = visit.context.services.store
    found = [Client.unpack(record.value) async for record in walk(store, Client.KIND)]
    startable = [one for one in found if one.active and one.launch_uri]
    return visit.page("launch_apps", apps=sorted(startable, key=lambda one: one.name.casefold()))


async def patients(visit: Visit) -> Response:
    """Show the search for the patient to start the app with."""
    _check_practitioner(visit)
    app = await _app(visit, visit.asked("app"))
    if visit.asked("patient"):
        return visit.redirect(f"{LAUNCH}/visit?{visit.request.url.query}")
    return await patient_page(
        visit,
        await visit.access(),
        app=app.name,
        here=f"{LAUNCH}/patient",
        method="get",
        fields=(("app", app.id),),
    )


async def visits(visit: Visit) -> Response:
    """Show the visits of the patient to start the app with."""
    _check_practitioner(visit)
    app, patient = await _app(visit, visit.asked("app")), visit.asked("patient")
    return await visit_page(
        visit,
        await visit.access(),
        patient,
        app=app.name,
        here=LAUNCH,
        older=f"{LAUNCH}/visit",
        form_to=(app.launch_uri or "", *app.redirect_uris),
        fields=(("app", app.id), ("patient", patient)),
    )


async def start(visit: Visit) -> Response:
    """Make a handle: for an EHR answer it as JSON, from the page go to the app."""
    kind = visit.request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == _JSON:
        return await _answered(visit)
    check_sender(visit.request, visit.context.site)
    visit = replace(visit, form=form_of(visit.request, await read_body(visit.request)))
    if visit.who is None:
        raise LoginFirst
    check_token(visit.form, visit.csrf)
    return await _from_page(visit)


async def _from_page(visit: Visit) -> Response:
    _check_practitioner(visit)
    app = await _app(visit, visit.form.one("app"))
    access = await visit.access()
    patient = await demand_patient(visit, access, visit.form.one("patient"))
    encounter = visit.form.one("encounter") or None
    if encounter:
        await demand_visit(visit, access, encounter, patient.id)
    asked = Asked(app.id, patient.id, encounter, {"need_patient_banner": True})
    _, address = await make_handle(visit, asked, visit.me.user, access, visit.me.key)
    return Response(None, 303, {**ALWAYS, "Location": address or ""})


async def _answered(visit: Visit) -> Response:
    try:
        made = await _from_ehr(visit)
    except FhirError as error:
        headers = {"WWW-Authenticate": "Bearer"} if isinstance(error, LoginRequired) else {}
        told = {"error": error.issue, "error_description": error.diagnostics}
        return Response(fhir_json.dumps(told), error.status, {**ALWAYS, **headers}, _JSON)
    return Response(fhir_json.dumps(made), 200, ALWAYS, _JSON)


async def _from_ehr(visit: Visit) -> dict[str, Any]:
    body = await read_body(visit.request)
    try:
        sent = fhir_json.loads(bytes(body))
    except (ValueError, FhirError):
        raise InvalidRequest("the body is not JSON") from None
    authorization = visit.request.headers.get("authorization")
    asked = Asked.read(sent)
    if authorization is not None:
        access = await visit.context.authenticate(authorization.encode("latin-1"))
        await _check_ehr(visit, access)
        user, session = await _user(visit, sent.get("user")), None
    else:
        user, session = _of_session(visit, sent)
    rights = replace(await visit.context.access_of(user), trace=visit.trace)
    handle, address = await make_handle(visit, asked, user, rights, session)
    return {"launch": handle, "url": address}


def _of_session(visit: Visit, sent: dict[str, Any]) -> tuple[User, str]:
    if visit.who is None:
        raise LoginRequired("send a token of the EHR, or log in")
    check_sender(visit.request, visit.context.site)
    if not matches(str(sent.get("csrf", "")), visit.csrf):
        raise Forbidden("csrf is not the token of the session")
    if sent.get("user") not in (None, visit.who.user.name):
        raise Forbidden("a session starts apps for its own user only")
    return visit.who.user, visit.who.key


async def _check_ehr(visit: Visit, access: AccessContext) -> None:
    """Let administrators in, and clients without a user that were granted ``launch``."""
    if access.unrestricted and access.client == "token":
        return
    store = visit.context.services.store
    record = await store.get_record(Grant.KIND, access.grant) if access.grant else None
    grant = Grant.unpack(record.value) if record is not None else None
    if grant is None or grant.user is not None or "launch" not in scopes.parse(grant.scope):
        raise Forbidden("this is for an EHR with the scope launch, and for administrators")


async def _user(visit: Visit, name: Any) -> User:
    user = await visit.context.users.get(name) if isinstance(name, str) else None
    if user is None or not user.active:
        raise InvalidRequest("user is missing, or no user of this server")
    return user


async def _app(visit: Visit, id_: str) -> Client:
    client = await visit.context.ledger.client(id_) if id_ else None
    if client is None or client.launch_uri is None:
        raise PageError(
            404,
            "This app cannot be started",
            "There is no such app, or it cannot be started from here.",
            next=(("Choose an app", LAUNCH),),
        )
    return client


def _check_practitioner(visit: Visit) -> None:
    if "practitioner" not in visit.me.user.roles:
        raise PageError(
            403, "This page is for clinicians", "Open the app itself; it will ask you to log in."
        )
