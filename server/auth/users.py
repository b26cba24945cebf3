"""People who log in: kept in the store, verified by password, or known by an external provider."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import get_args

from server.auth.ending import end_grants, end_sessions, walk
from server.auth.ending import replace as put
from server.auth.passwords import Passwords, check
from server.auth.records import Role, User
from server.auth.unfit import Missing, Taken, Unfit
from server.fhir.errors import StoreUnavailable
from server.store.port import Record, RecordWrite, Store

ROLES: tuple[Role, ...] = get_args(Role)
TAG = "user"
_NAME = re.compile(r"[a-z0-9][a-z0-9._@+-]{0,63}")
_ID = r"[A-Za-z0-9.\-]{1,64}"
_DEPARTMENT = re.compile(rf"Organization/{_ID}")
_PERSON = re.compile(rf"(Patient|Practitioner|PractitionerRole|RelatedPerson|Person)/{_ID}")
_STANDS_FOR: dict[Role, tuple[str, ...]] = {
    "patient": ("Patient", "RelatedPerson", "Person"),
    "practitioner": ("Practitioner", "PractitionerRole"),
}


class Users:
    """All users.  ``now`` gives microseconds.  Names are lower case, whatever was typed."""

    def __init__(self, store: Store, passwords: Passwords, now: Callable[[], int]) -> None:
        self._store, self._passwords, self._now = store, passwords, now

    async def get(self, name: str) -> User | None:
        """Return the user, active or not."""
        record = await self._record(name)
        return User.unpack(record.value) if record is not None else None

    async def by_external(self, issuer: str, subject: str) -> User | None:
        """Return the active user whom an external provider knows by ``subject``."""
        wanted = f"{issuer} {subject}"
        async for record in walk(self._store, User.KIND, TAG):
            user = User.unpack(record.value)
            if user.external == wanted and user.active:
                return user
        return None

    async def list(self) -> list[User]:
        """Return everybody, ordered by name."""
        return [User.unpack(one.value) async for one in walk(self._store, User.KIND, TAG)]

    async def any(self) -> bool:
        """Tell whether there is any user."""
        return bool(await self._store.find_records(User.KIND, tag=TAG, limit=1))

    async def add(
        self,
        name: str,
        *,
        roles: Sequence[Role],
        password: str | None = None,
        fhir_user: str | None = None,
        departments: Sequence[str] = (),
        display: str = "",
        external: str | None = None,
    ) -> User:
        """Keep a new user and return it.

        ``password``: ``None`` when only an external provider logs in.

        Raises:
            Unfit: something about it cannot be; :class:`Taken`: there is one of that name.
        """
        user = User(
            known_as(name),
            roles=_roles(roles),
            fhir_user=fhir_user,
            departments=tuple(departments),
            display=_line(display, 128),
            external=external,
            created=self._now(),
        )
        _check(user)
        if await self._record(user.name) is not None:
            raise Taken(f"there is a user {user.name} already")
        if password is not None:
            check(password, user.name, user.display)
            user = replace(user, password=await self._passwords.hash(password))
        # Of one who had the name and whose removal was cut off half-way, nothing is inherited.
        await end_sessions(self._store, user.name)
        await end_grants(self._store, user=user.name)
        if not await put(self._store, None, _write(user)):
            raise Taken(f"there is a user {user.name} already")
        return user

    async def remove(self, name: str) -> User:
        """Remove a user, and with it every session and every grant; raise Missing."""
        _, user = await self._known(name)
        await self._store.commit([], records=[RecordWrite(User.KIND, user.name, None)])
        await end_sessions(self._store, user.name)
        await end_grants(self._store, user=user.name)
        return user

    async def set_roles(
        self,
        name: str,
        roles: Sequence[Role],
        *,
        fhir_user: str | None = None,
        departments: Sequence[str] | None = None,
    ) -> User:
        """Change what a user may act as; ``None`` leaves a thing as it is.

        What was granted before goes on within the new roles: they are looked at on each request.
        """
        record, user = await self._known(name)
        user = replace(
            user,
            roles=_roles(roles),
            fhir_user=fhir_user if fhir_user is not None else user.fhir_user,
            departments=tuple(departments) if departments is not None else user.departments,
        )
        _check(user)
        return await self._put(record, user)

    async def set_active(self, name: str, active: bool) -> User:
        """Let a user in, or lock it out: sessions and grants end."""
        record, user = await self._known(name)
        user = await self._put(record, replace(user, active=active))
        if not active:
            await end_sessions(self._store, user.name)
            await end_grants(self._store, user=user.name)
        return user

    async def set_password(self, name: str, password: str) -> User:
        """Change a password.  Whoever was logged in by the old one is not any more."""
        record, user = await self._known(name)
        check(password, user.name, user.display)
        hashed = await self._passwords.hash(password)
        user = await self._put(record, replace(user, password=hashed))
        await end_sessions(self._store, user.name)
        return user

    async def verify(self, name: str, password: str) -> User | None:
        """Return the user who logs in so; ``None``: no such user, wrong password, or locked out.

        All three take the same time.

        Raises:
            Throttled: too many wait to be verified.
        """
        record = await self._record(name)
        user = User.unpack(record.value) if record is not None else None
        kept = user.password if user is not None and user.active else None
        if not await self._passwords.verify(kept, password):
            return None
        assert user is not None
        assert kept is not None
        if self._passwords.outdated(kept):
            return await self._hashed_anew(record, user, password)
        return user

    async def _hashed_anew(self, record: Record | None, user: User, password: str) -> User:
        """Keep the password at today's cost; to log in it need not succeed."""
        made = replace(user, password=await self._passwords.hash(password))
        try:
            return made if await put(self._store, record, _write(made)) else user
        except StoreUnavailable:
            return user

    async def _record(self, name: str) -> Record | None:
        name = name.strip().lower()
        return await self._store.get_record(User.KIND, name) if _NAME.fullmatch(name) else None

    async def _known(self, name: str) -> tuple[Record, User]:
        record = await self._record(name)
        if record is None:
            raise Missing(f"there is no user {name}")
        return record, User.unpack(record.value)

    async def _put(self, record: Record, user: User) -> User:
        if not await put(self._store, record, _write(user)):
            raise Unfit(f"user {user.name} was changed meanwhile; try again")
        return user


