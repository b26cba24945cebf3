"""The FHIRPath of a form that is extracted, asked of the response.  SDC 4.0 expressions.html."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from math import inf
from time import monotonic
from typing import Any, Final

from server.continuity.extract.items import extensions, value_of
from server.fhir.errors import DeadlineExceeded, Issue
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.expression import CLIENT_STEPS, compile_expression
from server.fhir.fhirpath.items import Item, root
from server.fhir.fhirpath.quantity import Quantity
from server.fhir.fhirpath.temporal import Temporal

VARIABLE: Final = "http://hl7.org/fhir/StructureDefinition/variable"
_NAMESPACE: Final = uuid.UUID("7b0b8a3e-54c5-4b8c-9d5a-2d3f1d1f0a11")
_PATH: Final = re.compile(r"[A-Za-z0-9.\[\]]+")
_MOST: Final = 20_000  # expressions of one extraction
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Variables = Mapping[str, Any]


@dataclass(slots=True)
class Asking:
    """The expressions of one extraction: what cannot be evaluated becomes an issue, and nothing.

    ``response`` is asked; ``now`` in microseconds; ``until``, on the clock of ``time.monotonic``,
    is when it raises :class:`~server.fhir.errors.DeadlineExceeded`.  ``seed`` makes the uuids of
    ``allocateId``: the same for the same response, so that extracting it again gives the same
    Bundle.
    """

    response: dict[str, Any]
    now: int
    seed: str
    issues: list[Issue] = field(default_factory=list)
    until: float = inf
    _root: Item | None = None
    _asked: int = 0

    def at(self, path: str) -> Item:
        """Return the element of the response at a path of :class:`.items.Given`."""
        if self._root is None:
            self._root = root(self.response)
        if path == "QuestionnaireResponse":
            return self._root
        assert _PATH.fullmatch(path), "paths are made of the response, not sent"
        found = compile_expression(path, keep=False).evaluate(self._root)
        return found[0] if found else self._root

    def items(self, text: Any, context: Item, variables: Variables, where: str) -> list[Item]:
        """Return what an expression yields; [] with an issue at ``where`` when it cannot."""
        self._asked += 1
        if monotonic() > self.until:
            raise DeadlineExceeded("the expressions of the form take too long", expression=(where,))
        if not isinstance(text, str) or self._asked > _MOST:
            self._fault(f"more than {_MOST:,} expressions, or one without a text", where)
            return []
        now = _EPOCH + timedelta(microseconds=self.now)
        try:
            return compile_expression(text, keep=False).evaluate(
                context, variables=variables, steps=CLIENT_STEPS, now=now
            )
        except FhirPathError as error:
            self._fault(f"{text[:120]!r}: {error}", where)
            return []

    def values(self, text: Any, context: Item, variables: Variables, where: str) -> list[Any]:
        """Return what :meth:`items` does, as JSON."""
        found = [as_json(item) for item in self.items(text, context, variables, where)]
        return [one for one in found if one is not None]

    def holds(self, text: str, context: Item, variables: Variables, where: str) -> bool:
        """Tell whether an expression is true; what cannot be told is not, with a warning."""
        before = len(self.issues)
        found = self.items(text, context, variables, where)
        faults = self.issues[before:]
        del self.issues[before:]
        self.issues += [replace(one, severity="warning") for one in faults]
        return [one.value for one in found] == [True]

    def text(self, text: Any, context: Item, variables: Variables, where: str) -> str | None:
        """Return the first value as text, ``None`` without an expression or a value."""
        if text is None:
            return None
        found = self.values(text, context, variables, where)
        return str(found[0]) if found else None

    def allocated(self, key: str, name: str) -> str:
        """Return the uuid of a name where it was allocated."""
        return f"urn:uuid:{uuid.uuid5(_NAMESPACE, f'{self.seed} {key} {name}')}"

    def declared(
        self, element: dict[str, Any], context: Item, variables: Variables, key: str, where: str
    ) -> Variables:
        """Return the variables with those that an element declares: ids first, then values."""
        made = dict(variables)
        for one in extensions(element, "extractAllocateId"):
            if isinstance(name := value_of(one), str):
                made[name] = self.allocated(key, name)
        for one in element.get("extension") or ():
            said = one.get("valueExpression") if one.get("url") == VARIABLE else None
            if isinstance(said, dict) and said.get("language") == "text/fhirpath":
                name = str(said.get("name"))
                made[name] = self.items(said.get("expression"), context, made, where)
        return made

    def _fault(self, told: str, where: str) -> None:
        self.issues.append(Issue("error", "processing", told, (where,)))


def as_json(item: Item) -> Any:
    """Return the JSON value of an item, ``None`` for a primitive that has only extensions."""
    value = item.value
    if isinstance(value, Temporal):
        return str(value)
    if isinstance(value, Quantity):
        if value.calendar:
            return {"value": value.value, "unit": value.unit}
        return {
            "value": value.value,
            "unit": value.unit,
            "system": "http://unitsofmeasure.org",
            "code": value.unit,
        }
    if isinstance(value, Decimal) and value == value.to_integral_value() and item.type != "decimal":
        return int(value)
    return value
