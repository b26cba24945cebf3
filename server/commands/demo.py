"""``tellonce demo``: a fictional hospital's day, sent to a server of its own."""

from pathlib import Path
from typing import Annotated

import typer
import uvloop

from server import app, logs
from server.commands.options import fail, refusals, settings_from
from server.commands.serve import MllpPort, Open, Port
from server.demo.folder import ForeignFolder
from server.demo.run import run_demo
from server.demo.send import SendingFailed

DATA = Path("demo-data")

DemoData = Annotated[Path, typer.Option(help="Folder of the demo, kept for the next time.")]
Reset = Annotated[bool, typer.Option("--reset", help="Empty the folder first, if it is a demo's.")]


def demo(
    data: DemoData = DATA,
    port: Port = None,
    mllp_port: MllpPort = None,
    open_: Open = None,
    reset: Reset = False,
) -> None:
    """Start a server, send it a hospital's day of HL7v2 messages, show the record, keep serving."""
    settings = settings_from(data=data, port=port, mllp_port=mllp_port, open=open_)
    logs.configure("warning")  # the page of the demo is for its reader, not for an operator
    with refusals():
        try:
            uvloop.run(run_demo(settings, reset=reset))
        except (app.PortTaken, ForeignFolder, SendingFailed) as known:
            fail(str(known))
