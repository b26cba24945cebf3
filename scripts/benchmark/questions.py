"""What a record is asked as it grows, and how much slower it may become."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote

from benchmark.record import LOINC
from benchmark.ward import people

RATIO = 1.5  # of what it took in the smaller record
LINKED_MS = 5.0  # for what follows references
HEAVY_MS = 2.0

Ask = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Question:
    """``asked`` as clients write it, below the base: ``{p}`` is one of many patients, ``{i}`` an
    identifier of that patient, ``{ids}`` twenty ids, ``{rare}`` a value that a dozen exceed.

    ``within_ms``: budget of the median over HTTP.  ``grows``: it has to look at more in a larger
    record, so no ratio is asked for.  ``store``: whether the store alone answers it.
    """

    name: str
    asked: str
    within_ms: float | None = None
    store: bool = True
    grows: bool = False


_PAGE = "&_sort=-date&_count=20"
_HEART = quote(f"{LOINC}|8867-4", safe="")
QUESTIONS = (
    Question("newest 20 of a patient", f"Observation?patient=Patient/{{p}}{_PAGE}"),
    Question(
        "newest 20 of the heavy patient", f"Observation?patient=Patient/heavy{_PAGE}", HEAVY_MS
    ),
    Question("patient, code", f"Observation?patient=Patient/{{p}}&code={_HEART}{_PAGE}"),
    Question("heavy patient, code", f"Observation?patient=Patient/heavy&code={_HEART}{_PAGE}"),
    Question(
        "patient, category, date",
        "Observation?patient=Patient/{p}&category=vital-signs&date=ge2024-01-01&_count=20",
    ),
    Question("code, day", f"Observation?code={_HEART}&date=2024-05-17&_count=20", grows=True),
    Question(
        # Sorted while it is little, then walked to: the same for every larger record.
        "code, a value of 1 in 100",
        f"Observation?code={_HEART}&value-quantity=gt198",
        grows=True,
    ),
    Question("code, a rare value", f"Observation?code={_HEART}&value-quantity=gt{{rare}}"),
    Question("chain to a ninth", f"Observation?subject:Patient.family=Silva{_PAGE}", LINKED_MS),
    Question(
        "chain to an identifier", f"Observation?subject:Patient.identifier={{i}}{_PAGE}", LINKED_MS
    ),
    Question(
        "chain to a half, code", f"Observation?patient.gender=female&code={_HEART}", LINKED_MS
    ),
    Question("_has a code", f"Patient?_has:Observation:patient:code={_HEART}", LINKED_MS),
    Question(
        "_has a rare value",
        "Patient?_has:Observation:patient:value-quantity=gt{rare}",
        LINKED_MS,
    ),
    Question("patients by family", "Patient?_sort=family&_count=20"),
    Question("patients by birth date", "Patient?_sort=-birthdate&_count=20"),
    Question("observations by code", "Observation?patient=Patient/{p}&_sort=code&_count=20"),
    Question("last changed", "Observation?_sort=-_lastUpdated&_count=20"),
    Question("a word of a sixth", "Observation?_content=temperature"),
    Question("a code's text", "Observation?code:text=gluc"),
    Question("without an encounter", "Observation?encounter:missing=true"),
    Question("20 patients by id", "Patient?_id={ids}&_count=20"),
    Question(
        "_include",
        f"Observation?code={_HEART}&_include=Observation:patient{_PAGE}",
        LINKED_MS,
        store=False,
    ),
    Question(
        "_revinclude", "Patient?_id={p}&_revinclude=Observation:patient", LINKED_MS, store=False
    ),
)


def asking(question: Question, size: int, identifier: Ask, chance: random.Random) -> str:
    """Return the request to a record of ``size``; ``identifier`` tells that of a patient."""
    many = people(size)
    one = f"p{chance.randrange(1, many)}"
    ids = ",".join(f"p{chance.randrange(1, many)}" for _ in range(20))
    rare = round(200 - max(0.01, 2400 / size), 2)
    named = quote(identifier(one), safe="") if "{i}" in question.asked else ""
    return question.asked.format(p=one, ids=ids, i=named, rare=rare)
