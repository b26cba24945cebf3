"""``tellonce fhirpath``: what an expression yields, asked of a resource in a file."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from server.commands.options import fail, refusals
from server.fhir import json, xml
from server.fhir.errors import FhirError
from server.fhir.fhirpath.environment import Outside
from server.fhir.fhirpath.errors import FhirPathError
from server.fhir.fhirpath.expression import compile_expression
from server.fhir.fhirpath.items import Item, Items

_STEPS = 20_000_000  # half a minute: a slip of the pen ends by itself

Text = Annotated[str, typer.Argument(metavar="EXPR", help="FHIRPath, in quotes for the shell.")]
File = Annotated[Path, typer.Argument(help="A resource: .xml is read as XML, all else as JSON.")]
Lenient = Annotated[
    bool, typer.Option("--lenient", help="Do not refuse elements that the type does not have.")
]


def fhirpath(expression: Text, file: File, lenient: Lenient = False) -> None:
    """Evaluate a FHIRPath expression: one result a line, its type, a tab, its value as JSON.

    trace() goes to stderr.  Exit code 1 when the expression or the file cannot be read.
    """
    with refusals():
        content = file.read_bytes()
    try:
        resource = xml.loads(content) if file.suffix.lower() == ".xml" else json.loads(content)
    except FhirError as error:
        fail(f"{file}: {error}")
    try:
        for item in _results(expression, resource, lenient):
            typer.echo(line(item))
    except FhirPathError as error:
        fail(f"{expression!r}: {error}")


def _results(expression: str, resource: Any, lenient: bool) -> Items:
    type_ = resource.get("resourceType") if isinstance(resource, dict) else None
    if not isinstance(type_, str):
        raise FhirPathError("the file holds no resource")
    compiled = compile_expression(expression, type_, strict=not lenient)
    now = datetime.now().astimezone()
    return compiled.evaluate(resource, now=now, outside=Outside(trace=_trace), steps=_STEPS)


def _trace(name: str, items: Items) -> None:
    for item in items:
        typer.echo(f"{name}: {line(item)}", err=True)


def line(item: Item) -> str:
    r"""Return the type and the value of an item, on one line.

    >>> line(Item(["a\n"], "string", "string"))
    'string\t["a\\n"]'
    """
    value = item.value
    if value is None or isinstance(value, str | dict | list):
        told = json.dumps(value).decode()
    else:
        told = str(value).lower() if isinstance(value, bool) else str(value)
    return f"{item.type}\t{told}"
