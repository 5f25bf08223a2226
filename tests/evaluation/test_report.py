"""Reports: ours beside published rows, paired tests by hand, one judge a table, and text that fits and is escaped."""

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from confusion import from_confusion
from rich.cells import cell_len

from emotion_llama.errors import InputError, MissingDependency
from emotion_llama.evaluation.comparisons import MCNEMAR, compare_labels, compare_scores
from emotion_llama.evaluation.models import load_model
from emotion_llama.evaluation.records import EvalResult, Metric
from emotion_llama.evaluation.report import Section, metrics_of, published_tables, report_of
from emotion_llama.evaluation.run import evaluate
from emotion_llama.evaluation.run_folder import EvalRun, SampleRow, read_run
from emotion_llama.evaluation.tables import by_sentence, shown
from emotion_llama.evaluation.tasks import load_benchmark
from emotion_llama.evaluation.tasks.unibench import SETS
from emotion_llama.report.evaluation import (
    latex,
    markdown,
    render_evaluation_page,
    render_latex,
    render_markdown,
    render_report_text,
)

# result/MER2023.txt of Emotion-LLaMA as a confusion matrix: F1 0.9035772132511264.
LABELS = ("angry", "happy", "neutral", "sad", "surprise", "worried")
MER2023 = [
    [179, 1, 2, 1, 0, 0], [2, 152, 7, 4, 3, 1], [10, 10, 134, 6, 2, 4], [2, 2, 1, 250, 0, 2], [1, 0, 3, 1, 6, 3],
    [4, 1, 3, 2, 1, 34],
]  # fmt: skip


@pytest.fixture(scope="module")
def mer2023(tmp_path_factory: pytest.TempPathFactory) -> tuple[Section, ...]:
    """The published answers as a file of predictions, and a worse system that always says happy."""
    folder = tmp_path_factory.mktemp("mer2023")
    truth, answers = from_confusion(MER2023, LABELS)
    names = [f"sample_{i:08d}" for i in range(len(truth))]
    _table(folder / "test3-label.csv", "name,discrete", zip(names, truth))
    _table(folder / "Emotion_LLaMA.csv", "name,answer", zip(names, [f"she is {a}" for a in answers]))
    _table(folder / "happy.csv", "name,answer", zip(names, ["happy" if i % 9 else "" for i in range(len(names))]))
    benchmark = load_benchmark("mer2023-semi", folder)
    runs = [
        evaluate(benchmark, load_model(str(folder / name)), out=folder / name[:3], num_resamples=50)
        for name in ("Emotion_LLaMA.csv", "happy.csv")
    ]
    read = [read_run(folder / name) for name in ("Emo", "hap")]
    assert read == runs
    return report_of(read, num_resamples=50)


def _table(path: Path, header: str, rows: Any) -> None:
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")


def test_ours_stand_beside_the_published_rows(mer2023: tuple[Section, ...]) -> None:
    (section,) = mer2023
    own = section.own
    assert [(row.model, row.parser) for row in own] == [
        ("Emotion_LLaMA", "upstream"), ("Emotion_LLaMA", "tolerant"), ("happy", "upstream"), ("happy", "tolerant")
    ]  # fmt: skip
    assert own[0].metric("weighted_f1").value == pytest.approx(0.9035772132511264, abs=1e-15)
    assert shown(own[0].metric("weighted_f1")) == "90.36"
    printed = {row.model: row.metric("weighted_f1").value for row in section.results if not row.parser}
    assert printed["Emotion-LLaMA [A,V,T]"] == 0.9036
    assert printed["VAT [A,V]"] == 0.8911
    assert section.columns[0] == section.primary == "weighted_f1"
    assert section.columns[-1].startswith("recall/")
    # 93 of 834 answers are empty: the published rule calls them neutral, the tolerant one counts them.
    assert own[2].counts["neutral by the published rule"] == 93
    assert own[3].counts["unanswered: empty"] == 93


def test_the_terminal_gets_80_columns(mer2023: tuple[Section, ...]) -> None:
    text = render_report_text(mer2023)
    assert max(cell_len(line) for line in text.splitlines()) <= 80
    assert re.search(r"Emotion_LLaMA \(upstream\) +90\.36 +90\.53", text)
    assert re.search(r"Emotion-LLaMA \[A,V,T\] +90\.36 +-", text)
    assert "unanswered: empty 93" in " ".join(text.split())
    assert 'an unknown last word is "neutral"' in " ".join(text.split())
    assert "chosen by its score on this test set" in " ".join(text.split())
    plain = render_report_text(mer2023, encoding="ascii")
    assert plain.isascii()


