"""The OpenAPI document: complete, true, and no request that it allows brings a 5xx."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
# Random bytes are no recording: three quarters of the uploads are made one, so that what lies behind is reached too.
HOOKS = """
import itertools
import schemathesis

TONE = bytes.fromhex("{tone}")
COUNT = itertools.count()

@schemathesis.hook
def before_call(context, case, kwargs):
    if isinstance(case.body, dict) and "file" in case.body and next(COUNT) % 4:
        case.body["file"] = TONE
"""


@pytest.fixture
def openapi(live) -> dict[str, Any]:
    found: dict[str, Any] = live(api_keys=(SecretStr("0123456789abcdef-key"),)).client.get("/openapi.json").json()
    return found


def _operations(openapi: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(method, path, what) for path, at in openapi["paths"].items() for method, what in at.items()]


def test_every_route_of_the_api_is_told(openapi) -> None:
    told = {f"{method.upper()} {path}" for method, path, _ in _operations(openapi)}
    assert told >= {
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
        "GET /v1/models",
        "GET /v1/models/{model}",
        "POST /v1/analyze",
        "POST /v1/chat/completions",
        "POST /v1/files",
        "POST /v1/jobs",
        "GET /v1/jobs/{job_id}",
        "GET /v1/jobs/{job_id}/result",
    }


def test_every_operation_tells_its_answers_and_errors(openapi) -> None:
    for method, path, what in _operations(openapi):
        place = f"{method} {path}"
        assert what["operationId"], place
        assert what["summary"], place
        assert what["description"], place
        assert any(status.startswith("2") for status in what["responses"]), place
        for status, answer in what["responses"].items():
            assert answer["description"], (place, status)
            content = answer["content"]
            if status.startswith("2"):
                assert content, (place, status)
                for kind, body in content.items():
                    assert "schema" in body, (place, status, kind)
                    assert kind == "application/json" or "example" in body, (place, status, kind)
            else:
                assert content["application/json"]["schema"] == {"$ref": "#/components/schemas/ErrorAnswer"}
                assert "message" in content["application/json"]["example"]["error"], (place, status)
        is_open = path in ("/healthz", "/readyz")
        assert ("security" in what) is not is_open, place
        assert ("401" in what["responses"]) is not is_open, place
        if "429" in what["responses"]:
            assert "Retry-After" in what["responses"]["429"]["headers"], place


def test_a_server_without_keys_asks_for_none(live) -> None:
    """Clients that are generated from the document asked for a key, and did not know where the server is."""
    found = live().client.get("/openapi.json").json()
    assert [server["url"] for server in found["servers"]] == ["/"]
    assert "securitySchemes" not in found["components"]
    for method, path, what in _operations(found):
        assert "security" not in what, (method, path)
        assert "401" not in what["responses"], (method, path)


def test_every_name_that_is_referred_to_is_there(openapi) -> None:
    def references(value: Any) -> set[str]:
        if isinstance(value, list):
            return set().union(*map(references, value))
        if not isinstance(value, dict):
            return set()
        own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
        return own.union(*map(references, value.values()))

    names = {f"#/components/schemas/{name}" for name in openapi["components"]["schemas"]}
    assert references(openapi) <= names
    chat = openapi["paths"]["/v1/chat/completions"]["post"]["requestBody"]
    assert chat["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/ChatRequest"}
    assert chat["required"]


def test_tuples_say_what_their_items_are(openapi) -> None:
    """Readers of OpenAPI 3.0 and many of 3.1 stop at an array without `items`."""

    def arrays(value: Any) -> list[dict[str, Any]]:
        parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
        own = [value] if isinstance(value, dict) and "prefixItems" in value else []
        return own + [array for part in parts for array in arrays(part)]

    found = arrays(openapi)
    assert found
    assert all("items" in array for array in found)


def test_the_form_of_an_analysis_is_the_one_that_is_checked(openapi) -> None:
    body = openapi["paths"]["/v1/analyze"]["post"]["requestBody"]
    schema = body["content"]["multipart/form-data"]["schema"]
    assert body["required"]
    assert set(schema["properties"]) == {
        "file", "file_id", "transcript", "model", "subtitle", "people", "segment", "peak_rule", "audio_track",
        "subtitle_track", "encoding", "curves", "format", "asr", "asr_language",
    }  # fmt: skip
    assert schema["anyOf"] == [{"required": ["file"]}, {"required": ["file_id"]}]
    assert schema["properties"]["people"]["enum"] == ["main", "all"]
    assert schema["properties"]["segment"]["anyOf"][1]["minimum"] == 0.5
    assert "anyOf" not in schema["properties"]["subtitle"]


def test_no_request_of_schemathesis_brings_a_5xx(live, pool, tone: bytes, tmp_path: Path) -> None:
    """Requests that the document allows, and such that it does not: all answers are as documented."""
    server = live(max_queue=256)
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "tone_hooks.py").write_text(HOOKS.format(tone=tone[:2000].hex()))
    report = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")), "run", f"{server.url}/openapi.json",
            "--checks", CHECKS,
            "--max-examples", "25", "--seed", "20260101", "--request-timeout", "15", "--suppress-health-check", "all",
        ],
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tone_hooks", "PYTHONPATH": str(hooks), "NO_COLOR": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=None,
        check=False,
    )  # fmt: skip
    assert report.returncode == 0, report.stdout[-6000:] + report.stderr[-2000:]
    assert "Tested: " in report.stdout
    assert len(pool.calls) > 20
    assert server.client.get("/healthz").status_code == 200
