"""A language model may say a sentence in other words, and nothing else.

None is configured: without one everything works.  A site brings its own as an entry point of the
group :data:`ENTRY_POINTS`, a callable without arguments that returns a :class:`Rephraser`; one that
asks a service goes through :mod:`server.safe_client`.  What it returns is checked
(:mod:`.check`), and the sentence that was there stays where it fails.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
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
    task = asyncio.ensure_future(_believed(rephraser, asked, language, register))
    # What it raises when nobody waits for it any more would be logged with its text.
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    try:
        # It is not waited for beyond its time, not even when it does not let itself be cancelled.
        await asyncio.wait((task,), timeout=WITHIN_S)
    finally:
        late = not task.done()
        task.cancel()
    failed = "Timeout" if late else None
    if not late and (task.cancelled() or task.exception() is not None):
        failed = "Cancelled" if task.cancelled() else type(task.exception()).__name__
    if failed:
        log.warning("the rephraser failed: %s", failed)
        return {}
    return task.result()


async def _believed(
    rephraser: Rephraser, asked: list[Said], language: str, register: str
) -> dict[str, Said]:
    back = await rephraser.rephrase(asked, language=language, register=register)
    known = {one.key for one in asked}
    every = [
        Said(one.key, one.text, one.sources)
        for one in islice(back, 2 * len(asked))  # it may go on for ever
        if isinstance(one, Said) and isinstance(one.text, str) and one.key in known
    ]
    keys = Counter(one.key for one in every)
    return {one.key: one for one in every if keys[one.key] == 1}
