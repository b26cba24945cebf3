"""One repetition of a field, as rules and converters read it: its components, cleaned once."""

from typing import TYPE_CHECKING

from mappings.parse import NULL

if TYPE_CHECKING:
    from mappings.source import Run

MOST_COMPONENTS = 25  # of a data type
_NOT_SENT = [""] * MOST_COMPONENTS


class Repetition:
    """One repetition of a field, or one component taken as a value of its own.

    ``path`` is where it stands, ``PID-3[2]``; ``raw`` its text as sent.  ``texts`` are the
    components' texts by their numbers, ``""`` for those that were not sent or are to be deleted, up
    to the last that any data type has; ``""`` also at 0.
    """

    __slots__ = ("path", "raw", "run", "separator", "texts")

    def __init__(self, run: "Run", raw: str, path: str, separator: str) -> None:
        self.run = run
        self.raw = raw
        self.path = path
        self.separator = separator
        parts = raw.split(separator)
        if run.simple:
            if " " in raw:
                parts = [part.strip() for part in parts]
            self.texts = ["", *parts, *_NOT_SENT]
            return
        if NULL in raw:
            parts = ["" if part == NULL else part for part in parts]
        if run.plain or run.needs_nothing(raw):
            if " " in raw or "\r" in raw or "\n" in raw:  # other blanks are not printable
                parts = [part.strip() for part in parts]
        else:
            parts = [self._first(part) for part in parts]
        self.texts = ["", *parts, *_NOT_SENT]

    @property
    def parts(self) -> list[str]:
        """The raw components."""
        return self.raw.split(self.separator)

    def _first(self, raw: str) -> str:
        run = self.run
        if self.separator != run.sub_separator:
            raw = raw.partition(run.sub_separator)[0]
        return run.clean(raw)

    def text(self, component: int = 1, sub: int = 1) -> str:
        """Return a component's text; ``""`` when it was not sent or is to be deleted."""
        if sub == 1:
            texts = self.texts
            return texts[component] if component < len(texts) else ""
        run, parts = self.run, self.parts
        if component > len(parts) or self.separator == run.sub_separator:
            return ""
        subs = parts[component - 1].split(run.sub_separator)
        return run.clean(subs[sub - 1]) if sub <= len(subs) else ""

    def authority(self, component: int, role: str = "") -> str:
        """Return the identifier system of the authority (HD) in a component."""
        if self.run.plain:
            return self.run.authority(self.texts[component], "", "", role)
        name, universal, kind = (self.text(component, sub) for sub in (1, 2, 3))
        return self.run.authority(name, universal, kind, role)

    def whole(self) -> str:
        """Return the text of the repetition, its separators included (a text type has none)."""
        return "" if self.raw == NULL else self.run.clean(self.raw)

    def component(self, component: int) -> "Repetition":
        """Return a component as a value of its own, its sub-components as components."""
        parts = self.parts
        raw = parts[component - 1] if component <= len(parts) else ""
        return Repetition(self.run, raw, f"{self.path}.{component}", self.run.sub_separator)

    def sub(self, component: int, sub: int) -> "Repetition":
        """Return a sub-component as a value of its own."""
        parts = self.component(component).parts
        raw = parts[sub - 1] if sub <= len(parts) else ""
        return Repetition(self.run, raw, f"{self.path}.{component}.{sub}", "\x00")
