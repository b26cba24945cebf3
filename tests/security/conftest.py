"""The server in one process, once per store, as in the tests of REST."""

from tests.rest.conftest import house, limits, policy, pytest_generate_tests

__all__ = ["house", "limits", "policy", "pytest_generate_tests"]
