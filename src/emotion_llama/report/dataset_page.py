"""The HTML page of a data set: one file that asks nothing of any network."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

from emotion_llama import __version__
from emotion_llama.merr.overview import Overview
from emotion_llama.report.analysis_page import POLICY
from emotion_llama.report.dataset_counts import distributions, modalities, phases
from emotion_llama.report.dataset_examples import examples
from emotion_llama.report.dataset_tables import comparison, makers, quality, reviews
from emotion_llama.report.markup import Html, element, join
from emotion_llama.report.tables import details, facts
from emotion_llama.report.wording import clock

SECTIONS: Mapping[str, str] = {
    "phases": "What became of the clips",
    "distributions": "What is in it",
    "modalities": "Do face, voice and words agree?",
    "quality": "Quality",
    "reviews": "What reviewers decided",
    "comparison": "Beside published data sets",
    "examples": "Examples",
    "makers": "Who made what",
}

LIMITS = (
    "Labels describe expressions: what a face, a voice and words show in a clip. What a person felt is not visible in "
    "them; people scowl in concentration and smile in embarrassment, and differ by culture, habit and situation "
    "(Barrett et al., 2019, Psychological Science in the Public Interest 20).",
    "A label that rules gave is a pseudo-label: it says which action units were strong, not what an annotator saw. "
    "A model trained on them learns these rules and their mistakes.",
    "People in the clips are people. Whether they may be collected, shown and shared is for their consent, the clips' "
    "licence and the law to say, not for this page; it holds pictures of them.",
    "Do not build on it what decides about people: hiring, schooling, policing, health, credit or asylum. In the "
    "European Union, inferring emotions at work and in education is prohibited except for medical or safety reasons "
    "(Regulation (EU) 2024/1689, Article 5).",
)


def render_dataset_page(overview: Overview) -> str:
    """The whole page as HTML text, to be written as UTF-8."""
    found = overview.statistics
    parts: dict[str, list[Html]] = {
        "phases": phases(found),
        "distributions": distributions(found),
        "modalities": modalities(found),
        "quality": quality(overview.measures),
        "reviews": reviews(overview.reviews),
        "comparison": comparison(overview.comparison),
        "examples": examples(overview.examples),
        "makers": [*makers(found), *_recipe(overview)],
    }
    sections = [element("section", element("h2", SECTIONS[name]), *content, id=name) for name, content in parts.items()]
    main = element("main", _summary(overview), *sections, _limits())
    return page(f"{overview.name} · emotion data set", main)


def page(title: str, main: Html) -> str:
    """A whole page: it may load nothing and run nothing."""
    return f"<!doctype html>\n{element('html', _head(title), element('body', main), lang='en')}\n"


def _head(title: str) -> Html:
    folder = resources.files("emotion_llama.report")
    style = "\n".join(folder.joinpath(file).read_text(encoding="utf-8") for file in ("style.css", "dataset.css"))
    return element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("meta", name="referrer", content="no-referrer"),
        element("title", title),
        element("style", Html(style)),
    )


def _summary(overview: Overview) -> Html:
    found = overview.statistics
    samples = "sample" if found["coarse"] == 1 else "samples"
    detail = f"From {found['clips']:,} clips. {found['fine']:,} of the samples have a fine-grained description."
    if found["durations"] is not None:
        detail += f" {clock(found['seconds'])} of video and sound in all."
    if found["labels"]:
        detail += f" {len(found['labels'])} labels; the most frequent is {found['labels'][0]['label']}."
    warnings = [
        f"{what} stand in more than one split: {', '.join(names[:8])}{' and others' if len(names) > 8 else ''}."
        for what, names in (("Persons", found["shared_persons"]), ("Source videos", found["shared_sources"]))
        if names
    ]
    if found["ungrouped"]:
        warnings.append(
            f"{found['ungrouped']:,} samples were split each by itself: neither their source nor their person is "
            "known, and one person may stand in two splits."
        )
    links = [element("a", title, href=f"#{name}") for name, title in SECTIONS.items()]
    parts = [
        element("p", "Emotion data set", class_="kicker"),
        element("h1", overview.name, dir="auto"),
        element("p", f"{found['coarse']:,} {samples}", class_="verdict"),
        element("p", detail, class_="detail"),
        element("nav", join(links), class_="sections", aria_label="Sections"),
    ]
    if warnings:
        listed = element("ul", *(element("li", warning) for warning in warnings))
        parts.append(element("div", element("h2", "Warnings"), listed, class_="warnings"))
    return element("header", *parts)


def _recipe(overview: Overview) -> list[Html]:
    import yaml

    made_by = facts([("emotion-llama", __version__)])
    if not overview.recipe:
        return [made_by, element("p", "This build has no recipe: it was imported.", class_="note")]
    text = yaml.safe_dump(dict(overview.recipe), sort_keys=False, allow_unicode=True)
    lines = join((element("span", line) for line in text.rstrip().split("\n")), "\n")
    return [made_by, details("The whole recipe", element("pre", lines, class_="recipe"))]


def _limits() -> Html:
    head = element("h2", "What this can and cannot know")
    return element("section", head, join(element("p", sentence) for sentence in LIMITS), class_="limits")
