"""``policy.yaml`` and the site's file -> :class:`~server.access.policy.Policy`.

Every fault is told with its file and line, all at once; a policy with a fault is none.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import tzinfo
from functools import partial
from pathlib import Path
from typing import Any

from mappings.language import Entries, Items, Node, Text, Unreadable, read
from mappings.spelling import hint
from server.access import policy_values as values
from server.access.policy import Ages, Clearance, LabelRule, Policy, ReleaseRule, Role
from server.access.policy_values import MAX_AGE, Reader
from server.access.value_sets import CodeSet
from server.fhir import definitions
from server.search.marks import CONFIDENTIALITY, LEVELS, SENSITIVITY

PACKAGED = Path(__file__).with_name("policy.yaml")

_SINCE = ("issued", "effectiveDateTime", "effectivePeriod.end", "date", "authoredOn", "created")

Made = dict[str, Any]


class PolicyError(ValueError):
    """A policy that cannot be used; ``problems`` are its faults as ``file:line: sentence``."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class _Told(Exception):
    """A fault that stands among the problems already; there is no value."""


def read_policy(path: Path | None, zone: tzinfo | None = None) -> Policy:
    """Return the policy; see :func:`server.access.policy.load_policy`."""
    reading = _Reading()
    try:
        said = values.mapping(read(PACKAGED, PACKAGED.name))
        site = values.mapping(read(path, path.name)) if path is not None else Entries()
        made = reading.policy(_over(said, site) if path is not None else said)
        return made if zone is None or "zone" in site else replace(made, zone=zone)
    except (Unreadable, OSError, values.Fault) as error:
        raise PolicyError([str(error)]) from error
    except _Told:
        raise PolicyError(reading.problems) from None


def _over(under: Entries, over: Entries) -> Entries:
    """Return both, merged key by key; what is no mapping replaces."""
    made = Entries(under)
    made.place, made.places = over.place, {**under.places, **over.places}
    for key, said in over.items():
        had = under.get(key)
        both = isinstance(had, Entries) and isinstance(said, Entries)
        made[key] = _over(had, said) if both else said  # type: ignore[arg-type] # both are
    return made


