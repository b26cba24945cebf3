"""Each key of the language once, in a map of its own over one message."""

from pathlib import Path
from typing import Any

import pytest

from mappings.feed import Feed
from mappings.maps import load_maps
from mappings.parse import parse
from mappings.plan import Plan

MESSAGE = rb"""MSH|^~\&|A|FAC|C|D|20260301101512||ZZZ^Z01|1|P|2.5.1
PID|1||M1^^^GH^MR||Doe^Jane|Roe^Ann|19850315|F|||1 Elm^^Town||5550101~5550102|||M
NK1|1|Doe^John|SPO^Spouse|||||||||||^^Comma
NK1|2|Poe^Eve|FND
PV1|1|I|W^1^B^GH||||7^Smith^Al~^Jones^Bo|||||||||||||||||||||||||||||||||||||20260301
ZPI|blue^Blue^L|20260102|Fox^Ed|line one~line two|12
NTE|1||first~second
""".replace(b"\n", b"\r")


def plan(tmp_path: Path, rules: str, *, make: str = "Patient", source: str = "from: PID") -> Plan:
    text = f"on: [ZZZ^Z01]\nresources:\n  - make: {make}\n    {source}\n"
    text += "    identity: {identifier: PID-3}\n    set:\n"
    text += "".join(f"      {line}\n" for line in rules.strip().splitlines())
    (tmp_path / "mine.yaml").write_text(text)
    return load_maps([tmp_path]).plan(parse(MESSAGE), Feed("test"))


def values(tmp_path: Path, rules: str, **of: str) -> dict[str, Any]:
    made = plan(tmp_path, rules, **of)
    assert made.quarantine is None, made.problem
    return {k: v for k, v in made.resources[0].values.items() if k != "resourceType"}


@pytest.mark.parametrize(
    ("rules", "made"),
    [
        ("name: PID-5", {"name": [{"family": "Doe", "given": ["Jane"]}]}),
        ("name: {family: PID-5.1}", {"name": [{"family": "Doe"}]}),
        ("name.text: PID-5.2", {"name": [{"text": "Jane"}]}),
        (
            "name: [PID-5, PID-6]",
            {"name": [{"family": "Doe", "given": ["Jane"]}, {"family": "Roe", "given": ["Ann"]}]},
        ),
        ("telecom: PID-13[2]", {"telecom": [{"system": "phone", "value": "5550102"}]}),
        ("active: {const: 'true'}", {"active": True}),
        (
            "maritalStatus: {const: {coding: {code: M}, text: wed}}",
            {"maritalStatus": {"coding": [{"code": "M"}], "text": "wed"}},
        ),
        ("gender: {from: PID-8, table: AdministrativeSex}", {"gender": "female"}),
        ("gender: {from: PID-16, table: AdministrativeSex, default: unknown}", {"gender": "male"}),
        ("gender: {from: PID-14, table: AdministrativeSex, default: unknown}", {}),
        ("gender: {event: {Z01: other, default: male}}", {"gender": "other"}),
        ("gender: {event: {A01: other, default: male}}", {"gender": "male"}),
        ("gender: {event: {A01: other}}", {}),
        (
            "birthDate: {first: [PID-29, {from: PID-7, when: PID-8 = M}, ZPI-2]}",
            {"birthDate": "2026-01-02"},
        ),
        (
            "name: {text: {join: [PID-5.2, PID-6.2, PID-5.1], sep: '-'}}",
            {"name": [{"text": "Jane-Ann-Doe"}]},
        ),
        ("name: {text: {join: [PID-9.1, PID-9.2]}}", {}),
        (
            "telecom: {from: PID-13, also: {use: {const: home}, rank: ZPI-5}}",
            {
                "telecom": [
                    {"system": "phone", "value": "5550101", "use": "home", "rank": 12},
                    {"system": "phone", "value": "5550102", "use": "home", "rank": 12},
                ]
            },
        ),
        (
            "telecom: {each: PID-13, value: ., system: {const: sms}}",
            {
                "telecom": [
                    {"value": "5550101", "system": "sms"},
                    {"value": "5550102", "system": "sms"},
                ]
            },
        ),
        (
            "contact: {each: NK1, name: NK1-2, relationship: [NK1-3]}",
            {
                "contact": [
                    {
                        "name": {"family": "Doe", "given": ["John"]},
                        "relationship": [
                            {"coding": [{"code": "SPO", "display": "Spouse"}], "text": "Spouse"}
                        ],
                    },
                    {
                        "name": {"family": "Poe", "given": ["Eve"]},
                        "relationship": [{"coding": [{"code": "FND"}]}],
                    },
                ]
            },
        ),
        (
            "contact: {each: NK1, when: NK1-3.2 valued, name: NK1-2}",
            {"contact": [{"name": {"family": "Doe", "given": ["John"]}}]},
        ),
        ("contact: {each: NK1, gender: {const: other}}", {}),
        ("communication: {language: PID-15, preferred: {const: 'true'}}", {}),
        (
            "maritalStatus: ZPI-1",
            {
                "maritalStatus": {
                    "coding": [
                        {"system": "urn:tellonce:codes:test:L", "code": "blue", "display": "Blue"}
                    ],
                    "text": "Blue",
                }
            },
        ),
        ("name: ZPI-3", {"name": [{"family": "Fox", "given": ["Ed"]}]}),
        ("name: {text: {fn: lines, from: ZPI-4}}", {"name": [{"text": "line one\nline two"}]}),
        (
            "generalPractitioner: {each: PV1-7, set: {display: .2}}",
            {"generalPractitioner": [{"display": "Smith"}, {"display": "Jones"}]},
        ),
        ("name: {set: {family: PID-5.1}, when: PID-8 = F}", {"name": [{"family": "Doe"}]}),
        ("multipleBirthInteger: PID-8", {}),
        (
            "name: {from: PID-5, note: why it is so}",
            {"name": [{"family": "Doe", "given": ["Jane"]}]},
        ),
    ],
)
def test_a_rule_gives(tmp_path: Path, rules: str, made: dict[str, Any]) -> None:
    assert values(tmp_path, rules) == made


