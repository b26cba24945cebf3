"""When an identifier that matches is not believed."""

from typing import Any

import pytest

from server.feeds.overlay import disagreement

HELD: dict[str, Any] = {
    "birthDate": "1950-03-04",
    "gender": "male",
    "name": [{"family": "Müller", "given": ["Jörg", "K"]}, {"family": "Meier"}],
}


@pytest.mark.parametrize(
    ("said", "disagrees"),
    [
        ({}, None),
        ({"birthDate": "1950", "gender": "female"}, None),
        ({"birthDate": "1980-01-01"}, None),
        ({"birthDate": "1980-01-01", "gender": "male"}, None),
        ({"birthDate": "1980-01-01", "gender": "unknown"}, None),
        ({"birthDate": "1980-01-01", "gender": "female"}, "birth date and sex"),
        ({"birthDate": "1980", "name": [{"family": "MULLER", "given": ["JORG"]}]}, None),
        ({"birthDate": "1980", "name": [{"family": "Müller", "given": ["J."]}]}, None),
        ({"birthDate": "1980", "name": [{"family": "Meier", "given": ["Anna"]}]}, None),
        (
            {"birthDate": "1980", "name": [{"family": "Müller", "given": ["Paul"]}]},
            "birth date and name",
        ),
        (
            {"birthDate": "1980", "gender": "female", "name": [{"family": "Doe"}]},
            "birth date and name and sex",
        ),
        ({"gender": "female", "name": [{"family": "Doe"}]}, None),
        ({"birthDate": "1980", "name": [{"text": "no family"}]}, None),
    ],
)
def test_birth_date_and_name_or_sex_must_disagree(
    said: dict[str, Any], disagrees: str | None
) -> None:
    assert disagreement(said, HELD) == disagrees
    assert disagreement(HELD, said) == disagrees
