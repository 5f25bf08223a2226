"""An OpenAI-compatible server on loopback that answers as a script says: rightly, slowly, wrongly, or not at all.

`ScriptedServer(script)` takes outcomes by name, in the order of requests (the last one for ever after), or a function
from the request's number and body to a name. It keeps what it was asked and what it gave, so that tests can add up.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Script = Callable[[int, dict[str, Any]], str]
PROMPT_TOKENS, REPLY_TOKENS = 100, 20  # of every reply that has a usage

GOOD = {
    ("expression", "en"): {"phrases": ["eyebrows raised", "corners of the mouth pulled up"]},
    ("expression", "zh"): {"phrases": ["眉毛上扬", "嘴角向上"]},
    ("visual", "en"): {"text": "One person stands in a bright room and looks at the camera, number {n}."},
    ("visual", "zh"): {"text": "画面中有一个人站在明亮的房间里看着镜头，编号 {n}。"},
    ("audio", "en"): {"text": "The voice is high and quick, with hardly a pause, number {n}."},
    ("audio", "zh"): {"text": "声音又高又快，几乎没有停顿，编号 {n}。"},
    ("reason", "en"): {
        "supporting": ["raised brows", "quick voice"],
        "misleading": ["the bright room"],
        "text": "The brows rise and the voice hurries. The room says little, number {n}. So the person is {label}.",
        "label": "{label}",
    },
    ("reason", "zh"): {
        "supporting": ["眉毛上扬", "声音很快"],
        "misleading": [],
        "text": "眉毛扬起，声音急促，编号 {n}。因此可以判断这个人的情绪是 {label}。",
        "label": "{label}",
    },
    ("check", "en"): {"holds": True, "problems": []},
    ("check", "zh"): {"holds": True, "problems": []},
}
FIRST = {"expression": "phrases", "visual": "text", "audio": "text", "reason": "text", "check": "problems"}
# Texts that must never become an answer, by outcome.
BAD_TEXTS = {
    "prose": "Sure, I would be glad to help you with that.",
    "truncated_json": '{"text": "A person stands in a bri',
    "two_objects": '{"text": "One person in a room."} {"text": "Two people in a room."}',
    "doubled_key": '{"text": "One person in a room.", "text": "Two people in a room."}',
    "nan": '{"text": NaN}',
    "empty_text": "",
    "blank_text": " \n ",
    "only_thinking": "<think>The user wants a description, so I should",
    "refusal_text": "I'm sorry, but I can't help with identifying people or their emotions.",
    "refusal_zh": "抱歉，我无法协助识别人物的情绪。",
    "null": "null",
    "list": '["One person in a room."]',
}
# The same, written into the first text of an otherwise right answer.
BAD_CONTENT = {
    "refusal_inside": "I cannot see the image, so I am not able to describe it.",
    "placeholder": "N/A",
    "error_text": "Error code: 429 - rate limit exceeded, please try again in 20 s",
    "other_language": "Une femme est assise dans une pièce claire et regarde la caméra avec une autre.",
    "other_script": "Женщина сидит в светлой комнате и смотрит в камеру.",
    "swapped_language": {"en": "画面中有一个人站在明亮的房间里看着镜头。", "zh": "One person stands in a bright room."},
    "loop": "the person smiles and " * 60,
    "markup": "One person in a room.<|im_end|><|im_start|>user",
    "echo": {
        "en": "Write only of what is visible. Do not name or guess emotions, and do not guess who a person is. "
        "Leave out what is neither measured nor heard. Some clues point to this emotion, others are misleading "
        "or say nothing. When it does not contradict itself, and when the emotion that it ends with follows from "
        "what it says. "
        "Write phrases of 2 to 8 words, the strongest first, at most 8 of them.",
        "zh": "只写看得见的内容。不要写出或猜测情绪，也不要猜测人物的身份。没有测到也没有听到的方面不要写。"
        "有的线索支持这种情绪，有的会误导或没有意义，请先把它们分开。",
    },
    "too_long": "A person walks past window number one and sees tree. " * 400,
}
STATUSES = {"429": 429, "429_after": 429, "429_date": 429, "429_long": 429, "429_quota": 429, "500": 500, "502": 502,
            "503": 503, "529": 529, "400": 400, "401": 401, "404": 404, "413": 413, "422": 422}  # fmt: skip


@dataclass
class Seen:
    """One request, and the outcome that it got."""

    number: int
    outcome: str
    body: dict[str, Any]
    headers: dict[str, str]
    path: str
    started: float
    ended: float = 0.0
    sent_tokens: int = 0


@dataclass
class ScriptedServer:
    """Used as a context manager; `base_url` is what an annotator is given.

    `given` holds the texts of all right answers; `sent_tokens` is the sum of all usages sent.
    """

    script: Script | Sequence[str] = ("good",)
    slow_seconds: float = 0.3
    retry_after: str = "0.2"
    has_usage: bool = True
    model: str = "scripted-1"
    seen: list[Seen] = field(default_factory=list)
    given: set[str] = field(default_factory=set)
    most_at_once: int = 0

    def __enter__(self) -> ScriptedServer:
        self._lock = threading.Lock()
        self.stop = threading.Event()
        self._at_once = 0
        handler = type("Handler", (_Handler,), {"script": self})
        self._http = _Quiet(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()
        self.base_url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"
        return self

    def __exit__(self, *error: object) -> None:
        self.stop.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    @property
    def outcomes(self) -> Counter[str]:
        """How often each outcome was given."""
        return Counter(one.outcome for one in self.seen)

    @property
    def sent_tokens(self) -> int:
        """Sum of all usages that were sent."""
        return sum(one.sent_tokens for one in self.seen)

    def begin(self, body: dict[str, Any], headers: dict[str, str], path: str) -> Seen:
        with self._lock:
            number = len(self.seen)
            script = self.script
            outcome = script(number, body) if callable(script) else script[min(number, len(script) - 1)]
            one = Seen(number, outcome, body, headers, path, time.monotonic())
            self.seen.append(one)
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            return one

    def end(self, one: Seen) -> None:
        with self._lock:
            self._at_once -= 1
            one.ended = time.monotonic()


def user_texts(body: dict[str, Any]) -> list[str]:
    """Texts of the user's messages."""
    found = []
    for message in body["messages"]:
        if message["role"] == "user":
            content = message["content"]
            parts = [{"type": "text", "text": content}] if isinstance(content, str) else content
            found += [part["text"] for part in parts if part["type"] == "text"]
    return found


