"""How an unforeseen failure is named where its own text may hold patient data."""


def where(error: BaseException) -> str:
    """Return the class of a failure and the place it came from, without its text.

    >>> try:
    ...     {}["Jane Doe"]
    ... except KeyError as error:
    ...     where(error).partition(" at ")[0]
    'KeyError'
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    place = f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}" if trace else "?"
    return f"{type(error).__name__} at {place}"
