"""What a site's maps do not know of a message: codes, and whose numbers its identifiers are."""

from urllib.parse import unquote

from mappings.feed import NAMESPACE
from mappings.plan import Plan, Unmapped, told

_MADE_UP = f"{NAMESPACE}:authority:"
_TABLE = "AssigningAuthority"


def unmapped(plan: Plan) -> list[Unmapped]:
    """Return the codes without a row, then the authorities without a system, once each.

    Those of a plan of another process are among its codes already.
    """
    made: dict[str, Unmapped] = {}
    for _, source, how, value in told(plan.explain):
        if how == "authority" and value not in made and value.startswith(_MADE_UP):
            name = unquote(value.removeprefix(_MADE_UP).partition(":")[2])
            made[value] = Unmapped(_TABLE, name, source)
    return [*plan.unmapped, *made.values()]
