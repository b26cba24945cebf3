"""A language model may say a sentence in other words, and nothing else.

None is configured: without one everything works.  A site brings its own as an entry point of the
group :data:`ENTRY_POINTS`, a callable without arguments that returns a :class:`Rephraser`; one that
asks a service goes through :mod:`server.safe_client`.  What it returns is checked
(:mod:`.check`), and the sentence that was there stays where it fails.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from server.continuity.statement import Source
from server.continuity.story.check import faults
from server.continuity.story.sentence import Section, Sentence

log = logging.getLogger("tellonce")

ENTRY_POINTS: Final = "tellonce.rephraser"
WITHIN_S: Final = 10.0  # of a whole story; a reader is waiting
_MAY: Final = frozenset(("recorded", "family"))


@dataclass(frozen=True, slots=True)
class Said:
    """A sentence as the model gets it and as it gives it back: ``key`` and ``sources`` stay."""

    key: str
    text: str
    sources: tuple[Source, ...]


class Rephraser(Protocol):
    """Says sentences in other words; gets no more of the record than them."""

    async def rephrase(
        self, sentences: Sequence[Said], *, language: str, register: str
    ) -> Sequence[Said]:
        """Return them, each under its key and with its sources, in any order; some may lack."""


async def rephrased(
    rephraser: Rephraser | None,
    told: Mapping[Section, Sequence[Sentence]],
    *,
    language: str,
    register: str,
) -> dict[Section, list[Sentence]]:
    """Return the sentences, in other words where that changes nothing of what they say.

    Quotations, conflicts, counts and statistics are never given away: they are worded with care.
    A model that fails, or takes too long, costs its words alone.
    """
    kept = {section: list(of) for section, of in told.items()}
    if rephraser is None:
        return kept
    asked = {
        f"{section}-{at}": Said(f"{section}-{at}", one.text, one.sources)
        for section, of in kept.items()
        for at, one in enumerate(of)
        if one.kind in _MAY and section != "changes"
    }
    given = await _answer(rephraser, list(asked.values()), language, register)
    for key, said in given.items():
        section, _, at = key.rpartition("-")
        of = kept[section]  # type: ignore[index] # a key of our own, in ``asked``
        if said.text != of[int(at)].text and not faults(asked[key], said):
            of[int(at)] = replace(of[int(at)], text=said.text, rephrased=True)
    return kept


async def _answer(
    rephraser: Rephraser, asked: list[Said], language: str, register: str
) -> dict[str, Said]:
    """Return what came back for what was asked; a key that came twice is not believed."""
    known = {one.key for one in asked}
    try:
        async with asyncio.timeout(WITHIN_S):
            back = await rephraser.rephrase(asked, language=language, register=register)
        every = [one for one in back if isinstance(one, Said) and one.key in known]
    # A plug-in of the site may fail in any way; the deterministic sentences are there.
    except Exception as error:
        log.warning("the rephraser failed: %s", type(error).__name__)
        return {}
    keys = [one.key for one in every]
    return {one.key: one for one in every if keys.count(one.key) == 1}
