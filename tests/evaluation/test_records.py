"""Records of an evaluation refuse what cannot be."""

import pytest

from emotion_llama.errors import InputError
from emotion_llama.evaluation.records import EvalResult, Metric, Output, Truth


def test_a_truth_is_one_thing() -> None:
    assert Truth(sentiment=0.0).sentiment == 0.0
    with pytest.raises(InputError, match="got 0 of them"):
        Truth()
    with pytest.raises(InputError, match="got 2 of them"):
        Truth(label="sad", words=("sad",))


def test_a_reply_is_an_answer_or_a_problem() -> None:
    assert Output("a", text="").text == ""
    with pytest.raises(InputError, match="the output for a is an answer, or a problem"):
        Output("a")
    with pytest.raises(InputError, match="the output for a is an answer, or a problem"):
        Output("a", probabilities={"sad": 1.0}, problem="no face")


def test_figures_are_found_by_name() -> None:
    result = EvalResult("mer2023-semi 1", "rules", "likelihood", (Metric("f1", 0.5),), {"cases": 2})
    assert result.metric("f1").value == 0.5
    with pytest.raises(InputError, match=r"no metric 'uar' \(there are: f1\)"):
        result.metric("uar")
