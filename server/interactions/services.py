"""What every interaction needs, handed in by the composition root (``server.app``).

Clock, id maker and secrets are values, so that a test that fixes them compares whole answers.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from server.access.policy import Policy as AccessPolicy
from server.audit.port import Audit
from server.search.catalog import R4, Catalog
from server.store.port import Store


@dataclass(frozen=True, slots=True)
class Policy:
    """The operator's rules for interactions; see the settings of the same names."""

    delete: Literal["refuse-clinical", "allow"] = "refuse-clinical"
    conditional_delete: Literal["single", "multiple"] = "single"
    update_creates: bool = True
    max_page: int = 1000
    default_page: int = 20
    max_bundle_entries: int = 5000
    deadline_s: float = 10.0
    words: bool = True


@dataclass(slots=True)
class Searchable:
    """The search parameters in force, and which of them do not find everything yet.

    The only part of :class:`Services` that changes: ``interactions.search_parameters`` puts another
    catalog here when a SearchParameter is stored.  ``unfinished``: canonical URLs of parameters
    whose index is being made (``None``: all of them, after an upgrade); ``left``: how many
    resources are still to be indexed, ``None`` while that is not known; ``behind``: what is stored
    was changed and is not in force yet; ``changed`` wakes who makes rows anew; ``lock`` is held
    while the catalog is replaced.
    """

    catalog: Catalog = R4
    unfinished: frozenset[str] | None = frozenset()
    left: int | None = None
    behind: bool = False
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True, slots=True)
class Services:
    """Store, clock, ids and rules of one server.

    ``base_url`` has no slash at its end; ``now`` gives microseconds since 1970-01-01T00:00:00Z;
    ``new_id`` gives an unguessable logical id (UUIDv7); ``cursor_key`` signs page cursors.
    ``audit`` is told of everything; ``None`` only where nothing is served.  ``access_policy`` says
    which labels and releases are put on what is written; ``None``: none are.  ``owner`` names this
    process among those that share the store, in its leases; ``None``: it is the only one.
    """

    store: Store
    base_url: str
    now: Callable[[], int]
    new_id: Callable[[], str]
    cursor_key: bytes
    policy: Policy = field(default_factory=Policy)
    searchable: Searchable = field(default_factory=Searchable)
    audit: Audit | None = None
    access_policy: AccessPolicy | None = None
    owner: str | None = None

    @property
    def catalog(self) -> Catalog:
        """The search parameters in force now; ask again after every ``await``."""
        return self.searchable.catalog
