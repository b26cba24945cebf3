"""Query -> filters of MongoDB.  Pure: nothing is asked here.

A predicate becomes a filter on a document of ``resources`` (``layout.py``).  What a filter cannot
say is settled before (``settle.py``): what chains reach, which texts and which points are meant.
Which of the filters an index answers is the business of ``plan.py``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from server.fhir.errors import TooCostly
from server.search.prefix import behind
from server.search.query import (
    AllOf,
    AnyOf,
    Comparator,
    DateIs,
    HasKey,
    IdIs,
    Not,
    NumberIs,
    Predicate,
    StringIs,
    TextIs,
    TextOp,
    UpdatedIs,
    Words,
)
from server.search.rows import hash64, key_hash, param_hash
from server.store.mongo.layout import field_of
from server.store.stored import MILLISECOND

Filter = dict[str, Any]

EVERY: Filter = {}
NONE: Filter = {"_id": {"$in": []}}

LONGEST_PATTERN = 30_000  # bytes; PCRE refuses patterns of more than 32,764


@dataclass(frozen=True, slots=True)
class Keys:
    """``of``, which holds for exactly the resources with one of these keys."""

    hashes: tuple[int, ...]
    of: Predicate


@dataclass(frozen=True, slots=True)
class Names:
    """``of``, which holds for exactly what references with one of these targets mean."""

    names: tuple[int, ...]
    of: Predicate


@dataclass(frozen=True, slots=True)
class Naming:
    """The resource refers to one of these names, by whatever parameter.  No index finds it."""

    names: tuple[int, ...]
    of: Predicate


@dataclass(frozen=True, slots=True)
class These:
    """``of``, which holds for exactly these documents (``Type/id``)."""

    ids: tuple[str, ...]
    of: Predicate


@dataclass(frozen=True, slots=True)
class Later:
    """``of``, for which too much would have to be looked up: resources are asked in batches."""

    of: Predicate


@dataclass(frozen=True, slots=True)
class Unless:
    """A negation of what is settled."""

    of: "Member"


@dataclass(frozen=True, slots=True)
class Every:
    """A conjunction in which some members are settled."""

    of: tuple["Member", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """A disjunction in which some members are settled."""

    of: tuple["Member", ...]


Member = Predicate | Keys | Names | Naming | These | Later | Unless | Every | Some
"""A part of a query as it is asked, or settled: what it finds is known already."""


def condition(member: Member) -> Filter:
    """Return the filter under which a resource satisfies the member.

    Raises TypeError for what is to be settled first.

    >>> condition(Not(HasKey(("Patient|gender|c|male",))))
    {'$nor': [{'t': {'$in': [3185213232592394083]}}]}
    >>> condition(DateIs("Patient", "birthdate", "lt", 5, 6))
    {'dt': {'$elemMatch': {'p': -8130861569164528469, 'lo': {'$lt': 5}}}}
    """
    match member:
        case HasKey(keys):
            return _has_key(keys)
        case Keys(hashes):
            return {"t": {"$in": list(hashes)}}
        case Names(names):
            return {"n": {"$in": list(names)}}
        case Naming(names):
            return {"r.n": {"$in": list(names)}}
        case These(ids):
            return {"_id": {"$in": list(ids)}}
        case Not(of) | Unless(of):
            return nor(condition(of))
        case AllOf() | Every():
            return all_of([condition(one) for one in member.of])
        case AnyOf() | Some():
            return any_of([condition(one) for one in member.of])
        case IdIs(ids):
            return {"id": {"$in": list(ids)}}
        case UpdatedIs(op, lo, hi):
            return _updated(op, lo, hi)
        case _:
            return _has_row(member)


def all_of(filters: Sequence[Filter]) -> Filter:
    """Return a filter for which all of them hold.

    >>> all_of([]), all_of([{"a": 1}]), all_of([{"a": 1}, EVERY, {"b": 2}])
    ({}, {'a': 1}, {'$and': [{'a': 1}, {'b': 2}]})
    """
    if NONE in filters:
        return NONE
    some = [one for one in filters if one != EVERY]
    if len(some) < 2:
        return some[0] if some else EVERY
    return {"$and": some}


def any_of(filters: Sequence[Filter]) -> Filter:
    """Return a filter for which one of them holds.

    >>> any_of([]) == NONE, any_of([{"a": 1}, EVERY]), any_of([{"a": 1}, {"b": 2}])
    (True, {}, {'$or': [{'a': 1}, {'b': 2}]})
    """
    if EVERY in filters:
        return EVERY
    some = [one for one in filters if one != NONE]
    if len(some) < 2:
        return some[0] if some else NONE
    return {"$or": some}


def nor(inner: Filter) -> Filter:
    """Return the negation of a filter.

    >>> nor(EVERY) == NONE, nor(NONE) == EVERY, nor({"a": 1})
    (True, True, {'$nor': [{'a': 1}]})
    """
    if inner == EVERY:
        return NONE
    return EVERY if inner == NONE else {"$nor": [inner]}


def aside(inner: Filter) -> Filter:
    """Return the same filter so that no index answers it: the one of the driver is to be used.

    >>> aside({"t": 5})
    {'$nor': [{'$nor': [{'t': 5}]}]}
    """
    return inner if inner in (EVERY, NONE) else {"$nor": [{"$nor": [inner]}]}


def hashes_of(keys: Iterable[str]) -> tuple[list[int], list[int]]:
    """Return the hashes of key texts by the field that holds them: ``t`` and ``k``."""
    by_field: dict[str, dict[int, None]] = {"t": {}, "k": {}}
    for key in keys:
        by_field[field_of(key)][key_hash(key)] = None
    return list(by_field["t"]), list(by_field["k"])


def text_is(op: TextOp, value: str) -> Any:
    """Return the condition on the field of a text: ranges for ``starts``, so an index is used.

    >>> text_is("starts", "ab"), text_is("ends", "a.b"), text_is("ge", "x")
    ({'$gte': 'ab', '$lt': 'ac'}, {'$regex': 'a\\\\.b\\\\z'}, {'$gte': 'x'})
    """
    match op:
        case "is":
            return value
        case "starts":
            return starts_with(value)
        case "contains":
            return {"$regex": _pattern(value)}
        case "ends":
            return {"$regex": _pattern(value) + r"\z"}
        case "gt" | "lt" | "ge" | "le":
            return {_SIGNS[op]: value}


_SIGNS = {"gt": "$gt", "lt": "$lt", "ge": "$gte", "le": "$lte"}


def starts_with(prefix: str) -> Filter:
    """Return the range of texts that start with ``prefix``."""
    end = behind(prefix)
    return {"$gte": prefix} if end is None else {"$gte": prefix, "$lt": end}


def texts_asked(asked: TextIs) -> Filter:
    """Return the filter on documents of ``texts``."""
    place = {"p": param_hash(asked.type, asked.param)}
    return all_of([place, any_of([{"v": text_is(asked.op, v)} for v in asked.values])])


def word_is(word: str) -> Filter:
    """Return the filter for the index of words; a ``*`` stands for any ending.

    >>> word_is("pain"), word_is("pai*")
    ({'w': 'pain'}, {'w': {'$elemMatch': {'$gte': 'pai', '$lt': 'paj'}}})
    """
    if word.endswith("*"):
        return {"w": {"$elemMatch": starts_with(word[:-1])}}
    return {"w": word}


def _has_key(keys: Sequence[str]) -> Filter:
    listed, beside = hashes_of(keys)
    parts: list[Filter] = [{"t": {"$in": listed}}] if listed else []
    parts += [{"k": {"$in": beside}}] if beside else []
    return any_of(parts)


def _has_row(member: Member) -> Filter:
    match member:
        case StringIs(type_, param, op, values):
            place = param_hash(type_, param)
            return any_of([_element("s", {"p": place, "v": text_is(op, v)}) for v in values])
        case DateIs(type_, param, op, lo, hi):
            return _element("dt", {"p": param_hash(type_, param), **compare(op, lo, hi)})
        case NumberIs(type_, param, op, low, high, unit):
            place_of = {"p": param_hash(type_, param), "u": hash64(unit)}
            return _element("q", {**place_of, **compare(op, low, high)})
        case Words(of, asked):
            return all_of([_phrase(of == "text", phrase) for phrase in asked])
        case _:
            raise TypeError(f"{type(member).__name__} is to be settled before it is asked")


def compare(op: Comparator, lo: float, hi: float) -> Filter:
    """Return how an element's ``lo..hi`` compares: :mod:`server.search.compare`.

    >>> compare("eq", 5, 6), compare("gt", 5, 6)
    ({'lo': {'$gte': 5}, 'hi': {'$lte': 6}}, {'hi': {'$gt': 6}})
    """
    within = {"lo": {"$gte": lo}, "hi": {"$lte": hi}}
    match op:
        case "eq":
            return within
        case "ne":
            return {"$or": [{"lo": {"$lt": lo}}, {"hi": {"$gt": hi}}]}
        case "gt":
            return {"hi": {"$gt": hi}}
        case "lt":
            return {"lo": {"$lt": lo}}
        case "ge":
            return {"$or": [{"hi": {"$gt": hi}}, within]}
        case "le":
            return {"$or": [{"lo": {"$lt": lo}}, within]}
        case "sa":
            return {"lo": {"$gte": hi}}
        case "eb":
            return {"hi": {"$lte": lo}}
        case "ap":
            return {"lo": {"$lt": hi}, "hi": {"$gt": lo}}


def _updated(op: Comparator, lo: int, hi: int) -> Filter:
    """Return how ``lu``, an interval of one millisecond, compares; ranges of ``lu`` alone."""
    before, last = lo - MILLISECOND, hi - MILLISECOND
    within: Filter = {"lu": {"$gte": lo, "$lte": last}}
    match op:
        case "eq":
            return within
        case "ne":
            return {"$or": [{"lu": {"$lt": lo}}, {"lu": {"$gt": last}}]}
        case "gt":
            return {"lu": {"$gt": last}}
        case "lt":
            return {"lu": {"$lt": lo}}
        case "ge":
            return {"$or": [{"lu": {"$gt": last}}, within]}
        case "le":
            return {"$or": [{"lu": {"$lt": lo}}, within]}
        case "sa":
            return {"lu": {"$gte": hi}}
        case "eb":
            return {"lu": {"$lte": before}}
        case "ap":
            return {"lu": {"$lt": hi, "$gt": before}}


def _phrase(of_narrative: bool, phrase: Sequence[str]) -> Filter:
    """Return the filter for words in a row; a word of the whole content is a token of its own."""
    if len(phrase) == 1 and not of_narrative:
        return word_is(phrase[0])
    text = " " + " ".join(phrase)
    pattern = text[:-1] if text.endswith("*") else f"{text} "
    return {"wn" if of_narrative else "wc": {"$regex": _pattern(pattern)}}


def _element(name: str, parts: Filter) -> Filter:
    return {name: {"$elemMatch": parts}}


def _pattern(text: str) -> str:
    """Return the regular expression that finds a text; one with a NUL would be refused."""
    escaped = "".join(
        one if one.isalnum() or one == " " or ord(one) > 127 else _ESCAPES.get(one, f"\\{one}")
        for one in text
    )
    if len(escaped.encode()) > LONGEST_PATTERN:
        raise TooCostly(f"a text of {len(text)} characters is too long to be looked for inside")
    return escaped


_ESCAPES = {"\0": r"\x00", "\n": r"\n", "\r": r"\r", "\t": r"\t"}
