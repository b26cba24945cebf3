"""The policy's file: what it says is what counts, what is wrong is told with file and line."""

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from server.access.policy import Policy, load_policy
from server.access.policy_file import PolicyError
from server.fhir.dates import DAY, HOUR

ROLE = """
roles:
  researcher:
    record: everyone
    read: [Observation, -Observation, Condition]
    write: []
    confidentiality: N
    sensitive: [HIV]
    released-only: no
"""


def read(tmp_path: Path, text: str) -> Policy:
    path = tmp_path / "site.yaml"
    path.write_text(text, "utf-8")
    return load_policy(path)


def faults(tmp_path: Path, text: str) -> tuple[str, ...]:
    with pytest.raises(PolicyError) as raised:
        read(tmp_path, text)
    return raised.value.problems


def test_without_a_file_the_packaged_policy_counts(policy: Policy) -> None:
    assert set(policy.roles) == {"patient", "proxy", "practitioner", "admin", "system"}
    assert str(policy.zone) == "UTC"
    assert [(row.first, row.last) for row in policy.ages] == [(0, 11), (12, 17), (18, 150)]


def test_a_site_states_what_differs(tmp_path: Path, policy: Policy) -> None:
    made = read(tmp_path, f"zone: Europe/Berlin\n{ROLE}clients: {{counter: researcher}}\n")
    assert str(made.zone) == "Europe/Berlin"
    assert made.roles["researcher"].read == {"Condition"}
    assert made.roles["researcher"].clearance.sensitive == {"HIV"}
    assert made.roles["patient"] == policy.roles["patient"]
    assert made.clients == {"counter": "researcher"}
    assert made.label_rules == policy.label_rules


@pytest.mark.parametrize(
    ("text", "zone"), [(ROLE, "Asia/Tokyo"), ("zone: Europe/Berlin", "Europe/Berlin")]
)
def test_days_end_where_the_server_says_unless_the_file_does(
    tmp_path: Path, text: str, zone: str
) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(text, "utf-8")
    assert str(load_policy(path, ZoneInfo("Asia/Tokyo")).zone) == zone
    assert str(load_policy(None, ZoneInfo("Asia/Tokyo")).zone) == "Asia/Tokyo"


def test_a_key_of_a_role_may_be_changed_alone(tmp_path: Path, policy: Policy) -> None:
    made = read(tmp_path, "roles: {practitioner: {confidentiality: N}}")
    assert made.roles["practitioner"].clearance.confidentiality == "N"
    assert made.roles["practitioner"].read == policy.roles["practitioner"].read


def test_delays_are_days_and_hours(tmp_path: Path) -> None:
    rules = "release: {rules: {slow: {types: [Observation], delay: P1DT6H}}}"
    slow = read(tmp_path, rules).release_rules[-1]
    assert (slow.name, slow.delay) == ("slow", DAY + 6 * HOUR)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("colour: red", "site.yaml:1: there is no key 'colour' here"),
        ("zone: Berlin", "site.yaml:1: 'Berlin' is not a time zone, as in Europe/Berlin"),
        ("role: {}", "site.yaml:1: there is no key 'role' here; did you mean 'roles'?"),
        (
            "\nroles: {patient: {read: [Observatoin]}}",
            "site.yaml:2: 'Observatoin' is not a resource type; did you mean 'Observation'?",
        ),
        (
            "roles: {patient: {write: [Observation.rs]}}",
            "site.yaml:1: 'Observation.rs' is not like Type.cud, with some of the letters c, u, d",
        ),
        (
            "roles: {patient: {confidentiality: X}}",
            "site.yaml:1: 'X' is none of U, L, M, N, R, V",
        ),
        (
            "roles: {patient: {sensitive: [HIV, XYZ]}}",
            "site.yaml:1: 'XYZ' is not among `sensitivities`",
        ),
        ("roles: {patient: {released-only: true}}", "site.yaml:1: 'true' is none of yes, no"),
        (
            "roles: {nurse: {record: everyone}}",
            "site.yaml:1: there is no key 'confidentiality', which is needed",
        ),
        ("roles: {patient: all}", "site.yaml:1: names and their values are expected"),
        (
            "clients: {x: docter}",
            "site.yaml:1: there is no role 'docter'",
        ),
        (
            "proxies: {jurisdiction: mars}",
            "there is no jurisdiction 'mars'",
        ),
        (
            "proxies: {jurisdictions: {default: []}}",
            "site.yaml:1: the ages from 0 on are not said",
        ),
        (
            "labels: {rules: {x: {codes: hiw, add: [R]}}}",
            "site.yaml:1: there is no value set 'hiw'; did you mean 'hiv'?",
        ),
        (
            "labels: {rules: {x: {codes: hiv, add: [OPTIN]}}}",
            "site.yaml:1: 'OPTIN' is no label that is enforced",
        ),
        (
            "labels: {value-sets: {x: [B20]}}",
            "site.yaml:1: 'B20' is not system|code or system|beginning*",
        ),
        (
            "labels: {inherit: {Clame: [item]}}",
            "site.yaml:1: 'Clame' is not a resource type; did you mean 'Claim'?",
        ),
        (
            "labels: {inherit: {Claim: ['item[0]']}}",
            "site.yaml:1: 'item[0]' is not the path of an element, as in component.code",
        ),
        (
            "release: {rules: {x: {types: [Observation]}}}",
            "site.yaml:1: rule x has either `delay` or `hold`",
        ),
        (
            "release: {rules: {x: {types: [Observation], delay: 3 days}}}",
            "site.yaml:1: '3 days' is not a delay in days and hours, as in P3D or PT12H",
        ),
        ("a: ]", "site.yaml:1:"),
        ("", "site.yaml:1: the file is empty"),
        ("zone: UTC\nzone: UTC", "site.yaml:2: 'zone' stands twice"),
    ],
)
def test_a_fault_is_told_with_its_file_and_line(tmp_path: Path, text: str, told: str) -> None:
    found = faults(tmp_path, text)
    assert any(told in one for one in found), found


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    text = "zone: x\nroles:\n  patient:\n    record: mine\n    relabel: perhaps\ncolour: red"
    assert faults(tmp_path, text) == (
        "site.yaml:6: there is no key 'colour' here",
        "site.yaml:1: 'x' is not a time zone, as in Europe/Berlin",
        "site.yaml:4: 'mine' is none of own, proxied, everyone, none",
        "site.yaml:5: 'perhaps' is none of yes, no",
    )


def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match=r"no\.yaml"):
        load_policy(tmp_path / "no.yaml")
