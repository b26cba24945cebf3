"""Who logs in at the demo: its patient, somebody who treats her, and the administrator.

The password is made anew at each start: a demo that was left somewhere is no way in.
"""

from dataclasses import dataclass
from secrets import token_urlsafe

from rich.console import Console

from server import app
from server.app.first_start import ADMINISTRATOR
from server.auth.clients import Clients
from server.auth.passwords import Passwords
from server.auth.records import Client, Role
from server.auth.users import Users
from server.demo.api import Api
from server.demo.patients import SHOWN, patients
from server.store.port import Store

PATIENT = "ines"
PRACTITIONER = "doctor"
PAGES = "http://127.0.0.1:3000"  # where smart_apps/example says that it is
APP = Client(
    "told-once",
    "Told once",
    redirect_uris=(f"{PAGES}/index.html",),
    scope="launch launch/patient openid fhirUser offline_access online_access "
    "patient/Patient.r patient/Observation.crs patient/Encounter.r",
    grants=("authorization_code", "refresh_token"),
    launch_uri=f"{PAGES}/launch.html",
)


@dataclass(frozen=True, slots=True)
class People:
    """The names, each with what it is, and the password of them all."""

    names: tuple[tuple[str, str], ...]
    password: str


async def people(store: Store, api: Api, patient_url: str | None) -> People:
    """Make the people and the example app, or give them a new password."""
    passwords, password = Passwords(), token_urlsafe(12)
    users = Users(store, passwords, app.now_us)
    wanted: list[tuple[str, Role, str | None, str, str]] = [
        (ADMINISTRATOR, "admin", None, "Administrator", "the administrator")
    ]
    if patient_url is not None:
        person = patients()[SHOWN]
        reference = f"Patient/{patient_url.rpartition('/')[2]}"
        name = f"{person.given} {person.family}"
        wanted.append((PATIENT, "patient", reference, name, "the patient"))
    found = (await api.get("Practitioner?_count=1")).get("entry", [])
    for entry in found:
        reference = f"Practitioner/{entry['resource']['id']}"
        wanted.append((PRACTITIONER, "practitioner", reference, "", "who may see all patients"))
    try:
        for user, role, fhir_user, display, _ in wanted:
            await _user(users, user, role, fhir_user, display, password)
    finally:
        passwords.close()
    clients = Clients(store, app.now_us)
    if await clients.get(APP.id) is None:
        await clients.add(APP)
    return People(tuple((user, told) for user, _, _, _, told in wanted), password)


async def _user(
    users: Users, name: str, role: Role, fhir_user: str | None, display: str, password: str
) -> None:
    if await users.get(name) is not None:
        await users.set_password(name, password)
        return
    await users.add(name, roles=(role,), password=password, fhir_user=fhir_user, display=display)


def show_people(console: Console, made: People, base_url: str) -> None:
    """Print how to log in, for a screen of 80 columns."""
    root = base_url.removesuffix("/fhir")
    console.print("\nLog in, in a browser, and see what people and apps see:", markup=False)
    console.print(f"  {root}/auth/", markup=False)
    for name, told in made.names:
        console.print(f"  {name:<8}  {told}", markup=False)
    console.print(f"each with the password  {made.password}", markup=False)
    console.print(
        f"The app {APP.id} is registered: `npm ci && npm start` in smart_apps/example.",
        markup=False,
    )
