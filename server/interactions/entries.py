"""The entries of a batch or transaction, read and checked, before anything is looked up.

R4 http.html#transaction, bundle.html.  A fault names its entry: ``Bundle.entry[3].request.url``.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, unquote

from server.fhir import definitions
from server.fhir.errors import FhirError, InvalidRequest, InvalidResource, Issue
from server.fhir.locate import locate
from server.fhir.references import split_reference
from server.validation import validate

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")

_ETAG = re.compile(r'(?:W/)?"([0-9]{1,15})"', re.ASCII)
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_REST_URL = re.compile(r"(https?://.+)/([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})")
_ROOT = re.compile(r"^[A-Za-z]+")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry.

    ``path`` are the segments of ``request.url`` below the base; ``pairs`` its parameters;
    ``if_none_exist`` the parameters of a conditional create; ``full_url`` as sent.
    """

    index: int
    method: str
    path: tuple[str, ...]
    pairs: tuple[tuple[str, str], ...]
    resource: Any = None
    full_url: Any = None
    if_match: int | None = None
    if_none_exist: tuple[tuple[str, str], ...] | None = None
    if_none_match: str | None = None

    @property
    def type(self) -> str:
        """The resource type that the address names; writes always have one."""
        return self.path[0]

    @property
    def id(self) -> str | None:
        """The logical id that the address names."""
        return self.path[1] if len(self.path) > 1 else None

    def where(self, element: str = "") -> str:
        """Return the expression of an element of this entry."""
        return f"Bundle.entry[{self.index}]" + (f".{element}" if element else "")


def read_entry(base_url: str, index: int, sent: Any) -> Entry:
    """Return the entry, its address and headers read.

    Raises:
        InvalidRequest: it is no request, or contradicts itself.
        InvalidResource: something around the resource is no valid R4.
    """
    where = f"Bundle.entry[{index}]"
    request = sent.get("request") if isinstance(sent, dict) else None
    if not isinstance(request, dict):
        raise InvalidRequest("the entry has no request", expression=(f"{where}.request",))
    method, url = request.get("method"), request.get("url")
    if method not in METHODS:
        raise InvalidRequest(
            f"request.method is none of {', '.join(METHODS)}",
            expression=(f"{where}.request.method",),
        )
    if not isinstance(url, str):
        raise InvalidRequest("request.url is missing", expression=(f"{where}.request.url",))
    _check_shape(index, sent)
    path, pairs = split_url(base_url, url)
    none_exist = request.get("ifNoneExist")
    entry = Entry(
        index,
        method,
        path,
        pairs,
        sent.get("resource"),
        sent.get("fullUrl"),
        _version(request.get("ifMatch"), f"{where}.request.ifMatch"),
        tuple(parse_qsl(none_exist.lstrip("?"), keep_blank_values=True)) if none_exist else None,
        request.get("ifNoneMatch"),
    )
    if method not in ("GET", "HEAD"):
        _check_write(entry)
    return entry


def split_url(base_url: str, url: str) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """Return path segments and parameters of an address, absolute or relative to the base.

    >>> split_url("http://me/fhir", "http://me/fhir/Patient?name=a%20b")
    (('Patient',), (('name', 'a b'),))
    """
    relative = url.removeprefix(base_url) if url.startswith(f"{base_url}/") else url
    path, _, query = relative.partition("?")
    segments = tuple(unquote(part) for part in path.strip("/").split("/") if part)
    return segments, tuple(parse_qsl(query, keep_blank_values=True))


def full_url_parts(full_url: str) -> tuple[str, str, str] | None:
    """Return root, type and id of a full URL that is an address, else ``None``.

    >>> full_url_parts("http://other/fhir/Patient/1")
    ('http://other/fhir', 'Patient', '1')
    """
    found = _REST_URL.fullmatch(full_url)
    return (found[1], found[2], found[3]) if found else None


def check_full_urls(entries: Iterable[Entry]) -> list[FhirError]:
    """Return what is wrong with the full URLs: two alike, or another id than the resource's."""
    faults: list[FhirError] = []
    seen: dict[str, int] = {}
    for entry in entries:
        url = entry.full_url
        if url is None:
            continue
        where = (entry.where("fullUrl"),)
        if not isinstance(url, str):
            faults.append(InvalidRequest("fullUrl is not a text", expression=where))
            continue
        if url in seen:
            told = f"entry {seen[url]} has the same fullUrl"
            faults.append(InvalidRequest(told, expression=where))
        seen.setdefault(url, entry.index)
        parts = full_url_parts(url)
        own_id = entry.resource.get("id") if isinstance(entry.resource, dict) else None
        if parts and own_id is not None and parts[2] != own_id:
            told = f"fullUrl ends with another id than that of the resource, {own_id!r}"
            faults.append(InvalidRequest(told, expression=where))
    return faults


def placed(error: FhirError, entry: Entry, element: str = "") -> FhirError:
    """Return the error with its issues placed inside the Bundle.

    Expressions into a resource (``Patient.name``) move below ``element``; all others (a header, a
    parameter) become the entry itself.  Those of a patch's result stay, behind the place where the
    patch is, and so do those of a JSON Patch: it lies encoded in a Binary, where no path leads.
    """
    issues = [replace(issue, expression=_moved(issue, entry, element)) for issue in error.issues]
    again = type(error)(error.diagnostics, issues=issues, retry_after_s=error.retry_after_s)
    return again.with_traceback(error.__traceback__)


