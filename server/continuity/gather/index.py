"""Statements, found by what a question asks for.  Pure."""

from collections.abc import Collection, Iterable, Sequence

from server.continuity.questions import Question
from server.continuity.statement import Code, Statement
from server.continuity.statements import things
from server.continuity.validity import Topic


class Index:
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
