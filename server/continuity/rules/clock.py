"""C2 Clock: age runs from the statement or its re-confirmation, never from an import.

When it was said is read from the statement, from who brought it (Provenance), or from who confirmed
it; ``meta.lastUpdated`` is never asked.  An unknown time, or one that has not come yet, is nobody's
time: it is to be confirmed.
"""

from dataclasses import replace

from server.continuity.rules.case import Case, Said

AHEAD_US = 300_000_000  # by which a sender's clock may be ahead of ours

UNDATED = ("C2 undated", "Nobody knows when this was said.")
FUTURE = ("C2 future", "It bears a time that has not come yet: some clock is wrong.")


def timed(one: Said, now: int) -> Said:
    """Return it with a time that can be counted from, or as something to confirm."""
    if one.said_at is None:
        return one.only_confirm(*UNDATED)
    if one.said_at > now + AHEAD_US:
        return replace(one.only_confirm(*FUTURE), said_at=None, until=None)
    return one


def rule(case: Case) -> Case:
    """Let what has no time, or one of the future, be confirmed."""
    return case.each(lambda one: timed(one, case.now))
