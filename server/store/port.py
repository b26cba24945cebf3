"""The port every store implements.  Contract: ``tests/contract/``; reasons: docs/store.md.

Shapes: resources travel as JSON bytes, never as models.  Times are integers, microseconds since
1970-01-01T00:00:00Z, and ``meta.lastUpdated`` is cut to milliseconds.  Every method that shows
clinical data takes the caller's :class:`~server.access.context.AccessContext` and applies it
before it looks, so that what may not be seen is the same as what does not exist.

Guarantees (each is proven by a test of the same number, on every store):

S1  Atomic: after an exception no read sees any write, record or outbox row of the commit.
S2  Gapless: versions of a resource count 1, 2, 3 ..., also under concurrent commits.
S3  Read your writes: reads and searches started after ``commit`` returned see all of it.
S4  Expectations hold at commit: of N racing commits that expect the same query to match nothing
    and each add a match, one succeeds.
S5  No lost update: of N racing commits with the same ``if_version`` one succeeds.
S6  History never changes: what ``history`` and ``vread`` returned once they return always.
S7  The change feed is gap-free, ordered by ``seq`` and resumable from any ``seq``; a consumer that
    has seen ``seq`` n never misses a version that becomes visible later with a smaller one.
S8  A page walk by keyset sees no resource twice and misses none that is there, unchanged in its
    sort values, during the whole walk, while others are added, changed and removed.
S9  Durable: when ``commit`` returned, its bytes were fsynced (stores that persist at all).
S10 ``meta.lastUpdated`` never goes back along ``seq``, even when the clock does.
S11 A stored body is returned byte for byte, and shares nothing with the caller's objects.
S12 ``take_record`` hands a record to one caller only.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from server.access.context import AccessContext
from server.search.catalog import R4, Catalog
from server.search.query import Query, SortKey
from server.search.rows import Framed, IndexRows

Method = Literal["POST", "PUT", "PATCH", "DELETE"]
Scalar = str | int | float | None
Index = Callable[[dict[str, Any]], tuple[IndexRows, tuple[str, ...]]]
"""Makes the index rows and compartments of a stored resource anew."""


@dataclass(frozen=True, slots=True)
class Body:
    """A resource's JSON, cut inside its ``meta`` where the store splices in what it decides.

    The stored bytes are ``head + b'"versionId":"7","lastUpdated":"2026-...Z"' + tail``: ``head``
    ends with ``"meta":{`` and ``tail`` begins with ``}`` or with ``,``.
    """

    head: bytes
    tail: bytes


@dataclass(frozen=True, slots=True)
class Write:
    """One new version of ``type``/``id``; ``body=None`` is a deletion (``rows`` then is ``None``).

    ``compartments`` are references such as ``Patient/x``, kept with the version; a deletion keeps
    those of the version before it.  ``if_version``: the number that must be the latest now (a
    deletion counts as a version).  ``must_be_new``: there must be no version at all.
    """

    type: str
    id: str
    body: Body | None
    rows: IndexRows | Framed | None
    compartments: tuple[str, ...] = ()
    method: Method = "PUT"
    if_version: int | None = None
    must_be_new: bool = False


@dataclass(frozen=True, slots=True)
class Expect:
    """At commit, before the writes, ``query`` must match exactly the live ids ``ids``.

    ``claim`` is a text that is equal for all commits that could break each other's expectation
    (``Patient?identifier=s|v``); stores without serial commits take it as a lock.
    """

    claim: str
    query: Query
    ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class RecordWrite:
    """Put (or, with ``value=None``, remove) one of the server's own small records.

    ``if_rev``: the revision that must be current (``0``: there must be none); ``None``: whatever.
    ``tag`` groups records of a kind for :meth:`Store.find_records` (a state, a queue, an owner).
    """

    kind: str
    key: str
    value: bytes | None
    tag: str = ""
    if_rev: int | None = None
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class Record:
    """One of the server's own records.  ``rev`` counts from 1 and changes with every put."""

    kind: str
    key: str
    value: bytes
    tag: str
    rev: int
    expires_at: int | None = None


