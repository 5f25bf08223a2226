"""The page's numbers in words are the report's, and its curves keep their peaks: its modules, run in the browser."""

from collections.abc import Callable
from typing import Any

import pytest

from emotion_llama.report import wording
from emotion_llama.results import Evidence, PersonAnalysis, Prediction, Segment


@pytest.fixture
def run(stand_in: Any, open_page: Callable[..., Any]) -> Callable[[str, Any], Any]:
    """Calls `body` with the modules `w` (wording) and `c` (curves) and an argument `a`."""
    page = open_page(stand_in.url).page

    def call(body: str, argument: Any = None) -> Any:
        modules = "const w = await import('/page/wording.js'); const c = await import('/page/curves.js');"
        return page.evaluate(f"async (a) => {{ {modules} return {body}; }}", argument)

    return call


def test_shares_and_times_read_as_in_the_report(run: Callable[..., Any]) -> None:
    shares = [0, 0.001, 0.00499, 0.005, 0.125, 0.714, 0.994, 0.995, 0.9999, 1]
    assert run("a.map(w.percent)", shares) == [wording.percent(share) for share in shares]
    times = [0, 0.005, 4.25, 59.99, 59.995, 60, 119.96, 125.34, 3599.94, 3599.95, 3725]
    assert run("a.map(w.clock)", times) == [wording.clock(time) for time in times]
    spans = [(0, 1.2), (1.2, 4.25), (50, 70), (3590, 3700)]
    assert run("a.map(([s, e]) => w.span(s, e))", spans) == [wording.span(*pair) for pair in spans]
    figures = [0, -0.04, -0.06, 3.14159, -2.5]
    assert run("a.map((v) => w.figure(v))", figures) == [wording.figure(value) for value in figures]


def _segment(start: float, end: float, chances: dict[str, float] | None) -> Segment:
    label = max(chances, key=lambda name: chances[name]) if chances else None
    problem = None if chances else "no face was seen"
    return Segment(start, end, Evidence(), Prediction(label, chances, "", "", "rules", problem=problem))


HAPPY = {"happy": 0.7, "sad": 0.2, "angry": 0.1}
SAD = {"happy": 0.35, "sad": 0.4, "angry": 0.25}


@pytest.mark.parametrize(
    "segments",
    [
        [(0.0, 2.0, HAPPY)],
        [(0.0, 2.0, SAD)],
        [(0.0, 2.0, {"happy": 0.55, "sad": 0.45})],
        [(0.0, 2.0, {"happy": 1.0})],
        [(0.0, 2.0, None)],
        [(0.0, 2.0, HAPPY), (2.0, 8.0, SAD)],
        [(0.0, 2.0, HAPPY), (2.0, 8.0, None)],
        [(0.0, 2.0, None), (2.0, 8.0, None)],
        [],
    ],
)
def test_headlines_are_the_reports(run: Callable[..., Any], segments: list[tuple[float, float, Any]]) -> None:
    made = tuple(_segment(*segment) for segment in segments)
    expected = wording.person_headline(PersonAnalysis(1, True, "", None, made))
    document = {
        "segments": [
            {
                "start_seconds": s.start_seconds,
                "end_seconds": s.end_seconds,
                "prediction": {
                    "label": s.prediction.label,
                    "probabilities": dict(s.prediction.probabilities) if s.prediction.probabilities else None,
                    "problem": s.prediction.problem,
                },
            }
            for s in made
        ]
    }
    found = run("w.personHeadline(a)", document)
    assert found["title"] == expected[0]
    assert found["detail"] == wording.sentence(expected[1])


def test_a_thinned_curve_keeps_its_peak_and_its_gaps(run: Callable[..., Any]) -> None:
    times = [i / 10 for i in range(100)]
    values: list[float | None] = [0.1] * 100
    values[37] = 4.0
    values[60:80] = [None] * 20
    thin_times, thin_values = run("c.thinned(a[0], a[1], 10)", [times, values])
    assert len(thin_times) == 10
    assert thin_values[3] == 4.0
    assert thin_times[3] == 3.7
    assert thin_values[6] is None
    assert thin_values[7] is None
    assert run("c.runs(a[0], a[1])", [thin_times, thin_values]) == [[0, 6], [8, 10]]


def test_ticks_are_round_and_not_too_many(run: Callable[..., Any]) -> None:
    found = run("[[6, 12], [6, 4], [600, 10], [14400, 10]].map(([s, n]) => c.ticks(s, n))")
    assert [ticks[1] for ticks in found] == pytest.approx([0.5, 2, 60, 1800])
    assert [ticks[-1] for ticks in found] == pytest.approx([6, 6, 600, 14400])


def test_ticks_of_no_length_or_any_length_come_to_an_end(run: Callable[..., Any]) -> None:
    lengths = run("[0, 1e-9, 1e9, 1e300, Infinity, NaN, -1].map((s) => c.ticks(s, 10).length)")
    assert lengths[:2] == [1, 1]
    assert max(lengths) <= 11
    assert lengths[4:] == [0, 0, 0]


def test_flags_become_stretches_that_end_where_the_next_frame_begins(run: Callable[..., Any]) -> None:
    found = run("c.spans([0, 0.5, 1, 1.5, 2], [true, true, false, false, true])")
    assert found == [[0, 1.0], [2, 2.5]]
    assert run("[-1, 0, 0.7, 9].map((t) => c.indexAt([0, 0.5, 1], t))") == [-1, 0, 1, 2]
