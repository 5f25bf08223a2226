"""/v1/files: a recording uploaded once, asked about often; OpenAI's form of files."""

from __future__ import annotations

import asyncio
from typing import Annotated, Literal

from fastapi import APIRouter, Path, Request
from pydantic import BaseModel, ConfigDict, Field

from emotion_llama.serve.auth import Caller
from emotion_llama.serve.file_store import FileStore, NoSuchFile, StoredFile, StoreFull
from emotion_llama.serve.problems import Problem, busy, error_responses
from emotion_llama.serve.state import ServeState, State
from emotion_llama.serve.uploads import receive_upload

router = APIRouter(tags=["files"])

FileId = Annotated[str, Path(pattern="^file-[0-9a-f]{32}$", examples=["file-" + "0" * 32])]


class FileObject(BaseModel):
    """A file in OpenAI's form; times in whole seconds since 1970, UTC; `kind` is what its first bytes say."""

    model_config = ConfigDict(extra="forbid")

    id: str
    object: Literal["file"] = "file"
    bytes: int = Field(ge=1)
    created_at: int
    expires_at: int | None
    filename: str
    purpose: Literal["user_data"] = "user_data"  # OpenAI's word for files that are asked about
    status: Literal["processed"] = "processed"
    kind: str


class FileList(BaseModel):
    """All files of the caller, the newest first; there is only one page."""

    model_config = ConfigDict(extra="forbid")

    object: Literal["list"] = "list"
    data: list[FileObject]
    has_more: Literal[False] = False


class FileDeleted(BaseModel):
    """The file is gone."""

    model_config = ConfigDict(extra="forbid")

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "title": "FileRequest",
                    "properties": {
                        "file": {"type": "string", "format": "binary", "description": "the recording"},
                        "purpose": {"type": "string", "maxLength": 64, "description": "taken and not used"},
                    },
                    "required": ["file"],
                    "additionalProperties": False,
                }
            }
        },
    }
}


@router.post(
    "/v1/files",
    summary="Upload a recording",
    operation_id="upload_file",
    openapi_extra=_BODY,
    responses=error_responses(400, 401, 403, 408, 413, 415, 421, 422, 429, 500, 503),
)
async def upload(request: Request, state: State, caller: Caller) -> FileObject:
    """Keep a recording for some time (see `expires_at`), so that chats can name it by its id."""
    async with receive_upload(request, state, files=("file",), fields=("purpose",)) as received:
        file = received.files["file"]
        try:
            kept = await asyncio.to_thread(files_of(state).add, caller.owner, file.path, name=file.name, kind=file.kind)
        except StoreFull as error:
            raise busy(str(error), error.retry_after_seconds, code="store_full") from error
        except OSError as error:
            raise Problem(503, "the server has no room for the file; try again later", code="no_room") from error
    return _shown(kept)


@router.get("/v1/files", summary="My files", operation_id="files", responses=error_responses(401, 421, 429))
async def files(state: State, caller: Caller) -> FileList:
    """The caller's files."""
    found = await asyncio.to_thread(files_of(state).of_owner, caller.owner)
    return FileList(data=[_shown(file) for file in found])


@router.get(
    "/v1/files/{file_id}", summary="One file", operation_id="file", responses=error_responses(401, 404, 421, 422, 429)
)
async def file(file_id: FileId, state: State, caller: Caller) -> FileObject:
    """What is known of a file; its content is not given out again."""
    return _shown(await find_file(state, caller.owner, file_id))


@router.delete(
    "/v1/files/{file_id}",
    summary="Delete a file",
    operation_id="delete_file",
    responses=error_responses(401, 403, 404, 421, 422, 429),
)
async def delete(file_id: FileId, state: State, caller: Caller) -> FileDeleted:
    """Take a file away, and what is remembered of it."""
    found = await find_file(state, caller.owner, file_id)
    try:
        await asyncio.to_thread(files_of(state).delete, caller.owner, file_id)
    except NoSuchFile as error:
        raise _no_file(error) from error
    if state.clips is not None:
        state.clips.forget(caller.owner, found.sha256)
    return FileDeleted(id=file_id)


def files_of(state: ServeState) -> FileStore:
    """The server's files.

    Raises:
        Problem: 503, it keeps none.
    """
    if state.files is None:
        raise Problem(503, "this server keeps no files", code="no_files")
    store: FileStore = state.files
    return store


async def find_file(state: ServeState, owner: str, file_id: str) -> StoredFile:
    """One file of an owner.

    Raises:
        Problem: 404, there is none.
    """
    try:
        return await asyncio.to_thread(files_of(state).get, owner, file_id)
    except NoSuchFile as error:
        raise _no_file(error) from error


def _no_file(error: NoSuchFile) -> Problem:
    return Problem(404, str(error), code="file_not_found", param="file_id")


def _shown(file: StoredFile) -> FileObject:
    return FileObject(
        id=file.id,
        bytes=file.num_bytes,
        created_at=int(file.created_at),
        expires_at=None if file.expires_at is None else int(file.expires_at),
        filename=file.name,
        kind=file.kind,
    )
