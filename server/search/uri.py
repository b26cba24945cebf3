"""Uri search: ``[parameter]=[uri]``, compared as a whole.  R4 search.html#uri.

A canonical is found with and without its version.  ``:below`` and ``:above`` go by the steps of a
path, and by the dots of a version; they "only apply to URLs, and not URNs such as OIDs", which are
just compared.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from server.search.asked import Asked, any_of
from server.search.catalog import R4, Catalog
from server.search.gather import Gathered, Indexer
from server.search.query import Predicate, TextIs
from server.search.rows import LONGEST_KEPT, hash64, param_hash
from server.search.value import refused, unescape

MAX_STEPS = 100  # of an address that ``:above`` goes up


def predicate(asked: Asked) -> Predicate:
    """Return what ``asked`` means; modifiers: none, ``above``, ``below``."""
    match asked.modifier:
        case "below":
            return _below(asked)
        case "above":
            found = [f"u|{form}" for raw in asked.values for form in _above(unescape(raw), asked)]
            return asked.has_key(found)
        case _:
            return asked.has_key([key for raw in asked.values for key in wanted_keys(raw)])


def wanted_keys(raw: str) -> list[str]:
    """Return the keys of which one asked value must find one.

    >>> wanted_keys("http://x.test/a")
    ['u|http://x.test/a']
    """
    return [f"u|{unescape(raw)}"]


def tails(fhir_type: str, value: Any) -> list[str]:
    """Return the keys of one value behind ``Type|param|``."""
    return [f"u|{form}" for form in _FORMS[fhir_type](value)] if fhir_type in _FORMS else []


def _below(asked: Asked) -> Predicate:
    """Return "one of these, or something below it"; nothing is below a URN."""
    values = [unescape(raw) for raw in asked.values]
    itself = asked.has_key([f"u|{value}" for value in values])
    starts = tuple(dict.fromkeys(_start(value) for value in values if not _is_urn(value)))
    texts = [TextIs(type_, asked.param, "starts", starts) for type_ in asked.types if starts]
    return any_of([itself, *texts])


def _start(value: str) -> str:
    """Return how everything below a value starts; versions have parts between dots.

    >>> _start("http://x/a"), _start("http://x/"), _start("http://x/a|1")
    ('http://x/a/', 'http://x/', 'http://x/a|1.')
    """
    end = "." if "|" in value else "/"
    return value if value.endswith(end) else f"{value}{end}"


def _above(value: str, asked: Asked) -> list[str]:
    """Return all of which the value is one, or below it."""
    if _is_urn(value):
        return [value]
    url, bar, version = value.partition("|")
    if url.count("/") + version.count(".") > MAX_STEPS:
        raise refused(asked.name, f"more than {MAX_STEPS} steps")
    if bar:
        ends = [at for at, character in enumerate(version) if character == "."]
        return [value, *(f"{url}|{version[:at]}" for at in ends)]
    # Neither "http:" nor "http:/" is the address of anything.
    first = url.index("://") + 3 if "://" in url else 0
    ends = [at for at, character in enumerate(url) if character == "/" and at >= first]
    found = [form for at in ends for form in (url[:at], url[: at + 1])]
    return list(dict.fromkeys((url, *found)))


def _is_urn(value: str) -> bool:
    return value[:4].lower() == "urn:"


def indexer(type_: str, param: str, fhir_type: str, _catalog: Catalog = R4) -> Indexer | None:
    """Return what writes the rows of a value of ``fhir_type``; ``None`` if it is no uri."""
    forms = _FORMS.get(fhir_type)
    if forms is None:
        return None
    prefix = f"{type_}|{param}|"
    presence, hashed, prefix = hash64(f"{prefix}?"), param_hash(type_, param), f"{prefix}u|"

    def index(value: Any, rows: Gathered) -> None:
        rows.keys.add(presence)
        keys = _hashed(prefix, fhir_type, value)
        rows.keys.update(keys)
        rows.texts.append((hashed, value, keys[0]))

    return index


def texts(fhir_type: str, value: Any) -> list[str]:
    """Return the value, for sorting."""
    return [value] if fhir_type in _FORMS else []


def canonical_forms(value: str) -> list[str]:
    """Return a canonical as it is, and without the version that it may have.

    >>> canonical_forms("http://x/ValueSet/a|2")
    ['http://x/ValueSet/a|2', 'http://x/ValueSet/a']
    """
    url, bar, _ = value.partition("|")
    return [value, url] if bar else [value]


def _hashed(prefix: str, fhir_type: str, value: str) -> tuple[int, ...]:
    if len(value) > LONGEST_KEPT:
        return _kept.__wrapped__(prefix, fhir_type, value)
    return _kept(prefix, fhir_type, value)


@lru_cache(maxsize=8192)
def _kept(prefix: str, fhir_type: str, value: str) -> tuple[int, ...]:
    return tuple(hash64(prefix + form) for form in _FORMS[fhir_type](value))


def _itself(value: str) -> list[str]:
    return [value]


_FORMS: dict[str, Callable[[str], list[str]]] = {
    "canonical": canonical_forms,
    **dict.fromkeys(("uri", "url", "oid", "uuid"), _itself),
}
