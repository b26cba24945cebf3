"""The codings that the items of a form take: ``answerValueSet``, contained, stored, or HL7's own.

A value set that cannot be listed, or that the caller may not see, leaves its items unchecked: what
answers them is at best confirmed.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from server.access.context import AccessContext
from server.continuity.form import Form
from server.continuity.questions import Question
from server.continuity.statement import Code
from server.fhir.errors import FhirError
from server.interactions.expand import StoredDefinitions
from server.interactions.services import Services
from terminology.enumerated import Enumerated


@dataclass(frozen=True, slots=True)
class _Definitions:
    """Those contained in the form, before those of the record."""

    contained: Mapping[str, dict[str, Any]]
    stored: StoredDefinitions

    async def value_set(self, url: str) -> dict[str, Any] | None:
        return self.contained.get(url) if url.startswith("#") else await self.stored.value_set(url)

    async def code_system(self, url: str) -> dict[str, Any] | None:
        return await self.stored.code_system(url)


async def with_choices(
    services: Services, access: AccessContext, form: Form, asked: Sequence[Question]
) -> list[Question]:
    """Return the questions with the codings of their value sets, as far as they can be listed."""
    if all(one.listed for one in asked):
        return list(asked)
    contained = {f"#{one.get('id')}": one for one in form.raw.get("contained", ())}
    stored = StoredDefinitions(services, access)
    terminology = Enumerated(_Definitions(contained, stored))
    made = []
    for one in asked:
        if not one.listed:
            codes = await _codes(terminology, str(one.item.raw["answerValueSet"]))
            if codes is not None:
                options = {code: _coding(code) for code in codes}
                one = replace(one, options=options, listed=True)
        made.append(one)
    return made


async def _codes(terminology: Enumerated, value_set: str) -> list[Code] | None:
    try:
        return await terminology.codes_in(value_set)
    except FhirError:
        return None


def _coding(code: Code) -> dict[str, Any]:
    return {"system": code[0], "code": code[1]} if code[0] else {"code": code[1]}