@dataclass(frozen=True, slots=True)
class OutboxWrite:
    """A row of the notification outbox, in the commit of what it tells about."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """``seq`` is unique and grows in commit order."""

    seq: int
    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class Version:
    """One stored version.

    ``number`` counts from 1 per resource; ``seq`` grows over the whole store in commit order;
    ``at`` is ``meta.lastUpdated``; ``body`` is the JSON as stored, ``None`` for a deletion.
    """

    type: str
    id: str
    number: int
    seq: int
    at: int
    method: Method
    body: bytes | None


class Digest(NamedTuple):
    """A version as it was committed: 32 bytes over all that is kept of it."""

    seq: int
    id: str
    sha256: bytes


class Held(NamedTuple):
    """A live resource that has an index key; ``seq`` is that of its latest version."""

    type: str
    id: str
    seq: int


@dataclass(frozen=True, slots=True)
class Page:
    """Search results in order.  ``after`` resumes behind the last; ``None``: there is no more."""

    versions: tuple[Version, ...]
    after: tuple[Scalar, ...] | None


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a search's plan, in the order of doing: ``does`` is ``drive``, ``probe``,
    ``sort`` or ``fetch``, ``what`` says it in words and key texts.  Rows as estimated before and
    as counted while running; ``None`` where it is not known.
    """

    does: Literal["drive", "probe", "sort", "fetch"]
    what: str
    estimated: int | None = None
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a page was, or would be, found.  ``milliseconds`` of running it, wall time."""

    steps: tuple[Step, ...]
    milliseconds: float


class CommitConflict(Exception):
    """An expectation or a record's revision did not hold; nothing was written, plan again."""


class NewerSchema(Exception):
    """The data was written by a newer server; starting would corrupt it."""


class CorruptStore(Exception):
    """The data cannot be trusted; the text says what was found and what to do."""


class RecordStore(Protocol):
    """The server's own records: grants, sessions, jobs, the inbox.  Never shown through FHIR."""

    async def get_record(self, kind: str, key: str) -> Record | None:
        """Return the record, or ``None``; an expired one counts as absent."""

    async def find_records(
        self, kind: str, *, tag: str | None = None, after: str = "", limit: int = 100
    ) -> list[Record]:
        """Return records of a kind (and tag) with ``key > after``, ordered by key."""

    async def count_records(
        self, kind: str, tags: Collection[str] | None = None
    ) -> Mapping[str, int]:
        """Return how many records of the kind there are, by tag.

        ``tags``: of these alone; what has others costs nothing then.
        """

    async def take_record(self, kind: str, key: str) -> Record | None:
        """Remove the record and return it; of several callers one gets it (S12)."""

    async def expire_records(self, now: int) -> int:
        """Remove what expired up to ``now``; return how many."""

    async def record_news(self, kind: str, heard: int, within_s: float) -> int:
        """Return how often records of the kind are known to have been put, if not ``heard`` times.

        Else as soon as another is, or after ``within_s``; after four times as long in a store that
        hears of what other processes put.  A hint, for who would look every ``within_s`` for what
        there is seldom a new one of.
        """


