"""``Mentioned``: what the resources of a query refer to, by whatever parameter.  Pure.

References are kept by the resource that states them (``edge``), so they are followed from there:
from the few resources of one patient to what these name.  Asking the other way round, who refers
to a practitioner, would look through the references of all other patients.
"""

from server.search.conjuncts import is_only_of
from server.search.query import AllOf, AnyOf, HasKey, Predicate, Query
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


def _held(by: Query, where: Sql, row: str) -> Sql:
    keys = _cover(by.where) or by.types
    lists = tuple(dict.fromkeys(map(key_hash, keys)))
    held = Sql(" where ") + is_in(f"{row}.h", lists) + Sql(" and ") + where
    if keys == by.types or all(is_only_of(key, frozenset(by.types)) for key in keys):
        return held
    of_type = Sql(f"res r where r.rid={row}.rid and ") + is_in("r.type", by.types)
    return held + Sql(" and ") + exists(of_type)


def compartments(where: Predicate) -> tuple[str, ...]:
    """Return keys of compartments of which every match has one; () when there are none such."""
    keys = _cover(where)
    return keys if all(key.startswith(_COMPARTMENT) for key in keys) else ()


def _cover(where: Predicate) -> tuple[str, ...]:
    """Return keys of which every match has one, those of compartments if possible; else none."""
    match where:
        case HasKey(keys):
            return keys
        case AllOf(of):
            found = [keys for one in of if (keys := _cover(one))]
            narrow = (keys for keys in found if all(k.startswith(_COMPARTMENT) for k in keys))
            return next(narrow, next(iter(found), ()))
        case AnyOf(of):
            alternatives = [_cover(one) for one in of]
            return tuple(k for keys in alternatives for k in keys) if all(alternatives) else ()
        case _:
            return ()
