"""Emit maps and destinations as an analyst writes them: overlays, and every fault with its line."""

import re
import textwrap
from pathlib import Path

import pytest

from mappings.emit import Outlet, load_outbound
from mappings.emit_destination_file import KEYS
from mappings.emit_functions import FUNCTIONS
from mappings.emit_run import Change, World
from mappings.encode import write_segment
from mappings.maps import MapError, load_maps

TABLES = load_maps().tables
PAGE = (Path(__file__).parents[2] / "docs" / "outbound.md").read_text("utf-8")
PATIENT = {
    "resourceType": "Patient",
    "id": "ada",
    "identifier": [{"value": "77"}],
    "name": [{"family": "Gray"}],
    "gender": "female",
}


def loaded(folder: Path, **files: str) -> dict[str, Outlet]:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text)
    return load_outbound([folder], TABLES).outlets


def faults(folder: Path, **files: str) -> tuple[str, ...]:
    with pytest.raises(MapError) as caught:
        loaded(folder, **files)
    return tuple(fault.removeprefix(f"{folder.name}/") for fault in caught.value.problems)


def sent(outlet: Outlet) -> list[str]:
    """The segments that tell of a new patient."""
    made = outlet.emit(outlet.routes[0], Change(World(PATIENT)))
    assert made is not None
    return [write_segment(one) for one in made.segments]


WARD = "destination: ward\nmessages: [ADT-person]\n"


def test_the_packaged_maps_have_no_faults() -> None:
    assert sorted(load_outbound([], TABLES).maps) == [
        "ADT", "ADT-merge", "ADT-person", "MDM", "OML", "ORM", "ORU", "ORU-observation", "RSP",
        "SIU",
    ]  # fmt: skip


def test_an_overlay_changes_one_destination_alone(tmp_path: Path) -> None:
    overlay = """emit: ADT-person
for: ward
remove: [PV1, PID-8]
set:
  PID-5: {const: withheld}
segments:
  - segment: ZPI
    after: PID
    of: Patient
    set: {ZPI-2: gender}
"""
    other = WARD.replace("ward", "other")
    outlets = loaded(tmp_path, ward=WARD, other=other, overlay=overlay)
    assert sent(outlets["ward"]) == ["EVN|A28", "PID|1||77||withheld", "ZPI||female"]
    assert sent(outlets["other"]) == ["EVN|A28", "PID|1||77||Gray|||F", "PV1|1|N"]


def test_a_map_of_a_site_s_own(tmp_path: Path) -> None:
    own = """emit: Consent
message: ZCO
about: Consent
with: {Patient: patient}
event:
  - {send: Z01, when: status = active}
  - {send: nothing}
segments:
  - use: out/parts/patient
  - segment: ZCO
    set: {ZCO-1: status, ZCO-2: {from: dateTime}, ZCO-3: {".1": {const: A}, ".2": status}}
"""
    outlets = loaded(tmp_path, own=own, ward="destination: ward\nmessages: [Consent]\n")
    consent = {"resourceType": "Consent", "status": "active", "dateTime": "2026-01-02"}
    route = outlets["ward"].routes[0]
    made = outlets["ward"].emit(route, Change(World(consent, {"Patient": [PATIENT]})))
    assert made is not None
    assert made.type == "ZCO^Z01"
    assert write_segment(made.segments[-1]) == "ZCO|active|20260102|A^active"
    assert outlets["ward"].emit(route, Change(World({**consent, "status": "draft"}))) is None


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("versoin: 2.5", "a destination has no key 'versoin'; did you mean 'version'?"),
        ("version: 2.55", "version is one of 2.3, 2.3.1, 2.4"),
        ("port: 99999", "port is a number from 1 to 65535"),
        ("charset: UTF-9", "charset is one of"),
        ("timezone: Mars", "timezone is a time zone such as Europe/Berlin"),
        ("retry: {attemps: 3}", "retry has no key 'attemps'; did you mean 'attempts'?"),
        ("tls: {cert: a.pem}", "tls needs cert and key together"),
        ("ack: maybe", "ack is one of original, enhanced, enhanced-application"),
        ("tables: {Sex: {W: female}}", "there is no table 'Sex'"),
        ("host: 10.0.0.5", "10.0.0.5 would get messages that anybody on the network can read"),
    ],
)
def test_a_fault_of_a_destination_has_its_line(tmp_path: Path, line: str, fault: str) -> None:
    found = faults(tmp_path, ward=f"{WARD}{line}\n")
    assert len(found) == 1
    assert found[0].startswith(("ward.yaml:3: ", "ward.yaml:1: "))
    assert fault in found[0]


