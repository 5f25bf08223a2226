"""The stub: the same question, the same answer; failures in the shares it was told."""

import pickle
from collections import Counter
from dataclasses import replace

import pytest

from emotion_llama.chat.questions import TASKS, Facts, Language, Question, Task
from emotion_llama.chat.records import Answer
from emotion_llama.errors import AnnotationError
from emotion_llama.labels import MERR9
from emotion_llama.merr.annotators import Annotator, load_annotator, question_hash
from emotion_llama.records import Tone
from emotion_llama.results import Evidence

FACTS = Facts(label="sad", clues={"audio_tone": "a low voice", "subtitle": "Oh."}, text="The person is sad.")


def stub(**options: object) -> Annotator:
    return load_annotator({"name": "stub", **options})


def questions(task: Task = "visual", count: int = 1, language: Language = "en") -> list[Question]:
    return [Question(task, language, FACTS, labels=MERR9.labels, variant=i) for i in range(count)]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("language", ["en", "zh"])
def test_answers_pass_the_checks_of_every_task_and_language(task: Task, language: Language) -> None:
    outcomes = stub().answer(questions(task, 20, language))
    assert all(isinstance(outcome, Answer) and outcome.model == "stub 1" for outcome in outcomes)
    assert [o.values for o in stub().answer(questions(task, 20, language))] == [o.values for o in outcomes]  # type: ignore[union-attr]
    if task in ("visual", "audio"):
        assert len({str(dict(o.values)) for o in outcomes}) > 1  # type: ignore[union-attr]


def test_reasons_end_with_the_label() -> None:
    (answer,) = stub().answer(questions("reason"))
    assert isinstance(answer, Answer)
    assert answer.values["label"] == "sad"
    assert str(answer.values["text"]).endswith("The person feels sad.")
    assert answer.values["supporting"] == ["audio tone: a low voice", "subtitle: Oh."]
    (blind,) = stub().answer([Question("reason", "zh", Facts(), labels=("fear",))])
    assert isinstance(blind, Answer)
    assert str(blind.values["text"]).endswith("因此这个人感到恐惧。")


def test_failures_come_in_their_shares() -> None:
    failures = {"refused": 0.2, "timeout": 0.3}
    outcomes = stub(failures=failures).answer(questions(count=1000))
    kinds = Counter(outcome.kind if isinstance(outcome, AnnotationError) else "answer" for outcome in outcomes)
    assert set(kinds) == {"refused", "timeout", "answer"}
    # Four standard deviations of a binomial of 1000.
    for kind, share in (("refused", 0.2), ("timeout", 0.3), ("answer", 0.5)):
        assert abs(kinds[kind] - 1000 * share) < 4 * (1000 * share * (1 - share)) ** 0.5
    again = stub(failures=failures).answer(questions(count=1000)[::-1])[::-1]
    assert [type(o) for o in again] == [type(o) for o in outcomes]
    other = stub(seed="x", failures=failures).answer(questions(count=1000))
    assert [type(o) for o in other] != [type(o) for o in outcomes]


def test_settings_and_tasks() -> None:
    found = stub(seed="s", tasks=["audio"])
    assert found.settings == {"annotator": "stub", "model": "stub 1", "seed": "s", "failures": {}}
    assert found.tasks == {"audio"}
    assert pickle.loads(pickle.dumps(found)).settings == found.settings


def test_everything_that_a_question_shows_changes_its_hash() -> None:
    base = Question("reason", "en", FACTS, b"p", b"s", MERR9.labels, 3)
    changed = [
        base,
        replace(base, task="check"),
        replace(base, language="zh"),
        replace(base, picture_png=b"q"),
        replace(base, sound_wav=None),
        replace(base, labels=("sad",)),
        replace(base, variant=4),
        *(replace(base, facts=replace(FACTS, **one)) for one in (
            {"label": None}, {"clues": {}}, {"why_missing": {"x": "y"}}, {"peak_units": {"AU01": 1.0}}, {"text": "t"},
            {"evidence": Evidence(tone=Tone("calm", {}))},
        )),
    ]  # fmt: skip
    assert len({question_hash(question) for question in changed}) == len(changed)
    assert question_hash(base) == question_hash(replace(base))
