"""The HTML page of one clip as several systems see it, side by side."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence

from emotion_llama.report.charts import figure, probability_bars
from emotion_llama.report.compare import ClipComparison, Side
from emotion_llama.report.dataset_page import page
from emotion_llama.report.evaluation_page import LIMITS
from emotion_llama.report.markup import Html, element
from emotion_llama.report.wording import clock, sentence

FRAMES_STYLE = "display:flex;flex-wrap:wrap;gap:.6rem;margin-top:1.8rem"
PICTURE_STYLE = "flex:1 1 9rem;min-width:0;max-width:24rem;border-radius:4px"


def render_comparison_page(found: ClipComparison, pictures_png: Sequence[bytes] = ()) -> str:
    """The whole page as HTML text, to be written as UTF-8.

    Args:
        found: the comparison.
        pictures_png: frames of the clip, in time order; the page holds them, faces and all.
    """
    labels = [side.label for side in found.sides]
    told = [label for label in labels if label is not None]
    verdict = "No label" if not told else told[0] if len(set(told)) == 1 else "They differ"
    answered = f"{len(told)} of {len(labels)} systems give a label"
    head = [
        element("p", "One clip, several systems", class_="kicker"),
        element("h1", found.clip.name, dir="auto"),
        element("p", verdict, class_="verdict"),
        element("p", f"{answered}: {', '.join(dict.fromkeys(told)) or 'none'}.", class_="detail"),
        element("blockquote", found.words, dir="auto") if found.words else "",
    ]
    frames = [
        element("img", src=f"data:image/png;base64,{b64encode(picture).decode('ascii')}",
                alt=f"Frame {number} of the clip", style=PICTURE_STYLE)
        for number, picture in enumerate(pictures_png, 1)
    ]  # fmt: skip
    body = [
        element("header", *head),
        element("div", *frames, style=FRAMES_STYLE) if frames else "",
        element("section", element("div", *(_column(side) for side in found.sides), class_="pair")),
        element(
            "section", element("h2", "What this can and cannot know"), *(element("p", one) for one in LIMITS[1:]),
            class_="limits",
        ),
    ]  # fmt: skip
    return page(f"{found.clip.name} · compared", element("main", *body))


def _column(side: Side) -> Html:
    parts = [
        element("h3", side.name),
        element("p", side.label or "No label", class_="verdict", style="margin-top:.4rem"),
    ]
    if side.problem is not None:
        parts.append(element("p", sentence(side.problem), class_="problem"))
    if side.probabilities is not None:
        bars = probability_bars(side.probabilities, side.label)
        parts.append(figure("Probability of each label", bars, class_="probabilities chart"))
    if side.reasoning is not None and side.reasoning.strip():
        parts.append(element("p", side.reasoning, class_="reasoning", dir="auto"))
    else:
        why = sentence(side.reasoning_problem or "the answer to the question for reasons is empty")
        parts.append(element("p", f"No reasons. {why}", class_="problem"))
    if side.answer is not None:
        parts.append(element("p", f"Answer to the question for a label: “{side.answer}”", class_="note"))
    parts.append(element("p", f"{clock(side.seconds)} for both questions", class_="note"))
    return element("article", *parts, class_="side")
