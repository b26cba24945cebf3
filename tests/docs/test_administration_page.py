"""docs/administration.md is right: its commands are commands, its brands can be published."""

import json
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from server.auth.brands import checked
from server.commands.line import cli
from server.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "administration.md").read_text("utf-8")
COMMANDS = sorted(set(re.findall(r"^tellonce (.+)$", PAGE, re.MULTILINE)))


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_is_one(command: str, tmp_path: Path) -> None:
    words = shlex.split(command.replace("$TELLONCE_UPSTREAM_ISSUER", "https://login.example"))

    done = CliRunner().invoke(cli, [*words, "--data", str(tmp_path / "none")], input="x" * 20)

    # The words are understood; there is no record in that folder, or no password on stdin.
    assert done.exit_code == 1, done.output
    assert "Usage" not in done.output


def test_the_brands_can_be_published() -> None:
    (block,) = re.findall(r"```json\n(.+?)```", PAGE, re.DOTALL)
    resources = [entry["resource"] for entry in json.loads(block)["entry"]]

    made = checked(resources, "https://record.westbruck.example/fhir")

    assert [one["resourceType"] for one in made] == ["Organization", "Endpoint"]


def test_the_limits_are_those_of_the_settings() -> None:
    fields = Settings.model_fields
    told = [fields[name].default for name in ("login_limit", "login_address_limit", "token_limit")]

    assert told == ["10+6/min", "60+60/min", "300+600/min"]
    assert all(
        f"{n} at once, then {m} a minute" in PAGE for n, m in ((10, 6), (60, 60), (300, 600))
    )
