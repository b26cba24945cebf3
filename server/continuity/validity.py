"""How long what was said holds, by topic (C1).  ``policy/validity.yaml`` and the site's file."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Validity:
    """The validity policy."""


def load_validity(path: Path | None = None) -> Validity:
    """Return the policy that ships, with the site's file ``path`` over it."""
    return Validity()
