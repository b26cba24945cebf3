"""The file that says which senders are which feed."""

from ipaddress import ip_network
from pathlib import Path

import pytest

from mappings.maps import MapError
from server.feeds.wiring import Peer, PortLine, Wire, Wiring, read_wiring

FILE = """\
ports:
  - {port: 2576, feed: lab, host: 127.0.0.1, idle_s: 60}
feeds:
  lab:
    senders: [LAB^HOSP, COAG]
    certificates: lab.h.example
    addresses: [10.1.0.0/16, "2001:db8::/32", 192.0.2.7]
    folder: drop/lab
    batch: errors
    acknowledge: original
    ack_timeout_s: 5
    note: the big analyser
  adt: {senders: REG}
"""


def write(folder: Path, text: str) -> Path:
    file = folder / "feeds.yaml"
    file.write_text(text)
    return file


def test_the_file_is_read(tmp_path: Path) -> None:
    assert read_wiring(write(tmp_path, FILE)) == Wiring(
        {
            "lab": Wire(
                senders=frozenset([("LAB", "HOSP"), ("COAG", "")]),
                certificates=frozenset(["lab.h.example"]),
                addresses=tuple(map(ip_network, ("10.1.0.0/16", "2001:db8::/32", "192.0.2.7"))),
                folder=tmp_path / "drop/lab",
                batch="errors",
                acknowledge="original",
                ack_timeout_s=5.0,
            ),
            "adt": Wire(senders=frozenset([("REG", "")])),
        },
        (PortLine(2576, "lab", "127.0.0.1", idle_s=60.0),),
    )


WRONG = [
    ("feeds:\n  lab: {sender: X}\n", "feeds.yaml:2: there is no key 'sender' here"),
    ("feeds:\n  lab:\n    batch: some\n", "feeds.yaml:3: batch: one of all, errors, each, none"),
    ("feeds:\n  lab: {addresses: [10.0.0.300]}\n", "feeds.yaml:2: addresses: '10.0.0.300' does"),
    ("feeds:\n  lab: {addresses: [10.0.0.1/8]}\n", "feeds.yaml:2: addresses: 10.0.0.1/8 has host"),
    ("feeds:\n  lab: {poll_s: never}\n", "feeds.yaml:2: poll_s: could not convert"),
    ("feeds:\n  lab: {settle_s: -1}\n", "feeds.yaml:2: settle_s: seconds, above 0"),
    ("feeds: {a: {senders: X}, b: {senders: X}}\n", "feeds.yaml: senders X^ is of a and of b"),
    ("feeds: [a]\n", "feeds.yaml:1: `feeds` holds a name"),
    ("feeds: {a: b}\n", "feeds.yaml:1: feed a has keys"),
    ("ports: 2575\n", "feeds.yaml:1: `ports` is a list"),
    ("ports: [{feed: a}]\n", "feeds.yaml:1: a port has the key `port`"),
    ("ports: [{port: 99999}]\n", "feeds.yaml:1: port: a number up to 65535"),
    ("maps: x\n", "feeds.yaml:1: there is no key 'maps' here"),
    ("- a\n", "feeds.yaml:1: the file has the keys `feeds` and `ports`"),
    ("a: [\n", "feeds.yaml:2: "),
]


@pytest.mark.parametrize(("text", "problem"), WRONG)
def test_a_fault_is_told_with_its_line(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(MapError) as refused:
        read_wiring(write(tmp_path, text))
    assert refused.value.problems[0].startswith(problem)


WIRING = Wiring(
    {
        "lab": Wire(
            senders=frozenset([("LAB", "A"), ("COAG", "")]),
            certificates=frozenset(["lab.h.example"]),
        ),
        "adt": Wire(addresses=(ip_network("10.1.0.0/16"),)),
    }
)
LAB = Peer("192.0.2.1", frozenset(["lab.h.example", "other"]))


def test_a_certificate_names_its_feed_and_keeps_others_out_of_it() -> None:
    assert WIRING.certified(LAB) == "lab"
    assert WIRING.certified(Peer("192.0.2.1", frozenset(["adt.h.example"]))) is None
    assert WIRING.allows("lab", LAB)
    assert not WIRING.allows("lab", Peer("192.0.2.1"))


def test_a_sender_is_found_by_both_names_or_by_the_first() -> None:
    assert WIRING.sender("LAB", "A") == "lab"
    assert WIRING.sender("LAB", "B") is None
    assert WIRING.sender("COAG", "B") == "lab"


@pytest.mark.parametrize(
    ("address", "allowed"),
    [("10.1.2.3", True), ("::ffff:10.1.2.3", True), ("10.2.0.1", False), ("", False)],
)
def test_only_listed_addresses_may_send(address: str, allowed: bool) -> None:
    assert WIRING.allows("adt", Peer(address)) is allowed
    assert WIRING.allows("unknown", Peer(address))


def test_who_can_send_nothing_is_not_listened_to() -> None:
    assert WIRING.admits("adt", Peer("10.1.2.3"))
    assert WIRING.admits("adt", LAB)
    assert not WIRING.admits("adt", Peer("192.0.2.1"))
