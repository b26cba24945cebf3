"""``tellonce access``: who sees what, and why."""

from collections.abc import Sequence
from typing import Annotated

import anyio
import typer

from server import app
from server.access.context import SYSTEM
from server.access.explain import Explanation
from server.access.policy import load_policy
from server.app.witnessed import operator
from server.auth.person import Rights
from server.auth.ways import Ways
from server.commands.options import Data, StoreOption, fail, refusals, settings_from
from server.fhir.errors import InvalidParameter
from server.interactions import search_parameters
from server.interactions.audit_later import Word
from server.interactions.concerned import concerned
from server.interactions.services import Services
from server.operations.explain_access import Asked, Way, explained, interaction_of
from server.settings import Settings
from server.store.port import Store, Version
from server.uuid7 import new_id

access_app = typer.Typer(help="Who sees what, and why.", no_args_is_help=True)


@access_app.command()
def explain(
    resource: Annotated[str, typer.Argument(metavar="TYPE/ID")],
    user: Annotated[
        str | None, typer.Option(help="Whose view; left out for a backend service.")
    ] = None,
    client: Annotated[
        str | None, typer.Option(help="Through which client; left out: by the policy alone.")
    ] = None,
    patient: Annotated[
        str | None, typer.Option(metavar="Patient/x", help="The patient in context.")
    ] = None,
    scope: Annotated[
        str | None, typer.Option(help="Scopes to suppose instead of what was granted.")
    ] = None,
    interaction: Annotated[
        str, typer.Option(help="read, search, create, update or delete.")
    ] = "read",
    data: Data = None,
    store: StoreOption = None,
) -> None:
    """Say why a resource is, or is not, open to somebody; it is in the audit that you asked."""
    settings = settings_from(data=data, store=store)
    asked = Asked(user, client, patient, scope)
    with refusals():
        found = anyio.run(_explained, settings, resource, asked, interaction)
    for way, explanation in found:
        typer.echo("\n  ".join((way.told, *explanation.lines)))


async def _explained(
    settings: Settings, resource: str, asked: Asked, interaction: str
) -> Sequence[tuple[Way, Explanation]]:
    base_url = app.base_url_of(settings, settings.port)
    async with app.store_beside(settings) as opened:
        services = await app.services_of(settings, opened, base_url)
        await search_parameters.adopt(services)
        version = await _version(opened, resource)
        rights = Rights(services, services.access_policy or load_policy())
        try:
            doing = interaction_of(interaction)
            ways = await Ways(opened, rights, app.now_us)(asked)
        except InvalidParameter as error:
            fail(error.diagnostics)
        found = [(way, await explained(services, way.access, doing, version)) for way in ways]
        await _tell(services, version)
    return found


async def _version(store: Store, resource: str) -> Version:
    type_, _, id_ = resource.partition("/")
    found = await store.read(SYSTEM, type_, id_)
    if found is None or found.body is None:
        fail(f"{resource} is not in the record")
    return found


async def _tell(services: Services, version: Version) -> None:
    """Leave word of it in the record of whom the resource is of: its labels were shown."""
    about = concerned(version, services.base_url)
    address = f"{version.type}/{version.id}/$explain-access"
    words = [
        Word(
            services.now(),
            "E",
            "operation",
            operator(),
            patient=patient,
            query=address,
            labels=about.labels,
        )
        for patient in about.patients or (None,)
    ]
    await services.store.commit([], records=[word.left(new_id()) for word in words])
