"""What there is while the store is connected."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pymongo import AsyncMongoClient

from server.store.mongo import migrations
from server.store.mongo.abandoned import Abandoned
from server.store.mongo.bodies import Bodies
from server.store.mongo.commit import Definitions
from server.store.mongo.connect import Address, check, majority_read
from server.store.mongo.reading import Reading
from server.store.mongo.search import Searches
from server.store.mongo.texts import Texts
from server.store.mongo.transact import Committer
from server.store.mongo.writer import Writer
from server.store.port import Index


@dataclass(frozen=True, slots=True)
class Opened:
    """``reading`` has the definitions of when it was opened."""

    reading: Reading
    writer: Writer
    abandoned: Abandoned


async def connected(
    client: AsyncMongoClient[dict[str, Any]],
    address: Address,
    database: str,
    searches: Searches,
    definitions: Callable[[], tuple[Index, Any]],
    made_by: Callable[[], Definitions],
    now: Callable[[], int],
) -> Opened:
    """Check the server, bring the database up to date, and return what reads and writes it.

    ``definitions``: index and catalog as they are now; ``made_by``: the label of new rows.
    """
    await check(client, address)
    db = client.get_database(database, **majority_read())
    await migrations.migrate(db)
    bodies = Bodies(db)
    await bodies.load()
    abandoned = Abandoned(client, database)
    committer = Committer(
        address,
        lambda session: Reading(db, bodies, *definitions(), session),
        client.start_session,
        searches,
        Texts(db),
        made_by,
        now,
        abandoned.end,
        db.state,
    )
    writer = Writer(committer.apply, bodies.improve, lambda: committer.shared)
    return Opened(Reading(db, bodies, *definitions()), writer, abandoned)
