"""A small Python client of `emotion-llama serve`: recordings in; analyses, answers and jobs out.

Example:
    >>> from emotion_llama.serve.client import Client
    >>> with Client("http://127.0.0.1:8000") as client:
    ...     analysis = client.analyze("talk.mp4", subtitle="How nice!")
    ...     print(analysis.people[0].segments[0].prediction.label)
    ...     print(client.ask("talk.mp4", "[reason]").text)
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emotion_llama.schema import AnalysisDocument
from emotion_llama.serve.client_http import Requests, events_of, readable
from emotion_llama.serve.client_records import (
    ChatAnswer,
    FileInfo,
    JobInfo,
    ModelInfo,
    ServerError,
    answer_of,
    document_of,
    error_of,
    file_of,
    job_of,
    models_of,
    piece_of,
    read,
)

__all__ = ["ChatAnswer", "Client", "FileInfo", "JobInfo", "ModelInfo", "ServerError"]

Progress = Callable[[str, float], None]  # stage, share done 0..1
Clip = str | Path | FileInfo


class Client:
    """A server's API. Not safe to share between threads; a context manager.

    Args:
        base_url: such as "http://127.0.0.1:8000".
        api_key: where the server asks for one.
        timeout_seconds: longest silence of the server.
        retries: how often a request that was turned away (429) is sent again, after the pause that the server asks for.

    Raises:
        MissingDependency: httpx2 is not installed.
    """

    def __init__(
        self,
        base_url: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        timeout_seconds: float = 300.0,
        retries: int = 3,
    ) -> None:
        self._requests = Requests(base_url, api_key=api_key, timeout_seconds=timeout_seconds, retries=retries)
        self._uploaded: dict[tuple[Path, int, int], FileInfo] = {}

    def close(self) -> None:
        """Delete the files that `ask` uploaded, and give the connections back."""
        try:
            for file in self._uploaded.values():
                self.delete_file(file)
        except ServerError:
            pass  # they expire by themselves
        finally:
            self._uploaded.clear()
            self._requests.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # --- analyses

    def models(self) -> list[ModelInfo]:
        """The server's models. ServerError where it answers with an error, as from all methods."""
        return read(models_of, self._requests.json("GET", "/v1/models"))

    def analyze(
        self,
        clip: str | Path,
        *,
        transcript: str | Path | None = None,
        progress: Progress | None = None,
        **options: str | float | bool | None,
    ) -> AnalysisDocument:
        """Analyse a recording.

        Args:
            clip: the file.
            transcript: a .srt, .vtt or .txt file of the words.
            progress: hears the stages as they pass.
            **options: model, subtitle, people, segment, peak_rule, curves; as `Analyzer.analyze`'s.
        """
        files = {"file": clip, "transcript": transcript}
        if progress is None:
            text = self._requests.text("POST", "/v1/analyze", files=files, fields=options)
            return document_of(text)
        events = {"Accept": "text/event-stream"}
        with self._requests.opened("POST", "/v1/analyze", files=files, fields=options, headers=events) as response:
            for name, data in events_of(response.iter_lines()):
                if name == "progress":
                    progress(data["stage"], data["share"])
                elif name == "result":
                    return document_of(json.dumps(data))
                elif name == "error":
                    raise error_of(200, data, {})
        raise ServerError("the server's answer ended before the result")

    def analyze_html(
        self, clip: str | Path, *, transcript: str | Path | None = None, **options: str | float | bool | None
    ) -> str:
        """The page of an analysis; arguments as `analyze`."""
        files = {"file": clip, "transcript": transcript}
        return self._requests.text("POST", "/v1/analyze", files=files, fields={**options, "format": "html"})

    # --- questions

    def upload(self, clip: str | Path) -> FileInfo:
        """Keep a recording on the server, to be asked about."""
        return read(file_of, self._requests.json("POST", "/v1/files", files={"file": clip}))

    def delete_file(self, file: FileInfo | str) -> None:
        """Take an uploaded recording away."""
        self._requests.json("DELETE", f"/v1/files/{file.id if isinstance(file, FileInfo) else file}")

    def ask(
        self,
        clip: Clip,
        question: str,
        *,
        model: str | None = None,
        history: Sequence[tuple[str, str]] = (),
        subtitle: str | None = None,
        person_id: int | None = None,
        **decoding: float | int | None,
    ) -> ChatAnswer:
        """Ask about a recording.

        Args:
            clip: a file, which is uploaded at the first question and deleted with the client; or an uploaded one.
            question: `[emotion]`, `[reason]`, `[visual]`, `[audio]`, or in words.
            model: which model; the server's default if none.
            history: earlier questions with their answers.
            subtitle: what the person says.
            person_id: who is meant, as `analyze` numbers people; the main person if none.
            **decoding: temperature, top_p, max_tokens, seed.
        """
        body = self._chat(clip, question, model, history, subtitle, person_id, decoding)
        return read(answer_of, self._requests.json("POST", "/v1/chat/completions", json=body))

    def stream(
        self,
        clip: Clip,
        question: str,
        *,
        model: str | None = None,
        history: Sequence[tuple[str, str]] = (),
        subtitle: str | None = None,
        person_id: int | None = None,
        **decoding: float | int | None,
    ) -> Iterator[str]:
        """The answer as it is written; arguments as `ask`. Leaving early ends the writing."""
        body = self._chat(clip, question, model, history, subtitle, person_id, decoding)
        with self._requests.opened("POST", "/v1/chat/completions", json={**body, "stream": True}) as response:
            for _, data in events_of(response.iter_lines()):
                if "error" in data:
                    raise error_of(200, data, {})
                if piece := read(piece_of, data):
                    yield piece

    def _chat(
        self,
        clip: Clip,
        question: str,
        model: str | None,
        history: Sequence[tuple[str, str]],
        subtitle: str | None,
        person_id: int | None,
        decoding: Mapping[str, float | int | None],
    ) -> dict[str, Any]:  # the request's JSON
        turns = [{"role": role, "content": text} for turn in history for role, text in zip(("user", "assistant"), turn)]
        file = {"type": "file", "file": {"file_id": self._file_id(clip)}}
        about = {name: value for name, value in (("subtitle", subtitle), ("person_id", person_id)) if value is not None}
        return {
            "model": model,
            "messages": [{"role": "user", "content": [file]}, *turns, {"role": "user", "content": question}],
            "emotion_llama": about or None,
            **decoding,
        }

    def _file_id(self, clip: Clip) -> str:
        if isinstance(clip, FileInfo):
            return clip.id
        if isinstance(clip, str) and clip.startswith("file-") and not Path(clip).exists():
            return clip
        path = readable(clip).resolve()
        key = (path, path.stat().st_mtime_ns, path.stat().st_size)
        known = self._uploaded.get(key)
        if known is None or (known.expires_at is not None and known.expires_at < time.time() + 60):
            self._uploaded[key] = known = self.upload(path)
        return known.id

    # --- jobs

    def submit(
        self, clip: str | Path, *, transcript: str | Path | None = None, **options: str | float | bool | None
    ) -> JobInfo:
        """Hand in a long recording; arguments as `analyze`."""
        files = {"file": clip, "transcript": transcript}
        return read(job_of, self._requests.json("POST", "/v1/jobs", files=files, fields=options))

    def job(self, job: JobInfo | str) -> JobInfo:
        """How far a job is."""
        return read(job_of, self._requests.json("GET", f"/v1/jobs/{_id(job)}"))

    def jobs(self) -> Iterator[JobInfo]:
        """All jobs, the newest first."""
        after = ""
        while True:
            page = self._requests.json("GET", f"/v1/jobs?limit=100{after}")
            yield from (read(job_of, value) for value in page["data"])
            if not page["has_more"]:
                return
            after = f"&after={page['data'][-1]['id']}"

    def wait(
        self,
        job: JobInfo | str,
        *,
        progress: Callable[[JobInfo], None] | None = None,
        every_seconds: float = 2.0,
        patience_seconds: float = 120.0,
    ) -> JobInfo:
        """Wait until a job is finished, well or not, also across a restart of the server; what it is then.

        Args:
            job: which.
            progress: hears how far it is.
            every_seconds: how often the server is asked.
            patience_seconds: how long the server may be away.
        """
        seen = time.monotonic()
        while True:
            try:
                found = self.job(job)
            except ServerError as error:
                if error.status not in (None, 503) or time.monotonic() - seen > patience_seconds:
                    raise
            else:
                seen = time.monotonic()
                if found.is_finished:
                    return found
                if progress is not None:
                    progress(found)
            time.sleep(every_seconds)

    def result(self, job: JobInfo | str) -> AnalysisDocument:
        """A finished job's analysis."""
        text = self._requests.text("GET", f"/v1/jobs/{_id(job)}/result?format=json")
        return document_of(text)

    def result_html(self, job: JobInfo | str) -> str:
        """A finished job's page."""
        return self._requests.text("GET", f"/v1/jobs/{_id(job)}/result?format=html")

    def cancel(self, job: JobInfo | str) -> JobInfo:
        """End a job."""
        return read(job_of, self._requests.json("POST", f"/v1/jobs/{_id(job)}/cancel"))

    def delete_job(self, job: JobInfo | str) -> None:
        """Take a job away with its recording and its result."""
        self._requests.json("DELETE", f"/v1/jobs/{_id(job)}")


def _id(job: JobInfo | str) -> str:
    return job.id if isinstance(job, JobInfo) else job
