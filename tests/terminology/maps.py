"""ConceptMaps for tests."""

from typing import Any

LOCAL = "http://h.test/local"
LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
DEPARTMENT = "http://h.test/department"


def target(code: str | None, equivalence: str = "equivalent", **more: Any) -> dict[str, Any]:
    own = {} if code is None else {"code": code}
    return {**own, "equivalence": equivalence, **more}


def element(code: str, *targets: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"code": code, **({"target": list(targets)} if targets else {}), **more}


def group(
    *elements: dict[str, Any], source: str = LOCAL, target: str = LOINC, **more: Any
) -> dict[str, Any]:
    return {"source": source, "target": target, "element": list(elements), **more}


def concept_map(name: str, *groups: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "resourceType": "ConceptMap",
        "id": name,
        "url": f"http://h.test/map/{name}",
        "status": "active",
        "group": list(groups),
        **more,
    }
