"""The site's own language model, if it brings one: an entry point of an installed package."""

import logging
from importlib.metadata import entry_points

from server.continuity.story.rephrase import ENTRY_POINTS, Rephraser

log = logging.getLogger("tellonce")


def rephraser() -> Rephraser | None:
    """Return what may rephrase a story; ``None``: nothing is installed.

    Raises ValueError when there are several: which one speaks is not for chance to decide.
    """
    found = sorted(entry_points(group=ENTRY_POINTS), key=lambda one: one.name)
    if not found:
        return None
    if len(found) > 1:
        names = ", ".join(one.name for one in found)
        raise ValueError(f"several rephrasers are installed ({names}): keep one")
    made: Rephraser = found[0].load()()
    log.info("stories are rephrased by %s", found[0].name)
    return made
