"""Messages as they really come: each row is one oddity and the value that must survive it."""

import pytest

from mappings.parse import NULL, Unparsable, parse, split_messages

MSH = r"MSH|^~\&|APP|FAC|TELLONCE|TH|20260101120000||ADT^A01^ADT_A01|C1|P|2.5.1"
PID = rf"PID|1||M1^^^HOSP&1.2.3&ISO^MR~X2^^^SSA^SS||Do\S\e^Ja\T\ne|{NULL}|19800102"
OBX = "OBX|1|ST|718-7^Hb^LN||%s|g/dL|||||F"


def message(*segments: str, end: str = "\r", msh: str = MSH) -> bytes:
    return (end.join([msh, *segments]) + end).encode()


def declared(charset: str) -> str:
    return MSH + "||||||" + charset


@pytest.mark.parametrize(
    ("data", "path", "value"),
    [
        pytest.param(message(PID), "PID-3", "M1", id="first component of the first repetition"),
        pytest.param(message(PID), "PID-3[2]", "X2", id="second repetition"),
        pytest.param(message(PID), "PID-3[1].4.2", "1.2.3", id="sub-component"),
        pytest.param(message(PID), "PID-3.4", "HOSP", id="a component is its first sub-component"),
        pytest.param(message(PID), "PID-5", "Do^e", id="escaped component separator"),
        pytest.param(message(PID), "PID-5.2", "Ja&ne", id="escaped sub-component separator"),
        pytest.param(message(PID), "PID-6", '""', id="explicit null"),
        pytest.param(message(PID), "PID-7", "19800102", id="field after a null"),
        pytest.param(message(PID), "PID-50", "", id="field past the end of the segment"),
        pytest.param(message(PID), "ZZZ-1", "", id="segment that was not sent"),
        pytest.param(
            message(OBX % r"a\F\b\R\c\E\d"),
            "OBX-5",
            "a|b~c\\d",
            id="escaped field, repetition, escape",
        ),
        pytest.param(message(OBX % r"a\X0D0A\b"), "OBX-5", "a\nb", id="hexadecimal line end"),
        pytest.param(message(OBX % r"\XC3BC\ber"), "OBX-5", "über", id="hexadecimal UTF-8"),
        pytest.param(message(OBX % r"a\.br\b\.sp2\c"), "OBX-5", "a\nb\n\nc", id="line breaks"),
        pytest.param(message(OBX % r"\H\HIGH\N\ 5"), "OBX-5", "HIGH 5", id="highlighting"),
        pytest.param(message(OBX % r"a\.in+4\b\.ti-2\c"), "OBX-5", "abc", id="indents"),
        pytest.param(message(OBX % r"a\.sk3\b"), "OBX-5", "a   b", id="skipped spaces"),
        pytest.param(message(OBX % r"C:\temp\new"), "OBX-5", r"C:\temp\new", id="lone backslashes"),
        pytest.param(message(OBX % r"a\Zx1\b"), "OBX-5", r"a\Zx1\b", id="local escape is kept"),
        pytest.param(message(OBX % r"a\C2842\b\M2444\c"), "OBX-5", "abc", id="charset switches"),
        pytest.param(
            message(
                "PID#1##M1@@@HOSP$1.2##DOE@JO?T?HN",
                msh="MSH#@!?$#APP#FAC#TELLONCE#TH#20260101##ADT@A01#C1#P#2.5.1",
            ),
            "PID-5.2",
            "JO$HN",
            id="other delimiters",
        ),
        pytest.param(
            message("PID|1||M#1^^^HOSP", msh=MSH.replace("^~\\&", "^~\\&#")),
            "PID-3",
            "M#1",
            id="truncation character of v2.7",
        ),
        pytest.param(
            message(OBX % r"a\P\b", msh=MSH.replace("^~\\&", "^~\\&#")),
            "OBX-5",
            "a#b",
            id="escaped truncation character",
        ),
        pytest.param(
            message(PID, msh=MSH.replace("^~\\&", "^~\\")), "PID-3[2]", "X2", id="three delimiters"
        ),
        pytest.param(
            message("PID|1||M1&2^^^HOSP", msh=MSH.replace("^~\\&", "^~\\\\&")),
            "PID-3",
            "M1",
            id="backslash written twice",
        ),
        pytest.param(message(PID, "PV1|1|I|W^1", end="\n"), "PV1-3.2", "1", id="LF"),
        pytest.param(message(PID, "PV1|1|I|W^1", end="\r\n"), "PV1-3.2", "1", id="CRLF"),
        pytest.param(message("", PID, "", "PV1|1|I|W"), "PV1-3", "W", id="blank lines"),
        pytest.param(
            message(PID, "ZPI|1|foo^bar", "PV1|1|I|W"), "PV1-3", "W", id="Z segment between"
        ),
        pytest.param(message(PID, "ZPI|1|foo^bar"), "ZPI-2.2", "bar", id="Z segment itself"),
        pytest.param(message("  " + PID), "PID-3", "M1", id="blanks before a segment"),
        pytest.param(b"\x0b" + message(PID) + b"\x1c\r", "PID-3", "M1", id="block characters"),
        pytest.param(b"\xef\xbb\xbf" + message(PID), "PID-3", "M1", id="byte order mark"),
        pytest.param(b"FHS|^~\\&\rBHS|^~\\&\r" + message(PID), "PID-3", "M1", id="batch header"),
        pytest.param(message(PID, "just words", "PV1|1|I|W"), "PV1-3", "W", id="junk line"),
        pytest.param(
            message(PID, "just words"), "PID-7", "19800102", id="junk line changes nothing"
        ),
        pytest.param(
            message("PID|1||M1||Doe^Jane\nMary||19800102"), "PID-7", "19800102", id="torn segment"
        ),
        pytest.param(
            message("OBX|1|FT|1^A||line one\nline two||||||F"),
            "OBX-5",
            "line one\nline two",
            id="line end inside a text",
        ),
        pytest.param(message("OBX|1|NM|1^A||5^6"), "OBX-5.2", "6", id="component in a number"),
        pytest.param(message("OBX|1||1^A||5"), "OBX-5", "5", id="no type"),
        pytest.param(message("NK1|1|A", "NK1|2|B"), "NK1[2]-2", "B", id="second segment"),
        pytest.param(message(msh=MSH), "MSH-1", "|", id="MSH-1"),
        pytest.param(message(msh=MSH), "MSH-2", "^~\\&", id="MSH-2"),
        pytest.param(message(msh=MSH), "MSH-9.2", "A01", id="MSH counts from its separator"),
        pytest.param(message("PID|1||M1||Núñez"), "PID-5", "Núñez", id="UTF-8, not declared"),
        pytest.param(
            f"{MSH}\rPID|1||M1||Núñez\r".encode("cp1252"),
            "PID-5",
            "Núñez",
            id="cp1252, not declared",
        ),
        pytest.param(
            f"{declared('8859/1')}\rPID|1||M1||Núñez\r".encode("latin-1"),
            "PID-5",
            "Núñez",
            id="8859/1",
        ),
        pytest.param(
            f"{declared('8859/2')}\rPID|1||M1||Łódź\r".encode("iso8859-2"),
            "PID-5",
            "Łódź",
            id="8859/2",
        ),
        pytest.param(
            f"{declared('UNICODE UTF-8')}\rPID|1||M1||Łódź\r".encode(), "PID-5", "Łódź", id="UTF-8"
        ),
        pytest.param(
            f"{declared('8859/1~8859/2')}\rPID|1||M1||Núñez\r".encode("latin-1"),
            "PID-5",
            "Núñez",
            id="the first of several",
        ),
        pytest.param(
            f"{declared('UNICODE UTF-8')}\rPID|1||M1||Núñez\r".encode("cp1252"),
            "PID-5",
            "Núñez",
            id="declared UTF-8, sent cp1252",
        ),
        pytest.param(
            f"{MSH}\rPID|1||M1||Łódź\r".encode("utf-16"), "PID-5", "Łódź", id="UTF-16 with its mark"
        ),
        pytest.param(
            f"{declared('UNICODE UTF-16')}\rPID|1||M1||Łódź\r".encode("utf-16-le"),
            "PID-5",
            "Łódź",
            id="UTF-16 without",
        ),
        pytest.param(
            f"{declared('GB 18030-2000')}\rPID|1||M1||王\r".encode("gb18030"),
            "PID-5",
            "王",
            id="GB 18030",
        ),
    ],
)
def test_a_value_survives(data: bytes, path: str, value: str) -> None:
    assert parse(data).get(path) == value


