"""OpenAPI schemas for the request bodies that FastAPI does not parse itself."""

from typing import Any

from services.wire.contract import WireRequest

_COMPONENT = "#/components/schemas/{model}"


def nested_schemas(model: type[WireRequest]) -> dict[str, Any]:
    """Schemas of the models nested in a model, for the document's components."""
    nested: dict[str, Any] = model.model_json_schema(ref_template=_COMPONENT).get("$defs", {})
    return nested


def body_schema(model: type[WireRequest], *, form: bool) -> dict[str, Any]:
    """The body as JSON and, with ``form``, also as a multipart form with the file ``image``."""
    schema = model.model_json_schema(ref_template=_COMPONENT)
    schema.pop("$defs", None)
    content = {"application/json": {"schema": schema}}
    if form:
        image = {"type": "string", "format": "binary"}
        content["multipart/form-data"] = {"schema": {**schema, "properties": {**schema["properties"], "image": image}}}
    return {"requestBody": {"required": True, "content": content}}
