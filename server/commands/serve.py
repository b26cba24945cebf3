"""``tellonce serve``: the server in the foreground, until Ctrl-C or SIGTERM."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from server import app, logs
from server.commands.options import Data, StoreOption, errors, fail, refusals, settings_from

Host = Annotated[str | None, typer.Option(show_default="127.0.0.1")]
Port = Annotated[int | None, typer.Option(show_default="8080")]
MllpPort = Annotated[
    str | None, typer.Option(show_default="2575", help="0 takes any free port, none is none.")
]
BaseUrl = Annotated[str | None, typer.Option(help="Public address written into every link.")]
Open = Annotated[bool | None, typer.Option("--open", help="No tokens; loopback only.")]
Maps = Annotated[list[Path] | None, typer.Option(help="Folder with site maps; repeatable.")]


def serve(
    host: Host = None,
    port: Port = None,
    data: Data = None,
    store: StoreOption = None,
    mllp_port: MllpPort = None,
    base_url: BaseUrl = None,
    open_: Open = None,
    maps: Maps = None,
    tls_cert: Annotated[Path | None, typer.Option(help="PEM certificate chain.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM private key.")] = None,
    behind_tls_proxy: Annotated[bool | None, typer.Option("--behind-tls-proxy")] = None,
) -> None:
    """Serve FHIR at /fhir and HL7v2 over MLLP; everything else is a setting (docs/settings.md)."""
    settings = settings_from(
        host=host,
        port=port,
        data=data,
        store=store,
        mllp_port=mllp_port,
        base_url=base_url,
        open=open_,
        maps=tuple(maps) if maps else None,
        tls_cert=tls_cert,
        tls_key=tls_key,
        behind_tls_proxy=behind_tls_proxy,
    )
    logs.configure(settings.log_level)
    with refusals():
        try:
            app.run(settings, on_ready=announce)
        except app.PortTaken as taken:
            fail(str(taken))


def login_of(user: app.FirstUser) -> str:
    """Return a user's name and password, as it is typed."""
    return f"{user.name} {user.password}"


def announce(running: app.Running) -> None:
    """Say the first token and login once, where the server listens; the MLLP line is the last."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    if running.open:
        errors.print("no tokens are asked for: everybody on this machine may do everything")
    if running.first_token is not None:
        console.print(f"token {running.first_token}  (administrator; shown this once)")
    if running.first_user is not None:
        where = running.base_url.removesuffix("/fhir")
        login = login_of(running.first_user)
        console.print(f"login {login}  (administrator, at {where}/; shown this once)")
    console.print(f"FHIR  {running.base_url}")
    if running.mllp_port is not None:
        console.print(f"MLLP  {running.mllp_host}:{running.mllp_port}")
