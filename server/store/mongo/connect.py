"""The connection: what is asked of a MongoDB, and what its failures mean to a caller.

Every read goes to the primary and reads what a majority of the replica set has: what was shown
once cannot be undone by a failover.  Every write waits until a majority has it in its journal.
No message says the address with its user and password, only the hosts, and callers are not told
those either: they are in ``str(error)``, for commands and logs.
"""

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bson.errors import InvalidDocument
from pymongo import AsyncMongoClient, ReadPreference
from pymongo.errors import (
    AutoReconnect,
    BulkWriteError,
    ConfigurationError,
    ConnectionFailure,
    ExecutionTimeout,
    NetworkTimeout,
    OperationFailure,
    PyMongoError,
    ServerSelectionTimeoutError,
)
from pymongo.read_concern import ReadConcern
from pymongo.uri_parser import parse_uri
from pymongo.write_concern import WriteConcern

from server.fhir.errors import DeadlineExceeded, FhirError, StoreUnavailable, TooLarge
from server.store.mongo import waiting

MAJORITY = WriteConcern("majority", j=True)
DEFAULT_DATABASE = "tellonce"
OLDEST = 13  # wire version of MongoDB 5.0: snapshot reads outside of transactions
MAX_DOCUMENT_BYTES = 16 * 1024 * 1024

_WAITS_MS = {
    "serverSelectionTimeoutMS": 5_000,
    "connectTimeoutMS": 5_000,
    "socketTimeoutMS": 30_000,
}
_RETRY_AFTER_S = 5
_WRONG_LOGIN = frozenset((13, 18))  # Unauthorized, AuthenticationFailed
_TOO_LARGE = frozenset((10334, 17280, 17419, 17420))
_TRANSACTION_TOO_LARGE = 388
_UNFIT = "the store cannot be used yet"
_SET_UP = 'mongosh --eval "rs.initiate()"'


@dataclass(frozen=True, slots=True)
class Address:
    """Where the database is; ``hosts`` may be shown, ``url`` may not."""

    url: str
    hosts: str
    database: str


def address_of(url: str) -> Address:
    """Return the parts of ``mongodb://...``; raises ValueError, its text without the password."""
    hosts = re.sub(r"^[^:]+://(?:[^@/]*@)?([^/?]*).*$", r"\1", url)
    if url.startswith("mongodb+srv://"):
        # What the name stands for is asked of the DNS when a connection is made.
        database = re.sub(r"^[^:]+://[^/]*/?([^?]*).*$", r"\1", url)
        return Address(url, hosts, database or DEFAULT_DATABASE)
    try:
        found = parse_uri(url, warn=False)
    except (PyMongoError, ValueError) as error:
        raise ValueError(f"the address of MongoDB at {hosts} cannot be read") from error
    return Address(url, hosts, found["database"] or DEFAULT_DATABASE)


def client_of(address: Address, name: str) -> AsyncMongoClient[dict[str, Any]]:
    """Return a client that connects when it is first used, and says ``name`` to MongoDB.

    How long it waits may be said in the address; what a write and a read mean may not.
    """
    waiting.mend()
    said = {option.partition("=")[0].lower() for option in re.split(r"[?&]", address.url)}
    waits: dict[str, Any] = {name: ms for name, ms in _WAITS_MS.items() if name.lower() not in said}
    return AsyncMongoClient(
        address.url,
        appname=name,
        w="majority",
        journal=True,
        readConcernLevel="majority",
        readPreference="primary",
        retryWrites=True,
        retryReads=True,
        **waits,
    )


async def check(client: AsyncMongoClient[dict[str, Any]], address: Address) -> None:
    """Refuse a server that cannot do what the store needs, with the command that helps.

    Raises StoreUnavailable.
    """
    try:
        hello = await client.admin.command("hello")
    except ServerSelectionTimeoutError:
        await _refuse_unready(address)
        raise
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise _standalone(address)
    if hello["maxWireVersion"] < OLDEST:
        raise _unavailable(address, "is older than 5.0", _UNFIT)


