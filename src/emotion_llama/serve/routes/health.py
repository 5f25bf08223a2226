"""Liveness, readiness, the list of models, and metrics."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Response

from emotion_llama.serve.auth import Owner
from emotion_llama.serve.errors import Problem
from emotion_llama.serve.metrics import CONTENT_TYPE
from emotion_llama.serve.problems import Schema, error_responses
from emotion_llama.serve.state import State

router = APIRouter(tags=["server"])


class Alive(Schema):
    """The server answers."""

    status: Literal["alive"] = "alive"


class Ready(Schema):
    """The server is warm: how many children measure, and how many requests wait for them."""

    status: Literal["ready"] = "ready"
    children: int
    waiting: int


class ModelCard(Schema):
    """A model in OpenAI's form, with what is ours beside it.

    `reads` is what it predicts from: "measurements" (rules) or "recordings" (a model that can be asked further);
    `is_default` marks the one that answers where a request names none.
    """

    id: str
    object: Literal["model"] = "model"
    created: int = 0
    owned_by: str = "emotion-llama"
    reads: Literal["measurements", "recordings"]
    is_default: bool
    name: str


class ModelList(Schema):
    """All models."""

    object: Literal["list"] = "list"
    data: list[ModelCard]


@router.get("/healthz", summary="Alive", operation_id="healthz")
async def healthz() -> Alive:
    """The process answers; says nothing about its models and children."""
    return Alive()


@router.get("/readyz", summary="Ready", operation_id="readyz", responses=error_responses(503))
async def readyz(state: State) -> Ready:
    """Whether to send requests here: 503 while it starts, and once it is to stop."""
    pool = state.pool.counts
    if not state.is_ready or not pool["ready"]:
        raise Problem(503, "not ready: starting, or about to stop", code="not_ready", retry_after_seconds=2.0)
    return Ready(children=pool["children"], waiting=pool["waiting"])


@router.get("/v1/models", summary="Models", operation_id="models", responses=error_responses(401, 421, 429))
async def models(state: State, owner: Owner) -> ModelList:
    """The models of this server, in OpenAI's form."""
    return ModelList(data=[_card(state, name) for name in state.predictors])


@router.get(
    "/v1/models/{model}", summary="One model", operation_id="model", responses=error_responses(401, 404, 421, 422, 429)
)
async def model(model: str, state: State, owner: Owner) -> ModelCard:
    """One model."""
    return _card(state, state.model_name(model))


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    operation_id="metrics",
    response_class=Response,
    responses={
        200: {
            "description": "Prometheus' text form",
            "content": {"text/plain": {"schema": {"type": "string"}, "example": "emotion_llama_pool_children 2.0\n"}},
        },
        **error_responses(401, 421, 429),
    },
)
async def metrics(state: State, owner: Owner) -> Response:
    """Requests, seconds by stage, queues, batches, replaced children."""
    return Response(state.metrics.text(), headers={"Content-Type": CONTENT_TYPE})


def _card(state: State, name: str) -> ModelCard:
    predictor = state.predictors[name]
    return ModelCard(
        id=name,
        reads="measurements" if predictor.frame_policy is None else "recordings",
        is_default=name == state.settings.model,
        name=predictor.name,
    )
