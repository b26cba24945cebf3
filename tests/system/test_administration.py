"""Commands and the admin API, beside a real server: what they change is in force in two seconds."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest

from server import app
from server.auth.keys import SigningKeys
from server.settings import Settings
from tests.system.people import (
    KNOWN_S,
    PASSWORD,
    Service,
    add_user,
    browser,
    command,
    login,
    within,
)
from tests.system.process import Process, served

SCOPE = "system/*.cruds admin/tellonce"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("administration") / "data"


@pytest.fixture(scope="module")
def server(data: Path) -> Iterator[Process]:
    with served(data) as process:
        yield process


@pytest.fixture(scope="module")
def service(server: Process, data: Path) -> Service:
    made = Service("lab", server.root)
    keys = str(made.key_file(data.parent))
    grant = ("--grant", "client_credentials")
    command("client", "add", "lab", "--jwks", keys, *grant, "--scope", SCOPE, data=data)
    return made


def admin(server: Process) -> httpx.Client:
    return httpx.Client(
        base_url=server.root, headers={"Authorization": f"Bearer {server.token}"}, timeout=20
    )


def test_destinations_are_listed_for_administrators(server: Process) -> None:
    with admin(server) as client:
        assert client.get("/admin/destinations").json() == []
        assert client.get("/admin/destinations/ward").status_code == 404
    assert httpx.get(f"{server.root}/admin/destinations").status_code == 401


def test_the_first_start_makes_an_administrator_who_can_log_in(server: Process) -> None:
    assert server.login is not None
    name, password = server.login
    assert name == "admin"
    assert len(password) == 20

    answer = login(server.root, name, password)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{server.root}/auth/")


def test_the_signing_key_is_made_before_anybody_asks_for_it(server: Process, data: Path) -> None:
    async def kept() -> bool:
        async with app.store_beside(Settings.model_validate({"data": data})) as store:
            return await store.get_record(SigningKeys.KIND, "signing") is not None

    assert within(10, lambda: anyio.run(kept))


def test_a_user_logs_in_as_soon_as_the_command_has_ended(server: Process, data: Path) -> None:
    add_user("anna", "patient", data, "--fhir-user", "Patient/a", "--display", "Anna Miller")

    assert login(server.root, "Anna", PASSWORD).status_code == 303
    assert login(server.root, "anna", PASSWORD + "x").status_code == 403
    assert "anna  patient  Patient/a  Anna Miller" in command("user", "list", data=data)


def test_a_removed_user_is_logged_out_within_two_seconds(server: Process, data: Path) -> None:
    add_user("gone", "admin", data)
    with browser(server.root, "gone", PASSWORD) as (at, answer):
        assert answer.status_code == 303
        assert at.get("/auth/").status_code == 200

        command("user", "remove", "gone", data=data)

        assert within(KNOWN_S, lambda: at.get("/auth/").status_code != 200)
    assert login(server.root, "gone", PASSWORD).status_code == 403


def test_a_changed_password_is_in_force_and_the_old_one_is_not(server: Process, data: Path) -> None:
    add_user("carl", "admin", data)
    command(
        "user", "password", "carl", "--password-stdin", data=data, stdin="a quite new sentence\n"
    )

    assert login(server.root, "carl", PASSWORD).status_code == 403
    assert login(server.root, "carl", "a quite new sentence").status_code == 303


def test_a_locked_user_stays_out_until_unlocked(server: Process, data: Path) -> None:
    add_user("dora", "admin", data)
    command("user", "lock", "dora", data=data)
    assert login(server.root, "dora", PASSWORD).status_code == 403

    command("user", "unlock", "dora", data=data)
    assert login(server.root, "dora", PASSWORD).status_code == 303


@pytest.mark.parametrize(
    ("words", "stdin", "told"),
    [
        (("user", "add", "x", "--role", "king", "--password-stdin"), PASSWORD, "a role is one of"),
        (("user", "add", "x", "--role", "admin", "--password-stdin"), "short", "at least 12"),
        (("user", "add", "x", "--role", "admin", "--password-stdin"), "", "no password on stdin"),
        (("user", "add", "x", "--role", "patient", "--password-stdin"), PASSWORD, "in the record"),
        (("user", "add", "X Y", "--role", "admin", "--password-stdin"), PASSWORD, "a user's name"),
        (("user", "remove", "nobody"), None, "there is no user nobody"),
        (("client", "add", "x", "--scope", "openid"), None, "needs a redirect address"),
        (("client", "add", "x", "--scope", "opnid", "--redirect", "https://x.example"), None, "op"),
        (("client", "add", "x", "--scope", "openid", "--jwks", "no-file"), None, "is not there"),
        (("client", "remove", "nothing"), None, "there is no client nothing"),
        (("proxy", "add", "Patient/a", "Patient/b", "--basis", "parent"), None, "RelatedPerson/x"),
        (("proxy", "remove", "RelatedPerson/x"), None, "does not act for"),
    ],
)
def test_what_cannot_be_is_one_line_and_changes_nothing(
    server: Process, data: Path, words: tuple[str, ...], stdin: str | None, told: str
) -> None:
    said = command(*words, data=data, stdin=stdin, fails=True)

    assert told in said
    assert len(said.strip().splitlines()) == 1
    assert "x  " not in command("user", "list", data=data)


def test_a_command_in_a_wrong_folder_makes_no_store(tmp_path: Path) -> None:
    said = command("user", "list", data=tmp_path / "wrong", fails=True)

    assert "name the server's folder with --data" in said
    assert not (tmp_path / "wrong").exists()


def test_a_service_works_from_its_registration_until_its_removal(
    server: Process, data: Path
) -> None:
    made = Service("robot", server.root)
    grant = ("--grant", "client_credentials")
    keys = str(made.key_file(data.parent))
    command("client", "add", "robot", "--jwks", keys, *grant, "--scope", "system/*.rs", data=data)
    headers = made.headers("system/Patient.rs")
    patients = f"{server.base_url}/Patient"
    assert httpx.get(patients, headers=headers).status_code == 200
    assert "robot  private_key_jwt  client_credentials" in command("client", "list", data=data)

    said = command("client", "remove", "robot", data=data)

    assert said == "client robot  removed, 1 grants ended\n"
    assert within(KNOWN_S, lambda: httpx.get(patients, headers=headers).status_code == 401)
    assert made.ask("system/Patient.rs").status_code in (400, 401)


def test_an_apps_origin_may_call_within_two_seconds_of_its_registration(
    server: Process, data: Path
) -> None:
    origin = "https://growth.example"
    preflight = {"Origin": origin, "Access-Control-Request-Method": "GET"}

    def allowed() -> bool:
        answer = httpx.options(f"{server.base_url}/Patient", headers=preflight)
        return answer.headers.get("access-control-allow-origin") == origin

    assert not allowed()
    redirect = ("--redirect", f"{origin}/cb")
    command("client", "add", "growth", "--public", *redirect, "--scope", "openid", data=data)
    assert within(KNOWN_S, allowed)


def test_a_rotated_key_is_announced_beside_the_one_that_signs(server: Process, data: Path) -> None:
    jwks = f"{server.root}/auth/jwks"
    before = httpx.get(jwks).json()["keys"]

    said = command("key", "rotate", data=data)

    new = said.split()[1]
    assert [key["kid"] for key in before] != [new]
    assert within(12, lambda: new in [key["kid"] for key in httpx.get(jwks).json()["keys"]])
    assert before[0] in httpx.get(jwks).json()["keys"]


def test_the_admin_api_adds_shows_and_removes(server: Process) -> None:
    with admin(server) as api:
        user = {"name": "eve", "roles": ["admin"], "password": PASSWORD}
        made = api.post("/admin/users", json=user)
        assert (made.status_code, made.json()["has_password"]) == (201, True)
        assert PASSWORD not in made.text
        assert api.post("/admin/users", json=user).status_code == 409
        assert login(server.root, "eve", PASSWORD).status_code == 303
        changed = api.patch("/admin/users/eve", json={"active": False})
        assert changed.json()["active"] is False
        assert login(server.root, "eve", PASSWORD).status_code == 403
        assert api.delete("/admin/users/eve").status_code == 204
        assert api.get("/admin/users/eve").status_code == 404

        client = {
            "id": "web",
            "auth": "client_secret_basic",
            "scope": "openid",
            "redirect_uris": ["https://web.example/cb"],
        }
        shown = api.post("/admin/clients", json=client)
        assert len(shown.json()["secret"]) == 43
        assert api.get("/admin/clients/web").json()["secret"] is None
        renamed = api.patch("/admin/clients/web", json={"name": "Web"})
        assert renamed.json()["name"] == "Web"
        assert api.post("/admin/clients/web/secret").json()["secret"] != shown.json()["secret"]
        assert api.delete("/admin/clients/web").status_code == 204

        proxy = {"related_person": "RelatedPerson/m", "patient": "Patient/c", "basis": "parent"}
        assert api.post("/admin/proxies", json=proxy).status_code == 201
        assert [one["basis"] for one in api.get("/admin/proxies").json()] == ["parent"]
        assert api.delete("/admin/proxies/RelatedPerson/m").status_code == 204
        assert "patient" in api.get("/admin/access").json()["roles"]


def test_a_grant_ends_by_the_admin_api_at_once(server: Process, service: Service) -> None:
    headers = service.headers("system/Patient.rs")
    patients = f"{server.base_url}/Patient"
    assert httpx.get(patients, headers=headers).status_code == 200
    with admin(server) as api:
        (grant, *_) = api.get("/admin/grants", params={"client": "lab"}).json()["grants"]
        for one in api.get("/admin/grants", params={"client": "lab"}).json()["grants"]:
            assert api.delete(f"/admin/grants/{one['id']}").status_code == 204
        assert api.delete(f"/admin/grants/{grant['id']}").status_code == 404

    assert httpx.get(patients, headers=headers).status_code == 401


def test_refusals_of_the_admin_api_have_one_shape(server: Process, service: Service) -> None:
    reads = service.headers("system/*.cruds")
    with admin(server) as api:
        answers = [
            httpx.get(f"{server.root}/admin/users"),
            httpx.get(f"{server.root}/admin/users", headers=reads),
            httpx.get(f"{server.root}/admin/feeds", headers=reads),
            api.get("/admin/users/nobody"),
            api.post("/admin/users", json={"name": "admin", "roles": ["admin"]}),
            api.post("/admin/users", json={"name": "a b", "roles": ["admin"]}),
            api.post("/admin/users", json={"name": "ab", "roles": ["admin"], "password": "short"}),
            api.post("/admin/users", json={"name": "ab"}),
            api.post("/admin/clients", content=b"{"),
        ]

    assert [one.status_code for one in answers] == [401, 403, 403, 404, 409, 422, 422, 422, 422]
    for one in answers:
        assert one.headers["content-type"] == "application/problem+json"
        assert set(one.json()) == {"status", "title", "detail", "code"}
        assert "short" not in one.text
    assert answers[0].headers["www-authenticate"] == 'Bearer realm="tellonce"'


def test_a_token_with_the_admin_scope_opens_the_admin_api_and_no_other_does(
    server: Process, service: Service
) -> None:
    holder = service.headers("admin/tellonce")
    places = ("/admin/users", "/admin/clients", "/admin/grants", "/admin/feeds", "/admin/inbox")

    with httpx.Client(base_url=server.root) as http:
        assert [http.get(at, headers=holder).status_code for at in places] == [200] * 5
        assert http.get("/fhir/Patient", headers=holder).status_code == 403


@pytest.mark.smart(406, 409, 410, 411, 412, 427, 428, 429, 430, 431, 432)
def test_the_brand_of_the_configuration_is_the_one_in_the_bundle(server: Process) -> None:
    said = httpx.get(f"{server.base_url}/.well-known/smart-configuration").json()
    bundle = httpx.get(said["user_access_brand_bundle"]).json()

    identifiers = [
        identifier
        for entry in bundle["entry"]
        for identifier in entry["resource"].get("identifier", [])
    ]
    assert identifiers == [said["user_access_brand_identifier"]]
    assert identifiers == [{"system": "urn:ietf:rfc:3986", "value": server.root}]


def test_what_administrators_do_is_audited(server: Process, service: Service) -> None:
    with admin(server) as api:
        api.post("/admin/users", json={"name": "fay", "roles": ["admin"]})

        def told() -> bool:
            found = api.get("/fhir/AuditEvent", params={"_count": "200"}).text
            return "user/fay" in found and "administrator/first" in found

        assert within(3, told)


def test_a_command_explains_who_sees_what_and_is_audited(server: Process, data: Path) -> None:
    pulse: dict[str, Any] = {
        "resourceType": "Observation",
        "id": "pulse",
        "status": "final",
        "code": {"text": "pulse"},
        "subject": {"reference": "Patient/ivy"},
    }
    with admin(server) as api:
        api.put("/fhir/Patient/ivy", json={"resourceType": "Patient", "id": "ivy"})
        assert api.put("/fhir/Observation/pulse", json=pulse).status_code == 201
        add_user("ivy", "patient", data, "--fhir-user", "Patient/ivy")
        add_user("joe", "patient", data, "--fhir-user", "Patient/joe")

        told = command("access", "explain", "Observation/pulse", "--user", "ivy", data=data)
        assert told.startswith("ivy as patient, by the policy alone\n  Observation/pulse is open")
        told = command("access", "explain", "Observation/pulse", "--user", "joe", data=data)
        assert "the resource is in Patient/ivy's record" in told

        def seen() -> bool:
            asked = {"patient": "ivy", "_count": "50"}
            return "operator/" in api.get("/fhir/AuditEvent", params=asked).text

        assert within(4, seen)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("Observation/none", "--user", "ivy"), "Observation/none is not in the record"),
        (("Observation", "--user", "ivy"), "Observation is not in the record"),
        (("Patient/ivy", "--user", "nobody"), "there is no user 'nobody'"),
        (("Patient/ivy",), "name a user, a client, or both"),
        (("Patient/ivy", "--user", "ivy", "--interaction", "x"), "interaction is one of"),
    ],
)
def test_what_cannot_be_explained_is_one_line(
    server: Process, data: Path, words: tuple[str, ...], told: str
) -> None:
    with admin(server) as api:
        api.put("/fhir/Patient/ivy", json={"resourceType": "Patient", "id": "ivy"})
    said = command("access", "explain", *words, data=data, fails=True)
    assert said.count("\n") == 1
    assert told in said


def test_what_operators_do_by_command_is_audited(server: Process, data: Path) -> None:
    add_user("gil", "admin", data)
    command("user", "remove", "gil", data=data)
    with admin(server) as api:

        def told() -> bool:
            found = api.get("/fhir/AuditEvent", params={"_count": "500"}).json()
            events = [one["resource"] for one in found["entry"]]
            about = [one for one in events if '"user/gil"' in httpx.Response(200, json=one).text]
            return [one["action"] for one in about] == ["D", "C"]

        assert within(4, told)


def test_the_log_holds_no_password_and_no_token(server: Process, service: Service) -> None:
    token = service.headers("system/Patient.rs")["Authorization"].removeprefix("Bearer ")
    httpx.get(f"{server.base_url}/Patient", headers={"Authorization": f"Bearer {token}"})
    login(server.root, "anna", PASSWORD)

    told = server.log.read_text()

    assert server.token is not None
    assert server.login is not None
    for secret in (PASSWORD, token, server.token, server.login[1], "blue+kettle"):
        assert secret not in told


def test_the_admin_api_is_in_the_openapi_document(server: Process) -> None:
    paths = httpx.get(f"{server.root}/openapi.json").json()["paths"]

    for path in ("/admin/users", "/admin/clients/{id}", "/admin/grants", "/admin/proxies"):
        assert path in paths
    assert paths["/admin/users"]["post"]["security"] == [{"HTTPBearer": []}]
