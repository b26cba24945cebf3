"""The consent page: what an app asks for in plain words, each of it to allow or not.

What can be allowed is made from the request that is kept here; a form that sends anything else was
tampered with, and is refused whole.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from fastapi import Response

from server.access import plain, scopes
from server.access.context import AccessContext
from server.access.scopes import Scope, Scopes
from server.auth.ending import walk
from server.auth.oauth import authorize as oauth
from server.auth.oauth.authorize import Pending
from server.auth.pages import finding
from server.auth.pages.authorize import (
    START,
    deny,
    from_oauth,
    go_on,
    open_questions,
    path_of,
    pending_of,
    to_app,
    whose,
)
from server.auth.pages.choice import Choice
from server.auth.pages.page_error import PageError
from server.auth.pages.pick import demand_patient, demand_visit
from server.auth.pages.serve import Page
from server.auth.pages.visit import Visit
from server.auth.records import Grant

_LASTING = ("offline_access", "online_access")


@dataclass(frozen=True, slots=True)
class Offer:
    """One thing to allow.  ``narrower`` (scope, words) may be allowed instead of it."""

    scope: str
    words: str
    changes: bool = False
    narrower: tuple[tuple[str, str], ...] = ()


def pages() -> list[Page]:
    """Return the addresses of this module."""
    return [
        Page(f"{START}/{{id}}/consent", consent_form),
        Page(f"{START}/{{id}}/consent", decide, "POST"),
    ]


async def consent_form(visit: Visit) -> Response:
    """Ask; or go straight on where the same was allowed before, and the operator agrees."""
    pending = await pending_of(visit)
    choice, access = await whose(visit, pending)
    if open_questions(pending, choice):
        return await go_on(visit)
    if await _allowed_before(visit, pending, choice):
        return await _conclude(visit, pending, choice, scopes.parse(pending.scope))
    if "none" in pending.prompt:
        return await deny(visit, pending, "consent_required", "the user must be asked")
    return await _page(visit, pending, choice, access)


async def decide(visit: Visit) -> Response:
    """Take the decision."""
    pending = await pending_of(visit)
    choice, access = await whose(visit, pending)
    if visit.form.one("decision") == "deny":
        return await deny(visit, pending, "access_denied", "the user did not allow it")
    if open_questions(pending, choice):
        return await go_on(visit)
    if visit.form.one("patient") != (choice.patient or ""):
        raise PageError(
            409,
            "Another patient was chosen",
            "In another window another patient was chosen for this app. Nothing was allowed.",
            next=(("Look at it again", path_of(pending, "consent")),),
        )
    ticked = visit.form.all("scope")
    if not set(ticked) <= _offered(pending):
        raise PageError(
            400, "This was not asked for", "The form holds more than the app asked for; refused."
        )
    if visit.form.one("decision") != "allow":
        raise PageError(400, "No decision", "The form says neither allow nor do not allow.")
    if not ticked:
        return await _page(visit, pending, choice, access, nothing=True)
    if choice.patient is not None:
        await demand_patient(visit, access, choice.patient)
    if choice.encounter and choice.patient:
        await demand_visit(visit, access, choice.encounter, choice.patient)
    return await _conclude(visit, pending, choice, _allowed(pending, set(ticked)))


async def _page(
    visit: Visit,
    pending: Pending,
    choice: Choice,
    access: AccessContext,
    *,
    nothing: bool = False,
) -> Response:
    services = visit.context.services
    person = encounter = None
    if choice.patient is not None:
        person = await demand_patient(visit, access, choice.patient)
    if choice.encounter and choice.patient:
        encounter = await finding.visit_of(services, access, choice.encounter, choice.patient)
    own = visit.me.user.fhir_user == f"Patient/{choice.patient}"
    offers = _offers(pending, "your" if own or person is None else f"{person.name}’s")
    client = await visit.context.ledger.client(pending.client)
    ids = finding.within(access)
    return visit.page(
        "consent",
        status=422 if nothing else 200,
        form_to=(pending.redirect_uri,),
        app=pending.client_name,
        returns_to=_place(pending.redirect_uri),
        registered=client.created if client is not None else 0,
        itself=client is not None and client.registered_by == "itself",
        here=path_of(pending, "consent"),
        person=person,
        own=own,
        encounter=encounter,
        another=(
            path_of(pending, "patient")
            if person is not None and pending.patient is None and (ids is None or len(ids) > 1)
            else None
        ),
        record=[one for one in offers if "/" in one.scope and not one.scope.startswith("launch")],
        about=[one for one in offers if _is_about(one.scope)],
        lasting=[one for one in offers if one.scope in _LASTING],
        everything=any(one.type == "*" for one in scopes.parse(pending.scope).resources),
        changing=[one for one in offers if one.changes],
        nothing=nothing,
    )


def _offers(pending: Pending, whose_: str) -> list[Offer]:
    found = []
    for one in scopes.parse(pending.scope).of:
        if isinstance(one, str):
            found.append(Offer(one, plain.describe(one)))
            continue
        narrower = tuple((str(n), plain.describe(n, whose_)) for n in plain.offers(one))
        changes = bool(set("cud") & set(one.letters))
        found.append(Offer(str(one), plain.describe(one, whose_), changes, narrower))
    return found


def _is_about(scope: str) -> bool:
    return scope not in _LASTING and ("/" not in scope or scope.startswith("launch"))


def _offered(pending: Pending) -> set[str]:
    """Return every scope that the form could send."""
    offered: set[str] = set()
    for one in scopes.parse(pending.scope).of:
        offered.add(str(one))
        if isinstance(one, Scope):
            offered |= {str(narrower) for narrower in plain.offers(one)}
    return offered


def _allowed(pending: Pending, ticked: set[str]) -> Scopes:
    """Return what is ticked, in the order asked for; a narrower scope only instead of its wide."""
    found: list[str] = []
    for offer in _offers(pending, ""):
        narrower = [scope for scope, _ in offer.narrower if scope in ticked]
        found += [offer.scope] if offer.scope in ticked else narrower
    return scopes.parse(" ".join(found))


async def _conclude(visit: Visit, pending: Pending, choice: Choice, granted: Scopes) -> Response:
    """Send the browser back with a code.  A patient is put in context where a scope is about one:
    scopes-and-launch-context.html#apps-that-launch-from-the-ehr."""
    in_context = pending.launched or granted.needs_patient
    wants_visit = any(one.partition("?")[0] == "launch/encounter" for one in granted.others)
    context = {"encounter": choice.encounter} if choice.encounter and wants_visit else {}
    try:
        url = await visit.context.authorize.conclude(
            pending,
            user=visit.me.user,
            scopes_granted=granted.text,
            patient=choice.patient if in_context else None,
            context=context,
            session=visit.me.key,
            auth_time=visit.me.session.auth_time,
        )
    except oauth.PageError as error:
        raise from_oauth(error) from error
    return to_app(url)


async def _allowed_before(visit: Visit, pending: Pending, choice: Choice) -> bool:
    """Tell whether the app asks for no more than it was allowed for the same patient."""
    if not visit.context.remember_consent or set(pending.prompt) - {"none"}:
        return False
    wanted = scopes.parse(pending.scope)
    async for record in walk(visit.context.services.store, Grant.KIND, visit.me.user.name):
        grant = Grant.unpack(record.value)
        same = grant.client == pending.client and grant.patient == choice.patient
        if same and scopes.parse(grant.scope).covers(wanted):
            return True
    return False


def _place(address: str) -> str:
    """Return where an app's address is, as people know it: its host, or what opens it."""
    parts = urlsplit(address)
    return parts.netloc or f"the app {parts.scheme} on this device"
