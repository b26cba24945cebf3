"""Value sets as lists: memo, cycles, depth and limits, without a store."""

from typing import Any

import pytest

from server.fhir import codes
from server.fhir.errors import TooCostly
from terminology import enumerated
from terminology.enumerated import Enumerated
from terminology.port import NotEnumerable, Unknown

SYSTEM = "http://h.test/codes"


class Record:
    """What is stored; ``asked`` are the value sets that were looked up."""

    def __init__(self, *resources: dict[str, Any]) -> None:
        self._by_url = {resource["url"]: resource for resource in resources}
        self.asked: list[str] = []

    async def value_set(self, url: str) -> dict[str, Any] | None:
        self.asked.append(url)
        return self._by_url.get(url)

    async def code_system(self, url: str) -> dict[str, Any] | None:
        return self._by_url.get(url)


def value_set(url: str, *include: dict[str, Any], **compose: Any) -> dict[str, Any]:
    return {"url": url, "status": "active", "compose": {"include": list(include), **compose}}


def listed(*found: str) -> dict[str, Any]:
    return {"system": SYSTEM, "concept": [{"code": code} for code in found]}


async def test_what_is_imported_by_many_is_listed_once() -> None:
    layers = [value_set("v0", listed("1"))]
    for n in range(1, 20):
        both = [{"valueSet": [f"v{n - 1}"]}, {"valueSet": [f"v{n - 1}"]}]
        layers.append(value_set(f"v{n}", *both))
    record = Record(*layers)

    assert await Enumerated(record).codes_in("v19") == [(SYSTEM, "1")]
    assert len(record.asked) == 20


async def test_a_cycle_over_several_is_named() -> None:
    record = Record(
        value_set("a", {"valueSet": ["b"]}),
        value_set("b", {"valueSet": ["c"]}),
        value_set("c", {"valueSet": ["a"]}),
    )
    with pytest.raises(NotEnumerable, match=r"imports itself: a -> b -> c -> a"):
        await Enumerated(record).codes_in("a")


async def test_imports_end_at_a_depth() -> None:
    chain = [value_set(f"v{n}", {"valueSet": [f"v{n + 1}"]}) for n in range(5_000)]
    with pytest.raises(NotEnumerable, match="more than 50 value sets import each other"):
        await Enumerated(Record(*chain)).codes_in("v0")


async def test_a_list_that_no_search_can_hold_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enumerated, "MAX_CODES", 2)
    with pytest.raises(TooCostly, match="v has 3 codes; at most 2"):
        await Enumerated(Record(value_set("v", listed("1", "2", "3")))).codes_in("v")


async def test_inactive_codes_are_left_out_where_the_value_set_says_so() -> None:
    system = {
        "url": SYSTEM,
        "content": "complete",
        "concept": [
            {"code": "on"},
            {"code": "off", "property": [{"code": "status", "valueCode": "retired"}]},
            {"code": "out", "property": [{"code": "inactive", "valueBoolean": True}]},
        ],
    }
    whole = {"system": SYSTEM}
    record = Record(system, value_set("all", whole), value_set("active", whole, inactive=False))

    assert len(await Enumerated(record).codes_in("all")) == 3
    assert await Enumerated(record).codes_in("active") == [(SYSTEM, "on")]


async def test_hierarchies_with_several_parents_and_cycles_end() -> None:
    def child(code: str, *parents: str) -> dict[str, Any]:
        return {
            "code": code,
            "property": [{"code": "parent", "valueCode": parent} for parent in parents],
        }

    system = {
        "url": SYSTEM,
        "content": "complete",
        "concept": [child("a", "c"), child("b", "a"), child("c", "a", "b")],
    }
    terms = Enumerated(Record(system))

    assert sorted(code for _, code in await terms.below(SYSTEM, "a")) == ["a", "b", "c"]
    assert sorted(code for _, code in await terms.above(SYSTEM, "b")) == ["a", "b", "c"]
    with pytest.raises(Unknown, match="has no code 'z'"):
        await terms.below(SYSTEM, "z")


async def test_most_value_sets_of_r4_can_be_listed_and_the_others_say_why() -> None:
    terms = Enumerated(Record())
    found: list[str] = []
    refused: list[tuple[str, str]] = []
    for url in codes.value_set_urls():
        try:
            await terms.codes_in(url)
            found.append(url)
        except (NotEnumerable, Unknown) as error:
            refused.append((url, error.diagnostics))
    assert (len(found), len(refused)) == (1159, 157)
    assert [told for url, told in refused if url not in told] == []
