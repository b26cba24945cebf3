"""People who log in: added, found, changed, and gone with everything that hung from them."""

from typing import Any

import pytest

from server.auth.passwords import CHEAP, Cost, Passwords
from server.auth.records import Grant, Launch, Session, User
from server.auth.unfit import Missing, Taken, Unfit
from server.auth.users import Users
from server.store.port import RecordWrite, Store
from tests.contract.made import Clock

GOOD = "blue kettle on tuesday"


async def anna(users: Users, **more: Any) -> User:
    said = {"roles": ("patient",), "password": GOOD, "fhir_user": "Patient/a", **more}
    return await users.add("anna", **said)


async def keep(store: Store, *kept: tuple[str, Any], tag: str = "anna") -> None:
    await store.commit([], records=[RecordWrite(k.KIND, key, k.pack(), tag) for key, k in kept])


async def count(store: Store, kind: str) -> int:
    return sum((await store.count_records(kind)).values())


async def test_a_user_is_kept_without_the_password(users: Users, store: Store) -> None:
    made = await anna(users, display="Anna Miller", departments=["Organization/x"])

    assert await users.get("Anna ") == made
    assert (made.display, made.departments) == ("Anna Miller", ("Organization/x",))
    record = await store.get_record("user", "anna")
    assert record is not None
    assert GOOD.encode() not in record.value


@pytest.mark.parametrize("person", ["Patient/a", "RelatedPerson/a", "Person/a"])
async def test_a_patient_is_one_or_acts_for_some(users: Users, person: str) -> None:
    made = await anna(users, fhir_user=person)
    assert made.fhir_user == person


async def test_the_right_password_is_let_in_under_the_name_in_any_case(users: Users) -> None:
    made = await anna(users)

    assert await users.verify("ANNA", GOOD) == made
    assert await users.verify("anna", GOOD + "!") is None
    assert await users.verify("bob", GOOD) is None
    assert await users.verify("../anna", GOOD) is None


async def test_nothing_is_inherited_from_one_who_had_the_name(users: Users, store: Store) -> None:
    grant = Grant("g", "app", "anna", "patient/*.rs")
    await keep(store, ("s", Session("anna", 0, "c")), ("g", grant), ("l", Launch("anna")))
    await anna(users)
    assert [await count(store, kind) for kind in ("session", "grant", "launch")] == [0, 0, 0]


async def test_a_locked_user_is_not_let_in(users: Users) -> None:
    await anna(users)
    await users.set_active("anna", False)
    assert await users.verify("anna", GOOD) is None

    await users.set_active("anna", True)
    assert await users.verify("anna", GOOD) is not None


async def test_a_user_of_the_external_provider_has_no_password_to_guess(users: Users) -> None:
    await anna(users, password=None, external="https://login.example 0815")

    assert await users.verify("anna", "") is None
    found = await users.by_external("https://login.example", "0815")
    assert found is not None
    assert found.name == "anna"
    assert await users.by_external("https://other.example", "0815") is None


async def test_a_name_is_given_once(users: Users) -> None:
    await anna(users)
    with pytest.raises(Taken, match="there is a user anna already"):
        await anna(users, fhir_user="Patient/b")


@pytest.mark.parametrize(
    "bad",
    [
        {"roles": ()},
        {"roles": ("root",)},
        {"fhir_user": None},
        {"fhir_user": "Practitioner/a"},
        {"fhir_user": "Patient/a b"},
        {"fhir_user": "http://example.org/Patient/a"},
        {"departments": ["Location/a"]},
        {"display": "a\nb"},
        {"password": "password1234"},
        {"external": "no-subject"},
    ],
)
async def test_what_cannot_be_is_refused(users: Users, bad: dict[str, Any]) -> None:
    with pytest.raises(Unfit):
        await anna(users, **bad)
    assert await users.get("anna") is None


@pytest.mark.parametrize("name", ["", " ", "-a", "a b", "a/b", "ä", "a" * 65, "user\n"])
async def test_a_name_that_could_be_mistaken_is_refused(users: Users, name: str) -> None:
    if name == "user\n":  # what surrounds a name is not part of it
        assert (await users.add(name, roles=("admin",))).name == "user"
        return
    with pytest.raises(Unfit, match="a user's name is"):
        await users.add(name, roles=("admin",))


async def test_removing_a_user_ends_sessions_launches_and_grants(
    users: Users, store: Store
) -> None:
    await anna(users)
    await keep(
        store,
        ("s", Session("anna", 1, "c")),
        ("l", Launch("anna")),
        ("g", Grant("g", "app", "anna", "patient/*.rs")),
    )
    await keep(store, ("h", Grant("h", "app", "bob", "patient/*.rs")), tag="bob")

    await users.remove("anna")

    assert await users.get("anna") is None
    left = [await count(store, kind) for kind in ("session", "launch", "grant")]
    assert left == [0, 0, 1]
    with pytest.raises(Missing):
        await users.remove("anna")


async def test_a_new_password_ends_sessions_and_what_hangs_from_them(
    users: Users, store: Store
) -> None:
    await anna(users)
    await keep(
        store,
        ("s", Session("anna", 1, "c")),
        ("on", Grant("on", "app", "anna", "patient/*.rs", refresh="online", session="s")),
        ("off", Grant("off", "app", "anna", "patient/*.rs", refresh="offline")),
    )

    await users.set_password("anna", "red kettle on friday")

    assert await users.verify("anna", GOOD) is None
    assert await users.verify("anna", "red kettle on friday") is not None
    assert await count(store, "session") == 0
    assert [one.key for one in await store.find_records("grant")] == ["off"]


async def test_roles_change_and_the_rest_stays(users: Users) -> None:
    await anna(users, display="Anna")

    changed = await users.set_roles("anna", ("practitioner",), fhir_user="Practitioner/a")

    assert (changed.roles, changed.fhir_user) == (("practitioner",), "Practitioner/a")
    assert changed.display == "Anna"
    with pytest.raises(Unfit, match="a patient is somebody in the record"):
        await users.set_roles("anna", ("patient",))


async def test_a_password_is_hashed_anew_when_its_cost_has_changed(
    users: Users, store: Store, clock: Clock
) -> None:
    before = await anna(users)
    dearer = Passwords(Cost(passes=2, memory_kib=16))
    later = Users(store, dearer, clock)

    assert await later.verify("anna", GOOD) is not None

    after = await users.get("anna")
    assert after is not None
    assert before.password is not None
    assert after.password is not None
    assert (before.password[:20], after.password[:21]) == (
        "$argon2id$v=19$m=8,t",
        "$argon2id$v=19$m=16,t",
    )
    assert await later.verify("anna", GOOD) == after
    dearer.close()
    assert CHEAP.memory_kib == 8


async def test_everybody_is_listed_by_name(users: Users) -> None:
    for name in ("c", "a", "b"):
        await users.add(name, roles=("admin",))

    assert [user.name for user in await users.list()] == ["a", "b", "c"]
    assert await users.any()
