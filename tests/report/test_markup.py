from __future__ import annotations

from emotion_llama.report.markup import Html, element, escape, join, number


def test_text_is_escaped_once_and_markup_not_at_all() -> None:
    inner = element("b", "a < b & 'c'")
    assert inner == "<b>a &lt; b &amp; &#x27;c&#x27;</b>"
    assert element("p", inner, "<script>") == f"<p>{inner}&lt;script&gt;</p>"
    assert escape(inner) is inner


def test_attributes() -> None:
    made = element("input", type="checkbox", checked=True, hidden=False, id=None, class_="x", data_label='"<', x=1.50)
    assert made == '<input type="checkbox" checked class="x" data-label="&quot;&lt;" x="1.5">'


def test_numbers_are_short() -> None:
    assert [number(v) for v in (12.50, 3.0, -0.001, 0.126, 100.0)] == ["12.5", "3", "0", "0.13", "100"]


def test_join_escapes_plain_parts() -> None:
    assert join(["<", Html("<br>")], " & ") == "&lt; &amp; <br>"
