"""Limits of level L1; each refusal names the one that was reached."""

from typing import Final

MAX_STRING_LENGTH: Final = 1_048_576  # characters; R4 datatypes.html#string
MAX_ISSUES: Final = 100  # reported of one resource; a closing note says that there may be more
MAX_LOCATED_BYTES: Final = 4_000_000  # of larger bodies the lines of the issues are not looked up
