"""A chat's messages as one question: tasks, turns, clips, and what is refused."""

import base64
from typing import Any

import pytest
from pydantic import ValidationError

from emotion_llama.prompts.builder import Turn
from emotion_llama.serve.chat.answers import StopAt
from emotion_llama.serve.chat.messages import ClipReference, inline_bytes, kind_of, question_of, split_tag
from emotion_llama.serve.chat.schemas import MAX_NEW_TOKENS, ChatRequest
from emotion_llama.serve.errors import Problem

FILE = {"type": "file", "file": {"file_id": "file-1"}}
OTHER = {"type": "file", "file": {"file_id": "file-2"}}
WAV = b"RIFF\x24\x00\x00\x00WAVEfmt "


def text(words: str) -> dict[str, str]:
    return {"type": "text", "text": words}


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def says(role: str, words: str) -> dict[str, Any]:
    return {"role": role, "content": words}


def request(*messages: dict[str, Any], **more: Any) -> ChatRequest:
    return ChatRequest.model_validate({"messages": list(messages), **more})


def refused(chat: ChatRequest) -> Problem:
    with pytest.raises(Problem) as caught:
        question_of(chat)
    assert caught.value.status == 400
    return caught.value


def test_a_task_and_a_free_question() -> None:
    query = question_of(request(user(FILE, text("[Reason] Why?"))))
    assert (query.clip, query.task, query.turns[-1].text) == (ClipReference("file-1"), "reason", "Why?")
    assert (query.task, query.turns[:-1]) == ("reason", ())
    query = question_of(request(user(text(" What is he wearing? "), FILE)))
    assert (query.task, query.turns[-1].text) == ("free", "What is he wearing?")
    query = question_of(request(user(FILE), says("user", "[emotion]")))
    assert (query.task, query.turns[-1].text) == ("emotion", "")


def test_decoding_options() -> None:
    def options(**more: Any) -> dict[str, Any]:
        return dict(question_of(request(user(FILE, text("[reason]")), **more)).options)

    assert options() == {"temperature": 0.0, "top_p": 1.0, "max_new_tokens": 200, "seed": None}
    assert options(temperature=1, top_p=0.5, max_tokens=7, max_completion_tokens=9, seed=3) == {
        "temperature": 1.0, "top_p": 0.5, "max_new_tokens": 9, "seed": 3,
    }  # fmt: skip
    assert options(max_tokens=7)["max_new_tokens"] == 7
    assert question_of(request(user(FILE, text("a")), stop="x")).stop == ("x",)
    assert question_of(request(user(FILE, text("a")), stop=["x", "", "yz"])).stop == ("x", "yz")
    assert question_of(request(user(FILE, text("a")))).stop == ()


def test_system_texts_stand_before_free_questions_alone() -> None:
    free = question_of(request(says("system", "Be brief."), user(FILE, text("Who?")), temperature=0))
    assert free.turns[-1].text == "Be brief.\nWho?"
    assert free.turns[:-1] == ()
    task = question_of(request(says("developer", "Be brief."), user(FILE, text("[reason]"))))
    assert task.turns[-1].text == ""


def test_history_in_the_words_of_the_prompt() -> None:
    query = question_of(
        request(
            user(FILE, text("[emotion]")),
            says("assistant", "happy"),
            says("user", "Is he"),
            says("user", "tired?"),
            says("assistant", "No."),
            says("assistant", "Not at all."),
            says("user", "[audio] And the voice?"),
        )
    )
    labels = "happy, sad, neutral, angry, worried, surprise, fear, contempt, doubt"
    assert query.turns[:-1] == (
        Turn(f" [emotion] Please determine which emotion label in the video represents: {labels}. ", "happy"),
        Turn(" Is he tired? ", "No.\nNot at all."),
    )
    assert (query.task, query.turns[-1].text) == ("audio", "And the voice?")


def test_a_question_that_was_never_answered_is_told() -> None:
    query = question_of(request(user(FILE, text("Who is it?")), says("user", "Where?")))
    assert query.turns[:-1] == (Turn(" Who is it? ", None),)


