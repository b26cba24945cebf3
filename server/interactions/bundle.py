"""batch and transaction: a Bundle in, a Bundle out.  R4 http.html#transaction."""

from collections.abc import Awaitable, Callable, Sequence
from http import HTTPStatus
from typing import Any, Literal

import anyio

from server.access.context import AccessContext
from server.fhir import json as fhir_json
from server.fhir.dates import instant_text
from server.fhir.errors import (
    FhirError,
    InvalidRequest,
    Issue,
    NotSupported,
    TooLarge,
    operation_outcome,
    outcome,
)
from server.interactions import audit_failures, conditional, entries, patch, patch_entry, write
from server.interactions.entries import Entry, placed
from server.interactions.fetch import fetch
from server.interactions.links import version_url
from server.interactions.searchset import bundle
from server.interactions.services import Services
from server.interactions.transaction import transaction
from server.interactions.write import Written
from server.store.port import Version
from server.validation import check

Return = Literal["minimal", "representation", "OperationOutcome"]

# Runs an operation on behalf of a batch entry: (access, entry) -> the JSON of its answer.
Operate = Callable[[AccessContext, Entry], Awaitable[bytes]]
# Is told of every exception that is a bug; the client only sees "internal error".
OnBug = Callable[[Exception], None]

_AT_ONCE = 16  # entries of a batch that wait for the store together, so that it groups commits
_ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3, "HEAD": 3}


async def process(
    services: Services,
    access: AccessContext,
    sent: Any,
    *,
    raw: bytes | None = None,
    prefer: Return = "minimal",
    operate: Operate | None = None,
    on_bug: OnBug | None = None,
) -> bytes:
    """Run a batch or transaction Bundle; return the JSON of the response Bundle.

    Raises:
        InvalidRequest, InvalidResource: the Bundle itself is wrong, or (transaction) an entry.
        TooLarge: more entries than the server's limit.
        For a transaction: whatever one of its entries fails with; nothing was written.
    """
    run = _Run(services, access, prefer, operate, on_bug)
    kind, listed = _opened(services, sent, raw)
    if kind == "transaction":
        return bundle("transaction-response", entries=await run.transaction(listed, raw))
    return bundle("batch-response", entries=await run.batch(listed))


