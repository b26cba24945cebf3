"""Conditions on texts, and what the full-text index is asked.  Pure."""

from collections.abc import Mapping, Sequence

from server.search.prefix import behind
from server.search.query import TextOp, Words
from server.store.sqlite.sql import TRUE, Sql, any_of, is_in


def text_is(column: str, op: TextOp, values: Sequence[str]) -> Sql:
    """Return the condition on a text column: ranges for ``starts``, so that an index is used.

    >>> text_is("v", "ends", ("b",))
    Sql(text='substr(v,-?)=?', values=(1, 'b'))
    """
    match op:
        case "is":
            return is_in(column, values)
        case "starts":
            return any_of([starts_with(column, value) for value in values])
        case "contains":
            return any_of([Sql(f"instr({column},?)>0", (value,)) for value in values])
        case "ends":
            return any_of([_ends_with(column, value) for value in values])
        case "gt" | "lt" | "ge" | "le":
            return any_of([Sql(f"{column}{_SIGNS[op]}?", (value,)) for value in values])


_SIGNS: Mapping[str, str] = {"gt": ">", "lt": "<", "ge": ">=", "le": "<="}


def starts_with(column: str, prefix: str) -> Sql:
    """Return the range of texts that start with ``prefix``, in code point order.

    >>> starts_with("v", "ab")
    Sql(text='(v>=? and v<?)', values=('ab', 'ac'))
    """
    end = behind(prefix)
    if end is None:
        return Sql(f"{column}>=?", (prefix,))
    return Sql(f"({column}>=? and {column}<?)", (prefix, end))


def phrases(words: Words) -> str:
    """Return the question in the language of FTS5: every word in quotes, so none is a command.

    >>> phrases(Words("text", (("chest", "pai*"), ("fever",))))
    'narrative : ("chest pai" * AND "fever")'
    """
    column = "narrative" if words.of == "text" else "content"
    return f"{column} : ({' AND '.join(map(_phrase, words.asked))})"


def _phrase(words: tuple[str, ...]) -> str:
    text = " ".join(words)
    begins = text.endswith("*")
    quoted = '"' + text.removesuffix("*").replace('"', '""') + '"'
    return f"{quoted} *" if begins else quoted


def _ends_with(column: str, end: str) -> Sql:
    # A text that is shorter than what is cut off its end comes whole, and differs by its length.
    return Sql(f"substr({column},-?)=?", (len(end), end)) if end else TRUE
