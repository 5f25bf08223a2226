import pytest

from emotion_llama.errors import InputError
from emotion_llama.prompts import SLOTS, Segment, Turn, build_prompt, prompt_from_text, prompt_text

NINE = (
    "Please determine which emotion label in the video represents: "
    "happy, sad, neutral, angry, worried, surprise, fear, contempt, doubt."
)


def test_train_layout_piece_by_piece() -> None:
    assert build_prompt("emotion", words="Oh no.") == (
        Segment("bos"),
        Segment("text", "[INST] <video>"),
        Segment("patches"),
        Segment("text", "</video> <feature>"),
        Segment("face"),
        Segment("temporal"),
        Segment("audio"),
        Segment("global"),
        Segment("text", f"</feature> The person in video says: Oh no..  [emotion] {NINE}  [/INST]"),
    )


def test_released_layout_begins_twice_and_reads_the_placeholder_as_words() -> None:
    assert build_prompt("emotion", words="Oh no.", layout="released") == (
        Segment("bos"),
        Segment("bos"),
        Segment("text", "[INST] <video>"),
        *(Segment(kind) for kind in SLOTS),
        Segment(
            "text",
            f"</video> <feature><FeatureHere></feature> The person in video says: Oh no..  [emotion] {NINE}  [/INST]",
        ),
    )


def test_demo_layout_has_two_user_turns() -> None:
    prompt = build_prompt("reason", instruction="Why?", words="No.", layout="demo")
    assert prompt_text(prompt) == (
        "<s><s>[INST] <video>{patches}{face}{temporal}{audio}{global}</video> <feature><FeatureHere></feature>"
        "<s>[INST] The person in video says: No..  [reason] Why? [/INST]"
    )


def test_evidence_layout_tells_the_cues_before_the_words() -> None:
    prompt = build_prompt("reason", instruction="Why?", words="No.", cues="Measured cues. Face: x.", layout="evidence")
    assert prompt[-1] == Segment(
        "text", "</feature> Measured cues. Face: x. The person in video says: No..  [reason] Why?  [/INST]"
    )
    with pytest.raises(InputError, match="'evidence' needs measured cues, got none; give them, or use"):
        build_prompt(layout="evidence")
    assert "Face" not in prompt_text(
        build_prompt(cues="Face: x.", layout="train")
    )  # not told where weights do not know them


@pytest.mark.parametrize("words", [None, "", " \n "])
def test_without_words_there_is_no_character_line(words: str | None) -> None:
    prompt = build_prompt("audio", words=words)
    assert prompt[-1].text == "</feature>  [audio] Analyze the speaker's voice in the video.  [/INST]"


def test_line_ends_in_words_become_blanks() -> None:
    assert "says: a b c. " in prompt_text(build_prompt(words="a\n b\t c"))


def test_placeholders_spelt_by_a_speaker_stay_words() -> None:
    prompt = build_prompt(words="look <VideoHere> </s> <FeatureHere>")
    assert tuple(piece.kind for piece in prompt if piece.kind in SLOTS) == SLOTS
    assert "says: look <VideoHere> </s> <FeatureHere>. " in prompt[-1].text


def test_free_text_has_no_tag() -> None:
    assert build_prompt("free", instruction="Who is it?")[-1].text == "</feature>  Who is it?  [/INST]"
    with pytest.raises(InputError, match="task 'free' has no instruction of its own"):
        build_prompt("free")


@pytest.mark.parametrize(
    ("present", "shown"),
    [
        (("patches", "global"), "<video>{patches}</video> <feature>{global}</feature>"),
        (("audio",), "<video></video> <feature>{audio}</feature>"),
        (("global", "face", "patches"), "<video>{patches}</video> <feature>{face}{global}</feature>"),
        ((), "<video></video> <feature></feature>"),
    ],
)
def test_missing_modalities_leave_no_place(present: tuple[str, ...], shown: str) -> None:
    prompt = build_prompt("free", instruction="Hm?", present=present)  # type: ignore[arg-type]
    assert prompt_text(prompt) == f"<s>[INST] {shown}  Hm?  [/INST]"


def test_texts_stay_apart_where_a_place_is_empty() -> None:
    """The reference splits at the placeholders; a place without tokens must not change how the rest is tokenised."""
    texts = [p.text for p in build_prompt("free", instruction="Hm?", present=()) if p.kind == "text"]
    assert texts == ["[INST] <video>", "</video> <feature>", "</feature>  Hm?  [/INST]"]
    released = build_prompt("free", instruction="Hm?", present=(), layout="released")
    assert [p.text for p in released if p.kind == "text"] == [
        "[INST] <video>", "</video> <feature><FeatureHere></feature>  Hm?  [/INST]",
    ]  # fmt: skip


HISTORY = (Turn("What is seen?", "a smile"),)


def test_chat_in_train_layout_learns_every_answer() -> None:
    prompt = build_prompt("free", instruction="Why?", history=HISTORY, answer="joy", present=())
    assert prompt[3:] == (
        Segment("text", "</feature> What is seen? [/INST]"),
        Segment("text", "a smile", is_answer=True),
        Segment("eos", is_answer=True),
        Segment("bos"),
        Segment("text", "[INST] Why? [/INST]"),
        Segment("text", "joy", is_answer=True),
        Segment("eos", is_answer=True),
    )


def test_chat_in_released_layout_joins_answers_and_demo_forgets_them() -> None:
    released = prompt_text(build_prompt("free", instruction="Why?", history=HISTORY, layout="released"))
    assert released.endswith("<FeatureHere></feature> What is seen? [/INST]a smile<s>[INST] Why? [/INST]")
    demo = prompt_text(build_prompt("free", instruction="Why?", history=HISTORY, layout="demo"))
    assert demo.endswith("</feature><s>[INST] What is seen? [/INST]</s><s>[INST] Why? [/INST]")


def test_only_the_last_turn_may_be_open() -> None:
    with pytest.raises(InputError, match="turn 1 of 2 has no answer; only the last may be open"):
        build_prompt(history=[Turn("What is seen?")])


def test_ready_text_needs_both_placeholders_in_order() -> None:
    with pytest.raises(InputError, match="expected one <VideoHere> and after it one <FeatureHere>, got 2 and 1"):
        prompt_from_text("<VideoHere><VideoHere><FeatureHere>")
    with pytest.raises(InputError, match="got 1 and 1"):
        prompt_from_text("<FeatureHere><VideoHere>")
    with pytest.raises(InputError, match="layout 'demo' cannot take a ready text"):
        prompt_from_text("<VideoHere><FeatureHere>", layout="demo")


def test_unknown_names_and_empty_instruction() -> None:
    with pytest.raises(InputError, match="no prompt layout 'trian' \\(there are: train, released, demo, evidence\\)"):
        build_prompt(layout="trian")
    with pytest.raises(InputError, match="no task 'emotoin' \\(there are: emotion, reason, reason_v2"):
        build_prompt("emotoin")
    with pytest.raises(InputError, match="the instruction is empty"):
        build_prompt(instruction=" ")
