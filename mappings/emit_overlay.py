"""``extends`` and ``use`` of emit maps: maps made of parts, and changed for one destination.

``use: out/parts/patient`` in a list of segments stands for the segments of that part, and brings
what it names under ``with``; ``set`` and ``remove`` beside it change it there.  An overlay says
``emit: NAME``, ``for: DESTINATION``, and what it changes: ``set`` fields, ``remove`` segments or
fields, ``event``, further ``segments`` (``after: PID``; otherwise at the end).
"""

from collections.abc import Mapping

from mappings.language import Entries, Items, Node, Text, texts
from mappings.overlay import copied, none
from mappings.spelling import hint

_WHOLE = ("event", "structure", "triggers", "instead", "message", "about")


class Emits:
    """The emit maps as written; what they use is put in when they are asked for."""

    def __init__(self, written: Mapping[str, Entries], problems: list[str]) -> None:
        self._written = written
        self._problems = problems
        self._made: dict[str, Entries | None] = {}

    def tree(self, name: str) -> Entries | None:
        """Return a map with its parts; ``None``, with a problem, when there is a circle."""
        if name not in self._made:
            self._made[name] = None
            self._made[name] = self._expanded(copied(self._written[name]))
        return self._made[name]

    def overlaid(self, overlay: Entries) -> Entries | None:
        """Return the map that an overlay changes, changed."""
        base = str(overlay.get("extends", overlay["emit"]))
        if base not in self._written:
            near = hint(base, self._written)
            self._problems.append(f"{overlay.place}: there is no emit map {base!r}{near}")
            return None
        tree = self.tree(base)
        if tree is None:
            return None
        made: Entries = copied(tree)
        made.place = overlay.place
        for key in _WHOLE:
            if key in overlay:
                made[key] = overlay[key]
                made.places[key] = overlay.places[key]
        _merge_with(made, overlay)
        self._change(made, overlay)
        return self._expanded(made)

    def _expanded(self, node: Entries) -> Entries | None:
        segments = node.get("segments")
        if isinstance(segments, Items):
            node["segments"] = self._used(segments, node)
        return node

    def _used(self, segments: Items, map_: Entries) -> Items:
        made = none(map_)
        made.place = segments.place
        for one in segments:
            if not isinstance(one, Entries) or "use" not in one:
                if isinstance(one, Entries) and isinstance(inner := one.get("segments"), Items):
                    one["segments"] = self._used(inner, map_)
                made.append(one)
                continue
            name = str(one["use"])
            if name not in self._written:
                near = hint(name, self._written)
                self._problems.append(f"{one.place}: there is no part {name!r}{near}")
                continue
            part = self.tree(name)
            if part is None or not isinstance(part.get("segments"), Items):
                self._problems.append(f"{one.place}: {name!r} cannot be used here")
                continue
            part = copied(part)
            _merge_with(map_, part)
            self._change(part, one)
            made += part["segments"]
        return made

    def _change(self, made: Entries, overlay: Entries) -> None:
        """Apply what an overlay, or a ``use``, sets and removes."""
        segments = made.get("segments")
        if not isinstance(segments, Items):
            return
        for target in texts(overlay.get("remove", none(overlay))):
            self._remove(segments, target)
        changes = overlay.get("set", Entries())
        for path, rule in changes.items() if isinstance(changes, Entries) else ():
            found = self._find(segments, path.partition("-")[0], rule)
            if found is not None:
                fields = found.setdefault("set", _empty(found))
                if isinstance(fields, Entries):
                    fields[path] = rule
                    fields.places[path] = rule.place
        more = overlay.get("segments")
        for one in more if isinstance(more, Items) else ():
            self._add(segments, one)

    def _add(self, segments: Items, one: Node) -> None:
        after = one.get("after") if isinstance(one, Entries) else None
        if after is None:
            segments.append(one)
            return
        found = self._find(segments, str(after), after)
        if found is not None:
            holder = _holder(segments, found)
            holder.insert(_place(holder, found) + 1, one)

    def _remove(self, segments: Items, target: Text) -> None:
        name, _, number = target.partition("-")
        found = self._find(segments, name, target)
        if found is None:
            return
        if not number:
            holder = _holder(segments, found)
            del holder[_place(holder, found)]
            return
        fields = found.get("set")
        if not isinstance(fields, Entries) or target not in fields:
            near = hint(target, fields if isinstance(fields, Entries) else ())
            self._problems.append(f"{target.place}: the map does not fill {target}{near}")
            return
        del fields[target]

    def _find(self, segments: Items, name: str, node: Node) -> Entries | None:
        found = [one for one in _every(segments) if one.get("segment") == name]
        if len(found) == 1:
            return found[0]
        if not found:
            known = {str(one.get("segment")) for one in _every(segments)}
            self._problems.append(f"{node.place}: the map writes no {name}{hint(name, known)}")
        else:
            self._problems.append(f"{node.place}: the map writes {name} in {len(found)} places")
        return None


def _empty(found: Entries) -> Entries:
    made = Entries()
    made.place, made.places = found.place, {}
    return made


def _merge_with(made: Entries, other: Entries) -> None:
    """Add what ``other`` names under ``with`` to what ``made`` names; its own stays."""
    more = other.get("with")
    if not isinstance(more, Entries):
        return
    known = made.setdefault("with", _empty(made))
    if isinstance(known, Entries):
        for key, value in more.items():
            if key not in known:
                known[key] = value
                known.places[key] = more.places[key]


def _every(segments: Items) -> list[Entries]:
    made: list[Entries] = []
    for one in segments:
        if isinstance(one, Entries):
            made.append(one)
            if isinstance(inner := one.get("segments"), Items):
                made += _every(inner)
    return made


def _holder(segments: Items, wanted: Entries) -> Items:
    if any(one is wanted for one in segments):
        return segments
    for one in _every(segments):
        inner = one.get("segments")
        if isinstance(inner, Items) and any(two is wanted for two in inner):
            return inner
    return segments


def _place(holder: Items, wanted: Entries) -> int:
    return next(n for n, one in enumerate(holder) if one is wanted)
