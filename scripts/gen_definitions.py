"""Make the compact R4 tables in ``server/fhir/data`` from HL7's published definitions.

    python scripts/gen_definitions.py            write the tables
    python scripts/gen_definitions.py --check    fail when they are not what would be written

Facts only: paths, cardinalities, types, targets, bindings, invariants, search parameters,
compartments, codes and displays.  No definition, comment or description is kept, nor code lists
that belong to third parties.  The same input gives the same text; what is compared is that text,
as the compressed bytes depend on the version of the compressor.
"""

import argparse
import json
import sys
import tarfile
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import zstandard

ROOT = Path(__file__).parents[1]
SOURCE = ROOT.parent / "shared" / "data" / "r4" / "definitions.tar.xz"
TARGET = ROOT / "server" / "fhir" / "data"

CORE = "http://hl7.org/fhir/StructureDefinition/"
FHIR_TYPE = "http://hl7.org/fhir/StructureDefinition/structuredefinition-fhir-type"
HL7 = ("http://hl7.org/fhir/", "http://terminology.hl7.org/", "http://cds-hooks.hl7.org/")
# Systems whose lists value sets repeat, but which belong to somebody else.
THIRD_PARTY = (
    "http://snomed.info/sct",
    "http://loinc.org",
    "http://dicom.nema.org/resources/ontology/DCM",
    "urn:iso-astm:E1762-95:2013",
)
# HL7 tables that hold another body's text: NUBC (UB04), and what their copyright names.
NUBC_TABLES = ("v2-0043", "v2-0153", "v2-0350", "v2-0351", "v2-0456")
COPYRIGHTS = ("UB04", "Digital Imaging", "ASTM", "ISO Standard")

Resource = dict[str, Any]


class Definitions:
    """Everything in the archive, by resource type, sorted by URL."""

    def __init__(self, source: Path) -> None:
        self._all: dict[str, list[Resource]] = defaultdict(list)
        with tarfile.open(source) as archive:
            for member in archive:
                file = archive.extractfile(member) if member.isfile() else None
                if file is not None:
                    resource = json.loads(file.read())
                    self._all[resource["resourceType"]].append(resource)
        for found in self._all.values():
            found.sort(key=lambda resource: str(resource.get("url")))

    def of(self, type_: str) -> list[Resource]:
        """Return all resources of a type."""
        return self._all[type_]

    def types(self) -> list[Resource]:
        """Return the StructureDefinitions of types: neither profiles nor logical models."""
        return [
            resource
            for resource in self.of("StructureDefinition")
            if resource["kind"] != "logical" and resource.get("derivation") != "constraint"
        ]


# ---------------------------------------------------------------- structures.json


def structures(definitions: Definitions) -> Resource:
    """Return types, the children each type and backbone adds to its base, required codes."""
    types: Resource = {}
    children: Resource = {}
    wanted: set[str] = set()
    for resource in definitions.types():
        base = resource.get("baseDefinition", "").removeprefix(CORE)
        types[resource["type"]] = [resource["kind"], base, resource["abstract"]]
        children[resource["type"]] = [base, []]
        elements = resource["snapshot"]["element"]
        parents = {element["path"].rpartition(".")[0] for element in elements}
        for element in elements[1:]:
            if element["base"]["path"] != element["path"]:
                _assert_inherited(element)
                continue
            parent = element["path"].rpartition(".")[0]
            record = _child(element, inline=element["path"] in parents)
            children[parent][1].append(record)
            if element["path"] in parents:
                children[element["path"]] = [element["type"][0]["code"], []]
            if record[5]:
                wanted.add(record[5])
    return {
        "version": "4.0.1",
        "types": types,
        "children": children,
        "required": _required_codes(definitions, wanted),
    }


def _assert_inherited(element: Resource) -> None:
    """Nothing in R4 changes what it inherits, except xhtml, which has no extensions."""
    base = element["base"]
    same = (element["min"], element["max"]) == (base["min"], base["max"])
    if not same and not element["path"].startswith("xhtml."):
        raise ValueError(f"{element['path']} is not as inherited: the tables cannot say so")