def test_another_clip_begins_anew() -> None:
    before = (user(FILE, text("Who?")), says("assistant", "A pilot."))
    query = question_of(request(*before, user(OTHER, text("And who is this?"))))
    assert (query.clip, query.turns[:-1]) == (ClipReference("file-2"), ())
    back = question_of(
        request(*before, user(OTHER, text("And this?")), says("assistant", "A cook."), user(FILE, text("Why?")))
    )
    assert (back.clip, back.turns[:-1]) == (ClipReference("file-1"), ())
    same = question_of(request(*before, user(FILE, text("Where?"))))  # clients may send the clip with each message
    assert same.turns[:-1] == (Turn(" Who? ", "A pilot."),)


def test_what_is_no_question() -> None:
    assert "last message must be the user's" in refused(request(user(FILE), says("assistant", "Hm."))).message
    problem = refused(request(says("user", "[emotion]")))
    assert (problem.code, problem.param) == ("no_clip", "messages")
    assert "nothing is asked" in refused(request(user(FILE))).message
    assert "nothing is asked" in refused(request(says("system", "Be brief."), user(FILE))).message


def test_a_chat_that_no_model_could_look_back_on() -> None:
    turns = [says("user", "x" * 16_000)] * 4
    problem = refused(request(user(FILE, text("a")), *turns))
    assert problem.code == "too_long"
    assert problem.message == "the chat has 64001 characters of text, up to 64000 are taken; leave out earlier turns"
    assert question_of(request(user(FILE), *turns)).task == "free"


def test_a_greeting_before_the_clip_is_not_about_it() -> None:
    query = question_of(request(says("assistant", "Hello"), user(FILE, text("Who?"))))
    assert query.turns[:-1] == ()
    problem = refused(request(user(FILE), says("assistant", "Hello"), says("user", "Who?")))
    assert "before any question" in problem.message


def test_unknown_tasks() -> None:
    problem = refused(request(user(FILE, text("[emotoin]"))))
    assert problem.code == "unknown_task"
    assert "there are: [emotion], [reason], [reason_v2], [caption], [visual], [audio]" in problem.message
    assert refused(request(user(FILE, text("[free] hello")))).code == "unknown_task"
    assert split_tag("see [1] there") == ("free", "see [1] there")
    assert split_tag("\n[VISUAL]x") == ("visual", "x")


@pytest.mark.parametrize(
    "url",
    ["http://169.254.169.254/latest", "https://example.org/a.mp4", "file:///etc/passwd", "ftp://x/y", "/etc/passwd",
     "blob:x", "data:video/mp4;base64", "DATA", "", "javascript:alert(1)", "\x00data:,x", "rtsp://camera/1"],
)  # fmt: skip
def test_addresses_are_refused(url: str) -> None:
    problem = refused(request(user({"type": "video_url", "video_url": {"url": url}}, text("[emotion]"))))
    assert problem.code == "url_not_allowed"
    assert "send the clip itself as data:" in problem.message


def test_clips_in_the_request() -> None:
    encoded = base64.b64encode(WAV).decode()
    uri = "data:audio/wav;base64," + encoded
    for part, name in (
        ({"type": "video_url", "video_url": {"url": uri}}, "clip"),
        ({"type": "file", "file": {"file_data": uri, "filename": "a.wav"}}, "a.wav"),
        ({"type": "input_audio", "input_audio": {"data": encoded, "format": "wav"}}, "sound"),
    ):
        clip = question_of(request(user(part, text("[emotion]")))).clip
        assert clip.file_id is None
        assert clip.name == name
        assert inline_bytes(clip) == WAV


def test_forms_of_data_uris() -> None:
    # 251 and 255 are written with + and / in one alphabet of RFC 4648, with - and _ in the other.
    data = bytes([251, 255, 0, 1])
    plain, safe = base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()
    assert plain != safe
    for uri in (
        f"data:video/mp4;base64,{plain}",
        f"data:video/mp4;base64,{safe}",
        f"DATA:video/webm;codecs=vp9;base64,{plain[:3]}\r\n{plain[3:]}",
        f'data:video/webm;codecs="vp8,opus";base64,{plain}',
        f"data:;base64,{plain}",
        "data:video/mp4,%FB%FF%00%01",
    ):
        clip = question_of(request(user({"type": "video_url", "video_url": {"url": uri}}, text("a")))).clip
        assert clip.file_id is None
        assert inline_bytes(clip) == data, uri


