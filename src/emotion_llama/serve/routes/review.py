"""The review page and its API: the samples of one MERR build, one at a time, and what reviewers decide on them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse, Response
from starlette.concurrency import run_in_threadpool

from emotion_llama.merr.records import Sample
from emotion_llama.merr.review.decisions import (
    MAX_NAME,
    Outdated,
    Review,
    history,
    label_space,
    newest_reviews,
    put_review,
    reviewer_name,
    reviewers,
)
from emotion_llama.merr.review.figures import index, index_row, num_disputed, num_reviewed, review_statistics
from emotion_llama.merr.store import Store
from emotion_llama.serve.auth import caller_of
from emotion_llama.serve.errors import Problem
from emotion_llama.serve.problems import error_responses
from emotion_llama.serve.routes.review_schemas import (
    Curves,
    DecisionForm,
    PictureName,
    ReviewFigures,
    ReviewSet,
    Row,
    Rows,
    Shown,
)
from emotion_llama.serve.routes.review_view import (
    ARTIFACT_TYPES,
    MEDIA_TYPES,
    FoundFile,
    artifact_file,
    clip_file,
    curves_of,
    plain_fixes,
    send,
    shown,
)

T = TypeVar("T")
# The page's files; a name from a client is looked up here and nowhere else.
_FILES = {
    "": ("review.html", "text/html; charset=utf-8"),
    "review.css": ("review.css", "text/css; charset=utf-8"),
    "review.js": ("review.js", "text/javascript; charset=utf-8"),
    "review_fields.js": ("review_fields.js", "text/javascript; charset=utf-8"),
    "review_media.js": ("review_media.js", "text/javascript; charset=utf-8"),
    "review_figures.js": ("review_figures.js", "text/javascript; charset=utf-8"),
    "review_api.js": ("review_api.js", "text/javascript; charset=utf-8"),
    "key.js": ("key.js", "text/javascript; charset=utf-8"),
    "dom.js": ("dom.js", "text/javascript; charset=utf-8"),
    "icon.svg": ("icon.svg", "image/svg+xml"),
}
ClipId = Annotated[str, Query(min_length=1, max_length=1000, description="of the clip, as the list has it")]
Who = Annotated[str | None, Query(max_length=MAX_NAME, description="the reviewer")]


def build_router(dataset_dir: Path) -> APIRouter:
    """The routes of a build: the page at /review/, which holds no data of anybody, and its API at /v1/review.

    A build of an older version is brought up to this one's, so that it can take reviews.

    Raises:
        InputError: the folder is no build, or cannot be written.
    """
    Store.open(dataset_dir).close()
    router = APIRouter()
    _add_page(router)
    api = APIRouter(prefix="/v1/review", tags=["review"], dependencies=[Depends(caller_of)])
    _add_samples(api, dataset_dir)
    _add_media(api, dataset_dir)
    _add_decisions(api, dataset_dir)
    router.include_router(api)
    return router


def _add_page(router: APIRouter) -> None:
    @router.get("/review/{name}", include_in_schema=False)
    @router.get("/review/", include_in_schema=False)
    async def page(request: Request, name: str = "") -> Response:
        """The page and its files."""
        if name not in _FILES:
            raise Problem(404, f"there is no page {request.url.path}", code="not_found")
        file, media_type = _FILES[name]
        return Response(_packaged(file), media_type=media_type, headers={"Cache-Control": "no-cache"})


@cache
def _packaged(name: str) -> bytes:
    return (resources.files("emotion_llama.serve.web") / name).read_bytes()


def _add_samples(api: APIRouter, folder: Path) -> None:
    @api.get("", summary="The build", operation_id="review_set", responses=error_responses(401, 421, 429))
    async def review_set() -> ReviewSet:
        """What is reviewed: the build's name, its labels, and who has reviewed it so far."""
        return await _query(folder, _set_of)

    @api.get(
        "/samples", summary="All samples", operation_id="review_samples", responses=error_responses(401, 421, 422, 429)
    )
    async def samples(reviewer: Who = None) -> Rows:
        """A short row for each sample of the coarse set, with what this reviewer has decided."""
        rows = await _query(folder, lambda store: index(store, _name(reviewer)))
        return Rows(samples=[Row(**row) for row in rows])

    @api.get(
        "/sample",
        summary="One sample",
        operation_id="review_sample",
        responses=error_responses(401, 404, 421, 422, 429),
    )
    async def sample(clip_id: ClipId, reviewer: Who = None) -> Shown:
        """Everything that is shown to a reviewer; other reviewers' decisions only once the own one is there."""
        return await _query(folder, lambda store: _shown(store, clip_id, _name(reviewer)))

    @api.get(
        "/curves", summary="Action units over time", operation_id="review_curves",
        responses=error_responses(401, 404, 421, 422, 429),
    )  # fmt: skip
    async def curves(clip_id: ClipId) -> Curves:
        """What the face does over the clip, as the build measured it; no units where it did not."""
        return await _query(folder, lambda store: curves_of(store, _of(store, clip_id)))

    @api.get(
        "/figures", summary="Progress and agreement", operation_id="review_figures",
        responses=error_responses(401, 421, 429),
    )  # fmt: skip
    async def figures() -> ReviewFigures:
        """How far the reviews are, what they come to, and how far each two reviewers agree."""
        return await _query(folder, _figures)


