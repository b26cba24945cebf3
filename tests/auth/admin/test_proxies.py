"""Who acts for a patient."""

from dataclasses import replace
from typing import Any

import pytest

from server.auth.proxies import Proxies
from server.auth.records import Proxy
from server.auth.unfit import Missing, Taken, Unfit

MOTHER = Proxy("RelatedPerson/m", "Patient/c", "parent", end="2030-01-31")


async def test_a_proxy_is_kept_until_it_is_taken_back(proxies: Proxies) -> None:
    await proxies.add(MOTHER)
    with pytest.raises(Taken):
        await proxies.add(replace(MOTHER, patient="Patient/d"))
    assert await proxies.get("RelatedPerson/m") == MOTHER
    assert await proxies.of_patient("Patient/c") == [MOTHER]

    with pytest.raises(Missing):
        await proxies.remove("RelatedPerson/m", "Patient/d")
    assert await proxies.remove("RelatedPerson/m", "Patient/c") == MOTHER
    assert await proxies.list() == []


@pytest.mark.parametrize(
    "bad",
    [
        {"related_person": "Patient/m"},
        {"patient": "c"},
        {"basis": "friend"},
        {"scope": ""},
        {"scope": "user/*.rs"},
        {"scope": "patient/*.rs openid"},
        {"scope": "patient/*.x"},
        {"end": "31.1.2030"},
        {"end": "20300131"},
        {"start": "2030-02-01"},
    ],
)
async def test_a_proxy_that_says_too_little_or_too_much_is_refused(
    proxies: Proxies, bad: dict[str, Any]
) -> None:
    with pytest.raises(Unfit):
        await proxies.add(replace(MOTHER, **bad))
