"""FHIR XML in: what comes out, and what never gets in."""

from decimal import Decimal

import pytest

from server.fhir import json as fhir_json
from server.fhir.errors import InvalidXml
from server.fhir.xml import loads
from server.validation import validate

HEAD = b'<Patient xmlns="http://hl7.org/fhir">'


def patient(inside: str) -> bytes:
    return HEAD + inside.encode() + b"</Patient>"


def nested(count: int) -> str:
    name = "<extension url='u'>"
    return name * count + "<valueCode value='a'/>" + "</extension>" * count


def test_elements_that_repeat_are_lists_and_others_are_not() -> None:
    sent = patient(
        """<id value="a"/><name><family value="F"/><given value="G"/><given value="H"/></name>
        <maritalStatus><coding><code value="M"/></coding></maritalStatus>"""
    )

    assert loads(sent) == {
        "resourceType": "Patient",
        "id": "a",
        "name": [{"family": "F", "given": ["G", "H"]}],
        "maritalStatus": {"coding": [{"code": "M"}]},
    }


def test_numbers_and_booleans_have_their_json_types() -> None:
    sent = patient('<active value="false"/><multipleBirthInteger value="2"/>')
    observed = b"""<Observation xmlns="http://hl7.org/fhir"><valueQuantity><value value="1.50"/>
        <code value="1"/></valueQuantity></Observation>"""

    assert loads(sent) == {
        "resourceType": "Patient",
        "active": False,
        "multipleBirthInteger": 2,
    }
    quantity = loads(observed)["valueQuantity"]
    assert quantity == {"value": Decimal("1.50"), "code": "1"}
    assert fhir_json.dumps(quantity) == b'{"value":1.50,"code":"1"}'


def test_ids_and_extensions_of_primitives_stand_beside_their_values() -> None:
    extension = '<extension url="http://e"><valueCode value="unknown"/></extension>'
    sent = patient(
        f"""<name><family id="f" value="F"/><given value="A"/><given>{extension}</given>
        <given id="g" value="B"/></name><birthDate>{extension}</birthDate>"""
    )

    made = {"extension": [{"url": "http://e", "valueCode": "unknown"}]}
    assert loads(sent) == {
        "resourceType": "Patient",
        "name": [
            {
                "family": "F",
                "_family": {"id": "f"},
                "given": ["A", None, "B"],
                "_given": [None, made, {"id": "g"}],
            }
        ],
        "_birthDate": made,
    }
    assert validate(loads(sent)) == []


def test_primitives_without_any_value_have_only_the_second_list() -> None:
    sent = patient(
        '<name><given><extension url="u"><valueCode value="c"/></extension></given></name>'
    )

    assert loads(sent)["name"] == [{"_given": [{"extension": [{"url": "u", "valueCode": "c"}]}]}]


def test_resources_inside_resources_are_read_as_their_own_type() -> None:
    contained = patient("<contained><Organization><id value='o'/></Organization></contained>")
    bundle = b"""<Bundle xmlns="http://hl7.org/fhir"><type value="batch"/><entry><resource>
        <Patient><active value="true"/></Patient></resource></entry></Bundle>"""
    parameters = b"""<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="n"/><part>
        <name value="p"/><resource><Patient/></resource></part></parameter></Parameters>"""

    assert loads(contained)["contained"] == [{"resourceType": "Organization", "id": "o"}]
    assert loads(bundle)["entry"] == [{"resource": {"resourceType": "Patient", "active": True}}]
    assert loads(parameters)["parameter"] == [
        {"name": "n", "part": [{"name": "p", "resource": {"resourceType": "Patient"}}]}
    ]


def test_a_narrative_is_text_without_the_marks_of_the_document_around_it() -> None:
    sent = b"""<?xml version="1.0" encoding="UTF-8"?><?keep out?><!-- c -->
        <f:Patient xmlns:f="http://hl7.org/fhir" xmlns:h="http://www.w3.org/1999/xhtml"><f:text>
        <f:status value="generated"/><h:div xml:lang="de">a<!-- b --><h:br/>&#252;&#60;&amp;
        <h:a title="&quot;&#10;" href="#x"></h:a><![CDATA[<i>]]></h:div></f:text></f:Patient>"""

    assert loads(sent)["text"]["div"] == (
        '<div xmlns="http://www.w3.org/1999/xhtml" xml:lang="de">a<br/>ü&lt;&amp;\n        '
        '<a title="&quot;&#10;" href="#x"/>&lt;i&gt;</div>'
    )
    assert validate(loads(sent)) == []


