"""What of a snapshot in the hub's cache is verified."""

from pathlib import Path

import pytest

from services.common.artifact.hub import download
from services.common.artifact.manifest import PrepareError


def test_only_what_is_wanted_is_verified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a configuration must not cost the checksums of gigabytes that the cache has beside it."""
    snapshot, blob = tmp_path / "snapshots/c0ffee", tmp_path / "blobs" / ("0" * 64)
    for folder in (snapshot, blob.parent):
        folder.mkdir(parents=True)
    blob.write_bytes(b"not what the name says")
    (snapshot / "model.safetensors").symlink_to(blob)
    (snapshot / "config.json").write_text("{}")
    monkeypatch.setattr("services.common.artifact.hub.snapshot_download", lambda *_, **__: str(snapshot))
    assert download("some/model", None, ["config.json"]) == snapshot
    assert blob.exists()
    with pytest.raises(PrepareError, match=r"model\.safetensors differs from its checksum"):
        download("some/model", None, ["*.json", "*.safetensors"])
    assert not blob.exists()
