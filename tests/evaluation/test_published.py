"""Published rows, and what their own arithmetic says of them."""

import pytest

from emotion_llama.errors import InputError
from emotion_llama.evaluation.published import ROUNDING, published_for, published_tables, recomputed
from emotion_llama.evaluation.tasks import BENCHMARKS
from emotion_llama.evaluation.tasks.dfew import CLASS_SIZES


def test_every_table_belongs_to_a_benchmark_and_says_where_it_is_printed() -> None:
    for table in published_tables().values():
        assert table.benchmark in {*BENCHMARKS, "unibench"}
        assert table.source
        assert table.notes
        assert table.rows


def test_figures_are_on_the_scale_of_results() -> None:
    tables = published_tables()
    assert tables["mer2023_semi"].value("Emotion-LLaMA [A,V,T]", "weighted_f1") == 0.9036
    assert tables["mer2024_noise"].value("Emotion-LLaMA", "weighted_f1") == 0.8452
    assert tables["emer"].value("Emotion-LLaMA", "clue_overlap") == 7.83
    assert tables["dfew_zero_shot"].value("Emotion-LLaMA", "accuracy") == pytest.approx(0.5937)
    assert tables["dfew_zero_shot"].value("GPT-4V", "recall/disgust") == pytest.approx(0.1034)
    assert tables["mer2024_ov"].value("Emotion-LLaMA", "gain_over_gpt4v_percent") == 8.52
    assert len(tables["emer"].rows) == len(tables["mer2023_semi"].rows) == 7
    assert len(tables["dfew_zero_shot"].rows) + len(tables["dfew_fine_tuned"].rows) == 15


def test_two_rows_print_a_uar_that_is_not_the_mean_of_their_recalls() -> None:
    wrong = {}
    for name in ("dfew_zero_shot", "dfew_fine_tuned"):
        table = published_tables()[name]
        for system, (uar, _) in recomputed(table, CLASS_SIZES).items():
            if abs(100 * table.value(system, "uar") - uar) >= ROUNDING:
                wrong[name, system] = uar
    # By hand: (37.09 + 26.97 + 27.18 + 58.85 + 12.97 + 0 + 3.31) / 7 = 166.37 / 7, printed 20.78; 333.32 / 7, 47.69.
    assert wrong == {
        ("dfew_zero_shot", "Video-LLaVA(image)"): pytest.approx(166.37 / 7),
        ("dfew_zero_shot", "GPT-4V"): pytest.approx(333.32 / 7, abs=0.01),
    }


def test_every_printed_war_is_the_mean_weighted_by_class_sizes() -> None:
    # Sizes are those of all folds; a fold's own differ by a clip, and the printed figures are rounded.
    for name in ("dfew_zero_shot", "dfew_fine_tuned"):
        table = published_tables()[name]
        for system, (_, war) in recomputed(table, CLASS_SIZES).items():
            assert war == pytest.approx(100 * table.value(system, "accuracy"), abs=0.07), system
    _, ours = recomputed(published_tables()["dfew_zero_shot"], CLASS_SIZES)["Emotion-LLaMA"]
    by_hand = (71.98 * 2445 + 76.25 * 1894 + 61.99 * 2669 + 71.95 * 2173 + 33.67 * 1469 + 0 * 145 + 3.31 * 902) / 11697
    assert ours == pytest.approx(by_hand)
    assert round(by_hand, 2) == 59.39


def test_the_mean_of_nine_sets_is_the_printed_mean() -> None:
    for row in published_tables()["mer_unibench"].rows.values():
        assert sum(row[:9]) / 9 == pytest.approx(row[9], abs=0.0051)


def test_tables_of_a_benchmark() -> None:
    assert [table.name for table in published_for("dfew")] == ["dfew_zero_shot", "dfew_fine_tuned"]
    assert [table.name for table in published_for("unibench-meld")] == ["mer_unibench"]
    assert published_for("csv") == []


def test_refusals() -> None:
    tables = published_tables()
    with pytest.raises(InputError, match="no figure 'uar' of 'GPT-5'"):
        tables["dfew_zero_shot"].value("GPT-5", "uar")
    with pytest.raises(InputError, match="emer has no recalls by class"):
        recomputed(tables["emer"], CLASS_SIZES)
    with pytest.raises(InputError, match="same classes"):
        recomputed(tables["dfew_zero_shot"], {"happy": 1})
