"""The token endpoint: codes.  RFC 6749 4.1.3; SMART app-launch.html#response-5."""

import anyio
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from tests.auth.oauth.house import ANNA, CALLBACK, SCOPE, VERIFIER, House, challenge, told
from tests.rest.house import START


@pytest.mark.smart(
    24,
    31,
    53,
    73,
    74,
    75,
    76,
    78,
    80,
    81,
    83,
    84,
    85,
    88,
    89,
    91,
    149,
    168,
    169,
    170,
    353,
    355,
    363,
)
async def test_a_code_is_exchanged_for_tokens_with_their_context(house: House) -> None:
    answer = await house.token(code=await house.code())
    body = answer.json()
    secrets = {name: body.pop(name) for name in ("access_token", "refresh_token", "id_token")}

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert body == {
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": SCOPE,
        "patient": "a",
        "need_patient_banner": True,
    }
    assert [len(secrets["access_token"]), len(secrets["refresh_token"])] == [43, 43]
    assert secrets["id_token"].count(".") == 2
    assert await house.opens(secrets["access_token"])


@pytest.mark.smart(86, 87)
async def test_no_answer_of_the_token_endpoint_may_be_kept(house: House) -> None:
    for answer in (
        await house.token(code=await house.code()),
        await house.token(code="none"),
        await house.post("token", {}),
    ):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["pragma"] == "no-cache"


@pytest.mark.smart(31)
@pytest.mark.parametrize(
    ("verifier", "error"),
    [
        (None, "invalid_request"),
        ("", "invalid_request"),
        ("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM", "invalid_grant"),
        (VERIFIER[:-1] + "l", "invalid_grant"),
        ("short", "invalid_request"),
        (VERIFIER + "\n", "invalid_grant"),
        (VERIFIER + "ü", "invalid_request"),
    ],
)
async def test_the_verifier_must_be_there_and_right(
    house: House, verifier: str | None, error: str
) -> None:
    for client in ("app", "basic"):
        code = await house.code(client_id=client)
        answer = (
            await house.token(code=code, code_verifier=verifier, client_id=client)
            if client == "app"
            else await house.post(
                "token",
                {"grant_type": "authorization_code", "code": code, "redirect_uri": CALLBACK}
                | {"code_verifier": verifier},
                auth=(client, "a-secret-of-more-than-32-characters-0123456789"),
            )
        )
        assert (answer.status_code, answer.json()["error"]) == (400, error)


@pytest.mark.parametrize(
    ("sent", "status", "error"),
    [
        ({"code": None}, 400, "invalid_request"),
        ({"code": "never-given-to-anybody"}, 400, "invalid_grant"),
        ({"redirect_uri": None}, 400, "invalid_grant"),
        ({"redirect_uri": "https://other.example/cb"}, 400, "invalid_grant"),
        ({"client_id": "other"}, 400, "invalid_grant"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"client_id": None}, 401, "invalid_client"),
        ({"client_id": "basic"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"grant_type": None}, 400, "unsupported_grant_type"),
        ({"grant_type": 'x"\\'}, 400, "unsupported_grant_type"),
    ],
)
@pytest.mark.smart(73, 251)
async def test_what_is_wrong_is_told_as_oauth_says(
    house: House, sent: dict[str, str | None], status: int, error: str
) -> None:
    answer = await house.token(**{"code": await house.code(), **sent})
    assert (answer.status_code, answer.json()["error"]) == (status, error)
    assert ("www-authenticate" in answer.headers) == (status == 401)


@pytest.mark.smart(58)
async def test_a_code_lives_for_a_minute(house: House) -> None:
    code, late = await house.code(), await house.code()
    house.clock.at += 59_999_999
    assert (await house.token(code=code)).status_code == 200
    house.clock.at += 1
    assert (await house.token(code=late)).json()["error"] == "invalid_grant"


async def test_a_code_that_is_used_again_ends_all_that_came_of_it(any_house: House) -> None:
    house = any_house
    code = await house.code()
    tokens = (await house.token(code=code)).json()
    refreshed = (await house.refresh(tokens["refresh_token"])).json()
    assert await house.opens(tokens["access_token"])

    again = await house.token(code=code)

    assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
    assert not await house.opens(tokens["access_token"])
    assert not await house.opens(refreshed["access_token"])
    assert (await house.refresh(refreshed["refresh_token"])).json()["error"] == "invalid_grant"
    assert [told.interaction for told in house.ear.heard][-3:] == ["revoke", "token", "token"]


async def test_of_32_racing_uses_of_a_code_one_succeeds_and_the_family_ends(
    any_house: House,
) -> None:
    house, answers = any_house, []
    code = await house.code()

    async def use() -> None:
        answers.append(await house.token(code=code))

    async with anyio.create_task_group() as group:
        for _ in range(32):
            group.start_soon(use)

    good = [answer.json() for answer in answers if answer.status_code == 200]
    assert len(good) == 1
    assert {a.json()["error"] for a in answers if a.status_code != 200} == {"invalid_grant"}
    assert not await house.opens(good[0]["access_token"])


@pytest.mark.smart(77, 94, 265)
async def test_an_access_token_ends_after_its_hour_to_the_second(house: House) -> None:
    token = (await house.tokens())["access_token"]
    house.clock.at = START + 3_599_999_999
    assert await house.opens(token)
    house.clock.at += 1
    assert not await house.opens(token)