class _Run:
    def __init__(
        self,
        services: Services,
        access: AccessContext,
        prefer: Return,
        operate: Operate | None,
        on_bug: OnBug | None,
    ) -> None:
        self._services = services
        self._access = access
        self._prefer = prefer
        self._operate = operate
        self._on_bug = on_bug

    async def transaction(self, listed: Sequence[Any], raw: bytes | None) -> list[bytes]:
        """Reads come last and see what was written; one that fails answers for itself."""
        read: list[Entry] = []
        faults: list[FhirError] = []
        for index, sent in enumerate(listed):
            try:
                read.append(entries.read_entry(self._services.base_url, index, sent))
            except FhirError as error:
                faults.append(error)
        entries.raise_all(faults, raw)
        done = await transaction(self._services, self._access, read, raw)
        answers = []
        for entry in read:
            written = done.get(entry.index)
            answers.append(
                await self._alone(entry) if written is None else self._written(entry, written)
            )
        return answers

    async def batch(self, listed: Sequence[Any]) -> list[bytes]:
        """Each entry for itself; in the order of kinds that a transaction has."""
        answers: list[bytes] = [b""] * len(listed)
        read: dict[int, list[Entry]] = {}
        for index, sent in enumerate(listed):
            try:
                entry = entries.read_entry(self._services.base_url, index, sent)
                read.setdefault(_ORDER[entry.method], []).append(entry)
            except FhirError as error:
                answers[index] = _failed(error)
        limiter = anyio.CapacityLimiter(_AT_ONCE)

        async def one(entry: Entry) -> None:
            async with limiter:
                answers[entry.index] = await self._alone(entry)

        for _, group_entries in sorted(read.items()):
            async with anyio.create_task_group() as group:
                for entry in group_entries:
                    group.start_soon(one, entry)
        return answers

    async def _alone(self, entry: Entry) -> bytes:
        """Return the response of one entry; no failure of it leaves here."""
        try:
            if any(segment.startswith("$") for segment in entry.path):
                return await self._operation(entry)
            if entry.method in ("GET", "HEAD"):
                return await fetch(self._services, self._access, entry)
            return await self._write(entry)
        except FhirError as error:
            audit_failures.tell(
                self._services, self._access, entry.method, entry.path, (), error.status
            )
            return _failed(placed(error, entry, "resource"))
        # One entry's bug must not lose the answers of the other entries, which are committed.
        except Exception as error:
            if self._on_bug is not None:
                self._on_bug(error)
            return _failed(error)

    async def _operation(self, entry: Entry) -> bytes:
        if self._operate is None:
            raise NotSupported("operations do not run inside this Bundle")
        answer = await self._operate(self._access, entry)
        return b'{"resource":%b,"response":{"status":"200 OK"}}' % answer

    async def _write(self, entry: Entry) -> bytes:
        services, access, type_ = self._services, self._access, entry.type
        if entry.method == "DELETE" and entry.id is None:
            versions = await conditional.conditional_delete(services, access, type_, entry.pairs)
            return self._written(entry, Written(versions[-1] if versions else None))
        if entry.method == "DELETE":
            written = await write.delete(
                services, access, type_, entry.id or "", if_match=entry.if_match
            )
        elif entry.method == "PATCH":
            written = await self._patch(entry)
        elif entry.method == "POST" and entry.if_none_exist is not None:
            written = await conditional.conditional_create(
                services, access, type_, entry.resource, entry.if_none_exist
            )
        elif entry.method == "POST":
            written = await write.create(services, access, type_, entry.resource)
        elif entry.id is None:
            written = await conditional.conditional_update(
                services, access, type_, entry.resource, entry.pairs, if_match=entry.if_match
            )
        else:
            written = await write.update(
                services, access, type_, entry.id, entry.resource, if_match=entry.if_match
            )
        return self._written(entry, written)

    async def _patch(self, entry: Entry) -> Written:
        operations = patch_entry.operations(entry)
        if entry.id is None:
            return await patch.conditional_patch(
                self._services,
                self._access,
                entry.type,
                operations,
                entry.pairs,
                if_match=entry.if_match,
            )
        return await patch.patch(
            self._services,
            self._access,
            entry.type,
            entry.id,
            operations,
            if_match=entry.if_match,
        )

    def _written(self, entry: Entry, written: Written) -> bytes:
        version = written.version
        if entry.method == "DELETE":
            status = HTTPStatus.NO_CONTENT
        else:
            status = HTTPStatus.CREATED if written.created else HTTPStatus.OK
        facts: dict[str, Any] = {"status": f"{status.value} {status.phrase}"}
        if version is not None:
            if version.body is not None:
                facts["location"] = version_url(
                    self._services.base_url, version.type, version.id, version.number
                )
            facts["etag"] = f'W/"{version.number}"'
            facts["lastModified"] = instant_text(version.at)
        if self._prefer == "OperationOutcome":
            facts["outcome"] = outcome(
                [Issue("information", "informational", f"{status.value} {status.phrase}")]
            )
        return _response(facts, version if self._prefer == "representation" else None)


def _opened(services: Services, sent: Any, raw: bytes | None) -> tuple[str, list[Any]]:
    """Return the type and the entries of the Bundle; the entries' resources are not looked at."""
    if not isinstance(sent, dict) or sent.get("resourceType") != "Bundle":
        raise InvalidRequest("POST to the base address takes a Bundle", expression=("Bundle",))
    kind = sent.get("type")
    if kind not in ("batch", "transaction"):
        raise InvalidRequest(
            "Bundle.type must be batch or transaction to be run; POST Bundle stores one",
            expression=("Bundle.type",),
        )
    listed = sent.get("entry", [])
    if not isinstance(listed, list):
        check(sent, raw)
        raise InvalidRequest("Bundle.entry is not an array", expression=("Bundle.entry",))
    most = services.policy.max_bundle_entries
    if len(listed) > most:
        raise TooLarge(
            f"the Bundle has {len(listed)} entries, the limit is {most}: send it in parts",
            expression=("Bundle.entry",),
        )
    check({name: value for name, value in sent.items() if name != "entry"}, raw)
    return kind, listed


def _failed(error: Exception) -> bytes:
    status = HTTPStatus(error.status if isinstance(error, FhirError) else 500)
    facts = {"status": f"{status.value} {status.phrase}", "outcome": operation_outcome(error)}
    return b'{"response":%b}' % fhir_json.dumps(facts)


def _response(facts: dict[str, Any], version: Version | None) -> bytes:
    response = fhir_json.dumps(facts)
    if version is None or version.body is None:
        return b'{"response":%b}' % response
    return b'{"resource":%b,"response":%b}' % (version.body, response)
