"""HTML pages from the templates of this folder: each is one file that asks nothing of any network.

A page carries a content security policy that forbids every request (only `data:` images and inline style), no script,
and no link that loads anything. Whatever a template shows is made printable and escaped, unless it is markup already.
"""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from emotion_llama import __version__
from emotion_llama.report import charts, wording
from emotion_llama.report.images import data_url

if TYPE_CHECKING:
    from jinja2 import Environment

POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"

# What every template may call.
HELPERS = {
    "clock": wording.clock,
    "count_bars": charts.count_bars,
    "data_url": data_url,
    "histogram": charts.histogram,
    "percent": wording.percent,
    "person_headline": wording.person_headline,
    "person_name": wording.person_name,
    "prediction_headline": wording.prediction_headline,
    "probability_bars": charts.probability_bars,
    "sentence": wording.sentence,
    "span": wording.span,
    "unit_name": wording.unit_name,
}


def render(template: str, **values: Any) -> str:  # whatever the template shows
    """A page as HTML text, to be written as UTF-8."""
    return environment().get_template(template).render(values)


@cache
def environment() -> Environment:
    """The templates; a name that a template does not know is an error."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader("emotion_llama.report"), autoescape=True, undefined=StrictUndefined, finalize=_shown,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True, auto_reload=False,
    )  # fmt: skip
    found.globals.update(HELPERS, policy=POLICY, style=_style(), version=__version__)
    return found


def _style() -> Markup:
    folder = resources.files("emotion_llama.report").joinpath("templates")
    return Markup(folder.joinpath("style.css").read_text(encoding="utf-8"))  # noqa: S704  our own file


def _shown(value: object) -> str:
    """A value of a template as text: markup as it is, nothing for None."""
    if isinstance(value, Markup):
        return value
    if value is None:
        return ""
    return charts.number(value) if isinstance(value, float) else wording.printable(str(value))
