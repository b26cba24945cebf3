"""The whole language: an expression compiled once, evaluated over many resources.

For indexing there is :func:`~server.fhir.fhirpath.compile.compile_path`, which is faster and knows
the types of what it yields beforehand.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from server.fhir.fhirpath.check import check
from server.fhir.fhirpath.closures import build
from server.fhir.fhirpath.environment import NOTHING_OUTSIDE, Environment, Outside, Resolve
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.functions.function import Run
from server.fhir.fhirpath.items import Item, Items, root, system
from server.fhir.fhirpath.parser import parse
from server.fhir.fhirpath.singleton import truth

CLIENT_STEPS = 100_000  # what an expression of a client may take: about half a second at worst

_LONGEST_KEPT = 2_048  # characters

Variables = Mapping[str, Any]
_NONE: Variables = {}


class Expression:
    """A compiled expression; immutable, so every thread may use it."""

    __slots__ = ("_run", "text", "type")

    def __init__(self, text: str, type_: str | None, run: Run) -> None:
        self.text = text
        self.type = type_
        self._run = run

    def evaluate(
        self,
        resource: Any,
        *,
        variables: Variables = _NONE,
        resolve: Resolve | None = None,
        steps: int | None = None,
        now: datetime | None = None,
        outside: Outside = NOTHING_OUTSIDE,
    ) -> list[Item]:
        """Return the items, in order; the resource is left as it is.

        Args:
            resource: parsed JSON, or an :class:`Item` of an earlier evaluation: then the expression
                is asked of that element, and ``%resource`` is the resource that it is in.
            variables: by name without ``%``: an Item, a list of Items, parsed JSON, or a ``str``,
                ``bool``, ``int``, ``Decimal``, ``Quantity``, ``Temporal``.
            resolve: gives the resource of a reference's text, or ``None``.  Contained resources and
                entries of the same Bundle are found without it.
            steps: what it may cost, for expressions from clients ``CLIENT_STEPS``; about one for
                each item taken or made.  ``None``: no limit.
            now: the clock, aware; without it ``now()`` and ``today()`` are errors.
            outside: terminology, profiles, and who is told by ``trace()``.

        Raises:
            FhirPathError: whatever is wrong, with the column; ``StepLimit`` is one.
        """
        context = resource if isinstance(resource, Item) else root(resource, self.type)
        values = {name: _collection(value) for name, value in variables.items()}
        env = Environment(context, values, now=now, resolve=resolve, outside=outside, steps=steps)
        try:
            return self._run([context], env)
        except RecursionError:  # of hostile data: expressions have a limit of their own
            raise FhirPathError("the resource is nested too deeply") from None

    def truth(self, resource: Any, **given: Any) -> bool | None:
        """Return the result as a boolean, ``None`` when it is empty: neither true nor false.

        ``given``: as for :meth:`evaluate`.  More than one item raises :class:`FhirPathError`; one
        that is no boolean is true.  A rule of R4 is broken when this is ``False``: ``None`` is what
        ref-1 says of a reference without a text.
        """
        return truth(self.evaluate(resource, **given))

    def holds(self, resource: Any, **given: Any) -> bool:
        """Return whether :meth:`truth` is ``True``."""
        return self.truth(resource, **given) is True


def compile_expression(
    expression: str, type_: str | None = None, *, strict: bool = False, keep: bool = True
) -> Expression:
    """Return the compiled expression; with ``keep`` the same one again when it is asked for again.

    ``type_``: what it is asked of, for elements that do not say it themselves, as ``HumanName``.
    ``strict``: refuse what can never yield anything: elements that the type does not have, an
    order where there is none; needs ``type_``.
    ``keep``: not for what clients send once: compiled, it takes a thousand times the room, and with
    it they could fill the memory.
    Raises :class:`FhirPathError` with the column.
    """
    make = _compiled if keep and len(expression) <= _LONGEST_KEPT else _compiled.__wrapped__
    return make(expression, type_, strict)


@lru_cache(maxsize=2048)
def _compiled(expression: str, type_: str | None, strict: bool) -> Expression:
    node = parse(expression)
    if strict and type_ is not None:
        check(node, type_)
    return Expression(expression, type_, build(node))


def _collection(value: Any) -> Items:
    if isinstance(value, Item):
        return [value]
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [item for part in value for item in _collection(part)]
    if isinstance(value, dict):
        return [root(value)]
    if value is None:
        return []
    if isinstance(value, float):
        raise FhirPathError("a variable is a Decimal, not a float")
    return [system(value)]
