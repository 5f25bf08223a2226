"""Judges: what a reply's score is, votes, words and groups, what is kept, and a run of descriptions with failures."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from emotion_llama.chat.model import ScriptedChatModel, load_chat
from emotion_llama.chat.records import ChatRequest
from emotion_llama.errors import AnnotationError, InputError
from emotion_llama.evaluation.cache import JsonlCache
from emotion_llama.evaluation.judges import SCALES, Judge, load_judge, parse_score
from emotion_llama.evaluation.models import load_model
from emotion_llama.evaluation.run import evaluate
from emotion_llama.evaluation.tasks import load_benchmark
from emotion_llama.prompts.prompt_files import FIELDS, load_prompt, prompt_hashes

QUICK = 20


# --- scores ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("8/10", 8),
        ("8", 8),
        ("score: 7.5", 7.5),
        ("Score: **8/10**", 8),
        ("**Score**: 8 out of 10", 8),
        ("8; three of 4 clues are shared", 8),
        ("7,5", 7.5),
        ("The overlap score is 6.", 6),
        ("I would give it 7 out of 10, since 2 clues differ.", 7),
        ("8.", 8),
        ("10", 10),
        ("1", 1),
        ("<think>Maybe 3? No.</think>\n9; nearly all", 9),
        ("Rating: 8/10. So the score is 8.", 8),
        ("8分；几乎相同", 8),
    ],
)
def test_what_is_a_score(text: str, score: float) -> None:
    assert parse_score(text, *SCALES["1-10"]) == score


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("1. The clues of A are raised brows.", "holds no score"),
        ("1) Raised brows are shared.", "holds no score"),
        ("3 clues are shared", "holds no score"),
        ("7-8", "holds no score"),
        ("80%", "holds no score"),
        ("They are quite alike.", "holds no score"),
        ("Score: 7. On reflection, score: 8.", r"several scores \(7, 8\)"),
        ("11", "the score is 11, expected one from 1 to 10"),
        ("0", "the score is 0, expected one from 1 to 10"),
        ("-3", "the score is -3"),
        ("80/100", "out of 100"),
        ("", "holds no text"),
        ("<think>I wonder", "holds no text"),
    ],
)
def test_what_is_no_score(text: str, problem: str) -> None:
    """The published code reads the first digits of whatever comes: a list's "1." would be the lowest score."""
    with pytest.raises(AnnotationError, match=problem):
        parse_score(text, *SCALES["1-10"])


def test_the_scale_has_a_name() -> None:
    assert parse_score("0", *SCALES["0-10"]) == 0
    with pytest.raises(InputError, match=r"no scale '1-5' \(there are: 1-10, 0-10\)"):
        Judge(Scripted(lambda text: "1"), "j", scale="1-5")


# --- a judge --------------------------------------------------------------------------------------------------------


class Scripted(ScriptedChatModel):
    """A chat model of a function from the question's text to the reply, or the error; asks again once."""

    def __init__(self, told: Callable[[str], str | AnnotationError], temperature: float = 0.0) -> None:
        self.asked: list[str] = []

        def reply(request: ChatRequest, problem: str | None) -> str | AnnotationError:
            self.asked.append(request.user if problem is None else f"{request.user}\n{request.again(problem)}")
            return told(self.asked[-1])

        super().__init__(reply, temperature=temperature)


def test_clues_are_rated_with_both_texts_and_the_scale() -> None:
    chat = Scripted(lambda text: "8; alike")
    judge = Judge(chat, "j", scale="0-10")
    (verdict,) = judge.judge("clue_overlap", [("She frowns {a lot}.", "He smiles.")])
    assert verdict == (8.0, ("8; alike",), None)
    (text,) = chat.asked
    assert "She frowns {a lot}." in text
    assert "He smiles." in text
    assert "from 0 to 10" in text
    assert judge.settings["scale"] == "0-10"
    assert judge.settings["chat"]["temperature"] == 0.0  # type: ignore[index]
    assert set(judge.settings["prompts"]) == set(FIELDS["judge"])  # type: ignore[call-overload]


def test_labels_are_rated_as_lists_of_words() -> None:
    def told(text: str) -> str:
        if "JSON list of lower-case words" in text:
            return '["Sad", "sad"]' if "She weeps." in text else "[]"
        return "3; not the same"

    chat = Scripted(told)
    ((score, _, _),) = Judge(chat, "j").judge("label_overlap", [("She weeps.", "Who knows.")])
    assert score == 3
    assert "List A, the reference: sad\n" in chat.asked[-1]
    assert "List B, to be judged: none\n" in chat.asked[-1]
    broken = Scripted(lambda text: "sad")
    (failed,) = Judge(broken, "j").judge("label_overlap", [("She weeps.", "Who knows.")])
    # Two texts, each asked twice.
    assert failed == (None, ("sad",) * 4, "malformed: the reply is no JSON list (words of a text)")


