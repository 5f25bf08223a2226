"""The page, the table and the sample of a data set: what they hold, escaped, within their width, asking no network."""

import re
from collections.abc import Mapping
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from samples import MEASURED, MODEL, assess, collect, make_clip_row, make_field, make_sample, make_samples

from emotion_llama.errors import InputError
from emotion_llama.merr.overview import Chooser, Overview, compare
from emotion_llama.merr.records import Sample
from emotion_llama.report.charts import Bar, count_bars, histogram, round_edges
from emotion_llama.report.dataset_page import SECTIONS, render_dataset_page, render_sample_page
from emotion_llama.report.dataset_text import render_dataset_text, render_sample_text
from emotion_llama.report.pages import environment, thumbnail

EVIL = "<script>alert(1)</script>\u202e\x1b[31m"


def picture(width: int = 640, height: int = 480) -> bytes:
    import cv2

    image = np.full((height, width, 3), 120, np.uint8)
    return bytes(cv2.imencode(".png", image)[1].tobytes())


def make_overview(samples: list[Sample], *, with_pictures: bool = True) -> Overview:
    statistics, chooser = collect(samples), Chooser()
    for sample in samples:
        chooser.add(sample)
    examples = tuple((s, picture() if with_pictures else None) for s in chooser.chosen())
    return Overview(
        "my_merr", statistics, assess(samples), compare(statistics, "my_merr"), examples, {"languages": ["en"]}
    )


