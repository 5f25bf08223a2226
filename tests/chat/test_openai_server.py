"""The OpenAI-compatible annotator against a scripted server on loopback: what comes through, what is retried, sums."""

import base64
import json
import pickle
import threading
from pathlib import Path

import cv2
import numpy as np
import pytest
from scripted_server import BAD_CONTENT, BAD_TEXTS, PROMPT_TOKENS, REPLY_TOKENS, ScriptedServer, user_texts

from emotion_llama.chat import openai_server
from emotion_llama.chat.budget import Budget
from emotion_llama.chat.config import OpenAIConfig
from emotion_llama.chat.openai_server import OpenAIServer
from emotion_llama.chat.questions import Facts, Question
from emotion_llama.chat.records import Answer
from emotion_llama.errors import AnnotationError, InputError, MissingDependency
from emotion_llama.labels import MERR9
from emotion_llama.merr.annotators import Annotator, load_annotator
from emotion_llama.prompts.prompt_files import load_prompt
from emotion_llama.records import Tone
from emotion_llama.results import Evidence

PNG = bytes(cv2.imencode(".png", np.full((48, 64, 3), 90, np.uint8))[1])
WAV = b"RIFF" + bytes(64_000)
TONE = Evidence(tone=Tone("quiet voice", {"quiet": "-40 dB"}))
VISUAL = Question("visual", "en", Facts(), picture_png=PNG)
CLUES = {"visual_expression": "eyes widened", "audio_tone": "a high voice", "subtitle": "Really?"}
REASON = Question("reason", "en", Facts(label="surprise", clues=CLUES), labels=MERR9.labels)
WASTE = PROMPT_TOKENS + REPLY_TOKENS


@pytest.fixture(autouse=True)
def _short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_server, "FIRST_WAIT_SECONDS", 0.01)


def make(server: ScriptedServer, **options: object) -> Annotator:
    given = {"base_url": server.base_url, "model": "m", "timeout_seconds": 5.0, "max_attempts": 3} | options
    return load_annotator({"name": "openai", **given})


def server_of(annotator: Annotator) -> OpenAIServer:
    assert annotator.chat is not None
    assert isinstance(annotator.chat.backend, OpenAIServer)
    return annotator.chat.backend


def one(annotator: Annotator, question: Question = VISUAL) -> Answer | AnnotationError:
    (outcome,) = annotator.answer([question])
    return outcome


def test_a_right_answer_with_its_provenance() -> None:
    with ScriptedServer(model="m-2024-08-06") as server:
        annotator = make(server)
        answer = one(annotator)
        assert isinstance(answer, Answer)
        text = str(answer.values["text"])
        assert text.startswith("One person stands in a bright room and looks at the camera, number ")
        assert (answer.model, answer.attempts) == ("m-2024-08-06", 1)
        assert (answer.tokens_in, answer.tokens_out) == (100, 20)
        assert answer.prompt_sha256 == load_prompt("merr", "visual.en").sha256
        assert 0 < answer.seconds < 5
        assert server_of(annotator).budget.spent == (1, 120)
        assert server.seen[0].path == "/v1/chat/completions"


def test_what_is_sent() -> None:
    """The picture and the sound are whole, the form is asked for, and nothing about this machine goes along."""
    with ScriptedServer() as server:
        annotator = make(server, modalities=("text", "image", "audio"), seed=3, extra_body={"top_k": 1})
        questions = [VISUAL, Question("audio", "zh", Facts(evidence=TONE), sound_wav=WAV), REASON]
        assert all(isinstance(one(annotator, question), Answer) for question in questions)
        visual, audio, reason = (seen.body for seen in server.seen)
        assert visual["model"] == "m"
        assert (visual["temperature"], visual["seed"], visual["max_tokens"], visual["top_k"]) == (0.0, 3, 1024, 1)
        assert [message["role"] for message in visual["messages"]] == ["system", "user"]
        image, text = visual["messages"][1]["content"]
        assert image["image_url"]["url"] == f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
        assert "frame of a clip" in text["text"]
        sound = audio["messages"][1]["content"][0]
        assert sound["input_audio"] == {"data": base64.b64encode(WAV).decode(), "format": "wav"}
        assert "quiet (-40 dB)" in user_texts(audio)[0]
        assert isinstance(reason["messages"][1]["content"], str)  # plain text where there is nothing else to send
        form = reason["response_format"]
        assert (form["type"], form["json_schema"]["name"], form["json_schema"]["strict"]) == (
            "json_schema",
            "reason",
            True,
        )
        assert form["json_schema"]["schema"]["properties"]["label"]["enum"] == list(MERR9.labels)
        assert form["json_schema"]["schema"]["additionalProperties"] is False
        headers = server.seen[0].headers
        assert headers["user-agent"] == "emotion-llama"
        assert "authorization" not in headers
        assert not [name for name in headers if name.startswith("x-")]


