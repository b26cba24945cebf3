"""docs/access.md is right: its policy loads, its people see what it says that they see."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.access.context import AccessContext
from server.access.explain import explain
from server.access.permits import permits
from server.access.person import Person
from server.access.policy import Policy, Role, load_policy
from server.access.proxy import Proxied, standing
from server.access.scopes import parse
from server.fhir import definitions
from tests.access.records import NOON, resource, seen

PAGE = (Path(__file__).parents[2] / "docs" / "access.md").read_text("utf-8")


def block(name: str) -> str:
    found = re.search(rf"```{name}\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


RECORD = [json.loads(line) for line in block("record").splitlines()]
BY_PLACE = {f"{one['resourceType']}/{one['id']}": one for one in RECORD}
PEOPLE: dict[str, dict[str, Any]] = yaml.load(block("people"), Loader=yaml.BaseLoader)


def person(name: str) -> Person:
    said = PEOPLE[name]
    proxies = tuple(
        Proxied(
            one["related-person"],
            one["patient"],
            one["basis"],
            related=BY_PLACE[one["related-person"]],
            subject=BY_PLACE[one["patient"]],
        )
        for one in said.get("proxies", ())
    )
    roles, departments = tuple(said.get("roles", ())), tuple(said.get("departments", ()))
    return Person(name, roles, said.get("fhir-user"), departments, proxies, "service" in said)


@pytest.mark.parametrize("line", block("asked").splitlines())
def test_people_see_what_the_page_says(line: str) -> None:
    answer, name, scope, patient, doing, place, *_why = line.split()
    context = None if patient == "-" else patient
    made = permits(load_policy(), person(name), parse(scope), context, NOON)
    assert (place in seen(made, RECORD, doing)) is (answer == "yes")  # type: ignore[arg-type]
    assert place in BY_PLACE


def test_the_policy_of_the_page_loads(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(block("policy"), "utf-8")
    made = load_policy(path)
    assert str(made.zone) == "Europe/Berlin"
    assert made.roles["infectious-diseases"].clearance.sensitive == {"HIV", "STD"}
    assert [rule.name for rule in made.release_rules] == [
        "unfinished-results",
        "pathology",
        "genetics",
    ]


def test_the_keys_of_the_page_are_those_of_the_file() -> None:
    packaged = Path(__file__).parents[2] / "server" / "access" / "policy.yaml"
    keys = yaml.load(packaged.read_text("utf-8"), Loader=yaml.BaseLoader)
    table = PAGE[PAGE.index("| key | says |") : PAGE.index("### Roles that ship")]
    assert re.findall(r"^\| `([\w-]+)` \|", table, re.MULTILINE) == list(keys)


ROLES = re.findall(
    r"^\| `(\w+)` \| (\w+)(, by departments)? \| ([^|]+) \| ([^|]+) \| (yes|no) \|$",
    PAGE,
    re.MULTILINE,
)


def test_every_role_is_on_the_page() -> None:
    assert [row[0] for row in ROLES] == list(load_policy().roles)


@pytest.mark.parametrize("row", ROLES, ids=lambda row: row[0])
def test_the_table_of_roles_is_the_policy(row: tuple[str, ...]) -> None:
    name, record, by_departments, _, clearance, held = row
    policy = load_policy()
    role = policy.roles[name]
    assert role.record == record
    assert role.departments is bool(by_departments)
    assert clearance == told_clearance(policy, role)
    assert held == ("no" if role.released_only else "yes")


def told_clearance(policy: Policy, role: Role) -> str:
    missing = policy.sensitivities - role.clearance.sensitive
    if missing == policy.sensitivities:
        return f"{role.clearance.confidentiality}, none"
    but = f" but {', '.join(sorted(missing))}" if missing else ""
    return f"{role.clearance.confidentiality}, all sensitivities{but}"


AGES = re.findall(r"^\| (\d{4}[-\d]*) \| ([\w-]+) \| ([^|]+) \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize(("birth", "basis", "told"), AGES)
def test_proxies_stand_as_the_page_says(birth: str, basis: str, told: str) -> None:
    related = resource("RelatedPerson", "r", patient="Patient/p")
    subject = resource("Patient", "p", birthDate=birth)
    proxied = Proxied("RelatedPerson/r", "Patient/p", basis, related=related, subject=subject)
    assert standing(load_policy(), proxied, NOON).reason == told


def test_there_are_examples_of_ages() -> None:
    assert len(AGES) == 6


def test_the_explanation_of_the_page_is_the_servers() -> None:
    made = permits(
        load_policy(), person("anna"), parse("patient/Observation.rs"), "Patient/anna", NOON
    )
    context = AccessContext("user/anna", "app", made)
    found = explain(context, "read", BY_PLACE["Observation/notes"])
    assert "\n".join(found.lines) + "\n" == block("explained")


def test_the_types_that_the_page_names_are_types() -> None:
    named = re.findall(r"\"?resourceType\"?: \"(\w+)\"", PAGE)
    assert set(named) <= definitions.resource_types()
