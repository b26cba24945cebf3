"""Whether an entry stands: refuted, and states that are not the usual ones.  Pure."""

from typing import Final

from server.continuity.story.telling import Telling
from server.continuity.story.wording import Json, code, codes, labels

_NEGATED: Final = "refuted"


def is_refuted(resource: Json) -> bool:
    """Tell whether a problem or an allergy was found not to be there."""
    return _NEGATED in {c for _, c in codes(resource.get("verificationStatus"))}


def state(telling: Telling, resource: Json) -> list[str]:
    """Return the words of clinical and verification status, where they are not the usual ones."""
    told = []
    for name, usual in (("clinicalStatus", "active"), ("verificationStatus", "confirmed")):
        status = code(resource.get(name))
        if status and status != usual:
            told.append(telling.words.status(status))
    return told


def where(telling: Telling, resource: Json, element: str = "bodySite") -> list[str]:
    """Return the site in the body with its side, where it is said beside what it is."""
    told = labels(resource.get(element), telling.words)
    return [told] if told else []


def in_brackets(*parts: str) -> str:
    """Return what is told beside, or ``""``."""
    return f" ({', '.join(parts)})" if parts else ""
