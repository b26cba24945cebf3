"""``Observation/$lastn``: the latest n results of each kind.  R4 observation-operation-lastn.html.

Observations are of one kind when they share a coding, or without any coding the same text.  The
order is that of the clinical date, newest first.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from server.fhir import json as fhir_json
from server.fhir.errors import InvalidParameter
from server.interactions import unfinished
from server.interactions.expand import expand
from server.interactions.links import page_url
from server.interactions.question import parsed
from server.interactions.searchset import bundle, entry
from server.operations.registry import Call, Operation, Param
from server.store.port import Scalar, Version

CHUNK = 500  # Observations looked at per step


@dataclass(slots=True)
class _Kind:
    codes: set[object]
    latest: list[tuple[int, Version]]  # with their place in the whole, newest first


async def run(call: Call) -> bytes:
    """Return a searchset, the kind with the newest result first."""
    names = {name.partition(":")[0].partition(".")[0] for name, _ in call.pairs}
    if not names & {"patient", "subject"}:
        raise InvalidParameter("$lastn needs patient or subject", expression=("patient",))
    most = call.args.get("max", 1)
    if most < 1:
        raise InvalidParameter("max is at least 1", expression=("max",))
    services = call.services
    asked = await parsed(services, call.access, "Observation", call.pairs, strict=True)
    unfinished.demand_finished(services, asked)
    wanted = await expand(services, call.access, asked)
    kinds: list[_Kind] = []
    after: tuple[Scalar, ...] | None = None
    looked_at = 0
    while True:
        page = await services.store.search(
            call.access,
            wanted.query,
            limit=CHUNK,
            after=after,
            deadline_s=services.policy.deadline_s,
        )
        for version in page.versions:
            _sort_in(kinds, looked_at, version, most)
            looked_at += 1
        after = page.after
        if after is None:
            break
    found = [version for kind in kinds for _, version in kind.latest]
    if services.audit is not None:
        question = f"Observation/$lastn?{urlencode(call.pairs)}"
        services.audit.shown(call.access, "operation", found, question)
    pairs = [("max", str(most)), *((n, v) for n, v in wanted.used if n != "_count")]
    link = page_url(services.base_url, "Observation/$lastn", pairs)
    entries = [entry(services.base_url, v, b"match", v.body or b"{}") for v in found]
    return bundle("searchset", total=len(found), links=[("self", link)], entries=entries)


def _sort_in(kinds: list[_Kind], place: int, version: Version, most: int) -> None:
    codes = codes_of(fhir_json.loads(version.body or b"{}"))
    same = [kind for kind in kinds if not kind.codes.isdisjoint(codes)]
    if not same:
        kinds.append(_Kind(codes, [(place, version)]))
        return
    first, *others = same  # a result with two codings can show that two kinds are one
    first.codes |= codes
    first.latest.append((place, version))
    for other in others:
        first.codes |= other.codes
        first.latest += other.latest
        kinds.remove(other)
    first.latest = sorted(first.latest, key=lambda placed: placed[0])[:most]


def codes_of(observation: dict[str, Any]) -> set[object]:
    """Return what says of which kind an Observation is."""
    code = observation.get("code", {})
    codings = {
        (coding.get("system"), coding.get("code"))
        for coding in code.get("coding", ())
        if coding.get("code")
    }
    return set(codings) or {code.get("text")}


OPERATION = Operation(
    code="lastn",
    definition="http://hl7.org/fhir/OperationDefinition/Observation-lastn",
    documentation="Returns the latest results of each kind of a patient. Takes the search "
    "parameters of Observation (`patient` or `subject` is needed; `category`, `code`, `date` ...).",
    levels=("type",),
    types=("Observation",),
    params=(Param("max", "integer", "Results of each kind; 1 by default."),),
    searches=True,
    needs=("search",),
    run=run,
)
