"""Acknowledgements: HL7 v2.5 section 2.9, original and enhanced mode.

=====================  =========================  ==============================================
mode                   answers                    when
=====================  =========================  ==============================================
original (MSH-15 and   AA AE AR                   behind the record commit (or the feed's own
MSH-16 empty)                                     rule, see :class:`mappings.feed.Feed`)
enhanced, MSH-15       CA CE CR                   behind the inbox commit
enhanced, MSH-16       AA AE AR                   as in original mode
=====================  =========================  ==============================================

MSH-15 and MSH-16 are AL (always), NE (never), ER (errors only), SU (success only); one of them
empty beside the other counts as NE.  Texts name rules, never values: no patient data in them.
"""

from dataclasses import dataclass
from typing import Literal

from server.feeds.header import Header, read_header

Code = Literal["AA", "AE", "AR", "CA", "CE", "CR"]
POSITIVE: frozenset[Code] = frozenset(("AA", "CA"))

# HL7 table 0357, message error condition codes
ERROR_TEXTS = {
    "100": "Segment sequence error",
    "101": "Required field missing",
    "102": "Data type error",
    "103": "Table value not found",
    "200": "Unsupported message type",
    "201": "Unsupported event code",
    "203": "Unsupported version id",
    "204": "Unknown key identifier",
    "205": "Duplicate key identifier",
    "206": "Application record locked",
    "207": "Application internal error",
}

_NO_HEADER = Header(b"|", b"^~\\&", (b"|", b"^~\\&"))


@dataclass(frozen=True, slots=True)
class Fault:
    """What an ERR segment says: a code of table 0357, where (``PID^1^3``), and a plain sentence."""

    code: str
    text: str
    location: tuple[str, ...] = ()


NO_HEADER = Fault("100", "the message does not begin with an MSH segment", ("MSH", "1"))
TOO_LARGE = Fault("207", "the message is larger than this server accepts")
NOT_CLOSED = Fault("100", "the frame was not closed with FS CR in time")
NO_STORE = Fault("207", "the message could not be stored, send it again later")
NO_RECORD = Fault("207", "the record cannot be searched now, ask again later")
NOT_ALLOWED = Fault("207", "this sender may not send messages of this feed")
STOPPING = Fault("207", "the server is stopping, send it again later")
STILL_RETRYING = Fault("207", "the message is stored and still being retried")

_FAULT_OF_REASON = {
    "patient-unidentified": Fault("101", "no patient identifier", ("PID", "1", "3")),
    "patient-conflict": Fault("205", "the identifiers are of several patients", ("PID", "1", "3")),
    "patient-overlay": Fault("205", "birth date, name or sex disagree", ("PID", "1", "3")),
    "identity-conflict": Fault("205", "an identifier is of several records"),
    "unsupported-message": Fault("200", "no map for this message", ("MSH", "1", "9")),
    "unparsable": Fault("100", "the message cannot be read", ("MSH", "1")),
    "required-missing": Fault("101", "a required field is missing"),
    "invalid-resource": Fault("102", "a value does not fit its data type"),
}


def is_positive(message: bytes) -> bool:
    """Tell whether an acknowledgement is AA or CA."""
    return code_of(message) in POSITIVE


def code_of(message: bytes) -> str:
    """Return MSA-1 of an acknowledgement that this server made; empty when there is none."""
    return next(iter(codes_of(message)), "")


def codes_of(answers: bytes) -> list[str]:
    """Return MSA-1 of every acknowledgement in a response batch that this server made."""
    return [msa[1:3].decode("ascii", "replace") for msa in answers.split(b"\rMSA")[1:]]


def fault_of(reason: str) -> Fault:
    """Return what a sender is told when a message went to quarantine for ``reason``."""
    return _FAULT_OF_REASON.get(reason, Fault("207", "the message could not be applied"))


