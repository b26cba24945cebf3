"""Acknowledgements, byte for byte, and when they are asked for."""

import pytest

from server.feeds.ack import (
    NO_HEADER,
    Code,
    Fault,
    acknowledge,
    best_effort,
    fault_of,
    wants_accept,
    wants_application,
)
from server.feeds.header import Header, read_header, split_messages

AT = "20260102030405+0000"


def header(msh: bytes) -> Header:
    found = read_header(msh)
    assert found is not None
    return found


def ack(msh: bytes, code: Code, fault: Fault | None = None) -> bytes:
    return acknowledge(header(msh), code, control_id="T1", at=AT, fault=fault)


ADT = b"MSH|^~\\&|REG|HOSP|TELL|MAIN|20260102||ADT^A04^ADT_A01|MSG 1|P|2.5.1"


def test_aa_swaps_sender_and_receiver_and_echoes_the_control_id() -> None:
    assert ack(ADT, "AA") == (
        b"MSH|^~\\&|TELL|MAIN|REG|HOSP|20260102030405+0000||ACK^A04^ACK|T1|P|2.5.1\rMSA|AA|MSG 1\r"
    )


def test_odd_delimiters_are_echoed() -> None:
    assert ack(b"MSH*:~\\+*REG*HOSP*TELL*MAIN*1**ADT:A01*9*P*2.5", "AA") == (
        b"MSH*:~\\+*TELL*MAIN*REG*HOSP*20260102030405+0000**ACK:A01:ACK*T1*P*2.5\rMSA*AA*9\r"
    )


def test_the_character_set_and_the_truncation_character_are_echoed() -> None:
    sent = b"MSH|^~\\&#|R|H|T|M|1||ADT^A01|9|T|2.7||||||UNICODE UTF-8"
    assert ack(sent, "AA") == (
        b"MSH|^~\\&#|T|M|R|H|20260102030405+0000||ACK^A01^ACK|T1|T|2.7||||||UNICODE UTF-8\r"
        b"MSA|AA|9\r"
    )


def test_the_control_id_is_returned_byte_for_byte() -> None:
    sent = b"MSH|^~\\&|R|H|T|M|1||ADT^A01|\xe4\\T\\^x |P|2.5"
    assert ack(sent, "AA").endswith(b"MSA|AA|\xe4\\T\\^x \r")


def test_err_from_version_2_5_on() -> None:
    made = ack(ADT, "AE", fault_of("patient-unidentified"))
    assert made.split(b"\r")[1:] == [
        b"MSA|AE|MSG 1|no patient identifier",
        b"ERR||PID^1^3|101^Required field missing^HL70357|E||||no patient identifier",
        b"",
    ]


def test_err_before_version_2_5() -> None:
    made = ack(ADT.replace(b"2.5.1", b"2.3"), "AE", fault_of("unsupported-message"))
    assert b"ACK^A04|" in made
    assert made.split(b"\r")[2] == b"ERR|MSH^1^9^200&Unsupported message type&HL70357"


def test_our_own_text_never_holds_a_delimiter_of_the_message() -> None:
    sent = ADT.replace(b"|", b",")
    assert b"MSA,AE,MSG 1,birth date  name or sex disagree\r" in ack(
        sent, "AE", fault_of("patient-overlay")
    )


def test_without_an_msh_the_answer_is_a_best_effort() -> None:
    assert best_effort(b"PID|1||77^^^H", NO_HEADER, control_id="T1", at=AT) == (
        b"MSH|^~\\&|||||20260102030405+0000||ACK|T1||2.5\r"
        b"MSA|AR||the message does not begin with an MSH segment\r"
        b"ERR||MSH^1|100^Segment sequence error^HL70357|E||||"
        b"the message does not begin with an MSH segment\r"
    )


def test_a_cut_msh_still_gives_its_control_id() -> None:
    made = best_effort(ADT + b"|||AL|NE", NO_HEADER, control_id="T1", at=AT)
    assert b"MSA|CR|MSG 1|" in made


@pytest.mark.parametrize(
    ("accept", "application", "sent"),
    [
        ("", "", {"AA", "AE", "AR"}),
        ("AL", "NE", {"CA", "CE", "CR"}),
        ("AL", "", {"CA", "CE", "CR"}),
        ("", "AL", {"AA", "AE", "AR"}),
        ("AL", "AL", {"CA", "CE", "CR", "AA", "AE", "AR"}),
        ("ER", "SU", {"CE", "CR", "AA"}),
        ("SU", "ER", {"CA", "AE", "AR"}),
        ("NE", "NE", set()),
    ],
)
def test_which_answers_msh_15_and_16_ask_for(accept: str, application: str, sent: set[str]) -> None:
    asked = header(ADT + f"|||{accept}|{application}".encode())
    accepts: list[Code] = ["CA", "CE", "CR"]
    applications: list[Code] = ["AA", "AE", "AR"]
    made = {code for code in accepts if wants_accept(asked, code)}
    assert made | {code for code in applications if wants_application(asked, code)} == sent


def test_an_acknowledgement_in_enhanced_mode_asks_for_none() -> None:
    assert b"|2.5.1|||NE|NE\r" in ack(ADT + b"|||AL|AL", "CA")


@pytest.mark.parametrize("body", [b"", b"MSH", b"PID|1", b"MSHA", b"MSH\r", b"\x00\x01\x02"])
def test_what_is_no_header(body: bytes) -> None:
    assert read_header(body) is None


def test_junk_lines_before_msh_are_passed_over() -> None:
    assert header(b"hello\r\n" + ADT).control_id == b"MSG 1"


def test_blanks_a_byte_order_mark_and_batch_headers_before_msh_are_passed_over() -> None:
    assert header(b"\xef\xbb\xbf\r\n" + ADT).control_id == b"MSG 1"
    assert header(b"FHS|^~\\&\rBHS|^~\\&\r" + ADT).control_id == b"MSG 1"


def test_an_empty_msh_2_is_read_with_the_recommended_characters() -> None:
    assert header(b"MSH||REG||||||ADT^A01|1").message_type == "ADT^A01"


def test_a_batch_is_its_messages() -> None:
    batch = b"FHS|^~\\&\rBHS|^~\\&\r" + ADT + b"\rPID|1\r" + ADT + b"\rPID|2\rBTS|2\rFTS|1\r"
    assert split_messages(batch) == [ADT + b"\rPID|1\r", ADT + b"\rPID|2\r"]


def test_msh_inside_a_value_begins_no_message() -> None:
    body = ADT + b"\rOBX|1|TX|||MSH|^~\\&|x\rMSH line of text"
    assert split_messages(body) == [body]
