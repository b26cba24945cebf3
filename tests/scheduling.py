"""What runs together: tests that share something that takes long to start run on one worker.

pytest-xdist 3.8 does this by the mark ``xdist_group``, which has no effect with pytest 9.2 (it
changes a test's ``_nodeid``, which is not read any more).
"""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

TOGETHER = (
    "tests/access/test_permits_on_stores.py",
    "tests/browser/",  # one server, one browser
    "tests/clients/",
    "tests/conformance/test_fhirpath_suite.py",
    "tests/conformance/test_official_examples.py",
    "tests/contract/test_mongo_plans.py",
    "tests/demo/test_demo.py",
    "tests/docs/test_explain_page.py",
    "tests/docs/test_smart_page.py",
    "tests/mappings/test_published_messages.py",
    "tests/matrix/",  # one record of thousands of resources in every store
    "tests/smart/",
    "tests/system/test_administration.py",
    "tests/system/test_continuity_journey.py",
    "tests/system/test_feed_folder.py",
    "tests/system/test_feed_provenance.py",
    "tests/system/test_login_load.py",
    "tests/system/test_mongo_away.py",
    "tests/system/test_mongo_migrate.py",
    "tests/system/test_mongo_processes.py",  # two servers and their database
    "tests/system/test_synthea.py",
    "tests/system/test_wrong_calls.py",
)


class Together(LoadScopeScheduling):
    """Hands out what :data:`TOGETHER` names as one, every other test by itself.

    Thirteen thousand units are many for what it inherits, which asks all that were ever handed out
    how many of them are still to be done, and looks each up in the list of all, for each test.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._numbers: dict[str, int] = {}

    def _split_scope(self, nodeid: str) -> str:
        return next((place for place in TOGETHER if nodeid.startswith(place)), nodeid)

    def mark_test_complete(
        self, node: WorkerController, item_index: int, duration: float = 0
    ) -> None:
        """Forget a unit of which all is done."""
        nodeid = self.registered_collections[node][item_index]
        units, scope = self.assigned_work[node], self._split_scope(nodeid)
        units[scope][nodeid] = True
        if all(units[scope].values()):
            del units[scope]
        self._reschedule(node)

    def _assign_work_unit(self, node: WorkerController) -> None:
        if not self._numbers:  # the same for all workers, or nothing would have been handed out
            self._numbers = {nodeid: n for n, nodeid in enumerate(self.collection or ())}
        scope, unit = self.workqueue.popitem(last=False)
        self.assigned_work[node][scope] = unit
        node.send_runtest_some([self._numbers[nodeid] for nodeid, done in unit.items() if not done])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Take the place of ``--dist loadgroup``."""
    return Together(config, log) if config.getvalue("dist") == "loadgroup" else None
