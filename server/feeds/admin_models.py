"""The shapes of the admin API.  Times are RFC 3339, UTC; durations are seconds."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mappings.plan import ExplainRow
from server.feeds.inbox import Entry, State
from server.feeds.quarantine import DryRun, Summary


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ListenerOut(_Model):
    """A listening MLLP address."""

    host: str
    port: int
    feed: str
    tls: bool
    connections: int
    refused_connections: int
    frames: int
    refused_frames: int
    skipped_bytes: int


class RatesOut(_Model):
    """Messages a minute, over the last minutes."""

    one: float
    five: float
    fifteen: float


class FeedOut(_Model):
    """One feed: how it is set, what is in its inbox, and what it does now."""

    name: str
    mode: str
    authoritative: bool
    ack: str
    ack_quarantined: str
    lane_when_quarantined: str
    batch: str
    acknowledge: str
    folder: str | None
    states: dict[str, int] = Field(description="Messages in the inbox by state.")
    quarantined: dict[str, int] = Field(description="Since the start, by reason.")
    received: int = Field(description="Since the start, as those below.")
    repeated: int
    applied: int
    refused: int
    reused_ids: int
    queries: int = Field(
        description="Questions asked, refused ones too; they are not in the inbox."
    )
    bytes: int
    unfinished: int = Field(description="Messages waiting in lanes or being applied now.")
    backlog: bool = Field(description="Messages of before the start are still worked off.")
    lag_s: float = Field(description="Age of the oldest message that is not finished.")
    ack_p99_s: float | None = Field(description="Upper bound of 99 of 100 acknowledgements.")
    connections: int
    per_minute: RatesOut
    last_message: str | None


class LanesOut(_Model):
    """All lanes together."""

    busy: int
    active: int
    waiting: int


class FeedsOut(_Model):
    """All feeds that are described, or ever sent something."""

    feeds: list[FeedOut]
    listeners: list[ListenerOut]
    lanes: LanesOut
    map_version: str
    map_problems: list[str] = []  # why the changed files are not used; empty: they are


class MessageOut(_Model):
    """One message of the inbox, without its content."""

    id: str
    feed: str
    received: str
    updated: str
    state: State
    type: str
    control_id: str
    sender: str
    size_bytes: int
    mode: str
    reason: str
    problem: str
    dismissed: str
    attempts: int
    edits: int
    reused_id: bool
    map_version: str
    produced: list[str]

    @classmethod
    def of(cls, entry: Entry) -> "MessageOut":
        """Return what is shown of a message in lists."""
        same = {
            name: getattr(entry, name)
            for name in cls.model_fields
            if name not in ("received", "updated", "produced")
        }
        return cls(
            **same,
            received=instant(entry.received),
            updated=instant(entry.updated),
            produced=list(entry.produced),
        )


class MessagesOut(_Model):
    """A page.  ``next``: what ``after`` (or ``before``) of the next page is; null on the last."""

    messages: list[MessageOut]
    next: str | None


class ExplainOut(_Model):
    """Where one value came from, or why it did not come."""

    target: str
    source: str
    how: str
    value: str


class MessageDetail(MessageOut):
    """One message with all that is known of it but its bytes."""

    sha256: str
    issues: list[str]
    warnings: list[str]
    unmapped: list[str]
    ack: str
    explain: list[ExplainOut]

    @classmethod
    def with_explain(cls, entry: Entry, rows: Iterable[ExplainRow]) -> "MessageDetail":
        """Return the message and its explanation."""
        return cls(
            **MessageOut.of(entry).model_dump(),
            sha256=entry.sha256,
            issues=list(entry.issues),
            warnings=list(entry.warnings),
            unmapped=list(entry.unmapped),
            ack=entry.ack.decode("latin-1"),
            explain=explained(rows),
        )


class UnmappedOut(_Model):
    """A code that no table knows, or an authority without a system."""

    code: str = Field(description="Table and code; or AssigningAuthority and its name.")
    messages: int
    last_message: str
    last_received: str


class ReplayIn(_Model):
    """``edited``: the message to apply instead, in ER7; ``dry_run``: write nothing."""

    edited: str | None = None
    encoding: Literal["utf-8", "latin-1"] = "utf-8"
    dry_run: bool = False


class DismissIn(_Model):
    """Why the message shall never be applied."""

    reason: str = Field(min_length=1, max_length=1000)


class FilterIn(_Model):
    """Which messages are meant; what is left out does not matter."""

    feed: str | None = None
    states: list[State] = ["quarantined"]
    reason: str | None = None
    type: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    map_version: str | None = None
    dry_run: bool = False


class DryRunOut(_Model):
    """What applying one message would do now."""

    refused: str | None
    problem: str
    issues: list[str]
    writes: list[str]
    resources: list[dict[str, Any]]
    warnings: list[str]
    explain: list[ExplainOut]

    @classmethod
    def of(cls, done: DryRun, rows: Iterable[ExplainRow]) -> "DryRunOut":
        """Return the outcome of a dry run, with what explains it."""
        return cls(
            refused=done.refused.reason if done.refused is not None else None,
            problem=done.refused.problem if done.refused is not None else "",
            issues=list(done.refused.issues) if done.refused is not None else [],
            writes=list(done.writes),
            resources=list(done.resources),
            warnings=list(done.warnings),
            explain=explained(rows),
        )


class ReplayOut(_Model):
    """What was asked for; the server does it within seconds."""

    asked: int
    dry_run: DryRunOut | None = None


class SummaryOut(_Model):
    """How many messages were asked for, or, dry, what that would come to."""

    messages: int
    asked: int
    applied: int = 0
    unchanged: int = 0
    writes: dict[str, int] = {}
    refused: dict[str, int] = {}
    unmapped: dict[str, int] = {}
    complete: bool = Field(description="False: there are more; only the first were looked at.")

    @classmethod
    def of(cls, summary: Summary, *, complete: bool) -> "SummaryOut":
        """Return the outcome of many dry runs."""
        return cls(
            messages=summary.messages,
            asked=0,
            applied=summary.applied,
            unchanged=summary.unchanged,
            writes=dict(summary.writes),
            refused=dict(summary.refused),
            unmapped=dict(summary.unmapped.most_common(100)),
            complete=complete,
        )


def instant(us: int) -> str:
    """Return microseconds since 1970 as text."""
    made = datetime.fromtimestamp(us / 1e6, UTC).isoformat(timespec="milliseconds")
    return made.replace("+00:00", "Z")


def explained(rows: Iterable[ExplainRow]) -> list[ExplainOut]:
    """Return explain rows by name."""
    return [ExplainOut(**row._asdict()) for row in rows]
