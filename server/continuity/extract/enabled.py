"""A response without the answers of items that its form disables.  R4 questionnaire.html.

``enableWhen`` and SDC's ``enableWhenExpression`` say which questions are asked; what stands at one
that is not asked is left over from before another answer was changed, and is nobody's word.  Pure.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from server.continuity.extract.items import extensions, value_of
from server.continuity.form import Form, Item
from server.continuity.same import answer_value, same_value
from server.fhir.dates import InvalidDate, interval
from server.fhir.errors import Issue, TooCostly

MAX_CHAIN: Final = 50  # questions that depend on each other

Element = dict[str, Any]

Holds = Callable[[str, str, str], bool]
"""Expression, path of the item in the response, path in the form -> whether it is so."""


def enabled(form: Form, response: Element, holds: Holds) -> tuple[Element, list[Issue]]:
    """Return the response without what is disabled, and an issue for each item left out.

    The response itself when nothing is.

    Raises:
        TooCostly: more than :data:`MAX_CHAIN` questions depend on each other.
    """
    if not any(_is_conditional(item) for item in form.walk()):
        return response, []
    one = _Pruning(holds)
    one.read(form.items, response, "QuestionnaireResponse", (), None)
    kept = one.kept(response)
    return (kept, one.issues) if one.issues else (response, [])


@dataclass(slots=True, eq=False)
class _Node:
    """An item of the response; ``above``: what it is inside of, the nearest first."""

    item: Item
    raw: Element
    path: str
    above: tuple[Element, ...]
    parent: "_Node | None"
    asked: bool | None = None


@dataclass(slots=True)
class _Pruning:
    holds: Holds
    issues: list[Issue] = field(default_factory=list)
    _nodes: dict[int, _Node] = field(default_factory=dict)
    _below: dict[int, dict[str, list[_Node]]] = field(default_factory=dict)
    _chain: list[_Node] = field(default_factory=list)

    def read(
        self,
        items: Sequence[Item],
        holder: Element,
        path: str,
        above: tuple[Element, ...],
        parent: _Node | None,
    ) -> None:
        """Note every item below a holder, by itself and by all that it is inside of."""
        by_link = {item.link_id: item for item in items}
        within = (holder, *above)
        for number, raw in enumerate(holder.get("item") or ()):
            item = by_link.get(str(raw.get("linkId")))
            if item is None:
                continue
            node = _Node(item, raw, f"{path}.item[{number}]", within, parent)
            self._nodes[id(raw)] = node
            for one in (raw, *within):
                self._below.setdefault(id(one), {}).setdefault(item.link_id, []).append(node)
            self.read(item.items, raw, node.path, within, node)
            for place, answer in enumerate(raw.get("answer") or ()):
                inner = f"{node.path}.answer[{place}]"
                self.read(item.items, answer, inner, (raw, *within), node)

    def kept(self, holder: Element) -> Element:
        """Return an element without the items in it that are disabled."""
        made = dict(holder)
        for name in ("item", "answer"):
            if name in holder:
                made[name] = [self.kept(one) for one in holder[name] if self._stays(one)]
        return {name: value for name, value in made.items() if name != "item" or value}

    def _stays(self, raw: Element) -> bool:
        node = self._nodes.get(id(raw))
        if node is None or self._is_asked(node):
            return True
        told = f"item {node.item.link_id[:80]!r} is not asked after the other answers"
        self.issues.append(
            Issue("warning", "business-rule", f"{told}; nothing is made of it", (node.path,))
        )
        return False

    def _is_asked(self, node: _Node) -> bool:
        if node.asked is None:
            if node in self._chain:
                return True  # a form that asks in a circle disables nothing
            if len(self._chain) > MAX_CHAIN:
                told = f"more than {MAX_CHAIN} questions depend on each other"
                raise TooCostly(told, expression=(node.item.path,))
            self._chain.append(node)
            node.asked = self._decided(node)
            self._chain.pop()
        return node.asked

    def _decided(self, node: _Node) -> bool:
        if node.parent is not None and not self._is_asked(node.parent):
            return False
        for one in extensions(node.item.raw, "enableWhenExpression"):
            said = value_of(one)
            text = said.get("expression") if isinstance(said, dict) else None
            if not self.holds(str(text), node.path, node.item.path):
                return False
        conditions = node.item.raw.get("enableWhen") or ()
        met = [self._is_met(one, node.above) for one in conditions]
        whole = node.item.raw.get("enableBehavior") == "all"
        return not met or (all(met) if whole else any(met))

    def _is_met(self, condition: Mapping[str, Any], above: tuple[Element, ...]) -> bool:
        """R4 valueset-questionnaire-enable-operator.html."""
        found = self._answers(str(condition.get("question")), above)
        name = next((name for name in condition if name.startswith("answer")), "")
        wanted = condition.get(name)
        match condition.get("operator"):
            case "exists":
                return bool(found) is (wanted is not False)
            case "=":
                return any(same_value(one, wanted) for one in found)
            case "!=":
                return not any(same_value(one, wanted) for one in found)
            case operator:
                return any(_is_ordered(str(operator), one, wanted) for one in found)

    def _answers(self, link: str, above: tuple[Element, ...]) -> list[Any]:
        """Return the answers of a question that are nearest: beside the item, else further up."""
        for holder in above:
            found = self._below.get(id(holder), {}).get(link)
            if found:
                listed = [one for node in found if self._is_asked(node)
                          for one in node.raw.get("answer") or ()]  # fmt: skip
                return [answer_value(one) for one in listed]
        return []


def _is_conditional(item: Item) -> bool:
    return bool(item.raw.get("enableWhen") or extensions(item.raw, "enableWhenExpression"))


def _is_ordered(operator: str, one: Any, wanted: Any) -> bool:
    left, right = _order(one), _order(wanted)
    if left is None or right is None or left[1] != right[1]:
        return False  # another type or unit: nobody compared them
    compared: int = (left[0] > right[0]) - (left[0] < right[0])
    return {">": compared > 0, "<": compared < 0, ">=": compared >= 0, "<=": compared <= 0}.get(
        operator, False
    )


def _order(value: Any) -> tuple[Any, str] | None:
    """Return what a value is ordered by, and its unit or kind; ``None``: it has no order."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, Mapping):
        number = value.get("value")
        unit = str(value.get("code") or value.get("unit"))
        return (number, unit) if number is not None else None
    if isinstance(value, str):
        try:
            return interval(value)[0], "date"
        except InvalidDate:
            return value, "text"
    return value, "number"