def raise_all(faults: list[FhirError], raw: bytes | None) -> None:
    """Raise the first fault with the issues of all of them, with lines when ``raw`` is there."""
    if not faults:
        return
    issues = [issue for fault in faults for issue in fault.issues]
    first = faults[0]
    raise type(first)(first.diagnostics, issues=with_lines(issues, raw)) from first


def with_lines(issues: list[Issue], raw: bytes | None) -> list[Issue]:
    """Return the issues with line and column in the bytes sent, where they say an element."""
    if raw is None:
        return issues
    wanted = [i.expression[0] for i in issues if i.expression and i.expression[0][:6] == "Bundle"]
    found = locate(raw.decode("utf-8"), wanted)
    made = []
    for issue in issues:
        place = found.get(issue.expression[0]) if issue.expression else None
        made.append(replace(issue, line=place[0], column=place[1]) if place else issue)
    return made


def _moved(issue: Issue, entry: Entry, element: str) -> tuple[str, ...]:
    first = issue.expression[0] if issue.expression else ""
    if first.startswith("Bundle.entry"):
        return issue.expression
    into_resource = first.partition(".")[0] in definitions.resource_types()
    if entry.method == "PATCH" and first.startswith("Parameters."):
        element = "resource"
    elif entry.method == "PATCH" and (into_resource or first.startswith("patch")):
        binary = entry.resource.get("resourceType") == "Binary"
        return (entry.where("resource.data" if binary else "resource"), *issue.expression)
    if into_resource:
        root = entry.where(element)
        return tuple(_ROOT.sub(root, text, count=1) for text in issue.expression)
    return (entry.where(),)


def _check_shape(index: int, sent: dict[str, Any]) -> None:
    """Raise unless the entry, without its resource, is valid R4."""
    alone = {name: value for name, value in sent.items() if name != "resource"}
    issues = validate({"resourceType": "Bundle", "type": "batch", "entry": [alone]})
    if issues:
        found = [
            replace(
                issue,
                expression=tuple(
                    text.replace("Bundle.entry[0]", f"Bundle.entry[{index}]", 1)
                    for text in issue.expression
                ),
            )
            for issue in issues
        ]
        raise InvalidResource(found[0].diagnostics, issues=found)


def _check_write(entry: Entry) -> None:
    url = (entry.where("request.url"),)
    if not entry.path or (entry.path[0] not in definitions.resource_types()):
        shown = entry.path[0] if entry.path else ""
        raise InvalidRequest(f"R4 has no resource type {shown[:80]!r}", expression=url)
    if len(entry.path) > 1 and entry.path[1].startswith("$"):
        return
    if len(entry.path) > (1 if entry.method == "POST" else 2):
        raise InvalidRequest(f"{entry.method} does not work on this address", expression=url)
    if entry.id is not None and not _ID.fullmatch(entry.id):
        raise InvalidRequest(f"{entry.id[:80]!r} is not an id", expression=url)
    if entry.method != "POST" and entry.id is None and not entry.pairs:
        raise InvalidRequest(
            f"{entry.method} needs an id or a condition in its address", expression=url
        )
    if entry.method == "DELETE" and entry.resource is not None:
        told = "a deletion carries no resource"
        raise InvalidRequest(told, expression=(entry.where("resource"),))
    if entry.method != "DELETE" and not isinstance(entry.resource, dict):
        told = f"{entry.method} needs a resource"
        raise InvalidRequest(told, expression=(entry.where("resource"),))
    _check_full_url(entry)


def _check_full_url(entry: Entry) -> None:
    """A PUT by id whose full URL names another resource contradicts itself."""
    if entry.method != "PUT" or entry.id is None or not isinstance(entry.full_url, str):
        return
    parts = full_url_parts(entry.full_url)
    if parts and parts[1:] != (entry.type, entry.id):
        raise InvalidRequest(
            f"fullUrl names {parts[1]}/{parts[2]}, the request {entry.type}/{entry.id}",
            expression=(entry.where("fullUrl"),),
        )


def _version(text: Any, where: str) -> int | None:
    if text is None:
        return None
    found = _ETAG.fullmatch(text.strip()) if isinstance(text, str) else None
    if found is None:
        raise InvalidRequest('ifMatch is not of the form W/"3"', expression=(where,))
    return int(found[1])


def conditional_references(base_url: str, resource: Any, path: str) -> list[tuple[str, str]]:
    """Return (expression, text) of every reference of the form ``Type?parameters``."""
    found: list[tuple[str, str]] = []
    if isinstance(resource, dict):
        text = resource.get("reference")
        if (
            isinstance(text, str)
            and "?" in text
            and split_reference(text, base_url).query is not None
        ):
            found.append((f"{path}.reference", text))
        for name, value in resource.items():
            if isinstance(value, dict | list):
                found += conditional_references(base_url, value, f"{path}.{name}")
    elif isinstance(resource, list):
        for at, item in enumerate(resource):
            if isinstance(item, dict | list):
                found += conditional_references(base_url, item, f"{path}[{at}]")
    return found
