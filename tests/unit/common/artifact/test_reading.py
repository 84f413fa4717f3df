from pathlib import Path

import pytest

from services.common.artifact.manifest import ManifestError
from services.common.artifact.reading import LoadError, readable


@pytest.mark.parametrize(
    ("raised", "expected", "message"),
    [
        (
            Exception("Model missing.\n at line 1"),
            ManifestError,
            "tokenizer.json in a/model cannot be read (Model missing. at line 1): download or prepare the model again",
        ),
        (KeyError(), ManifestError, "cannot be read (KeyError): download"),
        (RuntimeError("x" * 301), ManifestError, f"({'x' * 300}): download"),
        (
            ValueError("Weights only load failed. You can"),
            ManifestError,
            "in a/model has pickled weights that would run",
        ),
        (ManifestError("as it is"), ManifestError, "as it is"),
        (LoadError("as it is"), LoadError, "as it is"),
        (MemoryError(), LoadError, "memory ran out while the model was loading: serve a smaller variant, or"),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried"), LoadError, "memory ran out"),
        (OSError("Cannot allocate memory (os error 12)"), LoadError, "memory ran out"),
        (RuntimeError("CUDA out of memory. Tried to"), LoadError, "memory ran out"),
        (RuntimeError("std::bad_alloc"), LoadError, "memory ran out"),
        (
            AssertionError("Torch not compiled with CUDA enabled"),
            LoadError,
            "PyTorch cannot use the GPU (Torch not compiled with CUDA enabled): use --device cpu",
        ),
    ],
)
def test_what_a_library_raises_is_a_sentence(raised: Exception, expected: type[Exception], message: str) -> None:
    with pytest.raises(expected) as told, readable("tokenizer.json", Path("a/model")):
        raise raised
    assert message in str(told.value)


def test_a_package_that_is_missing_is_no_fault_of_the_files() -> None:
    with pytest.raises(ModuleNotFoundError), readable("the model", Path("a")):
        raise ModuleNotFoundError(name="bitsandbytes")
