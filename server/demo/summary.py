"""What the demo shows when the day is in the record, asked of the server's own public API."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from shutil import which
from urllib.parse import quote

from rich.console import Console
from rich.table import Table

from server.demo.api import Api
from server.demo.form import FORM, URL, Question
from server.demo.hospital import MRN_SYSTEM
from server.demo.patients import SHOWN, patients
from server.feeds.inbox import Entry

# What admissions and results are made into; the demo counts these.
TYPES = (
    "Patient", "RelatedPerson", "Encounter", "Condition", "AllergyIntolerance", "Observation",
    "DiagnosticReport", "ServiceRequest", "Specimen", "Coverage", "Account", "Organization",
    "Practitioner", "PractitionerRole", "Location", "Provenance",
)  # fmt: skip
_WIDTH = 80  # columns of a screen
_CORRECTED = "http://loinc.org%7C89579-7"  # the troponin of the patient to look at


@dataclass(frozen=True, slots=True)
class Summary:
    """What the day came to.

    ``states`` are the inbox's states with their counts; ``types`` the live resources by type;
    ``quarantined`` the messages in quarantine; ``patient_url`` is of the patient to look at,
    ``None`` when that patient is not there.
    """

    states: Mapping[str, int]
    types: Mapping[str, int]
    quarantined: tuple[Entry, ...]
    patient_url: str | None


async def summarise(api: Api, states: Mapping[str, int], quarantined: tuple[Entry, ...]) -> Summary:
    """Return what is in the record; ``states`` and ``quarantined`` are of the inbox."""
    counts = {type_: (await api.get(f"{type_}?_summary=count"))["total"] for type_ in TYPES}
    identifier = quote(f"{MRN_SYSTEM}|{patients()[SHOWN].mrn}", safe="")
    found = (await api.get(f"Patient?identifier={identifier}")).get("entry", [])
    url = f"{api.base_url}/Patient/{found[0]['resource']['id']}" if found else None
    return Summary(states, {t: n for t, n in counts.items() if n}, quarantined, url)


def show(
    console: Console, made: Summary, asked: Sequence[Question], token: str | None, data: Path
) -> None:
    """Print the summary for a screen of 80 columns, and what to try.

    ``asked``: what the patient's next step has to ask.  ``data``: the folder.
    """
    console.print("\nWhat the day became, in one record:")
    console.print(_in_columns(made.types))
    told = ", ".join(f"{count} {state}" for state, count in sorted(made.states.items()))
    console.print(f"\nmessages in: {sum(made.states.values())} ({told})")
    for entry in made.quarantined:
        what = entry.type or "a message without a type"
        console.print(
            f"  in quarantine: {what} of {entry.sender or 'an unknown sender'}\n"
            f"    {entry.reason}: {entry.problem}",
            markup=False,
        )
    if made.quarantined:
        console.print("The day has such messages on purpose. To look at them:", markup=False)
        console.print(f"  {_program()} inbox list --data {shlex.quote(str(data))}", markup=False)
    if made.patient_url is not None:
        _show_patient(console, made.patient_url, asked, token)


def _in_columns(types: Mapping[str, int]) -> Table:
    """Return resource types and their counts, half of them beside the other half."""
    rows = [(type_, f"{count:,}") for type_, count in types.items()]
    half = (len(rows) + 1) // 2
    table = Table(box=None, show_header=False, padding=(0, 3, 0, 2), pad_edge=True)
    for _ in range(2):
        table.add_column()
        table.add_column(justify="right")
    for left, right in zip_longest(rows[:half], rows[half:], fillvalue=("", "")):
        table.add_row(*left, *right)
    return table


def _program() -> str:
    """Return what a reader types to call this program again."""
    called = sys.argv[0]
    return called if Path(called).name == "tellonce" and not which("tellonce") else "tellonce"


def _show_patient(console: Console, url: str, asked: Sequence[Question], token: str | None) -> None:
    person = patients()[SHOWN]
    console.print(
        f"\n{person.given} {person.family} was in emergency, in radiology and on a ward,\n"
        f"and has results of the laboratory:\n  {url}",
        markup=False,
    )
    _show_questions(console, asked)
    base, _, id_ = url.rpartition("/Patient/")
    corrected = f"{base}/Observation?patient={id_}&code={_CORRECTED}"
    curl = "curl " + (f"-H 'Authorization: Bearer {token}' " if token else "")
    console.print("\nTry, in another terminal.", markup=False)
    for told, address in (
        ("What is known of each question, who said it, and where that stands:",
         f"{url}/$known-answers?questionnaire={URL}"),
        ("The form, filled in as far as the record allows:",
         f"{base}/{FORM}/$populate?subject=Patient/{id_}"),
        ("Her story for who treats her, each sentence with its sources:",
         f"{url}/$story?audience=clinician"),
        ("and for herself, in plain words:", f"{url}/$story?audience=patient"),
        ("The International Patient Summary:", f"{url}/$summary"),
        ("Everything about her:", f"{url}/$everything"),
        ("The one result that the laboratory corrected twice:", corrected),
    ):  # fmt: skip
        pretty = f"{'&' if '?' in address else '?'}_pretty=true"
        console.print(f"{told}\n  {curl}'{address}{pretty}'", markup=False)


def _show_questions(console: Console, asked: Sequence[Question]) -> None:
    """Print what the ward has to ask after she filled in a form, for 80 columns."""
    console.print(
        "\nShe filled in a form on her telephone. On the ward nothing is asked twice:",
        markup=False,
    )
    for one in asked:
        line = f"  {one.state:<8}  {one.text:<21} {' / '.join(one.answers)}".rstrip()
        console.print(line if len(line) <= _WIDTH else f"{line[: _WIDTH - 3]}...", markup=False)
