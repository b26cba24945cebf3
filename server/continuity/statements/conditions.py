"""Which answers of an old response its form asked for at all: known, not, or in doubt.

What was not asked is nobody's answer; where it cannot be told, it is read out, and never known.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from server.continuity.enabled import Asked, Truth, is_conditional, judged
from server.continuity.form import Form
from server.continuity.statements.read import Resource, moment
from server.fhir.errors import TooCostly
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.expression import compile_expression
from server.fhir.fhirpath.items import Item, root

MOST_EXPRESSIONS: Final = 500  # of all forms that were answered
MOST_STEPS: Final = 5_000  # of one expression
MOST_TIME_S: Final = 0.2  # for all of them; what is not judged by then is in doubt

ALL: Final = "QuestionnaireResponse"


@dataclass(slots=True)
class Budget:
    """What the expressions of all forms may cost together."""

    left: int = MOST_EXPRESSIONS
    spent_s: float = 0.0

    def run(self, ask: Callable[[], Truth]) -> Truth:
        """Return what an expression says; ``None`` where there is no more to spend."""
        if self.left <= 0 or self.spent_s > MOST_TIME_S:
            return None
        self.left -= 1
        begun = monotonic()
        try:
            return ask()
        finally:
            self.spent_s += monotonic() - begun


@dataclass(frozen=True, slots=True)
class Former:
    """A version of a form, and since when (microseconds) it was there; ``None``: unreadable."""

    at: int
    form: Form | None


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditions of one form: as it is, as it was, and what their expressions may cost."""

    forms: tuple[Form, ...]
    former: tuple[Former, ...]
    budget: Budget

    def of(self, response: Resource) -> Asked:
        """Return what of a response was not asked, and what is in doubt; ``ALL``: all of it."""
        forms = self.forms
        if changed := self._changed_since(response):
            then = _then(self.former, moment(response.get("authored"))[0])
            if then is None or not _ask_the_same(then, changed):
                return Asked({}, frozenset((ALL,)))
            forms = (then, *(one for one in forms if one is not changed))
        if not any(map(is_conditional, forms)):
            return Asked({})
        try:
            found = [judged(one, response, self._holds(one, response)) for one in forms]
        except TooCostly:
            return Asked({}, frozenset((ALL,)))
        gone = {path: item for one in found for path, item in one.not_asked.items()}
        return Asked(gone, frozenset().union(*(one.doubt for one in found)))

    def _changed_since(self, response: Resource) -> Form | None:
        """Return the form, if what was answered was an earlier version of it."""
        said_at, _ = moment(response.get("authored"))
        for form in self.forms:
            at = changed_at(form)
            if at is not None and (said_at is None or said_at < at):
                return form
        return None

    def _holds(self, form: Form, response: Resource) -> Callable[[dict[str, Any], str, str], Truth]:
        top: list[Item] = []

        def holds(expression: dict[str, Any], path: str, _: str) -> Truth:
            if expression.get("language") != "text/fhirpath":
                return None
            if not top:
                top.append(root(response))
            text = str(expression.get("expression"))
            return self.budget.run(lambda: _truth(text, path, top[0], form))

        return holds


def changed_at(form: Form | None) -> int | None:
    """Return when a stored form was changed last; ``None`` for one that never was."""
    meta = form.raw.get("meta", {}) if form is not None else {}
    if meta.get("versionId") in (None, "1"):
        return None
    return moment(meta.get("lastUpdated"))[0]


def _then(former: tuple[Former, ...], said_at: int | None) -> Form | None:
    """Return the form as it was when it was answered."""
    if said_at is None:
        return None
    return next((one.form for one in former if one.at <= said_at), None)


def _ask_the_same(one: Form, other: Form) -> bool:
    """Tell whether no item means something else in the other form."""
    items = {item.link_id: item for item in other.walk()}
    return all(
        (same := items.get(item.link_id)) is None
        or (item.type, item.codes, item.definition, item.units)
        == (same.type, same.codes, same.definition, same.units)
        for item in one.walk()
    )


def _truth(text: str, path: str, top: Item, form: Form) -> Truth:
    """Return what an expression says of the item at a path; ``None`` where it says nothing clear.

    It may ask of the response and the form alone.  Patient, launch contexts, variables and the
    clock were others when it was answered: what names them fails.
    """
    try:
        here = compile_expression(path, keep=False).evaluate(top)
        found = compile_expression(text, keep=False).evaluate(
            here[0] if here else top, variables={"questionnaire": form.raw}, steps=MOST_STEPS
        )
    except FhirPathError:
        return None
    said = [one.value for one in found]
    return {(): False, (False,): False, (True,): True}.get(_booleans(said))


def _booleans(said: list[Any]) -> tuple[Any, ...]:
    return tuple(one if isinstance(one, bool) else "" for one in said[:2])
