"""One request for a page: who is there, what was sent, and the answer in their name."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from fastapi import Request, Response

from server.access.context import AccessContext, Trace
from server.audit.port import Action, Told
from server.auth.pages.context import PageContext
from server.auth.pages.form import NO_FORM, Form
from server.auth.pages.sessions import LoggedIn

PRINCIPAL = "user/"
CLIENT = "pages"


@dataclass(frozen=True)
class Visit:
    """``stranger`` is the cookie of a browser in which nobody is logged in; ``trace`` is what audit
    wants to know of the request."""

    context: PageContext
    request: Request
    trace: Trace
    stranger: str
    who: LoggedIn | None = None
    form: Form = NO_FORM

    @property
    def me(self) -> LoggedIn:
        """Who is logged in; only on pages that ask for it."""
        assert self.who is not None
        return self.who

    @property
    def csrf(self) -> str:
        """The token that forms of this browser hold.

        Of a stranger it is made from the cookie, which no other site can set or read: a login form
        needs a token too, or somebody could be logged in as somebody else.
        """
        if self.who is not None:
            return self.who.session.csrf
        return sha256(f"csrf {self.stranger}".encode()).hexdigest()

    @property
    def address(self) -> str:
        """The network address of the browser."""
        return self.trace.address

    def asked(self, name: str) -> str:
        """Return a parameter of the query; empty when it is absent or there several times."""
        found = self.request.query_params.getlist(name)
        return found[0] if len(found) == 1 else ""

    def page(
        self,
        template: str,
        *,
        status: int = 200,
        form_to: Iterable[str] = (),
        headers: dict[str, str] | None = None,
        **values: Any,
    ) -> Response:
        """Return a page; see :meth:`server.auth.pages.views.Views.page`."""
        user = self.who.user if self.who is not None else None
        return self.context.views.page(
            template,
            status=status,
            form_to=form_to,
            headers=headers,
            user=user,
            csrf=self.csrf,
            **values,
        )

    def redirect(self, path: str) -> Response:
        """Return the way to another page of ours."""
        return self.context.views.redirect(path)

    async def access(self) -> AccessContext:
        """Return what the user may see: their own rights, never the server's."""
        return replace(await self.context.access_of(self.me.user), trace=self.trace)

    def tell(
        self,
        action: Action,
        interaction: str,
        *,
        user: str | None,
        entities: tuple[str, ...] = (),
        patients: tuple[str, ...] = (),
        why: str = "",
        refused: bool = False,
    ) -> None:
        """Tell audit what ``user`` did here (``None``: nobody that is known)."""
        services = self.context.services
        if services.audit is None:
            return
        if refused and user is None and self.context.ledger.told.counted():
            return
        principal = f"{PRINCIPAL}{user}" if user is not None else "anybody"
        person = self.who.user.fhir_user if self.who is not None else None
        access = AccessContext(principal, CLIENT, (), person=person, trace=self.trace)
        services.audit.tell(
            Told(
                services.now(),
                action,
                interaction,
                access,
                entities,
                patients,
                outcome="4" if refused else "0",
                why=why,
            )
        )
