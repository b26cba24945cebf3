"""MSH: who sends a message to whom, what it is, and how it shall be answered.  HL7 v2.9 2.13.9."""

from collections.abc import Sequence
from time import gmtime, strftime
from uuid import UUID

from mappings.emit_destination import AckMode, Destination
from mappings.emit_map import Made
from mappings.encode import Field, Segment, Unencodable, to_bytes, too_long
from mappings.encode_dates import timestamp

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"  # no letter that is read as a digit
_ASKED: dict[AckMode, tuple[str, str]] = {
    "original": ("", ""),
    "enhanced": ("AL", "NE"),
    "enhanced-application": ("AL", "AL"),
}
_CONTROL_ID_CHARACTERS = 20  # what MSH-10 holds up to version 2.6


def control_id(id_: str) -> str:
    """Return a control id of 20 characters from a UUIDv7: its time and 52 of its random bits.

    A counter would begin anew when a backup is restored, and a receiver would take new messages
    for ones that it has.

    >>> control_id("019b0000-0000-7000-8000-000000000001")
    '06DG0000000000000001'
    """
    whole = UUID(id_).int
    number = (whole >> 80) << 52 | whole & (1 << 52) - 1
    made = ""
    for _ in range(_CONTROL_ID_CHARACTERS):
        number, rest = divmod(number, 32)
        made = _ALPHABET[rest] + made
    return made


def to_message(made: Made, destination: Destination, *, id_: str, at: int) -> bytes:
    """Return the message's bytes.

    Args:
        id_: its control id.
        at: when it was made, microseconds since 1970-01-01T00:00:00Z.

    Raises:
        Unencodable: the destination's character set or its fields do not hold all of it.
    """
    for segment in made.segments:
        if field := too_long(segment, destination.lengths):
            raise Unencodable(f"{field} is longer than {destination.lengths[field]} characters")
    segments = [_msh(made, destination, id_, at), *made.segments]
    return to_bytes(segments, destination.charset, replace=destination.unencodable == "replace")


def _msh(made: Made, destination: Destination, id_: str, at: int) -> Segment:
    version = destination.version_number
    accept, application = _ASKED[destination.ack]
    code, _, event = made.type.partition("^")
    structure = [made.structure] if version >= (2, 3, 1) else []
    fields: dict[int, Sequence[str]] = {
        3: destination.sender[0].split("^"),
        4: destination.sender[1].split("^"),
        5: destination.receiver[0].split("^"),
        6: destination.receiver[1].split("^"),
        7: [_time(destination, at)],
        9: [code, event, *structure],
        10: [id_],
        11: [destination.processing],
        12: [destination.version],
        15: [accept],
        16: [application],
        18: [destination.charset if destination.charset != "ASCII" else ""],
    }
    made_fields: dict[int, Field] = {n: [list(value)] for n, value in fields.items() if any(value)}
    return Segment("MSH", made_fields)


def _time(destination: Destination, at: int) -> str:
    text = strftime("%Y-%m-%dT%H:%M:%S+00:00", gmtime(at // 1_000_000))
    return timestamp(destination, text)
