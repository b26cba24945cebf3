"""docs/performance.md: the figures of one run, with what they were taken on."""

import os
import platform
from dataclasses import dataclass
from datetime import date

from benchmark.client import Measured

ECHO_MS = 0.018  # a bare ASGI echo on the machine that the budgets were set on

_COLUMNS = (
    "operation", "clients", "CPU ms", "budget", "", "in echoes", "budget", "",
    "per s", "p50 ms", "p95 ms", "p99 ms", "errors",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table.  Figures are per request, or per resource where the name says so."""

    name: str
    connections: int
    requests_per_s: float
    cpu_ms: float
    budget_ms: float | None
    p50_ms: float
    p95_ms: float
    p99_ms: float
    errors: int
    first_error: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """A single figure against its budget; ``met`` is ``None`` when there is no budget."""

    name: str
    figure: str
    budget: str
    met: bool | None


def row(
    name: str,
    measured: Measured,
    cpu_s: float,
    *,
    connections: int,
    budget_ms: float | None,
    per: int = 1,
) -> Row:
    """Return the line of one measurement; ``per`` resources were in each request."""
    done = len(measured.latencies) * per
    return Row(
        name,
        connections,
        done / measured.seconds if measured.seconds else 0.0,
        cpu_s * 1000 / done if done else float("nan"),
        budget_ms,
        measured.percentile_ms(0.50),
        measured.percentile_ms(0.95),
        measured.percentile_ms(0.99),
        measured.errors,
        measured.first_error,
    )


def page(rows: list[Row], facts: list[Fact], *, command: str, today: date) -> str:
    """Return the whole page."""
    echo = rows[0].cpu_ms
    lines = [
        "# Performance",
        "",
        "The measure is CPU milliseconds of the server's whole process tree (user and system,",
        "from `/proc`) per request, and its ratio to a bare ASGI echo under the same uvicorn",
        "settings in the same run: the machine is shared, so times differ from run to run and",
        "ratios do not. Everything goes over real sockets; a write is durable before its answer.",
        f"Budgets were set where an echo takes {ECHO_MS} ms, so each is shown in echoes as well.",
        "",
        f"Made by `{command}` on {today.isoformat()}; {machine()}; other work ran beside it.",
        "",
        f"| {' | '.join(_COLUMNS)} |",
        "|---" * len(_COLUMNS) + "|",
        *(_line(row, echo) for row in rows),
        "",
        "| figure | measured | budget | |",
        "|---|---|---|---|",
        *(f"| {f.name} | {f.figure} | {f.budget} | {_verdict(f.met)} |" for f in facts),
        "",
        *_short(rows, facts),
        "",
    ]
    return "\n".join(lines)


def machine() -> str:
    """Return the machine in neutral words."""
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return f"{cores} shared cores, {memory:.0f} GiB, Python {platform.python_version()}"


def _line(row: Row, echo: float) -> str:
    budget = row.budget_ms
    cells = [
        row.name,
        str(row.connections),
        f"{row.cpu_ms:.3f}",
        f"{budget:g}" if budget is not None else "",
        _verdict(_met(row)),
        f"{row.cpu_ms / echo:.1f}",
        f"{budget / ECHO_MS:.1f}" if budget is not None else "",
        _verdict(None if budget is None else row.cpu_ms / echo <= budget / ECHO_MS),
        f"{row.requests_per_s:,.0f}",
        *(f"{ms:.2f}" for ms in (row.p50_ms, row.p95_ms, row.p99_ms)),
        str(row.errors),
    ]
    return f"| {' | '.join(cells)} |"


def _met(row: Row) -> bool | None:
    return None if row.budget_ms is None else row.cpu_ms <= row.budget_ms and not row.errors


def _verdict(met: bool | None) -> str:
    return "" if met is None else "met" if met else "**short**"


def _short(rows: list[Row], facts: list[Fact]) -> list[str]:
    short = [
        f"{r.name} ({r.cpu_ms:.2f} ms, budget {r.budget_ms:g})" for r in rows if _met(r) is False
    ]
    short += [f"{f.name} ({f.figure}, budget {f.budget})" for f in facts if f.met is False]
    if not short:
        return ["Every budget is met."]
    return ["Short of their budgets: " + "; ".join(short) + "."]