@pytest.mark.parametrize(
    ("nine", "evn", "type_"),
    [
        ("ADT^A01^ADT_A01", "", "ADT^A01"),
        ("ADT^A04", "", "ADT^A04"),
        ("ADT", "A08", "ADT^A08"),
        ("ADT_A03", "", "ADT^A03"),
        ("ADT^^ADT_A05", "", "ADT^A05"),
        ("^^ORU_R01", "", "ORU^R01"),
        ("ORU", "", "ORU^R01"),
        ("ADT", "", "ADT"),
        ("ZZZ^Z99", "", "ZZZ^Z99"),
        ("", "", ""),
    ],
)
def test_the_type_is_found_where_the_sender_put_it(nine: str, evn: str, type_: str) -> None:
    data = message(f"EVN|{evn}|2026", msh=rf"MSH|^~\&|A|B|C|D|2026||{nine}|C1|P|2.3")
    assert parse(data).type == type_


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "there are no bytes"),
        (b"\x0b\x1c\r", "there is no MSH segment"),
        (b"PID|1||M1\r", "there is no MSH segment"),
        (b"MSH", "MSH does not declare a field separator"),
        (b"MSHA^~", "MSH does not declare a field separator"),
        (b"MSH|^^^^|A\r", "MSH declares one character for two delimiters"),
        (
            message(PID) + message(PID),
            "there are two MSH segments: this is a batch, split it first",
        ),
    ],
)
def test_what_is_no_message_is_refused_with_its_reason(data: bytes, reason: str) -> None:
    with pytest.raises(Unparsable) as refused:
        parse(data)
    assert refused.value.reason == reason