def _add_media(api: APIRouter, folder: Path) -> None:
    async def file(find: Callable[[Store], FoundFile | None], what: str) -> FileResponse:
        return send(await _query(folder, find), what)

    @api.get(
        "/media", summary="A clip", operation_id="review_media", response_class=FileResponse,
        responses=_sent(MEDIA_TYPES.values()),
    )  # fmt: skip
    async def media(clip_id: ClipId) -> FileResponse:
        """The clip's media file as the build found it, in ranges where they are asked for."""
        return await file(lambda store: clip_file(_of(store, clip_id).clip), "media file")

    @api.get(
        "/picture", summary="A picture", operation_id="review_picture", response_class=FileResponse,
        responses=_sent(name for name in ARTIFACT_TYPES.values() if name.startswith("image/")),
    )  # fmt: skip
    async def picture(clip_id: ClipId, name: PictureName) -> FileResponse:
        """The peak frame, or the face in it."""
        return await file(lambda store: artifact_file(store, _of(store, clip_id), name), "picture")

    @api.get(
        "/sound", summary="The sound", operation_id="review_sound", response_class=FileResponse,
        responses=_sent(name for name in ARTIFACT_TYPES.values() if name.startswith("audio/")),
    )  # fmt: skip
    async def sound(clip_id: ClipId) -> FileResponse:
        """The sound that the build took from the clip, for media that a browser cannot play."""
        return await file(lambda store: artifact_file(store, _of(store, clip_id), "sound"), "sound")


def _sent(media_types: Iterable[str]) -> dict[int | str, dict[str, Any]]:
    """`responses=` of a route that sends files of these types, for the OpenAPI document."""
    content = {name: {"schema": {"type": "string", "format": "binary"}} for name in sorted(set(media_types))}
    return {
        200: {"description": "The file", "content": content},
        206: {"description": "The range of it that was asked for", "content": content},
        416: {"description": "The range lies beyond its end", "content": {"text/plain": {}}},
        **error_responses(401, 404, 421, 422, 429),
    }


def _add_decisions(api: APIRouter, folder: Path) -> None:
    @api.post(
        "/decisions", summary="Decide", operation_id="review_decide", status_code=201,
        responses=error_responses(400, 401, 403, 404, 408, 409, 413, 421, 422, 429),
    )  # fmt: skip
    async def decide(form: DecisionForm) -> Shown:
        """Record a decision; earlier ones stay in the history. 409 where the sample has changed since it was shown."""
        fixes = plain_fixes(form.fixes)
        draft = Review(form.clip_id, form.reviewer, form.decision, form.stars, form.comment, fixes)

        def put() -> Shown:
            with Store.open(folder) as store:
                _of(store, draft.clip_id)
                put_review(store, draft, state=form.state)
                return _shown(store, draft.clip_id, draft.reviewer)

        try:
            return await run_in_threadpool(put)
        except Outdated as error:
            raise Problem(409, str(error), code="changed", param="state") from error


async def _query(folder: Path, read: Callable[[Store], T]) -> T:
    """What `read` returns, run in a thread: the store belongs to the thread that opened it."""

    def run() -> T:
        with Store.open(folder, read_only=True) as store, store.snapshot():
            return read(store)

    return await run_in_threadpool(run)


def _name(reviewer: str | None) -> str | None:
    """The name as the store has it; None for nobody."""
    return reviewer_name(reviewer) if reviewer and reviewer.strip() else None


def _of(store: Store, clip_id: str) -> Sample:
    found = next(store.samples_of([clip_id]), None)
    if found is None:
        # Not the store's own words: they name its folder.
        raise Problem(404, f"there is no clip {clip_id!r}", code="not_found", param="clip_id")
    return found


def _shown(store: Store, clip_id: str, reviewer: str | None) -> Shown:
    sample = _of(store, clip_id)
    reviews = newest_reviews(store, [clip_id]).get(clip_id, ())
    return shown(store, sample, index_row(sample, reviews, reviewer), history(store, clip_id), reviewer)


def _set_of(store: Store) -> ReviewSet:
    return ReviewSet(
        name=store.folder.resolve().name,
        samples=store.count("coarse"),
        labels=list(label_space(store).labels),
        reviewers=reviewers(store),
    )


def _figures(store: Store) -> ReviewFigures:
    found = review_statistics(store)
    return ReviewFigures(**found, reviewed=num_reviewed(found), disputed=num_disputed(found))
