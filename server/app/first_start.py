"""What the first start makes, so that somebody can come in: a token, and an administrator."""

from dataclasses import dataclass
from secrets import choice
from string import ascii_letters, digits

from server.auth import has_token, new_token
from server.auth.unfit import Taken
from server.auth.users import Users
from server.interactions.services import Services
from server.store.turn import Turn

ADMINISTRATOR = "admin"
PASSWORD_LENGTH = 20  # 119 bits; letters and digits, which a double click marks whole


@dataclass(frozen=True, slots=True)
class FirstUser:
    """The administrator who was made; the password cannot be shown again."""

    name: str
    password: str


async def first_token(services: Services) -> str | None:
    """Return a token for scripts and commands, when there was never one.

    Of several processes that start on an empty store one makes it.
    """
    store = services.store
    turn = Turn(store, "first start", services.owner, services.now)
    if await has_token(store) or not await turn.mine():
        return None
    try:
        return None if await has_token(store) else await new_token(store, "first")
    finally:
        await turn.give_back()


async def first_user(users: Users) -> FirstUser | None:
    """Return an administrator who can log in, when there is no user at all."""
    if await users.any():
        return None
    password = "".join(choice(ascii_letters + digits) for _ in range(PASSWORD_LENGTH))
    try:
        await users.add(ADMINISTRATOR, roles=("admin",), password=password)
    except Taken:  # a command was faster
        return None
    return FirstUser(ADMINISTRATOR, password)
