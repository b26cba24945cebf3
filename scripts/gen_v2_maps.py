"""Make what the HL7 v2-to-FHIR guide 1.0.0 says, as data: its segments' facts and code tables.

    python scripts/gen_v2_maps.py            write mappings/guide.yaml and the tables named below
    python scripts/gen_v2_maps.py --check    only compare; exit code 1 when a file is stale
    python scripts/gen_v2_maps.py --draft SEGMENT RESOURCE     print a rule to begin with

``mappings/guide.yaml`` is what coverage is measured against.  The rules in ``mappings/base`` and
the other tables were reviewed by hand: ``--check`` tells where such a table lacks a row.
"""

import argparse
import csv
import io
import re
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
ARCHIVE = ROOT.parent / "shared" / "data" / "v2-to-fhir" / "v2-to-fhir-maps.tar.xz"
FACTS = ROOT / "mappings" / "guide.yaml"
TABLES = ROOT / "terminology" / "maps"

# Our table -> the guide's, for those that are taken as they are.
TAKEN = {
    "AdditivePreservative": "AdditivePreservative",
    "AdministrationMethod": "AdministrationMethod",
    "AllowSubstitution": "AllowSubstitution",
    "AppointmentReason": "AppointmentReasonCodes",
    "AppointmentType": "AppointmentTypeCodes",
    "BodySite": "BodySite",
    "BedStatus": "BedStatus",
    "ConfidentialityCode": "ConfidentialityCode",
    "DocumentConfidentiality": "DocumentConfidentialityStatus",
    "EventReason": "EventReason",
    "HospitalService": "HospitalService",
    "LivingWill": "LivingWillCode",
    "ModeOfArrival": "ModeOfArrivalCode",
    "NatureOfAbnormalTesting": "NatureOfAbnormalTesting",
    "Religion": "Religion",
    "RouteOfAdministration": "RouteOfAdministration",
    "SpecimenCollectionMethod": "SpecimenCollectionMethod",
    "SpecimenCondition": "SpecimenCondition",
    "SpecimenType": "SpecimenType",
}
_SEGMENT = re.compile(r"segments/HL7 Segment - FHIR R4_ (\w+)\[([^\]]+)\]")
_TABLE = re.compile(r"codesystems/HL7 Concept Map_ (.+?) - ")
_PLAIN = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]*")


class Row(NamedTuple):
    """One row of a segment map: where a field goes, and when."""

    field: str
    type: str
    condition: str
    target: str
    table: str
    constant: str


def main() -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--draft", nargs=2, metavar=("SEGMENT", "RESOURCE"))
    parser.add_argument("--archive", type=Path, default=ARCHIVE)
    asked = parser.parse_args()
    files = dict(_files(asked.archive))
    if asked.draft:
        print(_draft(files, *asked.draft))
        return 0
    made = {FACTS: _facts(files)}
    made |= {TABLES / f"{name}.yaml": _table(files, name) for name in TAKEN}
    stale = [path for path, text in made.items() if not path.exists() or path.read_text() != text]
    for path in stale:
        print(f"{'stale' if asked.check else 'wrote'} {path.relative_to(ROOT)}", file=sys.stderr)
        if not asked.check:
            path.write_text(made[path], "utf-8")
    return 1 if stale and asked.check else 0


def _files(archive: Path) -> Iterator[tuple[str, list[list[str]]]]:
    with tarfile.open(archive) as tar:
        for member in tar:
            if member.name.endswith(".csv"):
                text = tar.extractfile(member)
                assert text is not None
                rows = csv.reader(io.StringIO(text.read().decode("utf-8-sig")))
                yield member.name, [[cell.strip() for cell in row] for row in rows]


# -- segments -------------------------------------------------------------------------------------


