"""The fate of each mutant, read from mutmut's files."""

from collections.abc import Iterator
from contextlib import chdir
from dataclasses import replace

from mutmut.mutation.data import SourceFileMutationData
from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.utils.format_utils import orig_function_and_class_names_from_key

from tests.mutants.groups import Group
from tests.mutants.mutant import Fate, Mutant
from tests.mutants.work import folder


def read(group: Group) -> Iterator[Mutant]:
    """Every mutant of the group's modules, by module."""
    with chdir(folder(group)):  # mutmut's functions use the working directory
        for module in group.files:
            data = SourceFileMutationData(path=module)
            data.load()
            for name, exit_code in data.exit_code_by_key.items():
                function, owner = orig_function_and_class_names_from_key(name)
                fate = Fate.of(exit_code)
                mutant = Mutant(module, f"{owner}.{function}" if owner else function, fate)
                yield replace(mutant, change=_change(module, name)) if mutant.unnoticed else mutant


def _change(module: str, name: str) -> str:
    lines = get_diff_for_mutant(name, path=module).splitlines()[3:]
    old, new = ([line[1:].strip() for line in lines if line.startswith(sign)] for sign in "-+")
    return f"{' '.join(old)} → {' '.join(new)}"


def forget_unnoticed(group: Group) -> None:
    """Reset the mutants that survived an earlier run, since there may be new tests."""
    with chdir(folder(group)):
        for module in group.files:
            data = SourceFileMutationData(path=module)
            data.load()
            for name, exit_code in data.exit_code_by_key.items():
                if Fate.of(exit_code) in {Fate.SURVIVED, Fate.NO_TEST}:
                    data.exit_code_by_key[name] = None
            if data.exit_code_by_key:
                data.save()
