import pickle

import pytest

from services.common import errors
from services.common.errors import ServiceError


def concrete(root: type[ServiceError]) -> list[type[ServiceError]]:
    return [root, *(leaf for child in root.__subclasses__() for leaf in concrete(child))]


@pytest.mark.parametrize("kind", concrete(ServiceError))
def test_an_error_survives_the_way_between_processes(kind: type[ServiceError]) -> None:
    error = pickle.loads(pickle.dumps(kind("do this instead", "image")))  # noqa: S301 our own bytes
    assert (type(error), error.message, error.param) == (kind, "do this instead", "image")


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    for kind in concrete(ServiceError)[1:]:
        line = next(line for line in str(errors.__doc__).splitlines() if kind.__name__ in line)
        assert kind.__name__ == "InternalError" or str(kind.status) in line
