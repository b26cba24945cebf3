r"""Fields -> bytes of a message: delimiters, escapes, character set.  HL7 v2.9 chapter 2.6 and 2.7.

The other way of ``parse``, ``escapes`` and ``charsets``.  A field is a list of repetitions, a
repetition a list of components, a component a text or a list of sub-components; what is empty at
the end of each is left out.  Nothing is ever cut, and a character that the character set does not
have is a fault: :class:`Unencodable` names the place, never the text.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mappings.charsets import TABLE_0211
from mappings.parse import NULL

Component = str | list[str]
Repetition = list[Component]
Field = list[Repetition]

DELIMITERS = "|^~\\&"
MAX_BYTES = 16 * 2**20  # what listeners take (docs/feeds.md)
_NAMES = {"|": "F", "^": "S", "~": "R", "\\": "E", "&": "T"}
_SPECIAL = re.compile(r"[|^~\\&\r\n]|\r\n")
_ODD = re.compile(r"[|^~\\&\x00-\x08\x0a-\x1f\x7f]")  # most texts have none
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


class Unencodable(ValueError):
    """A message cannot be written as its receiver wants it; ``problem`` holds no values."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass(slots=True)
class Segment:
    """One segment to be written.  ``fields``: number -> field; ``key`` tells it from others of its
    name, equal for the same thing in the version before."""

    name: str
    fields: dict[int, Field] = field(default_factory=dict)
    key: str = ""


def escape(text: str) -> str:
    r"""Return ``text`` with its delimiters escaped and line ends as ``\.br\``.

    >>> escape("5^6 & C:\\temp\nnext")
    '5\\S\\6 \\T\\ C:\\E\\temp\\.br\\next'
    """
    if _ODD.search(text) is None:
        return text
    text = text.replace("\r\n", "\n")
    return _SPECIAL.sub(_one, _CONTROL.sub("", text))


def _one(found: re.Match[str]) -> str:
    mark = _NAMES.get(found[0])
    return f"\\{mark}\\" if mark else "\\.br\\"


def write_field(repetitions: Field) -> str:
    """Return a field as text; repetitions that say nothing are left out.

    >>> write_field([["1", "", ["A", "B^"], ""], ["2"]])
    '1^^A&B\\\\S\\\\~2'
    """
    if len(repetitions) == 1:
        return _repetition(repetitions[0])
    return "~".join(filter(None, map(_repetition, repetitions)))


def _repetition(components: Repetition) -> str:
    if components == [NULL]:  # "delete what you have": not a text, so not escaped
        return NULL
    return "^".join([_component(one) if one else "" for one in components]).rstrip("^")


def _component(component: Component) -> str:
    if isinstance(component, str):
        return escape(component.strip())
    return "&".join([escape(one.strip()) if one else "" for one in component]).rstrip("&")


def write_segment(segment: Segment) -> str:
    """Return a segment as text; ``MSH`` begins with its delimiters."""
    fields = segment.fields
    last = max(fields, default=0)
    made = [write_field(fields[n]) if n in fields else "" for n in range(1, last + 1)]
    if segment.name == "MSH":
        made = [DELIMITERS[1:], *made[2:]]
    while made and not made[-1]:
        made.pop()
    return "|".join([segment.name, *made])


def too_long(segment: Segment, lengths: Mapping[str, int]) -> str:
    """Return the first field that is longer than its receiver takes, ``PID-5``, else ``""``."""
    for number, value in segment.fields.items():
        most = lengths.get(f"{segment.name}-{number}")
        if most is not None and any(len(_repetition(one)) > most for one in value):
            return f"{segment.name}-{number}"
    return ""


def to_bytes(segments: Sequence[Segment], charset: str, *, replace: bool = False) -> bytes:
    """Return the message in the character set of table 0211 that MSH-18 names (``""``: UTF-8).

    ``replace``: what the set does not have becomes ``?``.

    Raises:
        Unencodable: it does not have all characters, or the message is above 16 MiB.
    """
    codec = TABLE_0211[charset.upper()] if charset else "utf-8"
    if charset.upper() in ("ASCII", "ISO IR6"):
        codec = "ascii"
    made: list[bytes] = []
    for segment in segments:
        text = write_segment(segment)
        try:
            made.append(text.encode(codec))
        except UnicodeEncodeError as error:
            if not replace:
                told = f"{segment.name}: {charset} has no {_kind(text[error.start])}"
                raise Unencodable(told) from None
            made.append(text.encode(codec, "replace"))
    data = b"\r".join(made) + b"\r"
    if len(data) > MAX_BYTES:
        raise Unencodable(f"the message has {len(data)} bytes, more than {MAX_BYTES}")
    return data


def _kind(character: str) -> str:
    return f"character U+{ord(character):04X}"
