"""C6 Author: patient, proxy, clinician and device stay distinct; none silently replaces another.

Each kind of author is a voice.  A voice corrects itself; what another voice said stays (C4).
What nobody in particular said, and what a message brought that names nobody, is confirmed by
somebody.
"""

from dataclasses import replace

from server.continuity.rules.case import Case, Said
from server.continuity.statement import Statement

UNSIGNED = ("C6 nobody named", "The record does not say who said this.")
SENT = ("C6 nobody named", "A message brought this, and names nobody who said it.")


def voice(statement: Statement) -> str:
    """Return whose words these are."""
    return statement.author.kind


def rule(case: Case) -> Case:
    """Give each statement its voice."""
    return replace(case, voice=voice).each(_signed)


def _signed(one: Said) -> Said:
    kind = one.statement.author.kind
    if kind == "feed":
        return one.only_confirm(*SENT)
    return one.only_confirm(*UNSIGNED) if kind == "unknown" else one
