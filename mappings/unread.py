"""What a message holds and no rule of its map reads."""

from collections.abc import Callable, Mapping, Set

from mappings.parse import NULL
from mappings.source import Run

_SILENT = frozenset({"MSH", "EVN", "SFT", "DSC"})  # what they say is in ``Plan.extra``

Why = Callable[[str, str, int], str]


def explain_unread(run: Run, segments: Set[str], expected: Mapping[str, int], why: Why) -> None:
    """Explain what was sent and is read by no rule.

    ``segments`` are those that the map reads, ``expected`` the bits of fields of each that need no
    explanation; ``why`` gives the reason for which a field (0: a segment) is not mapped.
    """
    code = run.message.type.partition("^")[0]
    for segment in run.message.segments:
        if segment.name in _SILENT:
            continue
        if segment.name not in segments:
            reason = why(code, segment.name, 0) or "no rule for this segment"
            run.row("", segment.label, f"not mapped: {reason}")
            continue
        unread = segment.sent & ~expected[segment.name]
        # Taken apart once: a segment may have a million fields.
        left = unread.to_bytes(len(segment.fields), "little") if unread else b""
        for n, (is_unread, raw) in enumerate(zip(left, segment.fields, strict=False)):
            if is_unread and raw != NULL:
                reason = why(code, segment.name, n)
                how = f"not mapped: {reason}" if reason else "not mapped"
                run.row("", f"{segment.label}-{n}", how, raw)
