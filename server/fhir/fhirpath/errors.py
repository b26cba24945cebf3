"""What can be wrong with an expression, or with what it meets in the data."""


class FhirPathError(Exception):
    """The expression cannot be read, or cannot be answered; the only error of this package.

    ``at``: where in the expression, in characters from 0; the text says it as a column from 1.
    """

    def __init__(self, message: str, at: int | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.at = at

    def __str__(self) -> str:
        return self.message if self.at is None else f"{self.message} (column {self.at + 1})"


class StepLimit(FhirPathError):
    """The expression does more than whoever evaluates it allows."""
