"""References followed in the second oracle: which resource a value of a reference names."""

from collections.abc import Iterable

from server.fhir.definitions import SearchParameter
from server.search.match import Candidate
from tests.matrix import naive
from tests.matrix.record import Place, Record


def named(record: Record, one: Candidate, parameter: SearchParameter) -> set[Place]:
    """Return the resources to which a resource refers by the parameter.

    R4 references.html: by type and id, whatever version is stated; canonicals by ``url``, and by
    ``version`` where it is stated.
    """
    found: set[Place] = set()
    for value in record.values(parameter, one):
        for type_, id_, _, address, _ in naive.atoms("reference", value):
            if type_ is not None and id_ is not None:
                found.add((type_, id_))
            elif address is not None:
                found |= _published(record).get(address, set())
    return found & _places(record)


def referring(
    record: Record, type_: str, parameter: SearchParameter, wanted: Iterable[Place]
) -> set[Place]:
    """Return the resources of ``type_`` that refer to one of ``wanted`` by the parameter."""
    goal = set(wanted)
    return {one.place for one in record.of_type(type_) if named(record, one, parameter) & goal}


def referred(
    record: Record, type_: str, parameter: SearchParameter, by: Iterable[Place]
) -> set[Place]:
    """Return all to which those of ``by``, which are of ``type_``, refer."""
    some = set(by)
    here = [one for one in record.of_type(type_) if one.place in some]
    return {place for one in here for place in named(record, one, parameter)}


def _places(record: Record) -> set[Place]:
    if "places" not in record.notes:
        all_ = {kept.candidate.place for kinds in record.kept.values() for kept in kinds}
        record.notes["places"] = all_
    found: set[Place] = record.notes["places"]
    return found


def _published(record: Record) -> dict[str, set[Place]]:
    if "published" not in record.notes:
        made: dict[str, set[Place]] = {}
        for kinds in record.kept.values():
            for kept in kinds:
                resource = kept.candidate.resource
                url, version = resource.get("url"), resource.get("version")
                if isinstance(url, str):
                    made.setdefault(url, set()).add(kept.candidate.place)
                    if version:
                        made.setdefault(f"{url}|{version}", set()).add(kept.candidate.place)
        record.notes["published"] = made
    found: dict[str, set[Place]] = record.notes["published"]
    return found
