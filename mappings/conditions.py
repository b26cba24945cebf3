"""``when``: the words of the HL7 v2-to-FHIR guide, compiled to a function.

    PV1-2 valued and PV1-45 not valued
    IF OBX-2 IN ("NM", "SN") AND OBX-5.1 NOT EQUALS "<>"
    PID-3 count > 1 or not (PID-8 = F)
    event in (A01, A04)

Words may be in capitals; ``is`` and ``if`` may stand where the guide has them.  ``XTN.3`` and
``.3`` both mean component 3 of the value at hand.  A value without blanks needs no quotes.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from mappings.paths import Path, PathError, path_of
from mappings.source import Scope
from mappings.spelling import hint

Condition = Callable[[Scope], bool]
_UNKNOWN: frozenset[tuple[str, int]] = frozenset()
_TOKEN = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|(\(|\)|,|>=|<=|!=|=|>|<)|([^\s(),=<>!"']+))""")
_COMPARISONS = ("valued", "not valued", "=", "!=", "equals", "in", "is", "not", "count", "length")
_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    ">": lambda a, b: a > b,
    "<": lambda a, b: a < b,
    ">=": lambda a, b: a >= b,
    "<=": lambda a, b: a <= b,
}


class ConditionError(ValueError):
    """The text is no condition; the message says where it stops making sense."""


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    quoted: bool

    @property
    def word(self) -> str:
        return "" if self.quoted else self.text.lower()


def condition(text: str, paths: list[Path], needs: set[tuple[str, int]] | None = None) -> Condition:
    """Compile a condition; the field paths that it reads are appended to ``paths``.

    ``needs`` gets the fields without any of which it does not hold; none: nothing is known.

    Raises:
        ConditionError: it cannot be read.
    """
    reader = _Reader(text, paths)
    made = reader.either()
    if reader.at < len(reader.tokens):
        raise ConditionError(f"{text!r}: unexpected {reader.tokens[reader.at].text!r}")
    if needs is not None:
        needs |= reader.needs
    return made