def _child(element: Resource, *, inline: bool) -> list[Any]:
    """Return [name, min, max, types, reference targets, required binding, content, flags]."""
    name = element["path"].rpartition(".")[2]
    types = [_type(element["path"], each) for each in element.get("type", [])]
    targets = [
        profile.removeprefix(CORE)
        for each in element.get("type", [])
        if each["code"] == "Reference"
        for profile in each.get("targetProfile", [])
    ]
    content = element.get("contentReference", "").removeprefix("#")
    binding = element.get("binding", {})
    required = binding.get("valueSet", "") if binding.get("strength") == "required" else ""
    flags = (1 if element.get("isSummary") else 0) | (2 if element.get("isModifier") else 0)
    return [
        name,
        element["min"],
        -1 if element["max"] == "*" else int(element["max"]),
        " ".join(types),
        "" if targets == ["Resource"] else " ".join(sorted(targets)),
        required.partition("|")[0],
        element["path"] if inline else content,
        flags,
    ]


def _type(path: str, type_: Resource) -> str:
    """Return a type's FHIR name where R4 writes the FHIRPath type of its XML attribute."""
    if path == "Resource.id":
        return "id"
    for extension in type_.get("extension", []):
        if extension["url"] == FHIR_TYPE:
            return str(extension["valueUrl"])
    return str(type_["code"]).removeprefix("http://hl7.org/fhirpath/")


def _required_codes(definitions: Definitions, wanted: set[str]) -> Resource:
    """Return {value set: {system: [codes]}}; lists that are not HL7's are left out."""
    value_sets = {resource["url"]: resource for resource in definitions.of("ValueSet")}
    systems = {resource["url"]: resource for resource in definitions.of("CodeSystem")}
    made: Resource = {}
    for url in sorted(wanted & value_sets.keys()):
        compose = value_sets[url]["compose"]
        if "exclude" in compose or any("filter" in each for each in compose["include"]):
            raise ValueError(f"{url} needs a terminology engine to expand")
        codes: dict[str, list[str]] = defaultdict(list)
        for include in compose["include"]:
            listed = include.get("concept")
            if listed is None and include["system"] in systems:
                listed = [concept for concept, _ in _flat(systems[include["system"]])]
            codes[include["system"]] += [concept["code"] for concept in listed or ()]
        if all(codes.values()):
            made[url] = codes
    return made


# ---------------------------------------------------------------- search.json


def search(definitions: Definitions) -> Resource:
    """Return the search parameters and, by compartment, the parameters that put one in it."""
    return {
        "parameters": [_parameter(each) for each in definitions.of("SearchParameter")],
        "compartments": {
            each["code"]: {
                row["code"]: row["param"] for row in each["resource"] if row.get("param")
            }
            for each in definitions.of("CompartmentDefinition")
            if each["id"] != "example"
        },
    }


def _parameter(resource: Resource) -> list[Any]:
    """Return [code, url, type, base, expression, target, components]."""
    return [
        resource["code"],
        resource["url"],
        resource["type"],
        " ".join(resource.get("base", [])),
        resource.get("expression", ""),
        " ".join(resource.get("target", [])),
        [[each["definition"], each["expression"]] for each in resource.get("component", [])],
    ]


# ---------------------------------------------------------------- rules.json


def rules(definitions: Definitions) -> Resource:
    """Return by path the invariants, and the bindings that are not required."""
    invariants: dict[str, list[list[str]]] = {}
    bindings: dict[str, list[str]] = {}
    for resource in definitions.types():
        for element in resource["snapshot"]["element"]:
            path = element["path"]
            if element.get("base", {}).get("path", path) != path:
                continue
            own = [
                [each["key"], each["severity"], each["expression"]]
                for each in element.get("constraint", [])
                if each.get("source", CORE + resource["type"]) == CORE + resource["type"]
            ]
            if own:
                invariants[path] = own
            binding = element.get("binding", {})
            if binding.get("valueSet") and binding["strength"] != "required":
                bindings[path] = [binding["strength"], binding["valueSet"].partition("|")[0]]
    return {"invariants": invariants, "bindings": bindings}


# ---------------------------------------------------------------- codes.json


def codes(definitions: Definitions) -> Resource:
    """Return HL7's own code systems, and what value sets are composed of."""
    return {
        "systems": {each["url"]: _code_system(each) for each in definitions.of("CodeSystem")},
        "value_sets": {each["url"]: _value_set(each) for each in definitions.of("ValueSet")},
    }


