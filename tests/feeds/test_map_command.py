"""``tellonce map``: what an analyst sees while writing a map."""

from pathlib import Path

from typer.testing import CliRunner, Result

from server.commands.map import map_app

MESSAGE = (
    b"MSH|^~\\&|A|B|C|D|2026||ADT^A08|1|P|2.5\r"
    b"PID|1||M1^^^H||Doe^Jane||1985|F|||1 Elm^^Town^^^^M||||||||||||||||||||||20260101"
)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(map_app, [str(one) for one in arguments])


def message(folder: Path) -> Path:
    file = folder / "message.hl7"
    file.write_bytes(MESSAGE)
    return file


def test_check_counts_what_is_right() -> None:
    made = run("check")
    assert made.exit_code == 0
    assert made.output.startswith("96 message types, ")


def test_check_tells_every_fault_with_file_and_line_and_what_was_meant(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        "extends: base/ADT\nset:\n  Patient.gendr: PID-8\n  Patint.name: PID-5\nremoove: []\n"
    )
    made = run("check", tmp_path)
    assert made.exit_code == 1
    name = tmp_path.name
    assert made.output.splitlines() == [
        f"{name}/mine.yaml:3: Patient has no element 'gendr'; did you mean 'gender'?",
        f"{name}/mine.yaml:4: the map makes no Patint; did you mean 'Patient'?",
        f"{name}/mine.yaml:5: a map has no key 'remoove'; did you mean 'remove'?",
        "tellonce: 3 faults in the maps",
    ]


def test_explain_tells_of_every_value_where_it_goes_or_why_not(tmp_path: Path) -> None:
    made = run("explain", message(tmp_path)).output.splitlines()
    assert made[0].startswith("ADT^A08 by base/ADT, version ")
    assert "Patient.name[0].family <- PID-5.1 copy 'Doe'" in made
    assert "Patient.address[0].type <- PID-11.7 table AddressType 'postal'" in made
    assert "- <- PID-33 not mapped: the message and its event are dated already '20260101'" in made


def test_explain_names_the_authorities_that_are_still_to_be_mapped(tmp_path: Path) -> None:
    made = run("explain", message(tmp_path)).output.splitlines()
    assert made[-1] == "not in authorities of the feed: urn:tellonce:authority:default:H"
    site = tmp_path / "site"
    site.mkdir()
    (site / "ward.yaml").write_text("feed: ward\nauthorities: {H: https://h.example/mrn}\n")
    assert "not in authorities" not in run("explain", message(tmp_path), "--maps", site).output


def test_explain_can_be_asked_about_one_field(tmp_path: Path) -> None:
    made = run("explain", message(tmp_path), "--only", "PID-8").output.splitlines()
    assert made[1:] == ["Patient.gender <- PID-8 table AdministrativeSex 'female'"]


def test_a_file_that_is_no_message_is_told_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "wrong.hl7"
    file.write_text("hello")
    made = run("explain", file)
    assert made.exit_code == 1
    assert made.output.strip() == f"tellonce: {file}: there is no MSH segment"