class Store(RecordStore, Protocol):
    """Versioned storage of resources.  Implementations: memory, sqlite, mongo."""

    async def commit(
        self,
        writes: Sequence[Write],
        *,
        expect: Sequence[Expect] = (),
        records: Sequence[RecordWrite] = (),
        outbox: Sequence[OutboxWrite] = (),
    ) -> list[Version]:
        """Write all, or nothing.

        Args:
            writes: 0..n; at most one per ``type``/``id`` (R4 http.html#trules).

        Returns:
            The new versions, in the order of ``writes``, bodies spliced.

        Raises:
            VersionConflict: a write's ``if_version`` or ``must_be_new`` does not hold.
            CommitConflict: an expectation or a record's ``if_rev`` does not hold.
            StoreUnavailable: the store cannot write now; nothing was kept.
        """

    async def read(self, access: AccessContext, type_: str, id_: str) -> Version | None:
        """Return the latest version, a deletion included; ``None`` if there is none to be seen."""

    async def read_many(
        self, access: AccessContext, references: Collection[tuple[str, str]]
    ) -> dict[tuple[str, str], Version]:
        """Return the latest live versions of those (type, id) that exist and may be seen."""

    async def holders(
        self, keys: Collection[str], *, most: int
    ) -> dict[str, tuple[Held, ...] | None]:
        """Return, by key text, the live resources that have the key: what search finds by it.

        ``keys`` are texts of :mod:`server.search.rows` that name a value: identifiers, codes,
        references.  ``None``: more than ``most``, or more than were looked at; search for it.
        For the server itself, which may see everything.
        """

    async def vread(
        self, access: AccessContext, type_: str, id_: str, number: int
    ) -> Version | None:
        """Return that version, a deletion included; ``None`` if there is none to be seen."""

    async def search(
        self,
        access: AccessContext,
        query: Query,
        *,
        sort: Sequence[SortKey] = (),
        limit: int,
        after: tuple[Scalar, ...] | None = None,
        deadline_s: float = 10.0,
    ) -> Page:
        """Return one page of live resources, ``limit`` at most.

        Without ``sort`` the newest clinical date comes first, ties in reverse order of first
        storing.  ``after`` is a :attr:`Page.after` of the same query and sort.

        Raises:
            DeadlineExceeded: the search ran longer than ``deadline_s``; its text tells the plan.
        """

    async def explain(
        self,
        access: AccessContext,
        query: Query,
        *,
        sort: Sequence[SortKey] = (),
        limit: int,
        deadline_s: float = 10.0,
    ) -> Explanation:
        """Run the first page of a search and return how it was found.

        Counts of rows tell of resources that nobody may be told of, so callers let it be used by
        those who may see everything.  Raises DeadlineExceeded.
        """

    async def count(self, access: AccessContext, query: Query, *, deadline_s: float = 10.0) -> int:
        """Return how many live resources match.  Raises DeadlineExceeded."""

    async def history(
        self,
        access: AccessContext,
        type_: str | None = None,
        id_: str | None = None,
        *,
        since: int | None = None,
        until: int | None = None,
        before: int | None = None,
        without: Collection[str] = (),
        limit: int,
    ) -> list[Version]:
        """Return versions, deletions included, newest first, at most ``limit``.

        Of one resource, one type, or (no argument) the whole record.  ``since`` (inclusive) and
        ``until`` (exclusive) bound ``at``; ``before`` (exclusive) bounds ``seq`` and resumes.
        ``without``: types that are left out.
        """

    async def changes(
        self,
        access: AccessContext,
        *,
        after: int = 0,
        limit: int,
        type_: str | None = None,
        without: Collection[str] = (),
    ) -> list[Version]:
        """Return versions with ``seq > after``, oldest first: the change feed (S7).

        Of one type, or of all.  ``without``: types that are left out.
        """

    async def news(self, after: int, within_s: float) -> int:
        """Return the newest ``seq`` that is known of, as soon as it is above ``after``.

        After ``within_s`` at the latest, as it then is.  A hint, by which who follows the change
        feed need not look often: of what other processes commit one may hear late, or not, and of
        AuditEvents nothing is told.
        """

    async def digests(
        self, type_: str, *, after: int = 0, limit: int, anew: bool = False
    ) -> list[Digest]:
        """Return the digests of the versions of a type with ``seq > after``, oldest first.

        As they were made with the commit, or (``anew``) of what is there now: equal, as long as
        nobody changed it.  Raises whatever the store has for bytes that make no sense.
        """

    async def outbox(self, *, after: int = 0, limit: int = 100) -> list[OutboxRow]:
        """Return outbox rows with ``seq > after``, oldest first."""

    async def trim_outbox(self, upto: int) -> int:
        """Remove outbox rows with ``seq <= upto``; return how many."""

    def use_index(self, index: Index, fingerprint: str, catalog: Catalog = R4) -> None:
        """Make index rows by ``index`` from now on; ``fingerprint`` names what it is made by.

        ``catalog``: the search parameters it knows, for sorting by what has no order in the rows.

        What was indexed by another stays found by its old rows until :meth:`reindex` comes to it.
        """

    async def reindex(self, *, batch: int = 500) -> int:
        """Rebuild the index rows of at most ``batch`` resources that were indexed by older
        definitions, online; return how many are still to do (0: the index is current)."""

    async def backup(self, target: str) -> None:
        """Write a consistent copy of everything to the file ``target`` while the server runs."""

    async def verify(self) -> list[str]:
        """Check checksums, version chains and index rows; one line per fault, [] if sound."""

    async def ready(self) -> str | None:
        """Return ``None`` when reads and writes work, else why not (for ``/readyz``)."""

    async def close(self) -> None:
        """Finish what was accepted, then let go of files and threads."""
