"""What can be wrong with an expression."""


class FhirPathError(Exception):
    """The expression cannot be read, or asks for what this compiler does not have."""
