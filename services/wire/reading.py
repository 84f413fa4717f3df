"""Read a request's fields into its model: what is not used is sorted out, and an error names the field as written."""

from typing import Any, Final, Generic, NamedTuple, TypeVar

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from services.wire.contract import WireRequest, printable
from services.wire.errors import InvalidRequestError

Request = TypeVar("Request", bound=WireRequest)

_LISTED_FIELDS: Final = 12
"""An error message that listed more fields would be hard to read."""

_SENTENCES: Final = {
    "missing": "is missing",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "list_type": "must be a list",
    "string_type": "must be text",
    "string_unicode": "has a character that is half of a pair: send valid Unicode",
    "bytes_type": "must be the image's bytes in base64, or as a data URL",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number, and a smaller one",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "has {actual_length} entries, at least {min_length} must be sent",
    "too_long": "has more than {max_length} entries, which is the most",
    "string_too_short": "is empty",
    "string_too_long": "has more than {max_length} characters, which is the most",
    "literal_error": "must be {expected}",
    "union_tag_invalid": "must be {expected_tags}",
    "union_tag_not_found": "is missing",
    "extra_forbidden": "is not a field of this request",
    "value_error": "{error}",
}
"""How a sentence goes on whose subject is the field, by Pydantic's type of error."""

_TAG_ERRORS: Final = frozenset({"union_tag_invalid", "union_tag_not_found"})


class Read(NamedTuple, Generic[Request]):
    """A request, and the names of its fields that have no effect."""

    asked: Request
    ignored: list[str]


def read(model: type[Request], sent: dict[str, Any], *, strict: bool = True) -> Read[Request]:
    """Sort and validate the fields of a request; ``strict`` refuses text in place of a number, as a form has it.

    Raises:
        InvalidRequestError: a field is missing, unknown, unsupported or invalid; the error names the first.
    """
    fields, ignored = model.sort(sent)
    try:
        asked = model.model_validate(fields, strict=strict)
    except ValidationError as error:
        raise _explain(error, model, sent) from error
    return Read(asked, [printable(name) for name in ignored] + asked.without_effect)


def _explain(error: ValidationError, model: type[WireRequest], sent: dict[str, Any]) -> InvalidRequestError:
    """The first validation error, as a sentence whose subject is the field."""
    first = error.errors(include_url=False)[0]
    name = _as_written(first, sent)
    sentence = _SENTENCES.get(first["type"], "cannot be used as it is: {error}")
    predicate = sentence.format(**{"error": first["msg"], **first.get("ctx", {})})
    if first["type"] == "union_tag_invalid":
        predicate = predicate.replace(", ", " or ")
    if first["type"] == "extra_forbidden":
        fields = list(model.model_fields)
        at_top = len(first["loc"]) == 1 and len(fields) <= _LISTED_FIELDS
        predicate += f"; the fields are {', '.join(fields)}" if at_top else ", see /docs"
    name = printable(name)
    return InvalidRequestError(f"'{name}' {predicate}", name)


def _as_written(error: ErrorDetails, sent: object) -> str:
    """The field's path in the request as it was sent.

    Pydantic's location also has the tags of unions, and entries of lists that a validator made.
    """
    names: list[str] = []
    tagged = False
    way, missing = (error["loc"][:-1], error["loc"][-1:]) if error["type"] == "missing" else (error["loc"], ())
    for part in way:
        if not tagged and isinstance(sent, dict) and sent.get("type") == part:
            tagged = True
        elif _has(sent, part):
            sent, tagged = sent[part], False  # type: ignore[index]  # as _has found
            names.append(str(part))
    names += map(str, missing)
    if error["type"] in _TAG_ERRORS:
        names.append("type")
    if error["type"] == "string_unicode" and isinstance(sent, dict):  # it is the name that is no text
        names.append(error["input"])
    return ".".join(names)


def _has(value: object, part: int | str) -> bool:
    if isinstance(value, dict):
        return part in value
    return isinstance(value, list) and isinstance(part, int) and part < len(value)
