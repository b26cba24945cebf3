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
``Observation|subject|r|Patient/x``         reference: local ``Type/id``, or the absolute URL; of a
                                            canonical with the version that it states
``Procedure|instantiates-canonical|a|http://x``  the same canonical without its version
``Observation|subject|v|Patient/x/_history/2``  reference to a version (beside the ``r`` key)
``Observation|subject|n|s|system|value``    ``:identifier``: the reference's own identifier, in
                                            the three token forms behind ``n|``
``ValueSet|url|u|http://...``               uri, exact; canonical with and without ``|version``
``Patient|name|x|Müller``                   string, ``:exact``
``Patient|identifier|o|system|code|value``  ``:of-type``: system and code of the identifier's type
``Observation|code|t|body weight``          ``:text``: a folded display or text
``Group|characteristic-value|$|K$L``        composite of two parts that are kept as keys: ``K`` and
                                            ``L`` are what stands behind ``Type|param|`` of each
``compartment|Patient/x``                   the version belongs to that compartment
``compartment|label|system|code``           it bears that security label
``compartment|release``                     when it may be seen is limited: a date row of
                                            ``Resource|_release`` says from when on
==========================================  ====================================================

Composites of parts that are all asked of the resource as a whole have no rows: they are the AND
of their parts.  The others, such as ``component-code-value-quantity``, have the rows of their last
part under a parameter named after the first:
``Observation|component-code-value-quantity$c|8480-6``.

Rows of a contained resource stand under its type behind ``#``: ``#Medication|code|c|x``.

The hash of a reference key is composed (:func:`key_hash`), so that a store can make it of what it
keeps: ``param_hash(type, param) ^ hash64(target)``.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import NamedTuple

_int64 = Struct("<q").unpack
_blake2b = blake2b(digest_size=8).copy  # to make one with its parameters takes as long as to hash

RELEASE = "_release"  # the parameter of the date row of a release; no search knows it
RELEASE_MARK = "release"
ANY_TYPE = "Resource"  # of the row of a release: one condition then serves queries of many types

VERSION = 5  # raise it when other rows are made of the same resource: stores then index anew

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
    ``texts``: (param hash, text, key hash): texts of which a record has few distinct ones, found by
    part; ``keys`` holds the key hash, so a store need keep each text once.
    ``references``: (param hash, hash64 of the target), the target as in the ``r`` key: one
    row for each ``r`` key, and none for others.
    ``names``: hash64 of the addresses by which canonical references name this resource (``url`` and
    ``url|version``); ``Type/id`` is not among them, every resource has that.
    ``points``: (param hash, latitude, longitude).  ``narrative`` and ``content``: folded words, one
    blank between them, of the narrative and of all texts for people, narrative included.
    Param hashes are ``hash64("Type|param")``.  No tuple repeats a row; the order carries nothing.
    """

    keys: frozenset[int]
    date: int | None = None
    strings: tuple[tuple[int, str], ...] = ()
    dates: tuple[tuple[int, int, int], ...] = ()
    numbers: tuple[tuple[int, float, float, int], ...] = ()
    texts: tuple[tuple[int, str, int], ...] = ()
    references: tuple[tuple[int, int], ...] = ()
    names: tuple[int, ...] = ()
    points: tuple[tuple[int, float, float], ...] = ()
    narrative: str = ""
    content: str = ""


class Framed(NamedTuple):
    """The index rows of one of very many resources that share most of them.

    What they share, ``frame``, is one object for all of them, so that a store can prepare it once;
    its keys are never those of a compartment.  ``own`` are the keys beside it that follow from
    nothing else, ``others`` its references beside it, no target of which is one of the frame's, and
    ``within`` the keys of its compartments.  None of them is a key of presence.
    """

    frame: IndexRows
    own: tuple[int, ...]
    others: tuple[tuple[int, int], ...]
    within: frozenset[int]
    date: int
    dates: tuple[tuple[int, int, int], ...]

    @property
    def keys(self) -> frozenset[int]:
        """All keys, as of :class:`IndexRows`."""
        referred = [param ^ target for param, target in self.others]
        return self.frame.keys.union(self.own, referred, self.within)


def whole(rows: IndexRows | Framed) -> IndexRows:
    """Return rows as if nothing were shared."""
    if isinstance(rows, IndexRows):
        return rows
    return replace(
        rows.frame,
        keys=rows.keys,
        date=rows.date,
        dates=rows.dates,
        references=rows.frame.references + rows.others,
    )


def hash64(text: str) -> int:
    """Return the signed 64-bit hash of a key text (BLAKE2b, 8 bytes, little endian).

    >>> hash64("Patient")
    6303812024661377858
    """
    hashing = _blake2b()
    try:
        hashing.update(text.encode())
    except UnicodeEncodeError:  # half a character, of a client that asks for it
        hashing.update(text.encode("utf-8", "surrogatepass"))
    found: int = _int64(hashing.digest())[0]
    return found


def key_hash(text: str) -> int:
    """Return the hash under which a key text is kept.

    That of a reference (``Type|param|r|target``) is composed of parameter and target.

    >>> key_hash("Flag|subject|r|Patient/x") == hash64("Flag|subject") ^ hash64("Patient/x")
    True
    >>> key_hash("Patient") == hash64("Patient")
    True
    """
    place, found, target = text.partition("|r|")
    if found and place.count("|") == 1:
        return hash64(place) ^ hash64(target)
    return hash64(text)


@lru_cache(maxsize=65536)
def param_hash(type_: str, param: str) -> int:
    """Return the hash under which strings, dates and numbers of a parameter are stored."""
    return hash64(f"{type_}|{param}")


def label_mark(label: str) -> str:
    """Return what stands for a security label (``system|code``) among a version's compartments."""
    return f"label|{label}"


def compartment_key(reference: str) -> str:
    """Return the key text of a compartment, or of another mark that access looks at.

    >>> compartment_key("Patient/x")
    'compartment|Patient/x'
    """
    return f"compartment|{reference}"