def test_the_label_is_shown_to_reason_alone() -> None:
    with ScriptedServer() as server:
        annotator = make(server, modalities=("text", "image", "audio"))
        facts = Facts(evidence=TONE, label="contempt", clues=CLUES, text="The eyes are wide. A surprised person.")
        for task in ("expression", "visual", "audio", "check"):
            question = Question(task, "en", facts, PNG, WAV, MERR9.labels)  # type: ignore[arg-type]
            assert isinstance(one(annotator, question), Answer)
        assert "contempt" not in json.dumps([seen.body["messages"] for seen in server.seen])
        one(annotator, Question("reason", "en", facts, PNG, WAV, MERR9.labels))
        assert "feels contemptuous (label: contempt;" in user_texts(server.seen[-1].body)[0]


def test_without_a_label_it_is_inferred() -> None:
    with ScriptedServer() as server:
        answer = one(make(server), Question("reason", "en", Facts(clues=CLUES), labels=MERR9.labels))
        assert isinstance(answer, Answer)
        assert answer.prompt_sha256 == load_prompt("merr", "infer.en").sha256
        assert answer.values["label"] == "happy"  # the server's default where no label is told
        assert "The person in the clip feels" not in user_texts(server.seen[0].body)[0]


@pytest.mark.parametrize("outcome", ["fenced", "parts", "slow"])
def test_right_answers_in_other_wrappings(outcome: str) -> None:
    with ScriptedServer((outcome,)) as server:
        answer = one(make(server))
        assert isinstance(answer, Answer)
        assert json.dumps(dict(answer.values)) in server.given


# What each wrong outcome is called, and whether asking again may help (then it is asked max_repeats or max_attempts
# times more).
MALFORMED = [
    "prose", "truncated_json", "two_objects", "doubled_key", "nan", "null", "list", "extra_keys", "missing_key",
    "wrong_types", "no_choices", "wrong_choices", "error_200", "html_200", "json_list", "event_stream", "length",
    "error_text", "other_language", "other_script", "swapped_language", "loop", "markup", "echo",
    "too_long", "flood",
]  # fmt: skip


@pytest.mark.parametrize("outcome", MALFORMED)
def test_malformed_replies_are_asked_again_and_then_given_up(outcome: str) -> None:
    with ScriptedServer((outcome,)) as server:
        annotator = make(server, max_repeats=2)
        error = one(annotator)
        assert isinstance(error, AnnotationError)
        assert (error.kind, error.attempts) == ("malformed", 3)
        assert len(server.seen) == 3
        told = server_of(annotator).budget.spent
        assert told[0] == 3
        if outcome not in ("wrong_choices", "error_200", "html_200", "json_list", "event_stream", "flood"):
            assert error.tokens_in + error.tokens_out == told[1] == server.sent_tokens == 3 * WASTE
        else:  # nobody said what it took: what was set aside counts
            assert told[1] > 3 * 1024


@pytest.mark.parametrize(
    "outcome", ["empty_text", "blank_text", "null_content", "tool_call", "only_thinking", "placeholder"]
)
def test_empty_replies(outcome: str) -> None:
    with ScriptedServer((outcome,)) as server:
        error = one(make(server, max_repeats=1))
        assert isinstance(error, AnnotationError)
        assert (error.kind, error.attempts, len(server.seen)) == ("empty", 2, 2)


@pytest.mark.parametrize("outcome", ["refusal_text", "refusal_zh", "refusal_inside", "refusal_field", "content_filter"])
def test_refusals_are_not_asked_again(outcome: str) -> None:
    with ScriptedServer((outcome,)) as server:
        error = one(make(server))
        assert isinstance(error, AnnotationError)
        assert (error.kind, error.attempts, len(server.seen)) == ("refused", 1, 1)
        assert "sorry" not in error.message


