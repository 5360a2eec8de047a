import pytest

from helpers.pages import Page
from hourglass.report.markup import Markup, element, join, number, table


def test_text_is_escaped_and_markup_is_not():
    inner = element("b", '1 < 2 & "3"')
    assert inner == "<b>1 &lt; 2 &amp; &quot;3&quot;</b>"
    assert element("p", inner, "<i>") == f"<p>{inner}&lt;i&gt;</p>"
    assert join(["<", Markup("<br>")]) == "&lt;<br>"


def test_attributes_are_escaped():
    assert element("a", title='"><script>', class_="x", aria_label=7) == (
        '<a title="&quot;&gt;&lt;script&gt;" class="x" aria-label="7"></a>'
    )
    assert element("img", alt="") == '<img alt="">'


@pytest.mark.parametrize(
    ("value", "digits", "text", "exact"),
    [(94.1213, 2, "94.12", "94.1213"), (12345.0, 0, "12,345", "12345"), (0.0, 1, "0.0", "0"),
     (43.1992, 2, "43.20", "43.1992"), (100.0, 2, "100.00", "100"), (1234567.0, 0, "1,234,567",
     "1234567")],
)  # fmt: skip
def test_a_number_keeps_its_digits(value, digits, text, exact):
    assert number(value, digits) == f'<data value="{exact}">{text}</data>'
    assert number(None, digits) == "–"


def test_a_table_names_its_rows_and_columns():
    page = Page(table("a & b", ("x", "<y>"), [("first", 1), ("second", Markup("<b>2</b>"))]))
    assert page.tables == {"a & b": [["x", "<y>"], ["first", "1"], ["second", "2"]]}
    assert [th["scope"] for th in page.named("th")] == ["col", "col", "row", "row"]
