"""``inspect``: print a model folder's manifest and verify its files."""

import sys
from inspect import cleandoc
from pathlib import Path

from pydantic import BaseModel, Field
from pydantic_settings import CliApp, CliPositionalArg

from services.common.artifact.manifest import MANIFEST_NAME, QWEN2_VL, Manifest, ManifestError, read_manifest, verify

_MIB = 1 << 20
_INDENT = 16


class Inspect(BaseModel):
    """Print the manifest of a model folder and verify all checksums.

    Exits with 1 if one does not match.
    """

    folder: CliPositionalArg[Path] = Field(description="Folder with a model and its manifest.json.")

    def cli_cmd(self) -> None:
        """Print the manifest, then verify the files."""
        try:
            manifest = read_manifest(self.folder)
            print("\n".join(_lines(self.folder, manifest)))  # noqa: T201 the command's result
            verify(self.folder, manifest.architecture)
        except ManifestError as error:
            sys.exit(f"verification FAILED: {error}")
        print(f"\nall {len(manifest.sha256)} files match {MANIFEST_NAME}")  # noqa: T201 what the command prints


def inspect(arguments: list[str]) -> None:
    """Run ``inspect`` on a command line's arguments."""
    Inspect.__doc__ = cleandoc(Inspect.__doc__ or "")  # --help shows it
    CliApp.run(Inspect, cli_args=arguments)


def _lines(folder: Path, manifest: Manifest) -> list[str]:
    facts = {
        "architecture": manifest.architecture,
        "variant": manifest.variant,
        "source": f"{manifest.source.id} @ {manifest.source.revision}",
        "tokenizer from": f"{manifest.processor.id} @ {manifest.processor.revision}"
        if manifest.processor
        else "source",
        **_architecture_facts(manifest),
        "made with": f",\n{'':{_INDENT}}".join(f"{name} {version}" for name, version in sorted(manifest.tools.items())),
    }
    sizes = {name: (folder / name).stat().st_size for name in manifest.sha256 if (folder / name).is_file()}
    files = [f"  {sum_[:12]}  {sizes.get(name, 0) / _MIB:9.2f} MiB  {name}" for name, sum_ in manifest.sha256.items()]
    total = f"  {sum(sizes.values()) / _MIB:23.2f} MiB  total"
    return [*(f"{name + ':':{_INDENT}}{value}" for name, value in facts.items()), "", *files, total]


def _architecture_facts(manifest: Manifest) -> dict[str, str]:
    if manifest.architecture == QWEN2_VL:
        return {"chat template": manifest.chat_template or "not recorded"}
    return {
        "header font": (manifest.header_font or "Pillow's default") + (", a stand-in" * manifest.stand_in_font),
        "max_patches": str(manifest.max_patches or "not set"),
    }
