"""``$explain-access``: why somebody does, or does not, see a resource; for administrators alone.

It names labels, records and permits, so it is for nobody who is kept from anything, and not for
apps, whatever their scope.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, get_args

from server.access.context import AccessContext, Interaction
from server.access.explain import Explanation, explain
from server.fhir import json as fhir_json
from server.fhir.errors import Forbidden, InvalidParameter, NotSupported
from server.interactions.hops import settled
from server.interactions.read import looked_up
from server.interactions.services import Services
from server.operations.registry import Call, Operation, Param
from server.search import extract
from server.search.match import matches
from server.search.query import Query
from server.store.port import Version


@dataclass(frozen=True, slots=True)
class Asked:
    """Whose view is asked for: a user's, by a client, or a backend service's (no ``user``).

    ``patient``: ``Patient/x``, in context.  ``scope``: instead of what was granted.
    """

    user: str | None = None
    client: str | None = None
    patient: str | None = None
    scope: str | None = None


@dataclass(frozen=True, slots=True)
class Way:
    """One way in: what it is, in words, and the rights that it gives."""

    told: str
    access: AccessContext


Ways = Callable[[Asked], Awaitable[Sequence[Way]]]
"""Raises ``InvalidParameter`` for a user or client who is not known."""


async def nobody(_: Asked) -> Sequence[Way]:
    """Know no users: those of a server without an authorization server."""
    raise NotSupported("this server knows no users")


def operation(ways: Ways) -> Operation:
    """Return the operation; ``ways`` knows the users and their apps."""

    async def run(call: Call) -> bytes:
        if not call.access.unrestricted or call.access.grant is not None:
            raise Forbidden("$explain-access is for administrators, with a token of their own")
        said = dict(call.args)
        interaction = interaction_of(said.pop("interaction", "read"))
        found_ways = await ways(Asked(**said))
        found = await looked_up(call.services, call.access, call.type or "", call.id or "")
        made = [
            (way, await explained(call.services, way.access, interaction, found))
            for way in found_ways
        ]
        if call.services.audit is not None:
            address = f"{call.type}/{call.id}/$explain-access"
            call.services.audit.shown(call.access, "operation", (found,), address)
        return _answer(made)

    return Operation(
        code="explain-access",
        definition="https://tellonce.org/fhir/OperationDefinition/explain-access",
        documentation="Says why a resource is, or is not, open to a user through a client, or to a "
        "backend service: each permit, and what of the resource it stops at. For administrator "
        "tokens only. With `client` and no `scope` every grant of that user to it is looked at; "
        "where there is none, what it could be granted.",
        levels=("instance",),
        params=_PARAMS,
        run=run,
    )


async def explained(
    services: Services, access: AccessContext, interaction: Interaction, version: Version
) -> Explanation:
    """Return why a version is, or is not, open to ``access``, with every condition asked."""
    resource: dict[str, Any] = fhir_json.loads(version.body or b"{}")
    type_, base_url = version.type, services.base_url
    rows = extract.index_rows(resource, base_url, catalog=services.catalog)
    holding = []
    for permit in access.covering(type_, interaction):
        where = await settled(services, permit.where, resource)
        if matches(Query((type_,), where), resource, rows, updated=version.at):
            holding.append(permit.where)
    return explain(access, interaction, resource, lambda where: where in holding, base_url)


def interaction_of(text: str) -> Interaction:
    """Return an interaction by its name; raise ``InvalidParameter`` for any other text."""
    known: dict[str, Interaction] = {one: one for one in get_args(Interaction)}
    if text not in known:
        raise InvalidParameter(
            f"interaction is one of {', '.join(known)}", expression=("interaction",)
        )
    return known[text]


def _answer(made: Sequence[tuple[Way, Explanation]]) -> bytes:
    parameters: list[dict[str, Any]] = [
        {"name": "open", "valueBoolean": any(one.open for _, one in made)}
    ]
    for way, explanation in made:
        lines = [{"name": "line", "valueString": line} for line in explanation.lines]
        head = [
            {"name": "through", "valueString": way.told},
            {"name": "open", "valueBoolean": bool(explanation.open)},
        ]
        parameters.append({"name": "way", "part": [*head, *lines]})
    return fhir_json.dumps({"resourceType": "Parameters", "parameter": parameters})


_PARAMS = (
    Param("user", "string", "Name of a user; left out for a backend service."),
    Param("client", "string", "Id of a client; left out: the policy alone, as on pages."),
    Param("patient", "string", "The patient in context, `Patient/x`."),
    Param("scope", "string", "Scopes to suppose instead of what was granted."),
    Param("interaction", "code", "`read` (default), `search`, `create`, `update`, `delete`."),
)
