"""``when`` in the guide's words, asked about one message."""

import pytest

from mappings.conditions import ConditionError, condition
from mappings.feed import Feed
from mappings.parse import parse
from mappings.source import Run, Scope

MESSAGE = rb"""MSH|^~\&|A|B|C|D|2026||ADT^A01|1|P|2.5.1
PID|1||M1^^^H~M2^^^H||Doe^Jane||19850315103000|F|||||""
PV1|1|I|W^1||^^^H|^^^^C
AL1|1|^^HL70127|^Latex~X|^
NK1|1|^Ann
GT1|1|^^^H||^^^^""|5|^PRN^PH^^^5551
OBX|1|SN|X||<>^5
""".replace(b"\n", b"\r")


def holds(text: str) -> bool:
    run = Run(parse(MESSAGE), Feed("test", unidentified="create"), {})
    scope = Scope(run, run.message.first("PV1"), run.root)
    return condition(text, [])(scope)


@pytest.mark.parametrize(
    "text",
    [
        "PV1-2 valued",
        "PV1-44 not valued",
        "IF PV1-2 IS VALUED AND PV1-44 IS NOT VALUED",
        "PV1-2 = I",
        'PV1-2 EQUALS "I"',
        "PV1-2 IS 'I'",
        'PV1-2 IS NOT "O"',
        "PV1-2 NOT EQUALS O",
        "PV1-2 != O",
        "PV1-2 in (I, E)",
        'PV1-2 IS IN ("I", "E")',
        "PV1-2 not in (O, P)",
        "not (PV1-2 = O or PV1-2 = P)",
        "PV1-2 = O or PV1-3.2 = 1",
        "PV1-2 = O and PV1-2 = I or PV1-2 = I",
        "PID-3 count = 2",
        "PID-3 COUNT>1",
        "PID-3 LST.count GREATER THAN 1",
        "PID-3 LST.count LESS THAN OR EQUALS 2",
        "PID-7 length greater than 8",
        "PID-13 not valued",
        "PID-13 is empty",
        "IN1 not valued",
        "AL1-3 valued",
        "AL1-3 = X",
        "AL1-3.1 valued",
        "AL1-2 not valued",
        "AL1-4 not valued",
        "NK1-2 valued",
        "NK1-2.1 not valued",
        "GT1-2 not valued",
        "GT1-4 not valued",
        "GT1-6 valued",
        "PV1-5 not valued",
        "PV1-6 valued",
        "PV1 valued",
        'OBX-2 EQUALS "SN" AND OBX-5.1 = "<>"',
        "event in (A01, A04)",
        "unidentified = create",
    ],
)
def test_it_holds(text: str) -> None:
    assert holds(text)
    assert not holds(f"not ({text})")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "the condition is empty"),
        ("PV1-2", "ends where a value should be"),
        ("PV1-2 valued and", "ends where a field should be"),
        ("(PV1-2 valued", "a bracket is not closed"),
        ("PV1-2 valued)", "unexpected ')'"),
        ("PV1-2 in I", "'in' needs a list in brackets"),
        ("PV1-2 in (I", "a bracket is not closed"),
        ("PID-3 count > many", "'many' is not a number"),
        ("PID-3 count about 2", "'about' is not a comparison"),
        ("PV9-2 valued", "there is no segment PV9"),
        ("PV1-99 valued", "PV1 has 54 fields"),
        ("patient valued", "'patient' is not a field path"),
        ("PV1 = I", "a segment is 'valued' or 'not valued'"),
    ],
)
def test_what_makes_no_sense_is_named(text: str, told: str) -> None:
    with pytest.raises(ConditionError) as refused:
        condition(text, [])
    assert told in str(refused.value)
