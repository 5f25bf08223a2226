"""Model text -> label: the published rule with its faults, and the tolerant parser on what models really write."""

import pytest

from emotion_llama.labels import DFEW7, MER6, MERR9, LabelSpace
from emotion_llama.prompts.answer_parser import parse_tolerant, parse_upstream

# The published rule: text.split(" ")[-1], exact and case-sensitive, "neutral" otherwise.
UPSTREAM = [
    ("happy", "happy"),
    ("the person is happy", "happy"),
    ("worried", "worried"),
    ("i feel  surprise", "surprise"),
    ("happy.", "neutral"),
    ("Happy", "neutral"),
    ("happy ", "neutral"),
    ("the emotion is\nhappy", "neutral"),
    ("fear", "neutral"),
    ("contempt", "neutral"),
    ("doubt", "neutral"),
    ("", "neutral"),
    ("I cannot label a person's emotions", "neutral"),
    ("happy because of the smile", "neutral"),
    ("not angry", "angry"),
]


@pytest.mark.parametrize(("text", "label"), UPSTREAM)
def test_upstream(text: str, label: str) -> None:
    prediction = parse_upstream(text, model="m")
    assert prediction.label == label
    assert prediction.probabilities is None
    assert prediction.problem is None
    assert prediction.raw_text == text
    assert prediction.model == "m"
    assert repr(text.split(" ")[-1]) in prediction.reasoning


FOUND = [
    # One word, however written.
    ("happy", "happy"),
    ("Happy.", "happy"),
    (" SURPRISED! ", "surprise"),
    ('"contempt"', "contempt"),
    ("'Doubt'", "doubt"),
    ("**Worried**", "worried"),
    ("anxiety", "worried"),
    ("</s> sad </s>", "sad"),
    ("[/INST] angry<unk>", "angry"),
    # JSON, fenced or beside prose, and its relatives.
    ('{"label": "fear", "reason": "not happy at all"}', "fear"),
    ('```json\n{"emotion": "Surprised", "confidence": 0.8}\n```', "surprise"),
    ('Here you are: {"Predicted Emotion": "sadness"} Hope this helps, be happy!', "sad"),
    ("{'label': 'happy', 'reason': 'a smile'}", "happy"),
    ("<think>Could be sad.</think><answer>angry</answer>", "angry"),
    ("<think>sad or happy?</think>The person is happy.", "happy"),
    ("<answer>Neutral", "neutral"),
    # After a marker, with the reasons behind it.
    ("Emotion: angry (not sad)", "angry"),
    ("Label: happy. The eyes are not sad.", "happy"),
    ("The emotion is happy because her eyes are wide, not sad", "happy"),
    ("The emotional state of the person is not happy but sad.", "sad"),
    ("First the label is sad. On second thought, the final label is worried.", "worried"),
    ("His face is tense. **Angry** fits best. He is far from sad.", "angry"),
    ("Happy. She smiles although she was sad before.", "happy"),
    # Prose, the conclusion last.
    ("the person in the video frowns and speaks loudly therefore the person feels angry", "angry"),
    ("He looks sad at first. Then he smiles and is happy.", "happy"),
    ("She doesn't look happy. She looks worried", "worried"),
    ("The smile suggests happiness.", "happy"),
    ("He speaks angrily.", "angry"),
    ("An expression of disdain.", "contempt"),
    # Denied.
    ("The person is not angry but sad.", "sad"),
    ("He is neither sad nor angry, just neutral.", "neutral"),
    ("There are no signs of anger; the face shows fear.", "fear"),
    ("Sad rather than angry.", "sad"),
    ("She seems doubtful, without any fear or anger.", "doubt"),
    ("No doubt he is happy.", "happy"),
    ("I'm afraid the person is sad.", "sad"),
    ("Not only sad, she is angry.", "angry"),
    ("It isn't sad or angry, it is contempt.", "contempt"),
    # Conceded.
    ("The person is happy, although his eyes look sad.", "happy"),
    ("While he smiles happily, he is sad.", "sad"),
    ("Despite the sad music the man is happy", "happy"),
    # Together: the first of a list.
    ("sad and worried", "sad"),
    ("The person feels angry, sad and worried.", "angry"),
    ("Label: surprise mixed with fear", "surprise"),
    # A hedge or an apology with an answer is an answer.
    ("I'm sorry, but the person appears happy.", "happy"),
    ("I cannot say for certain, but she seems surprised.", "surprise"),
    ("As an AI I have no feelings. The person looks sad.", "sad"),
    # The instruction repeated, then the answer.
    ("From neutral, angry, happy, sad, worried, surprise, fear, contempt and doubt I choose. It is fear.", "fear"),
]

