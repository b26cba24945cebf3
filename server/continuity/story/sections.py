"""Gathered entries -> the sentences of each section.  Pure."""

from collections.abc import Callable, Mapping
from typing import Final

from server.continuity.story import allergies, conflicts, decisions, findings, home, voice
from server.continuity.story.about import about
from server.continuity.story.gather import Gathered, Group
from server.continuity.story.sentence import Section, Sentence
from server.continuity.story.telling import Found, Telling, is_withdrawn
from server.continuity.story.wording import plain

Teller = Callable[[Telling, Found], Sentence]
_TELLERS: Final[Mapping[str, Teller]] = {**findings.TELLERS, **decisions.TELLERS}


def sections(telling: Telling, gathered: Gathered) -> dict[Section, list[Sentence]]:
    """Return the sentences by section; each has its sources, and a section may be empty."""
    of = _Telling(telling, gathered)
    made: dict[Section, list[Sentence]] = {
        "patient": about(telling, gathered.patient),
        "reason": of.reason(),
        "changes": of.changes(),
        "voice": of.voice(),
        "goals": of.goals(),
        "findings": of.findings(),
        "decisions": of.decisions(),
        "pending": of.pending(),
        "home": of.home(),
    }
    return made


class _Telling:
    """One story in the making."""

    def __init__(self, telling: Telling, gathered: Gathered) -> None:
        self.telling, self.gathered = telling, gathered

    def reason(self) -> list[Sentence]:
        # Who is not here yet comes for the next appointment.
        here = self.each("visits", decisions.visit)
        visits = self._own(self.gathered.groups["appointments"])
        coming = [one for one in visits if decisions.is_coming(self.telling, one)][:1]
        return [
            *here,
            *(decisions.appointment(self.telling, one) for one in coming if not here),
            *(
                one
                for found in self._own(self.gathered.groups["complaints"])
                for one in self._note(self.telling, found)
            ),
            *self.more("complaints"),
            *self.each("past visits", decisions.visit, older=True),
        ]

    def voice(self) -> list[Sentence]:
        own = self._spoken(own=True)
        return [*own, *self.more("forms"), *self.more("messages"), *self.more("words")]

    def goals(self) -> list[Sentence]:
        return [
            *self.each("goals", decisions.goal),
            *self.each("worries", findings.condition),
        ]

    def findings(self) -> list[Sentence]:
        telling = self.telling
        group = self.gathered.groups["allergies"]
        told = allergies.allergies(telling, self._own(group), self.gathered.patient)
        conditions = self._own(self.gathered.groups["conditions"])
        told += self.more("allergies")
        told += conflicts.disagreements(telling, conditions)
        told += self.each("conditions", findings.condition)
        told += self.more("past conditions", older=True)
        taken = self._own(self.gathered.groups["medicines taken"])
        told += conflicts.contradicted(telling, taken)
        told += self.each("medicines taken", findings.taken)
        told += self.each("reports", findings.report)
        told += self.each("results", findings.observation)
        told += self._spoken(own=False)
        told += self.each("documents", findings.document)
        told += self.each("immunizations", findings.immunization)
        return told + self.each("family", findings.family)

    def decisions(self) -> list[Sentence]:
        return [
            *self.each("plans", decisions.plan),
            *self.each("prescriptions", decisions.prescription),
            *self.more("past prescriptions", older=True),
            *(decisions.order(self.telling, one) for one in self._forbidding(forbids=True)),
            *self.each("orders", decisions.order),
            *self.each("procedures", decisions.procedure),
        ]

    def pending(self) -> list[Sentence]:
        return [
            *self.each("appointments", decisions.appointment),
            *(
                decisions.waiting_order(self.telling, one)
                for one in self._forbidding(forbids=False)
            ),
            *self.more("waiting orders"),
            *self.each("open reports", decisions.open_report),
            *self.each("tasks", decisions.task),
            *self.more("past appointments", older=True),
        ]

    def _forbidding(self, *, forbids: bool) -> list[Found]:
        """Return the orders without a result that forbid something, or those that do not.

        No search parameter tells them apart.
        """
        waiting = self._own(self.gathered.groups["waiting orders"])
        return [one for one in waiting if decisions.forbids(one) is forbids]

    def home(self) -> list[Sentence]:
        found = self._own(self.gathered.groups["home"])
        # A measurement of something else than the patient is no trend of the patient (C5).
        trends = home.trends((one for one in found if not one.resource.get("focus")), self._now)
        told = [home.trend(self.telling, one) for one in trends]
        parted = [one for one in self._own(self.gathered.groups["words"]) if home.is_measured(one)]
        focused = [one for one in found if one.resource.get("focus")]
        told += [findings.observation(self.telling, one) for one in (*parted, *focused)]
        return [*told, *self.more("home"), *self.more("past home", older=True)]

    def changes(self) -> list[Sentence]:
        group = self.gathered.changed
        if group is None:
            return []
        every = (sentence for one in self._own(group) for sentence in self._changed(one))
        told = list(dict.fromkeys(every))  # a conflict is told once, and not for each side of it
        told += self._counted("new home", "new-home")
        if group.more and group.witness:
            where = f"{plain(self.telling.patient)}/_history"
            text = self.telling.words.counted("more-changed", group.more, where=where)
            told.append(self.telling.sentence(text, (group.witness,), "counted"))
        return told

    def _counted(self, name: str, key: str) -> list[Sentence]:
        group = self.gathered.groups[name]
        if group.witness is None:
            return []
        text = self.telling.words.counted(key, group.more)
        return [self.telling.sentence(text, (group.witness,), "counted")]

    def each(self, name: str, tell: Teller, *, older: bool = False) -> list[Sentence]:
        """Return a sentence for each entry of a group, what is to be read first before the rest."""
        told = [tell(self.telling, one) for one in self._own(self.gathered.groups[name])]
        told.sort(key=lambda sentence: sentence.cautious)
        return [*told, *self.more(name, older=older)]

    def more(self, name: str, *, older: bool = False) -> list[Sentence]:
        """Return how many entries of a group are left out, and where they are."""
        group = self.gathered.groups[name]
        if not group.more or group.witness is None:
            return []
        words = self.telling.words
        text = words.counted(
            "older" if older else "more",
            group.more,
            what=words.several(group.type, group.more),
            where=f"{group.type}?patient={self.telling.patient}",
        )
        return [self.telling.sentence(text, (group.witness,), "counted")]

    def _changed(self, found: Found) -> list[Sentence]:
        telling = self.telling
        if is_withdrawn(found.resource):
            what = telling.words.several(found.type, 1)
            return [telling.sentence(telling.words.say("withdrawn", what=what), (found.source,))]
        if found.type == "AllergyIntolerance":
            # What is new may contradict what is old; neither is told without the other.
            group = self._own(self.gathered.groups["allergies"])
            every = allergies.allergies(telling, group, self.gathered.patient)
            told = [one for one in every if found.source in one.sources]
            return told or [allergies.allergy(telling, found)]
        if found.type == "Condition":
            conditions = self._own(self.gathered.groups["conditions"])
            against = conflicts.disagreements(telling, conditions)
            told = [one for one in against if found.source in one.sources]
            return [*told, findings.condition(telling, found)]
        if found.type == "QuestionnaireResponse":
            return voice.answers(telling, found)
        if found.type == "Communication":
            return voice.message(telling, found)
        return [_TELLERS[found.type](telling, found)]

    def _spoken(self, *, own: bool) -> list[Sentence]:
        """Return what was written in forms, messages and notes, by the patient or by others."""
        tellers = (
            ("words", self._note), ("forms", voice.answers), ("messages", voice.message),
        )  # fmt: skip
        told: list[Sentence] = []
        for name, tell in tellers:
            for one in self._own(self.gathered.groups[name]):
                if name == "words" and home.is_measured(one):
                    continue  # a measurement from home, and told as such
                if voice.is_own_word(self.telling, one) is own:
                    told += tell(self.telling, one)
        return told

    def _note(self, telling: Telling, found: Found) -> list[Sentence]:
        if found.resource.get("focus"):
            return [findings.observation(telling, found)]
        return voice.words_of(telling, found) or [findings.observation(telling, found)]

    def _own(self, group: Group) -> list[Found]:
        """Return what is about this patient: a performer's own compartment has others' too (C5)."""
        return [
            one
            for one in group.found
            if one.type == "Appointment" or self.telling.is_about_patient(one.resource)
        ]

    @property
    def _now(self) -> int:
        return self.telling.now
