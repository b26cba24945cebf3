"""``_list``: what a List has among its entries.  R4 search.html#list, lifecycle.html#current.

``42`` and ``List/42`` name a List.  ``$current-problems`` and the like name a list by what it is
for: whatever is in a List of ``status`` current whose ``code`` says so.  Whose list it is, is asked
beside it (``patient=42&_list=$current-allergies``).  R4 warns that no status of a Condition or of a
medication tells whether it is current, so where nobody keeps such a List nothing is found.

``List.mode`` has no search parameter in R4: a snapshot that states to be current counts as well.
"""

from collections.abc import Mapping

from server.fhir.references import split_reference
from server.search.asked import any_of
from server.search.query import AllOf, HasKey, IdIs, Predicate, Query, ReferredBy
from server.search.value import refused, split, unescape

MAX_LISTS = 100  # in one OR list

_LOINC = "http://loinc.org"
_USES = "http://terminology.hl7.org/CodeSystem/list-example-use-codes"
_CURRENT = HasKey(("List|status|c|current",))
_ALLERGIES = (
    f"{_LOINC}|48765-2",  # Allergies and adverse reactions
    f"{_LOINC}|52472-8",  # Allergies and adverse drug reactions
    f"{_LOINC}|18716-1",  # Allergy studies
    f"{_USES}|allergies",
)

CODES: Mapping[str, tuple[str, ...]] = {
    "$current-problems": (
        f"{_LOINC}|11450-4",  # Problem list - reported
        f"{_LOINC}|46105-3",  # Problem conditions
        f"{_USES}|problems",
    ),
    "$current-medications": (
        f"{_LOINC}|10160-0",  # History of medication use
        f"{_LOINC}|57828-6",  # Prescription list
        f"{_USES}|medications",
    ),
    "$current-allergies": _ALLERGIES,
    "$current-drug-allergies": _ALLERGIES,
}
"""The codes, ``system|code``, that a List of each name has: those of R4 and of List.code."""

# R4 calls it a subset of the allergies, and names no code of its own.
_SUBSETS: Mapping[str, Predicate] = {
    "$current-drug-allergies": HasKey(("AllergyIntolerance|category|c|medication",)),
}


def predicate(name: str, text: str, base_url: str) -> Predicate:
    """Return what ``_list=text`` asks; ``name`` is the parameter as sent, for messages.

    Raises InvalidSearch: a value that is neither the id of a List nor a name of :data:`CODES`.
    """
    values = split(text, ",")
    if len(values) > MAX_LISTS:
        raise refused(name, f"{len(values)} lists; at most {MAX_LISTS}")
    found: list[Predicate] = []
    ids: list[str] = []
    for value in map(unescape, values):
        if value.startswith("$"):
            found.append(_functional(name, value))
        else:
            ids.append(_id(name, value, base_url))
    if ids:
        found.append(_in_list(IdIs(tuple(dict.fromkeys(ids)))))
    return any_of(found)


def _functional(name: str, value: str) -> Predicate:
    codes = CODES.get(value)
    if codes is None:
        raise refused(name, f"{value!r} is none of the lists {', '.join(CODES)}")
    coded = HasKey(tuple(f"List|code|s|{code}" for code in codes))
    listed = _in_list(AllOf((_CURRENT, coded)))
    subset = _SUBSETS.get(value)
    return AllOf((listed, subset)) if subset is not None else listed


def _in_list(where: Predicate) -> Predicate:
    return ReferredBy(Query(("List",), where), "item")


def _id(name: str, value: str, base_url: str) -> str:
    reference = split_reference(value if "/" in value else f"List/{value}", base_url)
    if reference.type != "List" or reference.id is None or reference.version or reference.fragment:
        raise refused(name, f"{value!r} is not the id of a List")
    return reference.id
