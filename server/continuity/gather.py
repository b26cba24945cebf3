"""What the record says that may answer the questions of a form: few searches, for one caller.

Everything is read under the caller's access (C7).  Nothing is cut silently: where a limit leaves
something out, what is found of that kind says so in its ``note`` and is at best confirmed.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from server.access.context import AccessContext
from server.continuity.brought import Brought, brought
from server.continuity.citations import cited
from server.continuity.confirmed import confirmations
from server.continuity.form import Form, form_of
from server.continuity.questions import OF_ELEMENTS, Question
from server.continuity.statement import Code, Statement
from server.continuity.statements import elements, observations, responses, things
from server.continuity.statements.read import Reading, Resource
from server.continuity.statements.read import codes as codes_of
from server.continuity.statements.responses import Asked
from server.continuity.validity import Topic, Validity
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
MOST_FORMS: Final = 100  # Questionnaires whose answers are read

CUT: Final = "The record has more of this than is looked through; the newest were."

TAKEN_BACK: Final = "What was made of this answer was withdrawn."

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


@dataclass(slots=True)
class Gathered:
    """Resources by ``Type/id`` with their versions; ``cut`` are the types, ``cut_codes``
    the codes that have more."""

    versions: dict[str, Version] = field(default_factory=dict)
    resources: dict[str, Resource] = field(default_factory=dict)
    others: dict[str, Resource] = field(default_factory=dict)
    forms: dict[str, Asked] = field(default_factory=dict)
    cut: set[str] = field(default_factory=set)
    cut_codes: set[Code] = field(default_factory=set)

    def add(self, found: Iterable[Version]) -> None:
        """Keep what was found."""
        for version in found:
            local = f"{version.type}/{version.id}"
            if local not in self.versions and version.body is not None:
                self.versions[local] = version
                read = fhir_json.glance if _is_plain(version) else fhir_json.loads
                self.resources[local] = read(version.body)


@dataclass(frozen=True, slots=True)
class Told:
    """What may answer each question, in their order, and the versions that were read."""

    of_each: list[list[Statement]]
    versions: Mapping[str, Version]


@dataclass(frozen=True, slots=True)
class Gatherer:
    """One caller's look into one patient's record; ``patient`` is the stored Patient."""

    services: Services
    access: AccessContext
    patient: Version
    form: Form
    policy: Validity

    async def statements(self, questions: Sequence[Question]) -> Told:
        """Return what may answer each question."""
        found = Gathered()
        found.add([self.patient])
        await self._things(found, questions)
        await self._responses(found)
        await self._forms(found)
        await self._others(found)
        reading = Reading(
            self._local, self.policy, self.services.base_url, found.others, self.services.now()
        )
        told = _Index(self._told(found, reading))
        answers = [[*told.matching(question), *self._elements(found, reading, question)]
                   for question in questions]  # fmt: skip
        return Told(await self._dated(found, answers), found.versions)

    @property
    def _local(self) -> str:
        return f"Patient/{self.patient.id}"

    # -- reading ------------------------------------------------------------------------------

    async def _search(
        self,
        types: Sequence[str],
        where: Predicate,
        limit: int,
        sort: tuple[SortKey, ...] = (),
    ) -> tuple[tuple[Version, ...], bool]:
        """Return the first, those stored last unless sorted, and whether there are more."""
        inside = AllOf((HasKey((compartment_key(self._local),)), where))
        return await self._found(types, inside, limit, sort)

    async def _found(
        self,
        types: Sequence[str],
        where: Predicate,
        limit: int,
        sort: tuple[SortKey, ...] = (),
    ) -> tuple[tuple[Version, ...], bool]:
        page = await self.services.store.search(
            self.access,
            Query(tuple(types), where),
            sort=sort,
            limit=limit,
            deadline_s=self.services.policy.deadline_s,
        )
        return page.versions, page.after is not None

    async def _things(self, found: Gathered, questions: Sequence[Question]) -> None:
        whole, codes = _wanted(questions, self.policy)
        types = self._open(sorted(whole - {"Device"}))
        if types:
            versions, more = await self._search(types, HasKey(tuple(types)), MOST)
            found.add(versions)
            found.cut |= set(types) if more else set()
        if "Device" in whole and self._open(("Device",)):
            mine = HasKey((f"Device|patient|r|{self._local}",))
            versions, more = await self._found(("Device",), mine, MOST)
            found.add(versions)
            found.cut |= {"Device"} if more else set()
        series = ["Observation"]  # they crowd out nothing but each other
        await self._coded(found, series, codes)
        single = [type_ for type_ in _CODE_PARAMS if type_ not in {*whole, *series}]
        await self._coded(found, single, codes)

    async def _coded(self, found: Gathered, types: Sequence[str], codes: frozenset[Code]) -> None:
        """Search by codes; again without those that crowd others out (a device's series)."""
        types = self._open(types)
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
            enough = codes & _often(versions, found)
            found.cut_codes |= enough
            codes -= enough
        for code in sorted(codes):
            keys = HasKey(_code_keys((code,), types))
            versions, more = await self._search(types, keys, MOST_OF_CODE, latest)
            found.add(versions)
            found.cut_codes |= {code} if more else set()

    async def _responses(self, found: Gathered) -> None:
        type_ = "QuestionnaireResponse"
        if not self._open((type_,)):
            return
        versions, more = await self._search((type_,), HasKey((type_,)), MOST_RESPONSES)
        found.add(versions)
        if more:
            url = self.form.canonical.partition("|")[0]
            own = HasKey((f"{type_}|questionnaire|a|{url}",))
            versions, _ = await self._search((type_,), own, MOST_RESPONSES)
            found.add(versions)
            found.cut.add(type_)

    async def _forms(self, found: Gathered) -> None:
        """Read the forms that were answered, so that an answer's item is known by its codes."""
        named = {
            str(one.get("questionnaire", ""))
            for local, one in found.resources.items()
            if local.startswith("QuestionnaireResponse/")
        }
        urls = sorted({canonical.partition("|")[0] for canonical in named} - {"", "None"})
        stored: list[Resource] = []
        if urls and self._open(("Questionnaire",)):
            keys = tuple(f"Questionnaire|url|u|{url}" for url in urls)
            versions, _ = await self._found(("Questionnaire",), HasKey(keys), MOST_FORMS)
            stored = [fhir_json.loads(one.body or b"{}") for one in versions]
        for canonical in named:
            own = canonical == self.form.canonical != ""
            form = self.form if own else _form(stored, canonical)
            found.forms[canonical] = Asked(self.policy, canonical, form, self.form)

    async def _others(self, found: Gathered) -> None:
        """Read the medications and devices that are referred to, and what things were made of."""
        reading = Reading(self._local, self.policy, self.services.base_url)
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

    def _open(self, types: Iterable[str]) -> list[str]:
        """Return the types that the caller may search at all."""
        return [type_ for type_ in types if _may(self.access, type_)]

    # -- telling ------------------------------------------------------------------------------

    def _told(self, found: Gathered, reading: Reading) -> list[Statement]:
        told: list[Statement] = []
        for local, resource in found.resources.items():
            version = found.versions[local]
            if version.type == "Observation":
                made = list(observations.statements(resource, version.number, reading))
            elif version.type in things.ELEMENTS:
                made = list(things.statements(resource, version.number, reading))
            elif version.type == "QuestionnaireResponse":
                made = list(responses.statements(resource, version.number, reading, found.forms))
            else:
                continue
            if _is_modified(version):
                made = [replace(one, standing="withdrawn") for one in made]
            told += [_cut(one, found) for one in made]
        gone = _taken_back(told)
        return [_seen(_retracted(one, gone), found) for one in told]

    def _elements(self, found: Gathered, reading: Reading, question: Question) -> list[Statement]:
        type_ = question.element.partition(".")[0]
        asked = elements.Asked(
            question.element, question.only, question.uses, question.item.repeats
        )
        told: list[list[Statement]] = []
        for local, resource in found.resources.items() if question.element else ():
            if local.startswith(f"{type_}/"):
                version = found.versions[local]
                now = self.services.now()
                made = list(elements.statements(resource, version.number, reading, asked, now))
                if _is_modified(version):
                    made = [replace(one, standing="withdrawn") for one in made]
                if made or elements.counts(resource, reading, asked, now):
                    told.append([_cut(one, found) for one in made])
        silent = not question.item.repeats and len(told) > 1 and not all(told)
        doubt = elements.SEVERAL if silent else ""
        return [
            replace(one, note=one.note or doubt) if doubt else one for some in told for one in some
        ]

    async def _dated(
        self, found: Gathered, answers: list[list[Statement]]
    ) -> list[list[Statement]]:
        """Return the statements with who brought them, and when they were confirmed."""
        bare = {
            one.source.type + "/" + one.source.id
            for some in answers
            for one in some
            if one.source.type in OF_ELEMENTS
        }
        versions = [found.versions[local] for local in sorted(bare)]
        by = await brought(self.services, self.access, versions)
        answers = [[_brought(one, by) for one in some] for some in answers]
        sources = {one.source for some in answers for one in some}
        again = await confirmations(self.services, self.access, sources)
        return [[_confirmed(one, again) for one in some] for some in answers]


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


def _form(stored: Sequence[Resource], canonical: str) -> Form | None:
    """Return the form of an answer: of the version that it names, or the only one there is."""
    url, _, version = canonical.partition("|")
    fit = [
        one
        for one in stored
        if one.get("url") == url and (not version or one.get("version") == version)
    ]
    try:
        return form_of(fit[0]) if len(fit) == 1 else None
    except FhirError:
        return None


class _Index:
    """Statements by their codes and by the types of their sources."""

    def __init__(self, told: Sequence[Statement]) -> None:
        self._told = told
        self._by_code: dict[Code, list[int]] = {}
        self._by_type: dict[str, list[int]] = {}
        for place, one in enumerate(told):
            self._by_type.setdefault(one.source.type, []).append(place)
            for code in one.codes:
                self._by_code.setdefault(code, []).append(place)

    def matching(self, question: Question) -> list[Statement]:
        """Return what may answer: the same codes, the whole topic, and that there is none."""
        places = {place for code in question.codes for place in self._by_code.get(code, ())}
        places |= {
            place
            for code in question.kinds
            for place in self._by_code.get(code, ())
            if _says_yes(self._told[place])
        }
        topic = question.topic
        if question.whole:
            places |= {
                place
                for type_ in topic.types
                for place in self._by_type.get(type_, ())
                if self._is_of(place, topic)
            }
        types = {self._told[place].source.type for place in places} & set(things.ELEMENTS)
        types |= topic.types if topic.many else set()
        places |= {
            place
            for type_ in types
            for place in self._by_type.get(type_, ())
            if self._told[place].says == "none-known"
        }
        if not question.whole and self._names_some(types):
            places -= self._disputed(places)
        return [self._told[place] for place in sorted(places)]

    def _names_some(self, types: Iterable[str]) -> bool:
        """Tell whether something of the types is there, in words only as well."""
        listed = (self._told[place] for type_ in types for place in self._by_type.get(type_, ()))
        return any(map(_is_positive, listed))

    def _disputed(self, places: Collection[int]) -> set[int]:
        """Return the "none" that says nothing of one thing: the record names another one.

        Where it names this one, both stay, and are a conflict (C4).
        """
        if any(_is_positive(self._told[place]) for place in places):
            return set()
        return {place for place in places if self._told[place].says == "none-known"}

    def _is_of(self, place: int, topic: Topic) -> bool:
        one = self._told[place]
        return not topic.category or one.topic == topic.name or one.says == "none-known"


def _is_positive(one: Statement) -> bool:
    stands = one.standing in ("current", "unsure") and one.about == "patient"
    return stands and one.says == "present" and one.source.type in things.ELEMENTS


def _says_yes(one: Statement) -> bool:
    """Tell whether it says of what its codes name that it is there."""
    answered = (one.value or {}).get("valueBoolean") is True
    return one.says == "present" and (answered or one.source.type in things.ELEMENTS)


def _cut(one: Statement, found: Gathered) -> Statement:
    cut = one.source.type in found.cut or not found.cut_codes.isdisjoint(one.codes)
    return one.noted(CUT) if cut else one


def _often(versions: Iterable[Version], found: Gathered) -> set[Code]:
    """Return the codes of which enough was found already."""
    counted = Counter(
        code
        for one in versions
        for resource in (found.resources[f"{one.type}/{one.id}"],)
        for part in (resource, *resource.get("component", ()))
        for code in codes_of(part.get("code"))
    )
    return {code for code, count in counted.items() if count >= MOST_OF_CODE}


_NUMBERS: Final = (b"Quantity", b"Decimal", b"Range", b"Ratio", b"Age", b"Duration")


def _is_plain(version: Version) -> bool:
    """Tell whether no number of a resource can become an answer: it need not be literal then."""
    if version.type in things.ELEMENTS:
        return True
    body = version.body or b""
    answered = version.type == "QuestionnaireResponse"
    return answered and not any(name in body for name in _NUMBERS)


def _is_modified(version: Version) -> bool:
    """Tell whether something in it may turn its meaning round (R4 extensibility.html#modifier).

    What nobody here knows must not be read as if it were not there.
    """
    body = version.body or b""
    return b'"modifierExtension"' in body or b'"implicitRules"' in body


def _taken_back(told: Iterable[Statement]) -> set[tuple[str, Code]]:
    """Return answers by their response and codes of which a fact was made and withdrawn."""
    return {
        (origin, code)
        for one in told
        if one.standing == "withdrawn"
        for origin in one.origins
        for code in one.codes
    }


def _retracted(one: Statement, gone: Collection[tuple[str, Code]]) -> Statement:
    local = f"{one.source.type}/{one.source.id}"
    if gone and any((local, code) in gone for code in one.codes):
        return replace(one, note=TAKEN_BACK)
    return one


def _seen(one: Statement, found: Gathered) -> Statement:
    """Take away the origins that the caller may see; C7 leaves out what has others."""
    return replace(one, origins=one.origins - found.others.keys()) if one.origins else one


def _brought(one: Statement, by: Mapping[str, Brought]) -> Statement:
    found = by.get(f"{one.source.type}/{one.source.id}")
    return found.dated(one) if found is not None else one


def _confirmed(one: Statement, again: Mapping[str, tuple[int, object]]) -> Statement:
    told = again.get(cited(one.source))
    if told is None or (one.said_at is not None and one.said_at >= told[0]):
        return one
    return replace(one, said_at=told[0], said_until=None)
