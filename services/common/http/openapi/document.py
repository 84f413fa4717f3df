"""The document as a whole: title, tags, keys and schemas."""

from typing import Any, Final

from fastapi import FastAPI

from services.common.http.openapi.bodies import components
from services.wire import __version__
from services.wire.completion import ChatChunk
from services.wire.contract import WireRequest

QUESTIONS: Final = "questions"
MODELS: Final = "models"
OPERATION: Final = "operation"

_ABOUT: Final = """Answers questions about charts and pictures, and shows how it got there.

Ask by `/v1/answer`, with one image and one question, or by `/v1/chat/completions`, with any OpenAI client. Every error
is OpenAI's envelope, with a message that says what to do. Fields of a chat request that have no effect are named in
`ignored` and in the header `X-Ignored-Fields`.
"""
_TAGS: Final = [
    {"name": QUESTIONS, "description": "Ask about an image."},
    {"name": MODELS, "description": "Which model answers."},
    {"name": OPERATION, "description": "Health, metrics and version."},
]


def describe(app: FastAPI, *requests: type[WireRequest]) -> None:
    """Complete the app's OpenAPI document, once its routes are there; FastAPI keeps what was built.

    Args:
        app: all its routes are installed.
        requests: the models of the bodies.
    """
    app.title, app.version, app.description = "Tallyglass", __version__, _ABOUT
    app.openapi_tags = _TAGS
    app.openapi_schema = None
    document = app.openapi()
    schemas: dict[str, Any] = document["components"]["schemas"]
    chunk = ChatChunk.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
    for name, schema in (chunk.pop("$defs", {}) | {"ChatChunk": chunk} | components(*requests)).items():
        schemas.setdefault(name, schema)
    _forget_validation(document)
    document["components"]["securitySchemes"] = {
        "key": {"type": "http", "scheme": "bearer", "description": "Needed if the server was started with API keys."}
    }
    document["security"] = [{}, {"key": []}]


def _forget_validation(document: dict[str, Any]) -> None:
    """Drop FastAPI's own validation error, which no route answers with: they read their requests themselves."""
    for methods in document["paths"].values():
        for operation in methods.values():
            if "HTTPValidationError" in str(operation["responses"].get("422")):
                del operation["responses"]["422"]
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