def test_the_median_of_several_votes_counts() -> None:
    replies = iter(["9", "2", "x", "4", "x"])  # the third vote is asked once more at the end
    judge = Judge(Scripted(lambda text: next(replies), temperature=0.7), "j", votes=4)
    # The median of 9, 2 and 4; the third vote counts as none.
    assert judge.judge("clue_overlap", [("a", "b")]) == [(4.0, ("9", "2", "x", "x", "4"), None)]
    mostly = iter(["9", *["x"] * 6])
    judge = Judge(Scripted(lambda text: next(mostly), temperature=0.7), "j", votes=4)
    ((score, _, problem),) = judge.judge("clue_overlap", [("a", "b")])
    assert (score, problem) == (None, "malformed: the reply holds no score")
    with pytest.raises(InputError, match="3 votes"):
        Judge(Scripted(lambda text: "1"), "j", votes=3)


def test_verdicts_are_kept_but_those_of_a_busy_server(tmp_path: Path) -> None:
    def told(text: str) -> str | AnnotationError:
        return (
            AnnotationError("overloaded", "HTTP status 503") if "busy" in text else "no score" if "bad" in text else "5"
        )

    pairs = [("good", "x"), ("bad", "x"), ("busy", "x"), ("good", "x")]
    with JsonlCache(tmp_path, "verdicts") as cache:
        first = Scripted(told)
        one = Judge(first, "j", cache=cache).judge("clue_overlap", pairs)
        # The same pair twice is two votes of one question, so that each is asked.
        assert len(first.asked) == 5
    with JsonlCache(tmp_path, "verdicts") as cache:
        second = Scripted(told)
        two = Judge(second, "j", cache=cache).judge("clue_overlap", pairs)
        assert two == one
        assert len(second.asked) == 1
        assert "busy" in second.asked[0]
        third = Scripted(told)
        Judge(third, "j", scale="0-10", cache=cache).judge("clue_overlap", pairs[:1])
        assert len(third.asked) == 1
    assert [score for score, _, _ in one] == [5, None, None, 5]
    assert one[1][1] == ("no score", "no score")


def test_words_groups_and_sentiments() -> None:
    def told(text: str) -> str:
        if "lists" in text:
            return '[["Happy", "joyful"], ["sad"]]' if "joyful" in text.split("\n")[0] else '[["happy"]]'
        if "positive" in text:
            return "Positive." if '"glad"' in text else "unsure"
        return '["glad"]'

    judge = Judge(Scripted(told), "j")
    groups = judge.group_words([["happy", "joyful", "sad"], [], ["angry"]])
    assert groups == [(("happy", "joyful"), ("sad",)), (), None]  # the last names a word that was not asked
    assert judge.sentiments([["glad"], ["odd"]]) == ["positive", None]
    assert judge.extract_words(["x"]) == [("glad",)]
    assert Judge(Scripted(lambda t: "[1]"), "j").extract_words(["x"]) == [None]
    assert Judge(Scripted(lambda t: '["a"]'), "j").group_words([["a"]]) == [None]


# --- by name --------------------------------------------------------------------------------------------------------


def test_judges_by_name(tmp_path: Path) -> None:
    judge = load_judge("openai:big@http://localhost:1/v1", votes=3, temperature=0.5, scale="0-10")
    assert (judge.name, judge.scale) == ("big", "0-10")
    assert judge.settings["votes"] == 3
    with pytest.raises(InputError, match="chat model"):
        load_judge("offline")
    with pytest.raises(InputError, match="no option 'speed'"):
        load_judge("openai:big@http://localhost:1/v1", speed=3)
    chat = load_chat("openai:big@http://localhost:1/v1", {"modalities": ["text", "image"]})
    assert chat.modalities == ("text", "image")


def test_prompts_are_files_with_their_fields(tmp_path: Path) -> None:
    for use in FIELDS:
        for name, fields in FIELDS[use].items():  # type: ignore[index]
            assert load_prompt(use, name).fields == set(fields)  # type: ignore[arg-type]
    (tmp_path / "extract.txt").write_text("[user]\nWords of {answer}, please.\n")
    assert load_prompt("judge", "extract", tmp_path).user == "Words of {answer}, please."
    ours, theirs = prompt_hashes("judge"), prompt_hashes("judge", tmp_path)
    assert {name for name in ours if ours[name] != theirs[name]} == {"extract"}
    with pytest.raises(InputError, match="no judge prompt 'praise'"):
        load_prompt("judge", "praise")
    (tmp_path / "extract.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read as UTF-8 text"):
        load_prompt("judge", "extract", tmp_path)


