"""What every page is given, handed in by the composition root; and what it needs of others."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from server.access.context import AccessContext
from server.auth.limits import Limits
from server.auth.oauth.authorize import Authorize
from server.auth.oauth.ledger import Ledger
from server.auth.pages.sessions import Sessions
from server.auth.pages.site import Site
from server.auth.pages.upstream_provider import Upstream
from server.auth.pages.views import Views
from server.auth.records import User
from server.auth.users import Users
from server.interactions.services import Services

AccessOf = Callable[[User], Awaitable[AccessContext]]
"""What a user may see, by the policy and by nothing else: no app is in between."""

Authenticate = Callable[[bytes | None], Awaitable[AccessContext]]
"""The caller of an ``Authorization`` header; raises LoginRequired."""


@dataclass(frozen=True)
class PageContext:
    """One server's pages.

    ``upstream``: the external OpenID provider, where people may log in too.  ``password_login``:
    off, where only that provider may be used.  ``remember_consent``: an app that asks for no more
    than it has a grant for is not asked about again.
    """

    services: Services
    users: Users
    limits: Limits
    authorize: Authorize
    ledger: Ledger
    access_of: AccessOf
    authenticate: Authenticate
    name: str = "Tellonce"
    upstream: Upstream | None = None
    password_login: bool = True
    remember_consent: bool = False
    site: Site = field(init=False)
    views: Views = field(init=False)
    sessions: Sessions = field(init=False)

    def __post_init__(self) -> None:
        site = Site(self.services.base_url, self.name)
        object.__setattr__(self, "site", site)
        object.__setattr__(self, "views", Views(site))
        store, now = self.services.store, self.services.now
        sessions = Sessions(store, self.users, now, self.ledger.end)
        object.__setattr__(self, "sessions", sessions)
