"""Which segment belongs to which, written as nested names."""

import pytest

from mappings.parse import parse
from mappings.structure import Group, group


def tree(names: str, type_: str) -> str:
    lines = [rf"MSH|^~\&|A|B|C|D|2026||{type_}|1|P|2.5.1"]
    lines += [f"{name}|{n}" for n, name in enumerate(names.split(), start=1)]
    return shown(group(parse("\r".join(lines).encode()))).removeprefix("MSH ")


def shown(group_: Group) -> str:
    own = [segment.name for segment in group_.segments]
    return " ".join([*own, *(f"({shown(inner)})" for inner in group_.groups)])


@pytest.mark.parametrize(
    ("sent", "grouped"),
    [
        ("PID OBR OBX OBX", "((PID) (OBR (OBX) (OBX)))"),
        ("PID PV1 ORC OBR NTE OBX NTE NTE OBX", "((PID (PV1)) (ORC OBR NTE (OBX NTE NTE) (OBX)))"),
        ("PID NTE OBR OBX", "((PID NTE) (OBR (OBX)))"),
        ("PID OBR OBX OBR OBX", "((PID) (OBR (OBX)) (OBR (OBX)))"),
        ("PID ORC OBR OBX ORC OBR OBX", "((PID) (ORC OBR (OBX)) (ORC OBR (OBX)))"),
        ("PID OBR OBX SPM OBX", "((PID) (OBR (OBX) (SPM (OBX))))"),
        ("PID OBR OBX SPM OBR OBX", "((PID) (OBR (OBX) (SPM)) (OBR (OBX)))"),
        ("PID OBR OBX PID OBR OBX", "((PID) (OBR (OBX))) ((PID) (OBR (OBX)))"),
        ("OBR OBX", "((OBR (OBX)))"),
        ("PID OBX", "((PID (OBX)))"),
        ("PID PV1 NTE OBR OBX", "((PID NTE (PV1)) (OBR (OBX)))"),
        ("PID OBR ZAB OBX ZCD NTE", "((PID) (OBR ZAB (OBX ZCD NTE)))"),
        ("PID OBR OBX PV1", "((PID (PV1)) (OBR (OBX)))"),
        ("PID PD1 NK1 NK1 PV1 PV2 OBR", "((PID PD1 NK1 NK1 (PV1 PV2)) (OBR))"),
    ],
)
def test_results_stand_with_their_order(sent: str, grouped: str) -> None:
    assert tree(sent, "ORU^R01") == grouped


@pytest.mark.parametrize(
    ("sent", "grouped"),
    [
        ("EVN PID NK1 PV1 AL1 DG1", "EVN PID NK1 PV1 AL1 DG1"),
        ("EVN PID PV1 IN1 IN2 IN1 GT1", "EVN PID PV1 GT1 (IN1 IN2) (IN1)"),
        ("EVN PID PV1 IN1 NK1 IN1", "EVN PID PV1 NK1 (IN1) (IN1)"),
        ("PV1 PID EVN", "PV1 PID EVN"),
        ("EVN PID OBX NTE OBX", "EVN PID (OBX NTE) (OBX)"),
        ("EVN PID ZPI PV1", "EVN PID ZPI PV1"),
        ("EVN PID PV1 PR1 ROL GT1", "EVN PID PV1 GT1 (PR1 ROL)"),
    ],
)
def test_admissions_stand_flat_but_for_their_groups(sent: str, grouped: str) -> None:
    assert tree(sent, "ADT^A01") == grouped


def test_an_unknown_message_is_one_group() -> None:
    assert tree("ABC DEF ABC", "XYZ^Z01") == "ABC DEF ABC"