class _Reading:
    """One reading of a file.  What is read first, the rest is checked against."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._sensitivities: frozenset[str] = frozenset()
        self._roles: Mapping[str, Role] = {}
        self._sets: Mapping[str, CodeSet] = {}
        self._elements: tuple[str, ...] = ()

    def policy(self, said: Node) -> Policy:
        """Return the policy; raises :class:`_Told` when it has faults."""
        made = self._fields(
            said,
            {
                "zone": values.zone,
                "sensitivities": self._known_sensitivities,
                "roles": self._known_roles,
                "clients": lambda node: self._each(node, self._client),
                "proxies": self._proxies,
                "labels": self._labels,
                "release": self._release,
            },
        )
        made |= made.pop("labels")
        return Policy(ages=made.pop("proxies"), release_rules=made.pop("release"), **made)

    # -- roles --------------------------------------------------------------------------------

    def _known_sensitivities(self, said: Node) -> frozenset[str]:
        self._sensitivities = frozenset(values.words(said))
        return self._sensitivities

    def _known_roles(self, said: Node) -> Mapping[str, Role]:
        self._roles = self._each(said, self._role)
        return self._roles

    def _role(self, name: str, said: Node) -> Role:
        made = self._fields(
            said,
            {
                "record": values.one_of("own", "proxied", "everyone", "none"),
                "read": values.types,
                "write": values.rights,
                "confidentiality": values.one_of(*LEVELS),
                "sensitive": self._sensitive,
                "released-only": values.yes,
                "departments": values.yes,
                "relabel": values.yes,
                "told-of-withheld": values.yes,
            },
            optional=("departments", "relabel", "told-of-withheld"),
        )
        clearance = Clearance(made.pop("confidentiality"), made.pop("sensitive"))
        if made.get("told-of-withheld") and made["record"] != "everyone":
            told = "told-of-withheld is for roles whose record is 'everyone': who treats patients"
            raise values.Fault(values.mapping(said)["told-of-withheld"], told)
        flags = {key.replace("-", "_"): value for key, value in made.items()}
        return Role(name, clearance=clearance, **flags)

    def _client(self, _id: str, said: Node) -> str:
        role = values.text(said)
        if role not in self._roles:
            raise values.Fault(said, f"there is no role {role!r}{hint(role, self._roles)}")
        return role

    def _sensitive(self, said: Node) -> frozenset[str]:
        found: set[str] = set()
        for word in values.words(said):
            code = word.removeprefix("-")
            if code != "*" and code not in self._sensitivities:
                told = f"{code!r} is not among `sensitivities`{hint(code, self._sensitivities)}"
                raise values.Fault(said, told)
            some = self._sensitivities if code == "*" else {code}
            found = found - some if word.startswith("-") else found | some
        return frozenset(found)

    # -- proxies ------------------------------------------------------------------------------

    def _proxies(self, said: Node) -> tuple[Ages, ...]:
        made = self._fields(
            said,
            {
                "jurisdiction": values.text,
                "jurisdictions": lambda node: self._each(node, lambda _, table: self._table(table)),
            },
        )
        name, known = made["jurisdiction"], made["jurisdictions"]
        if name not in known:
            raise values.Fault(said, f"there is no jurisdiction {name!r}{hint(name, known)}")
        table: tuple[Ages, ...] = known[name]
        return table

    def _table(self, said: Node) -> tuple[Ages, ...]:
        rows = [self._ages(row) for row in said] if isinstance(said, Items) else []
        next_ = 0
        for row in rows:
            if row.first != next_:
                raise values.Fault(said, f"the ages from {next_} to {row.first} are not said once")
            next_ = row.last + 1
        if next_ <= MAX_AGE:
            raise values.Fault(said, f"the ages from {next_} on are not said")
        return tuple(rows)

    def _ages(self, said: Node) -> Ages:
        made = self._fields(
            said,
            {
                "from": values.age,
                "below": values.age,
                "bases": values.bases,
                "scope": values.scope,
                "confidentiality": values.one_of(*LEVELS),
                "sensitive": self._sensitive,
            },
            optional=("below",),
        )
        clearance = Clearance(made["confidentiality"], made["sensitive"])
        last = made.get("below", MAX_AGE + 1) - 1
        return Ages(made["from"], last, made["bases"], made["scope"], clearance)

    # -- labels and releases ------------------------------------------------------------------

    def _labels(self, said: Node) -> Made:
        made = self._fields(
            said,
            {
                "value-sets": self._known_sets,
                "elements": self._known_elements,
                "rules": lambda node: self._each(node, self._label_rule),
                "inherit": lambda node: self._each(node, self._inherited),
            },
        )
        return {"label_rules": tuple(made["rules"].values()), "inherit": made["inherit"]}

    def _known_sets(self, said: Node) -> Mapping[str, CodeSet]:
        self._sets = self._each(said, lambda _, node: values.value_set(node))
        return self._sets

    def _known_elements(self, said: Node) -> tuple[str, ...]:
        self._elements = values.elements(said)
        return self._elements

    def _label_rule(self, name: str, said: Node) -> LabelRule:
        made = self._fields(
            said,
            {
                "types": values.types,
                "codes": self._codes,
                "elements": values.elements,
                "add": self._added,
            },
            optional=("types", "elements"),
        )
        elements = made.get("elements", self._elements)
        return LabelRule(name, made.get("types", frozenset()), elements, made["codes"], made["add"])

    def _inherited(self, name: str, said: Node) -> tuple[str, ...]:
        if name != "*" and name not in definitions.resource_types():
            told = f"{name!r} is not a resource type{hint(name, definitions.resource_types())}"
            raise values.Fault(said, told)
        return values.elements(said)

    def _codes(self, said: Node) -> CodeSet:
        """Read the name of a value set, or a list of codes."""
        if not isinstance(said, Text):
            return values.value_set(said)
        if said not in self._sets:
            raise values.Fault(said, f"there is no value set {str(said)!r}{hint(said, self._sets)}")
        return self._sets[said]

    def _added(self, said: Node) -> tuple[str, ...]:
        found = []
        for code in values.words(said):
            if code not in LEVELS and code not in self._sensitivities:
                known = (*LEVELS, *self._sensitivities)
                raise values.Fault(
                    said, f"{code!r} is no label that is enforced{hint(code, known)}"
                )
            found.append(f"{CONFIDENTIALITY if code in LEVELS else SENSITIVITY}|{code}")
        return tuple(found)

    def _release(self, said: Node) -> tuple[ReleaseRule, ...]:
        rules = self._fields(said, {"rules": lambda node: self._each(node, self._release_rule)})
        return tuple(rules["rules"].values())

    def _release_rule(self, name: str, said: Node) -> ReleaseRule:
        made = self._fields(
            said,
            {
                "types": values.types,
                "codes": self._codes,
                "elements": values.elements,
                "statuses": lambda node: frozenset(values.words(node)),
                "delay": values.delay,
                "since": values.elements,
                "hold": values.text,
            },
            optional=("codes", "elements", "statuses", "delay", "since", "hold"),
        )
        if ("delay" in made) is ("hold" in made):
            raise values.Fault(said, f"rule {name} has either `delay` or `hold`")
        made.setdefault("elements", self._elements)
        made.setdefault("since", _SINCE)
        return ReleaseRule(name, **made)

    # -- mappings -----------------------------------------------------------------------------

    def _fields(
        self, said: Node, readers: Mapping[str, Reader], optional: Sequence[str] = ()
    ) -> Made:
        """Return what the keys say; every fault is told before the first one ends it."""
        node, count = values.mapping(said), len(self.problems)
        for key in node.keys() - readers.keys():
            told = f"there is no key {key!r} here{hint(key, readers)}"
            self.problems.append(f"{node.places[key]}: {told}")
        for key in readers.keys() - node.keys() - set(optional):
            self.problems.append(f"{node.place}: there is no key {key!r}, which is needed")
        parts = {key: partial(readers[key], node[key]) for key in readers if key in node}
        return self._all(parts, count)

    def _each(self, said: Node, reader: Callable[[str, Node], Any]) -> Made:
        """Return what is said under each name."""
        node = values.mapping(said)
        parts = {name: partial(reader, name, part) for name, part in node.items()}
        return self._all(parts, len(self.problems))

    def _all(self, parts: Mapping[str, Callable[[], Any]], count: int) -> Made:
        """Return what the parts say; raise when there are more than ``count`` problems then."""
        made: Made = {}
        for key, part in parts.items():
            try:
                made[key] = part()
            except values.Fault as fault:
                self.problems.append(str(fault))
            except _Told:
                pass
        if len(self.problems) > count:
            raise _Told
        return made
