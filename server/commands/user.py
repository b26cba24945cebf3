"""``tellonce user``: people who log in."""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, cast

import typer

from server import app
from server.auth.passwords import Passwords
from server.auth.records import Role, User
from server.auth.users import ROLES, Users
from server.commands.beside import beside, missing
from server.commands.options import Data, StoreOption, errors, fail, secret_from_stdin
from server.store.port import Store

user_app = typer.Typer(help="People who log in.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="What the person types to log in; lower case.")]
RoleOption = Annotated[
    list[str], typer.Option("--role", help=f"{', '.join(ROLES)}; repeatable.", show_default=False)
]
FhirUser = Annotated[
    str | None, typer.Option(help="Who it is in the record: Patient/x, Practitioner/x ...")
]
Department = Annotated[
    list[str] | None, typer.Option(help="Organization/x; repeatable. None: every department.")
]
PasswordStdin = Annotated[
    bool, typer.Option("--password-stdin", help="Read the password from stdin, without asking.")
]


@user_app.command()
def add(
    name: Name,
    role: RoleOption,
    fhir_user: FhirUser = None,
    department: Department = None,
    display: Annotated[str, typer.Option(help="The person's name, as pages show it.")] = "",
    external: Annotated[
        tuple[str, str] | None,
        typer.Option(metavar="ISSUER SUBJECT", help="Who it is to the external provider."),
    ] = None,
    password_stdin: PasswordStdin = False,
    data: Data = None,
    store: StoreOption = None,
) -> None:
    """Add a person, who can log in at once."""
    password = _password(password_stdin) if password_stdin or external is None else None

    async def make(users: Users) -> User:
        return await users.add(
            name,
            roles=_roles(role),
            password=password,
            fhir_user=fhir_user,
            departments=department or (),
            display=display,
            external=" ".join(external) if external else None,
        )

    made = _run(make, data=data, store=store)
    typer.echo(f"user {_line(made)}  added")


@user_app.command("list")
def list_(data: Data = None, store: StoreOption = None) -> None:
    """List everybody, by name."""

    async def look(opened: Store) -> list[User]:
        async with _users(opened) as users:
            return await users.list()

    for user in beside(look, data=data, store=store):
        typer.echo(_line(user))


@user_app.command()
def remove(name: Name, data: Data = None, store: StoreOption = None) -> None:
    """Remove a person; sessions and apps' access end within two seconds."""

    async def take(users: Users) -> User:
        return await users.remove(name)

    gone = _run(take, data=data, store=store)
    typer.echo(f"user {gone.name}  removed")


@user_app.command("role")
def role_(
    name: Name,
    role: RoleOption,
    fhir_user: FhirUser = None,
    department: Department = None,
    data: Data = None,
    store: StoreOption = None,
) -> None:
    """Say anew what a person may act as; what is not given stays as it is."""

    async def change(users: Users) -> User:
        return await users.set_roles(
            name, _roles(role), fhir_user=fhir_user, departments=department
        )

    changed = _run(change, data=data, store=store)
    typer.echo(f"user {_line(changed)}")


@user_app.command()
def password(
    name: Name,
    password_stdin: PasswordStdin = False,
    data: Data = None,
    store: StoreOption = None,
) -> None:
    """Change a password; whoever is logged in by the old one is not any more."""
    new = _password(password_stdin)

    async def change(users: Users) -> User:
        return await users.set_password(name, new)

    changed = _run(change, data=data, store=store)
    typer.echo(f"user {changed.name}  has a new password")


@user_app.command()
def lock(name: Name, data: Data = None, store: StoreOption = None) -> None:
    """Let a person in no more, without removing anything."""

    async def change(users: Users) -> User:
        return await users.set_active(name, False)

    _run(change, data=data, store=store)
    typer.echo(f"user {name}  locked")


@user_app.command()
def unlock(name: Name, data: Data = None, store: StoreOption = None) -> None:
    """Let a person in again."""

    async def change(users: Users) -> User:
        return await users.set_active(name, True)

    _run(change, data=data, store=store)
    typer.echo(f"user {name}  unlocked")


def _run(work: Callable[[Users], Awaitable[User]], *, data: Path | None, store: str | None) -> User:
    """Do ``work``, and say when the one whom the user stands for is not in the record."""

    async def done(opened: Store) -> tuple[User, list[str]]:
        async with _users(opened) as users:
            user = await work(users)
        return user, await missing(opened, user.fhir_user, *user.departments)

    user, absent = beside(done, data=data, store=store)
    for reference in absent:
        errors.print(f"note: {reference} is not in the record yet", markup=False)
    return user


@asynccontextmanager
async def _users(store: Store) -> AsyncIterator[Users]:
    passwords = Passwords()
    try:
        yield Users(store, passwords, app.now_us)
    finally:
        passwords.close()


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return secret_from_stdin("password")
    if not sys.stdin.isatty():
        fail("give the password on stdin, with --password-stdin")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


def _roles(given: Sequence[str]) -> Sequence[Role]:
    return cast(Sequence[Role], given)


def _line(user: User) -> str:
    said = (
        user.name,
        ",".join(user.roles),
        user.fhir_user or "-",
        ",".join(user.departments),
        user.display,
        "" if user.active else "(locked)",
    )
    return "  ".join(filter(None, said))