def test_markdown_and_latex(mer2023: tuple[Section, ...]) -> None:
    table = render_markdown(mer2023)
    rows = [line for line in table.splitlines() if line.startswith("|")]
    assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1
    assert r"| Emotion\_LLaMA | upstream | 90.36 \[" in table
    assert "- happy (tolerant): cases 834, answered 741" in table
    tex = render_latex(mer2023)
    assert tex.count(r"\begin{table}") == 1
    assert r"Emotion\_LLaMA & upstream & 90.36 [" in tex
    assert re.search(r"\\midrule\nMER2023-Baseline \[A,V\] &  & 86.75 &", tex)
    assert markdown("a|b*c_d`<e>") == r"a\|b\*c\_d\`\<e\>"
    assert latex(r"5 % of {a_b} & \x~^#$") == (
        r"5 \% of \{a\_b\} \& \textbackslash{}x\textasciitilde{}\textasciicircum{}\#\$"
    )


def test_the_page_asks_nothing_of_any_network(mer2023: tuple[Section, ...]) -> None:
    page = render_evaluation_page(mer2023)
    assert "weighted F1 90.36" in page
    assert "Confusion: happy (tolerant)" in page
    assert "unanswered: empty" in page
    assert not re.search(r"<script|<link|src=\"http|@import|url\(", page)
    evil = EvalRun("<b>x</b>", *_parts_of(mer2023))
    assert "<b>x</b>" not in render_evaluation_page(report_of([evil], num_resamples=5))


def _parts_of(report: tuple[Section, ...]) -> tuple[Any, Any, Any]:
    (section,) = report
    result = EvalResult(section.benchmark, "<b>x</b>", "upstream", section.results[0].metrics, {"cases": 834}, {})
    return (result,), section.cards["happy"], ()


# --- tests of differences -------------------------------------------------------------------------------------------


def rows(told: Sequence[tuple[str, str | None]], parser: str = "tolerant") -> list[SampleRow]:
    return [SampleRow(f"c{i}", truth, None, {parser: answer}) for i, (truth, answer) in enumerate(told)]


def test_labels_are_compared_pairwise_on_shared_cases() -> None:
    """First right alone: 5 cases, second alone: 1. Exact McNemar: 2 * P(X <= 1 | 6, 1/2) = 2 * 7 / 64."""
    truth = ["happy", "sad"] * 5
    first = rows([(t, t if i < 8 else None) for i, t in enumerate(truth)])
    second = rows([(t, t if i < 3 or i == 9 else "angry") for i, t in enumerate(truth)])
    found = compare_labels(("a", "tolerant", first), ("b", "tolerant", second), "accuracy", num_resamples=50)
    assert (found.only_first, found.only_second, found.num_samples, found.test) == (5, 1, 10, MCNEMAR)
    assert found.p_value == pytest.approx(2 * 7 / 64)
    assert found.difference.value == pytest.approx(0.8 - 0.4)
    assert (found.first, found.second) == ("a (tolerant)", "b (tolerant)")
    fewer = compare_labels(("a", "tolerant", first), ("b", "tolerant", second[:4]), "accuracy", num_resamples=5)
    assert fewer.num_samples == 4
    with pytest.raises(InputError, match="the runs share no sample"):
        compare_labels(("a", "tolerant", first), ("b", "tolerant", []), "accuracy")
    with pytest.raises(InputError, match="c0 has another truth in the two runs"):
        compare_labels(("a", "tolerant", first), ("b", "tolerant", rows([("fear", "fear")])), "accuracy")


