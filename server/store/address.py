"""Where the record lives, as the operator writes it: an address that may hold a password.

``sqlite:///FILE`` or ``mongodb://[USER:PASSWORD@]HOST[:PORT][,HOST...]/[DATABASE][?OPTIONS]``.
The password is in no text that this class makes of itself, so that none of it comes into a log.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Scheme = Literal["sqlite", "mongodb", "mongodb+srv"]

SCHEMES: tuple[Scheme, ...] = ("sqlite", "mongodb", "mongodb+srv")
DATABASE = "tellonce"
_DATABASE = re.compile(r"[A-Za-z0-9_-]{1,38}")  # what MongoDB takes on every system
_LONGEST = 4096


@dataclass(frozen=True, slots=True, repr=False)
class StoreAddress:
    """One address, checked.  :meth:`reveal` gives it with its password; ``str`` without."""

    scheme: Scheme
    _text: str

    @classmethod
    def read(cls, text: str) -> "StoreAddress":
        """Read what an operator wrote; raise ValueError, which says no more than what is wrong.

        >>> StoreAddress.read("mongodb://u:secret@a,b/db?replicaSet=rs0")
        StoreAddress('mongodb://u:***@a,b/db?replicaSet=rs0')
        """
        text = text.strip()
        scheme = next((one for one in SCHEMES if text.startswith(f"{one}://")), None)
        if scheme is None or len(text) > _LONGEST:
            raise ValueError(
                "URL scheme should be 'sqlite', 'mongodb' or 'mongodb+srv', as in "
                "sqlite:///FILE or mongodb://HOST/DATABASE?replicaSet=rs0"
            )
        made = cls(scheme, text)
        if made.embedded:
            return made
        if not made._hosts:
            raise ValueError("there is no host in it, as in mongodb://HOST/DATABASE")
        if "@" in made._login or "/" in made._login:
            raise ValueError("write an @ or a / in its user or password as %40 or %2F")
        if not _DATABASE.fullmatch(made.database):
            raise ValueError("the database is 1 to 38 letters, digits, _ and -")
        return made

    @property
    def embedded(self) -> bool:
        """True for a file of this machine, which one server has open."""
        return self.scheme == "sqlite"

    @property
    def file(self) -> Path:
        """The file of an embedded store."""
        return Path(self._rest.partition("/")[2] or "record.db")

    @property
    def database(self) -> str:
        """The name of the database; ``tellonce`` where the address names none."""
        return self._rest.partition("/")[2].partition("?")[0] or DATABASE

    @property
    def has_password(self) -> bool:
        """Tell whether it holds what nobody may read."""
        return ":" in self._login

    def reveal(self) -> str:
        """Return it with its password: for who opens the store, never for people."""
        return self._text

    def __str__(self) -> str:
        """Return it as it may be shown: the password is ``***``."""
        if not self.has_password:
            return self._text
        user = self._login.partition(":")[0]
        return f"{self.scheme}://{user}:***@{self._rest.removeprefix(self._login + '@')}"

    def __repr__(self) -> str:
        """Return it as it may be shown."""
        return f"StoreAddress({str(self)!r})"

    @property
    def _rest(self) -> str:
        return self._text.partition("://")[2]

    @property
    def _login(self) -> str:
        """The part before the last ``@`` of what may be hosts: a password may have more of them."""
        login, at, _ = self._rest.partition("?")[0].rpartition("@")
        return login if at else ""

    @property
    def _hosts(self) -> str:
        rest = self._rest.partition("?")[0]
        return rest.removeprefix(f"{self._login}@").partition("/")[0] if rest else ""