class Page(HTMLParser):
    """Tags, links and text of a page; every opened element has to be closed in its order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, Mapping[str, str | None]]] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render_dataset_page(make_overview(make_samples())))


def test_every_section_is_there_and_linked(page: Page) -> None:
    ids = [attributes["id"] for tag, attributes in page.tags if tag == "section" and "id" in attributes]
    links = [attributes["href"] for tag, attributes in page.tags if tag == "a"]
    assert ids == list(SECTIONS)
    assert links == [f"#{name}" for name in SECTIONS]


def test_the_counts_stand_in_the_page(page: Page) -> None:
    for words in (
        "7 samples", "From 10 clips. 6 of the samples have a fine-grained description.", "23.00 s of video",
        "the file is cut off (1)", "no strong expression (1)", "the label is named before the end (1)",
        "1 samples (14 %) hold modalities", "face happy, words angry", "the clip has no sound (1)", "28,618 coarse",
        "7 coarse, 6 fine", "agreement would be circular (13)",
    ):  # fmt: skip
        assert words.replace("\u00a0", " ") in page.text.replace("\u00a0", " "), words


def test_nothing_is_asked_of_a_network(page: Page) -> None:
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "object", "form")
        for name in ("src", "href", "srcset", "action"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/jpeg;base64,"))
    (style,) = [w for w in page.words if "--paper" in w]
    assert "url(" not in style
    assert "@import" not in style
    policies = [a["content"] for t, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policies == [
        "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
    ]


def test_whatever_a_clip_says_stays_text() -> None:
    fields = [
        make_field("subtitle", {"text": EVIL, "source": EVIL, "language": EVIL}, MEASURED),
        make_field("visual_objective", EVIL, MODEL, "en"),
        make_field("fine_caption", EVIL, MODEL, "en"),
        make_field("coarse_caption", EVIL, MODEL, "en"),
        make_field("clues", {"supporting": [EVIL], "misleading": [EVIL]}, MODEL, "en"),
        make_field("label", {"label": EVIL, "source": "given", "units": {}}, MEASURED),
        make_field("tone", {"phrase": EVIL, "words": {EVIL: EVIL}}, MEASURED),
        make_field(
            "conflicts", [{"first": EVIL, "first_label": EVIL, "second": EVIL, "second_label": EVIL, "text": EVIL}]
        ),
        make_field("audio_tone", None, MODEL, "en", why_missing=EVIL),
        make_field("split", EVIL),
    ]
    clip = make_clip_row("evil", person=EVIL, source=EVIL)
    sample = make_sample("evil", fields=fields, clip=clip)
    for text in (render_dataset_page(make_overview([sample])), render_sample_page(sample, None)):
        tags = {tag for tag, _ in Page(text).tags}
        assert "script" not in tags
        assert "\u202e" not in text
        assert "\x1b" not in text
    for text in (render_dataset_text(make_overview([sample])), render_sample_text(sample)):
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_pictures_are_small_and_their_absence_is_said() -> None:
    with_them = render_dataset_page(make_overview(make_samples()))
    without = Page(render_dataset_page(make_overview(make_samples(), with_pictures=False)))
    found = re.findall(r"data:image/jpeg;base64,([A-Za-z0-9+/=]+)", with_them)
    assert len(found) == 7  # three happy ones, one of each of four other labels
    assert without.text.count("No image of a peak.") == 7
    assert len(with_them) < 150_000


def test_a_thumbnail_keeps_its_shape_and_is_never_enlarged() -> None:
    import cv2

    def size(png: bytes) -> tuple[int, ...]:
        return cv2.imdecode(np.frombuffer(thumbnail(png), np.uint8), cv2.IMREAD_COLOR).shape[:2]

    assert size(picture(640, 480)) == (270, 360)
    assert size(picture(100, 50)) == (50, 100)
    for broken in (b"", b"no picture"):
        with pytest.raises(InputError, match=r"expected an image, got \d+ bytes"):
            thumbnail(broken)


def test_examples_are_the_strongest_one_in_conflict_and_others() -> None:
    chooser = Chooser()
    for number in range(40):
        score = 1.0 + number / 100
        label = {"label": "happy", "source": "rules", "score": score, "units": {}}
        conflicts = [{"text": "x"}] if number == 7 else []
        chooser.add(
            make_sample(f"c{number:02d}", fields=[make_field("label", label), make_field("conflicts", conflicts)])
        )
    chooser.add(make_sample("sad_one", "sad"))
    names = [sample.clip.clip_id for sample in chooser.chosen()]
    assert names[:2] == ["c39", "c07"]
    assert len(names) == 4
    assert names[-1] == "sad_one"
    again = Chooser()
    for sample in reversed([make_sample(f"c{n:02d}") for n in range(9)]):
        again.add(sample)
    forth = Chooser()
    for n in range(9):
        forth.add(make_sample(f"c{n:02d}"))
    assert [s.clip.clip_id for s in again.chosen()] == [s.clip.clip_id for s in forth.chosen()]


def test_persons_in_two_splits_are_a_warning() -> None:
    anna = [
        make_sample(n, clip=make_clip_row(n, person="anna"), fields=[make_field("split", split)])
        for n, split in (("a", "train"), ("b", "test"))
    ]
    text = Page(render_dataset_page(make_overview(anna))).text
    assert "Persons stand in more than one split: anna." in text
    assert "persons in more than one split: anna" in render_dataset_text(make_overview(anna))


def test_samples_that_nothing_groups_are_a_warning() -> None:
    alone = [
        make_sample(n, clip=make_clip_row(n, person=person, source=None), fields=[make_field("split", "train")])
        for n, person in (("a", None), ("b", None), ("c", "anna"))
    ]
    text = " ".join(Page(render_dataset_page(make_overview(alone))).text.split())
    assert "2 samples were split each by itself: neither their source nor their person is known" in text
    assert "2 samples were split each by itself" in render_dataset_text(make_overview(alone))
    assert "by itself" not in render_dataset_text(make_overview(alone[2:]))


def test_an_empty_build_makes_a_page_and_a_table() -> None:
    page = Page(render_dataset_page(make_overview([])))
    assert "0 samples From 0 clips." in page.text
    assert "There is no sample." in page.text
    assert "0 samples, 0 with a fine description, of 0 clips" in render_dataset_text(make_overview([]))


@pytest.mark.parametrize(("width", "encoding"), [(80, "utf-8"), (40, "utf-8"), (80, "ascii"), (120, None)])
def test_tables_keep_to_their_width(width: int, encoding: str | None) -> None:
    overview = make_overview(make_samples())
    for text in (
        render_dataset_text(overview, width=width, encoding=encoding),
        *(render_sample_text(s, width=width, encoding=encoding) for s in make_samples()),
    ):
        assert max(len(line) for line in text.splitlines()) <= width
        assert encoding == "utf-8" or text.isascii()


def test_a_terminal_of_30_columns_is_refused() -> None:
    with pytest.raises(InputError, match="needs at least 40 columns, got 30"):
        render_dataset_text(make_overview([]), width=30)
    with pytest.raises(InputError, match="needs at least 40 columns, got 30"):
        render_sample_text(make_sample(), width=30)


def test_the_table_says_the_same_as_the_page() -> None:
    text = render_dataset_text(make_overview(make_samples()))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "7 samples, 6 with a fine description, of 10 clips; 23.00 s" in lines
    assert "ingest 8 1 0 1" in lines
    assert "happy 3 2 3 0" in lines
    assert "words 0 0 6 1" in lines
    assert "AU12 lip corner puller 3 43 % 3.0" in [line.replace("\u00a0", " ") for line in lines]
    assert "Fine descriptions that come to the label 100 % – 7" in [line.replace("\u00a0", " ") for line in lines]


def test_a_sample_with_all_it_has() -> None:
    text = render_sample_text(make_samples()[6])
    assert text.startswith("g_leaks\n")
    assert "dropped from the fine set at consistency: the label is named before the end" in text
    assert "units: AU12 lip corner puller 3, AU06 cheek raiser 2" in text
    assert "Pitch, median: 180 Hz" in text
    missing = render_sample_text(make_samples()[4])
    assert "missing: the clip has no sound" in missing
    asked = make_sample(fields=[make_field("audio_tone", "a calm voice", MODEL, "en")])
    assert "audio tone (en)  openai, some-model, prompt abababab, 150 tokens" in render_sample_text(asked)


def test_the_page_of_a_sample() -> None:
    page = Page(render_sample_page(make_samples()[6], picture()))
    assert "Dropped from the fine set at consistency: the label is named before the end." in page.text
    assert [tag for tag, _ in page.tags].count("img") == 1
    assert "openai" not in page.text


def test_bars_are_drawn_to_one_scale() -> None:
    drawn = count_bars([Bar("a", 1, 4, "4"), Bar("b", 0, 2, "2")], "T")
    assert 'width="100.00%"' in drawn
    assert 'width="25.00%"' in drawn
    assert 'width="50.00%"' in drawn
    assert count_bars([], "T").count("<rect") == 0


@pytest.mark.parametrize(
    ("least", "most", "step"), [(0.4, 12.3, 1.0), (3.0, 3.7, 0.1), (5.0, 5.0, 0.05), (2, 900, 100)]
)
def test_histograms_have_round_bounds_around_all_values(least: float, most: float, step: float) -> None:
    edges = round_edges(least, most)
    assert edges[0] <= least
    assert edges[-1] > most
    assert np.diff(edges) == pytest.approx(step)
    drawn = histogram([least, most, most], "s", "T")
    counts = [int(n) for n in re.findall(r"<title>[^<]*: (\d+)</title>", drawn)]
    assert sum(counts) == 3


def test_shares_are_shaded_and_none_is_left_empty() -> None:
    macros = environment().get_template("macros.html.j2").module
    table = macros.shaded_table("C", ["L", "x", "y", "z"], [("r", [0.5, 0.0, None], ["50", "·", ""])])  # type: ignore[attr-defined]
    assert '<td style="--share:0.50">50</td>' in table
    assert '<td class="none">·</td><td class="none"></td>' in table


def test_headings_skip_no_level() -> None:
    """The page of one sample had a heading of level 4 under that of level 1, which screen readers announce as a gap."""
    for page in (render_sample_page(make_sample(), None), render_dataset_page(make_overview(make_samples()))):
        levels = [int(level) for level in re.findall(r"<h([1-6])", page)]
        assert levels[0] == 1
        assert all(after <= before + 1 for before, after in pairwise(levels)), levels
