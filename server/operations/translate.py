"""``ConceptMap/$translate``: what a code is in another code system.

R4 conceptmap-operation-translate.html.  Asked of one map (by id, ``url`` or ``conceptMap``), or of
all active ones that map the code's system.  In reverse, ``wider`` and ``narrower`` change places,
since an equivalence always tells how the answer relates to the question.
"""

from collections.abc import Iterable
from typing import Any

from server.fhir import json as fhir_json
from server.fhir.errors import InvalidParameter, NotFound
from server.interactions.concept_maps import ConceptMaps, Found
from server.interactions.read import looked_up
from server.operations.registry import Call, Operation, Param
from server.validation import check
from terminology import concept_map
from terminology.concept_map import Beside, Coded, ConceptMap
from terminology.translation import Match, Translation, Wanted, translate

MAX_CODINGS = 50  # of one CodeableConcept


async def run(call: Call) -> bytes:
    """Return Parameters: ``result``, ``message`` where there is one, and every ``match``."""
    concepts = _concepts(call.args)
    wanted = Wanted(
        call.args.get("targetsystem"), _dependencies(call.args), call.args.get("reverse", False)
    )
    maps = ConceptMaps(call.services, call.access)
    found = await _asked(call, maps, concepts, wanted)
    scoped = tuple(one for one in found.maps if _fits(one, call.args, reverse=wanted.reverse))
    find, beyond = await maps.finder(found)
    told = [translate(scoped, one, wanted, find=find) for one in concepts]
    if call.services.audit is not None:
        address = "/".join(part for part in (call.type, call.id, "$translate") if part)
        versions = dict.fromkeys((*found.versions, *beyond.versions))
        call.services.audit.shown(call.access, "operation", tuple(versions), address)
    return fhir_json.dumps(_answer(told))


def _concepts(args: Any) -> tuple[Coded, ...]:
    given = [name for name in ("code", "coding", "codeableConcept") if name in args]
    if len(given) != 1:
        raise InvalidParameter(
            "$translate needs one of code, coding and codeableConcept",
            expression=tuple(given) or ("code", "coding", "codeableConcept"),
        )
    if given == ["code"]:
        if not args.get("system"):
            raise InvalidParameter("a code needs its system", expression=("system",))
        return (Coded(args["system"], args["code"], None, args.get("version")),)
    codings = [args["coding"]] if given == ["coding"] else args["codeableConcept"].get("coding", [])
    if len(codings) > MAX_CODINGS:
        raise InvalidParameter(
            f"at most {MAX_CODINGS} codings are translated at once", expression=tuple(given)
        )
    made = tuple(_coded(one) for one in codings if one.get("code") and one.get("system"))
    if not made:
        raise InvalidParameter("a coding needs system and code", expression=tuple(given))
    return made


def _coded(coding: dict[str, Any]) -> Coded:
    return Coded(
        coding.get("system", ""), coding["code"], coding.get("display"), coding.get("version")
    )


def _dependencies(args: Any) -> dict[str, tuple[Coded, ...]]:
    made: dict[str, tuple[Coded, ...]] = {}
    for part in args.get("dependency", ()):
        concept = part.get("concept", {})
        codes = [_coded(one) for one in concept.get("coding", ()) if one.get("code")]
        if text := concept.get("text"):
            codes.append(Coded("", text))
        element = part.get("element", "")
        made[element] = (*made.get(element, ()), *codes)
    return made


async def _asked(call: Call, maps: ConceptMaps, concepts: Iterable[Coded], wanted: Wanted) -> Found:
    """Return the maps to ask; a map that the caller may not see is one that is not there."""
    args = call.args
    if call.id is not None:
        version = await looked_up(call.services, call.access, "ConceptMap", call.id)
        return Found((await maps.of(version),), (version,))
    if "conceptMap" in args:
        return Found((_sent(args["conceptMap"]),))
    if "url" in args:
        version_ = args.get("conceptMapVersion")
        canonical = f"{args['url']}|{version_}" if version_ else args["url"]
        named = await maps.named(canonical)
        if not named.maps:
            raise NotFound(f"there is no concept map {canonical[:300]}", expression=("url",))
        return named
    found = Found()
    for system in dict.fromkeys(one.system for one in concepts):
        found = found.and_(await maps.from_system(system, reverse=wanted.reverse))
    return found