@pytest.mark.parametrize(
    ("sent", "line", "words"),
    [
        (b"", 1, "not XML"),
        (b"{}", 1, "not XML"),
        (b"<Patient/>", 1, "<Patient>: an element in no namespace"),
        (b"<Patient xmlns='urn:hl7-org:v3'/>", 1, "in the namespace 'urn:hl7-org:v3'"),
        (b"<Patience xmlns='http://hl7.org/fhir'/>", 1, "<Patience> is no resource type of R4"),
        (b"<Resource xmlns='http://hl7.org/fhir'/>", 1, "no resource type"),
        (HEAD, 1, "not XML"),
        (patient("") + b"<Patient/>", 1, "not XML"),
        (patient("\n<name>\n<firstName value='a'/></name>"), 3, "<firstName> is not an element"),
        (patient("\n<name first='a'/>"), 2, "attribute first"),
        (patient("<active value='true' value='true'/>"), 1, "not XML: Attribute value redefined"),
        (patient("<active value='yes'/>"), 1, "a boolean is true or false"),
        (patient("<active value=' true'/>"), 1, "a boolean is true or false"),
        (patient("<multipleBirthInteger value='1.0'/>"), 1, "not a number that integer can be"),
        (patient("<multipleBirthInteger value='[1]'/>"), 1, "not a number"),
        (patient("<multipleBirthInteger value='01'/>"), 1, "not a number"),
        (patient("<active/>"), 1, "rule ele-1"),
        (patient("<active value='true'/><active value='true'/>"), 1, "only once"),
        (patient("<active value='true'>yes</active>"), 1, "text between elements"),
        (patient("<name/>oops"), 1, "text between elements"),
        (patient("<name id='a'><id value='b'/></name>"), 1, "<id> is not an element"),
        (patient("<resourceType value='b'/>"), 1, "<resourceType> is not an element"),
        (patient("<extension><url value='u'/></extension>"), 1, "<url> is not an element"),
        (patient("<_active value='b'/>"), 1, "<_active> is not an element"),
        (patient("<contained/>"), 1, "one resource is expected"),
        (patient("<contained><Patient/><Patient/></contained>"), 1, "one resource is expected"),
        (patient("<contained><id value='a'/></contained>"), 1, "<id> is no resource type"),
        (patient("<text><div/></text>"), 1, "not in http://www.w3.org/1999/xhtml"),
        (patient("<div xmlns='http://www.w3.org/1999/xhtml'/>"), 1, "<div> is not an element"),
        (patient("<x xmlns='urn:x'/>"), 1, "in the namespace 'urn:x'"),
        (b"<Patient xmlns='http://hl7.org/fhir' id='a'/>", 1, "no attribute id"),
        (patient("<name><given value='\0'/></name>"), 1, "NUL"),
        (patient("<name><given value='&#0;'/></name>"), 1, "not XML"),
        (patient("<name><given value='&nbsp;'/></name>"), 1, "not XML: Entity 'nbsp' not defined"),
        (patient("\n\n") + b"\xff", 3, "not UTF-8"),
        ("<Patient xmlns='http://hl7.org/fhir'/>".encode("utf-16"), 1, "not UTF-8"),
        ("<Patient xmlns='http://hl7.org/fhir'/>".encode("utf-16-le"), 1, "NUL"),
        (b"<?xml version='1.0' encoding='utf-16'?>" + patient(""), 1, "another encoding"),
        (b"<?xml version='1.0' encoding='UTF-7'?>" + patient(""), 1, "another encoding"),
        (patient(nested(40)), 1, "more than 64 levels"),
        (patient("<name><family value='" + "a" * 11_000_000 + "'/></name>"), 1, "not XML"),
    ],
)  # fmt: skip
def test_what_fhir_does_not_allow_is_refused_with_its_line(
    sent: bytes, line: int, words: str
) -> None:
    with pytest.raises(InvalidXml, match="line") as caught:
        loads(sent)

    assert words in caught.value.diagnostics
    assert caught.value.issues[0].line == line


def test_a_refusal_names_the_element_by_its_path() -> None:
    with pytest.raises(InvalidXml) as caught:
        loads(patient("<name><family value='a'/></name><name><given value='b'/><given/></name>"))

    assert caught.value.expression == ("Patient.name[1].given[1]",)


@pytest.mark.parametrize(
    "doctype",
    [
        "<!DOCTYPE Patient>",
        "<!DOCTYPE Patient SYSTEM 'file:///etc/passwd'>",
        "<!DOCTYPE Patient PUBLIC '-//x' 'http://127.0.0.1:9/x.dtd'>",
        "<!DOCTYPE p [<!ENTITY a SYSTEM 'file:///etc/passwd'>]>",
        "<!DOCTYPE p [<!ENTITY a 'ha'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>]>",
        "<!DOCTYPE p [<!ENTITY % x SYSTEM 'http://127.0.0.1:9/'> %x;]>",
        "<!-- -->\n<?a b?><!-- > --><!DOCTYPE p>",
        "\n\n<!doctype p>",
    ],
)
def test_a_doctype_is_refused_before_the_parser_sees_it(doctype: str) -> None:
    body = patient("<name><family value='x'/></name>")
    for start in ("", "<?xml version='1.0' encoding='UTF-8'?>", "\ufeff"):
        with pytest.raises(InvalidXml, match="DOCTYPE"):
            loads((start + doctype).encode() + body)


def test_a_doctype_that_is_only_spoken_of_is_no_doctype() -> None:
    sent = b"<!-- <!DOCTYPE p> -->" + patient("<!-- <!DOCTYPE p> --><active value='true'/>")

    assert loads(sent) == {"resourceType": "Patient", "active": True}


def test_ten_million_bytes_are_read_and_as_many_empty_elements_refused() -> None:
    long = patient("<name><family value='Aa'/></name>" * 300_000)
    assert len(long) > 9_000_000
    assert len(loads(long)["name"]) == 300_000

    for flood in (patient("<a/>" * 2_500_000), HEAD[:-1] + b" a='' " * 2_100_000 + b"/>"):
        with pytest.raises(InvalidXml, match="more than 2000000 elements"):
            loads(flood)


def test_as_deep_as_json_may_be_is_read_and_can_be_read_again_as_json() -> None:
    deepest = max(n for n in range(1, 40) if reads(patient(nested(n))))

    assert deepest == 31
    made = loads(patient(nested(deepest)))
    assert fhir_json.loads(fhir_json.dumps(made)) == made


def reads(sent: bytes) -> bool:
    try:
        loads(sent)
    except InvalidXml:
        return False
    return True


def test_a_deep_narrative_is_refused() -> None:
    div = "<div xmlns='http://www.w3.org/1999/xhtml'>" + "<b>" * 200 + "</b>" * 200 + "</div>"

    with pytest.raises(InvalidXml, match="too many elements inside each other"):
        loads(patient(f"<text><status value='generated'/>{div}</text>"))