def test_judged_figures_are_compared_where_both_have_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def scored(values: Sequence[float | None]) -> list[SampleRow]:
        return [
            SampleRow(f"c{i}", None, f"g{i}", {}, {} if v is None else {"judge": {"clue_overlap": v}})
            for i, v in enumerate(values)
        ]

    first, second = scored([8, 7, 6, 9, None, 5]), scored([6, 6, 3, 5, 4, None])
    found = compare_scores(("a", "judge", first), ("b", "judge", second), "clue_overlap", num_resamples=50)
    assert found.num_samples == 4
    assert found.difference.value == pytest.approx((2 + 1 + 3 + 4) / 4)
    assert (found.only_first, found.only_second) == (4, 0)
    assert found.p_value == pytest.approx(0.125)  # 2 * 1 / 2**4: all signs of four are one way
    same = compare_scores(("a", "judge", first), ("b", "judge", first), "clue_overlap", num_resamples=5)
    assert same.p_value == 1.0
    with pytest.raises(InputError, match="label_overlap"):
        compare_scores(("a", "judge", first), ("b", "judge", second), "label_overlap")
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    with pytest.raises(MissingDependency, match=r"emotion-llama\[evaluation\]"):
        compare_scores(("a", "judge", first), ("b", "judge", second), "clue_overlap")


def test_the_report_names_the_rule_that_was_applied(tmp_path: Path) -> None:
    """Open-vocabulary runs were said to be scored by the last word of the answer, "and neutral where it is none"."""
    (tmp_path / "ov.csv").write_text('name,words\na,"happy, proud"\n')
    (tmp_path / "p.csv").write_text("name,answer\na,['glad']\n")
    (tmp_path / "groups").mkdir()
    np.save(tmp_path / "groups" / "a.npy", "[['happy', 'glad'], ['proud']]")
    benchmark = load_benchmark("csv", tmp_path / "ov.csv", groups=tmp_path / "groups")
    run = evaluate(benchmark, load_model(str(tmp_path / "p.csv")), num_resamples=5)
    assert run is not None
    protocol = report_of([run])[0].protocol["p"]
    assert protocol[0].startswith("upstream: the published rule for lists")
    assert not any("last word" in sentence for sentence in protocol)
    assert any(sentence.startswith("groups of synonyms: stored") for sentence in protocol)


# --- tables ---------------------------------------------------------------------------------------------------------


def run(name: str, *, parser: str = "judge", judge: dict[str, Any] | None = None, benchmark: str = "emer 1") -> EvalRun:
    card: dict[str, Any] = {
        "benchmark": {"name": benchmark.split()[0], "primary": "clue_overlap", "limit": 5, "cases": 5,
                      "file_problems": [{"what": "few clips", "count": 2}], "ask": {"instruction": "Why?"}},
        "system": {"settings": {"system": "reader"}}, "judge": judge, "problems": {"no face": 3},
    }  # fmt: skip
    result = EvalResult(benchmark, name, parser, (Metric("clue_overlap", 7.25, 6.5, 8.0),), {"cases": 5})
    return EvalRun(name, (result,), card, (SampleRow("c0", None, None, {}, {parser: {"clue_overlap": 7.25}}),))


JUDGE = {"judge": "j", "scale": "1-10", "votes": 1}


def test_one_table_has_one_judge() -> None:
    same = report_of([run("a", judge=JUDGE), run("b", judge=dict(JUDGE))], num_resamples=5)
    assert len(same[0].comparisons) == 1
    other = {**JUDGE, "scale": "0-10"}
    with pytest.raises(InputError, match="emer 1: a and b"):
        report_of([run("a", judge=JUDGE), run("b", judge=other)])
    report_of([run("a", judge=JUDGE), run("b", judge=other, benchmark="emer 2")])  # not the same table
    # A judge who was asked for nothing in the table does not count.
    report_of([run("a", judge=JUDGE), run("b", parser="offline", judge=other)], num_resamples=5)


def test_judged_figures_are_printed_as_they_are() -> None:
    report = report_of([run("a", judge=JUDGE)])
    text = render_report_text(report)
    assert re.search(r"a \(judge\) +7\.25", text)
    assert "7.25 [6.5, 8.0]" in text
    assert re.search(r"Emotion-LLaMA +7\.83", text)
    assert "gpt-3.5-turbo-16k-0613" in text
    flat = " ".join(text.split())
    assert "the first 5 cases only: not comparable with figures over all" in flat
    assert "files: few clips (2 times)" in flat
    assert "judge: j, scale 1-10, 1 vote(s) a pair" in flat
    assert "no published row has the same judge" in flat
    assert "a: 3 x no face" in flat


