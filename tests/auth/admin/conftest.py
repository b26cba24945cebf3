"""Users, clients and proxies in a memory store; passwords that cost nothing."""

from collections.abc import Iterator

import pytest

from server.auth.clients import Clients
from server.auth.passwords import CHEAP, Passwords
from server.auth.proxies import Proxies
from server.auth.users import Users
from server.store.memory import MemoryStore
from server.store.port import Store
from tests.contract.made import Clock, index


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> Store:
    return MemoryStore(now=clock, index=index)


@pytest.fixture
def passwords() -> Iterator[Passwords]:
    made = Passwords(CHEAP)
    yield made
    made.close()


@pytest.fixture
def users(store: Store, passwords: Passwords, clock: Clock) -> Users:
    return Users(store, passwords, clock)


@pytest.fixture
def clients(store: Store, clock: Clock) -> Clients:
    return Clients(store, clock)


@pytest.fixture
def proxies(store: Store) -> Proxies:
    return Proxies(store)
