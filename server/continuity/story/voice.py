"""The patient's own words, untouched: answers in forms, messages, what was written down of them.

Nothing here is rephrased, shortened to its sense, or translated; words carry the language that
their resource states.
"""

from collections.abc import Iterator
from typing import Any, Final

from server.continuity.story.people import Named
from server.continuity.story.sentence import Sentence
from server.continuity.story.telling import Found, Telling, opening
from server.continuity.story.wording import (
    Json,
    code,
    date,
    inside_quotes,
    is_named,
    listed,
    plain,
    value_of,
    verbatim,
)

MOST_ANSWERS: Final = 20  # of one form; the story says how many more there are
_DEPTH: Final = 30  # of items inside each other
_SPOKEN: Final = ("patient", "proxy")


def is_own_word(telling: Telling, found: Found) -> bool:
    """Tell whether a resource is the word of the patient, or of who speaks for them (C6)."""
    author = telling.people.author(found.resource)
    return author is not None and author.kind in _SPOKEN


def answers(telling: Telling, found: Found) -> list[Sentence]:
    """Return the answers of a QuestionnaireResponse, each with its question."""
    resource = found.resource
    made = []
    told = 0
    for item, answer in _answered(resource.get("item"), _DEPTH):
        told += 1
        if told <= MOST_ANSWERS and (sentence := _answer(telling, found, item, answer)):
            made.append(sentence)
    if told > MOST_ANSWERS:
        where = f"QuestionnaireResponse/{found.source.id}"
        text = telling.words.counted("more-answers", told - MOST_ANSWERS, where=where)
        made.append(telling.sentence(text, (found.source,), "counted"))
    return made


def _answered(items: Any, depth: int) -> Iterator[tuple[Json, Json]]:
    for item in listed(items):
        if not isinstance(item, dict) or depth == 0:
            continue
        for answer in listed(item.get("answer")):
            if isinstance(answer, dict):
                yield item, answer
                yield from _answered(answer.get("item"), depth - 1)
        yield from _answered(item.get("item"), depth - 1)


def _answer(telling: Telling, found: Found, item: Json, answer: Json) -> Sentence | None:
    words = telling.words
    question = inside_quotes(plain(item.get("text")) or plain(item.get("linkId")))
    asked = words.say("answered", question=question) if question else ""
    head = {
        "who": _who(telling, found),
        "date": _day(telling, found, found.resource.get("authored"), ("completed", "amended")),
        "asked": asked,
    }
    if written := inside_quotes(verbatim(answer.get("valueString"))):
        text = words.say("form", **head, quote=written)
        return _quoted(telling, found, text, written)
    coded = answer.get("valueCoding")
    value = value_of(answer, words)
    if isinstance(coded, dict) and not is_named({"coding": [coded]}):
        value = plain(coded.get("code")) or None  # what was chosen, if not what it is called
    if value is None:
        return None
    text = words.say("form-value", **head, value=value)
    return telling.sentence(text, _sources(telling, found))


def message(telling: Telling, found: Found) -> list[Sentence]:
    """Return what a Communication says, one sentence for each text in it."""
    on = found.resource.get("sent") or found.resource.get("received")
    texts = [
        inside_quotes(verbatim(part.get("contentString")))
        for part in listed(found.resource.get("payload"))
        if isinstance(part, dict)
    ]
    return [_wrote(telling, found, text, on) for text in texts if text]


def words_of(telling: Telling, found: Found) -> list[Sentence]:
    """Return an Observation whose value is a text that the patient said."""
    text = inside_quotes(verbatim(found.resource.get("valueString")))
    on = found.resource.get("effectiveDateTime") or found.resource.get("issued")
    return [_wrote(telling, found, text, on)] if text else []


def _wrote(telling: Telling, found: Found, quote: str, on: Any) -> Sentence:
    words = telling.words
    usual = ("completed", "final", "amended", "corrected")
    day = _day(telling, found, on, usual)
    text = words.say("wrote", who=_who(telling, found), date=day, quote=quote)
    return _quoted(telling, found, text, quote)


def _day(telling: Telling, found: Found, on: Any, usual: tuple[str, ...]) -> str:
    """Return when, and the status where it is not a usual one: a draft, a message not sent."""
    words = telling.words
    day = date(on, words) or words.say("undated-word")
    status = code(found.resource.get("status"))
    return day if not status or status in usual else f"{day} ({words.status(status)})"


def _quoted(telling: Telling, found: Found, text: str, quote: str) -> Sentence:
    language = code(found.resource.get("language")) or None
    sources = _sources(telling, found)
    return Sentence(opening(text), sources, "quoted", quote=quote, language=language)


def _who(telling: Telling, found: Found) -> str:
    author = telling.people.author(found.resource)
    return author.text if author else telling.words.say("some-writer")


def _sources(telling: Telling, found: Found) -> tuple[Any, ...]:
    author: Named | None = telling.people.author(found.resource)
    more = author.sources if author else ()
    return tuple(dict.fromkeys((found.source, *more)))
