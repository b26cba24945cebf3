"""Whether labels hide something of a patient's record from the caller, if they may know that (C7).

The access policy says who may (``told-of-withheld``; nobody by default).  What they learn is yes or
no for the whole record: never what, how much, from when, or to which question.
"""

from dataclasses import replace
from typing import Final

from server.access.context import AccessContext
from server.access.types import record_types
from server.interactions.services import Services
from server.search.query import AllOf, HasKey, Query
from server.search.rows import compartment_key, label_mark

URL: Final = "https://tellonce.org/fhir/StructureDefinition/withheld"
EXTENSION: Final = {"url": URL, "valueBoolean": True}

_MOST: Final = 20  # entries with such labels that are compared with what the caller may see
_ABOUT_OTHERS: Final = frozenset(("AuditEvent", "Provenance"))  # they tell of entries


async def is_withheld(services: Services, access: AccessContext, patient: str) -> bool:
    """Tell whether something of ``Patient/x`` bears a label above the caller's clearance.

    ``False`` for everybody whom the policy does not entitle to know: nothing is looked for then.
    Raises DeadlineExceeded, StoreUnavailable.
    """
    hidden = sorted({label for permit in access.permits for label in permit.hidden})
    if not access.beyond or not hidden:
        return False
    types = [
        type_
        for type_ in sorted(record_types() - _ABOUT_OTHERS)
        if any(permit.covers(type_, "search") for permit in access.beyond)
    ]
    if not types:
        return False
    marks = HasKey(tuple(compartment_key(label_mark(label)) for label in hidden))
    where = AllOf((HasKey((compartment_key(patient),)), marks))
    page = await services.store.search(
        replace(access, permits=access.beyond),
        Query(tuple(types), where),
        limit=_MOST,
        deadline_s=services.policy.deadline_s,
    )
    found = {(one.type, one.id) for one in page.versions}
    seen = await services.store.read_many(access, found) if found else {}
    return bool(found - seen.keys())
