"""What can be wrong with an expression, or with what it meets in the data."""

_LONGEST = 300  # characters of a message; names in an expression may be longer


class FhirPathError(Exception):
    """The expression cannot be read, or cannot be answered; the only error of this package.

    ``at``: where in the expression, in characters from 0; the text says it as a column from 1.
    """

    def __init__(self, message: str, at: int | None = None) -> None:
        shown = message if len(message) <= _LONGEST else f"{message[:_LONGEST]}..."
        super().__init__(shown)
        self.message = shown
        self.at = at

    def __str__(self) -> str:
        return self.message if self.at is None else f"{self.message} (column {self.at + 1})"


class StepLimit(FhirPathError):
    """The expression does more than whoever evaluates it allows."""
