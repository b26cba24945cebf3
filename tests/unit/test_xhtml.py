import pytest

from server.fhir.xhtml import faults
from tests.pace import cost_s

DIV = '<div xmlns="http://www.w3.org/1999/xhtml">{}</div>'


@pytest.mark.parametrize(
    "inside",
    [
        "text",
        "<p>a &amp; b &lt; &#160;c</p>",
        '<table class="grid"><tr><td colspan="2" style="color: red">x</td></tr></table>',
        '<a href="http://x.org/a?b=c" title="t">x</a><a name="n"/>',
        '<a href="Patient/1">x</a><a href="#a">y</a><a href="mailto:a@b.org">z</a>',
        '<img src="image.png" alt="x"/>',
        '<img src="data:image/png;base64,AAAA"/>',
        '<p xml:lang="de" dir="ltr" id="a">x</p>',
        "<!-- a comment --><p>x</p>",
        '<td style="background-image: url(tbl_bck1.png)">x</td>',
    ],
)
def test_what_a_narrative_may_hold(inside: str) -> None:
    assert faults(DIV.format(inside)) == []


@pytest.mark.parametrize(
    ("div", "words"),
    [
        (DIV.format("<script>1</script>"), "<script>"),
        (DIV.format("<form/>x"), "<form>"),
        (DIV.format("<iframe/>x"), "<iframe>"),
        (DIV.format("<object/>x"), "<object>"),
        (DIV.format("<link/>x"), "<link>"),
        (DIV.format("<style>a</style>"), "<style>"),
        (DIV.format("<body>a</body>"), "<body>"),
        (DIV.format("<SCRIPT>1</SCRIPT>"), "<SCRIPT>"),
        (DIV.format("<svg>a</svg>"), "<svg>"),
        (DIV.format('<p xmlns="http://example.org">a</p>'), "another namespace"),
        (DIV.format('<p onclick="x()">a</p>'), "onclick"),
        (DIV.format('<p ONMOUSEOVER="x()">a</p>'), "ONMOUSEOVER"),
        (DIV.format('<a href="javascript:x()">a</a>'), "href of <a>"),
        (DIV.format('<a href=" jAvA&#10;script:x()">a</a>'), "href of <a>"),
        (DIV.format('<a href="&#106;avascript:x()">a</a>'), "href of <a>"),
        (DIV.format('<a href="data:text/html,x">a</a>'), "href of <a>"),
        (DIV.format('<a href="vbscript:x">a</a>'), "href of <a>"),
        (DIV.format('<img src="data:image/svg+xml,x"/>'), "src of <img>"),
        (DIV.format('<img src="file:///etc/passwd"/>'), "src of <img>"),
        (DIV.format('<p style="width: expression(x)">a</p>'), "style of <p>"),
        (DIV.format("<p style=\"a: url( 'javascript:x')\">a</p>"), "style of <p>"),
        (DIV.format('<p style="a: u\\72l(x)">a</p>'), "style of <p>"),
        (DIV.format("<p>a"), "not XHTML: mismatched tag"),
        (DIV.format("a &nbsp; b"), "not XHTML: undefined entity"),
        (DIV.format("a & b"), "not XHTML: not well-formed"),
        (DIV.format("<?php x ?>a"), "processing instruction"),
        ("<!DOCTYPE div [<!ENTITY a 'b'>]>" + DIV.format("&a;"), "DOCTYPE"),
        ("<div>a</div>", "must have xmlns"),
        ('<p xmlns="http://www.w3.org/1999/xhtml">a</p>', "outermost"),
        ("text", "not XHTML"),
        (DIV.format("\x00"), "not XHTML"),
        (DIV.format("\ud800"), "not XHTML"),
    ],
)
def test_what_a_narrative_must_not_hold(div: str, words: str) -> None:
    found = faults(div)

    assert len(found) == 1
    assert words in found[0]


def test_entities_that_multiply_are_refused_before_they_do() -> None:
    bomb = "<!DOCTYPE d [<!ENTITY a 'aaaaaaaaaa'>"
    bomb += "".join(
        f"<!ENTITY {b} '{('&' + a + ';') * 10}'>"
        for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )

    def check() -> None:
        assert faults(bomb + "]>" + DIV.format("&i;")) == ["a DOCTYPE is not allowed"]

    assert cost_s(check, 1.0) < 1.0


def test_deep_nesting_is_no_problem() -> None:
    assert faults(DIV.format("<b>" * 100_000 + "x" + "</b>" * 100_000)) == []


def test_not_all_of_many_faults_are_listed() -> None:
    found = faults(DIV.format("<u>x</u>" * 100))

    assert found == ["element <u> is not allowed"] * 5 + ["and possibly more"]
