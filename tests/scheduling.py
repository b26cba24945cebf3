"""What runs together: tests that share something that takes long to start run on one worker.

pytest-xdist 3.8 does this by the mark ``xdist_group``, which has no effect with pytest 9.2 (it
changes a test's ``_nodeid``, which is not read any more).
"""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

TOGETHER = (
    "tests/browser/",  # one server, one browser
    "tests/smart/",
    "tests/clients/",
    "tests/system/test_mongo_processes.py",  # two servers and their database
    "tests/docs/test_smart_page.py",
)


class Together(LoadScopeScheduling):
    """Hands out a folder of :data:`TOGETHER` as one, every other test by itself."""

    def _split_scope(self, nodeid: str) -> str:
        return next((place for place in TOGETHER if nodeid.startswith(place)), nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Take the place of ``--dist loadgroup``."""
    return Together(config, log) if config.getvalue("dist") == "loadgroup" else None
