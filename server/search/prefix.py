"""Texts that start with another, as a range in the order of code points.  Pure."""


def behind(prefix: str) -> str | None:
    """Return the first text behind all that start with ``prefix``; ``None``: there is none.

    >>> behind("ab"), behind("a\\U0010ffff"), behind("")
    ('ac', 'b', None)
    """
    kept = prefix.rstrip("\U0010ffff")
    if not kept:
        return None
    following = ord(kept[-1]) + 1
    # Surrogates are no characters and have no UTF-8 form.
    return kept[:-1] + chr(0xE000 if 0xD800 <= following <= 0xDFFF else following)
