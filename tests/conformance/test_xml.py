"""The official XML of the FHIRPath tests, against the validator and against its JSON twins."""

import random
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from itertools import zip_longest
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import canonicalize
from xml.sax.saxutils import quoteattr

from server.fhir import definitions
from server.fhir import json as fhir_json
from server.fhir.errors import InvalidXml
from server.fhir.xml import loads
from server.validation import validate

# Its period has an end that the published example has not.
CHANGED = {"patient-example-period.xml"}


def test_every_official_xml_is_a_valid_resource(shared_data: Path) -> None:
    made = official(shared_data)

    assert {name: validate(resource) for name, resource in made.items()} == {
        name: [] for name in made
    }
    assert len(made) == 7


def test_the_json_twins_are_equal(shared_data: Path) -> None:
    twins = examples(shared_data)
    compared = 0
    for name, resource in official(shared_data).items():
        twin = twins.get((resource["resourceType"], resource["id"]))
        if twin is not None and name not in CHANGED:
            assert plain(resource) == plain(twin), name
            compared += 1
    assert compared >= 2


def test_every_official_example_comes_back_from_xml_as_it_was(shared_data: Path) -> None:
    found = examples(shared_data)

    changed = [key for key, each in found.items() if plain(loads(written(each))) != plain(each)]

    assert changed == []
    assert len(found) == 378


def test_no_damage_to_an_official_xml_gets_past_the_errors_of_a_client(shared_data: Path) -> None:
    draw = random.Random(4)
    for body in bodies(shared_data).values():
        for _ in range(200):
            at = draw.randrange(len(body))
            damage = draw.choice([b"", b"<", b"&#x0;", b"<a/>", b"\xc3", b"]]>", b"<!--", b'"'])
            with suppress(InvalidXml):
                loads(body[:at] + damage + body[at + draw.randrange(5) :])


def official(shared_data: Path) -> dict[str, Any]:
    return {name: loads(body) for name, body in bodies(shared_data).items()}


def bodies(shared_data: Path) -> dict[str, bytes]:
    with tarfile.open(shared_data / "fhirpath" / "fhirpath-tests.tar.xz") as archive:
        return {
            Path(member.name).name: file.read()
            for member in archive
            if "/input/" in member.name and member.name.endswith(".xml")
            if (file := archive.extractfile(member))
        }


def examples(shared_data: Path) -> dict[tuple[str, str], Any]:
    made = {}
    with tarfile.open(shared_data / "r4" / "examples-half.tar.xz") as archive:
        for member in archive:
            if file := archive.extractfile(member) if member.isfile() else None:
                resource = fhir_json.loads(file.read())
                made[resource["resourceType"], resource["id"]] = resource
    return made


def plain(value: Any) -> Any:
    """Return it with narratives that do not depend on how their characters were escaped."""
    if isinstance(value, list):
        return [plain(each) for each in value]
    if isinstance(value, dict):
        return {
            name: canonicalize(each) if name == "div" else plain(each)
            for name, each in value.items()
        }
    return value


def written(resource: dict[str, Any]) -> bytes:
    """Return the XML of a resource, by R4 xml.html; a second writer, for this test only."""
    return document(resource, ' xmlns="http://hl7.org/fhir"').encode()


def document(resource: dict[str, Any], declared: str = "") -> str:
    type_ = resource["resourceType"]
    inside = "".join(elements(resource, type_, frozenset({"resourceType"})))
    return f"<{type_}{declared}>{inside}</{type_}>"


def elements(value: dict[str, Any], content: str, attributes: frozenset[str]) -> Iterator[str]:
    for name, child in definitions.children(content).items():
        if name in attributes or (name not in value and f"_{name}" not in value):
            continue
        many = child.max != 1
        items = value.get(name, []) if many else [value.get(name)]
        extras = value.get(f"_{name}", []) if many else [value.get(f"_{name}")]
        for item, extra in zip_longest(items, extras):
            yield element(name, child, item, extra)


def element(name: str, child: definitions.Child, item: Any, extra: Any) -> str:
    if name == "div":
        return str(item)
    if child.types == ("Resource",):
        return f"<{name}>{document(item)}</{name}>"
    primitive = not isinstance(item, dict)
    held = (extra or {}) if primitive else item
    content = "Element" if primitive else child.content
    names = {"id"} | ({"url"} if content == "Extension" else set())
    marks = "".join(f" {n}={quoted(held[n])}" for n in sorted(names) if n in held)
    if primitive and item is not None:
        marks += f" value={quoted(item)}"
    return f"<{name}{marks}>{''.join(elements(held, content, frozenset(names)))}</{name}>"


def quoted(value: Any) -> str:
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return quoteattr(text, {"\n": "&#10;", "\r": "&#13;", "\t": "&#9;"})
