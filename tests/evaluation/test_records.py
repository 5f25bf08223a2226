"""Records of an evaluation refuse what cannot be."""

import pytest

from emotion_llama.errors import InputError
from emotion_llama.evaluation.records import EvalResult, Metric


def test_figures_are_found_by_name() -> None:
    result = EvalResult("mer2023-semi 1", "rules", "likelihood", (Metric("f1", 0.5),), {"cases": 2})
    assert result.metric("f1").value == 0.5
    with pytest.raises(InputError, match=r"no metric 'uar' \(there are: f1\)"):
        result.metric("uar")
