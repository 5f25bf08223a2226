"""Bodies of POST /v1/chat/completions: OpenAI's form, strict, with only what is answered here.

Fields and their bounds: OpenAI's API reference, "Create chat completion". What a client may send without asking for
anything (a penalty of 0, a text as response format) is taken; what would be ignored though it asks for something
(tools, several choices, log probabilities) is refused with the field's name.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from emotion_llama.serve.problems import Schema

MAX_MESSAGES = 200
MAX_TEXT = 16_000  # characters of one message: some 4,000 tokens, the context of the published model
MAX_CHAT_TEXT = 64_000  # of all messages together: more than any model here has context for
MAX_NEW_TOKENS = 1000
DEFAULT_NEW_TOKENS = 200  # as `emotion-llama analyze`

ChatText = Annotated[str, StringConstraints(max_length=MAX_TEXT)]


class TextPart(Schema):
    """Text."""

    type: Literal["text"]
    text: ChatText


class Address(Schema):
    """Where a clip is: a data URI (`data:video/mp4;base64,...`). Addresses of the web and of files are refused."""

    url: str = Field(examples=["data:video/mp4;base64,AAAAIGZ0eXA..."])
    detail: Literal["auto", "low", "high"] | None = Field(default=None, description="accepted and not used")


class VideoPart(Schema):
    """A clip as a data URI, in the form that vLLM and others take; OpenAI has none for video."""

    type: Literal["video_url"]
    video_url: Address


class FileReference(Schema):
    """A file by its id, or in the request itself."""

    file_id: str | None = Field(default=None, description="from POST /v1/files", examples=["file-0f9a..."])
    file_data: str | None = Field(default=None, description="a data URI")
    filename: str | None = Field(default=None, max_length=1000)


class FilePart(Schema):
    """A file that was uploaded before, or a data URI."""

    type: Literal["file"]
    file: FileReference


class Sound(Schema):
    """A recording of a voice in base64."""

    data: str
    format: str = Field(max_length=16, description="accepted and not used: the first bytes say what it is")


class SoundPart(Schema):
    """Audio without video."""

    type: Literal["input_audio"]
    input_audio: Sound


Part = Annotated[TextPart | VideoPart | FilePart | SoundPart, Field(discriminator="type")]


class Message(Schema):
    """One message. `system` (or `developer`) texts precede a free question; tasks have instructions of their own."""

    role: Literal["system", "developer", "user", "assistant"]
    content: ChatText | Annotated[list[Part], Field(max_length=16)]
    name: str | None = Field(default=None, max_length=64, description="accepted and not used")
    # What this server and OpenAI's put into an answer, which clients send back as it came.
    refusal: None = None
    annotations: list[Any] | None = Field(default=None, max_length=0)
    audio: None = None
    function_call: None = None
    tool_calls: None = None
    emotion_llama: dict[str, Any] | None = Field(default=None, description="accepted and not used")


class StreamOptions(Schema):
    """Of a streamed answer."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = Field(default=None, description="accepted and not used")


class TextFormat(Schema):
    """The only form of answers."""

    type: Literal["text"]


class ClipOptions(Schema):
    """What OpenAI's form has no place for; `extra_body={"emotion_llama": {...}}` of its client."""

    subtitle: str | None = Field(default=None, max_length=16_000, description="what the person says")
    person_id: int | None = Field(default=None, ge=1, description="who is meant, as /v1/analyze numbers people")
    at_seconds: float | None = Field(
        default=None, ge=0, description="of a stored recording that was analysed in segments: the one that is meant"
    )


class ChatRequest(Schema):
    """A conversation about one clip."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "model": "rules",
                    "messages": [
                        {
                            "role": "user",
                            "content": [
                                {"type": "file", "file": {"file_id": "file-00000000000000000000000000000000"}},
                                {"type": "text", "text": "[emotion]"},
                            ],
                        }
                    ],
                }
            ]
        },
    )

    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    model: str | None = Field(default=None, max_length=200, description="a name of /v1/models; without it the default")
    temperature: float | None = Field(default=None, ge=0, le=2, description="0 (the likeliest tokens) if not given")
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1, le=MAX_NEW_TOKENS)
    max_completion_tokens: int | None = Field(default=None, ge=1, le=MAX_NEW_TOKENS)
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    emotion_llama: ClipOptions | None = None
    # Nothing is asked for with these values.
    frequency_penalty: float | None = Field(default=None, ge=0, le=0)
    presence_penalty: float | None = Field(default=None, ge=0, le=0)
    logprobs: Literal[False] | None = None
    response_format: TextFormat | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    tool_choice: Literal["none", "auto"] | None = None
    modalities: list[Literal["text"]] | None = None
    store: Literal[False] | None = None
    metadata: dict[str, str] | None = None
    user: str | None = Field(default=None, max_length=1000)
    safety_identifier: str | None = Field(default=None, max_length=1000)
    service_tier: Literal["auto", "default"] | None = None


class Usage(BaseModel):
    """Tokens. The clip's own are among `prompt_tokens`; answers that are not written by a model have none."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ClipAnswer(BaseModel):
    """Beside the text: who and when it is about, and for [emotion] label and probabilities."""

    person_id: int
    start_seconds: float
    end_seconds: float
    task: str
    label: str | None = None
    probabilities: dict[str, float] | None = None
    reasoning: str | None = None


class AnswerMessage(BaseModel):
    """What was answered."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(BaseModel):
    """The one answer."""

    index: Literal[0] = 0
    message: AnswerMessage
    finish_reason: Literal["stop", "length"]
    logprobs: None = None


class ChatCompletion(BaseModel):
    """The whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    emotion_llama: ClipAnswer