@pytest.mark.parametrize("data", ["a", "abc$", "äöü", "ab=c", "====", "\ud800"])
def test_what_is_not_base64(data: str) -> None:
    with pytest.raises(Problem, match="not base64") as caught:
        inline_bytes(ClipReference(text=data, is_uri=False))
    assert (caught.value.status, caught.value.code) == (400, "not_base64")


def test_what_is_no_recording() -> None:
    with pytest.raises(Problem, match="is empty"):
        inline_bytes(ClipReference(text="data:video/mp4;base64,"))
    assert kind_of(WAV) == "wav"
    with pytest.raises(Problem, match="not a recording that is known here; expected one of: mp4") as caught:
        kind_of(b"%PDF-1.7")
    assert caught.value.status == 415


def test_one_clip_at_a_time_and_from_the_user() -> None:
    assert "holds 2 clips" in refused(request(user(FILE, OTHER, text("a")))).message
    system = {"role": "system", "content": [FILE]}
    assert "clips come from the user" in refused(request(system, says("user", "a"))).message
    both = {"type": "file", "file": {"file_id": "file-1", "file_data": "data:,x"}}
    assert "one of the two" in refused(request(user(both, text("a")))).message
    assert "one of the two" in refused(request(user({"type": "file", "file": {}}, text("a")))).message


@pytest.mark.parametrize(
    "wrong",
    [{"n": 2}, {"tools": [{}]}, {"logprobs": True}, {"response_format": {"type": "json_object"}}, {"store": True},
     {"frequency_penalty": 0.5}, {"temperature": -1}, {"temperature": 2.5}, {"temperature": float("nan")},
     {"top_p": 0}, {"max_tokens": 0}, {"max_tokens": MAX_NEW_TOKENS + 1}, {"max_tokens": "7"}, {"stop": ["a"] * 5},
     {"seed": 2**63}, {"stream": "yes"}, {"speed": 1}, {"emotion_llama": {"person_id": 0}}, {"messages": []},
     {"messages": [says("tool", "x")]}, {"messages": [user({"type": "image_url", "image_url": {"url": "data:,"}})]},
     {"messages": [says("user", "x" * 16_001)]}, {"messages": [user(text("a"))] * 201}],
    ids=str,
)  # fmt: skip
def test_fields_that_would_be_ignored_are_refused(wrong: dict[str, Any]) -> None:
    body = {"messages": [user(FILE, text("[emotion]"))], **wrong}
    with pytest.raises(ValidationError):
        ChatRequest.model_validate(body)


def test_fields_that_ask_for_nothing_are_taken() -> None:
    taken = {
        "n": 1, "tools": [], "tool_choice": "none", "logprobs": False, "response_format": {"type": "text"},
        "store": False, "frequency_penalty": 0, "presence_penalty": 0.0, "user": "me", "metadata": {"a": "b"},
        "modalities": ["text"], "service_tier": "auto",
    }  # fmt: skip
    answer = {"role": "assistant", "content": "x", "refusal": None, "annotations": [], "emotion_llama": {"a": 1}}
    chat = request(user(FILE, text("Who?")), answer, says("user", "Why?"), **taken)
    assert question_of(chat).turns[:-1] == (Turn(" Who? ", "x"),)


def test_equal_files_are_equal() -> None:
    assert repr(ClipReference(text="x" * 1000, name="a")) == "ClipReference('a', 1000 characters)"


@pytest.mark.parametrize(
    ("stops", "pieces", "sent"),
    [
        ((), ["ab", "c"], ["ab", "c"]),
        (("END",), ["one E", "ND two"], ["one ", ""]),
        (("END",), ["one E", "NTER"], ["one ", "ENTER"]),
        (("END",), ["E", "N", "E", "N", "D", "x"], ["", "", "EN", "", "", ""]),
        (("b", "ab"), ["xab"], ["x"]),
        (("\n\n",), ["a\n", "\nb"], ["a", ""]),
    ],
)
def test_stops(stops: tuple[str, ...], pieces: list[str], sent: list[str]) -> None:
    stop = StopAt(stops)
    assert [stop.take(piece) for piece in pieces] == sent
    assert stop.rest() == ""


def test_what_was_held_back_comes_at_the_end() -> None:
    stop = StopAt(("END",))
    assert (stop.take("the EN"), stop.rest(), stop.rest(), stop.has_stopped) == ("the ", "EN", "", False)
