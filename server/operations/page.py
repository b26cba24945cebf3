"""The page docs/operations.md, made from :data:`server.operations.OPERATIONS`."""

from server.operations import OPERATIONS
from server.operations.registry import Operation, Param

_HEAD = """# Operations

Made from `server/operations/`; change it there. Arguments are parameters of the address (GET), or a
`Parameters` body (POST). A parameter that an operation does not have is refused.

Scopes are written without `patient/`, `user/` or `system/`: `Patient.r` is `patient/Patient.r` for
a patient's app. What a scope, the role or a label does not open is as if it were not there
([access.md](access.md)); no operation shows more than a read would.
"""

_BEFORE = {"system": "", "type": "/{type}", "instance": "/{type}/{id}"}


def operations_page() -> str:
    """Return the page as Markdown, one section per operation in the order of the registry."""
    return _HEAD + "".join(_section(operation) for operation in OPERATIONS)


def _section(operation: Operation) -> str:
    addresses = [
        f"`{_BEFORE[level].replace('{type}', type_)}/${operation.code}`"
        for level in operation.levels
        for type_ in operation.types or ("{type}",)
    ]
    methods = "POST" if operation.affects_state else "GET, POST"
    lines = [
        "",
        f"## ${operation.code}" + (f" of {operation.types[0]}" if operation.types else ""),
        "",
        f"{', '.join(addresses)} ({methods})",
        "",
        operation.documentation,
        "",
        f"Definition: <{operation.definition}>. The caller needs: {' and '.join(operation.needs)}.",
    ]
    if operation.scopes:
        lines += ["", f"Scopes: {operation.scopes}"]
    if operation.params:
        lines += ["", "| parameter | type | how often | |", "|---|---|---|---|"]
        lines += [line for param in operation.params for line in _rows(param, "")]
    return "\n".join(lines) + "\n"


def _rows(param: Param, above: str) -> list[str]:
    """Return the row of a parameter and, below it, those of its parts."""
    name = f"{above}{param.name}"
    types = " or ".join(param.types)
    often = f"{int(param.required)}..{'*' if param.many else '1'}"
    row = f"| `{name}` | {types} | {often} | {param.documentation} |"
    return [row, *(line for part in param.parts for line in _rows(part, f"{name}."))]
