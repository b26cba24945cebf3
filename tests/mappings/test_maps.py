"""What is wrong with a map is said when it is loaded, all of it, with file and line."""

from pathlib import Path

import pytest

from mappings.feed import Feed
from mappings.maps import MapError, load_maps
from mappings.parse import parse
from tests.pace import cost_s

MESSAGE = rb"""MSH|^~\&|A|FAC|C|D|20260301101512||%s|1|P|2.5.1
EVN||20260301101500
PID|1||M1^^^GH||Doe^Jane||19850315|W||||||||||||||||||||||||||Z
PV1|1|I||||||||||||||||||||||||||||||||||||||||||20260301100000
ZPI|1|blue^Blue^L
""".replace(b"\n", b"\r")
A01 = parse(MESSAGE % b"ADT^A01")

HEAD = "on: [ZZZ^Z01]\nresources:\n  - make: Patient\n    from: PID\n    set:\n"


def faults(tmp_path: Path, text: str) -> list[str]:
    (tmp_path / "mine.yaml").write_text(text)
    with pytest.raises(MapError) as refused:
        load_maps([tmp_path])
    return [problem.replace(tmp_path.name, "site") for problem in refused.value.problems]


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ("birthday: PID-7", "6: Patient has no element 'birthday'"),
        ("name: PIT-5", "6: 'PIT-5': there is no segment PIT"),
        ("name: PID-95", "6: 'PID-95': PID has 40 fields"),
        ("name: somebody", "6: 'somebody' is not a field path such as PID-3.4 or .4"),
        ("name: PID", "6: PID is a segment, a field is needed"),
        ("address: PID-5", "6: there is no way from XPN to Address (address)"),
        ("gender: {from: PID-8, table: Sex}", "6: there is no table 'Sex'"),
        (
            "gender: {from: PID-8, table: MaritalStatus}",
            "6: table MaritalStatus: Patient.gender has no code 'A'",
        ),
        ("gender: {const: F}", "6: Patient.gender has no code 'F'"),
        ("gender: {from: PID-8, tabel: X}", "6: 'tabel' is no key beside 'from'"),
        ("active: {const: 'yes'}", "6: active is true or false"),
        ("name: {const: Doe}", "6: name is a HumanName, not a text"),
        ("birthDate: [PID-7]", "6: birthDate does not repeat; use first: for alternatives"),
        ("birthDate: {from: PID-7, when: PID-8 is}", "6: when: 'PID-8 is' ends where a value"),
        ("name: {family: PID-5.1, nickname: PID-9}", "6: HumanName has no element 'nickname'"),
        ("managingOrganization: {ref: Organization}", "6: ref: the map makes no Organization"),
        ("managingOrganization: {make: Practitioner, from: PD1-4}", "6: managingOrganization does"),
        ("generalPractitioner: [{make: Practitioner, from: PID-7}]", "6: there is no way from DTM"),
        ("deceased: PID-29", "6: deceased[x] needs its type, such as deceasedString, or a fn"),
        ("birthDate: {fn: guess, from: PID-7}", "6: there is no rule 'guess'"),
        ("birthDate: {fn: attachment, from: PID-7}", "6: rule 'attachment' does not make a date"),
        ("birthDate: {year: PID-7}", "6: date has no element 'year'"),
        ("name.family: PID-5.1", ""),
    ],
)
def test_a_fault_in_a_rule_is_told_with_its_line(tmp_path: Path, rule: str, told: str) -> None:
    if not told:
        (tmp_path / "mine.yaml").write_text(HEAD + f"      {rule}\n")
        assert load_maps([tmp_path]).supported("ZZZ^Z01")
        return
    assert [
        f[: len("site/mine.yaml:") + len(told)] for f in faults(tmp_path, HEAD + f"      {rule}\n")
    ][:1] == [f"site/mine.yaml:{told}"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "on: [ZZZ^Z01]\nresources: [{make: Patent, from: PID}]",
            "2: R4 has no resource 'Patent'; did you mean 'Patient'?",
        ),
        (
            "on: [ZZZ^Z01]\nresources: [{make: Patient, from: XYZ}]",
            "2: there is no segment 'XYZ' to make Patient from",
        ),
        (
            "on: [ZZZ^Z01]\nresources: [{make: Patient, from: PID, colour: red}]",
            "2: a resource rule has no key 'colour'",
        ),
        (
            "on: [ZZZ^Z01]\nresource: []",
            "2: a map has no key 'resource'; did you mean 'resources'?",
        ),
        ("resources: []", "1: on: names the messages of the map, such as ADT^A01"),
        ("extends: base/ADX", "1: there is no map 'base/ADX'; did you mean 'base/ADT'?"),
        (
            "extends: base/ADT\nremove: [Patient.colour]",
            "2: Patient has no element 'colour' to remove",
        ),
        ("extends: base/ADT\nremove: [Goal]", "2: the map makes no Goal"),
        (
            "extends: base/ADT\nset: {RelatedPerson.name: NK1-2}",
            "2: the map makes RelatedPerson 4 times: say RelatedPerson@SEGMENT",
        ),
        (
            "on: [ZZZ^Z01]\nresources: [{make: Patient, from: PID, identity: {search: [size]}}]",
            "2: Patient has no search parameter 'size'",
        ),
        (
            "on: [ZZZ^Z01]\nresources: [{make: Patient, from: PID, identity: {key: [MSH-10]}}]",
            "2: MSH-10 changes when a message is sent again",
        ),
        (
            "on: [ZZZ^Z01]\nresources: [{make: Patient, from: PID, update: sometimes}]",
            "2: update: is one of authoritative, merge, never",
        ),
        (
            "on: [ZZZ^Z01]\nresources: [{make: Patient, from: PID, missing: whatever}]",
            "2: missing: is drop or a quarantine reason, not 'whatever'",
        ),
        ("on: [a]\non: [b]", "2: 'on' stands twice"),
        ("on: [a", "2: did not find expected ',' or ']'"),
        ("- a", "1: a file holds keys and values"),
        ("", "1: the file is empty"),
        ("colour: red", "1: this is no map, table or feed"),
        ("codes: [a]", "1: table mine needs 'codes:'"),
        ("codes: {a: [b]}", "1: a row is a code, or {code, system, display}"),
        ("feed: x\ntimezone: Mars/Base", "2: there is no time zone 'Mars/Base'"),
        ("feed: x\nmode: slow", "2: mode is one of backload, live, replay"),
        ("feed: x\nauthoritative: perhaps", "2: authoritative is true or false"),
        ("feed: x\nspeed: high", "2: a feed has no key 'speed'"),
        (
            "feed: x\ntables:\n  AdministrativSex: {W: female}",
            "3: there is no table 'AdministrativSex'; did you mean 'AdministrativeSex'?",
        ),
        (
            "feed: x\ntables:\n  AdministrativeSex: {W: femal}",
            "3: table AdministrativeSex gives no code 'femal'; did you mean 'female'?",
        ),
        (
            "on: [ZZZ^Z01]\nresources:\n- {make: Patient, from: PID, when: PID-3 valud}",
            "3: when: 'PID-3 valud': 'valud' is no comparison; did you mean 'valued'?",
        ),
    ],
)
def test_a_fault_in_a_file_is_told_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    assert faults(tmp_path, text)[0] == f"site/mine.yaml:{told}"


