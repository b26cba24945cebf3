"""The authorization endpoint: what is refused, where it is told, what comes back."""

import pytest

from server.auth.oauth import PageError
from server.auth.records import Client, User
from tests.auth.oauth.house import CALLBACK, SCOPE, House, request, told
from tests.rest.house import BASE


@pytest.mark.smart(48, 53, 56, 57, 59)
async def test_a_request_is_answered_with_a_code_and_the_exact_state(house: House) -> None:
    answer = told(await house.ask())

    assert set(answer) == {"code", "state"}
    assert answer["state"] == "a state = {with} & odd/characters"
    assert len(answer["code"]) == 43  # 256 bits


@pytest.mark.smart(49, 354)
async def test_a_request_may_be_posted(house: House) -> None:
    assert "code" in told(await house.ask("POST"))


@pytest.mark.smart(54)
async def test_a_refusal_is_told_to_the_app(house: House) -> None:
    pending = await house.server.authorize.begin(
        [(name, value) for name, value in request().items() if value]
    )
    url = await house.server.authorize.deny(pending, "access_denied", "the user said no")

    assert url == (
        f"{CALLBACK}?error=access_denied&error_description=the+user+said+no"
        "&state=a+state+%3D+%7Bwith%7D+%26+odd%2Fcharacters"
    )


@pytest.mark.smart(18)
@pytest.mark.parametrize(
    ("changed", "title"),
    [
        ({"client_id": "nobody"}, "Unknown app"),
        ({"client_id": None}, "Unknown app"),
        ({"client_id": 'a"<script>'}, "Unknown app"),
        ({"redirect_uri": None}, "Unknown address"),
        ({"redirect_uri": "https://evil.example/callback"}, "Unknown address"),
        ({"redirect_uri": CALLBACK + "/"}, "Unknown address"),
        ({"redirect_uri": CALLBACK + "?x=1"}, "Unknown address"),
        ({"redirect_uri": CALLBACK.upper()}, "Unknown address"),
        ({"redirect_uri": "https://other.example/cb"}, "Unknown address"),
        ({"redirect_uri": 'javascript:alert("1")'}, "Unknown address"),
    ],
)
async def test_an_unknown_app_or_address_is_a_page_and_never_a_redirect(
    house: House, changed: dict[str, str | None], title: str
) -> None:
    answer = await house.ask(**changed)

    assert answer.status_code == 400
    assert "location" not in answer.headers
    assert answer.text == f"<h1>{title}</h1>"


async def test_two_addresses_are_a_page_and_never_a_redirect(house: House) -> None:
    pairs = [*request().items(), ("redirect_uri", CALLBACK)]
    answer = await house.http.get("/auth/authorize", params=pairs)
    assert (answer.status_code, "location" in answer.headers) == (400, False)


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"aud": None}, "invalid_request"),
        ({"aud": "https://evil.example/fhir"}, "invalid_request"),
        ({"aud": "http://fhir.test"}, "invalid_request"),
        ({"state": None}, "invalid_request"),
        ({"response_type": None}, "invalid_request"),
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": 'code"'}, "unsupported_response_type"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"scope": None}, "invalid_scope"),
        ({"scope": "system/*.rs"}, "invalid_scope"),
        ({"scope": "patient/Nothing.rs patient/Patient.sr"}, "invalid_scope"),
        ({"scope": "patient/Observation.rs?no-such-parameter=1"}, "invalid_scope"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "shout"}, "invalid_request"),
        ({"max_age": "-1"}, "invalid_request"),
        ({"launch": "a-handle-of-nobody"}, "invalid_request"),
        ({"request": "ey.ey.x"}, "request_not_supported"),
        ({"request_uri": "https://evil.example/"}, "request_uri_not_supported"),
        ({"nonce": "n" * 513}, "invalid_request"),
        ({"login_hint": "n" * 257}, "invalid_request"),
        ({"state": "s" * 4097}, "invalid_request"),
        ({"scope": "patient/Patient.r " * 2000}, "invalid_scope"),
    ],
)
@pytest.mark.smart(54)
async def test_what_is_wrong_is_told_to_the_app(
    house: House, changed: dict[str, str | None], error: str
) -> None:
    answer = told(await house.ask(**changed))

    assert answer["error"] == error
    assert answer.get("state") == (request() | changed)["state"]
    assert "code" not in answer


@pytest.mark.smart(14, 15)
@pytest.mark.parametrize(
    "changed",
    [
        {"code_challenge": None},
        {"code_challenge_method": None},
        {"code_challenge": None, "code_challenge_method": None},
        {"code_challenge_method": "plain"},
        {"code_challenge_method": "s256"},
        {"code_challenge": "too-short"},
        {"code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-c="},
    ],
)
async def test_a_code_challenge_by_s256_is_always_required(
    house: House, changed: dict[str, str | None]
) -> None:
    for client in ("app", "basic", "signed"):
        answer = told(await house.ask(client_id=client, **changed))
        assert answer["error"] == "invalid_request"


async def test_a_parameter_sent_twice_is_refused(house: House) -> None:
    pairs = [*request().items(), ("scope", "patient/*.cruds")]
    answer = told(await house.http.get("/auth/authorize", params=pairs))
    assert answer["error_description"] == "scope was sent more than once"


