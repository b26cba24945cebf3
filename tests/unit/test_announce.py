"""What the first start says, once."""

import pytest

from server.app import FirstUser, Running
from server.commands.serve import announce


def test_the_first_start_says_who_can_log_in_and_where(capsys: pytest.CaptureFixture[str]) -> None:
    user = FirstUser("admin", "a password")
    announce(Running("https://record.example/fhir", "127.0.0.1", 2575, "tellonce_x", False, user))
    assert capsys.readouterr().out == (
        "token tellonce_x  (administrator; shown this once)\n"
        "login admin a password  (administrator, at https://record.example/; shown this once)\n"
        "FHIR  https://record.example/fhir\n"
        "MLLP  127.0.0.1:2575\n"
    )


def test_later_starts_say_only_where_the_server_listens(
    capsys: pytest.CaptureFixture[str],
) -> None:
    announce(Running("http://127.0.0.1:8080/fhir", "127.0.0.1", None, None, False))
    assert capsys.readouterr().out == "FHIR  http://127.0.0.1:8080/fhir\n"
