"""Rendered manifests, by name and kind."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]  # Any: YAML values

POD_KINDS = ("Deployment", "Job")


@dataclass(frozen=True, slots=True)
class Manifests:
    """Output of ``k8s/render``: the manifests of each file."""

    files: dict[str, list[Manifest]]

    @classmethod
    def read(cls, folder: Path) -> "Manifests":
        """Every file in a folder."""
        return cls({path.stem: list(yaml.safe_load_all(path.read_text())) for path in sorted(folder.glob("*.yaml"))})

    @classmethod
    def written(cls, root: Path) -> "Manifests":
        """The manifests in the repository, by folder, without patches; needs no kubectl."""
        found: dict[str, list[Manifest]] = {}
        for folder in sorted(path.parent for path in root.glob("*/*/kustomization.yaml")):
            kustomization = yaml.safe_load((folder / "kustomization.yaml").read_text())
            own = [name for name in kustomization.get("resources", []) if name.endswith(".yaml")]
            found[str(folder.relative_to(root))] = [
                manifest for name in own for manifest in yaml.safe_load_all((folder / name).read_text())
            ]
        return cls(found)

    def of(self, file: str, kind: str, name: str | None = None) -> list[Manifest]:
        """The manifests of one kind in a file, optionally with a name or a generated name with that prefix."""
        found = (manifest for manifest in self.files[file] if manifest["kind"] == kind)
        return [each for each in found if name is None or each["metadata"]["name"].startswith(name)]

    def every(self, *kinds: str) -> Iterator[tuple[str, Manifest]]:
        """Every manifest of these kinds, with its file."""
        for file, manifests in self.files.items():
            for manifest in manifests:
                if manifest["kind"] in kinds:
                    yield file, manifest

    def pods(self) -> Iterator[tuple[str, Manifest]]:
        """The pod spec of every workload, with its file."""
        for file, manifest in self.every(*POD_KINDS):
            yield file, manifest["spec"]["template"]["spec"]


def matches(selector: dict[str, str], labels: dict[str, str]) -> bool:
    """Whether a non-empty selector matches these labels; an empty one would match everything."""
    return bool(selector) and selector.items() <= labels.items()


def containers(pod: Manifest) -> list[Manifest]:
    """Every container of a pod, including init containers."""
    return [*pod.get("initContainers", []), *pod["containers"]]
