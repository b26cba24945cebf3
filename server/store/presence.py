"""Index keys that are shared by nearly all resources of a type, and so find nothing.  Pure.

They say that a parameter has a value (``Patient|gender|?``), or they are the few codes that very
many AuditEvents have.  Stores keep them apart, as a posting for each would be most of the index.
"""

from functools import cache

from server.audit.common import common_hashes
from server.search.catalog import R4
from server.search.rows import hash64, key_hash


def is_common(key: str) -> bool:
    """Tell whether a key text is one of :func:`presences`.

    >>> is_common("Patient|gender|?"), is_common("Patient|gender|c|male")
    (True, False)
    """
    type_, bar, _ = key.partition("|")
    return bool(bar) and type_[:1].isupper() and key_hash(key) in presences(type_)


@cache
def presences(type_: str) -> frozenset[int]:
    """Return the keys that say that a parameter of the type has a value.

    With them go the keys that very many resources of a type share.
    """
    present = frozenset(hash64(f"{type_}|{code}|?") for code in R4.parameters(type_))
    return present | common_hashes(type_)
