"""Which answers of a response stand at items that its form asks.  R4 questionnaire.html.

``enableWhen`` and SDC's ``enableWhenExpression`` say which questions are asked; what stands at one
that is not asked is left over from before another answer was changed, and is nobody's word.  Pure.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from server.continuity.compared import is_equal, is_ordered
from server.continuity.extract.items import extensions, value_of
from server.continuity.form import Form, Item
from server.continuity.same import answer_value
from server.fhir.errors import Issue, TooCostly

MAX_CHAIN: Final = 50  # questions that depend on each other
MAX_COMPARED: Final = 100_000  # answers against conditions, of one response

Element = dict[str, Any]
Truth = bool | None
"""``None``: it cannot be judged."""

Holds = Callable[[dict[str, Any], str, str], Truth]
"""Expression, path of the item in the response, path in the form -> whether it is so."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Paths in the response: of items that are ``not_asked``, and of those in ``doubt``.

    All below such an item is of its kind, too.
    """

    not_asked: Mapping[str, Item]
    doubt: frozenset[str] = frozenset()


def is_conditional(form: Form) -> bool:
    """Tell whether any item of the form is asked under a condition only."""
    return any(map(_is_conditional, form.walk()))


def judged(form: Form, response: Element, holds: Holds, *, literal: bool = False) -> Asked:
    """Return which items of a response its form does not ask.

    ``literal``: where two values cannot be compared, or conditions go in a circle, what R4's words
    say counts; else it is in doubt, and so is a conditional item where the form does not have it.

    Raises:
        TooCostly: more than :data:`MAX_CHAIN` questions depend on each other, or more than
            :data:`MAX_COMPARED` answers are compared.
    """
    if not is_conditional(form):
        return Asked({})
    one = _Judging(form, holds, literal)
    one.read(form.items, response, "QuestionnaireResponse", (), None)
    return one.judged()


def enabled(form: Form, response: Element, holds: Holds) -> tuple[Element, list[Issue]]:
    """Return the response without what is not asked, and an issue for each item left out.

    The response itself when all is asked.  Raises TooCostly, as :func:`judged`.
    """
    gone = judged(form, response, holds, literal=True).not_asked
    if not gone:
        return response, []
    issues: list[Issue] = []
    return _kept(response, "QuestionnaireResponse", gone, issues), issues


def without(response: Element, gone: Mapping[str, Item]) -> Element:
    """Return a response without the items at some paths; the response itself where none are."""
    return _kept(response, "QuestionnaireResponse", gone, []) if gone else response


def _kept(holder: Element, path: str, gone: Mapping[str, Item], issues: list[Issue]) -> Element:
    made = dict(holder)
    for name in ("item", "answer"):
        places = [(one, f"{path}.{name}[{n}]") for n, one in enumerate(holder.get(name) or ())]
        issues += [_issue(gone[place], place) for _, place in places if place in gone]
        kept = [_kept(one, place, gone, issues) for one, place in places if place not in gone]
        if kept or (name in holder and name != "item"):
            made[name] = kept
        else:
            made.pop(name, None)
    return made


def _issue(item: Item, path: str) -> Issue:
    told = f"item {item.link_id[:80]!r} is not asked after the other answers"
    return Issue("warning", "business-rule", f"{told}; nothing is made of it", (path,))


@dataclass(slots=True, eq=False)
class _Node:
    """An item of the response; ``above``: what it is inside of, the nearest first."""

    item: Item
    raw: Element
    path: str
    above: tuple[Element, ...]
    parent: "_Node | None"
    is_judged: bool = False
    asked: Truth = None


@dataclass(slots=True)
class _Judging:
    form: Form
    holds: Holds
    literal: bool
    _nodes: list[_Node] = field(default_factory=list)
    _below: dict[int, dict[str, list[_Node]]] = field(default_factory=dict)
    _chain: list[_Node] = field(default_factory=list)
    _strays: list[tuple[str, str]] = field(default_factory=list)
    _compared: int = 0
    _links: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self._links = frozenset(item.link_id for item in self.form.walk())

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
            here, link = f"{path}.item[{number}]", str(raw.get("linkId"))
            item = by_link.get(link)
            if item is None:
                self._strays.append((here, link))
                continue
            node = _Node(item, raw, here, within, parent)
            self._nodes.append(node)
            for one in (raw, *within):
                self._below.setdefault(id(one), {}).setdefault(item.link_id, []).append(node)
            self.read(item.items, raw, node.path, within, node)
            for place, answer in enumerate(raw.get("answer") or ()):
                inner = f"{node.path}.answer[{place}]"
                self.read(item.items, answer, inner, (raw, *within), node)

    def judged(self) -> Asked:
        """Return what of all that was read is not asked, or in doubt."""
        said = [(node, self._is_asked(node)) for node in self._nodes]
        gone = {node.path: node.item for node, asked in said if asked is False}
        if self.literal:
            return Asked(gone)
        doubt = {node.path for node, asked in said if asked is None}
        return Asked(gone, frozenset(doubt | self._doubtful_strays()))

    def _doubtful_strays(self) -> set[str]:
        """Return what stands elsewhere than in the form, if that asks any of it conditionally."""
        conditional = {
            below.link_id
            for item in self.form.walk()
            if _is_conditional(item)
            for below in item.walk()
        }
        wanted = conditional.union({link for _, link in self._strays} - self._links)
        return {path for path, link in self._strays if link in wanted}

    def _is_asked(self, node: _Node) -> Truth:
        if not node.is_judged:
            if node in self._chain:
                return True if self.literal else None  # a circle disables nothing by R4's words
            if len(self._chain) > MAX_CHAIN:
                told = f"more than {MAX_CHAIN} questions depend on each other"
                raise TooCostly(told, expression=(node.item.path,))
            self._chain.append(node)
            node.asked, node.is_judged = self._decided(node), True
            self._chain.pop()
        return node.asked

    def _decided(self, node: _Node) -> Truth:
        above = self._is_asked(node.parent) if node.parent is not None else True
        return _all([above, *self._conditions(node)]) if above is not False else False

    def _conditions(self, node: _Node) -> list[Truth]:
        made: list[Truth] = []
        for one in extensions(node.item.raw, "enableWhenExpression"):
            said = value_of(one)
            expression = said if isinstance(said, dict) else {}
            made.append(self.holds(expression, node.path, node.item.path))
        conditions = node.item.raw.get("enableWhen") or ()
        met = [self._is_met(one, node) for one in conditions]
        whole = node.item.raw.get("enableBehavior") == "all"
        return [*made, _all(met) if whole else _any(met)] if met else made

    def _is_met(self, condition: Mapping[str, Any], node: _Node) -> Truth:
        """R4 valueset-questionnaire-enable-operator.html."""
        link = str(condition.get("question"))
        found, sure = self._answers(link, node)
        wanted = next((condition[name] for name in condition if name.startswith("answer")), None)
        self._compared += len(found)
        if self._compared > MAX_COMPARED:
            told = f"more than {MAX_COMPARED:,} answers are compared"
            raise TooCostly(told, expression=(node.item.path,))
        met = self._compare(str(condition.get("operator")), found, wanted)
        return met if sure or self.literal else None

    def _compare(self, operator: str, found: list[Any], wanted: Any) -> Truth:
        match operator:
            case "exists" if isinstance(wanted, bool) or self.literal:
                return bool(found) is (wanted is not False)
            case "=":
                return _any([is_equal(one, wanted, literal=self.literal) for one in found])
            case "!=":
                equal = _any([is_equal(one, wanted, literal=self.literal) for one in found])
                unknown = wanted is None and not self.literal
                return None if unknown or equal is None else not equal
            case _:
                ordered = (is_ordered(operator, one, wanted, literal=self.literal) for one in found)
                return _any(list(ordered))

    def _answers(self, link: str, node: _Node) -> tuple[list[Any], bool]:
        """Return the answers of a question that are nearest: beside the item, else further up.

        And whether these are all, and the question is one of the form.
        """
        for holder in node.above:
            found = self._below.get(id(holder), {}).get(link)
            if found:
                asked = [(one, self._is_asked(one)) for one in found]
                values = [answer_value(answer) for one, is_asked in asked if is_asked
                          for answer in one.raw.get("answer") or ()]  # fmt: skip
                return values, all(is_asked is not None for _, is_asked in asked)
        strays = any(stray == link for _, stray in self._strays)
        return [], not strays and link in self._links


def _is_conditional(item: Item) -> bool:
    return bool(item.raw.get("enableWhen") or extensions(item.raw, "enableWhenExpression"))


def _all(truths: Iterable[Truth]) -> Truth:
    found = set(truths)
    return False if False in found else None if None in found else True


def _any(truths: Iterable[Truth]) -> Truth:
    found = set(truths)
    return True if True in found else None if None in found else False