def known_as(name: str) -> str:
    """Return the name under which a user is kept; raise Unfit when it cannot be one."""
    name = name.strip().lower()
    if not _NAME.fullmatch(name):
        raise Unfit("a user's name is 1 to 64 of a-z 0-9 . _ @ + -, a letter or digit first")
    return name


def _check(user: User) -> None:
    if user.fhir_user is not None and not _PERSON.fullmatch(user.fhir_user):
        raise Unfit(f"{user.fhir_user} is no reference to a person, such as Patient/x")
    for department in user.departments:
        if not _DEPARTMENT.fullmatch(department):
            raise Unfit(f"{department} is no department, such as Organization/x")
    for role, types in _STANDS_FOR.items():
        if role in user.roles and (user.fhir_user or "").partition("/")[0] not in types:
            raise Unfit(
                f"a {role} is somebody in the record: name a {' or '.join(types)}, "
                f"as in --fhir-user {types[0]}/x"
            )
    if user.external is not None and len(user.external.split(" ")) != 2:
        raise Unfit("an external identity is the issuer and the subject")


def _roles(roles: Sequence[Role]) -> tuple[Role, ...]:
    unknown = set(roles) - set(ROLES)
    if unknown or not roles:
        raise Unfit(f"a role is one of {', '.join(ROLES)}")
    return tuple(role for role in ROLES if role in roles)


def _line(text: str, most: int) -> str:
    text = text.strip()
    if len(text) > most or not (text.isprintable() or not text):
        raise Unfit(f"a name to show has at most {most} printable characters")
    return text


def _write(user: User) -> RecordWrite:
    return RecordWrite(User.KIND, user.name, user.pack(), tag=TAG)