@pytest.mark.parametrize("outcome", [*BAD_TEXTS, *BAD_CONTENT, "wrong_label", "extra_keys", "wrong_types"])
def test_no_bad_text_comes_through_in_any_task_and_language(outcome: str) -> None:
    """Whatever the task, what a bad server writes is never an answer."""
    facts = Facts(evidence=TONE, label="sad", clues=CLUES, text="The brow is lowered, so the person is sad.")
    with ScriptedServer((outcome,)) as server:
        annotator = make(server, modalities=("text", "image", "audio"), max_repeats=0, structured="plain")
        for language in ("en", "zh"):
            for task in ("expression", "visual", "audio", "reason", "check"):
                if outcome == "wrong_label" and task != "reason":
                    continue
                if outcome == "doubled_key" and task == "reason":
                    continue
                if outcome in ("too_long", "loop", "echo") and task in ("expression", "check"):
                    continue  # the phrase or problem is too long for its schema: tested with the schema
                question = Question(task, language, facts, PNG, WAV, MERR9.labels)  # type: ignore[arg-type]
                outcome_of = one(annotator, question)
                assert isinstance(outcome_of, AnnotationError), (task, language, outcome_of)
                assert outcome_of.kind in ("malformed", "empty", "refused")


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [("500", "overloaded"), ("502", "overloaded"), ("html_502", "overloaded"), ("503", "overloaded"),
     ("529", "overloaded"), ("429", "overloaded"), ("429_after", "overloaded"), ("close", "unreachable"),
     ("half", "unreachable"), ("garbage", "unreachable"), ("bad_gzip", "unreachable")],
)  # fmt: skip
def test_a_broken_server_is_tried_again_and_then_given_up(outcome: str, kind: str) -> None:
    with ScriptedServer((outcome,), retry_after="0.02") as server:
        error = one(make(server, max_attempts=3))
        assert isinstance(error, AnnotationError)
        assert (error.kind, error.attempts, len(server.seen)) == (kind, 3, 3)
    with ScriptedServer((outcome, outcome, "good"), retry_after="0.02") as server:
        answer = one(make(server, max_attempts=3))
        assert isinstance(answer, Answer)
        assert (answer.attempts, len(server.seen)) == (3, 3)


@pytest.mark.parametrize("outcome", ["400", "401", "404", "413", "422", "429_quota", "redirect"])
def test_what_the_server_calls_wrong_is_not_tried_again(outcome: str) -> None:
    with ScriptedServer((outcome,)) as server:
        annotator = make(server)
        error = one(annotator)
        assert isinstance(error, AnnotationError)
        assert (error.kind, error.attempts, len(server.seen)) == ("rejected", 1, 1)
        assert "HTTP status" in error.message
        assert server_of(annotator).budget.spent == (1, 0)  # turned away: no tokens


@pytest.mark.parametrize("outcome", ["hang", "drip"])
def test_a_server_that_hangs_or_drips_times_out(outcome: str) -> None:
    with ScriptedServer((outcome, outcome, "good")) as server:
        answer = one(make(server, timeout_seconds=1.0, max_attempts=6))
        assert isinstance(answer, Answer)
        assert answer.attempts == 3
    with ScriptedServer((outcome,)) as server:
        error = one(make(server, timeout_seconds=0.2, max_attempts=4))  # a time-out counts as two
        assert isinstance(error, AnnotationError)
        assert (error.kind, error.message) == ("timeout", "no complete reply within 0.2 s")
        assert len(server.seen) == 2


def test_nobody_there() -> None:
    with ScriptedServer() as server:
        address = server.base_url
    annotator = load_annotator({"name": "openai", "base_url": address, "model": "m", "max_attempts": 2})
    error = one(annotator)
    assert isinstance(error, AnnotationError)
    assert (error.kind, error.attempts) == ("unreachable", 2)
    assert error.message.startswith("ConnectError")


def test_retry_after_is_honoured_by_all_threads() -> None:
    with ScriptedServer(("429_after", "good"), retry_after="0.5") as server:
        answers = make(server, concurrency=4).answer([VISUAL] * 4)
        assert all(isinstance(answer, Answer) for answer in answers)
        refused = server.seen[0]
        later = [seen for seen in server.seen[1:] if seen.started > refused.ended + 0.1]
        assert later
        assert min(seen.started for seen in later) - refused.ended >= 0.49
    with ScriptedServer(("429_date", "good")) as server:
        assert isinstance(one(make(server)), Answer)


