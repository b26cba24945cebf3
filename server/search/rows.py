"""Index rows: what every store keeps of one version so that searches find it.

Made once per version by :func:`server.search.extract.index_rows`, the same for every store.
Index keys are texts of one alphabet, written down here, hashed to 64 bits for storage:

==========================================  ====================================================
key text                                    is there when
==========================================  ====================================================
``Patient``                                 the resource is a Patient
``Patient|gender|?``                        the parameter has at least one value (``:missing``)
``Observation|code|c|8867-4``               token: bare code, any system
``Observation|code|s|http://loinc.org|8867-4``  token: system and code; ``s||8867-4`` is a code
                                            without system
``Observation|code|y|http://loinc.org``     token: any code of the system
``Observation|subject|r|Patient/x``         reference: local ``Type/id``, or the absolute URL
``Observation|subject|i|x``                 reference: bare logical id of a local reference
``Observation|subject|v|Patient/x/_history/2``  reference to a version (beside the ``r`` key)
``Observation|subject|n|s|system|value``    ``:identifier``: the reference's own identifier, in
                                            the three token forms behind ``n|``
``ValueSet|url|u|http://...``               uri, exact; canonical with and without ``|version``
``Patient|name|x|Müller``                   string, ``:exact``
``compartment|Patient/x``                   the version belongs to that compartment
==========================================  ====================================================
"""

from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from struct import Struct

_INT64 = Struct("<q").unpack

VERSION = 2  # raise it when other rows are made of the same resource: stores then index anew

LONGEST_KEPT = 256  # characters of a value whose hashes are kept at hand; long ones fill the memory

MIN_TIME = -(2**62)  # an open start of a period
MAX_TIME = 2**62  # an open end of a period


@dataclass(frozen=True, slots=True)
class IndexRows:
    """The index rows of one version.

    ``keys``: hashes of the key texts above.
    ``date``: the clinical date (effective, period.start, authored ... start of the interval), in
    microseconds since 1970-01-01T00:00:00Z, or ``None`` when the resource states none; a store
    then takes the time at which the resource was first stored, which never changes.
    ``strings``: (param hash, folded text); ``dates``: (param hash, lo, hi) in microseconds, half
    open ``lo <= t < hi``; ``numbers``: (param hash, lo, hi, unit hash), half open, the unit hash
    of ``""`` in every row set so that a value is found without a unit too.
    Param hashes are ``hash64("Type|param")``.  No tuple repeats a row; the order carries nothing.
    """

    keys: frozenset[int]
    date: int | None = None
    strings: tuple[tuple[int, str], ...] = ()
    dates: tuple[tuple[int, int, int], ...] = ()
    numbers: tuple[tuple[int, float, float, int], ...] = ()


def hash64(text: str) -> int:
    """Return the signed 64-bit hash of a key text (BLAKE2b, 8 bytes, little endian).

    >>> hash64("Patient")
    6303812024661377858
    """
    return int(_INT64(blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest())[0])


@lru_cache(maxsize=65536)
def param_hash(type_: str, param: str) -> int:
    """Return the hash under which strings, dates and numbers of a parameter are stored."""
    return hash64(f"{type_}|{param}")


def compartment_key(reference: str) -> str:
    """Return the key text of a compartment.

    >>> compartment_key("Patient/x")
    'compartment|Patient/x'
    """
    return f"compartment|{reference}"
