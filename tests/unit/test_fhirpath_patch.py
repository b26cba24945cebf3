"""FHIRPath Patch: what each operation does to a resource, and what it refuses."""

from typing import Any

import pytest

from server.fhir.errors import InvalidRequest, InvalidResource, TooCostly
from server.interactions.fhirpath_patch import apply
from server.validation import validate

EXTENSION = {"url": "http://e", "valueCode": "unknown"}


def parts(**given: Any) -> list[dict[str, Any]]:
    """Return parts: a text is a string, a number an integer, a list inner parts."""
    made = []
    for name, value in given.items():
        if isinstance(value, dict):
            made.append({"name": name, **value})
        elif isinstance(value, list):
            made.append({"name": name, "part": value})
        else:
            kind = "valueInteger" if isinstance(value, int) else "valueString"
            made.append({"name": name, kind: value})
    return made


def operation(type_: str, path: str, **given: Any) -> dict[str, Any]:
    return {
        "name": "operation",
        "part": [
            {"name": "type", "valueCode": type_},
            {"name": "path", "valueString": path},
            *parts(**given),
        ],
    }


def patched(resource: dict[str, Any], *operations: dict[str, Any]) -> dict[str, Any]:
    patch = {"resourceType": "Parameters", "parameter": list(operations)}
    assert validate(patch) == []
    return apply({"resourceType": "Patient", **resource}, patch)


def named(*given: Any, **more: Any) -> dict[str, Any]:
    return {"resourceType": "Patient", "name": [{"given": list(given), **more}]}


@pytest.mark.parametrize(
    ("before", "change", "after"),
    [
        (
            {},
            operation("add", "Patient", name="deceased", value={"valueBoolean": True}),
            {"deceasedBoolean": True},
        ),
        (
            {},
            operation("add", "Patient", name="deceasedBoolean", value={"valueBoolean": True}),
            {"deceasedBoolean": True},
        ),
        (
            {},
            operation("add", "Patient", name="contact", value=parts(
                gender={"valueCode": "male"},
                telecom={"valueContactPoint": {"value": "1"}},
                name=parts(family="F", given="G"),
            )),
            {"contact": [{"gender": "male", "telecom": [{"value": "1"}],
                          "name": {"family": "F", "given": ["G"]}}]},
        ),
        (
            {},
            operation("add", "Patient", name="contact", value=[
                {"name": "telecom", "valueContactPoint": {"value": "1"}},
                {"name": "telecom", "valueContactPoint": {"value": "2"}},
            ]),
            {"contact": [{"telecom": [{"value": "1"}, {"value": "2"}]}]},
        ),
        (
            {"birthDate": "1920"},
            operation("add", "Patient.birthDate", name="extension",
                      value=parts(url="http://e", value={"valueCode": "unknown"})),
            {"birthDate": "1920", "_birthDate": {"extension": [EXTENSION]}},
        ),
        (
            {"birthDate": "1920", "_birthDate": {"extension": [EXTENSION]}},
            operation("delete", "Patient.birthDate.extension[0]"),
            {"birthDate": "1920"},
        ),
        (
            {"_birthDate": {"extension": [EXTENSION]}},
            operation("delete", "Patient.birthDate.extension.where(url = 'http://e')"),
            {},
        ),
        (
            {"birthDate": "1920", "_birthDate": {"extension": [EXTENSION]}},
            operation("replace", "Patient.birthDate", value={"valueDate": "1930"}),
            {"birthDate": "1930"},
        ),
        (
            {"birthDate": "1920"},
            operation("replace", "Patient.birthDate",
                      value={"_valueDate": {"extension": [EXTENSION]}}),
            {"_birthDate": {"extension": [EXTENSION]}},
        ),
        (
            {"deceasedBoolean": True},
            operation("replace", "Patient.deceased", value={"valueDateTime": "2020"}),
            {"deceasedDateTime": "2020"},
        ),
        (
            {"deceasedBoolean": True},
            operation("replace", "Patient.deceased", value={"valueBoolean": False}),
            {"deceasedBoolean": False},
        ),
        (
            {"gender": "male"},
            operation("delete", "Patient.birthDate"),
            {"gender": "male"},
        ),
        (
            {"contact": [{"name": {"period": {"end": "2020"}}}]},
            operation("delete", "Patient.contact.name.period.end"),
            {},
        ),
        (
            {"contained": [{"resourceType": "Organization", "id": "o", "name": "O"}]},
            operation("replace", "Patient.contained[0].name", value={"valueString": "P"}),
            {"contained": [{"resourceType": "Organization", "id": "o", "name": "P"}]},
        ),
        (
            {},
            operation("add", "Patient", name="contained",
                      value={"resource": {"resourceType": "Organization", "id": "o"}}),
            {"contained": [{"resourceType": "Organization", "id": "o"}]},
        ),
        (
            {"link": [{"other": {"reference": "Patient/1"}, "type": "seealso"}]},
            operation("replace", "Patient.link[0].other",
                      value={"valueReference": {"reference": "Patient/2"}}),
            {"link": [{"other": {"reference": "Patient/2"}, "type": "seealso"}]},
        ),
        (
            {"telecom": [{"use": "home"}, {"use": "work"}]},
            operation("delete", "Patient.telecom.where(use = 'work')"),
            {"telecom": [{"use": "home"}]},
        ),
    ],
)  # fmt: skip
def test_what_an_operation_does(
    before: dict[str, Any], change: dict[str, Any], after: dict[str, Any]
) -> None:
    assert patched(before, change) == {"resourceType": "Patient", **after}


