"""Shapes and templates: everything is escaped, once."""

import pytest
from jinja2 import UndefinedError
from markupsafe import Markup

from emotion_llama.report.charts import number, shape
from emotion_llama.report.pages import environment


def test_text_is_escaped_once_and_markup_not_at_all() -> None:
    inner = shape("b", "a < b & 'c'\x1b")
    assert inner == "<b>a &lt; b &amp; &#39;c&#39;\N{REPLACEMENT CHARACTER}</b>"
    assert shape("p", inner, "<script>") == f"<p>{inner}&lt;script&gt;</p>"


def test_attributes() -> None:
    made = shape("text", class_="x", text_anchor=None, data_label='"<', x=1.50)
    assert made == '<text class="x" data-label="&#34;&lt;" x="1.5"></text>'


def test_numbers_are_short() -> None:
    assert [number(v) for v in (12.50, 3.0, -0.001, 0.126, 100.0)] == ["12.5", "3", "0", "0.13", "100"]


def test_a_template_shows_text_escaped_and_printable() -> None:
    template = environment().from_string('<p title="{{ a }}">{{ b }}{{ c }}{{ d }}</p>')
    shown = template.render(a='"><script>', b="<i>\u202e", c=Markup("<b>"), d=None)
    assert shown == '<p title="&#34;&gt;&lt;script&gt;">&lt;i&gt;<b></p>'


def test_an_unknown_name_in_a_template_is_an_error() -> None:
    with pytest.raises(UndefinedError, match="nothing"):
        environment().from_string("{{ nothing }}").render()
