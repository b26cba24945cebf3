"""The groups of orders, medicines, appointments and merges, written as nested names."""

import pytest

from tests.mappings.test_structure import tree


@pytest.mark.parametrize(
    ("type_", "sent", "grouped"),
    [
        (
            "ORM^O01",
            "PID PV1 ORC OBR NTE OBX ORC OBR",
            "((PID (PV1)) (ORC OBR NTE (OBX)) (ORC OBR))",
        ),
        ("ORM^O01", "PID OBR OBR", "((PID) (OBR) (OBR))"),
        ("OML^O33", "PID SPM ORC OBR SPM ORC OBR", "((PID) (SPM (ORC OBR)) (SPM (ORC OBR)))"),
        (
            "OUL^R22",
            "PID SPM OBR OBX SPM OBR OBX",
            "((PID) (SPM (OBR (OBX))) (SPM (OBR (OBX))))",
        ),
        ("VXU^V04", "PID NK1 ORC RXA RXR OBX ORC RXA", "(PID NK1 (ORC RXA RXR (OBX)) (ORC RXA))"),
        (
            "SIU^S12",
            "SCH NTE PID RGS AIS AIL AIP NTE",
            "(SCH NTE (PID) (RGS (AIS) (AIL) (AIP NTE)))",
        ),
        (
            "RDE^O11",
            "PID ORC TQ1 RXO RXR RXE TQ1 RXR",
            "((PID) (ORC RXE RXR (TQ1) (RXO RXR) (TQ1)))",
        ),
        ("RAS^O17", "PID ORC RXO RXA RXR RXA RXR", "((PID) (ORC (RXO) (RXA RXR) (RXA RXR)))"),
        ("DFT^P03", "EVN PID PV1 FT1 PR1 FT1 DG1", "(EVN PID DG1 (PV1) (FT1 (PR1)) (FT1))"),
        ("PPR^PC1", "PID PRB NTE OBX GOL PRB", "(PID (PRB NTE (OBX) (GOL)) (PRB))"),
        ("PPR^PC1", "PID PRB ORC OBR OBX NTE", "(PID (PRB (ORC OBR (OBX NTE))))"),
        ("PPR^PC1", "PID PRB ORC OBR OBR OBX", "(PID (PRB (ORC OBR) (OBR (OBX))))"),
        ("ADT^A40", "EVN PID MRG PID MRG", "(EVN (PID MRG) (PID MRG))"),
        ("ADT^A17", "EVN PID PV1 PID PV1", "(EVN (PID PV1) (PID PV1))"),
        ("MFN^M02", "MFI MFE STF PRA MFE STF", "(MFI (MFE STF PRA) (MFE STF))"),
    ],
)
def test_segments_stand_with_what_they_belong_to(type_: str, sent: str, grouped: str) -> None:
    assert f"({tree(sent, type_)})" in (grouped, f"({grouped})")
