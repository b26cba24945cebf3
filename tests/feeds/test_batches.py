"""Files and frames of many messages: any chunking gives the same parts."""

import pytest

from server.feeds.batches import Line, Part, Reply, Splitter
from server.feeds.framing import TooLarge

A = b"MSH|^~\\&|A|H|||1||ADT^A01|1|P|2.5\rPID|1\r"
B = b"MSH|^~\\&|A|H|||1||ADT^A01|2|P|2.5\rPID|2\rNTE|1||MSH|~^\\&|quoted\r"
FHS = b"FHS|^~\\&|A|H|T|M|1||file||F1\r"
BHS = b"BHS|^~\\&|A|H|T|M|1||batch||B1\r"


def parts(data: bytes, chunk: int, max_bytes: int = 1000) -> list[Part]:
    splitter = Splitter(max_bytes)
    made: list[Part] = []
    for at in range(0, len(data), chunk):
        made += splitter.feed(data[at : at + chunk])
    return made + splitter.finish()


def told(found: list[Part]) -> list[bytes]:
    return [part.name if isinstance(part, Line) else bytes(part) for part in found]  # type: ignore[arg-type]


WHOLE = [
    ("bare", A + B, [A, B]),
    ("one", A, [A]),
    ("no end of line", A[:-1], [A]),
    ("nothing", b"", []),
    ("blank", b"\r\n\r\n", []),
    ("lines of LF", (A + B).replace(b"\r", b"\n"), [A.replace(b"\r", b"\n")[:-1] + b"\r",
                                                    B.replace(b"\r", b"\n")[:-1] + b"\r"]),
    ("file and batch", FHS + BHS + A + B + b"BTS|2\rFTS|1\r",
     [b"FHS", b"BHS", A, B, b"BTS", b"FTS"]),
    ("batches", BHS + A + b"BTS|1\r" + BHS + B + b"BTS|1\r",
     [b"BHS", A, b"BTS", b"BHS", B, b"BTS"]),
    ("other delimiters in the next batch",
     BHS + A + b"BTS|1\r" + BHS + b"MSH#*~\\&#X\rPID#1\r" + b"MSH#*~\\&#Y\r",
     [b"BHS", A, b"BTS", b"BHS", b"MSH#*~\\&#X\rPID#1\r", b"MSH#*~\\&#Y\r"]),
    ("framed as on a socket", b"\x0b" + A + b"\x1c\r\x0b" + B + b"\x1c\r", [A, B]),
    ("junk alone", b"no message at all", [b"no message at all\r"]),
    ("junk before", b"junk\r" + A + B, [b"junk\r" + A, B]),
    ("byte order mark", b"\xef\xbb\xbf" + A + B, [A, B]),
    ("a segment that cannot be read", b"MSH\r" + A, [b"MSH\r", A]),
]  # fmt: skip


@pytest.mark.parametrize("chunk", [1, 7, 64, 100_000])
@pytest.mark.parametrize(("data", "expected"), [w[1:] for w in WHOLE], ids=[w[0] for w in WHOLE])
def test_any_chunking_gives_the_same_parts(data: bytes, expected: list[bytes], chunk: int) -> None:
    assert told(parts(data, chunk)) == expected


@pytest.mark.parametrize("chunk", [50, 100_000])
@pytest.mark.parametrize("filling", [b"x" * 3000, b"OBX|1\r" * 500], ids=["a line", "lines"])
def test_a_message_that_is_too_large_costs_only_itself(filling: bytes, chunk: int) -> None:
    large = A + filling + b"\r"
    first, second, third = parts(A + large + B, chunk)
    assert (first, third) == (A, B)
    assert isinstance(second, TooLarge)
    assert second.head.startswith(A)
    assert len(large) - 2 <= second.size <= len(large)


def test_megabytes_without_a_line_are_not_kept() -> None:
    splitter = Splitter(1000)
    for _ in range(200):
        splitter.feed(b"\0" * 100_000)
    assert len(splitter._kept) < 200_000
    (found,) = splitter.finish()
    assert isinstance(found, TooLarge)
    assert found.size >= 19_900_000


def test_the_answer_to_a_file_is_a_file() -> None:
    reply = Reply(control_id="R1", at="20260102")
    made = b""
    for part in parts(FHS + BHS + A + B + b"BTS|2\r" + BHS + A + b"BTS|1\rFTS|2\r", 64):
        made += reply.line(part) if isinstance(part, Line) else reply.answer(b"MSH|..\rMSA|AA\r")
    assert (made + reply.end()).split(b"\r") == [
        b"FHS|^~\\&|T|M|A|H|20260102||||R1|F1",
        b"BHS|^~\\&|T|M|A|H|20260102||||R1|B1",
        *[b"MSH|..", b"MSA|AA"] * 2,
        b"BTS|2",
        b"BHS|^~\\&|T|M|A|H|20260102||||R1|B1",
        *[b"MSH|..", b"MSA|AA"],
        b"BTS|1",
        b"FTS|2",
        b"",
    ]


def test_trailers_that_never_came_are_made() -> None:
    reply = Reply(control_id="R1", at="20260102")
    batch, message = parts(BHS + A, 64)
    assert isinstance(batch, Line)
    assert isinstance(message, bytes)
    made = reply.line(batch) + reply.answer(message) + reply.end()
    assert made.endswith(A + b"BTS|1\r")
