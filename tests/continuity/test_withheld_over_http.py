"""That something is withheld, asked for over HTTP with the rights of logins, apps and services."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from server import rest
from server.access.context import AccessContext
from server.access.policy import Policy, load_policy
from server.auth.person import Rights
from server.auth.records import Client, Grant, Proxy, User
from server.store.port import RecordWrite
from tests.continuity.story_house import services
from tests.continuity.story_record import Resource
from tests.continuity.test_withheld import HIDDEN, WITHOUT, entitling
from tests.rest.house import BASE, START

FORM: Resource = {
    "resourceType": "Questionnaire", "id": "f", "url": "http://forms/f", "status": "active",
    "item": [{"linkId": "pen", "type": "boolean",
              "code": [{"system": "http://snomed.info/sct", "code": "91936005"}]}],
}  # fmt: skip
MOTHER: Resource = {"resourceType": "RelatedPerson", "id": "of-ada",
                    "patient": {"reference": "Patient/ada"}}  # fmt: skip
CALLS = (
    "$known-answers?questionnaire=f",
    "$story?audience=clinician&since=2020-01-01T00:00:00Z",
    "$story?audience=patient&since=2020-01-01T00:00:00Z",
    "$summary",
)
USERS = {
    "roe": User("roe", "x", ("practitioner",), "Practitioner/roe"),
    "ada": User("ada", "x", ("patient",), "Patient/ada"),
    "mother": User("mother", "x", (), "RelatedPerson/of-ada"),
    "root": User("root", "x", ("admin",)),
}
TELL = {
    "$known-answers?questionnaire=f": '"name":"withheld","valueBoolean":true',
    CALLS[1]: "Some information is withheld from you.",
    "$summary": "Some information was withheld",
}


@dataclass(frozen=True)
class Asking:
    """``user``: none is a backend service; ``app``: what the client may ask for at most."""

    user: str | None
    scope: str
    patient: str | None = None
    app: str = "user/*.cruds patient/*.cruds system/*.cruds"


async def answers(record: Sequence[Resource], policy: Policy, who: Asking) -> dict[str, str]:
    """Return what each call answers, by its path."""
    made = await services([*record, FORM, MOTHER])
    kept = Proxy("RelatedPerson/of-ada", "Patient/ada", "parent")
    row = RecordWrite(Proxy.KIND, kept.related_person, kept.pack(), tag=kept.patient)
    await made.store.commit([], records=[row])
    user = USERS[who.user] if who.user is not None else None
    client = Client("app", "App", scope=who.app)
    grant = Grant("g", "app", who.user, who.scope, patient=who.patient)

    async def authenticate(_: bytes | None) -> AccessContext:
        return await Rights(made, policy).of_grant(grant, client, user, who.scope, START)

    app = rest.build(made, authenticate=authenticate)
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=BASE) as asking:
        found = {path: (await asking.get(f"/Patient/ada/{path}")).text for path in CALLS}
    await app.stop(grace_s=5)
    return found


@pytest.mark.parametrize(
    "who",
    [Asking("roe", "user/*.rs"), Asking("roe", "patient/*.rs", "ada")],
    ids=["a login", "the app that it opened for her"],
)
async def test_who_is_entitled_is_told_by_each_call(tmp_path: Path, who: Asking) -> None:
    found = await answers(HIDDEN, entitling(tmp_path), who)
    assert {path: text in found[path] for path, text in TELL.items()} == dict.fromkeys(TELL, True)
    nothing = await answers(WITHOUT, entitling(tmp_path), who)
    assert not any(text in nothing[path] for path, text in TELL.items())


@pytest.mark.parametrize(
    "who",
    [
        Asking("ada", "patient/*.rs", "ada"),
        Asking("ada", "user/*.rs"),
        Asking("mother", "patient/*.rs", "ada"),
        Asking("root", "user/*.rs"),
        Asking("roe", "patient/Patient.rs patient/Observation.rs patient/Questionnaire.rs", "ada"),
        Asking("roe", "user/*.rs", app="user/Patient.rs user/Observation.rs user/Questionnaire.rs"),
        Asking("roe", "patient/*.rs", "somebody-else"),
        Asking("roe", "openid fhirUser"),
    ],
    ids=["she", "she by herself", "a proxy", "an administrator", "narrow scopes", "a narrow app",
         "opened for another", "no scopes"],
)  # fmt: skip
async def test_to_everybody_else_it_is_as_if_there_were_nothing(
    tmp_path: Path, who: Asking
) -> None:
    policy = entitling(tmp_path)
    assert await answers(HIDDEN, policy, who) == await answers(WITHOUT, policy, who)


async def test_by_default_clinicians_are_told_nothing() -> None:
    who, policy = Asking("roe", "user/*.rs"), load_policy()
    assert await answers(HIDDEN, policy, who) == await answers(WITHOUT, policy, who)


async def test_a_service_is_never_told(tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(
        "roles: {practitioner: {told-of-withheld: yes}}\nclients: {app: practitioner}\n"
    )
    policy, who = load_policy(site), Asking(None, "system/*.rs")
    assert await answers(HIDDEN, policy, who) == await answers(WITHOUT, policy, who)