def test_a_wait_that_is_too_long_is_not_waited_for() -> None:
    with ScriptedServer(("429_long",)) as server:
        error = one(make(server))
        assert isinstance(error, AnnotationError)
        assert (error.kind, len(server.seen)) == ("overloaded", 1)
        assert "asks to wait 3600 s, and max_wait_seconds is 60" in error.message


def test_a_repeat_says_what_was_wrong() -> None:
    with ScriptedServer(("extra_keys", "good")) as server:
        answer = one(make(server))
        assert isinstance(answer, Answer)
        assert (answer.attempts, answer.tokens_in, answer.tokens_out) == (2, 200, 40)
        assert len(user_texts(server.seen[0].body)) == 1
        assert user_texts(server.seen[1].body)[1] == (
            "Your last reply could not be used: a key too many. Answer the same question once more, exactly in the "
            "form that was asked for."
        )


@pytest.mark.parametrize(
    ("outcome", "form"), [("no_schema", "json_object"), ("no_format", "plain"), ("llama_cpp", "json_object")]
)
def test_a_server_without_structured_output_is_found_out_once(outcome: str, form: str) -> None:
    with ScriptedServer((outcome,)) as server:
        annotator = make(server)
        first, second = one(annotator), one(annotator)
        assert isinstance(first, Answer)
        assert isinstance(second, Answer)
        steps = ["json_schema", "json_object", "plain"].index(form)
        assert (first.attempts, second.attempts, len(server.seen)) == (1 + steps, 1, 2 + steps)
        assert server_of(annotator).form == form
        assert server.seen[-1].body.get("response_format", {}).get("type", "plain") == form


def test_a_server_that_takes_no_lengths_gets_the_schema_without_them() -> None:
    with ScriptedServer(("short_grammar",)) as server:
        annotator = make(server)
        assert isinstance(one(annotator), Answer)
        assert isinstance(one(annotator), Answer)
        first, second, third = (seen.body["response_format"]["json_schema"]["schema"] for seen in server.seen)
        assert first["properties"]["text"] == {"type": "string", "minLength": 1, "maxLength": 1500}
        assert second["properties"]["text"] == third["properties"]["text"] == {"type": "string"}
        assert second["required"] == ["text"]


@pytest.mark.parametrize(("outcome", "message"), [("no_schema", "must be one of"), ("llama_cpp", "HTTP status 500")])
def test_a_form_that_was_asked_for_is_not_given_up(outcome: str, message: str) -> None:
    with ScriptedServer((outcome,)) as server:
        error = one(make(server, structured="json_schema"))
        assert isinstance(error, AnnotationError)
        assert (error.kind, len(server.seen)) == ("rejected", 1)
        assert message in error.message


def test_a_server_on_this_machine_is_asked_one_at_a_time() -> None:
    """llama.cpp answers one request after the other: eight sent at once waited for each other, and timed out."""
    with ScriptedServer(("slow",), slow_seconds=0.05) as server:
        assert all(isinstance(answer, Answer) for answer in make(server).answer([VISUAL] * 4))
        assert server.most_at_once == 1
    far = OpenAIConfig(base_url="https://api.example.com/v1", model="m")
    assert (far.at_once, far.model_copy(update={"concurrency": 3}).at_once) == (8, 3)


def test_the_reply_that_was_refused_is_kept_with_the_reason(tmp_path: Path) -> None:
    """A build said "malformed" of half its clips, and nobody could see what the model had written."""
    with ScriptedServer(("prose",)) as server:
        annotator = make(server, max_repeats=1)
        assert annotator.chat is not None
        annotator.chat.refused_file = tmp_path / "refused-replies.jsonl"
        error = one(annotator)
        first, second = map(json.loads, annotator.chat.refused_file.read_text().splitlines())
        assert first == second
        assert (first["asked"], first["kind"], first["reply"]) == ("visual", "malformed", BAD_TEXTS["prose"])
        assert first["reason"] == error.message
        assert isinstance(error, AnnotationError)
        assert error.reply == BAD_TEXTS["prose"]
        assert error.reply not in str(error)
        assert pickle.loads(pickle.dumps(error)).reply == error.reply
    with ScriptedServer(("refusal_field",)) as server:
        error = one(make(server))
        assert isinstance(error, AnnotationError)
        assert (error.kind, error.reply) == ("refused", "I will not.")


