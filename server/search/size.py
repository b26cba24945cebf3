"""How much a predicate asks for: what reading, planning and remembering it costs."""

from server.search.query import (
    AllOf,
    AnyOf,
    HasKey,
    IdIs,
    InCompartmentOf,
    Mentioned,
    Not,
    Predicate,
    ReferredBy,
    Refers,
    StringIs,
    TextIs,
    Words,
)


def size(where: Predicate) -> int:
    """Return how many keys, values and ids a predicate names, at every hop of its chains.

    >>> size(AllOf((HasKey(("a", "b")), Not(IdIs(("x",))))))
    3
    """
    total, todo = 0, [where]
    while todo:
        match todo.pop():
            case HasKey(keys=of) | IdIs(ids=of) | StringIs(values=of) | TextIs(values=of):
                total += len(of)
            case Words(asked=phrases):
                total += len(phrases)
            case AllOf(of=parts) | AnyOf(of=parts):
                todo += parts
            case Not(of=inner):
                todo.append(inner)
            case (
                Refers(to=query)
                | ReferredBy(by=query)
                | Mentioned(by=query)
                | InCompartmentOf(to=query)
            ):
                total += 1
                todo.append(query.where)
            case _:
                total += 1
    return total
