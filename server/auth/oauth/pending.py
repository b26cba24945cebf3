"""A request that waits for its user, and the two ways in which one is refused."""

from dataclasses import dataclass, field
from typing import Any, ClassVar

from server.auth.records import Kept


class PageError(Exception):
    """What is told to the person in a page, never to an address: it may be a stranger's."""

    def __init__(self, title: str, text: str, status: int = 400) -> None:
        super().__init__(f"{title}: {text}")
        self.title, self.text, self.status = title, text, status


class Redirected(Exception):
    """The request was refused; the app is told at ``url``.  RFC 6749 4.1.2.1."""

    def __init__(self, url: str) -> None:
        super().__init__("the request was refused")
        self.url = url


class Refused(Exception):
    """``error`` and ``description`` go to the redirect address of the app."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error, self.description = error, description


@dataclass(frozen=True, slots=True)
class Pending(Kept):
    """A validated request that waits for its user.  Key: SHA-256 of ``id``.  Tag: the client.

    ``scope``: what was asked for and the client may have, never more.  ``prompt``: some of
    ``none``, ``login``, ``consent``, ``select_account``.  ``max_age``: seconds since the login at
    most.  ``launched``: from the EHR; then only ``user`` may go on, and ``patient`` and ``context``
    are those of the launch.
    """

    KIND: ClassVar[str] = "pending"
    client: str
    client_name: str
    redirect_uri: str
    state: str
    scope: str
    challenge: str
    id: str = ""
    nonce: str | None = None
    prompt: tuple[str, ...] = ()
    max_age: int | None = None
    login_hint: str | None = None
    launched: bool = False
    user: str | None = None
    patient: str | None = None
    context: dict[str, Any] = field(default_factory=dict)
