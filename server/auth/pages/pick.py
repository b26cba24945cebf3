"""Choosing the patient, and the visit, that an app is to be opened with.

Only what the person may see can be found, and what a form sends is looked up with the same rights:
an id that was not in the list is not there.
"""

from dataclasses import replace
from typing import Any
from urllib.parse import urlencode

from fastapi import Response

from server.access.context import AccessContext
from server.auth.oauth.authorize import Pending
from server.auth.pages import finding
from server.auth.pages.authorize import START, deny, path_of, pending_of, whose
from server.auth.pages.choice import keep
from server.auth.pages.page_error import PageError
from server.auth.pages.people import Person, Visited
from server.auth.pages.serve import Page
from server.auth.pages.visit import Visit
from server.fhir.errors import InvalidSearch


def pages() -> list[Page]:
    """Return the addresses of this module."""
    return [
        Page(f"{START}/{{id}}/patient", patient_form),
        Page(f"{START}/{{id}}/patient", choose_patient, "POST"),
        Page(f"{START}/{{id}}/visit", visit_form),
        Page(f"{START}/{{id}}/visit", choose_visit, "POST"),
    ]


async def patient_form(visit: Visit) -> Response:
    """Show the patients whose records the person may open, or a search for them."""
    pending = await pending_of(visit)
    _, access = await whose(visit, pending)
    _check_open(pending)
    return await patient_page(
        visit,
        access,
        app=pending.client_name,
        here=path_of(pending, "patient"),
        form_to=(pending.redirect_uri,),
    )


async def choose_patient(visit: Visit) -> Response:
    """Take the choice of a patient."""
    pending = await pending_of(visit)
    choice, access = await whose(visit, pending)
    _check_open(pending)
    if visit.form.one("decision") == "deny":
        return await deny(visit, pending, "access_denied", "the user did not allow it")
    found = await demand_patient(visit, access, visit.form.one("patient"))
    encounter = choice.encounter if choice.patient == found.id else None
    await keep(visit, pending, replace(choice, patient=found.id, encounter=encounter))
    return visit.redirect(path_of(pending))


async def visit_form(visit: Visit) -> Response:
    """Show the patient's visits."""
    pending = await pending_of(visit)
    choice, access = await whose(visit, pending)
    if choice.patient is None:
        return visit.redirect(path_of(pending))
    return await visit_page(
        visit,
        access,
        choice.patient,
        app=pending.client_name,
        here=path_of(pending, "visit"),
        form_to=(pending.redirect_uri,),
    )


async def choose_visit(visit: Visit) -> Response:
    """Take the choice of a visit, or of none."""
    pending = await pending_of(visit)
    choice, access = await whose(visit, pending)
    if choice.patient is None or "encounter" in pending.context:
        return visit.redirect(path_of(pending))
    encounter = visit.form.one("encounter")
    if encounter:
        await demand_visit(visit, access, encounter, choice.patient)
    await keep(visit, pending, replace(choice, encounter=encounter))
    return visit.redirect(path_of(pending))


async def patient_page(
    visit: Visit,
    access: AccessContext,
    *,
    app: str,
    here: str,
    form_to: tuple[str, ...] = (),
    method: str = "post",
    fields: tuple[tuple[str, str], ...] = (),
) -> Response:
    """Return the page on which a patient is chosen; the choice is sent to ``here``."""
    ids = finding.within(access)
    shown: dict[str, Any] = {"app": app, "here": here, "method": method, "fields": fields}
    if ids is not None:
        people = await finding.named(visit.context.services, access, ids)
        return visit.page("patient_own", people=people, form_to=form_to, **shown)
    asked = {name: visit.asked(name).strip() for name in ("name", "identifier", "birthdate")}
    listed, error = None, ""
    if any(asked.values()):
        try:
            listed = await finding.patients(
                visit.context.services, access, cursor=visit.asked("page"), **asked
            )
        except InvalidSearch:
            error = (
                "Enter the birth date as year, month, day: 1980-02-01."
                if asked["birthdate"]
                else "The server could not search for this. Search again, with less."
            )
    more = None
    if listed is not None and listed.next is not None:
        query = urlencode([*fields, *asked.items(), ("page", listed.next)])
        more = f"{here}?{query}"
    return visit.page(
        "patient_search",
        status=422 if error else 200,
        form_to=form_to,
        asked=asked,
        people=listed.people if listed is not None else None,
        more=more,
        error=error,
        later=bool(visit.asked("page")),
        **shown,
    )


async def visit_page(
    visit: Visit,
    access: AccessContext,
    patient_id: str,
    *,
    app: str,
    here: str,
    older: str | None = None,
    form_to: tuple[str, ...] = (),
    fields: tuple[tuple[str, str], ...] = (),
) -> Response:
    """Return the page on which a visit of a patient is chosen, or none; it is sent to ``here``.

    ``older``: where further visits are shown, if not there as well.
    """
    services = visit.context.services
    person = await demand_patient(visit, access, patient_id)
    listed = await finding.visits(services, access, patient_id, visit.asked("page"))
    more = None
    if listed.next is not None:
        more = f"{older or here}?{urlencode([*fields, ('page', listed.next)])}"
    return visit.page(
        "visit",
        form_to=form_to,
        app=app,
        here=here,
        person=person,
        visits=listed.visits,
        more=more,
        fields=fields,
    )


async def demand_patient(visit: Visit, access: AccessContext, id_: str) -> Person:
    """Return a patient whose record the person may open; raise PageError (404)."""
    found = await finding.patient(visit.context.services, access, id_) if id_ else None
    if found is None:
        raise PageError(
            404,
            "This patient cannot be chosen",
            "There is no such patient among those whose records you may open.",
        )
    return found


async def demand_visit(visit: Visit, access: AccessContext, id_: str, patient_id: str) -> Visited:
    """Return a visit of the patient that the person may see; raise PageError (404)."""
    found = await finding.visit_of(visit.context.services, access, id_, patient_id)
    if found is None:
        raise PageError(
            404, "This visit cannot be chosen", "There is no such visit of this patient."
        )
    return found


def _check_open(pending: Pending) -> None:
    if pending.patient is not None:
        raise PageError(
            409,
            "The patient is set already",
            "This app was started with a patient. Start it again to choose another one.",
        )