def test_threads_that_find_out_together_step_down_once() -> None:
    with ScriptedServer(("no_schema",)) as server:
        annotator = make(server, concurrency=8)
        assert all(isinstance(answer, Answer) for answer in annotator.answer([VISUAL] * 8))
        assert server_of(annotator).form == "json_object"


def test_servers_that_know_max_completion_tokens_only() -> None:
    with ScriptedServer(("new_length",)) as server:
        answer = one(make(server, max_tokens=77))
        assert isinstance(answer, Answer)
        assert answer.attempts == 2
        assert server.seen[1].body["max_completion_tokens"] == 77
        assert "max_tokens" not in server.seen[1].body


def test_concurrency_is_bounded() -> None:
    with ScriptedServer(("slow",), slow_seconds=0.1) as server:
        annotator = make(server, concurrency=3)
        threads = [threading.Thread(target=one, args=(annotator,)) for _ in range(9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(server.seen), server.most_at_once) == (9, 3)


def test_requests_a_minute_are_kept() -> None:
    with ScriptedServer() as server:
        annotator = make(server, requests_per_minute=600.0)
        assert all(isinstance(answer, Answer) for answer in annotator.answer([VISUAL] * 5))
        starts = sorted(seen.started for seen in server.seen)
        assert starts[-1] - starts[0] >= 0.35  # four gaps of 0.1 s, less the jitter of the loopback


def test_budget_of_requests_over_threads_and_restarts() -> None:
    with ScriptedServer(("slow",), slow_seconds=0.02) as server:
        annotator = make(server, budget_requests=5)
        outcomes = annotator.answer([VISUAL] * 8)
        kinds = [outcome.kind for outcome in outcomes if isinstance(outcome, AnnotationError)]
        assert (len(server.seen), kinds) == (5, ["budget"] * 3)
        failed = next(outcome for outcome in outcomes if isinstance(outcome, AnnotationError))
        assert "5 of 5 requests are spent" in failed.message
        assert failed.attempts == 0
        budget = Budget(server_of(annotator).config.budget_requests, spent=server_of(annotator).budget.spent)
        later = load_annotator({"name": "openai", "base_url": server.base_url, "model": "m"}, budget=budget)
        assert isinstance(one(later), AnnotationError)
        assert len(server.seen) == 5


def test_budget_of_tokens_stops_before_it_is_exceeded() -> None:
    with ScriptedServer() as server:
        annotator = make(server, budget_tokens=3000, max_tokens=300)
        outcomes = [one(annotator) for _ in range(12)]
        answered = [outcome for outcome in outcomes if isinstance(outcome, Answer)]
        spent = server_of(annotator).budget.spent
        assert spent == (len(answered), 120 * len(answered))
        assert spent[1] <= 3000
        # One more could have cost 300 and the prompt with its picture (1,500 and about 200): more than what was left.
        assert 3000 - spent[1] < 2100
        assert 5 < len(answered) < 12


def test_several_annotators_share_a_budget() -> None:
    with ScriptedServer() as server:
        shared = Budget(requests=3)
        config = {"name": "openai", "base_url": server.base_url, "model": "m"}
        annotators = [load_annotator(config, budget=shared) for _ in range(2)]
        outcomes = [annotator.answer([VISUAL])[0] for annotator in annotators * 2]
        assert sum(isinstance(outcome, Answer) for outcome in outcomes) == 3 == len(server.seen)


def test_totals_add_up_over_a_mixture() -> None:
    """Requests that the server saw = attempts counted = budget's requests; tokens likewise."""
    script = ["good", "429", "good", "prose", "500", "good", "refusal_text", "empty_text", "close", "good"] * 4
    with ScriptedServer([*script, "good"]) as server:
        annotator = make(server, concurrency=4, max_attempts=4)
        outcomes = annotator.answer([VISUAL, REASON] * 10)
        assert len(outcomes) == 20
        assert sum(outcome.attempts for outcome in outcomes) == len(server.seen) == server_of(annotator).budget.spent[0]
        counted = sum((outcome.tokens_in or 0) + (outcome.tokens_out or 0) for outcome in outcomes)
        assert counted == server.sent_tokens
        for outcome in outcomes:
            if isinstance(outcome, Answer):
                assert json.dumps(dict(outcome.values)) in {
                    json.dumps(_ordered(json.loads(text))) for text in server.given
                }


def _ordered(values: dict[str, object]) -> dict[str, object]:
    order = ("text", "supporting", "misleading", "label") if "label" in values else tuple(values)
    return {key: values[key] for key in order}


def test_a_server_without_usage() -> None:
    with ScriptedServer(has_usage=False, model="") as server:
        annotator = make(server, max_tokens=500)
        answer = one(annotator)
        assert isinstance(answer, Answer)
        assert (answer.tokens_in, answer.tokens_out, answer.model) == (None, None, "m")
        assert server_of(annotator).budget.spent[1] > 500  # what was set aside


# --- keys, addresses, prompts ---------------------------------------------------------------------------------------


def test_the_key_is_sent_and_nowhere_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", " secret-7 \n")
    with ScriptedServer(("good", "401")) as server:
        annotator = make(server, api_key_env="MY_KEY")
        answer, error = one(annotator), one(annotator)
        assert server.seen[0].headers["authorization"] == "Bearer secret-7"
        shown = (annotator.settings, annotator.config, answer, error, vars(server_of(annotator)))
        kept = f"{shown!r}{pickle.dumps(annotator)!r}"
        assert "secret-7" not in kept


def test_a_key_that_a_server_repeats_is_taken_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from emotion_llama.chat.http_chat import ChatServer, RequestFailed

    server = ChatServer("http://localhost/v1", key="secret-7", proxy=None, timeout_seconds=1)
    with pytest.raises(RequestFailed) as failed:
        server._checked(401, {}, b'{"error": {"message": "Incorrect API key provided: secret-7"}}')
    assert failed.value.message == "HTTP status 401: Incorrect API key provided: ***"
    with pytest.raises(RequestFailed) as failed:
        server._checked(400, {}, json.dumps({"error": "x" * 999}).encode())
    assert len(failed.value.message) < 230
    server.close()


def test_a_key_that_is_not_set_is_found_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with ScriptedServer() as server:
        annotator = make(server, api_key_env="MY_KEY")
        monkeypatch.setenv("MY_KEY", "s3\ncret")
        with pytest.raises(InputError, match="MY_KEY holds characters that no api_key_env has") as told:
            annotator.ready()
        assert "cret" not in str(told.value)
        monkeypatch.delenv("MY_KEY")
        with pytest.raises(InputError, match="api_key_env names the environment variable MY_KEY, which is not set"):
            annotator.ready()
        with pytest.raises(InputError, match="MY_KEY"):
            annotator.answer([VISUAL])
        assert not server.seen
        assert server_of(annotator).budget.spent == (0, 0)


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:9")
    with ScriptedServer() as server:
        assert isinstance(one(make(server)), Answer)
        monkeypatch.setenv("MY_PROXY", server.base_url.removesuffix("/v1"))
        config = {"name": "openai", "base_url": "http://annotator.internal/v1", "model": "m", "proxy_env": "MY_PROXY"}
        assert isinstance(one(load_annotator(config)), Answer)
        assert server.seen[1].path == "http://annotator.internal/v1/chat/completions"


def test_who_gets_the_pictures_is_said() -> None:
    def sends_to(url: str, **options: object) -> str | None:
        return server_of(load_annotator({"name": "openai", "base_url": url, "model": "m", **options})).sends_to

    assert sends_to("http://localhost:8000/v1") is None
    assert sends_to("http://127.0.0.1:1/v1") is None
    assert sends_to("http://[::1]:1/v1") is None
    assert sends_to("http://gpu01:8000/v1") == "gpu01"
    assert sends_to("https://api.example.com/v1") == "api.example.com"
    assert sends_to("http://api.example.com/v1", allow_plain_http=True) == "api.example.com"
    remote = load_annotator({"name": "openai", "base_url": "https://api.example.com/v1", "model": "m"})
    assert remote.ready() == (
        "Pictures, sound or words of the clips leave this machine: annotator openai sends them to api.example.com.",
    )


def test_settings_are_what_answers_depend_on(tmp_path: Path) -> None:
    base = {"base_url": "http://localhost:1/v1", "model": "m"}

    def settings(**options: object) -> object:
        return load_annotator({"name": "openai", **base, **options}).settings

    plain = settings()
    json.dumps(plain)
    for unchanging in ({"concurrency": 2}, {"timeout_seconds": 9.0}, {"budget_tokens": 5}, {"max_repeats": 0},
                       {"api_key_env": "K"}, {"base_url": "http://localhost:1/v1/"}):  # fmt: skip
        assert settings(**unchanging) == plain
    (tmp_path / "visual.en.txt").write_text('[user]\nWhat is there? As JSON: {{"text": ...}}\n')
    for changing in ({"model": "n"}, {"base_url": "http://localhost:2/v1"}, {"temperature": 0.5}, {"seed": 1},
                     {"prompts": tmp_path}, {"image_max_side": 512}, {"modalities": ("text",)}):  # fmt: skip
        assert settings(**changing) != plain
    assert settings(identity="x") == settings(identity="x", base_url="http://elsewhere:2/v1") != plain


def test_own_prompts_are_used(tmp_path: Path) -> None:
    (tmp_path / "visual.en.txt").write_text('[user]\nWhat is in this frame of a clip? {{"text": ...}}\n')
    with ScriptedServer() as server:
        answer = one(make(server, prompts=tmp_path))
        assert isinstance(answer, Answer)
        assert user_texts(server.seen[0].body) == ['What is in this frame of a clip? {"text": ...}']
        assert answer.prompt_sha256 == load_prompt("merr", "visual.en", tmp_path).sha256
    with pytest.raises(InputError, match="is no folder"):
        make(server, prompts=tmp_path / "none")


def test_large_pictures_are_made_smaller() -> None:
    large = np.random.default_rng(0).integers(0, 255, (300, 900, 3), np.uint8)
    png = bytes(cv2.imencode(".png", large)[1])
    with ScriptedServer() as server:
        one(make(server, image_max_side=300), Question("visual", "en", Facts(), picture_png=png))
        url = server.seen[0].body["messages"][1]["content"][0]["image_url"]["url"]
        sent = cv2.imdecode(np.frombuffer(base64.b64decode(url.partition(",")[2]), np.uint8), cv2.IMREAD_COLOR)
        assert sent.shape == (100, 300, 3)
        whole = large.reshape(100, 3, 300, 3, 3).mean(axis=(1, 3))  # each pixel the mean of nine
        assert np.abs(sent.astype(float) - whole).max() <= 1


@pytest.mark.parametrize(
    ("question", "why"),
    [
        (Question("visual", "en", Facts()), "the clip has no picture"),
        (Question("visual", "en", Facts(), picture_png=b"no picture"), "the bytes are no picture"),
        (Question("audio", "en", Facts(), sound_wav=WAV), "the model takes no sound, and the voice was not measured"),
        (Question("reason", "en", Facts(label="sad"), labels=("sad",)), "there is no clue to reason from"),
        (Question("reason", "en", Facts(clues=CLUES)), "the question names no labels"),
        (Question("check", "en", Facts(clues=CLUES)), "there is no description to check"),
    ],
)
def test_what_cannot_be_asked_is_not_sent(question: Question, why: str) -> None:
    with ScriptedServer() as server:
        error = one(make(server), question)
        assert isinstance(error, AnnotationError)
        assert (error.kind, error.attempts, len(server.seen)) == ("cannot", 0, 0)
        assert why in error.message


def test_tasks_follow_modalities() -> None:
    def tasks(*modalities: str) -> set[str]:
        config = {"name": "openai", "base_url": "http://localhost/v1", "model": "m", "modalities": modalities}
        return set(load_annotator(config).tasks)

    assert tasks("text") == {"audio", "reason", "check"}
    assert tasks("text", "image") == {"expression", "visual", "audio", "reason", "check"}


def test_another_process_gets_a_fresh_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with ScriptedServer() as server:
        annotator = make(server)
        one(annotator)
        other = pickle.loads(pickle.dumps(annotator))
        assert other.settings == annotator.settings
        assert isinstance(one(other), Answer)
        server_of(annotator).close()
        assert isinstance(one(annotator), Answer)  # opens anew


def test_without_httpx2_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "httpx2", None)
    annotator = load_annotator({"name": "openai", "base_url": "http://localhost/v1", "model": "m"})
    with pytest.raises(
        MissingDependency, match=r"httpx2, which is not installed; run: pip install 'emotion-llama\[api\]'"
    ):
        annotator.ready()
