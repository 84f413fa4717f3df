"""The table of MatCha variants, used by settings, loaders, ``prepare`` and the benchmarks.

To add one, add a row, and for a new runtime a module ``services/matcha/backends/<runtime>_backend.py`` with ``load``.
"""

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal


@dataclass(frozen=True, slots=True)
class Variant:
    """A numeric form in a runtime.

    ``forms`` lists the artifact forms it can be served from, its own first. The other fields say how ``prepare`` makes
    that form, if it does: ``room`` is the disk space needed as a multiple of the fp32 weights, ``quantizer`` the module
    of ``services.matcha.prepare`` that quantizes the fp32 graphs, and ``calibrated`` whether that takes images.
    """

    name: str
    runtime: str
    forms: tuple[str, ...]
    room: float | None = None
    quantizer: str | None = None
    calibrated: bool = False

    @property
    def needs_torch(self) -> bool:
        """Whether torch and transformers must be installed to serve it."""
        return self.runtime == "torch"

    @property
    def is_prepared(self) -> bool:
        """Whether ``prepare`` makes an artifact of this form."""
        return self.room is not None


# int8 graphs are made from fp32 ones, which need disk space in the meantime.
VARIANTS: Final = {
    variant.name: variant
    for variant in (
        Variant("fp32", "torch", ("fp32",), room=1.1),
        Variant("bf16", "torch", ("bf16", "fp32"), room=0.6),
        Variant("int8", "torch", ("int8", "fp32"), room=0.7),
        Variant("onnx-fp32", "onnx", ("onnx-fp32",), room=1.2),
        Variant("onnx-int8", "onnx", ("onnx-int8",), room=2.0, quantizer="quantize_onnx"),
        Variant("openvino", "openvino", ("onnx-fp32",)),
        Variant(
            "openvino-int8", "openvino", ("openvino-int8",), room=2.0, quantizer="quantize_openvino", calibrated=True
        ),
    )
}

if TYPE_CHECKING:
    VariantName = str
    FormName = str
else:  # the settings accept exactly the names in the table
    VariantName = Literal[tuple(VARIANTS)]
    FormName = Literal[tuple(variant.name for variant in VARIANTS.values() if variant.is_prepared)]

if __name__ == "__main__":  # for the Makefile: each variant, with the folder of its artifact if fp32 weights do not do
    for variant in VARIANTS.values():
        folder = "" if "fp32" in variant.forms else f"={sys.argv[1]}/{variant.forms[0]}"
        print(variant.name + folder)  # noqa: T201 the answer
