"""MLLP framing: what a stream of bytes holds, however it is cut into reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.feeds.framing import HEAD_BYTES, Frame, Framer, TooLarge, frame

A = b"MSH|^~\\&|A"
B = b"MSH|^~\\&|B\rPID|1"


def frames(stream: bytes, **options: int) -> list[Frame | TooLarge]:
    return Framer(**options).feed(stream)


def test_one_frame_in_one_read() -> None:
    assert frames(frame(A)) == [Frame(A)]


def test_many_frames_in_one_read() -> None:
    assert frames(frame(A) + frame(B) + frame(A)) == [Frame(A), Frame(B), Frame(A)]


def test_a_frame_in_single_bytes() -> None:
    framer = Framer()
    made = [found for byte in frame(B) for found in framer.feed(bytes([byte]))]
    assert made == [Frame(B)]


def test_bytes_outside_frames_are_skipped_and_counted() -> None:
    framer = Framer()
    assert framer.feed(b"junk" + frame(A) + b"xy\r\n" + frame(B)) == [Frame(A), Frame(B)]
    assert framer.skipped == 6


def test_line_ends_between_frames_are_no_junk() -> None:
    framer = Framer()
    framer.feed(b"\r\n" + frame(A) + b"\n" + frame(A))
    assert framer.skipped == 0


def test_a_nested_vt_starts_the_frame_anew() -> None:
    framer = Framer()
    assert framer.feed(b"\x0bhalf" + frame(A)) == [Frame(A)]
    assert framer.restarts == 1


def test_several_nested_vts_leave_the_last_one() -> None:
    framer = Framer()
    assert framer.feed(b"\x0ba\x0bb\x0bc\x1c\r") == [Frame(b"c")]
    assert framer.restarts == 2


def test_fs_without_cr_is_complete_when_flushed() -> None:
    framer = Framer()
    assert framer.feed(b"\x0bA\x1c") == []
    assert framer.ending
    assert framer.flush() == Frame(b"A")
    assert framer.flush() is None
    assert not framer.inside


@pytest.mark.parametrize("end", [b"\x1c\r", b"\x1c\n", b"\x1c\r\n"])
def test_the_ends_that_senders_use(end: bytes) -> None:
    assert frames(b"\x0bA" + end + frame(B)) == [Frame(b"A"), Frame(B)]


def test_fs_and_then_the_next_vt_ends_a_frame() -> None:
    assert frames(b"\x0bA\x1c\x0bB\x1c\r") == [Frame(b"A"), Frame(b"B")]


def test_fs_before_any_other_byte_belongs_to_the_message() -> None:
    assert frames(b"\x0bA\x1cB\x1c\x1c\r") == [Frame(b"A\x1cB\x1c")]


def test_an_empty_frame_is_a_frame() -> None:
    assert frames(frame(b"")) == [Frame(b"")]


def test_a_message_of_exactly_the_limit_is_kept() -> None:
    assert frames(frame(b"x" * 10), max_bytes=10) == [Frame(b"x" * 10)]


def test_a_message_above_the_limit_leaves_its_head_and_the_next_one_is_read() -> None:
    made = frames(frame(b"y" * 11) + frame(A), max_bytes=10)
    assert made == [TooLarge(b"y" * 11, 11), Frame(A)]


def test_of_a_huge_message_only_the_head_is_kept() -> None:
    framer = Framer(max_bytes=10_000)
    framer.feed(b"\x0b")
    for _ in range(100):
        assert framer.feed(b"z" * 1000) == []
    assert framer.feed(b"\x1c\r") == [TooLarge(b"z" * HEAD_BYTES, 100_000)]


def test_an_unfinished_frame_shows_its_head() -> None:
    framer = Framer()
    assert framer.feed(b"\x0bMSH|") == []
    assert framer.inside
    assert framer.head == b"MSH|"


ODD = st.sampled_from([b"\x0b", b"\x1c", b"\r", b"\n", b"A", b"MSH|", b"\x1c\r", b"\x0bx\x1c\r"])


@given(st.lists(ODD, max_size=40), st.lists(st.integers(1, 9), min_size=1), st.integers(0, 8))
def test_any_chunking_gives_the_same_frames(
    parts: list[bytes], sizes: list[int], max_bytes: int
) -> None:
    stream = b"".join(parts)
    whole, cut = Framer(max_bytes), Framer(max_bytes)
    wanted = whole.feed(stream)
    made: list[Frame | TooLarge] = []
    at = 0
    while at < len(stream):
        for size in sizes:
            made += cut.feed(stream[at : at + size])
            at += size
    assert made == wanted
    assert (cut.skipped, cut.restarts) == (whole.skipped, whole.restarts)
    assert (cut.inside, cut.ending, cut.head) == (whole.inside, whole.ending, whole.head)


@given(st.lists(st.binary(max_size=30), max_size=10))
def test_every_message_without_control_bytes_arrives_whole(messages: list[bytes]) -> None:
    sent = [m.replace(b"\x0b", b"").replace(b"\x1c", b"") for m in messages]
    assert frames(b"".join(frame(m) for m in sent)) == [Frame(m) for m in sent]