def test_a_line_that_is_indented_wrongly_is_told_in_words(tmp_path: Path) -> None:
    (told,) = faults(tmp_path, "set: {}\n  Patient.gender: PID-8")
    assert told.startswith("site/mine.yaml:2: did not find expected key; the line is indented")


def test_a_row_with_a_wrong_code_is_told_where_it_stands(tmp_path: Path) -> None:
    (tmp_path / "AdministrativeSex.yaml").write_text("codes:\n  W: femal\n")
    with pytest.raises(MapError) as refused:
        load_maps([tmp_path])
    told = refused.value.problems[0].replace(tmp_path.name, "site")
    assert told == (
        "site/AdministrativeSex.yaml:2: table AdministrativeSex: Patient.gender has no code"
        " 'femal'; did you mean 'female'?"
    )


def test_a_file_whose_name_would_be_passed_over_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "mine.yml").write_text("feed: x\n")
    with pytest.raises(MapError) as refused:
        load_maps([tmp_path])
    assert refused.value.problems[0] == f"{tmp_path.name}/mine.yml:1: the name ends in .yaml"


def test_keys_of_an_overlay_without_anything_in_them_change_nothing(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("extends: base/ADT\nset:\nremove:\nresources:\n")
    assert load_maps([tmp_path]).name("ADT^A01") == f"{tmp_path.name}/mine"


def test_every_fault_of_every_file_is_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_text("feed: x\nmode: slow\n")
    found = faults(tmp_path, HEAD + "      colour: PID-1\n      size: PID-2\n")
    assert [problem.partition(": ")[0] for problem in found] == [
        "site/other.yaml:2",
        "site/mine.yaml:6",
        "site/mine.yaml:7",
    ]


def test_a_site_changes_one_element_for_one_feed(tmp_path: Path) -> None:
    (tmp_path / "OurSex.yaml").write_text("codes: {W: female}\n")
    (tmp_path / "ours.yaml").write_text(
        "extends: base/ADT\nfeed: main\n"
        "set:\n"
        "  Patient.gender: {from: PID-8, table: OurSex}\n"
        "  Patient.maritalStatus: ZPI-2\n"
        "  Patient/update: merge\n"
        "remove: [Patient.birthDate, Encounter]\n"
    )
    maps = load_maps([tmp_path])
    theirs = maps.plan(A01, Feed("other"))
    mine = maps.plan(A01, Feed("main"))
    assert [r.label for r in theirs.resources] == ["Patient", "Encounter"]
    assert [r.label for r in mine.resources] == ["Patient"]
    assert mine.resources[0].update == "merge"
    assert mine.resources[0].values["gender"] == "female"
    assert mine.resources[0].values["maritalStatus"] == {
        "coding": [{"system": "urn:tellonce:codes:main:L", "code": "blue", "display": "Blue"}],
        "text": "Blue",
    }
    assert "birthDate" not in mine.resources[0].values
    assert theirs.resources[0].values["gender"] == "unknown"
    assert theirs.resources[0].values["birthDate"] == "1985-03-15"


def test_a_site_adds_a_row_to_a_packaged_table(tmp_path: Path) -> None:
    (tmp_path / "AdministrativeSex.yaml").write_text("codes: {W: female}\n")
    maps = load_maps([tmp_path])
    assert maps.plan(A01, Feed()).resources[0].values["gender"] == "female"
    assert maps.tables["AdministrativeSex"].codes["M"].code == "male"


def test_a_feed_reads_its_own_codes_first() -> None:
    feed = Feed(tables={"AdministrativeSex": {"W": "female"}})
    assert load_maps().plan(A01, feed).resources[0].values["gender"] == "female"


def test_a_feed_is_read_from_its_file(tmp_path: Path) -> None:
    (tmp_path / "main.yaml").write_text(
        "feed: main\ntimezone: Europe/Berlin\nauthorities: {GH: 'http://gh.example'}\n"
        "default_authority: http://gh.example/x\nunidentified: create\nauthoritative: 'false'\n"
        "ack: inbox\nack_quarantined: AE\nlane_when_quarantined: hold\nmode: backload\n"
    )
    maps = load_maps([tmp_path])
    feed = maps.feed("main")
    assert maps.feeds == ("main",)
    assert (feed.name, feed.timezone.key, feed.mode) == ("main", "Europe/Berlin", "backload")
    assert (feed.authorities, feed.default_authority) == (
        {"GH": "http://gh.example"},
        "http://gh.example/x",
    )
    assert (feed.unidentified, feed.authoritative, feed.ack) == ("create", False, "inbox")
    assert (feed.ack_quarantined, feed.lane_when_quarantined) == ("AE", "hold")


def test_a_feed_that_nobody_described_has_the_defaults() -> None:
    assert load_maps().feed("new") == Feed("new")


def test_the_version_changes_with_the_maps(tmp_path: Path) -> None:
    before = load_maps().version
    (tmp_path / "OurSex.yaml").write_text("codes: {W: female}\n")
    assert load_maps().version == before
    assert load_maps([tmp_path]).version != before


def test_a_folder_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(MapError, match="there is no folder"):
        load_maps([tmp_path / "nowhere"])


def test_yaml_scalars_are_text(tmp_path: Path) -> None:
    (tmp_path / "AdministrativeSex.yaml").write_text("codes: {NO: male, 01: female, on: other}\n")
    codes = load_maps([tmp_path]).tables["AdministrativeSex"].codes
    assert [codes[key].code for key in ("NO", "01", "on")] == ["male", "female", "other"]


def test_the_packaged_maps_load_quickly() -> None:
    load_maps()  # the definitions are read once
    assert cost_s(load_maps, 1.0) < 1.0  # 0.07 s on an idle core


@pytest.mark.parametrize(
    ("type_", "segment", "systems"),
    [
        ("MDM^T02", "TXA|1|DS||||||||||17||17|17", ["document", "placer", "filler"]),
        ("SIU^S12", "SCH|17|17", ["placer-appointment", "filler-appointment"]),
        ("REF^I12", "RF1||||||17|||||17", ["referral", "external-referral"]),
        ("PPR^PC1", "PRB|AD||X^Y|17", ["problem"]),
    ],
)
def test_a_number_without_an_authority_is_never_taken_for_a_patient_s(
    type_: str, segment: str, systems: list[str]
) -> None:
    feed = Feed("f", default_authority="https://st-mary.example/mrn")
    text = f"MSH|^~\\&|A|H|||2026||{type_}|1|P|2.5\rPID|||1\r{segment}"
    plan = load_maps().plan(parse(text.encode()), feed)
    (made,) = [one for one in plan.resources if one.type not in ("Patient", "Practitioner")]
    found = [one["system"] for one in made.values["identifier"]]
    assert found == [f"urn:tellonce:{system}:f:H" for system in systems]