class _Reader:
    def __init__(self, text: str, paths: list[Path]) -> None:
        self.text = text
        self.paths = paths
        self.tokens = _tokens(text)
        self.at = 0
        self.needs = _UNKNOWN  # of what was read last
        self.positive = False  # whether the last comparison holds of nothing that was not sent

    def either(self) -> Condition:
        parts = [self.both()]
        while self.take("or"):
            needs = self.needs
            parts.append(self.both())
            self.needs = needs | self.needs if needs and self.needs else _UNKNOWN
        if len(parts) == 2:
            first, second = parts
            return lambda s: first(s) or second(s)
        return parts[0] if len(parts) == 1 else lambda s: any(part(s) for part in parts)

    def both(self) -> Condition:
        parts = [self.one()]
        while self.take("and"):
            needs = self.needs
            parts.append(self.one())
            self.needs = needs or self.needs
        if len(parts) == 2:
            first, second = parts
            return lambda s: first(s) and second(s)
        return parts[0] if len(parts) == 1 else lambda s: all(part(s) for part in parts)

    def one(self) -> Condition:
        self.take("if")
        if self.take("not"):
            inner = self.one()
            self.needs = _UNKNOWN
            return lambda s: not inner(s)
        if self.take("("):
            inner = self.either()
            if not self.take(")"):
                raise ConditionError(f"{self.text!r}: a bracket is not closed")
            return inner
        return self.test(self.next("a field"))

    def test(self, subject: _Token) -> Condition:
        self.needs = _UNKNOWN
        if subject.word == "event":
            return self.compare(lambda s: s.run.event)
        if subject.word == "unidentified":
            return self.compare(lambda s: s.run.feed.unidentified)
        try:
            path = path_of(subject.text)
        except PathError as wrong:
            raise ConditionError(f"{self.text!r}: {wrong}") from wrong
        self.paths.append(path)
        if self.take("lst.count", "count"):
            return self.number(path.count)
        if self.take("length"):
            text = path.texter()
            return self.number(lambda s: len(text(s)))
        if path.field == 0 and path.segment:
            return self.valued(path.present)
        made = self.compare(path.texter(), path.valued())
        if self.positive and path.segment:
            self.needs = frozenset({(path.segment, path.field)})
        return made

    def compare(self, value: Callable[[Scope], str], valued: Condition | None = None) -> Condition:
        is_valued = valued or (lambda s: bool(value(s)))
        said = False
        while self.take("is", "does"):
            said = True
        negated = self.take("not")
        said |= self.take("is")
        if self.take("valued", "value", "empty"):
            wanted = (self.tokens[self.at - 1].word != "empty") != negated
            self.positive = wanted
            return is_valued if wanted else lambda s: not is_valued(s)
        if self.take("in"):
            options = frozenset(self.options())
            self.positive = not negated and "" not in options
            return lambda s: (value(s) in options) != negated
        if self.take("!="):
            negated = not negated
        elif self.take("=", "equals", "equal"):
            self.take("to")
        elif not said:
            self.strange(_COMPARISONS)
        text = self.next("a value").text
        self.positive = not negated and text != ""
        return lambda s: (value(s) == text) != negated

    def strange(self, known: tuple[str, ...]) -> None:
        """Refuse the next token, which should be one of ``known``.

        Raises:
            ConditionError: always.
        """
        found = self.next("a value").text
        raise ConditionError(f"{self.text!r}: {found!r} is no comparison{hint(found, known)}")

    def valued(self, present: Condition) -> Condition:
        self.take("is")
        negated = self.take("not")
        if not self.take("valued"):
            raise ConditionError(f"{self.text!r}: a segment is 'valued' or 'not valued'")
        return lambda s: present(s) != negated

    def number(self, value: Callable[[Scope], int]) -> Condition:
        sign = self.sign()
        text = self.next("a number").text
        if not text.isdecimal():
            raise ConditionError(f"{self.text!r}: {text!r} is not a number")
        compare, wanted = _COMPARE[sign], int(text)
        return lambda s: compare(value(s), wanted)

    def sign(self) -> str:
        self.take("is")
        if self.take("greater", "less"):
            sign = ">" if self.tokens[self.at - 1].word == "greater" else "<"
            self.take("than")
            if self.take("or"):
                self.take("equals", "equal")
                self.take("to")
                sign += "="
            return sign
        if self.take("equals", "equal"):
            self.take("to")
            return "="
        found = self.next("a comparison").text
        if found not in _COMPARE:
            raise ConditionError(f"{self.text!r}: {found!r} is not a comparison")
        return found

    def options(self) -> list[str]:
        if not self.take("("):
            raise ConditionError(f"{self.text!r}: 'in' needs a list in brackets")
        made = [self.next("a value").text]
        while self.take(","):
            made.append(self.next("a value").text)
        if not self.take(")"):
            raise ConditionError(f"{self.text!r}: a bracket is not closed")
        return made

    def take(self, *words: str) -> bool:
        """Step over the next token if it is one of ``words``."""
        if self.at < len(self.tokens) and self.tokens[self.at].word in words:
            self.at += 1
            return True
        return False

    def next(self, what: str) -> _Token:
        if self.at >= len(self.tokens):
            raise ConditionError(f"{self.text!r} ends where {what} should be")
        self.at += 1
        return self.tokens[self.at - 1]


def _tokens(text: str) -> list[_Token]:
    made: list[_Token] = []
    at = 0
    while at < len(text.rstrip()):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ConditionError(f"{text!r}: cannot read {text[at:]!r}")
        double, single, sign, word = found.groups()
        quoted = double if double is not None else single
        made.append(_Token(quoted, True) if quoted is not None else _Token(sign or word, False))
        at = found.end()
    if not made:
        raise ConditionError("the condition is empty")
    return made