@contextmanager
def explained(address: Address, *, deadline_s: float | None = None) -> Iterator[None]:
    """Raise what an error of the driver means instead of it.

    Its own text is not kept with that: it may hold whole documents, and end in a log.

    ``deadline_s``: the time that a read was given.
    """
    before = _cancels()
    try:
        yield
    except PyMongoError as error:
        _heed(before)
        raise meaning(error, address, deadline_s) from None
    except InvalidDocument:
        raise TooLarge(
            f"MongoDB cannot keep it: one document holds {MAX_DOCUMENT_BYTES} bytes of valid text"
        ) from None
    _heed(before)


def _cancels() -> int:
    task = asyncio.current_task()
    return task.cancelling() if task is not None else 0


def _heed(before: int) -> None:
    """End the task if that was asked for since: while the driver waits for a server it may miss it.

    ``asyncio.wait_for`` of Python 3.11, by which it waits, swallows a cancellation that comes at
    the moment at which the wait ends; then a server that stops would wait for the task for ever.
    """
    if _cancels() > before:
        raise asyncio.CancelledError


def meaning(error: PyMongoError, address: Address, deadline_s: float | None = None) -> FhirError:
    """Return what an error of the driver means; nothing of it names a user or a password."""
    code = _code(error)
    if code in _WRONG_LOGIN:
        return _unavailable(
            address,
            "refuses the user, the password, or what they may do: check the address of the store",
            "the store refuses the server",
        )
    if code in _TOO_LARGE:
        return TooLarge(f"MongoDB keeps {MAX_DOCUMENT_BYTES} bytes in one document, not more")
    if code == _TRANSACTION_TOO_LARGE:
        return TooLarge("it is too much for one transaction in the cache of MongoDB")
    if isinstance(error, ExecutionTimeout):
        if deadline_s is None:
            return DeadlineExceeded("the read took too long")
        return DeadlineExceeded(f"the search ran longer than {deadline_s:g} s")
    if isinstance(error, ConnectionFailure | AutoReconnect | NetworkTimeout):
        return _unavailable(address, "cannot be reached", "the store cannot be reached")
    if isinstance(error, ConfigurationError):
        return _unavailable(address, f"cannot be used: {_said(error)}", _UNFIT)
    name = type(error).__name__ if code is None else f"error {code}"
    return _unavailable(address, f"failed ({name})", "the store failed")


def majority_read() -> dict[str, Any]:
    """Return the options of a database or collection that is read as the port promises."""
    return {
        "read_preference": ReadPreference.PRIMARY,
        "read_concern": ReadConcern("majority"),
        "write_concern": MAJORITY,
    }


def _code(error: PyMongoError) -> int | None:
    if isinstance(error, BulkWriteError):
        failed = error.details.get("writeErrors") or error.details.get("writeConcernErrors")
        return failed[0].get("code") if failed else None
    return error.code if isinstance(error, OperationFailure) else None


async def _refuse_unready(address: Address) -> None:
    """Ask a lone server that nobody could select why; return when it does not tell."""
    probe: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(
        address.url, directConnection=True, serverSelectionTimeoutMS=1_000
    )
    try:
        hello = await probe.admin.command("hello")
    except (PyMongoError, ValueError):
        return
    finally:
        await probe.close()
    if hello.get("isreplicaset"):
        why = f"is not set up as a replica set yet; run once: {_SET_UP}"
        raise _unavailable(address, why, _UNFIT)
    if "setName" not in hello and hello.get("msg") != "isdbgrid":
        raise _standalone(address)


def _standalone(address: Address) -> StoreUnavailable:
    why = (
        "runs alone, and only a replica set has transactions: start"
        f" mongod with --replSet rs0 (one member is enough) and run once: {_SET_UP}"
    )
    return _unavailable(address, why, _UNFIT)


def _unavailable(address: Address, why: str, told: str) -> StoreUnavailable:
    """Return the error; ``told`` is all that a caller hears of it."""
    in_full = f"MongoDB at {address.hosts} {why}"
    return StoreUnavailable(told, in_full=in_full, retry_after_s=_RETRY_AFTER_S)


def _said(error: PyMongoError) -> str:
    """Return the words of an error about options, without anything that may be an address."""
    return re.sub(r"\S*(?:@|://)\S*", "...", str(error))[:200]
