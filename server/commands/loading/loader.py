"""Load files part by part, remember what is done, try again what waited for others.

A part is a Bundle, a chunk of NDJSON lines or an HL7v2 message.  How far a file has come is
a record (kind ``load``, key: the file's digest), written in the commit of the part itself, so that
a load that was killed goes on where it stopped and stores nothing twice.
"""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import orjson

from server.commands.loading.bundles import to_bundle, transaction
from server.commands.loading.sources import Source, UnreadableSource
from server.commands.loading.targets import Target
from server.fhir import json as fhir_json
from server.fhir.errors import FhirError, Issue, StoreUnavailable
from server.store.port import RecordWrite, Store

KIND = "load"
LINES_AT_ONCE = 100
TOLD_ISSUES = 5  # of one refused part; the rest is counted

Receive = Callable[[bytes], Awaitable[str | None]]


class Advance(Protocol):
    """Told of bytes that are dealt with, and the file that they are of."""

    def __call__(self, source: Source, read_bytes: int) -> None:
        """Take the position in ``source``."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A part that was not loaded, and why; ``number`` is its line or message in the file."""

    path: Path
    number: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.number}: {self.reason}"


@dataclass(slots=True)
class Report:
    """What a load came to."""

    files: int = 0
    resources: int = 0
    messages: int = 0
    before: int = 0  # parts that an earlier load had stored
    failures: list[Failure] = field(default_factory=list)


@dataclass(slots=True)
class _Mark:
    """How far a file has come: every part up to ``done``, but not those in ``failed``."""

    key: str
    name: str
    done: int = 0
    failed: set[int] = field(default_factory=set)

    def has(self, number: int) -> bool:
        return number <= self.done and number not in self.failed

    def write(self, numbers: Sequence[int]) -> RecordWrite:
        """Return the record of this mark once ``numbers`` are stored as well."""
        done = max([self.done, *numbers])
        failed = sorted(self.failed - set(numbers))
        value = orjson.dumps({"name": self.name, "done": done, "failed": failed})
        return RecordWrite(KIND, self.key, value)

    def took(self, numbers: Sequence[int], *, failed: bool = False) -> None:
        self.done = max([self.done, *numbers])
        self.failed = self.failed | set(numbers) if failed else self.failed - set(numbers)


