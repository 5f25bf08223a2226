"""/v1/files: a recording uploaded once, asked about often; OpenAI's form of files."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request
from pydantic import Field

from emotion_llama.serve.auth import Owner
from emotion_llama.serve.errors import no_room
from emotion_llama.serve.files import StoredFile
from emotion_llama.serve.problems import Schema, error_responses
from emotion_llama.serve.state import State
from emotion_llama.serve.uploads import receive_upload

router = APIRouter(tags=["files"])

FileId = Annotated[str, Path(pattern="^file-[0-9a-f]{32}$", examples=["file-" + "0" * 32])]


class FileObject(Schema):
    """A file in OpenAI's form; times in whole seconds since 1970, UTC; `kind` is what its first bytes say."""

    id: str
    object: Literal["file"] = "file"
    bytes: int = Field(ge=1)
    created_at: int
    expires_at: int | None
    filename: str
    purpose: Literal["user_data"] = "user_data"  # OpenAI's word for files that are asked about
    status: Literal["processed"] = "processed"
    kind: str


class FileList(Schema):
    """All files of the caller, the newest first; there is only one page."""

    object: Literal["list"] = "list"
    data: list[FileObject]
    has_more: Literal[False] = False


class FileDeleted(Schema):
    """The file is gone."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


_FORM = {
    "type": "object",
    "title": "FileRequest",
    "properties": {
        "file": {"type": "string", "format": "binary", "description": "the recording"},
        "purpose": {"type": "string", "maxLength": 64, "description": "accepted and not used"},
    },
    "required": ["file"],
    "additionalProperties": False,
}
_BODY = {"requestBody": {"required": True, "content": {"multipart/form-data": {"schema": _FORM}}}}


@router.post(
    "/v1/files",
    summary="Upload a recording",
    operation_id="upload_file",
    openapi_extra=_BODY,
    responses=error_responses(400, 401, 403, 408, 413, 415, 421, 422, 429, 500, 503),
)
async def upload(request: Request, state: State, owner: Owner) -> FileObject:
    """Keep a recording for some time (see `expires_at`), so that chats can name it by its id."""
    async with receive_upload(request, state, files=("file",), fields=("purpose",)) as (_, files):
        file = files["file"]
        try:
            kept = await asyncio.to_thread(state.files.add, owner, file.path, name=file.name, kind=file.kind)
        except OSError as error:
            raise no_room() from error
    return _shown(kept)


@router.get("/v1/files", summary="My files", operation_id="files", responses=error_responses(401, 421, 429))
async def files(state: State, owner: Owner) -> FileList:
    """The caller's files."""
    found = await asyncio.to_thread(state.files.of_owner, owner)
    return FileList(data=[_shown(file) for file in found])


@router.get(
    "/v1/files/{file_id}", summary="One file", operation_id="file", responses=error_responses(401, 404, 421, 422, 429)
)
async def file(file_id: FileId, state: State, owner: Owner) -> FileObject:
    """What is known of a file; its content is not given out again."""
    return _shown(await asyncio.to_thread(state.files.get, owner, file_id))


@router.delete(
    "/v1/files/{file_id}",
    summary="Delete a file",
    operation_id="delete_file",
    responses=error_responses(401, 403, 404, 421, 422, 429),
)
async def delete(file_id: FileId, state: State, owner: Owner) -> FileDeleted:
    """Delete a file, and what is remembered of it."""
    deleted = await asyncio.to_thread(state.files.delete, owner, file_id)
    state.clips.forget(owner, deleted.sha256)
    return FileDeleted(id=file_id)


def _shown(file: StoredFile) -> FileObject:
    return FileObject(
        id=file.id,
        bytes=file.num_bytes,
        created_at=int(file.created_at),
        expires_at=None if file.expires_at is None else int(file.expires_at),
        filename=file.name,
        kind=file.kind,
    )
