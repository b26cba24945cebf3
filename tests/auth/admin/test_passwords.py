"""Passwords: what is refused, what it takes to check one, and that many wait in line."""

import asyncio

import pytest

from server.auth.passwords import CHEAP, Cost, Passwords, check
from server.auth.unfit import Unfit
from server.fhir.errors import Throttled

GOOD = "blue kettle on tuesday"


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "eleven char",
        "x" * 257,
        "password1234",
        "Password-2026!",
        "qwertyuiop12",
        "123456789012",
        "aaaaaaaaaaaaaaaa",
        "changemechangeme",
        "anna.miller12",
        "AnnaMiller2026",
    ],
)
def test_a_password_that_is_easily_guessed_is_refused(password: str) -> None:
    with pytest.raises(Unfit):
        check(password, "anna.miller", "Anna Miller")


@pytest.mark.parametrize(
    "password", [GOOD, "anna likes her garden", "тридцать три коровы", "wachtwoord van Piet!"]
)
def test_a_password_needs_length_and_nothing_else(password: str) -> None:
    check(password, "anna", "")


async def test_only_the_right_password_is_right() -> None:
    passwords = Passwords(CHEAP)
    kept = await passwords.hash(GOOD)

    assert kept.startswith("$argon2id$")
    assert await passwords.verify(kept, GOOD)
    assert not await passwords.verify(kept, GOOD + " ")
    assert not await passwords.verify(None, GOOD)
    assert not await passwords.verify("not a hash", GOOD)
    passwords.close()


async def test_a_password_is_the_same_however_it_was_typed() -> None:
    passwords = Passwords(CHEAP)
    kept = await passwords.hash("Ölkanne im Schrank")

    assert await passwords.verify(kept, "Ölkanne im Schrank")
    passwords.close()


async def test_a_password_kept_at_another_cost_is_outdated() -> None:
    cheap, dear = Passwords(CHEAP), Passwords(Cost(passes=2, memory_kib=16))
    kept = await cheap.hash(GOOD)

    assert not cheap.outdated(kept)
    assert dear.outdated(kept)
    assert await dear.verify(kept, GOOD)
    cheap.close()
    dear.close()


async def test_beyond_the_queue_logins_are_told_to_come_back() -> None:
    passwords = Passwords(Cost(passes=1, memory_kib=1024), concurrent=1, waiting=3)
    kept = await passwords.hash(GOOD)

    answers = await asyncio.gather(
        *(passwords.verify(kept, GOOD) for _ in range(8)), return_exceptions=True
    )

    refused = [one for one in answers if isinstance(one, Throttled)]
    assert (answers.count(True), len(refused)) == (3, 5)
    assert refused[0].retry_after_s == 5
    passwords.close()
