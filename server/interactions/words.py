"""``_text`` and ``_content`` where the operator keeps no words: refused, not found empty."""

from server.fhir.errors import InvalidSearch, Issue
from server.interactions.services import Services
from server.search.query import (
    AllOf,
    AnyOf,
    Not,
    Predicate,
    ReferredBy,
    Refers,
    Search,
    Words,
)


def demand_kept(services: Services, search: Search) -> None:
    """Raise ``InvalidSearch`` when a search asks for words that are not kept."""
    if services.policy.words:
        return
    asked = _asked(search.query.where)
    if asked is not None:
        name = f"_{asked}"
        told = f"{name}: this server keeps no words (TELLONCE_SEARCH_WORDS=false)"
        issue = Issue("error", "not-supported", told, (name,))
        raise InvalidSearch(told, expression=(name,), issues=(issue,))


def _asked(where: Predicate) -> str | None:
    match where:
        case Words(of):
            return of
        case AllOf(parts) | AnyOf(parts):
            return next((found for one in parts if (found := _asked(one)) is not None), None)
        case Not(inner):
            return _asked(inner)
        case Refers(to=to):
            return _asked(to.where)
        case ReferredBy(by=by):
            return _asked(by.where)
        case _:
            return None