# --- a run ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def descriptions(tmp_path: Path) -> Path:
    rows = ["name,description"]
    rows += [f"c{i},The brows are raised and the voice is loud. The person is {w}." for i, w in enumerate(
        ["happy", "sad", "angry", "worried"])]  # fmt: skip
    path = tmp_path / "clips.csv"
    path.write_text("\n".join(rows) + "\n")
    answers = ["name,answer", "c0,A smile. The person is happy.", "c1,", "c2,bad", "c3,She is worried."]
    (tmp_path / "p.csv").write_text("\n".join(answers) + "\n")
    return path


def test_descriptions_are_judged_and_failures_counted(descriptions: Path, tmp_path: Path) -> None:
    def told(text: str) -> str:
        if "JSON list of lower-case words" in text:
            return '["happy"]'
        if "to be judged:\nbad" in text:
            return "1. There are no clues."
        return "8/10" if "A smile" in text else "6"

    chat = Scripted(told)
    benchmark, system = load_benchmark("csv", descriptions), load_model(str(tmp_path / "p.csv"))
    run = evaluate(benchmark, system, judge=Judge(chat, "j"), num_resamples=QUICK, out=tmp_path / "run")
    assert run is not None
    judged, offline = run.results
    assert (judged.parser, offline.parser) == ("judge", "offline")
    assert judged.metric("clue_overlap").value == (8 + 6) / 2  # c0 and c3; c2's reply holds no score
    assert judged.metric("label_overlap").value == 6
    counts = judged.counts
    assert (counts["cases"], counts["answered"], counts["unanswered: empty"]) == (4, 3, 1)
    assert counts["judge failed, clue_overlap: malformed"] == 1
    assert "judge failed, clue_overlap: malformed" not in offline.counts
    card: Any = run.card
    assert card["judge"]["judge"] == "j"
    assert {row.sample_id: dict(row.scores) for row in run.rows}["c3"] == {
        "judge": {"clue_overlap": 6.0, "label_overlap": 6.0}
    }
    unjudged = evaluate(benchmark, system, num_resamples=QUICK)
    assert unjudged is not None
    assert [result.parser for result in unjudged.results] == ["offline"]


def test_synonyms_are_grouped_by_the_judge(tmp_path: Path) -> None:
    """G = {happy, proud}, P = {glad}: with happy and glad one group, precision is 1 and recall 1/2."""
    (tmp_path / "clips.csv").write_text('name,words\nc0,"happy, proud"\n')
    (tmp_path / "p.csv").write_text("name,answer\nc0,['glad']\n")

    def told(text: str) -> str:
        words = json.loads('["' + text.split("Words: ")[1].split("\n")[0].replace(", ", '", "') + '"]')
        return json.dumps([[w for w in words if w in ("happy", "glad")], [w for w in words if w == "proud"]])

    benchmark = load_benchmark("csv", tmp_path / "clips.csv")
    run = evaluate(
        benchmark, load_model(str(tmp_path / "p.csv")), judge=Judge(Scripted(told), "j"), num_resamples=QUICK,
        parsers=["upstream"],
    )  # fmt: skip
    assert run is not None
    result = run.results[0]
    assert result.metric("set_accuracy").value == 1.0
    assert result.metric("set_recall").value == 0.5
    assert result.metric("average").value == 0.75


def test_prose_is_reduced_to_words_or_a_sentiment_by_the_judge(tmp_path: Path) -> None:
    """As MER-UniBench scores free answers: c0 is right after the judge has read it, c1 has no text, c2's words fail."""
    (tmp_path / "clips.csv").write_text("name,sentiment\nc0,2.5\nc1,-1\nc2,1\nc3,-3\n")
    (tmp_path / "p.csv").write_text("name,answer\nc0,She beams all over.\nc1,\nc2,bad\nc3,He sulks.\n")

    def told(text: str) -> str:
        if "positive, negative or neutral?" in text:
            return "positive" if "joyful" in text.split("list of words: ")[1].split("\n")[0] else "negative"
        return "?" if "bad" in text else '["joyful"]' if "beams" in text else '["sullen"]'

    run = evaluate(
        load_benchmark("csv", tmp_path / "clips.csv"), load_model(str(tmp_path / "p.csv")), num_resamples=QUICK,
        judge=Judge(Scripted(told), "j"),
    )  # fmt: skip
    assert run is not None
    by_parser = {result.parser: result for result in run.results}
    assert list(by_parser) == ["upstream", "tolerant", "judge"]
    judged = by_parser["judge"]
    assert judged.counts["answered"] == 2
    assert judged.counts["unanswered: failed"] == 1
    assert judged.metric("accuracy").value == 3 / 4  # what is not positive counts as negative, c1's silence too
    assert by_parser["tolerant"].counts["answered"] == 0
