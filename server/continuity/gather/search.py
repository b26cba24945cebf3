"""Reading what may answer: few searches, each under the caller's access (C7)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from server.access.context import AccessContext
from server.continuity.form import Form
from server.continuity.gather.found import Gathered
from server.continuity.questions import Question
from server.continuity.statement import Code
from server.continuity.statements import responses
from server.continuity.statements.read import Reading
from server.continuity.validity import Validity
from server.fhir import json as fhir_json
from server.fhir.errors import FhirError
from server.interactions.rights import demand
from server.interactions.services import Services
from server.search.query import AllOf, HasKey, Predicate, Query, SortKey
from server.search.rows import compartment_key
from server.store.port import Version

MOST: Final = 1_000  # resources of one type that are asked for as a whole
MOST_CODED: Final = 300  # resources found by their codes, in one search
MOST_OF_CODE: Final = 5  # of one code, once there are more than MOST_CODED of all
MOST_RESPONSES: Final = 200

_CODE_PARAMS: Final[Mapping[str, tuple[str, ...]]] = {
    "Observation": ("code", "component-code"),
    "AllergyIntolerance": ("code",),
    "Condition": ("code",),
    "MedicationStatement": ("code",),
    "MedicationRequest": ("code",),
    "Procedure": ("code",),
    "Immunization": ("vaccine-code",),
    "FamilyMemberHistory": ("code",),
}
_LATEST: Final = (SortKey("date", "date", descending=True),)
"""What was measured last, not what was stored last: history is loaded after the present."""

_READ_WHOLE: Final = frozenset(
    (*_CODE_PARAMS, "DeviceUseStatement", "Device", "Coverage", "RelatedPerson")
) - {"Observation"}
_REFERRED: Final = ("medicationReference", "device")


@dataclass(frozen=True, slots=True)
class Looking:
    """One caller's look into the record of one patient (``Patient/id``)."""

    services: Services
    access: AccessContext
    patient: str

    async def _search(
        self,
        types: Sequence[str],
        where: Predicate,
        limit: int,
        sort: tuple[SortKey, ...] = (),
    ) -> tuple[tuple[Version, ...], bool]:
        inside = AllOf((HasKey((compartment_key(self.patient),)), where))
        return await self.found(types, inside, limit, sort)

    async def found(
        self,
        types: Sequence[str],
        where: Predicate,
        limit: int,
        sort: tuple[SortKey, ...] = (),
    ) -> tuple[tuple[Version, ...], bool]:
        """Return the first, those stored last unless sorted, and whether there are more."""
        page = await self.services.store.search(
            self.access,
            Query(tuple(types), where),
            sort=sort,
            limit=limit,
            deadline_s=self.services.policy.deadline_s,
        )
        return page.versions, page.after is not None

    async def things(
        self, found: Gathered, questions: Sequence[Question], policy: Validity
    ) -> None:
        """Read what the questions ask about."""
        whole, codes = _wanted(questions, policy)
        types = self.opened(sorted(whole - {"Device"}))
        if types:
            versions, more = await self._search(types, HasKey(tuple(types)), MOST)
            found.add(versions)
            found.cut |= set(types) if more else set()
        if "Device" in whole and self.opened(("Device",)):
            mine = HasKey((f"Device|patient|r|{self.patient}",))
            versions, more = await self.found(("Device",), mine, MOST)
            found.add(versions)
            found.cut |= {"Device"} if more else set()
        series = ["Observation"]  # they crowd out nothing but each other
        await self._coded(found, series, codes)
        single = [type_ for type_ in _CODE_PARAMS if type_ not in {*whole, *series}]
        await self._coded(found, single, codes)

    async def _coded(self, found: Gathered, types: Sequence[str], codes: frozenset[Code]) -> None:
        """Search by codes; again without those that crowd others out (a device's series)."""
        types = self.opened(types)
        if not types or not codes:
            return
        latest = _LATEST if types == ["Observation"] else ()
        enough: frozenset[Code] = codes
        while codes and enough:
            keys = HasKey(_code_keys(codes, types))
            versions, more = await self._search(types, keys, MOST_CODED, latest)
            found.add(versions)
            if not more:
                return
            enough = codes & found.codes_with(MOST_OF_CODE, versions)
            found.cut_codes |= enough
            codes -= enough
        for code in sorted(codes):
            keys = HasKey(_code_keys((code,), types))
            versions, more = await self._search(types, keys, MOST_OF_CODE, latest)
            found.add(versions)
            found.cut_codes |= {code} if more else set()

    async def responses(self, found: Gathered, form: Form) -> None:
        """Read the newest answers to all forms, and those to this one."""
        type_ = "QuestionnaireResponse"
        if not self.opened((type_,)):
            return
        versions, more = await self._search((type_,), HasKey((type_,)), MOST_RESPONSES)
        found.add(versions)
        if more:
            url = form.canonical.partition("|")[0]
            own = HasKey((f"{type_}|questionnaire|a|{url}",))
            versions, _ = await self._search((type_,), own, MOST_RESPONSES)
            found.add(versions)
            found.cut.add(type_)

    async def others(self, found: Gathered, reading: Reading) -> None:
        """Read the medications and devices that are referred to, and what things were made of."""
        wanted = {
            local
            for resource in found.resources.values()
            for part in (*(resource.get(n) for n in _REFERRED), *resource.get("derivedFrom", ()))
            if (local := reading.local(part)) and local not in found.resources
        }
        pairs = {(local.partition("/")[0], local.partition("/")[2]) for local in wanted}
        found.others.update(found.resources)
        if pairs:
            there = await self.services.store.read_many(self.access, pairs)
            for (type_, id_), version in there.items():
                found.others[f"{type_}/{id_}"] = fhir_json.loads(version.body or b"{}")

    def opened(self, types: Iterable[str]) -> list[str]:
        """Return the types that the caller may search at all."""
        return [type_ for type_ in types if _may(self.access, type_)]


def _wanted(questions: Sequence[Question], policy: Validity) -> tuple[set[str], frozenset[Code]]:
    """Return the types to be read as a whole, and the codes to be searched."""
    whole: set[str] = set()
    codes: set[Code] = set()
    for question in questions:
        type_ = question.element.partition(".")[0]
        whole |= {type_} - {"", "Patient"}
        whole |= question.topic.types - (set() if question.whole else _CODE_PARAMS.keys())
        asked = question.codes | question.kinds
        codes |= {code for code in asked if not code[0].startswith(responses.LINK)}
    if codes:
        whole.add("AllergyIntolerance")  # few, and a "none" among them bears on each of them
        codes |= {code for topic in policy.topics.values() for code in topic.none}
    return whole & _READ_WHOLE, frozenset(codes)


def _code_keys(codes: Iterable[Code], types: Iterable[str]) -> tuple[str, ...]:
    return tuple(
        f"{type_}|{param}|" + (f"s|{system}|{code}" if system else f"s||{code}")
        for system, code in sorted(codes)
        for type_ in types
        for param in _CODE_PARAMS[type_]
    )


def _may(access: AccessContext, type_: str) -> bool:
    try:
        demand(access, "search", type_)
    except FhirError:
        return False
    return True