def media_hash(body: dict[str, Any]) -> str:
    """SHA-256 of everything asked but the repeats: the same question, the same hash."""
    first = next(m for m in body["messages"] if m["role"] == "user")
    return hashlib.sha256(json.dumps(first["content"]).encode()).hexdigest()


def task_of(body: dict[str, Any]) -> tuple[str, str]:
    """(task, language) of a request, read from the prompt's request for a form."""
    text = user_texts(body)[0]
    language = "zh" if "请用中文书写" in text else "en"
    if '"phrases"' in text:
        return "expression", language
    if '"holds"' in text:
        return "check", language
    if '"supporting"' in text:
        return "reason", language
    return ("audio" if "voice" in text or "声音" in text else "visual"), language


def right_answer(body: dict[str, Any]) -> dict[str, Any]:
    """What a good model answers: the same to the same question, another to another."""
    number = int(media_hash(body)[:6], 16) % 10_000
    task, language = task_of(body)
    text = user_texts(body)[0]
    label = "happy"
    for before, after in (("(label: ", ";"), ("（标签：", "；")):
        if before in text:
            label = text.split(before)[1].split(after)[0]
    filled = json.dumps(GOOD[task, language], ensure_ascii=False).replace("{n}", str(number)).replace("{label}", label)
    found: dict[str, Any] = json.loads(filled)
    return found


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    script: ScriptedServer
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""

    def do_POST(self) -> None:
        data = self.rfile.read(int(self.headers.get("content-length", 0)))
        body = json.loads(data)
        one = self.script.begin(body, {k.lower(): v for k, v in self.headers.items()}, self.path)
        try:
            self._outcome(one)
        except OSError:
            self.close_connection = True
        finally:
            self.script.end(one)

    def _outcome(self, one: Seen) -> None:
        name = one.outcome
        if name in STATUSES:
            return self._status(one, name)
        if name in BAD_TEXTS:
            return self._chat(one, BAD_TEXTS[name])
        task, language = task_of(one.body)
        if name in BAD_CONTENT:
            return self._chat(one, json.dumps(self._spoilt(one, name, task, language), ensure_ascii=False))
        method = getattr(self, f"do_{name}", None)
        assert method is not None, f"no outcome {name!r}"
        return method(one)

    def _spoilt(self, one: Seen, name: str, task: str, language: str) -> dict[str, Any]:
        bad = BAD_CONTENT[name]
        text = bad if isinstance(bad, str) else bad[language]
        values = right_answer(one.body)
        if task == "check":
            return {"holds": False, "problems": [text]}
        values[FIRST[task]] = [text] if task == "expression" else text
        return values

    # --- right ones -------------------------------------------------------------------------------------------------

    def do_good(self, one: Seen) -> None:
        content = json.dumps(right_answer(one.body), ensure_ascii=False)
        self.script.given.add(content)
        self._chat(one, content)

    def do_slow(self, one: Seen) -> None:
        self.script.stop.wait(self.script.slow_seconds)
        self.do_good(one)

    def do_fenced(self, one: Seen) -> None:
        content = json.dumps(right_answer(one.body), ensure_ascii=False)
        self.script.given.add(content)
        self._chat(one, f"<think>Let me see.</think>\n```json\n{content}\n```")

    def do_parts(self, one: Seen) -> None:
        content = json.dumps(right_answer(one.body), ensure_ascii=False)
        self.script.given.add(content)
        self._send(one, self._body(one, {"content": [{"type": "text", "text": content}]}))

    def do_no_schema(self, one: Seen) -> None:
        """Refuses response_format json_schema, as servers of before 2024 do."""
        kind = one.body.get("response_format", {}).get("type")
        if kind == "json_schema":
            message = "response_format.type must be one of text, json_object"
            return self._send(one, {"error": {"message": message, "type": "invalid_request_error"}}, 400)
        return self.do_good(one)

    def do_no_format(self, one: Seen) -> None:
        """Refuses any response_format, the way FastAPI does."""
        if "response_format" in one.body:
            detail = [{"loc": ["body", "response_format"], "msg": "extra fields not permitted"}]
            return self._send(one, {"detail": detail}, 422)
        return self.do_good(one)

    def do_llama_cpp(self, one: Seen) -> None:
        """llama-cpp-python 0.3: an unknown form of replies is an error of the server that names its place."""
        kind = one.body.get("response_format", {}).get("type")
        if kind == "json_schema":
            place = "[{'type': 'literal_error', 'loc': ('body', 'response_format', 'type'), 'input': 'json_schema'}]"
            return self._send(one, {"error": {"message": place, "type": "internal_server_error"}}, 500)
        return self.do_good(one)

    def do_short_grammar(self, one: Seen) -> None:
        """A server whose grammars know no long repetitions."""
        if "maxLength" in json.dumps(one.body):
            message = "failed to parse grammar: number of repetitions exceeds sane defaults"
            return self._send(one, {"error": {"message": message}}, 400)
        return self.do_good(one)

    def do_new_length(self, one: Seen) -> None:
        if "max_tokens" in one.body:
            message = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            return self._send(one, {"error": {"message": message}}, 400)
        return self.do_good(one)

    # --- wrong ones -------------------------------------------------------------------------------------------------

    def _status(self, one: Seen, name: str) -> None:
        headers = {}
        error = {"message": f"scripted {name}", "type": "scripted"}
        if name == "429_after":
            headers["Retry-After"] = self.script.retry_after
        elif name == "429_date":
            headers["Retry-After"] = self.date_time_string(int(time.time()) + 1)
        elif name == "429_long":
            headers["Retry-After"] = "3600"
        elif name == "429_quota":
            error["code"] = "insufficient_quota"
        self._send(one, {"error": error}, STATUSES[name], headers)

    def do_null_content(self, one: Seen) -> None:
        self._send(one, self._body(one, {"content": None}))

    def do_tool_call(self, one: Seen) -> None:
        calls = [{"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
        self._send(one, self._body(one, {"content": None, "tool_calls": calls}))

    def do_refusal_field(self, one: Seen) -> None:
        self._send(one, self._body(one, {"content": None, "refusal": "I will not."}))

    def do_content_filter(self, one: Seen) -> None:
        content = json.dumps(right_answer(one.body))
        self._send(one, self._body(one, {"content": content}, finish="content_filter"))

    def do_length(self, one: Seen) -> None:
        content = json.dumps(right_answer(one.body))
        self._send(one, self._body(one, {"content": content}, finish="length"))

    def do_extra_keys(self, one: Seen) -> None:
        self._chat(one, json.dumps(right_answer(one.body) | {"confidence": 0.9}))

    def do_missing_key(self, one: Seen) -> None:
        values = right_answer(one.body)
        del values[FIRST[task_of(one.body)[0]]]
        self._chat(one, json.dumps(values))

    def do_wrong_types(self, one: Seen) -> None:
        self._chat(one, json.dumps(dict.fromkeys(right_answer(one.body), 7)))

    def do_no_choices(self, one: Seen) -> None:
        self._send(one, {"choices": [], "usage": self._usage(one)})

    def do_wrong_choices(self, one: Seen) -> None:
        self._send(one, {"choices": "none today", "usage": {"prompt_tokens": -1, "completion_tokens": "many"}})

    def do_error_200(self, one: Seen) -> None:
        self._send(one, {"error": {"message": "upstream failed"}})

    def do_html_200(self, one: Seen) -> None:
        self._raw(one, b"<html><body><h1>Welcome to the hotel network</h1></body></html>", kind="text/html")

    def do_html_502(self, one: Seen) -> None:
        self._raw(one, b"<html><body>Bad gateway</body></html>", 502, kind="text/html")

    def do_json_list(self, one: Seen) -> None:
        self._raw(one, b'["a list"]')

    def do_event_stream(self, one: Seen) -> None:
        """Streams though nobody asked for it."""
        line = json.dumps({"choices": [{"delta": {"content": "One person"}}]})
        self._raw(one, f"data: {line}\n\ndata: [DONE]\n\n".encode(), kind="text/event-stream")

    def do_redirect(self, one: Seen) -> None:
        self._raw(one, b"", 307, headers={"Location": "http://127.0.0.1:9/v1/chat/completions"})

    def do_garbage(self, one: Seen) -> None:
        self.close_connection = True
        self.wfile.write(bytes(range(256)))

    def do_bad_gzip(self, one: Seen) -> None:
        self._raw(one, b"this is no gzip", headers={"Content-Encoding": "gzip"})

    def do_close(self, one: Seen) -> None:
        self.close_connection = True

    def do_half(self, one: Seen) -> None:
        self.close_connection = True
        self.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"choices"')

    def do_hang(self, one: Seen) -> None:
        self.close_connection = True
        self.script.stop.wait(30)

    def do_drip(self, one: Seen) -> None:
        """Never stops sending blanks, so that no pause is ever long enough for a time-out of reads."""
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        while not self.script.stop.wait(0.05):
            self.wfile.write(b" ")

    def do_flood(self, one: Seen) -> None:
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        for _ in range(64):
            self.wfile.write(b" " * (1 << 20))

    def do_wrong_label(self, one: Seen) -> None:
        self._chat(one, json.dumps(right_answer(one.body) | {"label": "ecstatic"}))

    # --- how it is sent ---------------------------------------------------------------------------------------------

    def _usage(self, one: Seen) -> dict[str, int] | None:
        if not self.script.has_usage:
            return None
        one.sent_tokens = PROMPT_TOKENS + REPLY_TOKENS
        return {"prompt_tokens": PROMPT_TOKENS, "completion_tokens": REPLY_TOKENS, "total_tokens": one.sent_tokens}

    def _body(self, one: Seen, message: dict[str, Any], finish: str = "stop") -> dict[str, Any]:
        choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
        body = {"id": "c", "object": "chat.completion", "model": self.script.model, "choices": [choice]}
        usage = self._usage(one)
        return body if usage is None else body | {"usage": usage}

    def _chat(self, one: Seen, content: str) -> None:
        self._send(one, self._body(one, {"content": content}))

    def _send(self, one: Seen, body: Any, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self._raw(one, json.dumps(body, ensure_ascii=False).encode(), status, headers=headers)

    def _raw(
        self, one: Seen, data: bytes, status: int = 200, *, kind: str = "application/json",
        headers: dict[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)