@pytest.mark.parametrize(
    ("change", "given", "extras"),
    [
        (operation("delete", "Patient.name.given[0]"), [None, "c"], [{"id": "b"}, None]),
        (operation("delete", "Patient.name.given[1]"), ["a", "c"], None),
        (operation("add", "Patient.name", name="given", value={"valueString": "d"}),
         ["a", None, "c", "d"], [None, {"id": "b"}, None, None]),
        (operation("insert", "Patient.name.given", index=0, value={"valueString": "d"}),
         ["d", "a", None, "c"], [None, None, {"id": "b"}, None]),
        (operation("insert", "Patient.name.given", index=3,
                   value={"valueString": "d", "_valueString": {"id": "d"}}),
         ["a", None, "c", "d"], [None, {"id": "b"}, None, {"id": "d"}]),
        (operation("move", "Patient.name.given", source=1, destination=2),
         ["a", "c", None], [None, None, {"id": "b"}]),
        (operation("replace", "Patient.name.given[1]", value={"valueString": "d"}),
         ["a", "d", "c"], None),
    ],
)  # fmt: skip
def test_values_and_their_extensions_stay_side_by_side(
    change: dict[str, Any], given: list[Any], extras: list[Any] | None
) -> None:
    found = patched(named("a", None, "c", _given=[None, {"id": "b"}, None]), change)

    assert found == named(*given, **({"_given": extras} if extras else {}))
    assert validate(found) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (operation("add", "Patient.contact", name="gender", value={"valueCode": "male"}),
         "nothing is there to add to"),
        (operation("add", "Patient", name="gender", value={"valueCode": "male"}),
         "gender is there already"),
        (operation("add", "Patient", name="deceased", value={"valueDateTime": "2020"}),
         "deceasedBoolean is there already"),
        (operation("add", "Patient", name="deceased", value={"valueString": "2020"}),
         "deceased cannot be a string"),
        (operation("add", "Patient", name="deceased", value=parts(x="y")),
         "deceased cannot be built of parts"),
        (operation("add", "Patient", name="hair", value={"valueString": "red"}),
         "Patient has no element 'hair'"),
        (operation("add", "Patient", name="resourceType", value={"valueString": "red"}),
         "no element 'resourceType'"),
        (operation("add", "Patient", name="_gender", value={"valueString": "red"}),
         "no element '_gender'"),
        (operation("add", "Patient", name="photo", value={"valueIdentifier": {"value": "1"}}),
         "photo is a Attachment, not a Identifier"),
        (operation("add", "Patient", name="birthDate", value={"valuePeriod": {"start": "2020"}}),
         "birthDate is a date, not a Period"),
        (operation("add", "Patient", name="contact", value={"valueHumanName": {"text": "x"}}),
         "build it of parts"),
        (operation("add", "Patient", name="contact", value=parts(gender="x", gender2="x")),
         "no element 'gender2'"),
        (operation("add", "Patient", name="contact",
                   value=[*parts(gender="x"), *parts(gender="y")]), "gender is there already"),
        (operation("add", "Patient", name="birthDate", value=parts(x="y")), "it needs a value"),
        (operation("add", "Patient", name="contained", value={"valueString": "x"}),
         "a resource is needed"),
        (operation("add", "Patient.name", name="given", value={"valueString": "x"}),
         "leads to 2 elements"),
        (operation("replace", "Patient", value={"valueString": "x"}), "the resource itself"),
        (operation("replace", "Patient.birthDate", value={"valueDate": "2020"}),
         "nothing is there to replace"),
        (operation("replace", "Patient.name.given.first() & 'x'", value={"valueString": "x"}),
         "not in the resource"),
        (operation("delete", "Patient"), "the resource itself"),
        (operation("delete", "Patient.name"), "leads to 2 elements"),
        (operation("delete", "Patient.name.given.count()"), "not in the resource"),
        (operation("insert", "Patient.telecom", index=0,
                   value={"valueContactPoint": {"value": "1"}}), "no list is there"),
        (operation("insert", "Patient.name", index=3, value={"valueHumanName": {"text": "x"}}),
         "no place 3"),
        (operation("insert", "Patient.name", index=-1, value={"valueHumanName": {"text": "x"}}),
         "no place -1"),
        (operation("insert", "Patient.name[0]", index=0, value={"valueHumanName": {"text": "x"}}),
         "one whole list"),
        (operation("insert", "Patient.name.given", index=0, value={"valueString": "x"}),
         "one whole list"),
        (operation("insert", "Patient.gender", index=0, value={"valueCode": "male"}),
         "one whole list"),
        (operation("move", "Patient.name", source=2, destination=0), "no place 2"),
        (operation("move", "Patient.name", source=0, destination=2), "no place 2"),
        (operation("move", "Patient.gender", source=0, destination=0), "one whole list"),
        (operation("delete", "Patient.name.single()"), "Patient.name.single()"),
    ],
)  # fmt: skip
def test_an_operation_that_does_not_apply_is_refused(change: dict[str, Any], words: str) -> None:
    resource = {
        "deceasedBoolean": True,
        "gender": "female",
        "name": [{"given": ["a"]}, {"given": ["b"]}],
    }
    with pytest.raises(InvalidResource) as caught:
        patched(resource, operation("delete", "Patient.photo"), change)

    assert words in caught.value.diagnostics
    assert caught.value.diagnostics.startswith(f"operation 1 ({change['part'][0]['valueCode']} ")
    assert caught.value.expression == ("Parameters.parameter[1]",)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "op"}, "is named 'operation', not 'op'"),
        ({"name": "operation"}, "its type is none of add, insert"),
        (operation("jump", "Patient"), "its type is none of add, insert"),
        (operation("add", "Patient", value={"valueString": "x"}), "add needs the part 'name'"),
        (operation("delete", "Patient.name", index=0), "delete has no part 'index'"),
        (operation("delete", "Patient.name", colour="red"), "delete has no part 'colour'"),
        (operation("move", "Patient.name", source="0", destination=1), "'source' is no number"),
        (operation("insert", "Patient.name", index={"valueBoolean": True},
                   value={"valueString": "x"}), "'index' is no number"),
        (operation("add", "Patient", name=7, value={"valueString": "x"}), "'name' is no text"),
        (operation("delete", "Patient.name["), "the path cannot be read"),
        (operation("delete", "Patient.nmae"), "Patient has no nmae (column 9)"),
        (operation("delete", "Patient.deceasedBoolean"), "is written deceased in FHIRPath"),
        (operation("delete", "Observation.value"), "asked of Patient, not Observation"),
        (operation("delete", ""), None),
        ({"name": "operation", "part": [
            {"name": "type", "valueCode": "delete"}, {"name": "path", "valueString": "Patient.id"},
            {"name": "path", "valueString": "Patient.name"}]}, "'path' is there twice"),
    ],
)  # fmt: skip
def test_what_is_no_patch_is_refused(change: dict[str, Any], words: str | None) -> None:
    patch = {"resourceType": "Parameters", "parameter": [change]}
    with pytest.raises(InvalidRequest) as caught:
        apply({"resourceType": "Patient"}, patch)

    assert words is None or words in caught.value.diagnostics
    assert caught.value.expression == ("Parameters.parameter[0]",)


