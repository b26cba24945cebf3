"""Whose record a version belongs to, and what labels it bears: what audit tells of a read.

The patients are those of the compartments that R4 names.  Nothing of a version ever changes, so
what was found is kept at hand.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from server.fhir import json as fhir_json
from server.search import extract, marks
from server.store.port import Version, Write

KEPT = 50_000  # versions whose patients are at hand
_LABEL = "label|"


@dataclass(frozen=True, slots=True)
class Concerned:
    """``patients`` are ``Patient/x``, ``labels`` are ``system|code``; both without repeats."""

    patients: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


NOBODY = Concerned()


class Subjects:
    """Finds whom versions concern; ``base_url`` is the server's own."""

    def __init__(self, base_url: str) -> None:
        self._base_url = base_url
        self._kept: OrderedDict[tuple[str, str, int], Concerned] = OrderedDict()

    def of(self, version: Version) -> Concerned:
        """Return whom one version concerns; nobody, if it is a deletion."""
        place = (version.type, version.id, version.number)
        found = self._kept.get(place)
        if found is None:
            found = concerned(version, self._base_url)
            if len(self._kept) >= KEPT:
                self._kept.popitem(last=False)
            self._kept[place] = found
        return found

    def of_all(self, versions: Sequence[Version]) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Return each patient that the versions concern, with the labels of what is theirs."""
        labels: dict[str, dict[str, None]] = {}
        for version in versions:
            found = self.of(version)
            for patient in found.patients:
                labels.setdefault(patient, {}).update(dict.fromkeys(found.labels))
        return tuple((patient, tuple(seen)) for patient, seen in labels.items())


def concerned(version: Version, base_url: str) -> Concerned:
    """Return whom a version concerns, from its body."""
    body = version.body
    if body is None:
        return NOBODY
    labelled = b'"security":' in body
    if version.type == "Patient" and not labelled and b'"Patient/' not in body:
        return Concerned((f"Patient/{version.id}",))
    if not labelled and version.type != "Patient" and b"Patient/" not in body:
        return NOBODY
    resource = fhir_json.glance(body)
    own = extract.compartments(resource, base_url)
    return Concerned(patients_in(own), marks.labels(resource))


def of_write(write: Write) -> Concerned:
    """Return whom a write concerns, from the marks that it comes with."""
    return Concerned(patients_in(write.compartments), labels_in(write.compartments))


def patients_in(compartments: Iterable[str]) -> tuple[str, ...]:
    """Return those of the compartments that are patients'."""
    return tuple(one for one in compartments if one.startswith("Patient/"))


def labels_in(marks: Iterable[str]) -> tuple[str, ...]:
    """Return the security labels among the marks of a write."""
    return tuple(one.removeprefix(_LABEL) for one in marks if one.startswith(_LABEL))
