"""Published rows, and what their own arithmetic says of them."""

from pathlib import Path

import pytest

from emotion_llama.errors import InputError
from emotion_llama.evaluation.benchmarks import BENCHMARKS
from emotion_llama.evaluation.benchmarks.dfew import CLASS_SIZES
from emotion_llama.evaluation.published import check_recalls, published_for, published_tables, read_published


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
    checks = {
        (name, check.system): check
        for name in ("dfew_zero_shot", "dfew_fine_tuned")
        for check in check_recalls(published_tables()[name], CLASS_SIZES)
    }
    wrong = {key for key, check in checks.items() if not check.uar_is_mean}
    assert wrong == {("dfew_zero_shot", "Video-LLaVA(image)"), ("dfew_zero_shot", "GPT-4V")}
    # By hand: (37.09 + 26.97 + 27.18 + 58.85 + 12.97 + 0 + 3.31) / 7 = 166.37 / 7, printed 20.78; 333.32 / 7, 47.69.
    assert checks["dfew_zero_shot", "Video-LLaVA(image)"].recomputed_uar == pytest.approx(166.37 / 7)
    assert checks["dfew_zero_shot", "GPT-4V"].recomputed_uar == pytest.approx(333.32 / 7, abs=0.01)


def test_every_printed_war_is_the_mean_weighted_by_class_sizes() -> None:
    # Sizes are those of all folds; a fold's own differ by a clip, and the printed figures are rounded.
    for name in ("dfew_zero_shot", "dfew_fine_tuned"):
        for check in check_recalls(published_tables()[name], CLASS_SIZES):
            assert check.recomputed_war == pytest.approx(check.war, abs=0.07), check.system
    ours = {c.system: c for c in check_recalls(published_tables()["dfew_zero_shot"], CLASS_SIZES)}["Emotion-LLaMA"]
    by_hand = (71.98 * 2445 + 76.25 * 1894 + 61.99 * 2669 + 71.95 * 2173 + 33.67 * 1469 + 0 * 145 + 3.31 * 902) / 11697
    assert ours.recomputed_war == pytest.approx(by_hand)
    assert round(by_hand, 2) == 59.39


def test_the_mean_of_nine_sets_is_the_printed_mean() -> None:
    for row in published_tables()["mer_unibench"].rows.values():
        assert sum(row[:9]) / 9 == pytest.approx(row[9], abs=0.0051)


def test_tables_of_a_benchmark() -> None:
    assert [table.name for table in published_for("dfew")] == ["dfew_zero_shot", "dfew_fine_tuned"]
    assert [table.name for table in published_for("unibench-meld")] == ["mer_unibench"]
    assert published_for("csv") == []


def test_files_of_another_form(tmp_path: Path) -> None:
    path = tmp_path / "published.yaml"
    table = (
        "tables:\n  - {name: a, benchmark: csv, figures: [uar, accuracy], scale: 1, source: b, notes: [c], rows: %s}\n"
    )
    path.write_text(table % "{x: [0.5, 0.5]}")
    assert read_published(path)["a"].value("x", "uar") == 0.5
    path.write_text(table % "{x: [0.5]}")
    with pytest.raises(InputError, match="the row x of a has not 2 figures"):
        read_published(path)
    path.write_text(table % "{x: [half, half]}")
    with pytest.raises(InputError, match=r"published\.yaml: .*rows"):
        read_published(path)


def test_refusals() -> None:
    tables = published_tables()
    with pytest.raises(InputError, match="no figure 'uar' of 'GPT-5'"):
        tables["dfew_zero_shot"].value("GPT-5", "uar")
    with pytest.raises(InputError, match="emer has no recalls by class"):
        check_recalls(tables["emer"], CLASS_SIZES)
    with pytest.raises(InputError, match="same classes"):
        check_recalls(tables["dfew_zero_shot"], {"happy": 1})
