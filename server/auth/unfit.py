"""What an operator gave cannot be kept."""


class Unfit(ValueError):
    """A user, client, password or proxy that cannot be kept; the text is one line that says why."""


class Taken(Unfit):
    """There is one of that name already."""


class Missing(Unfit):
    """There is none of that name."""
