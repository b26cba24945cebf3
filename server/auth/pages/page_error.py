"""What goes wrong on a page, told to a person: what it was, and what to do next."""

from collections.abc import Sequence


class PageError(Exception):
    """``next`` are links (label, path) that lead on."""

    def __init__(
        self,
        status: int,
        title: str,
        text: str,
        *,
        next: Sequence[tuple[str, str]] = (("Go to the start page", "/auth/"),),  # noqa: A002
    ) -> None:
        super().__init__(text)
        self.status, self.title, self.text, self.next = status, title, text, tuple(next)


class LoginFirst(Exception):
    """The page is for people who are logged in; they come back to it afterwards."""


class LoginAgain(Exception):
    """The login is older than the app wants it; ``path`` leads to a new one."""

    def __init__(self, path: str) -> None:
        super().__init__("the login is too old")
        self.path = path
