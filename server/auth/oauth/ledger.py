"""What the authorization server writes down: grants, codes, tokens, and who is told of them.

A grant is the family of its codes and tokens: each of them is looked up through it, so removing
it ends all at once.  What may be used once is spent in the same commit that makes what comes
after, so that of racing uses one succeeds; the others are a second use, which ends the family
(RFC 6749 4.1.2; RFC 9700 4.14.2).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from secrets import token_urlsafe
from typing import Any, Literal, NoReturn

from server.audit.port import Audit
from server.auth.oauth.terms import CODE_S, SECOND, Terms
from server.auth.oauth.told import Telling
from server.auth.records import (
    AccessToken,
    Client,
    Code,
    Grant,
    RefreshToken,
    Session,
    User,
    key_of,
)
from server.store.port import CommitConflict, RecordWrite, Store

DAY = 86_400 * SECOND
JTI = "jti"
MAX_ID = 128  # characters of a client's


class Reused(Exception):
    """A code or refresh token was used a second time; its family has ended."""


@dataclass(frozen=True, slots=True)
class Redeemable:
    """A code or refresh token that was found and is not spent, with what is kept beside it."""

    key: str
    rev: int
    grant: Grant
    grant_rev: int
    code: Code | None = None
    refresh: RefreshToken | None = None


@dataclass(frozen=True, slots=True)
class Issued:
    """New tokens; they cannot be shown again.  ``expires_in``: seconds."""

    access: str
    refresh: str | None
    scope: str
    expires_in: int
    grant: Grant


class Ledger:
    """``now`` gives microseconds; ``on_end`` is called with the id of each grant that ends."""

    def __init__(
        self,
        store: Store,
        terms: Terms,
        now: Callable[[], int],
        audit: Audit | None = None,
        on_end: Callable[[str], None] = lambda grant: None,
    ) -> None:
        self.store = store
        self.told = Telling(now, audit)
        self._terms, self._now, self._on_end = terms, now, on_end

    async def client(self, id_: str) -> Client | None:
        """Return a client that is registered and active."""
        record = await self.store.get_record(Client.KIND, id_) if len(id_) <= MAX_ID else None
        client = Client.unpack(record.value) if record is not None else None
        return client if client is not None and client.active else None

    async def user(self, name: str) -> User | None:
        """Return a user who may act."""
        record = await self.store.get_record(User.KIND, name)
        user = User.unpack(record.value) if record is not None else None
        return user if user is not None and user.active else None

    async def grant(
        self,
        client: Client,
        user: User,
        *,
        scope: str,
        patient: str | None,
        context: dict[str, Any],
        refresh: Literal["offline", "online"] | None,
        session: str,
        auth_time: int,
        redirect_uri: str,
        challenge: str,
        nonce: str | None,
    ) -> str:
        """Write down what a user allowed; return the code for it, good for a minute."""
        now = self._now()
        grant = Grant(
            id=token_urlsafe(16),
            client=client.id,
            user=user.name,
            scope=scope,
            patient=patient,
            context=context,
            refresh=refresh,
            session=session if refresh == "online" else None,
            auth_time=auth_time,
            created=now,
            audience=self._terms.base_url,
        )
        made = token_urlsafe(32)
        code = Code(grant.id, client.id, redirect_uri, challenge, nonce)
        expires = now + CODE_S * SECOND
        await self.store.commit(
            [],
            records=[
                RecordWrite(Code.KIND, key_of(made), code.pack(), grant.id, 0, expires),
                # Until the code is used: a grant that nobody took up is none.
                RecordWrite(Grant.KIND, grant.id, grant.pack(), user.name, 0, expires),
            ],
        )
        self.told.granted("grant", grant, scope)
        return made

    async def find_code(self, value: str) -> Redeemable | None:
        """Return what a code stands for; ``None`` when it is unknown or expired.

        Raises:
            Reused: it was used before; all its tokens have ended.
        """
        key = key_of(value)
        record = await self.store.get_record(Code.KIND, key)
        if record is None:
            return None
        code = Code.unpack(record.value)
        if code.spent:
            await self._reused(code.grant, "an authorization code was used again")
        grant = await self.store.get_record(Grant.KIND, code.grant)
        if grant is None:
            return None
        kept = Grant.unpack(grant.value)
        return Redeemable(key, record.rev, kept, grant.rev, code=code)

    async def find_refresh(self, value: str) -> Redeemable | None:
        """Return what a refresh token stands for; ``None`` when unknown, expired or revoked.

        Raises:
            Reused: it was used before; its family has ended.
        """
        key = key_of(value)
        record = await self.store.get_record(RefreshToken.KIND, key)
        if record is None:
            return None
        token = RefreshToken.unpack(record.value)
        if token.spent:
            await self._reused(token.grant, "a refresh token was used again")
        kept = await self._lasting(token.grant)
        return kept and Redeemable(key, record.rev, *kept, refresh=token)

    async def issue(self, used: Redeemable, scope: str) -> Issued:
        """Spend a code or refresh token; return the tokens that come after it.

        Raises:
            Reused: somebody else was faster; the family has ended.
        """
        while True:
            issued, records = self._issued(used, scope)
            try:
                await self.store.commit([], records=records)
            except CommitConflict:
                # Spent by another (it ends the family), or only the grant was changed: again.
                used = await self._again(used)
                continue
            self.told.granted("token", issued.grant, scope)
            return issued

    def _issued(self, used: Redeemable, scope: str) -> tuple[Issued, list[RecordWrite]]:
        now = self._now()
        grant = replace(used.grant, used=now)
        ends = now + self._terms.access_s * SECOND
        lasts = max(ends, now + self._terms.refresh_days * DAY) if grant.refresh else ends
        access, write = self._access_token(grant, scope, now, ends)
        tag, rev = grant.user or "", used.grant_rev
        records = [
            write,
            self._spent(used, lasts),
            RecordWrite(Grant.KIND, grant.id, grant.pack(), tag, rev, lasts),
        ]
        refresh = None
        if grant.refresh:
            refresh = token_urlsafe(32)
            kept = RefreshToken(grant.id, grant.client).pack()
            records.append(
                RecordWrite(RefreshToken.KIND, key_of(refresh), kept, grant.id, 0, lasts)
            )
        return Issued(access, refresh, scope, self._terms.access_s, grant), records

    async def _again(self, used: Redeemable) -> Redeemable:
        kept = used.code or used.refresh
        assert kept is not None
        record = await self.store.get_record(kept.KIND, used.key)
        grant = await self.store.get_record(Grant.KIND, used.grant.id)
        if record is None or record.rev != used.rev or grant is None:
            await self._reused(used.grant.id, "a code or refresh token was used twice at once")
        return replace(used, grant=Grant.unpack(grant.value), grant_rev=grant.rev)

    async def issue_backend(self, client: Client, scope: str) -> Issued:
        """Return the token of a backend service; it has no user and no refresh token."""
        now = self._now()
        expires = now + self._terms.backend_s * SECOND
        grant = Grant(
            id=token_urlsafe(16),
            client=client.id,
            user=None,
            scope=scope,
            created=now,
            used=now,
            audience=self._terms.base_url,
        )
        access, write = self._access_token(grant, scope, now, expires)
        tag = f"client/{client.id}"
        records = [write, RecordWrite(Grant.KIND, grant.id, grant.pack(), tag, 0, expires)]
        await self.store.commit([], records=records)
        self.told.granted("token", grant, scope)
        return Issued(access, None, scope, self._terms.backend_s, grant)

    async def find(self, value: str) -> tuple[Grant, AccessToken | RefreshToken, int] | None:
        """Return the grant, the token itself and when it ends, of a token that still works."""
        key = key_of(value)
        found: AccessToken | RefreshToken
        if record := await self.store.get_record(AccessToken.KIND, key):
            found = AccessToken.unpack(record.value)
        elif record := await self.store.get_record(RefreshToken.KIND, key):
            found = RefreshToken.unpack(record.value)
            if found.spent:
                return None
        else:
            return None
        kept = await self._lasting(found.grant)
        if kept is None or record.expires_at is None:
            return None
        return kept[0], found, record.expires_at

    async def _lasting(self, grant_id: str) -> tuple[Grant, int] | None:
        """Return a grant and its revision; ``None``: it has ended, or its user's session has."""
        record = await self.store.get_record(Grant.KIND, grant_id)
        if record is None:
            return None
        grant = Grant.unpack(record.value)
        if grant.session is not None and not await self._online(grant.session):
            return None
        return grant, record.rev

    async def end(self, grant_id: str, why: str = "revoked") -> bool:
        """End a grant and all its tokens at once; tell whether there was one."""
        record = await self.store.take_record(Grant.KIND, grant_id)
        self._on_end(grant_id)
        if record is None:
            return False
        self.told.ended(Grant.unpack(record.value), why)
        return True

    async def first_use(self, issuer: str, jti: str, until: int) -> bool:
        """Tell whether an assertion's id was not seen before; it is remembered (microseconds).

        SMART client-confidential-asymmetric.html#signature-verification.
        """
        seen = RecordWrite(JTI, key_of(f"{issuer}\n{jti}"), b"1", issuer, 0, until)
        try:
            await self.store.commit([], records=[seen])
        except CommitConflict:
            return False
        return True

    async def refused(self, interaction: str, client: str, why: str) -> None:
        """Tell audit that something was refused to who says to be ``client``."""
        known = await self.client(client)
        self.told.refused(interaction, known.id if known is not None else None, why)

    def _access_token(
        self, grant: Grant, scope: str, now: int, expires: int
    ) -> tuple[str, RecordWrite]:
        made = token_urlsafe(32)
        kept = AccessToken(grant.id, grant.client, scope, now, expires).pack()
        return made, RecordWrite(AccessToken.KIND, key_of(made), kept, grant.id, 0, expires)

    def _spent(self, used: Redeemable, until: int) -> RecordWrite:
        """Keep it, spent, as long as what came of it: a second use must be seen."""
        kept = used.code or used.refresh
        assert kept is not None
        value = replace(kept, spent=True).pack()
        return RecordWrite(kept.KIND, used.key, value, used.grant.id, used.rev, until)

    async def _reused(self, grant_id: str, why: str) -> NoReturn:
        await self.end(grant_id, why)
        raise Reused(why)

    async def _online(self, session: str) -> bool:
        return await self.store.get_record(Session.KIND, session) is not None