class Loader:
    """Loads sources into a target.

    ``marks``: the store that keeps marks, ``None`` when nobody does.  ``receive`` takes an HL7v2
    message and returns ``None``, or why it is not in the record.  ``advance`` is told of progress.
    """

    def __init__(
        self,
        target: Target,
        *,
        marks: Store | None,
        receive: Receive,
        advance: Advance = lambda source, read_bytes: None,
    ) -> None:
        self._target = target
        self._marks = marks
        self._receive = receive
        self._advance = advance
        self._waiting: list[Source] = []
        self.report = Report()

    async def load(self, sources: Sequence[Source]) -> Report:
        """Load in the order given, then again what failed, as long as that stores anything.

        A Bundle whose conditional references name what a later file brings succeeds then.

        Raises:
            StoreUnavailable: the store or the server is gone; what was loaded stays.
        """
        self.report.files = len(sources)
        todo = list(sources)
        while todo:
            before = self.report.resources
            self._waiting = []
            for source in todo:
                await self._file(source)
            todo = self._waiting if self.report.resources > before else []
            retried = {source.path for source in todo}
            kept = [failure for failure in self.report.failures if failure.path not in retried]
            self.report.failures = kept
        return self.report

    async def _file(self, source: Source) -> None:
        mark = await self._mark(source)
        try:
            for numbers, contents, read_bytes in _chunks(source):
                fresh = [(n, c) for n, c in zip(numbers, contents, strict=True) if not mark.has(n)]
                self.report.before += len(numbers) - len(fresh)
                if fresh:
                    await self._part(source, mark, fresh)
                self._advance(source, read_bytes)
        except UnreadableSource as error:
            self._failed(source, mark, mark.done + 1, str(error))
        await self._keep(mark)
        self._advance(source, source.size_bytes)

    async def _part(self, source: Source, mark: _Mark, part: list[tuple[int, bytes]]) -> None:
        if source.kind == "hl7":
            await self._message(source, mark, *part[0])
        elif source.kind == "json":
            number, content = part[0]
            await self._post(source, mark, number, content)
        else:
            await self._lines(source, mark, part)

    async def _lines(self, source: Source, mark: _Mark, part: list[tuple[int, bytes]]) -> None:
        """Store lines together; when one of them is refused, each by itself."""
        numbers = [number for number, _ in part]
        try:
            read = [fhir_json.loads(content) for _, content in part]
            await self._stored(mark, numbers, transaction(read))
        except StoreUnavailable:
            raise
        except FhirError:
            for number, content in part:
                await self._post(source, mark, number, content)

    async def _post(self, source: Source, mark: _Mark, number: int, content: bytes) -> None:
        try:
            refused = await self._stored(mark, [number], to_bundle(fhir_json.loads(content)))
        except StoreUnavailable:
            raise
        except FhirError as error:
            self._failed(source, mark, number, _told(error.issues))
            if source.kind == "json":
                self._waiting.append(source)
        else:
            self.report.failures += [Failure(source.path, number, told) for told in refused]

    async def _stored(self, mark: _Mark, numbers: list[int], bundle: Any) -> tuple[str, ...]:
        posted = await self._target.post(bundle, mark.write(numbers))
        mark.took(numbers)
        self.report.resources += posted.stored
        return posted.refused

    async def _message(self, source: Source, mark: _Mark, number: int, content: bytes) -> None:
        """Hand a message to the inbox; what it puts into quarantine is kept, but reported."""
        problem = await self._receive(content)
        mark.took([number])
        if problem is None:
            self.report.messages += 1
        else:
            self.report.failures.append(Failure(source.path, number, problem))

    def _failed(self, source: Source, mark: _Mark, number: int, reason: str) -> None:
        mark.took([number], failed=True)
        self.report.failures.append(Failure(source.path, number, reason))

    async def _mark(self, source: Source) -> _Mark:
        mark = _Mark(source.digest(), source.path.name)
        record = await self._marks.get_record(KIND, mark.key) if self._marks else None
        if record is not None:
            kept = orjson.loads(record.value)
            mark.done, mark.failed = kept["done"], set(kept["failed"])
        return mark

    async def _keep(self, mark: _Mark) -> None:
        """Write what no commit of resources has written: failures and messages."""
        if self._marks is not None and mark.done:
            await self._marks.commit([], records=[mark.write([])])


def _chunks(source: Source) -> Iterator[tuple[list[int], list[bytes], int]]:
    """Cut a source into what is posted together."""
    most = LINES_AT_ONCE if source.kind == "ndjson" else 1
    numbers: list[int] = []
    contents: list[bytes] = []
    read_bytes = 0
    for number, content, read_bytes in source.parts():
        numbers.append(number)
        contents.append(content)
        if len(numbers) == most:
            yield numbers, contents, read_bytes
            numbers, contents = [], []
    if numbers:
        yield numbers, contents, read_bytes


def _told(issues: Sequence[Issue]) -> str:
    """Return each different fault once, with the first place where it is."""
    places: dict[str, list[str]] = {}
    for issue in issues:
        places.setdefault(issue.diagnostics, []).extend(issue.expression)
    lines = [_with_place(said, where) for said, where in list(places.items())[:TOLD_ISSUES]]
    if len(places) > TOLD_ISSUES:
        lines.append(f"and {len(places) - TOLD_ISSUES} more")
    return "; ".join(lines)


def _with_place(said: str, where: list[str]) -> str:
    more = f" and {len(where) - 1} more places" if len(where) > 1 else ""
    return f"{said} ({where[0]}{more})" if where else said
