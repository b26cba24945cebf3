"""Whether a proposed answer may be shown, and as what.  docs/continuity.md, C1 to C7.

An expression only says where to look.  What it finds is asked again as a question of its own: "what
does the record know of this element?", with the rules that every question has.  It is *known* only
when the record's own answer is known, equal, and of the same version.

- What is about somebody else, withdrawn or denied never comes so far (:mod:`.subject`).
- What was computed, or sent along, has no version to stand on: *confirm*.  A truth, a zero or a
  literal of the form that was computed is *ask*, for it may be made of an absence (C3).
- Several values where one is wanted, or another value that is as good, is *conflict*.
- What the record has a rule for that never carries (C1) is *ask*, whatever the form says.
- Everything else is *confirm*.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, Final

from server.continuity.form import Item
from server.continuity.known import Candidate, Known
from server.continuity.populate.coerce import units_of
from server.continuity.populate.proposed import Node, Proposed, Value
from server.continuity.populate.world import Origin
from server.continuity.rules import negation, validity
from server.continuity.rules.judge import LIMITED, NOTHING
from server.continuity.same import answer_value, same_value
from server.continuity.statement import Author, Code
from server.continuity.validity import Validity

_NEGATIVE: Final = re.compile(r"\b(not|empty|all|iif|false|count|isDistinct)\b|!=|!~")
_LITERAL: Final = re.compile(r"'((?:[^'\\]|\\.)*)'")
_CODED: Final = frozenset(("Observation",))
"""Types of which ``code`` says what they are about; an element of others is named by its path."""


def from_absence(answer: Mapping[str, Any], texts: Iterable[str]) -> bool:
    """Tell whether a computed answer may say no more than that something is not there.

    ``texts`` are the expressions it was computed by: a literal of theirs is no finding, and nothing
    is one where something in them turns an absence into a value.
    """
    value = answer_value(answer)
    listed = list(texts)
    if value is False or any(_NEGATIVE.search(text) for text in listed):
        return True
    if isinstance(value, str):
        return value in ("0", "false") or any(value in _LITERAL.findall(t) for t in listed)
    if isinstance(value, dict):
        return "code" in value and "value" not in value
    return not value


class Questions:
    """What the record is to be asked about the sources of proposals, each question once.

    ``items`` are groups to be added to the form; their linkIds are none that a form can have.
    """

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._ids: dict[object, str] = {}

    def about(self, item: Item, origin: Origin, texts: Iterable[str], *, within: bool) -> str:
        """Return the linkId of the question about an element; the same for the same question.

        Of a measurement the latest is asked for, unless a repetition is about an earlier one; an
        element may stand beside others of its kind.  That it is a telephone, or for home, is what
        the form wants only where its expressions, ``texts``, say so.
        """
        listed = list(texts)
        fixed = [
            (name, value)
            for name, value in _siblings(origin)
            if within or any(f"'{value}'" in text for text in listed)
        ]
        many = item.repeats or within or origin.version.type not in _CODED
        kept: dict[str, Any] = {
            name: item.raw[name]
            for name in ("answerOption", "answerValueSet", "extension")
            if name in item.raw and (name != "extension" or units_of(item.raw))
        }
        key = (origin.source, item.type, many, repr(kept), repr(fixed))
        if key not in self._ids:
            self._ids[key] = f"\N{SYMBOL FOR NULL}{len(self._ids)}"
            kept["repeats"] = many
            self.items.append(_question(item, origin, self._ids[key], kept, fixed))
        return self._ids[key]


def _question(
    item: Item,
    origin: Origin,
    link_id: str,
    kept: Mapping[str, Any],
    fixed: Iterable[tuple[str, str]],
) -> Item:
    # The number of a measurement stands for all of it: its unit is looked at with it.
    type_ = "quantity" if origin.path[:1] == ("valueQuantity",) else item.type
    raw: dict[str, Any] = {**kept, "linkId": link_id, "type": type_}
    definition: str | None = _definition(origin.element)
    codes: frozenset[Code] = frozenset()
    if origin.version.type in _CODED and str(origin.path[:1]).startswith("('value"):
        coding = origin.resource.get("code", {}).get("coding", ())
        codes = frozenset((c.get("system", ""), c["code"]) for c in coding if c.get("code"))
        raw["code"], definition = list(coding), None
    else:
        raw["definition"] = definition
    asked = Item(link_id, type_, item.text, "", raw, codes, definition, raw["repeats"])
    beside = tuple(_fixed(origin, link_id, n, *one) for n, one in enumerate(fixed))
    group = {"linkId": f"{link_id}g", "type": "group"}
    return Item(f"{link_id}g", "group", "", "", group, items=(asked, *beside))


def _definition(element: str) -> str:
    type_ = element.partition(".")[0]
    return f"http://hl7.org/fhir/StructureDefinition/{type_}#{element}"


def _siblings(origin: Origin) -> list[tuple[str, str]]:
    """Return the codes beside the element that say which of several it is (``system``, ``use``)."""
    parent: Any = origin.resource
    for step in origin.path[:-1]:
        try:
            parent = parent[step]
        except (KeyError, IndexError, TypeError):
            return []
    if not isinstance(parent, dict) or len(origin.path) < 2:
        return []
    return [(name, parent[name]) for name in ("system", "use") if isinstance(parent.get(name), str)]


def _fixed(origin: Origin, link_id: str, n: int, name: str, value: str) -> Item:
    """Return an item that fixes a sibling of the element that is asked for."""
    own = f"{link_id}s{n}"
    definition = _definition(f"{origin.element.rpartition('.')[0]}.{name}")
    raw = {
        "linkId": own, "type": "string", "definition": definition, "readOnly": True,
        "initial": [{"valueString": value}],
    }  # fmt: skip
    return Item(own, "string", "", "", raw, definition=definition)


def judged(node: Node, own: Known, answers: Sequence[Known | None]) -> Known:
    """Return what is known of an item by a proposal.

    ``own``: what the record knows of the item as such.  ``answers``: what it knows of the element
    that each value came from, ``None`` where that cannot be told.
    """
    proposed = node.proposed
    if proposed is None or (proposed.by == "default" and own.state != "ask"):
        return own
    if own.state == "conflict" or (own.state == "ask" and own.rule == validity.NEVER):
        return own
    if proposed.withheld:
        told = "It was computed, and may say no more than that something is not there."
        return Known(node.item, "ask", (), "C3 absence", told)
    if not proposed.values:
        return _lowered(own)
    candidates = tuple(_candidate(v, a) for v, a in zip(proposed.values, answers, strict=True))
    conflict = _conflict(node.item, proposed, candidates, own, answers, within=node.within)
    if conflict is not None:
        return conflict
    if any(answer is not None and _keeps_back(answer) for answer in answers):
        kept = next(one for one in answers if one is not None and _keeps_back(one))
        return Known(node.item, "ask", (), kept.rule, kept.reason)
    return _state(node.item, proposed, candidates, answers)


def capped(known: Known, own: Known, policy: Validity, now: int) -> Known:
    """Return what is known of an item, to be confirmed where the item's own topic asks for that.

    The element that an expression came from may hold longer than what the item asks for.
    """
    item = known.item
    if known.state != "known" or own.state == "known":
        return known
    element = (item.definition or "").partition("#")[2]
    topics = (
        policy.of_codes(item.codes),
        policy.of_member(item.codes),
        policy.of_element(element) if element else None,
    )
    said = [one.said_at for one in known.candidates]
    for topic in topics:
        if topic is not None and not all(validity.holds(topic.holding, at, now) for at in said):
            expires = topic.holding.kind == "expire"
            rule = validity.EXPIRED if expires else validity.EACH
            return replace(known, state="confirm", rule=rule, reason=topic.why)
    return known


def _keeps_back(known: Known) -> bool:
    """Whether a rule keeps the element back; that the record knows nothing of it is no rule."""
    return known.state == "ask" and known.rule not in (NOTHING[0], LIMITED)


def _lowered(own: Known) -> Known:
    """The form looked elsewhere and found nothing: what is known otherwise is to be confirmed."""
    if own.state != "known":
        return own
    return replace(
        own, state="confirm", rule="expression", reason="The form's own source is empty."
    )


def _candidate(value: Value, answer: Known | None) -> Candidate:
    for one in answer.candidates if answer is not None else ():
        if _same(one.value, value.answer):
            sources = tuple(
                s for s in one.sources
                if value.origin is None or s.reference == value.origin.source.reference
            )  # fmt: skip
            if sources:
                return Candidate(value.answer, sources, one.said_at, one.author)
    sources = (value.origin.source,) if value.origin is not None else ()
    return Candidate(value.answer, sources, None, Author())


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    first, second = answer_value(one), answer_value(other)
    if isinstance(second, int | Decimal) and isinstance(first, dict):
        first = first.get("value")  # the number of the quantity that the record was asked for
    return same_value(first, second)


def _conflict(
    item: Item,
    proposed: Proposed,
    candidates: tuple[Candidate, ...],
    own: Known,
    answers: Sequence[Known | None],
    *,
    within: bool,
) -> Known | None:
    differ = [one for one in candidates[1:] if not _same(one.value, candidates[0].value)]
    if differ and not item.repeats:
        return Known(item, "conflict", candidates, "C4 several values", "There are several values.")
    for answer in answers:
        if answer is not None and answer.state == "conflict":
            return Known(item, "conflict", answer.candidates, answer.rule, answer.reason)
    if not item.repeats and not within:
        superseded = _superseding(proposed, answers)
        if superseded:
            told = "The record has a later answer."
            return Known(item, "conflict", (*superseded, *candidates), "C4 other source", told)
    if own.state == "known" and not item.repeats and proposed.by != "default":
        others = [one for one in own.candidates if not _same(one.value, candidates[0].value)]
        newer = [one for one in others if _at_least(one.said_at, candidates[0].said_at)]
        if newer:
            return Known(
                item, "conflict", (*newer, *candidates), "C4 other source",
                "The record says something else.",
            )  # fmt: skip
    return None


def _superseding(proposed: Proposed, answers: Sequence[Known | None]) -> tuple[Candidate, ...]:
    """Return what the record says now of a measurement, where that is another one than proposed.

    In a repetition of a group an earlier measurement is what was asked for.
    """
    for value, answer in zip(proposed.values, answers, strict=True):
        measured = value.origin is not None and value.origin.version.type in _CODED
        sure = answer is not None and answer.rule != negation.UNSURE[0]
        now = answer.candidates if answer is not None and measured and sure else ()
        if now and not any(_of(one, value) for one in now):
            return now
    return ()


def _at_least(one: int | None, other: int | None) -> bool:
    return one is None or other is None or one >= other


def _state(
    item: Item,
    proposed: Proposed,
    candidates: tuple[Candidate, ...],
    answers: Sequence[Known | None],
) -> Known:
    if proposed.by == "default":
        return Known(item, "confirm", candidates, "form default", "The form itself proposes it.")
    for value, answer, candidate in zip(proposed.values, answers, candidates, strict=True):
        if value.origin is None:
            return Known(item, "confirm", candidates, "computed", "It was computed, or sent along.")
        if answer is None or answer.state not in ("known", "confirm"):
            told = "No rule says how long it holds."
            return Known(item, "confirm", candidates, validity.UNLISTED, told)
        if answer.state == "confirm":
            return Known(item, "confirm", candidates, answer.rule, answer.reason)
        if value.unchecked:
            told = "The answers that the item takes cannot be listed here."
            return Known(item, "confirm", candidates, "unchecked", told)
        if not any(_same(one.value, value.answer) and _of(one, value) for one in answer.candidates):
            told = "The record's own answer is another."
            return Known(item, "confirm", candidates, "other value", told)
        assert candidate.sources
    rule = next((one.rule for one in answers if one is not None), "")
    reason = next((one.reason for one in answers if one is not None), "")
    return Known(item, "known", candidates, rule, reason)


def _of(candidate: Candidate, value: Value) -> bool:
    """Whether a candidate stands on the version that the value came from."""
    origin = value.origin
    return origin is not None and any(
        one.reference == origin.source.reference for one in candidate.sources
    )
