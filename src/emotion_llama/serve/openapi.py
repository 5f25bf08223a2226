"""The OpenAPI document: FastAPI's, with what it cannot know of this server."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema

from emotion_llama.serve.chat.schemas import ChatRequest


def document(app: FastAPI, *, has_keys: bool) -> dict[str, Any]:  # as JSON
    """The document of `app`; without keys nothing asks for one."""
    if app.openapi_schema is None:
        found = FastAPI.openapi(app)
        # The route reads this body itself.
        _, read = models_json_schema([(ChatRequest, "validation")], ref_template="#/components/schemas/{model}")
        schemas = {**found["components"]["schemas"], **read["$defs"]}
        found["components"]["schemas"] = dict(sorted(schemas.items()))
        _tidy(found)
        if not has_keys:
            del found["components"]["securitySchemes"]
            for operation in (one for at in found["paths"].values() for one in at.values()):
                operation.pop("security", None)
                operation["responses"].pop("401", None)
        app.openapi_schema = found
    return app.openapi_schema


def _tidy(value: Any) -> None:
    """Give tuples `items` beside `prefixItems`, which many clients need, and leave out defaults of null, as FastAPI."""
    if isinstance(value, dict):
        if "default" in value and value["default"] is None:
            del value["default"]
        if "prefixItems" in value:
            kinds = [one for n, one in enumerate(value["prefixItems"]) if one not in value["prefixItems"][:n]]
            value.setdefault("items", kinds[0] if len(kinds) == 1 else {"anyOf": kinds})
        for part in value.values():
            _tidy(part)
    elif isinstance(value, list):
        for part in value:
            _tidy(part)
