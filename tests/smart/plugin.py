"""Counts, at the end of a run, the requirements of SMART App Launch that have a passing test.

The ids travel in the tests' reports, so that the count is right with any number of workers.
"""

import pytest

from tests.smart.requirements import requirements

KEY = "smart"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Write the ids that a test names into what its reports carry."""
    for item in items:
        ids = [id_ for mark in item.iter_markers("smart") for id_ in mark.args]
        unknown = [id_ for id_ in ids if id_ not in requirements()]
        if unknown:
            raise pytest.UsageError(f"{item.nodeid}: SMART has no requirement {unknown}")
        item.user_properties += [(KEY, id_) for id_ in ids]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the count, when the run has tests that name requirements."""
    passed = _named(terminalreporter, "passed")
    failed = _named(terminalreporter, "failed", "error")
    if not passed | failed:
        return
    binding = {one.id for one in requirements().values() if one.binding}
    excused = {id_ for id_ in binding if requirements()[id_].reason is not None}
    proven = (passed - failed) & (binding - excused)
    terminalreporter.write_line(
        f"SMART App Launch 2.2.0: {len(proven)} of {len(binding - excused)} SHALL requirements of "
        f"a server have a passing test, {len(excused)} are documented as not applicable"
    )


def _named(reporter: pytest.TerminalReporter, *outcomes: str) -> set[int]:
    reports = (report for outcome in outcomes for report in reporter.stats.get(outcome, []))
    return {
        id_
        for report in reports
        for key, id_ in getattr(report, "user_properties", ())
        if key == KEY and (report.when == "call" or report.outcome == "failed")
    }
