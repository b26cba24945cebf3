"""A message that must not be applied: the reason it goes to quarantine with."""

from collections.abc import Sequence
from typing import Literal

from mappings.plan import QuarantineReason

Reason = QuarantineReason | Literal["identity-conflict", "held"]


class RefusedMessage(Exception):
    """Put the message into quarantine.

    ``problem`` is a sentence for an analyst, ``issues`` name single faults; both stay in the inbox
    and are never logged.
    """

    def __init__(self, reason: Reason, problem: str, issues: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.problem = problem
        self.issues = tuple(issues)
