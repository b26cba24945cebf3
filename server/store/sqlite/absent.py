"""Expectations that nothing matches, of which index keys tell: one question for all of a commit.

Nothing matches a conjunction while nobody has one of its keys.  So a new identifier, which is what
feeds and conditional creates expect, needs no plan, and nothing that was put off is written for it.
"""

from collections.abc import Iterator, Sequence, Set

import apsw

from server.search.conjuncts import flat
from server.search.query import HasKey
from server.search.rows import key_hash
from server.store.port import Expect
from server.store.presence import is_common
from server.store.sqlite.sql import numbers

_HAD = "select k.value from carray(?) k where exists(select 1 from tok t where t.h=k.value)"


def undecided(db: apsw.Connection, expected: Sequence[Expect], added: Set[int]) -> list[Expect]:
    """Return the expectations that are still to be searched for.

    ``added``: the hashes of keys that were put off, of which the file does not know yet.
    """
    lists = [list(_keys(one)) for one in expected]
    asked = frozenset[int]().union(*(keys for of_one in lists for keys in of_one))
    if not asked:
        return list(expected)
    had = {h for (h,) in db.execute(_HAD, (numbers(asked),))} | (asked & added)
    return [
        one
        for one, of_one in zip(expected, lists, strict=True)
        if not any(keys.isdisjoint(had) for keys in of_one)
    ]


def _keys(expected: Expect) -> Iterator[frozenset[int]]:
    """Yield the hashes of one of which whatever matches has a posting of its own."""
    if expected.ids:
        return
    of_type = tuple(f"{type_}|" for type_ in expected.query.types)
    for member in flat(expected.query.where):
        if isinstance(member, HasKey) and all(
            key.startswith(of_type) and not is_common(key) for key in member.keys
        ):
            yield frozenset(map(key_hash, member.keys))
