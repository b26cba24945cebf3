"""Where parts go: into the store of this machine, or to a running server over HTTP."""

import asyncio
import http.client
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol, cast
from urllib.parse import urlsplit

from server.access.context import AccessContext, Permit
from server.fhir import json as fhir_json
from server.fhir.errors import FhirError, InvalidRequest, StoreUnavailable
from server.interactions import bundle as bundles
from server.interactions.services import Services
from server.store.port import Expect, OutboxWrite, RecordWrite, Store, Version, Write

Resource = dict[str, Any]

OPERATOR = AccessContext("operator/load", "tellonce load", (Permit("*"),))
TIMEOUT_S = 300
_OK = ("200", "201", "204")


@dataclass(frozen=True, slots=True)
class Posted:
    """What a Bundle came to: entries stored, and one line per entry that was refused."""

    stored: int
    refused: tuple[str, ...] = ()


class Target(Protocol):
    """Something that takes Bundles."""

    async def post(self, bundle: Resource, mark: RecordWrite | None) -> Posted:
        """Run a transaction or batch; keep ``mark`` with a transaction's own commit if possible.

        Raises:
            FhirError: the whole Bundle was refused; nothing of a transaction was stored.
        """


class Refused(FhirError):
    """A running server refused a Bundle; carries its words."""


class StoreTarget:
    """The embedded store, with no server in between."""

    def __init__(self, services: Services) -> None:
        self._marking = _Marking(services.store)
        self._services = replace(services, store=cast(Store, self._marking))

    async def post(self, bundle: Resource, mark: RecordWrite | None) -> Posted:
        """As :meth:`Target.post`; a transaction and its mark are one commit."""
        together = mark if bundle.get("type") == "transaction" else None
        self._marking.mark = together
        try:
            answer = _read(await bundles.process(self._services, OPERATOR, bundle))
        finally:
            left, self._marking.mark = self._marking.mark, None
        if mark is not None and (left is not None or together is None):
            await self._services.store.commit([], records=[mark])
        return _posted(answer)


class _Marking:
    """The store, but the next commit of resources carries a mark beside them.

    So a part is either stored and marked or neither, wherever the process is killed.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self.mark: RecordWrite | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def commit(
        self,
        writes: Sequence[Write],
        *,
        expect: Sequence[Expect] = (),
        records: Sequence[RecordWrite] = (),
        outbox: Sequence[OutboxWrite] = (),
    ) -> list[Version]:
        mark = self.mark if writes else None
        marked = [*records, mark] if mark else records
        made = await self._store.commit(writes, expect=expect, records=marked, outbox=outbox)
        if mark is not None:
            self.mark = None
        return made


class HttpTarget:
    """A running server.  It keeps no marks, so loading again sends everything again."""

    def __init__(self, url: str, token: str | None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise InvalidRequest(f"{url} is not an http address")
        made = (
            http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        )
        self._connection = made(parts.hostname, parts.port, timeout=TIMEOUT_S)
        self._url = url
        self._path = parts.path or "/"
        self._headers = {"Content-Type": "application/fhir+json", "Accept": "application/fhir+json"}
        if token:
            self._headers["Authorization"] = f"Bearer {token}"

    async def post(self, bundle: Resource, mark: RecordWrite | None) -> Posted:
        """As :meth:`Target.post`; the mark is not kept.

        Raises:
            StoreUnavailable: no other Bundle would fare better, for the address or the token.
        """
        status, body = await asyncio.to_thread(self._send, fhir_json.dumps(bundle))
        answer = _read(body)
        if status == 401:
            raise StoreUnavailable(
                f"{self._url}: {_said(answer) or 'no token that it takes'} (401)"
            )
        if status in (404, 405) or "resourceType" not in answer:
            raise StoreUnavailable(f"{self._url} is not the address of a FHIR server ({status})")
        if status >= 400 or answer.get("resourceType") != "Bundle":
            raise Refused(f"{status}: {_said(answer)}")
        return _posted(answer)

    def _send(self, body: bytes) -> tuple[int, bytes]:
        try:
            self._connection.request("POST", self._path, body, self._headers)
            answer = self._connection.getresponse()
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._connection.close()
            raise StoreUnavailable(f"the server does not answer: {error}") from error


def _posted(answer: Resource) -> Posted:
    responses = [entry.get("response", {}) for entry in answer.get("entry", [])]
    refused = [
        f"entry {number}: {_said(response.get('outcome', {})) or response.get('status')}"
        for number, response in enumerate(responses)
        if str(response.get("status"))[:3] not in _OK
    ]
    return Posted(len(responses) - len(refused), tuple(refused))


def _said(outcome: Resource) -> str:
    """Return what an OperationOutcome says, in one line."""
    return "; ".join(
        " ".join(filter(None, (issue.get("diagnostics"), *issue.get("expression", ()))))
        for issue in outcome.get("issue", [])
    )


def _read(body: bytes) -> Resource:
    try:
        answer = json.loads(body)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}
