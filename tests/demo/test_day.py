from collections import Counter
from hashlib import sha256

from server.demo.day import DemoMessage, messages
from server.demo.hospital import SYSTEMS
from server.demo.patients import SHOWN, patients


def text(message: DemoMessage) -> str:
    return message.content.decode(SYSTEMS[message.source].codec)


def test_the_day_is_the_same_every_time() -> None:
    first = sha256(b"".join(message.content for message in messages())).hexdigest()
    assert sha256(b"".join(message.content for message in messages())).hexdigest() == first


def test_a_whole_hospital_speaks() -> None:
    day = messages()
    assert len(day) == 159
    assert len({message.patient for message in day} - {None}) == 42
    assert {message.source for message in day} == set(SYSTEMS)
    assert {message.department for message in day} == {
        "REG",
        "EMER",
        "MED3",
        "SURG",
        "MATY",
        "OUTP",
        "RAD",
    }


def test_the_day_has_every_kind_of_message_that_old_systems_send() -> None:
    kinds = Counter(message.kind for message in messages())
    assert kinds == {
        "ORU^R01": 72,
        "ADT^A03": 28,
        "ADT^A04": 25,
        "ADT^A01": 12,
        "ADT^A05": 7,
        "ADT^A28": 7,
        "ADT^A31": 4,
        "ADT^A08": 3,
        "": 1,
    }


def test_messages_come_in_the_order_of_time_from_each_system() -> None:
    day = messages()
    assert [m.time for m in day] == sorted(m.time for m in day)
    ids = [text(m).split("|")[9] for m in day if m.kind]
    assert len(set(ids)) == len(ids)


def test_exactly_two_messages_are_meant_for_quarantine() -> None:
    wrong = [m for m in messages() if m.expected == "quarantined"]
    assert [(m.source, m.kind, m.patient) for m in wrong] == [
        ("WARDNET", "ORU^R01", None),
        ("RADIS", "", None),
    ]


def test_the_day_has_the_quirks_of_real_interfaces() -> None:
    day = messages()
    everything = "\n".join(text(m) for m in day)
    assert {text(m).split("|")[11] for m in day if m.kind} == {"2.3", "2.5.1", "2.7"}
    assert '|""' in everything  # a telephone number that is deleted
    assert "\\T\\" in everything
    assert "\\F\\" in everything
    assert "\\.br\\" in everything
    assert "花子" in everything
    assert any(b"M\xfcller" in m.content for m in day)  # Latin-1 on the wire
    assert any(b"\r\n" in m.content for m in day)


def test_one_result_is_preliminary_then_final_then_corrected() -> None:
    troponin = [
        text(m) for m in messages() if m.patient == SHOWN and b"OBX|1|NM|89579-7" in m.content
    ]
    observed = [next(s for s in t.split("\r") if s.startswith("OBX")) for t in troponin]
    assert [(o.split("|")[5], o.split("|")[11]) for o in observed] == [
        ("48", "P"),
        ("312", "F"),
        ("132", "C"),
    ]
    orders = {next(s for s in t.split("\r") if s.startswith("OBR")).split("|")[3] for t in troponin}
    assert len(orders) == 1


def test_a_late_update_says_an_earlier_time_than_the_correction_before_it() -> None:
    updates = [text(m) for m in messages() if m.patient == SHOWN and m.kind == "ADT^A08"]
    assert ["Neugasse" in update for update in updates] == [True, False]
    recorded = [update.split("EVN|A08|")[1][:14] for update in updates]
    assert recorded == ["20260316103000", "20260316100000"]


def test_patients_have_distinct_numbers_and_names_of_many_scripts() -> None:
    people = patients().values()
    assert len({p.mrn for p in people}) == len({p.insurance_number for p in people}) == 42
    assert [p.family for p in people if p.number in (2, 25, 26, 27, 29, 31)] == [
        "Müller",
        "Nguyễn",
        "Παπαδόπουλος",
        "Соколова",
        "田中",
        "حداد",
    ]
