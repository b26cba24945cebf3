"""Texts and places that a query asks for, as the keys and resources that they are.

Texts have a collection of their own; distances are measured in Python, of what lies in a box.
"""

from collections.abc import Sequence

from server.search.query import AllOf, AnyOf, Near, Not, TextIs
from server.store.mongo.compile import (
    EVERY,
    Every,
    Filter,
    Keys,
    Later,
    Member,
    Some,
    These,
    Unless,
    all_of,
    texts_asked,
)
from server.store.mongo.look import Look, Pipeline
from server.store.mongo.near import found_near, is_near
from server.store.mongo.plan import is_value

MAX_TEXTS = 10_000  # texts whose keys are taken out of their collection
MAX_PLACES = 10_000  # resources near a place that are found beforehand


async def valued(look: Look, member: Member) -> Member:
    """Return the member with texts and places as what they are."""
    if not is_value(member):
        return member
    match member:
        case TextIs():
            found = await texts(look, member, MAX_TEXTS)
            return Later(member) if found is None else found
        case Near():
            return await near(look, member)
        case Not(of):
            return Unless(await valued(look, of))
        case AllOf(of):
            return Every(tuple([await valued(look, one) for one in of]))
        case AnyOf(of):
            return Some(tuple([await valued(look, one) for one in of]))
        case _:
            return member


async def texts(
    look: Look, asked: TextIs, limit: int, among: Sequence[int] | None = None
) -> Keys | None:
    """Return the keys of the texts that are asked for; ``None``: more than ``limit``.

    ``among``: keys of which they must be.
    """
    where = texts_asked(asked)
    if among is not None:
        where = {"$and": [where, {"h": {"$in": list(among)}}]}
    wanted: Pipeline = [{"$match": where}, {"$group": {"_id": "$h"}}, {"$limit": limit + 1}]
    hashes = [one["_id"] async for one in look.pipe(wanted, of="texts")]
    return Keys(tuple(hashes), asked) if len(hashes) <= limit else None


async def near(look: Look, asked: Near, among: Filter = EVERY) -> These | Later:
    """Return the resources that are near, those of which ``among`` holds if any is given."""
    where = all_of([found_near(asked), among])
    limit = MAX_PLACES + 1 if among == EVERY else 0  # a batch is limited itself
    found = await look.find(where, {"pt": 1}, limit=limit)
    if limit and len(found) == limit:
        return Later(asked)
    within = (one["_id"] for one in found if is_near(asked, one["pt"]))
    return These(tuple(within), asked)