@pytest.mark.smart(96)
async def test_the_audience_may_end_in_a_slash(house: House) -> None:
    assert "code" in told(await house.ask(aud=f"{BASE}/"))


async def test_a_client_of_another_kind_gets_no_code(house: House) -> None:
    backend = Client(
        "machine", "A machine", redirect_uris=(CALLBACK,), grants=("client_credentials",)
    )
    await house.keep(backend, "machine", "client")
    assert told(await house.ask(client_id="machine"))["error"] == "unauthorized_client"


async def test_a_removed_client_is_unknown_at_once(house: House) -> None:
    app = Client("app", "Growth chart", redirect_uris=(CALLBACK,), scope=SCOPE, active=False)
    await house.keep(app, "app", "client")
    assert (await house.ask()).status_code == 400


@pytest.mark.smart(352, 361, 362, 168)
async def test_a_launch_handle_brings_its_patient_and_context_once(house: House) -> None:
    await house.launch("handle", client="app", patient="b", context={"encounter": "e1"})

    tokens = await house.tokens(launch="handle", scope="launch patient/*.rs")
    again = told(await house.ask(launch="handle", scope="launch patient/*.rs"))

    assert (tokens["patient"], tokens["encounter"]) == ("b", "e1")
    assert tokens["scope"] == "launch patient/*.rs"
    assert again["error"] == "invalid_request"


async def test_a_launch_is_for_the_app_that_it_was_made_for(house: House) -> None:
    await house.launch("handle", client="other", patient="b")
    assert told(await house.ask(launch="handle"))["error"] == "invalid_request"


async def test_a_pending_request_is_answered_once(house: House) -> None:
    pending = await house.server.authorize.begin(
        [(name, value) for name, value in request().items() if value]
    )
    await house.server.authorize.deny(pending, "access_denied", "no")

    with pytest.raises(PageError, match="expired"):
        await house.server.authorize.deny(pending, "access_denied", "no")
    with pytest.raises(PageError, match="expired"):
        await house.server.authorize.pending(pending.id)


async def test_a_pending_request_ends_after_ten_minutes(house: House) -> None:
    pending = await house.server.authorize.begin(
        [(name, value) for name, value in request().items() if value]
    )
    assert await house.server.authorize.pending(pending.id) == pending

    house.clock.at += 600_000_000
    with pytest.raises(PageError, match="expired"):
        await house.server.authorize.pending(pending.id)


@pytest.mark.smart(79, 145)
@pytest.mark.parametrize(
    ("allowed", "granted"),
    [
        ("patient/Patient.r", "patient/Patient.r"),
        ("patient/*.cruds", "patient/Observation.rs patient/Patient.r"),
        ("patient/Observation.rs?category=laboratory user/*.rs", None),
        ("user/*.rs system/*.rs admin/users", "access_denied"),
        ("", "access_denied"),
    ],
)
async def test_no_more_is_granted_than_was_asked_for_and_allowed(
    house: House, allowed: str, granted: str | None
) -> None:
    house.yes["scope"] = allowed
    answer = told(await house.ask())
    if granted == "access_denied":
        assert answer["error"] == "access_denied"
        return
    tokens = (await house.token(code=answer["code"])).json()
    assert tokens["scope"] == (granted or "patient/Observation.rs?category=laboratory")


@pytest.mark.smart(164)
async def test_without_a_patient_no_scope_of_a_patient_is_granted(house: House) -> None:
    house.yes["patient"] = None
    tokens = await house.tokens(scope=f"{SCOPE} user/Patient.r")
    assert tokens["scope"] == "openid fhirUser offline_access user/Patient.r"
    assert "patient" not in tokens


@pytest.mark.smart(149, 167, 364)
async def test_what_context_is_not_there_is_not_granted_either(house: House) -> None:
    asked = "launch launch/patient launch/encounter?role=x patient/Patient.r"
    assert (await house.tokens(scope=asked))["scope"] == "launch/patient patient/Patient.r"
    house.yes["context"] = {"encounter": "e1"}
    tokens = await house.tokens(scope=asked)
    assert tokens["scope"] == "launch/patient launch/encounter?role=x patient/Patient.r"
    assert tokens["encounter"] == "e1"


@pytest.mark.smart(366)
async def test_of_offline_and_online_access_one_is_granted(house: House) -> None:
    tokens = await house.tokens(scope="online_access offline_access patient/Patient.r")
    assert tokens["scope"] == "offline_access patient/Patient.r"


async def test_scopes_of_administration_are_for_administrators(house: House) -> None:
    app = Client("app", "Console", redirect_uris=(CALLBACK,), scope="openid admin/users")
    await house.keep(app, "app", "client")
    assert (await house.tokens(scope="openid admin/users"))["scope"] == "openid"
    house.yes["user"] = User("anna", roles=("admin",))
    assert (await house.tokens(scope="openid admin/users"))["scope"] == "openid admin/users"


@pytest.mark.smart(197)
async def test_a_user_without_a_resource_gets_no_fhir_user(house: House) -> None:
    house.yes["user"] = User("anna", roles=("admin",))
    await house.keep(house.yes["user"], "anna", "user")
    tokens = await house.tokens()
    assert "fhirUser" not in tokens["scope"].split()
