"""What the rest of the server asks of terminology, and what terminology asks of the record.

Here, because both sides can see it.  An instance is made for one caller: what the caller may not
read is not there.
"""

from collections.abc import Sequence
from typing import Any, Protocol

from server.fhir.errors import FhirError


class NotEnumerable(FhirError):
    """The codes that were asked for cannot all be named; the text says of what, and why.

    Never a part of them instead: a search by half a value set would be wrong and look right.
    """

    status = 422
    issue = "not-supported"


class Unknown(FhirError):
    """There is no such value set, code system or code, or none that the caller may read."""

    status = 400
    issue = "not-found"


class Terminology(Protocol):
    """Codes named by value sets and hierarchies.  A code is (system, code).

    Every method raises :class:`Unknown` and :class:`NotEnumerable`.
    """

    async def codes_in(self, value_set: str) -> Sequence[tuple[str, str]]:
        """Return the codes of a value set: canonical URL, ``url|version`` or ``ValueSet/id``."""

    async def below(self, system: str, code: str) -> Sequence[tuple[str, str]]:
        """Return the code, and all that it subsumes (R4 codesystem.html#hierarchy)."""

    async def above(self, system: str, code: str) -> Sequence[tuple[str, str]]:
        """Return the code, and all that subsume it."""


class Definitions(Protocol):
    """The ValueSets and CodeSystems of the record, as JSON; ``None`` when there is none."""

    async def value_set(self, url: str) -> dict[str, Any] | None:
        """Return by canonical URL, ``url|version`` or ``ValueSet/id``."""

    async def code_system(self, url: str) -> dict[str, Any] | None:
        """Return by canonical URL, or ``url|version``."""