def _rows(segment: str, rows: list[list[str]]) -> Iterator[Row]:
    head = next(n for n, row in enumerate(rows) if "FHIR Attribute" in row)
    names = [" ".join(name.split()) for name in rows[head]]
    for n, name in enumerate(("Sort Order", "Identifier", "Name", "Data Type")):
        names[n] = names[n] or name  # AL1 leaves them out
    vocabulary = next((n for n in names if n.startswith("Vocabulary")), "")

    def cell(row: list[str], *wanted: str) -> str:
        at = next((names.index(name) for name in wanted if name in names), None)
        return " ".join(row[at].split()) if at is not None and at < len(row) else ""

    for row in rows[head + 1 :]:
        target = cell(row, "FHIR Attribute")
        field = re.fullmatch(rf"{segment}-(\d+)", cell(row, "Identifier"))
        order = re.fullmatch(r"([1-9]\d*)", cell(row, "Sort Order") if cell(row, "Name") else "")
        field = field or order
        if target and field:
            yield Row(
                f"{segment}-{int(field[1])}",
                cell(row, "Data Type"),
                cell(row, "Computable ANTLR", "Condition (IF True, Narrative)"),
                target,
                cell(row, vocabulary) if vocabulary else "",
                cell(row, "Assignment"),
            )


def _facts(files: dict[str, list[list[str]]]) -> str:
    """Every field that the guide sends somewhere, with the elements it names."""
    facts: dict[str, dict[str, None]] = {}
    for name, rows in files.items():
        if found := _SEGMENT.search(name):
            segment, resource = found[1], found[2].partition("-")[0]
            for row in _rows(segment, rows):
                facts.setdefault(row.field, {})[f"{resource}.{_element(row.target)}"] = None
    lines = [
        "# Fields that the HL7 v2-to-FHIR guide 1.0.0 maps, and the elements it names for them.",
        "# Made by scripts/gen_v2_maps.py; coverage is measured against it.",
    ]
    for field in sorted(facts, key=_order):
        targets = ", ".join(sorted(facts[field]))
        lines.append(f"{field}: [{targets}]")
    return "\n".join(lines) + "\n"


def _element(target: str) -> str:
    """Return the element of the resource: ``name[1].given`` -> ``name``; ``$this`` stays."""
    return re.split(r"[.\[(= ]", target)[0] or target


def _order(field: str) -> tuple[str, int]:
    segment, _, number = field.partition("-")
    return segment, int(number)


def _draft(files: dict[str, list[list[str]]], segment: str, resource: str) -> str:
    """A rule with every row of the guide, to be reviewed."""
    lines = [f"  - make: {resource}", f"    from: {segment}", "    set:"]
    for name, rows in files.items():
        found = _SEGMENT.search(name)
        if found is None or (found[1], found[2]) != (segment, resource):
            continue
        for row in _rows(segment, rows):
            when = f", when: {row.condition}" if row.condition else ""
            value = f"const: {row.constant}" if row.constant else f"from: {row.field}"
            table = f", table: {row.table}" if row.table else ""
            lines.append(f"      {row.target}: {{{value}{table}{when}}}  # {row.type}")
    return "\n".join(lines)


# -- tables ---------------------------------------------------------------------------------------


def _table(files: dict[str, list[list[str]]], name: str) -> str:
    wanted = TAKEN[name]
    rows = next(
        rows
        for file, rows in files.items()
        if (found := _TABLE.search(file)) and found[1] == wanted
    )
    head = next(n for n, row in enumerate(rows) if row and row[0] == "Code")
    names = rows[head]
    codes = [n for n, cell in enumerate(names) if cell == "Code"]
    systems = [n for n, cell in enumerate(names) if cell == "Code System"]
    displays = [n for n, cell in enumerate(names) if cell == "Display"]
    targets = {
        row[0]: (row[codes[1]], row[systems[1]], row[displays[0]])
        for row in rows[head + 1 :]
        if row and row[0] and row[codes[1]]
    }
    number = next(row[systems[0]] for row in rows[head + 1 :] if row and row[0])[-4:]
    systems_of = [row[1] for row in targets.values()]
    system = max(sorted(set(systems_of)), key=systems_of.count)
    lines = [
        f"# HL7 table {number}.  HL7 v2-to-FHIR guide 1.0.0, concept map {wanted}.",
        "# Made by scripts/gen_v2_maps.py.",
        f"source: http://terminology.hl7.org/CodeSystem/v2-{number}",
        f"system: {system}",
        "codes:",
    ]
    for code, (target, of, display) in targets.items():
        row = f"code: {_quoted(target)}"
        if of != system:
            row += f", system: {_quoted(of)}"
        if display:
            row += f", display: {_quoted(display)}"
        lines.append(f"  {_quoted(code)}: {{{row}}}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    if _PLAIN.fullmatch(text) or text.startswith("http"):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


if __name__ == "__main__":
    sys.exit(main())
