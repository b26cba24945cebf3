"""The validity policy: what ships, what a site may change, and how mistakes are told."""

from pathlib import Path

import pytest

from server.continuity.validity import (
    TOPICS,
    UNLISTED,
    Holding,
    ValidityError,
    load_validity,
    stricter,
)

POLICY = load_validity()


@pytest.mark.parametrize(
    ("topic", "holding"),
    [
        ("birth-date", Holding("carry")),
        ("address", Holding("expire", 180)),
        ("allergies", Holding("confirm-each-encounter")),
        ("medicines", Holding("confirm-each-encounter")),
        ("pregnancy", Holding("confirm-each-encounter")),
        ("implants", Holding("confirm-each-encounter")),
        ("blood-group", Holding("confirm")),
        ("identity-check", Holding("never-carry")),
        ("procedure-consent", Holding("never-carry")),
        ("symptoms", Holding("never-carry")),
    ],
)
def test_what_ships_is_careful(topic: str, holding: Holding) -> None:
    assert POLICY.topic(topic).holding == holding


def test_every_topic_has_its_clinical_reason() -> None:
    assert len(POLICY.topics) == 42
    for topic in POLICY.topics.values():
        assert topic.why.endswith("."), topic.name
        assert topic.why[0].isupper(), topic.name


def test_a_topic_is_found_by_code_element_and_name() -> None:
    def name(*codes: tuple[str, str]) -> str:
        return (POLICY.of_codes(codes) or UNLISTED).name

    assert name(("http://loinc.org", "29463-7")) == "weight"
    assert name((TOPICS, "weight")) == "weight"
    assert name(("http://any.test", "identity-check")) == "identity-check"
    assert name(("http://any.test", "29463-7")) == ""
    phone = POLICY.of_element("Patient.telecom.value", [("system", "phone")])
    assert phone is not None
    assert phone.name == "phone"
    assert POLICY.of_element("Patient.photo") is None


def test_the_strictest_of_several_topics_counts() -> None:
    found = POLICY.of_codes([("http://loinc.org", "29463-7"), ("http://loinc.org", "48765-2")])
    assert found is not None
    assert found.name == "allergies"
    assert stricter(POLICY.topic("address"), POLICY.topic("coverage")).name == "coverage"
    assert stricter(POLICY.topic("coverage"), POLICY.topic("address")).name == "coverage"


def site(folder: Path, text: str) -> Path:
    file = folder / "validity.yaml"
    file.write_text(text, "utf-8")
    return file


def test_a_site_changes_what_it_names_and_no_more(tmp_path: Path) -> None:
    file = site(tmp_path, """\
        rank: [patient, proxy, clinician, device, feed, unknown]
        topics:
          address: {rule: expire P30D}
          hobby:
            rule: carry
            why: It tells what recovery is for, and hurts nobody when it is old.
            codes: [loinc|1]
    """)  # fmt: skip

    made = load_validity(file)

    assert made.topic("address").holding == Holding("expire", 30)
    assert made.topic("address").elements == ("Patient.address",)
    assert made.topic("hobby").codes == {("http://loinc.org", "1")}
    assert made.topic("allergies") == POLICY.topic("allergies")
    assert made.place("patient") == 0


def test_every_mistake_is_told_at_once_with_its_line(tmp_path: Path) -> None:
    file = site(
        tmp_path,
        """\
rank: [clinician, patient]
topics:
  allergies:
    rule: carrry
  blood-group: {rule: carry}
  hobby:
    rule: expire P0D
    why: short
    elements: [Patient.birthdate, Nothing.x]
    codes: [foo|1, loinc, loinc|29463-7]
    types: [Patiennt]
    about: nobody
    many: perhaps
    colour: red
  other: {codes: [loinc|99]}
  flat: carry
colour: red
""",
    )

    with pytest.raises(ValidityError) as error:
        load_validity(file)

    kinds = "patient, proxy, clinician, device, feed, unknown"
    rules = "carry, confirm-each-encounter, never-carry, confirm, expire P90D"
    assert sorted(error.value.problems) == sorted([
        ("validity.yaml:5: 'rule' of blood-group is fixed: A recorded blood group is never valid "
        "for transfusion; it is typed anew from a sample."),
        "validity.yaml:17: there is no key 'colour' here",
        f"validity.yaml:1: the rank names each once of {kinds}",
        f"validity.yaml:4: 'carrry' is no rule; there are {rules}; did you mean 'carry'?",
        "validity.yaml:14: there is no key 'colour' here",
        f"validity.yaml:7: 'expire P0D' is no rule; there are {rules}; did you mean 'expire'?",
        "validity.yaml:8: the clinical reason is a sentence",
        "validity.yaml:9: Patient has no element 'birthdate'; did you mean 'birthDate'?",
        "validity.yaml:9: 'Nothing.x' begins with no resource type",
        "validity.yaml:10: 'foo' is not among `systems`",
        "validity.yaml:10: 'loinc' is not system|code",
        "validity.yaml:11: 'Patiennt' is not a resource type; did you mean 'Patient'?",
        "validity.yaml:12: 'nobody' is none of patient, related, family, other",
        "validity.yaml:13: 'perhaps' is none of yes, no",
        "validity.yaml:15: there is no key 'rule', which is needed",
        "validity.yaml:15: there is no key 'why', which is needed",
        "validity.yaml:16: names and their values are expected",
        "validity.yaml:16: there is no key 'rule', which is needed",
        "validity.yaml:16: there is no key 'why', which is needed",
        "validity.yaml:6: http://loinc.org|29463-7 of hobby is that of weight, too",
    ])  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "validity.yaml:1: the file is empty"),
        ("- a\n", "validity.yaml:1: names and their values are expected"),
        ("topics: [\n", "validity.yaml:2: did not find expected node content"),
        ("topics: {}\ntopics: {}\n", "validity.yaml:2: 'topics' stands twice"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(ValidityError) as error:
        load_validity(site(tmp_path, text))
    (problem,) = error.value.problems
    assert problem.startswith(told)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValidityError, match="No such file"):
        load_validity(tmp_path / "none.yaml")
