"""Request bodies and headers, which FastAPI does not parse itself and so cannot describe."""

from typing import Any, Final

from services.common.http.guards.admission import TIMEOUT_HEADER
from services.wire.answer import AnswerRequest
from services.wire.chat import ChatRequest
from services.wire.contract import WireRequest

_COMPONENT: Final = "#/components/schemas/{model}"
_HEADERS: Final = [
    {
        "name": TIMEOUT_HEADER,
        "in": "header",
        "description": "Milliseconds until the request is given up with 504; the server's own limit is the most.",
        "schema": {"type": "integer", "minimum": 1},
    },
    {
        "name": "X-Request-Id",
        "in": "header",
        "description": "Returned with the answer, and logged; the server makes one where there is none.",
        "schema": {"type": "string"},
    },
]
_FILE: Final = {"type": "string", "format": "binary", "description": "The image file."}


def components(*models: type[WireRequest]) -> dict[str, Any]:
    """Schemas of the models, of those nested in them, and of those that can be sent as forms."""
    schemas: dict[str, Any] = {}
    for model in models:
        schema = model.model_json_schema(ref_template=_COMPONENT)
        schemas |= schema.pop("$defs", {})
        schemas[model.__name__] = schema
        for each in schemas.values():
            _forget_nulls(each)
        if issubclass(model, AnswerRequest):
            fields = {**schema["properties"], "image": _FILE}
            schemas[_form_name(model)] = {**schema, "properties": fields, "title": _form_name(model)}
    return schemas


def _forget_nulls(schema: dict[str, Any]) -> None:
    """Drop defaults of null, which is a field left out: generators of typed clients take a default for a must."""
    for field in schema.get("properties", {}).values():
        if field.get("default", ...) is None:
            del field["default"]


def answer_body(model: type[AnswerRequest], example: dict[str, Any]) -> dict[str, Any]:
    """A body as JSON, or as a multipart form with the file ``image``."""
    return _body({**_json(model, example), "multipart/form-data": {"schema": _reference(_form_name(model))}})


def chat_body(model: type[ChatRequest], example: dict[str, Any]) -> dict[str, Any]:
    """A body as JSON."""
    return _body(_json(model, example))


def _json(model: type[WireRequest], example: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": _reference(model.__name__), "example": example}}


def _body(content: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": content}, "parameters": _HEADERS}


def _reference(name: str) -> dict[str, str]:
    return {"$ref": _COMPONENT.format(model=name)}


def _form_name(model: type[AnswerRequest]) -> str:
    return f"{model.__name__}Form"