NOT_FOUND = [
    ("", "the answer is empty"),
    ("  \n </s>", "the answer is empty"),
    ("<think>The person is happy.</think>", "the answer is empty"),
    ("I cannot determine the emotion of a person.", "the answer is a refusal"),
    ("It is not ethical to label someone's emotions.", "the answer is a refusal"),
    ("It is not ethical or appropriate to label someone as sad or angry.", "the answer is a refusal"),
    ("I'm sorry, I can't help with that.", "the answer is a refusal"),
    ("As an AI language model, I am unable to recognize emotions such as happiness.", "the answer is a refusal"),
    ("He seems happy or surprised.", "the answer is undecided between 'happy' and 'surprise'"),
    ("Label: sad/angry", "the answer is undecided between 'sad' and 'angry'"),
    ("He isn't happy.", "the answer only says what it is not: 'happy'"),
    ("The man sits at a table.", "the answer names no label of merr9"),
    ("neutral, angry, happy, sad, worried, surprise, fear, contempt, doubt", "the answer names no label of merr9"),
    ("disgusted", "the answer names 'disgusted', which is not a label of merr9"),
    ('{"label": "bored", "reason": "not happy"}', "the answer names no label of merr9"),
    ('{"label": "disgust", "reason": "he is angry"}', "the answer names 'disgust', which is not a label of merr9"),
]


def test_number_of_cases() -> None:
    assert (len(UPSTREAM), len(FOUND), len(NOT_FOUND)) == (15, 48, 16)


@pytest.mark.parametrize(("text", "label"), FOUND)
def test_tolerant_finds(text: str, label: str) -> None:
    prediction = parse_tolerant(text)
    assert (prediction.label, prediction.problem) == (label, None)
    assert prediction.probabilities is None
    assert prediction.raw_text == text


@pytest.mark.parametrize(("text", "problem"), NOT_FOUND)
def test_tolerant_says_why_there_is_none(text: str, problem: str) -> None:
    prediction = parse_tolerant(text)
    assert prediction.label is None
    assert prediction.problem == problem
    assert prediction.raw_text == text


@pytest.mark.parametrize("space", [MERR9, MER6, DFEW7])
def test_every_label_is_found_by_its_name(space: LabelSpace) -> None:
    for label in space.labels:
        assert parse_tolerant(label, space).label == label
        assert parse_tolerant(f"The person in the video is feeling {label}.", space).label == label


def test_label_space_decides_what_counts() -> None:
    assert parse_tolerant("disgusted", DFEW7).label == "disgust"
    assert parse_tolerant("fear", MER6).problem == "the answer names 'fear', which is not a label of mer6"


def test_reasoning_comes_along() -> None:
    text = '{"label": "happy", "reasoning": "raised cheeks"}'
    assert parse_tolerant(text).reasoning == "raised cheeks"
    assert parse_tolerant("Her cheeks are raised. She is happy.").reasoning == "Her cheeks are raised. She is happy."


@pytest.mark.parametrize(
    "text",
    [
        "{happy}",
        "[1, 2] happy",
        '{"a": {"label": 1}} happy',
        "}{ happy",
        '{"a":' * 100_000 + "}" * 100_000 + " happy",
        '{"a": ' + "9" * 5000 + "} happy",
    ],
    ids=["word", "list", "nested", "turned", "deep", "long number"],
)
def test_braces_that_hold_no_answer_do_not_hurt(text: str) -> None:
    assert parse_tolerant(text).label == "happy"


@pytest.mark.timeout(20)
def test_model_stuck_on_one_word_is_read_quickly() -> None:
    # 20,000 repetitions took a minute when each looked back over all before it.
    assert parse_tolerant("happy " * 20_000).label == "happy"
    assert parse_tolerant("not happy or " * 10_000).label is None


def test_parsers_differ_where_the_published_one_is_wrong() -> None:
    # The text that the published rule turns into "neutral" names a label all the same.
    hidden = [text for text, label in UPSTREAM if label == "neutral" and parse_tolerant(text).label is not None]
    assert hidden == [
        "happy.", "Happy", "happy ", "the emotion is\nhappy", "fear", "contempt", "doubt", "happy because of the smile",
    ]  # fmt: skip