@pytest.mark.parametrize(
    ("data", "codes"),
    [
        (message(PID), []),
        (message(PID, "just words"), ["junk"]),
        (message("OBX|1|FT|1||one\ntwo||||||F"), ["continuation"]),
        (b"some words\r" + message(PID), ["junk"]),
        (message(PID, msh=MSH.replace("^~\\&", "^~\\")), ["delimiters"]),
        (f"{MSH}\rPID|1||M1||Núñez\r".encode("cp1252"), ["charset"]),
        (message(OBX % r"\C2842\x"), ["charset-switch"]),
    ],
)
def test_what_looks_wrong_is_a_diagnostic(data: bytes, codes: list[str]) -> None:
    assert [found.code for found in parse(data).diagnostics] == codes


@pytest.mark.parametrize(
    ("path", "raw"),
    [
        ("PID-3", b"M1^^^HOSP&1.2.3&ISO^MR~X2^^^SSA^SS"),
        ("PID-3[2]", b"X2^^^SSA^SS"),
        ("PID-3[1].4.2", b"1.2.3"),
        ("PID-7", b"19800102"),
        ("MSH-1", b"|"),
        ("MSH-2", b"^~\\&"),
        ("MSH-10", b"C1"),
        ("ZPI-1", "Ł2".encode()),
    ],
)
def test_every_value_knows_its_bytes(path: str, raw: bytes) -> None:
    data = b"\xef\xbb\xbf" + message("EVN|Łódź", PID, "ZPI|Ł2")
    span = parse(data).span(path)
    assert span is not None
    assert data[slice(*span)] == raw


def test_a_value_that_was_not_sent_has_no_bytes() -> None:
    assert parse(message(PID)).span("PID-3[3]") is None
    assert parse(message(PID)).span("PV1-3") is None


def test_a_batch_is_split_into_its_messages() -> None:
    batch = b"FHS|^~\\&\rBHS|^~\\&\r" + message(PID) + message("PID|1||M2") + b"BTS|2\rFTS|1\r"
    parts = split_messages(batch)
    assert [parse(part).get("PID-3") for part in parts] == ["M1", "M2"]
    assert [len(parse(part).segments) for part in parts] == [2, 2]


def test_a_path_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="is not a field path"):
        parse(message(PID)).get("PID.3")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (message(*["ZZZ|"] * 100_001), "it has 100002 lines, more than the limit of 100000"),
        (
            message("PID|1||" + "~" * 100_001),
            "it has 100002 repetitions, more than the limit of 100000",
        ),
        (message("PID" + "|" * 2_000_001), "it has 2000016 values, more than the limit of 2000000"),
    ],
)
def test_a_message_above_a_limit_is_refused_with_the_limit(data: bytes, reason: str) -> None:
    with pytest.raises(Unparsable) as refused:
        parse(data)
    assert refused.value.reason == reason


def test_a_thousand_odd_lines_are_told_of_in_a_hundred() -> None:
    found = parse(message(*["just words"] * 1000)).diagnostics
    assert len(found) == 100
    assert found[-1].text == "1000 lines look wrong"


def test_bytes_without_a_message_split_into_nothing() -> None:
    assert split_messages(b"hello") == []
