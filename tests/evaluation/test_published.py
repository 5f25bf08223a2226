"""Published rows, and what their own arithmetic says of them."""

import math

import pytest

from emotion_llama.evaluation.report import (
    Published,
    published_for,
    published_results,
    published_tables,
)
from emotion_llama.evaluation.tasks import BENCHMARKS
from emotion_llama.evaluation.tasks.dfew import CLASS_SIZES


def test_every_table_belongs_to_a_benchmark_and_says_where_it_is_printed() -> None:
    for table in published_tables().values():
        assert table["benchmark"] in {*BENCHMARKS, "unibench"}
        assert table["source"]
        assert table["notes"]
        assert all(len(row) == len(table["figures"]) for row in table["rows"].values())


def test_figures_are_on_the_scale_of_results() -> None:
    tables = published_tables()

    def value(table: str, model: str, metric: str) -> float:
        return next(row for row in published_results(tables[table]) if row.model == model).metric(metric).value

    assert value("mer2023_semi", "Emotion-LLaMA [A,V,T]", "weighted_f1") == 0.9036
    assert value("mer2024_noise", "Emotion-LLaMA", "weighted_f1") == 0.8452
    assert value("emer", "Emotion-LLaMA", "clue_overlap") == 7.83
    assert value("dfew_zero_shot", "Emotion-LLaMA, zero-shot", "accuracy") == pytest.approx(0.5937)
    assert value("dfew_zero_shot", "GPT-4V, zero-shot", "recall/disgust") == pytest.approx(0.1034)
    assert value("mer2024_ov", "Emotion-LLaMA", "gain_over_gpt4v_percent") == 8.52
    assert len(tables["emer"]["rows"]) == len(tables["mer2023_semi"]["rows"]) == 7
    assert len(tables["dfew_zero_shot"]["rows"]) + len(tables["dfew_fine_tuned"]["rows"]) == 15


def test_rows_of_one_name_say_their_setting() -> None:
    """DFEW's report had two rows called Emotion-LLaMA, 45.59 and 64.21."""
    names = [row.model for table in published_for("dfew") for row in published_results(table)]
    assert [name for name in names if "Emotion-LLaMA" in name] == [
        "Emotion-LLaMA, zero-shot",
        "Emotion-LLaMA, fine-tuned",
    ]
    assert len(set(names)) == len(names) == 15


def printed(table: Published, model: str, metric: str) -> float:
    return float(table["rows"][model][table["figures"].index(metric)])


def recomputed(table: Published) -> dict[str, tuple[float, float]]:
    """UAR and WAR of every row from its recalls: their mean, and their mean weighted by class size."""
    labels = [name.removeprefix("recall/") for name in table["figures"] if name.startswith("recall/")]
    recalls = {model: [printed(table, model, f"recall/{label}") for label in labels] for model in table["rows"]}
    sizes = [CLASS_SIZES[label] for label in labels]
    return {m: (sum(row) / 7, sum(map(math.prod, zip(row, sizes))) / sum(sizes)) for m, row in recalls.items()}


def test_two_rows_print_a_uar_that_is_not_the_mean_of_their_recalls() -> None:
    """Rounding of seven recalls and of their mean to two places each can move a mean by 0.005 + 0.005."""
    wrong = {}
    for name in ("dfew_zero_shot", "dfew_fine_tuned"):
        table = published_tables()[name]
        of_table = {m: uar for m, (uar, _) in recomputed(table).items() if abs(printed(table, m, "uar") - uar) > 0.0101}
        wrong |= {(name, model): uar for model, uar in of_table.items()}
        *differing, others = table["checks"]
        assert differing == [
            f"{name}, {model}: the printed UAR {printed(table, model, 'uar'):.2f} is not the mean of the printed "
            f"recalls ({uar:.2f})"
            for model, uar in of_table.items()
        ]
        assert f"the other {len(table['rows']) - len(of_table)} rows" in others
    # By hand: (37.09 + 26.97 + 27.18 + 58.85 + 12.97 + 0 + 3.31) / 7 = 166.37 / 7, printed 20.78; 333.32 / 7, 47.69.
    assert wrong == {
        ("dfew_zero_shot", "Video-LLaVA(image)"): pytest.approx(166.37 / 7),
        ("dfew_zero_shot", "GPT-4V"): pytest.approx(333.32 / 7, abs=0.01),
    }


def test_every_printed_war_is_the_mean_weighted_by_class_sizes() -> None:
    # Sizes are those of all folds; a fold's own differ by a clip, and the printed figures are rounded.
    for name in ("dfew_zero_shot", "dfew_fine_tuned"):
        table = published_tables()[name]
        for system, (_, war) in recomputed(table).items():
            assert war == pytest.approx(printed(table, system, "accuracy"), abs=0.07), system
    _, ours = recomputed(published_tables()["dfew_zero_shot"])["Emotion-LLaMA"]
    by_hand = (71.98 * 2445 + 76.25 * 1894 + 61.99 * 2669 + 71.95 * 2173 + 33.67 * 1469 + 0 * 145 + 3.31 * 902) / 11697
    assert ours == pytest.approx(by_hand)
    assert round(by_hand, 2) == 59.39


def test_the_mean_of_nine_sets_is_the_printed_mean() -> None:
    for row in published_tables()["mer_unibench"]["rows"].values():
        assert sum(row[:9]) / 9 == pytest.approx(row[9], abs=0.0051)


def test_tables_of_a_benchmark() -> None:
    assert [table["name"] for table in published_for("dfew")] == ["dfew_zero_shot", "dfew_fine_tuned"]
    assert [table["name"] for table in published_for("unibench-meld")] == ["mer_unibench"]
    assert published_for("csv") == []