def test_make_gives_a_resource_with_an_identifier_and_only_shows_one_without(
    tmp_path: Path,
) -> None:
    made = plan(tmp_path, "generalPractitioner: {make: Practitioner, from: PV1-7}")
    assert made.resources[0].values["generalPractitioner"] == [
        {"reference": "plan:Practitioner", "display": "Al Smith"},
        {"display": "Bo Jones"},
    ]
    assert [resource.label for resource in made.resources] == ["Patient", "Practitioner"]
    assert made.resources[1].values["name"] == [{"family": "Smith", "given": ["Al"]}]


def test_an_object_without_a_required_element_is_left_out_and_explained(tmp_path: Path) -> None:
    made = plan(tmp_path, "link: {other: {display: PID-5.1}}\nname: PID-5")
    assert "link" not in made.resources[0].values
    assert [(row.target, row.how) for row in made.explain if row.how.startswith("DROPPED")] == [
        ("Patient.link[0]", "DROPPED: type is required and was not sent")
    ]


def test_emit_makes_further_resources_from_the_same_segment(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        """
on: [ZZZ^Z01]
resources:
  - make: Patient
    from: PID
    identity: {identifier: PID-3}
    set: {name: PID-5}
  - make: RelatedPerson
    each: NK1
    identity: {key: [NK1-2], with: [patient]}
    set: {patient: {ref: Patient}, name: NK1-2}
    emit:
      - make: Flag
        when: NK1-3 = SPO
        identity: {key: [NK1-2], with: [subject]}
        set:
          status: {const: active}
          code: {text: NK1-2.1}
          subject: {ref: Patient}
"""
    )
    made = load_maps([tmp_path]).plan(parse(MESSAGE), Feed("test"))
    assert [(r.label, r.values.get("code")) for r in made.resources] == [
        ("Patient", None),
        ("RelatedPerson", None),
        ("Flag", {"text": "Doe"}),
        ("RelatedPerson[2]", None),
    ]


def test_an_explanation_names_field_and_rule(tmp_path: Path) -> None:
    made = plan(
        tmp_path,
        "address: PID-11\ngender: {from: PID-16, table: AdministrativeSex}",
    )
    rows = [f"{row.target} <- {row.source} {row.how}" for row in made.explain]
    assert "Patient.address[0].city <- PID-11.3 copy" in rows
    assert "Patient.gender <- PID-16 table AdministrativeSex" in rows
    assert " <- PID-13 not mapped: other messages read it, this map does not" in rows
    assert " <- PV1 not mapped: other messages read it, this map does not" in rows
