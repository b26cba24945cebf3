"""What is there with what the answers say put into it.  Pure."""

from typing import Any, Final

Resource = dict[str, Any]

_TELLS_APART: Final = ("url", "system", "use", "type", "relationship")
"""Elements by which an entry of a list is known to be the one that is meant."""


def merged(there: Resource, new: Resource) -> Resource:
    """Return a stored resource with the elements of ``new``; what ``new`` does not say stays.

    Of a list, an entry of ``new`` replaces what it says of the entry that has the same system, use
    and type; one that is there already changes nothing; others are added.

    >>> merged({"telecom": [{"system": "phone", "value": "1"}, {"system": "email", "value": "e"}]},
    ...        {"telecom": [{"system": "phone", "value": "2"}]})["telecom"]
    [{'system': 'phone', 'value': '2'}, {'system': 'email', 'value': 'e'}]
    """
    made = dict(there)
    for name, value in new.items():
        if name in ("resourceType", "id", "meta"):
            continue
        had = made.get(name)
        if isinstance(value, list) and isinstance(had, list):
            made[name] = _list(had, value)
        elif isinstance(value, dict) and isinstance(had, dict):
            made[name] = value if "coding" in value else {**had, **value}
        else:
            made[name] = value
    for name in new:  # a choice has one type at a time
        stem = next((s for s in ("deceased", "multipleBirth", "value") if name.startswith(s)), None)
        for other in list(made) if stem is not None else ():
            if other != name and other.startswith(str(stem)):
                del made[other]
    return made


def _list(there: list[Any], new: list[Any]) -> list[Any]:
    made = list(there)
    for entry in new:
        if entry in made:
            continue
        at = _meant(made, entry)
        if at is None:
            made.append(entry)
        else:
            made[at] = {**made[at], **entry}
    return made


def _meant(there: list[Any], entry: Any) -> int | None:
    """Return which entry a new one is about."""
    if not isinstance(entry, dict):
        return None
    marks = [name for name in _TELLS_APART if name in entry]
    if not marks:
        # A name or an address that says nothing of its use is the only one, or another one.
        return 0 if len(there) == 1 and isinstance(there[0], dict) else None
    for number, one in enumerate(there):
        if isinstance(one, dict) and all(one.get(name) == entry[name] for name in marks):
            return number
    return None
