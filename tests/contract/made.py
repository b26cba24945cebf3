"""Writes, clocks and callers for the tests of stores."""

from typing import Any

from server.access.context import AccessContext, Permit
from server.interactions.prepare import to_write
from server.search import extract
from server.search.rows import IndexRows
from server.store.port import Version, Write

START = 1_767_323_045_678_000  # 2026-01-02T03:04:05.678Z


class Clock:
    """A clock that stands still until it is told otherwise."""

    def __init__(self, at: int = START) -> None:
        self.at = at

    def __call__(self) -> int:
        return self.at


def index(resource: dict[str, Any]) -> tuple[IndexRows, tuple[str, ...]]:
    return extract.index_rows(resource), extract.compartments(resource)


def put(resource: dict[str, Any], **more: Any) -> Write:
    return to_write(resource, base_url="", **{"method": "PUT", **more})


def patient(id_: str, **more: Any) -> Write:
    conditions = {k: more.pop(k) for k in ("if_version", "must_be_new") if k in more}
    return put({"resourceType": "Patient", "id": id_, **more}, **conditions)


def observation(id_: str, subject: str = "Patient/a", **more: Any) -> Write:
    coding = {"system": "http://loinc.org", "code": more.pop("code", "8867-4")}
    return put(
        {
            "resourceType": "Observation",
            "id": id_,
            "status": "final",
            "code": {"coding": [coding]},
            "subject": {"reference": subject},
            **more,
        }
    )


def deletion(type_: str, id_: str, *, if_version: int | None = None) -> Write:
    return Write(type_, id_, None, None, method="DELETE", if_version=if_version)


def within(*references: str) -> AccessContext:
    """Return a caller who may do everything, inside these compartments."""
    permits = tuple(Permit("*", compartment=reference) for reference in references)
    return AccessContext("user/1", "app", permits)


def ids(versions: "list[Version] | tuple[Version, ...]") -> list[str]:
    return [version.id for version in versions]
