import pytest

from server.auth import (
    Authenticator,
    OpenHouse,
    has_token,
    new_token,
    remove_token,
    tokens,
)
from server.auth.administrator import CACHE_US, KIND
from server.fhir.errors import LoginRequired
from server.search.rows import IndexRows
from server.store.memory import MemoryStore
from server.store.port import RecordWrite


class Clock:
    at = 1_000_000

    def __call__(self) -> int:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(clock: Clock) -> MemoryStore:
    return MemoryStore(now=clock, index=lambda _: (IndexRows(frozenset()), ()))


async def test_a_token_opens_everything_in_its_holders_name(
    store: MemoryStore, clock: Clock
) -> None:
    assert not await has_token(store)
    token = await new_token(store, "ward 3")

    access = await Authenticator(store, clock)(b"Bearer " + token.encode())

    assert await has_token(store)
    assert access.principal == "administrator/ward 3"
    assert access.unrestricted


async def test_the_token_itself_is_not_stored(store: MemoryStore) -> None:
    token = await new_token(store, "x")
    (record,) = await store.find_records(KIND)
    assert token not in record.key
    assert token.encode() not in record.value
    assert len(token) == len("tellonce_") + 43  # 256 bits in base64


@pytest.mark.parametrize(
    ("header", "told"),
    [
        (None, "needs a token"),
        (b"", "not a Bearer token"),
        (b"Bearer", "not a Bearer token"),
        (b"Bearer ", "not a Bearer token"),
        (b"Basic dXNlcjpwYXNz", "not a Bearer token"),
        (b"Bearer tellonce_wrong", "unknown"),
        (b"Bearer \xff\xfe", "unknown"),
    ],
)
async def test_anything_else_is_refused(
    store: MemoryStore, clock: Clock, header: bytes | None, told: str
) -> None:
    await new_token(store, "x")
    with pytest.raises(LoginRequired, match=told):
        await Authenticator(store, clock)(header)


async def test_a_removed_token_stops_working_within_two_seconds(
    store: MemoryStore, clock: Clock
) -> None:
    header = b"bearer " + (await new_token(store, "x")).encode()
    authenticate = Authenticator(store, clock)
    await authenticate(header)
    (record,) = await store.find_records(KIND)
    await store.commit([], records=[RecordWrite(KIND, record.key, None)])

    clock.at += CACHE_US

    with pytest.raises(LoginRequired):
        await authenticate(header)


async def test_a_clock_that_was_set_back_does_not_keep_a_removed_token_alive(
    store: MemoryStore, clock: Clock
) -> None:
    clock.at = 3_600_000_000
    header = b"Bearer " + (await new_token(store, "x")).encode()
    authenticate = Authenticator(store, clock)
    await authenticate(header)
    (record,) = await store.find_records(KIND)
    await store.commit([], records=[RecordWrite(KIND, record.key, None)])

    clock.at = CACHE_US

    with pytest.raises(LoginRequired):
        await authenticate(header)


async def test_an_open_house_asks_nobody() -> None:
    assert (await OpenHouse()(None)).unrestricted


async def test_a_token_is_listed_and_removed_by_an_id_that_is_not_the_token(
    store: MemoryStore, clock: Clock
) -> None:
    kept, gone = await new_token(store, "ward"), await new_token(store, "lab")
    ids = {name: id_ for id_, name in await tokens(store)}
    assert sorted(ids) == ["lab", "ward"]

    assert await remove_token(store, ids["lab"]) == "lab"

    assert [name for _, name in await tokens(store)] == ["ward"]
    assert (await Authenticator(store, clock)(b"Bearer " + kept.encode())).unrestricted
    with pytest.raises(LoginRequired):
        await Authenticator(store, clock)(b"Bearer " + gone.encode())


@pytest.mark.parametrize("id_", ["", "0", "f" * 12, "f" * 64])
async def test_removing_what_is_not_there_removes_nothing(store: MemoryStore, id_: str) -> None:
    await new_token(store, "ward")
    assert await remove_token(store, id_) is None
    assert len(await tokens(store)) == 1
