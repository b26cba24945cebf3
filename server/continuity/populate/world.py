"""What the expressions of a form may ask, and where their results come from.

Every resource that enters is read under the caller's access and remembered with its version, so
that an item of a result can be told back to the element it was taken from.  What was computed, or
sent along with the request, has no source.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from server.access.context import AccessContext
from server.continuity.populate import subject
from server.continuity.statement import Source
from server.fhir import json as fhir_json
from server.fhir.errors import Issue
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.expression import compile_expression
from server.fhir.fhirpath.items import Item as PathItem
from server.fhir.fhirpath.items import root
from server.fhir.references import split_reference
from server.interactions.services import Services
from server.store.port import Version

STEPS: Final = 20_000  # of one expression: about a tenth of a second at worst
SPENT_S: Final = 1.0  # of all expressions of a form; what comes after that stays unasked
MAX_ISSUES: Final = 200
MAX_FOLLOWED: Final = 200  # references of one context or query that resolve() may follow

Scope = Mapping[str, list[PathItem]]


@dataclass(frozen=True, slots=True)
class Origin:
    """The element that a value was taken from; ``path`` are the JSON keys below the resource."""

    version: Version
    resource: dict[str, Any]
    path: tuple[str | int, ...]

    @property
    def source(self) -> Source:
        """Return it as a source; array indexes as FHIRPath writes them."""
        text = self.version.type
        for step in self.path:
            text += f"[{step}]" if isinstance(step, int) else f".{step}"
        return Source.of(self.version, text if self.path else "")

    @property
    def element(self) -> str:
        """The path of the element without indexes: ``Patient.name.family``."""
        names = (step for step in self.path if isinstance(step, str))
        return ".".join((self.version.type, *names))


@dataclass(slots=True)
class World:
    """One population of one form for one caller.

    ``patient`` is a logical id; ``at`` is now, in microseconds since 1970-01-01T00:00:00Z;
    ``known_form``: the form is stored here, so its compiled expressions are worth keeping.
    """

    services: Services
    access: AccessContext
    patient: str
    at: int
    known_form: bool = False
    issues: list[Issue] = field(default_factory=list)
    versions: dict[tuple[str, str], Version] = field(default_factory=dict)
    _of: dict[int, tuple[Version, dict[str, Any]]] = field(default_factory=dict)
    _parsed: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    _unfit: set[tuple[str, str]] = field(default_factory=set)
    _spent_s: float = 0.0

    def enter(self, version: Version) -> dict[str, Any] | None:
        """Return the resource of a version, always the same object for the same one.

        ``None``, and a warning, when it is nothing that an expression may see (:mod:`.subject`).
        """
        key = (version.type, version.id)
        if key in self._parsed:
            return self._parsed[key]
        if key in self._unfit:
            return None
        resource: dict[str, Any] = fhir_json.loads(version.body or b"{}")
        fits = self.fitting(resource)
        if fits is None:
            self._unfit.add(key)
            return None
        self._parsed[key] = fits
        self.versions[key] = version
        self._of[id(fits)] = (version, fits)
        return fits

    def fitting(self, resource: dict[str, Any]) -> dict[str, Any] | None:
        """Return a resource, sent or stored, as far as an expression may see it."""
        base_url = self.services.base_url
        fits = subject.fitting(resource, self.patient, base_url)
        if fits is None:
            type_ = resource.get("resourceType")
            self.warn(
                f"one {type_} was left out: {subject.unfit(resource, self.patient, base_url)}"
            )
        return fits

    async def follow(self, resources: Iterable[dict[str, Any]]) -> None:
        """Read what resources refer to, one step, for ``resolve()``."""
        wanted: dict[tuple[str, str], None] = {}
        todo: list[Any] = list(resources)
        while todo:
            part = todo.pop()
            if isinstance(part, dict):
                if isinstance(text := part.get("reference"), str):
                    named = split_reference(text, self.services.base_url)
                    if named.type is not None and named.id is not None:
                        wanted[named.type, named.id] = None
                todo += part.values()
            elif isinstance(part, list):
                todo += part
        new = [key for key in wanted if key not in self._parsed]
        if len(new) > MAX_FOLLOWED:
            self.warn(f"more than {MAX_FOLLOWED} references; resolve() follows none of them")
            return
        found = await self.services.store.read_many(self.access, new) if new else {}
        for version in found.values():
            if version.body is not None:
                self.enter(version)

    async def read(self, reference: str) -> dict[str, Any] | None:
        """Return what a reference names, ``None`` when it is nothing that the caller may see."""
        named = split_reference(reference, self.services.base_url)
        if named.type is None or named.id is None:
            return None
        key = (named.type, named.id)
        if key not in self._parsed:
            found = await self.services.store.read_many(self.access, [key])
            if key not in found or found[key].body is None:
                return None
            return self.enter(found[key])
        return self._parsed[key]

    def warn(self, told: str, link_id: str | None = None) -> None:
        """Add a warning, of an item or of the form as a whole."""
        where = (f"item.where(linkId='{link_id}')",) if link_id is not None else ()
        said = f"item {link_id}: {told}" if link_id is not None else told
        issue = Issue("warning", "processing", said, where)
        if len(self.issues) < MAX_ISSUES and issue not in self.issues:
            self.issues.append(issue)

    def evaluate(self, text: str, scope: Scope, base: PathItem) -> list[PathItem]:
        """Return the result of a FHIRPath; raises ``FhirPathError``, whatever is wrong."""
        if self._spent_s > SPENT_S:
            raise FhirPathError("the expressions of this form take too long altogether")
        started = time.monotonic()
        try:
            compiled = compile_expression(text, keep=self.known_form)
            return compiled.evaluate(
                base,
                variables=scope,
                resolve=self._resolve,
                steps=STEPS,
                now=datetime.fromtimestamp(self.at / 1_000_000, UTC),
            )
        finally:
            self._spent_s += time.monotonic() - started

    def origin(self, item: PathItem) -> Origin | None:
        """Return where an item was taken from, ``None`` when it was computed or sent."""
        one: PathItem | None = item
        while one is not None:
            held = self._of.get(id(one.value))
            if held is not None:
                version, resource = held
                return Origin(version, resource, _below(one, item))
            one = one.parent
        return None

    def _resolve(self, reference: str) -> Any:
        """Return what is here already: an expression reads nothing by itself."""
        named = split_reference(reference, self.services.base_url)
        if named.type is None or named.id is None:
            return None
        return self._parsed.get((named.type, named.id))


def _below(top: PathItem, item: PathItem) -> tuple[str | int, ...]:
    full, above = item.path, top.path
    if full is None or above is None:
        return ()
    return full[len(above) :]


def bound(value: Any) -> list[PathItem]:
    """Return a resource, or several, as the value of a variable."""
    listed = value if isinstance(value, list) else [value]
    return [root(one) for one in listed]
