"""What a site decides about access, as data: roles, clearances, labels, releases, proxies' ages.

Read from ``policy.yaml`` beside this file and the site's own file (:mod:`.policy_file`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from functools import cached_property
from pathlib import Path
from typing import Literal

from server.access.scopes import Scopes
from server.access.value_sets import CodeSet
from server.search.marks import CONFIDENTIALITY, LEVELS, SENSITIVITY

Record = Literal["own", "proxied", "everyone", "none"]

_MOST_KEPT = 10_000  # codes of which is known what rules say
_LONGEST_KEPT = 256  # characters of one

BASES = ("parent", "guardian", "power-of-attorney", "authorization")
"""Why somebody may act for a patient."""


@dataclass(frozen=True, slots=True)
class Clearance:
    """Which labels somebody may see: levels up to ``confidentiality``, and some sensitivities."""

    confidentiality: str
    sensitive: frozenset[str]

    def meet(self, other: "Clearance") -> "Clearance":
        """Return what both may see."""
        lower = min(self.confidentiality, other.confidentiality, key=LEVELS.index)
        return Clearance(lower, self.sensitive & other.sensitive)


@dataclass(frozen=True, slots=True)
class Right:
    """A kind of writing that a role may do: of ``types``, some of ``cud``, under conditions.

    The value ``self`` of a condition stands for the person's own resource.
    """

    types: frozenset[str]
    letters: str
    query: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Role:
    """What people may do who act in it; see ``policy.yaml``."""

    name: str
    record: Record
    read: frozenset[str]
    write: tuple[Right, ...]
    clearance: Clearance
    released_only: bool = True
    departments: bool = False
    relabel: bool = False
    told_of_withheld: bool = False


@dataclass(frozen=True, slots=True)
class LabelRule:
    """Resources of ``types`` (all where none) with one of the codes get the labels ``add``."""

    name: str
    types: frozenset[str]
    elements: tuple[str, ...]
    codes: CodeSet
    add: tuple[str, ...]


class Together:
    """Label rules that look at the same elements, and what they say of the codes met last."""

    def __init__(self, elements: tuple[str, ...], rules: tuple[LabelRule, ...]) -> None:
        self.elements = elements
        self._rules = rules
        self._known: dict[str, frozenset[str]] = {}

    def labels(self, code: str) -> frozenset[str]:
        """Return the labels that ``system|code`` gives."""
        found = self._known.get(code)
        if found is None:
            one = frozenset((code,))
            given = (rule.add for rule in self._rules if rule.codes.holds_any(one))
            found = frozenset(label for some in given for label in some)
            if len(code) <= _LONGEST_KEPT:
                if len(self._known) >= _MOST_KEPT:
                    self._known.clear()
                self._known[code] = found
        return found


@dataclass(frozen=True, slots=True)
class ReleaseRule:
    """What patients see later, or not until somebody decides.

    No ``codes``, no ``statuses``: any.  ``delay``: microseconds from the first of the elements
    ``since`` that is there.  ``hold``: the reason.
    """

    name: str
    types: frozenset[str]
    elements: tuple[str, ...] = ()
    codes: CodeSet | None = None
    statuses: frozenset[str] = frozenset()
    delay: int = 0
    since: tuple[str, ...] = ()
    hold: str | None = None


@dataclass(frozen=True, slots=True)
class Ages:
    """What a proxy may see of patients of an age in years, ``first`` to ``last``, both included."""

    first: int
    last: int
    bases: frozenset[str]
    scope: Scopes
    clearance: Clearance


@dataclass(frozen=True)
class Policy:
    """The decisions of a site.  ``inherit``: by type the references that hand labels on."""

    zone: tzinfo
    sensitivities: frozenset[str]
    roles: Mapping[str, Role]
    clients: Mapping[str, str] = field(default_factory=dict)
    ages: tuple[Ages, ...] = ()
    label_rules: tuple[LabelRule, ...] = ()
    inherit: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    release_rules: tuple[ReleaseRule, ...] = ()

    @cached_property
    def enforced(self) -> frozenset[str]:
        """The labels (``system|code``) that hide what bears them from those not cleared."""
        levels = (f"{CONFIDENTIALITY}|{code}" for code in LEVELS)
        return frozenset((*levels, *(f"{SENSITIVITY}|{code}" for code in self.sensitivities)))

    @property
    def full(self) -> Clearance:
        """The clearance from which no label hides anything."""
        return Clearance(LEVELS[-1], self.sensitivities)

    def rules_for(self, type_: str) -> "tuple[Together, ...]":
        """Return the label rules for a type: those that look at the same elements together."""
        found = self._rules.get(type_)
        if found is None:
            by_elements: dict[tuple[str, ...], list[LabelRule]] = {}
            for rule in self.label_rules:
                if not rule.types or type_ in rule.types:
                    by_elements.setdefault(rule.elements, []).append(rule)
            made = (Together(elements, tuple(of)) for elements, of in by_elements.items())
            found = self._rules[type_] = tuple(made)
        return found

    def inherited(self, type_: str) -> tuple[str, ...]:
        """Return the elements of a type whose references hand labels on."""
        found = self._inherited.get(type_)
        if found is None:
            found = (*self.inherit.get("*", ()), *self.inherit.get(type_, ()))
            self._inherited[type_] = found
        return found

    @cached_property
    def _inherited(self) -> dict[str, tuple[str, ...]]:
        return {}

    @cached_property
    def _rules(self) -> "dict[str, tuple[Together, ...]]":
        return {}

    def hidden(self, clearance: Clearance) -> tuple[str, ...]:
        """Return the labels above a clearance, sorted, as a permit has them."""
        above = LEVELS[LEVELS.index(clearance.confidentiality) + 1 :]
        kept_back = self.sensitivities - clearance.sensitive
        levels = (f"{CONFIDENTIALITY}|{code}" for code in above)
        return tuple(sorted((*levels, *(f"{SENSITIVITY}|{code}" for code in kept_back))))


def load_policy(path: Path | None = None, zone: tzinfo | None = None) -> Policy:
    """Return the packaged policy, with what the site's file states otherwise.

    ``zone``: where days end, unless the site's file says it.

    Raises:
        PolicyError: every fault of the file, each as ``file:line: sentence``.
    """
    from server.access.policy_file import read_policy  # it makes the values of this module

    return read_policy(path, zone)