def wants_accept(header: Header, code: Code) -> bool:
    """Tell whether the sender asked (MSH-15) for this accept acknowledgement."""
    return header.enhanced and _wants(header.component(15, 1), code)


def wants_application(header: Header, code: Code) -> bool:
    """Tell whether the sender asked (MSH-16, or original mode) for this acknowledgement."""
    return not header.enhanced or _wants(header.component(16, 1), code)


def _wants(condition: str, code: Code) -> bool:
    if condition == "AL":
        return True
    return condition == ("SU" if code in POSITIVE else "ER")


def acknowledge(
    header: Header | None, code: Code, *, control_id: str, at: str, fault: Fault | None = None
) -> bytes:
    """Return the acknowledgement as unframed bytes, segments ended by CR.

    Args:
        header: of the message answered; ``None``: best effort, MSA-2 stays empty.
        control_id: MSH-10 of the acknowledgement itself, at most 20 characters.
        at: MSH-7, ``20260102030405+0000``.
    """
    known = header or _NO_HEADER
    segments = [_msh(known, code, control_id, at), _msa(known, code, fault)]
    if fault is not None:
        segments.append(_err(known, fault))
    return b"".join(segment + b"\r" for segment in segments)


def best_effort(head: bytes, fault: Fault, *, control_id: str, at: str) -> bytes:
    """Return the AR (CR in enhanced mode) for a message of which perhaps only a part came."""
    header = read_header(head)
    code: Code = "CR" if header is not None and header.enhanced else "AR"
    return acknowledge(header, code, control_id=control_id, at=at, fault=fault)


def _msh(header: Header, code: Code, control_id: str, at: str) -> bytes:
    fields = {n: header.field(n) for n in (11, 12, 18)}
    fields |= {3: header.field(5), 4: header.field(6), 5: header.field(3), 6: header.field(4)}
    fields |= {7: at.encode(), 9: _type(header), 10: control_id.encode()}
    if not fields[12]:
        fields[12] = b"2.5"
    if header.enhanced:  # an acknowledgement asks for none itself
        fields |= {15: b"NE", 16: b"NE"}
    row = [fields.get(n, b"") for n in range(3, 19)]
    while not row[-1]:
        row.pop()
    stated = header.field(2) or header.encoding
    return header.separator.join([b"MSH", stated, *row])


def _type(header: Header) -> bytes:
    trigger = header.component(9, 2).encode("ascii", "replace")
    parts = [b"ACK", trigger, b"ACK"] if trigger else [b"ACK"]
    if header.version and header.version < (2, 3, 1):
        parts = parts[:2]
    return header.encoding[0:1].join(parts)


def _msa(header: Header, code: Code, fault: Fault | None) -> bytes:
    fields = [b"MSA", code.encode(), header.control_id]
    if fault is not None:
        fields.append(_text(header, fault.text))
    return header.separator.join(fields)


def _err(header: Header, fault: Fault) -> bytes:
    """ERR-1 (ELD) up to version 2.4, ERR-2, 3, 4, 8 from 2.5 on."""
    component = header.encoding[0:1]
    meaning = _text(header, ERROR_TEXTS[fault.code])
    coded = [fault.code.encode(), meaning, b"HL70357"]
    where = [part.encode() for part in fault.location]
    if header.version and header.version < (2, 5):
        places = [*where, b"", b"", b""][:3]
        eld = component.join([*places, header.encoding[3:4].join(coded)])
        return header.separator.join([b"ERR", eld])
    fields = [b"ERR", b"", component.join(where), component.join(coded), b"E", b"", b"", b""]
    return header.separator.join([*fields, _text(header, fault.text)])


def _text(header: Header, text: str) -> bytes:
    """Our own sentence, with whatever this message uses as a delimiter taken out."""
    made = text.encode("ascii", "replace")
    for delimiter in header.separator + header.encoding:
        made = made.replace(bytes([delimiter]), b" ")
    return made