def test_what_costs_too_much_is_refused() -> None:
    many = [operation("delete", "Patient.photo")] * 201
    with pytest.raises(TooCostly, match="200 is the limit"):
        patched({}, *many)

    long = [operation("delete", f"Patient.name.where(family = '{'a' * 40_000}')")] * 2
    with pytest.raises(TooCostly, match="65536 characters together"):
        patched({}, *long)

    names = [{"given": [str(n)] * 50} for n in range(200)]
    squares = operation(
        "delete", "Patient.name.given.where(%resource.name.given.where($this = 'x').exists())"
    )
    with pytest.raises(TooCostly, match="steps"):
        patched({"name": names}, squares)


def test_values_too_deep_for_their_place_are_refused() -> None:
    value = parts(url="u")
    for _ in range(32):
        value = parts(url="u", extension=value)
    change = operation("add", "Patient.contact.name", name="extension", value=value)

    with pytest.raises(InvalidResource, match="deeper than 64"):
        apply(
            {"resourceType": "Patient", "contact": [{"name": {"text": "x"}}]},
            {"resourceType": "Parameters", "parameter": [change]},
        )


def test_operations_see_what_those_before_them_did() -> None:
    found = patched(
        {},
        operation("add", "Patient", name="name", value={"valueHumanName": {"family": "A"}}),
        operation("add", "Patient.name", name="given", value={"valueString": "x"}),
        operation("insert", "Patient.name.given", index=0, value={"valueString": "w"}),
        operation("delete", "Patient.name.family"),
    )
    assert found == named("w", "x")