def test_a_new_feed_can_be_checked_tested_and_compared_at_once(tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert run("new-feed", "main-adt", "--into", site).exit_code == 0
    assert "; feeds: main-adt" in run("check", site).output
    case = site / "cases" / "update"
    case.mkdir()
    (case / "in.hl7").write_bytes(MESSAGE)
    assert run("test", site, "--record").output.startswith("update: recorded, read it")
    assert run("test", site).output.strip() == "1 cases are as expected"
    assert (case / "expect.yaml").read_text().startswith("feed: main-adt\n")
    assert run("diff", site).output.splitlines() == [
        "feed main-adt: not described before",
        "  default_authority: '' -> 'urn:example:mrn'",
        "  mode: 'live' -> 'backload'",
    ]
    assert run("diff", site, "--against", site).output.strip() == "no difference"


def test_the_only_feed_of_the_maps_is_meant_when_nobody_names_one(tmp_path: Path) -> None:
    site = tmp_path / "site"
    run("new-feed", "ward", "--into", site)
    (site / "ward-ADT.yaml").write_text(
        "extends: base/ADT\nfeed: [ward]\nset: {Patient.gender: {const: other}}\n"
    )
    made = run("explain", message(tmp_path), "--maps", site).output
    assert made.startswith("ADT^A08 of feed ward by site/ward-ADT, version ")
    made = run("diff", site, "--message", message(tmp_path)).output
    assert "resources.Patient.values.gender: 'female' -> 'other'" in made


def test_a_map_for_a_feed_that_no_file_describes_is_noted(tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text("feed: laboratory\n")
    (tmp_path / "mine.yaml").write_text("extends: base/ORU\nfeed: [laboratry]\n")
    made = run("check", tmp_path)
    assert made.exit_code == 0
    assert made.output.splitlines()[1] == (
        f"note: {tmp_path.name}/mine is for feed 'laboratry', which no file describes;"
        " did you mean 'laboratory'?"
    )


def test_diff_shows_changed_tables_and_settings(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for folder, zone, code in ((old, "Europe/Berlin", "male"), (new, "Europe/Rome", "female")):
        folder.mkdir()
        (folder / "lab.yaml").write_text(f"feed: lab\ntimezone: {zone}\n")
        (folder / "AdministrativeSex.yaml").write_text(f"codes: {{W: {code}}}\n")
    made = run("diff", new, "--against", old).output.splitlines()
    assert made == [
        "table AdministrativeSex",
        "  codes.W: 'male' -> 'female'",
        "feed lab",
        "  timezone: 'Europe/Berlin' -> 'Europe/Rome'",
    ]


def test_a_new_feed_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "lab.yaml").write_text("feed: lab\n")
    made = run("new-feed", "lab", "--into", tmp_path, "--base", "base/ORU")
    assert f"{tmp_path / 'lab.yaml'} is there already" in made.output
    assert (tmp_path / "lab.yaml").read_text() == "feed: lab\n"
    assert (tmp_path / "lab-ORU.yaml").read_text().startswith("# What is different for this feed.")


def test_a_case_that_is_not_as_expected_fails_with_its_differences(tmp_path: Path) -> None:
    case = tmp_path / "cases" / "update"
    case.mkdir(parents=True)
    (case / "in.hl7").write_bytes(MESSAGE)
    run("test", tmp_path, "--record")
    (tmp_path / "mine.yaml").write_text(
        "extends: base/ADT\nset: {Patient.gender: {const: other}}\n"
    )
    made = run("test", tmp_path)
    assert made.exit_code == 1
    assert made.output.splitlines() == [
        "update: resources.Patient.values.gender: 'female' -> 'other'",
        "tellonce: 1 of 1 cases are not as expected",
    ]


def test_diff_compares_a_map_for_a_new_message_with_what_it_extends(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "mine.yaml").write_text(
        "extends: base/ADT\non: [ADT^Z60]\nset: {Patient.gender: {const: other}}\n"
    )
    rules = run("diff", site).output.splitlines()
    assert rules[0] == "site/mine (every feed, ADT^Z60; new, extends base/ADT)"
    assert "  Patient@PID.set.gender.const: nothing -> 'other'" in rules
    assert not any("RelatedPerson" in line for line in rules)


def test_diff_shows_what_an_overlay_changes_in_rules_and_in_a_message(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "mine.yaml").write_text(
        "extends: base/ADT\nfeed: [ward]\nset: {Patient.gender: {const: other}}\n"
    )
    rules = run("diff", site).output.splitlines()
    assert rules[0] == "site/mine (ward, ADT^A01; was base/ADT)"
    assert "  Patient@PID.set.gender.const: nothing -> 'other'" in rules
    made = run("diff", site, "--message", message(tmp_path), "--feed", "ward").output.strip()
    assert made == "resources.Patient.values.gender: 'female' -> 'other'"