def _code_system(resource: Resource) -> Resource:
    made: Resource = {
        key: resource[key]
        for key in ("version", "name", "content", "caseSensitive", "hierarchyMeaning", "valueSet")
        if key in resource
    }
    if _is_third_party(resource):
        return {**made, "content": "not-present"}
    concepts = list(_flat(resource))
    number = {concept["code"]: index for index, (concept, _) in enumerate(concepts)}
    edges = [
        [number[code], index] for index, (concept, _) in enumerate(concepts)
        for code in _properties(concept, "partOf") if code in number
    ] + [
        [index, number[code]] for index, (concept, _) in enumerate(concepts)
        for code in _properties(concept, "child") if code in number
    ]  # fmt: skip
    columns = {
        "codes": [concept["code"] for concept, _ in concepts],
        "displays": [_display(concept) for concept, _ in concepts],
        # The index of the concept above, -1 at the top; left out where all are at the top.
        "parents": [parent for _, parent in concepts] if any(p >= 0 for _, p in concepts) else [],
        "edges": edges,
        "abstract": [i for i, (concept, _) in enumerate(concepts) if _is_abstract(concept)],
        "inactive": [i for i, (concept, _) in enumerate(concepts) if _is_inactive(concept)],
    }
    return {**made, **{name: column for name, column in columns.items() if column}}


def _is_third_party(resource: Resource) -> bool:
    notice = resource.get("copyright", "")
    return (
        not resource["url"].startswith(HL7)
        or resource["id"] in NUBC_TABLES
        or any(body in notice for body in COPYRIGHTS)
    )


def _flat(resource: Resource) -> Iterator[tuple[Resource, int]]:
    """Yield each concept and the number of the one above it, parents first."""
    number = 0
    todo = [(concept, -1) for concept in reversed(resource.get("concept", []))]
    while todo:
        concept, parent = todo.pop()
        yield concept, parent
        todo += [(child, number) for child in reversed(concept.get("concept", []))]
        number += 1


def _properties(concept: Resource, code: str) -> Iterator[Any]:
    for each in concept.get("property", []):
        if each["code"] == code:
            yield next(value for name, value in each.items() if name.startswith("value"))


def _display(concept: Resource) -> str:
    """Return the display, or nothing where it only repeats the code."""
    display = str(concept.get("display", ""))
    return "" if display == concept["code"] else display


def _is_abstract(concept: Resource) -> bool:
    return any(str(value) == "True" for name in ("notSelectable", "abstract")
               for value in _properties(concept, name))  # fmt: skip


def _is_inactive(concept: Resource) -> bool:
    return any(value in ("retired", "inactive") for value in _properties(concept, "status"))


def _value_set(resource: Resource) -> Resource:
    compose = resource.get("compose", {})
    made: Resource = {
        key: resource[key] for key in ("version", "name", "immutable") if key in resource
    }
    for part in ("include", "exclude"):
        if part in compose:
            made[part] = [_include(each) for each in compose[part]]
    return made


def _include(include: Resource) -> Resource:
    made: Resource = {
        key: include[key] for key in ("system", "version", "valueSet") if key in include
    }
    if "filter" in include:
        made["filter"] = [[f["property"], f["op"], f["value"]] for f in include["filter"]]
    listed = include.get("concept", [])
    if listed and include["system"] in THIRD_PARTY:
        made["withheld"] = len(listed)
    elif listed:
        made["codes"] = [concept["code"] for concept in listed]
        displays = [_display(concept) for concept in listed]
        if any(displays):
            made["displays"] = displays
    return made


# ---------------------------------------------------------------- files

TABLES = {"structures": structures, "search": search, "rules": rules, "codes": codes}


def main() -> int:
    """Write or check the tables; return the exit status."""
    parser = argparse.ArgumentParser(description="Make the compact R4 tables.")
    parser.add_argument("--check", action="store_true", help="compare instead of writing")
    parser.add_argument("--source", type=Path, default=SOURCE, help="definitions.tar.xz")
    arguments = parser.parse_args()
    if not arguments.source.is_file():
        print(
            f"{arguments.source} is not there: HL7's R4 definitions, which are not part of this "
            "repository; name the archive with --source",
            file=sys.stderr,
        )
        return 1
    definitions = Definitions(arguments.source)
    stale = 0
    for name, make in TABLES.items():
        text = json.dumps(
            make(definitions), ensure_ascii=False, separators=(",", ":"), sort_keys=True
        ).encode()
        path = TARGET / f"{name}.json.zst"
        if path.exists() and zstandard.decompress(path.read_bytes()) == text:
            print(f"{path.name}: up to date, {path.stat().st_size:,} of {len(text):,} bytes")
        elif arguments.check:
            print(f"{path.name} is not what its source gives: run {Path(__file__).name}")
            stale += 1
        else:
            TARGET.mkdir(exist_ok=True)
            path.write_bytes(zstandard.compress(text, 19))
            print(f"{path.name}: written, {path.stat().st_size:,} of {len(text):,} bytes")
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