def test_runs_of_one_name_are_numbered_and_benchmarks_kept_apart() -> None:
    report = report_of([run("a", judge=JUDGE), run("a", judge=JUDGE), run("a", judge=JUDGE, benchmark="emer 2")])
    assert [section.benchmark for section in report] == ["emer 1", "emer 2"]
    assert [result.model for result in report[0].own] == ["a #1", "a #2"]
    with pytest.raises(InputError, match="there are no runs to report"):
        report_of([])


def test_runs_without_labels_are_not_compared_and_it_is_said() -> None:
    first, second = (replace(run(name, parser="offline"), rows=()) for name in "ab")
    section = report_of([first, second])[0]
    assert section.not_compared == (
        "a and b: paired tests are made of labels and of judged scores; compare the intervals instead",
    )
    assert "not compared: a and b" in " ".join(render_report_text((section,)).split())


def test_what_all_runs_share_is_said_once() -> None:
    assert by_sentence({"a": ["x", "y"], "b": ["x"]}) == [("all runs", "x"), ("a", "y")]
    assert by_sentence({"a": ["x"]}) == [("a", "x")]


def test_the_two_rows_whose_uar_is_no_mean_are_named() -> None:
    """All other printed UARs are the mean of their row's seven recalls, up to rounding."""
    lines = [line for name in ("dfew_zero_shot", "dfew_fine_tuned") for line in published_tables()[name]["checks"]]
    wrong = [line for line in lines if "is not the mean" in line]
    assert len(wrong) == 2
    for line in wrong:
        system, printed, recomputed = re.search(
            r", (.+): the printed UAR ([\d.]+) is not .*\(([\d.]+)\)", line
        ).groups()  # type: ignore[union-attr]
        table = next(
            t
            for t in published_tables().values()
            if t["benchmark"] == "dfew" and system in t["rows"] and t["name"] in line
        )
        recalls = [v for name, v in zip(table["figures"], table["rows"][system]) if name.startswith("recall/")]
        assert float(recomputed) == pytest.approx(sum(recalls) / 7, abs=0.005)
        assert abs(float(printed) - sum(recalls) / 7) > 0.02
    assert "checks" not in published_tables()["emer"]


def test_a_row_shows_its_figures() -> None:
    assert shown(Metric("ece", 0.125)) == "12.50"
    assert shown(Metric("log_loss", 1.5)) == "1.50"
    assert shown(Metric("uar", 0.5, 0.4, 0.6), with_interval=True) == "50.00 [40.0, 60.0]"


# --- MER-UniBench ---------------------------------------------------------------------------------------------------


def unibench_run(card: Mapping[str, Any], name: str, value: float, system: str = "ours") -> EvalRun:
    figures = (Metric("hit", value, value - 0.1, value + 0.1),)
    result = EvalResult(f"unibench-{name} 1", system, "tolerant", figures, {"cases": 3})
    about = {**card["benchmark"], "name": f"unibench-{name}", "primary": "hit"}
    return EvalRun(system, (result,), {**card, "benchmark": about}, ())


def test_nine_sets_have_a_mean_beside_the_published_ones(mer2023: tuple[Section, ...]) -> None:
    card = mer2023[0].cards["happy"]
    runs = [unibench_run(card, name, i / 10) for i, name in enumerate(SETS)]
    report = report_of([*runs, unibench_run(card, "meld", 0.9, "other")], num_resamples=5)
    section = report[-1]
    assert section.columns == ("mean", *SETS)
    ours, other, *printed = section.results
    assert ours.metric("mean").value == pytest.approx(0.4)
    assert (ours.metric("meld").value, ours.metric("meld").high) == (0.2, pytest.approx(0.3))
    assert "mean" not in metrics_of(other)
    assert {row.model: shown(row.metric("mean")) for row in printed}["AffectGPT"] == "74.77"
    told = " ".join(render_report_text(report).split())
    assert "ours (tolerant) 40.00" in told
    assert "other (tolerant): no mean: MER-UniBench's mean is over nine sets; missing: mer2023, mer2024," in told
    assert "40.00" in render_markdown(report).partition("## MER-UniBench")[2]
    page = render_evaluation_page(report).partition("MER-UniBench: primary")[2]
    assert "40.00" in page


def test_one_set_alone_is_no_unibench(mer2023: tuple[Section, ...]) -> None:
    report = report_of([unibench_run(mer2023[0].cards["happy"], "meld", 0.5)], num_resamples=5)
    assert [section.benchmark for section in report] == ["unibench-meld 1"]