@pytest.mark.smart(200, 205, 207, 209, 210, 358)
async def test_the_id_token_says_who_the_user_is_and_is_signed_by_rs256(house: House) -> None:
    tokens = await house.tokens()
    published = KeySet.import_key_set((await house.http.get("/auth/jwks")).json())
    read = jwt.decode(tokens["id_token"], published, algorithms=["RS256"])

    now = START // 1_000_000
    at_hash = read.claims.pop("at_hash")
    assert len(at_hash) == 22
    assert read.claims == {
        "iss": "http://fhir.test",
        "sub": "anna",
        "aud": "app",
        "iat": now,
        "exp": now + 3600,
        "auth_time": now,
        "nonce": "n-0S6",
        "fhirUser": "http://fhir.test/fhir/Patient/a",
    }


async def test_without_openid_there_is_no_id_token(house: House) -> None:
    assert "id_token" not in await house.tokens(scope="patient/Patient.r fhirUser")


async def test_profile_is_the_same_resource_as_in_smart_1(house: House) -> None:
    tokens = await house.tokens(scope="openid profile patient/Patient.read")
    published = KeySet.import_key_set((await house.http.get("/auth/jwks")).json())
    claims = jwt.decode(tokens["id_token"], published, algorithms=["RS256"]).claims
    assert claims["profile"] == "http://fhir.test/fhir/Patient/a"
    assert "fhirUser" not in claims


@pytest.mark.smart(127, 369)
async def test_scopes_of_version_1_are_answered_as_asked(house: House) -> None:
    tokens = await house.tokens(scope="launch/patient patient/*.read user/Patient.read")
    assert tokens["scope"] == "launch/patient patient/*.read user/Patient.read"


@pytest.mark.smart(171, 172, 173, 174, 175, 176, 178, 359)
async def test_the_launch_context_comes_beside_the_token(house: House) -> None:
    context = {
        "encounter": "e1",
        "intent": "reconcile-medications",
        "tenant": "t-7",
        "need_patient_banner": False,
        "smart_style_url": "https://ehr.example/style.json",
        "fhirContext": [{"reference": "ImagingStudy/1"}],
    }
    await house.launch("handle", patient="a", context=context)
    tokens = await house.tokens(launch="handle", scope="launch patient/*.rs")
    assert {name: tokens[name] for name in context} == context
    assert tokens["patient"] == "a"


@pytest.mark.smart(177, 188, 190)
async def test_of_the_fhir_context_only_what_smart_allows_is_sent(house: House) -> None:
    house.yes["context"] = {
        "fhirContext": [
            {"reference": "Patient/b"},
            {"reference": "Encounter/e", "role": "launch"},
            {"reference": "Patient/c", "role": "https://ehr.example/proxy"},
            {"type": "Condition"},
            "Condition/3",
            {"reference": "Condition/1", "role": "relative"},
            {"reference": "Condition/2", "role": ""},
            {"identifier": {"value": "1"}, "type": "Patient"},
            {"canonical": "https://ehr.example/Questionnaire/1|2", "type": "Questionnaire"},
        ]
    }
    assert (await house.tokens())["fhirContext"] == [
        {"reference": "Patient/c", "role": "https://ehr.example/proxy"},
        {"canonical": "https://ehr.example/Questionnaire/1|2", "type": "Questionnaire"},
    ]


async def test_a_user_who_was_disabled_meanwhile_gets_no_token(house: House) -> None:
    code = await house.code()
    await house.keep(ANNA.__class__("anna", active=False), "anna", "user")
    assert (await house.token(code=code)).json()["error"] == "invalid_grant"


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b'{"grant_type": "authorization_code"}', "application/json", 400),
        (b"", "application/x-www-form-urlencoded", 400),
        (b"grant_type=a&grant_type=b", "application/x-www-form-urlencoded", 400),
        (b"grant_type=%ff%fe", "application/x-www-form-urlencoded", 400),
        (b"\xff\xfe", "application/x-www-form-urlencoded", 400),
        (b"a=1&" * 200, "application/x-www-form-urlencoded", 400),
        (b"a=" + b"x" * 70_000, "application/x-www-form-urlencoded", 413),
    ],
)
async def test_what_is_no_form_is_refused(
    house: House, body: bytes, kind: str, status: int
) -> None:
    answer = await house.http.post("/auth/token", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert answer.json()["error"] in ("invalid_request", "unsupported_grant_type")


async def test_parameters_in_the_address_do_not_count(house: House) -> None:
    code = await house.code()
    answer = await house.http.post(
        "/auth/token",
        params={"grant_type": "authorization_code", "code": code, "client_id": "app"},
        data={"redirect_uri": CALLBACK, "code_verifier": VERIFIER},
    )
    assert answer.json()["error"] == "unsupported_grant_type"


async def test_another_verifier_than_that_of_the_appendix_works_too(house: House) -> None:
    verifier = "~" * 128
    code = await house.code(code_challenge=challenge(verifier))
    assert (await house.token(code=code, code_verifier=verifier)).status_code == 200


async def test_nothing_secret_is_kept_or_told(house: House) -> None:
    code = told(await house.ask())["code"]
    tokens = (await house.token(code=code)).json()
    secrets = [code, tokens["access_token"], tokens["refresh_token"]]

    kept = [
        record.key + record.value.decode()
        for kind in ("code", "access-token", "refresh-token", "grant")
        for record in await house.store.find_records(kind)
    ]
    assert len(kept) == 4
    assert not any(secret in text for secret in secrets for text in kept)
    assert not any(secret in repr(one) for secret in secrets for one in house.ear.heard)