def _sent(resource: dict[str, Any]) -> ConceptMap:
    if resource["resourceType"] != "ConceptMap":
        raise InvalidParameter("conceptMap takes a ConceptMap", expression=("conceptMap",))
    check(resource)
    return concept_map.compiled(resource)


def _fits(map_: ConceptMap, args: Any, *, reverse: bool) -> bool:
    """Whether the map is between the value sets asked for, as far as it says which those are."""
    source, target = map_.source, map_.target
    if reverse:
        source, target = target, source
    stated = ((args.get("source"), source), (args.get("target"), target))
    return all(
        asked is None or own is None or asked.partition("|")[0] == own.partition("|")[0]
        for asked, own in stated
    )


def _answer(told: Iterable[Translation]) -> dict[str, Any]:
    all_ = list(told)
    matches = dict.fromkeys(match for one in all_ for match in one.matches)
    messages = dict.fromkeys(message for one in all_ for message in one.messages)
    result = any(one.result for one in all_)
    if not matches:
        messages = dict.fromkeys(("no concept map has this code", *messages))
    parts: list[dict[str, Any]] = [{"name": "result", "valueBoolean": result}]
    if messages:
        parts.append({"name": "message", "valueString": "; ".join(messages)})
    parts += [{"name": "match", "part": _match(match)} for match in matches]
    return {"resourceType": "Parameters", "parameter": parts}


def _match(match: Match) -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = [{"name": "equivalence", "valueCode": match.equivalence}]
    if match.concept is not None:
        made.append({"name": "concept", "valueCoding": match.concept.to_fhir()})
    made += [{"name": "product", "part": _product(one)} for one in match.products]
    made.append({"name": "source", "valueUri": match.source})
    return made


def _product(product: Beside) -> list[dict[str, Any]]:
    return [
        {"name": "element", "valueUri": product.element},
        {"name": "concept", "valueCoding": product.value.to_fhir()},
    ]


OPERATION = Operation(
    code="translate",
    definition="http://hl7.org/fhir/OperationDefinition/ConceptMap-translate",
    documentation="Translates a code by one ConceptMap, or by all active ones of its system. "
    "`result` is true when a match is more than `unmatched` or `disjoint`. Codes that no group has "
    "become what `unmapped` says, also over other maps; a match of these is `relatedto`.",
    levels=("type", "instance"),
    types=("ConceptMap",),
    scopes="`ConceptMap.rs`; the HL7v2 tables of this server take `ConceptMap.r`.",
    params=(
        Param(
            "url",
            "uri",
            "Canonical URL of the map; `https://tellonce.org/fhir/ConceptMap/v2-AdministrativeSex` "
            "and the like are the HL7v2 tables that messages are read by.",
        ),
        Param("conceptMap", "Resource", "The map itself."),
        Param("conceptMapVersion", "string", "Version of the map of `url`."),
        Param("code", "code", "The code, with its `system`."),
        Param("system", "uri", "The code's system."),
        Param("version", "string", "The version of the code's system."),
        Param("source", "uri", "The value set that the code is of; a map of another is not asked."),
        Param("coding", "Coding", "The code, as a Coding."),
        Param("codeableConcept", "CodeableConcept", "The code, in several codings."),
        Param("target", "uri", "The value set that is wanted; a map to another is not asked."),
        Param("targetsystem", "uri", "The code system that is wanted."),
        Param(
            "dependency",
            "parts",
            "What else is known; a match that depends on something else is left out.",
            many=True,
            parts=(
                Param("element", "uri", "What it is, the `property` of `dependsOn`."),
                Param("concept", "CodeableConcept", "Its value."),
            ),
        ),
        Param("reverse", "boolean", "From the targets of the maps to their sources."),
    ),
    run=run,
)
