"""Command-line options, turned into settings; every refusal is one line and exit code 1."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer
from pydantic import ValidationError
from rich.console import Console

from mappings.maps import MapError
from server.access.policy_file import PolicyError
from server.auth.unfit import Unfit
from server.continuity.validity import ValidityError
from server.feeds import UnusableTls
from server.fhir.errors import StoreUnavailable
from server.settings import Settings
from server.store.port import CorruptStore, NewerSchema

_LONGEST_LINE = 10_000

errors = Console(stderr=True, highlight=False, soft_wrap=True)

Data = Annotated[
    Path | None, typer.Option(help="Folder of the embedded store.", show_default="./tellonce-data")
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        help="sqlite:///FILE, when not in the data folder, or mongodb://HOST/DATABASE; @FILE: "
        "what stands in a file.",
    ),
]


def fail(message: str) -> NoReturn:
    """Print one line to stderr and end with exit code 1."""
    errors.print(f"tellonce: {message}", markup=False)
    raise typer.Exit(1)


def settings_from(**given: Any) -> Settings:
    """Return settings with what the command line gave on top; ``None`` means not given."""
    options = {name: value for name, value in given.items() if value is not None}
    if "store" in options:
        options |= _store(options["store"])
    try:
        settings = Settings(**options)
    except ValidationError as error:
        fail("; ".join(_told(problem, options) for problem in error.errors()))
    if options.get("store") and settings.store is not None and settings.store.has_password:
        errors.print(
            "tellonce: the list of processes shows the password of --store to everybody on this "
            "machine: put the address into a file, TELLONCE_STORE_URI_FILE"
        )
    return settings


def _store(said: str) -> dict[str, str | None]:
    """Return the settings of a store: they take the place of whatever the environment names."""
    file = said.removeprefix("@") if said.startswith("@") else None
    return {"store": None if file else said, "store_uri_file": file}


def secret_from_stdin(what: str) -> str:
    """Return the first line of stdin: a secret must not stand in the list of processes."""
    line = sys.stdin.readline(_LONGEST_LINE).removesuffix("\n").removesuffix("\r")
    if not line:
        fail(f"there is no {what} on stdin")
    return line


_FILES = {MapError: "maps", PolicyError: "access policy", ValidityError: "validity policy"}


@contextmanager
def refusals() -> Iterator[None]:
    """Turn what an operator can mend into one line: wrong file, newer file, file in use, bad name.

    Maps and policies that cannot be used are a line for each fault.
    """
    try:
        yield
    except (MapError, PolicyError, ValidityError) as error:
        if len(error.problems) == 1:
            fail(error.problems[0])
        for problem in error.problems:
            errors.print(problem, markup=False)
        fail(f"{len(error.problems)} faults in the {_FILES[type(error)]}")
    except (NewerSchema, CorruptStore, StoreUnavailable, UnusableTls, Unfit) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.strerror or error}" + (f": {error.filename}" if error.filename else ""))


def _told(problem: Any, options: Mapping[str, Any]) -> str:
    """Return what is wrong, under the name by which it was given: option or environment."""
    said = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return said
    name = str(problem["loc"][0])
    given = f"--{name.replace('_', '-')}" if name in options else f"TELLONCE_{name.upper()}"
    return f"{given}: {said}"
