"""An OpenAI-compatible server on loopback that answers with a tiny transformers model's real log-probabilities."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch


class ModelServer:
    """What a server of the kind would do with one model.

    Args:
        model: a causal language model.
        tokenizer: with a chat template.
        gives: of "tokens" (top_logprobs), "continues" (begun replies), "prompt" (prompt_logprobs).
    """

    def __init__(self, model: Any, tokenizer: Any, gives: tuple[str, ...]) -> None:
        self.model, self.tokenizer, self.gives = model, tokenizer, gives
        self.bodies: list[dict[str, Any]] = []

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        """A reply of one token, with the log-probabilities that are asked for and given."""
        self.bodies.append(body)
        messages = list(body["messages"])
        begun = ""
        if messages[-1]["role"] == "assistant" and "continues" in self.gives:
            begun = messages.pop()["content"]
        text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) + begun
        ids = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        with torch.no_grad():
            logs = self.model(input_ids=torch.tensor([ids])).logits[0].float().log_softmax(-1)
        choice: dict[str, Any] = {"message": {"role": "assistant", "content": "happy"}, "finish_reason": "stop"}
        if body.get("logprobs") and "tokens" in self.gives:
            top = logs[-1].topk(min(body["top_logprobs"], logs.shape[1]))
            listed = [{"token": self.tokenizer.decode([t]), "logprob": float(value)}
                      for value, t in zip(top.values, top.indices.tolist(), strict=True)]  # fmt: skip
            choice["logprobs"] = {"content": [{**listed[0], "top_logprobs": listed}]}
        found: dict[str, Any] = {"choices": [choice], "model": "tiny",
                                 "usage": {"prompt_tokens": len(ids), "completion_tokens": 1}}  # fmt: skip
        if "prompt_logprobs" in body and "prompt" in self.gives:
            found["prompt_logprobs"] = [None] + [
                {str(t): {"logprob": float(logs[i, t]), "rank": 1, "decoded_token": self.tokenizer.decode([t])}}
                for i, t in enumerate(ids[1:])
            ]
        return found

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serves; gives the address up to and with /v1."""
        owner = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
                """Say nothing."""

            def do_GET(self) -> None:
                self._send({"data": [{"id": "tiny"}]})

            def do_POST(self) -> None:
                self._send(owner.answer(json.loads(self.rfile.read(int(self.headers["content-length"])))))

            def _send(self, body: dict[str, Any]) -> None:
                data = json.dumps(body).encode()
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_address[1]}/v1"
        finally:
            http.shutdown()
            http.server_close()
            thread.join()
