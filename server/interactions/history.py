"""history of an instance, a type, or the whole system.  R4 http.html#history.

Newest first.  A page ends at a commit number, which never moves, so a walk is complete and sees
nothing twice whatever is written meanwhile.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from server.access.context import AccessContext
from server.fhir import json as fhir_json
from server.fhir.dates import InvalidDate, instant_text, interval
from server.fhir.errors import InvalidSearch
from server.interactions import rights
from server.interactions.cursor import seal, unseal
from server.interactions.links import CURSOR, page_url, resource_url
from server.interactions.searchset import bundle
from server.interactions.services import Services
from server.store.port import Version

Pairs = Sequence[tuple[str, str]]

MAX_SCANNED = 2_000  # versions looked at for one page of ``_at``; the next page goes on there

_STATUS = {"POST": "201 Created", "DELETE": "204 No Content"}


@dataclass(frozen=True, slots=True)
class Asked:
    """The parameters of a history request; times in microseconds, ``at`` is half open."""

    count: int
    since: int | None = None
    before: int | None = None
    at: tuple[int, int] | None = None
    cursor: str | None = None
    used: tuple[tuple[str, str], ...] = ()


async def history(
    services: Services,
    access: AccessContext,
    type_: str | None,
    id_: str | None,
    pairs: Pairs,
    *,
    strict: bool = False,
) -> bytes:
    """Return a page of the history as a Bundle.

    Parameters: ``_since`` (inclusive), ``_before`` (exclusive), ``_at``, ``_count``.  Others are
    not in the ``self`` link; a history Bundle has no place to say more (R4 invariant bdl-3).

    Raises:
        InvalidSearch: a parameter cannot be read, or (``strict``) is not known.
        NotFound: the resource never was, or may not be seen.
    """
    if type_ is not None:
        rights.demand(access, "read", type_)
    asked = parse_history(services, pairs, strict=strict)
    path = "/".join(part for part in (type_, id_, "_history") if part)
    context = f"{access.identity}\n{path}\n{asked.since} {asked.before} {asked.at}"
    before = None
    if asked.cursor is not None:
        before = int(unseal(services.cursor_key, asked.cursor, context))
    elif type_ and id_ and not await services.store.history(access, type_, id_, limit=1):
        raise rights.not_found(type_, id_)
    versions, more = await _page(services, access, type_, id_, asked, before)
    _tell(services, access, (type_, id_), versions, pairs)
    following = seal(services.cursor_key, more, context) if more is not None else None
    links = [("self", page_url(services.base_url, path, asked.used, asked.cursor))]
    if following is not None:
        links.append(("next", page_url(services.base_url, path, asked.used, following)))
    entries = [_entry(services.base_url, version) for version in versions]
    total = len(versions) if before is None and more is None else None
    return bundle("history", entries=entries, total=total, links=links)


def _tell(
    services: Services,
    access: AccessContext,
    place: tuple[str | None, str | None],
    versions: list[Version],
    pairs: Sequence[tuple[str, str]],
) -> None:
    """Tell audit of a page; a deletion concerns whom the versions beside it concern."""
    if services.audit is None:
        return
    type_, id_ = place
    level = "history-instance" if id_ else "history-type" if type_ else "history-system"
    path = "/".join(part for part in (type_, id_, "_history") if part)
    asked = [pair for pair in pairs if pair[0] != CURSOR]
    question = f"{path}?{urlencode(asked)}" if asked else path
    services.audit.shown(access, level, versions, question)


def parse_history(services: Services, pairs: Pairs, *, strict: bool) -> Asked:
    """Read the parameters; see :func:`history`."""
    policy = services.policy
    read: dict[str, Callable[[str], object]] = {
        "_count": _count,
        "_since": lambda text: _interval("_since", text)[0],
        "_before": lambda text: _interval("_before", text)[0],
        "_at": lambda text: _interval("_at", text),
        CURSOR: str,
    }
    values: dict[str, object] = {}
    for name, text in pairs:
        if name in values:
            raise InvalidSearch(f"{name} was given twice", expression=(name,))
        if name in read:
            values[name] = read[name](text)
    unknown = tuple(name for name, _ in pairs if name not in read)
    if unknown and strict:
        raise InvalidSearch(f"history has no parameter {unknown[0]!r}", expression=unknown[:1])
    count = values.get("_count")
    used = tuple((name, text) for name, text in pairs if name in values and name != CURSOR)
    return Asked(
        min(count, policy.max_page) if isinstance(count, int) and count else policy.default_page,
        values.get("_since"),  # type: ignore[arg-type] # each reader returns its field's type
        values.get("_before"),  # type: ignore[arg-type]
        values.get("_at"),  # type: ignore[arg-type]
        values.get(CURSOR),  # type: ignore[arg-type]
        used,
    )


async def _page(
    services: Services,
    access: AccessContext,
    type_: str | None,
    id_: str | None,
    asked: Asked,
    before: int | None,
) -> tuple[list[Version], int | None]:
    """Return a page and the commit number behind which there is more."""
    until = asked.before
    if asked.at is not None:
        until = min(asked.at[1], until) if until is not None else asked.at[1]
    limit = MAX_SCANNED if asked.at is not None else asked.count
    scanned = await services.store.history(
        access,
        type_,
        id_,
        since=asked.since,
        until=until,
        before=before,
        # Nobody who walks through the record wants to meet the traces of that walk.
        without=rights.READ_ONLY if type_ is None else (),
        limit=limit + 1,
    )
    page: list[Version] = []
    for at, version in enumerate(scanned):
        if len(page) == asked.count or at == limit:
            return page, scanned[at - 1].seq
        if asked.at is None or await _was_current(services, access, version, asked.at[0]):
            page.append(version)
    return page, None


async def _was_current(
    services: Services, access: AccessContext, version: Version, moment: int
) -> bool:
    """Tell whether a version was the latest at ``moment``, or came later."""
    if version.at >= moment:
        return True
    if version.body is None:
        return False
    following = await services.store.vread(access, version.type, version.id, version.number + 1)
    return following is None or following.at > moment


def _entry(base_url: str, version: Version) -> bytes:
    reference = f"{version.type}/{version.id}"
    status = _STATUS.get(version.method) or ("201 Created" if version.number == 1 else "200 OK")
    facts = {
        "request": {
            "method": version.method,
            "url": version.type if version.method == "POST" else reference,
        },
        "response": {
            "status": status,
            "etag": f'W/"{version.number}"',
            "lastModified": instant_text(version.at),
        },
    }
    url = resource_url(base_url, version.type, version.id).encode()
    resource = b',"resource":' + version.body if version.body is not None else b""
    return b'{"fullUrl":"%b"%b,%b' % (url, resource, fhir_json.dumps(facts)[1:])


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InvalidSearch(f"_count={text[:20]!r} is not a number", expression=("_count",))
    return int(text)


def _interval(name: str, text: str) -> tuple[int, int]:
    try:
        return interval(text)
    except InvalidDate as error:
        raise InvalidSearch(f"{name}: {error}", expression=(name,)) from None
