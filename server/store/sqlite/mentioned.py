"""``Mentioned``: what the resources of a query refer to, by whatever parameter.  Pure.

References are kept by the resource that states them (``edge``), so they are followed from there:
from the few resources of one patient to what these name.  Asking the other way round, who refers
to a practitioner, would look through the references of all other patients.
"""

from collections.abc import Iterator

from server.fhir import definitions
from server.search.query import AllOf, HasKey, Predicate, Query
from server.search.rows import key_hash
from server.store.sqlite.sql import Sql, exists, is_in

_COMPARTMENT = "compartment|"


def named(by: Query, where: Sql, row: str) -> Sql:
    """Return the statement that lists the rids of all that the resources of ``by`` refer to.

    ``where``: the condition of ``by`` on ``row``.
    """
    targets = Sql(f"select distinct e.dst as h from tok {row} cross join edge e on e.rid={row}.rid")
    targets = targets + _held(by, where, row)
    return Sql("select n.rid from (") + targets + Sql(") k cross join name n on n.h=k.h")


def names(by: Query, where: Sql, row: str, asked: str) -> Sql:
    """Return the rows of references of ``by`` to the row ``asked``, for EXISTS.

    The first that is found ends it, so it is the better question where few rows are asked.
    """
    found = Sql(
        f"tok {row} cross join edge e on e.rid={row}.rid and e.dst in"
        f" (select name_of(r.type,r.id) from res r where r.rid={asked}.rid"
        f" union all select h from alias where rid={asked}.rid)"
    )
    return found + _held(by, where, row)


def _held(by: Query, where: Sql, row: str) -> Sql:
    lists = tuple(dict.fromkeys(map(key_hash, _narrowest(by).keys)))
    held = Sql(" where ") + is_in(f"{row}.h", lists) + Sql(" and ") + where
    if _implied(by):
        return held
    of_type = Sql(f"res r where r.rid={row}.rid and ") + is_in("r.type", by.types)
    return held + Sql(" and ") + exists(of_type)


def _narrowest(by: Query) -> HasKey:
    """Return a posting list, or several, that hold every resource of ``by``."""
    keys = [one for one in _conjuncts(by.where) if isinstance(one, HasKey)]
    compartments = [one for one in keys if all(k.startswith(_COMPARTMENT) for k in one.keys)]
    return next(iter(compartments), HasKey(by.types))


def _implied(by: Query) -> bool:
    """Tell whether what is in the lists can only be of the types."""
    keys = _narrowest(by).keys
    if keys == by.types:
        return True
    return all(members(key) <= set(by.types) for key in keys)


def members(key: str) -> frozenset[str]:
    """Return the types that can be in a compartment, by its key.

    >>> "Observation" in members("compartment|Patient/a")
    True
    >>> "Practitioner" in members("compartment|Patient/a")
    False
    """
    kind = key.removeprefix(_COMPARTMENT).partition("/")[0]
    held = definitions.compartments().get(kind)
    if held is None:  # a label, or another mark that any type may have
        return frozenset(definitions.resource_types())
    return frozenset({type_ for type_, params in held.items() if params} | {kind})


def _conjuncts(where: Predicate) -> Iterator[Predicate]:
    if isinstance(where, AllOf):
        for one in where.of:
            yield from _conjuncts(one)
    else:
        yield where
