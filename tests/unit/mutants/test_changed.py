"""Which functions a change touches, and mutmut's names for their mutants."""

import subprocess
from pathlib import Path

import pytest

from tests.mutants import changed, groups
from tests.mutants.groups import Group

BEFORE = """\
def first(x):
    return x + 1


def second(x):
    return x + 2


class Pair:
    def left(self):
        return 3

    def right(self):
        return 4
"""


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one module, committed."""
    monkeypatch.setattr(changed, "ROOT", tmp_path)
    monkeypatch.setattr(groups, "ROOT", tmp_path)
    (tmp_path / "some").mkdir()
    (tmp_path / "some/module.py").write_text(BEFORE)
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "before"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    return tmp_path


GROUP = Group(name="some", modules=("some/*.py",), tests=())


def test_nothing_changed_is_nothing_to_try(checkout: Path) -> None:
    assert checkout.exists()
    assert changed.functions(GROUP, "HEAD") == set()


@pytest.mark.parametrize(
    ("old", "new", "touched"),
    [
        ("return x + 2", "return x + 3", {"second"}),
        ("        return 3", "        return 5", {"Pair.left"}),
        ("    return x + 1\n", "    y = x\n    return y + 1\n", {"first"}),
        ("\n\nclass Pair", "\n\nLIMIT = 7\n\n\nclass Pair", set()),
        ("return 4\n", "return 4\n\n    def both(self):\n        return 5\n", {"Pair.both"}),
    ],
)
def test_only_functions_with_new_lines_are_tried(checkout: Path, old: str, new: str, touched: set[str]) -> None:
    assert old in BEFORE
    (checkout / "some/module.py").write_text(BEFORE.replace(old, new))
    assert changed.functions(GROUP, "HEAD") == {("some/module.py", name) for name in touched}


def test_patterns_name_functions_methods_and_packages_as_mutmut_does() -> None:
    places = [("a/b.py", "f"), ("a/b.py", "C.g"), ("a/__init__.py", "h")]
    assert changed.patterns(places) == ["a.x_h__mutmut_*", "a.b.xǁCǁg__mutmut_*", "a.b.x_f__mutmut_*"]