@pytest.mark.parametrize(
    ("rule", "fault"),
    [
        ("PID-5: nam", "Patient has no 'nam'; did you mean 'name'?"),
        ("PID-99: name", "PID has 40 fields"),
        ("NK1-2: name", "'NK1-2' is no field of PID, such as PID-3"),
        ("PID-5: {from: name, tabel: X}", "a rule has no key 'tabel'; did you mean 'table'?"),
        ("PID-8: {from: gender, table: Sex}", "there is no table 'Sex'"),
        ("PID-7: photo", "Attachment (photo) cannot be written as DTM"),
        ("PID-5: {fn: line}", "there is no rule 'line'; did you mean 'lines'?"),
        ("PID-5: {const: x, when: gendr = male}", "Patient has no 'gendr'; did you mean 'gender'?"),
        ("PID-5: {const: x, when: gender is male}", "after a path stands valued, =, != or in"),
        ("PID-5: {}", "a rule has one of from, const, first, join, event, fn"),
        ("PID-5: name(use=)(", "is no path such as name.family"),
        ("PID-4: managingOrganization.resolve(Organisation).name", "there is no resource"),
    ],
)
def test_a_fault_of_a_rule_has_its_line(tmp_path: Path, rule: str, fault: str) -> None:
    own = f"""emit: Own
about: Patient
event: [{{send: Z01}}]
segments:
  - segment: PID
    set:
      {rule}
"""
    (found,) = faults(tmp_path, own=own)
    assert found.startswith("own.yaml:7: ")
    assert fault in found


_WHICH = (
    "own.yaml:12: generalPractitioner may be Organization, Practitioner, PractitionerRole: say"
    " which with 'as'"
)


def test_faults_of_the_frame_of_a_map(tmp_path: Path) -> None:
    own = """emit: Own
abuot: Patient
about: Patient
with: {Org: {search: Organization, by: partofff, of: Patient}}
event:
  - {send: Z01}
  - {send: Z02}
segments:
  - segment: PIX
  - use: out/parts/patiant
  - segment: NTE
    each: generalPractitioner
    set: {NTE-3: {const: x}}
"""
    found = faults(tmp_path, own=own)
    assert found == (
        "own.yaml:10: there is no part 'out/parts/patiant'; did you mean 'out/parts/patient'?",
        "own.yaml:2: an emit map has no key 'abuot'; did you mean 'about'?",
        "own.yaml:4: Organization is not found by a reference 'partofff'; did you mean 'partof'?",
        "own.yaml:6: an event without 'when' hides those behind it",
        "own.yaml:9: there is no segment PIX to write; did you mean 'PID'?",
        _WHICH,
    )


def test_what_a_destination_asks_for_must_exist(tmp_path: Path) -> None:
    text = "destination: ward\nmessages:\n  ADT: {events: [A99]}\n  ADTT: {}\n"
    overlay = "emit: ADT\nfor: wards\nremove: [PV9]\n"
    assert faults(tmp_path, ward=text, overlay=overlay) == (
        "ward.yaml:3: ADT never sends A99",
        "ward.yaml:4: there is no emit map 'ADTT'; did you mean 'ADT'?",
        "overlay.yaml:2: there is no such destination; did you mean 'ward'?",
    )


def test_the_inbound_loader_leaves_these_files_alone(tmp_path: Path) -> None:
    (tmp_path / "ward.yaml").write_text(WARD)
    assert "ward" not in load_maps([tmp_path]).feeds


def test_the_examples_of_the_page_have_no_faults(tmp_path: Path) -> None:
    examples = [
        textwrap.dedent(found) for found in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    ]
    files = {f"example{n}": text for n, text in enumerate(examples)}
    outlets = loaded(tmp_path, **files)
    assert list(outlets) == ["ward"]
    assert len(examples) == 3


def test_the_page_names_every_key_rule_map_and_event() -> None:
    events = {rule.send for map_ in load_outbound([], TABLES).maps.values() for rule in map_.events}
    for name in (*KEYS, *FUNCTIONS, *load_outbound([], TABLES).maps):
        assert f"`{name}`" in PAGE, name
    for event in events - {"nothing"}:
        assert event in PAGE, event
