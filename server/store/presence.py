"""Index keys that are shared by nearly all resources of a type, and so find nothing.  Pure.

They say that a parameter has a value (``Patient|gender|?``), or they are the few codes that very
many AuditEvents have.  Stores keep them apart, as a posting for each would be most of the index.
"""

from functools import cache

from server.audit.common import common_hashes
from server.search.catalog import R4
from server.search.rows import hash64


@cache
def presences(type_: str) -> frozenset[int]:
    """Return the keys that say that a parameter of the type has a value.

    With them go the keys that very many resources of a type share.
    """
    present = frozenset(hash64(f"{type_}|{code}|?") for code in R4.parameters(type_))
    return present | common_hashes(type_)
