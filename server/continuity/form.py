"""A Questionnaire as the rules see it.  R4 questionnaire.html, SDC 4.0."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from server.continuity.statement import Code
from server.fhir.errors import InvalidResource, Issue, TooCostly

MAX_ITEMS: Final = 2_000
MAX_DEPTH: Final = 32
UNIT: Final = "http://hl7.org/fhir/StructureDefinition/questionnaire-unit"
UNIT_OPTION: Final = "http://hl7.org/fhir/StructureDefinition/questionnaire-unitOption"


@dataclass(frozen=True, slots=True)
class Item:
    """One item.

    ``raw`` is its JSON with every extension, ``path`` where it stands
    (``Questionnaire.item[0].item[2]``), ``codes`` its ``code``, ``definition`` the element that it
    means (``http://hl7.org/fhir/StructureDefinition/Patient#Patient.birthDate``).
    """

    link_id: str
    type: str
    text: str
    path: str
    raw: dict[str, Any]
    codes: frozenset[Code] = frozenset()
    definition: str | None = None
    repeats: bool = False
    required: bool = False
    items: tuple["Item", ...] = ()

    @property
    def units(self) -> tuple[dict[str, Any], ...]:
        """The units that it takes, as Codings; the first is the one to convert to."""
        return tuple(
            one["valueCoding"]
            for url in (UNIT, UNIT_OPTION)
            for one in self.raw.get("extension", ())
            if one.get("url") == url and isinstance(one.get("valueCoding"), dict)
        )

    def walk(self) -> Iterator["Item"]:
        """Yield this item and all below it, in the order of the form."""
        yield self
        for item in self.items:
            yield from item.walk()


@dataclass(frozen=True, slots=True)
class Form:
    """A Questionnaire; ``raw`` is its JSON, ``canonical`` is ``url|version`` or a reference."""

    canonical: str
    raw: dict[str, Any]
    items: tuple[Item, ...] = ()

    def walk(self) -> Iterator[Item]:
        """Yield every item, in the order of the form."""
        for item in self.items:
            yield from item.walk()


def form_of(questionnaire: dict[str, Any]) -> Form:
    """Return a Questionnaire, sent or stored, as a form.

    Raises:
        InvalidResource: it is no Questionnaire, or two items have the same ``linkId`` (R4 que-2);
            every fault with its place.
        TooCostly: it has more items, or deeper ones, than :data:`MAX_ITEMS`, :data:`MAX_DEPTH`.
    """
    if questionnaire.get("resourceType") != "Questionnaire":
        raise InvalidResource("a Questionnaire is expected", expression=("questionnaire",))
    reading = _Reading()
    items = reading.items(questionnaire, "Questionnaire", 1)
    if reading.issues:
        first = reading.issues[0]
        raise InvalidResource(
            first.diagnostics, expression=first.expression, issues=tuple(reading.issues)
        )
    return Form(canonical_of(questionnaire), questionnaire, items)


def canonical_of(questionnaire: dict[str, Any]) -> str:
    """Return what names the form: ``url|version``, ``url``, or ``Questionnaire/id``, or nothing."""
    url, version, id_ = (questionnaire.get(name) for name in ("url", "version", "id"))
    if isinstance(url, str) and url:
        return f"{url}|{version}" if isinstance(version, str) and version else url
    return f"Questionnaire/{id_}" if isinstance(id_, str) and id_ else ""


class _Reading:
    """One reading; nothing that was sent is trusted to have its shape."""

    def __init__(self) -> None:
        self.issues: list[Issue] = []
        self._seen: dict[str, str] = {}

    def items(self, parent: dict[str, Any], path: str, depth: int) -> tuple[Item, ...]:
        listed = parent.get("item", [])
        if not isinstance(listed, list):
            self._fault("a list of items is expected", f"{path}.item")
            return ()
        if listed and depth > MAX_DEPTH:
            raise TooCostly(
                f"items are nested deeper than {MAX_DEPTH}", expression=(f"{path}.item",)
            )
        found = [self._item(raw, f"{path}.item[{n}]", depth) for n, raw in enumerate(listed)]
        return tuple(item for item in found if item is not None)

    def _item(self, raw: Any, path: str, depth: int) -> Item | None:
        if not isinstance(raw, dict):
            self._fault("an item is expected", path)
            return None
        link_id, type_ = raw.get("linkId"), raw.get("type")
        if not isinstance(link_id, str) or not link_id or not isinstance(type_, str):
            self._fault("an item has a linkId and a type", path)
            return None
        if link_id in self._seen:
            self._fault(f"linkId {link_id[:80]!r} is that of {self._seen[link_id]}, too", path)
        self._seen[link_id] = path
        if len(self._seen) > MAX_ITEMS:
            raise TooCostly(f"a form has at most {MAX_ITEMS} items", expression=(path,))
        definition = raw.get("definition")
        return Item(
            link_id,
            type_,
            str(raw.get("text", "")),
            path,
            raw,
            _codes(raw.get("code")),
            definition if isinstance(definition, str) and definition else None,
            raw.get("repeats") is True,
            raw.get("required") is True,
            self.items(raw, path, depth + 1),
        )

    def _fault(self, told: str, path: str) -> None:
        self.issues.append(Issue("error", "invariant", told, (path,)))


def _codes(listed: Any) -> frozenset[Code]:
    codings = listed if isinstance(listed, list) else []
    return frozenset(
        (str(coding.get("system", "")), str(coding["code"]))
        for coding in codings
        if isinstance(coding, dict) and coding.get("code")
    )
