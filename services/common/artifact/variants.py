"""Which variant to serve from an artifact."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

Name = TypeVar("Name", bound=str)


class VariantError(Exception):
    """The variant cannot be served from this folder or would be slow on this CPU; the message suggests alternatives."""


def served_variant(wanted: Name | None, prepared_as: str, forms: Mapping[Name, Sequence[str]]) -> Name:
    """The variant wanted, or that of the artifact, if it can be served from the artifact's form.

    Args:
        wanted: None for the artifact's own.
        prepared_as: the artifact's form.
        forms: the forms that each variant can be served from.

    Raises:
        VariantError: it cannot.
    """
    variant = wanted or next((name for name in forms if name == prepared_as), None)
    if variant is None:
        message = f"the folder was prepared as {prepared_as}, which no variant can use"
        raise VariantError(message)
    if prepared_as not in forms[variant]:
        needed = " or ".join(sorted(forms[variant]))
        message = (
            f"the folder was prepared as {prepared_as}, which {variant} cannot use: "
            f"prepare one as {needed} (see prepare --help)"
        )
        raise VariantError(message)
    return variant
