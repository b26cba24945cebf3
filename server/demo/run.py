"""``tellonce demo``: a server in this process, the day sent to it, and what it became."""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn

from server import app
from server.auth import new_token
from server.demo.api import Api
from server.demo.day import DemoMessage, messages
from server.demo.folder import prepare
from server.demo.form import Question, asked_next, fill_in
from server.demo.hospital import DAY, NAME
from server.demo.people import people, show_people
from server.demo.send import send
from server.demo.summary import show, summarise
from server.feeds.inbox import UNFINISHED, Inbox
from server.settings import Settings
from server.uuid7 import new_id

FEED = "westbruck"
SETTLE_S = 120.0  # for messages acknowledged on receipt to be applied as well


def settings_for(settings: Settings) -> Settings:
    """Return ``settings`` with the demo's feed and maps."""
    folder = Path(str(files("server.demo"))) / "maps"
    return settings.model_copy(
        update={
            "mllp_feed": FEED,
            "mllp_port": settings.mllp_port or 0,
            "mllp_tls_cert": None,  # its own sender speaks plain MLLP, within this machine
            "mllp_tls_client_ca": None,
            "mllp_tls_key": None,
            "maps": (*settings.maps, folder),
        }
    )


async def run_demo(
    settings: Settings,
    *,
    reset: bool = False,
    console: Console | None = None,
    stop: asyncio.Event | None = None,
) -> None:
    """Serve the demo's folder until a signal (or ``stop``); send it the day unless it has it.

    Raises:
        ForeignFolder: the data folder holds something that is not a demo.
        SendingFailed: the server did not answer its own sender.
        Others as :func:`server.app.serve`.
    """
    console = console or Console(highlight=False, soft_wrap=True)
    settings = settings_for(settings)
    prepare(settings.data, reset=reset)
    stop = stop or asyncio.Event()
    ready: asyncio.Queue[app.Running] = asyncio.Queue(1)
    serving = asyncio.create_task(app.serve(settings, on_ready=ready.put_nowait, stop=stop))
    started = asyncio.create_task(ready.get())
    try:
        await asyncio.wait({serving, started}, return_when=asyncio.FIRST_COMPLETED)
        if started.done():
            await _or_until_ended(_day(settings, started.result(), console), serving)
        await serving
    finally:
        started.cancel()
        stop.set()
        await asyncio.wait({serving})


async def _or_until_ended(day: Coroutine[None, None, None], serving: asyncio.Task[None]) -> None:
    """Run ``day``; Ctrl-C ends the server, and with it a day half sent."""
    sending = asyncio.create_task(day)
    await asyncio.wait({serving, sending}, return_when=asyncio.FIRST_COMPLETED)
    if not sending.done():
        sending.cancel()
        await asyncio.wait({sending})
        return
    await sending


async def _day(settings: Settings, running: app.Running, console: Console) -> None:
    console.print(f"FHIR  {running.base_url}", markup=False)
    console.print(f"MLLP  {running.mllp_host}:{running.mllp_port}", markup=False)
    async with app.store_beside(settings) as store:
        inbox = Inbox(store, now=app.now_us, new_id=new_id)
        token = running.first_token or (None if running.open else await new_token(store, "demo"))
        day = messages()
        if sum((await _states(inbox)).values()) >= len(day):
            console.print(
                f"{settings.data} has the day already, so nothing is sent; --reset starts anew.",
                markup=False,
            )
        else:
            await _send(day, running, console)
        states = await _settled(inbox)
        quarantined = tuple([e async for e in inbox.walk(feed=FEED, states=("quarantined",))])
        api = Api(running.base_url, token)
        made = await summarise(api, states, quarantined)
        asked = await _form(api, made.patient_url)
        show(console, made, asked, token, settings.data)
        if not running.open:
            who = await people(store, api, made.patient_url)
            show_people(console, who, running.base_url)
    console.print("\nThe server runs until Ctrl-C.")


async def _form(api: Api, patient_url: str | None) -> tuple[Question, ...]:
    """Have the patient fill in a form, once; return what is to be asked after that."""
    if patient_url is None:
        return ()
    patient = f"Patient/{patient_url.rpartition('/')[2]}"
    await fill_in(api, patient, datetime.now(UTC))
    return await asked_next(api, patient)


async def _send(day: list[DemoMessage], running: app.Running, console: Console) -> None:
    console.print(f"\n{NAME}, {DAY:%d %B %Y}:")
    console.print(f"{len(day)} HL7v2 messages of five old systems, sent over MLLP")
    columns = (TextColumn("{task.description:<9}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console) as progress:
        bars: dict[str, TaskID] = {}
        for source in dict.fromkeys(message.source for message in day):
            total = sum(message.source == source for message in day)
            bars[source] = progress.add_task(source, total=total)

        def advance(message: DemoMessage, code: str) -> None:
            progress.advance(bars[message.source])

        await send(day, running.mllp_host, running.mllp_port or 0, on_ack=advance)


async def _states(inbox: Inbox) -> dict[str, int]:
    return (await inbox.counts()).get(FEED, {})


async def _settled(inbox: Inbox) -> dict[str, int]:
    """Return the states once no message is on its way any more, or after :data:`SETTLE_S`."""
    until = asyncio.get_running_loop().time() + SETTLE_S
    while True:
        states = await _states(inbox)
        on_their_way = sum(states.get(state, 0) for state in UNFINISHED)
        if not on_their_way or asyncio.get_running_loop().time() > until:
            return states
        await asyncio.sleep(0.05)
