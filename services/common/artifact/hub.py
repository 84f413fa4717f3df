"""Download a model from the hub into its cache, with each failure as a sentence that says what to do."""

import errno
import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from huggingface_hub import get_session, snapshot_download
from huggingface_hub.constants import ENDPOINT, HF_HUB_CACHE
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.file_download import repo_folder_name

from services.common.artifact.manifest import PrepareError, file_sha256

PICKLED_WEIGHTS: Final = "pytorch_model.bin"
_SHA256_DIGITS: Final = 64
_ABANDONED_S: Final = 600
"""A download that has written nothing for so long has ended; the client itself waits for seconds."""


def download(model: str, revision: str | None, wanted: Sequence[str]) -> Path:
    """Download a model's files, unless the cache has them, and return their folder, which is named by the commit.

    Args:
        model: owner/name.
        revision: a branch, tag or commit; None for the main branch.
        wanted: patterns of the files; ``PICKLED_WEIGHTS`` among them are downloaded only if there are no others.

    Raises:
        PrepareError: they cannot be downloaded, or a file differs from its checksum on the hub.
    """
    _require_network_settings()
    _remove_parts(model)
    folder = _snapshot(model, revision, [pattern for pattern in wanted if pattern != PICKLED_WEIGHTS])
    if PICKLED_WEIGHTS in wanted and not any(folder.glob("*.safetensors")):  # many repositories hold the weights twice
        folder = _snapshot(model, folder.name, [PICKLED_WEIGHTS])
    _verify_download(folder, wanted)
    return folder


def _require_network_settings() -> None:
    if not ENDPOINT.startswith(("http://", "https://")):
        message = f"HF_ENDPOINT is {ENDPOINT!r}: set it to a hub's address, which starts with https://, or unset it"
        raise PrepareError(message)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        if (path := os.environ.get(name)) and not Path(path).exists():
            message = f"{name} is {path}, which does not exist: correct it, or unset it"
            raise PrepareError(message)
    try:
        get_session()
    except Exception as error:  # whatever the client's own HTTP library makes of a proxy that it cannot read
        message = (
            f"the environment's proxy or certificates cannot be used ({_first_line(error)}): "
            "correct or unset HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and SSL_CERT_FILE"
        )
        raise PrepareError(message) from error


def _snapshot(model: str, revision: str | None, patterns: list[str]) -> Path:
    try:
        return Path(snapshot_download(model, revision=revision, allow_patterns=patterns))
    except RevisionNotFoundError as error:
        message = f"{model} has no revision {revision}: see its branches and commits on the hub"
        raise PrepareError(message) from error
    except GatedRepoError as error:
        message = f"{model} is gated: accept its terms on the hub, then log in (`hf auth login`) or set HF_TOKEN"
        raise PrepareError(message) from error
    except (RepositoryNotFoundError, HFValidationError) as error:
        message = f"model {model} does not exist on the hub, or is private: log in (`hf auth login`) or set HF_TOKEN"
        raise PrepareError(message) from error
    except (OfflineModeIsEnabled, LocalEntryNotFoundError) as error:
        message = (
            f"{model} is not in the hub's cache and the hub cannot be reached ({type(error).__name__}): "
            "unset HF_HUB_OFFLINE and check network and proxy, or download it elsewhere and name its folder"
        )
        raise PrepareError(message) from error
    except OSError as error:  # HfHubHTTPError among them
        if error.errno == errno.ENOSPC:
            message = f"the disk of {HF_HUB_CACHE} is full: free some space and run the same command again"
            raise PrepareError(message) from error
        message = (
            f"{model} cannot be downloaded ({type(error).__name__}: {_first_line(error)}): "
            "run the same command again, which keeps the files that are complete, or name a folder it is in"
        )
        raise PrepareError(message) from error


def _remove_parts(model: str) -> None:
    """Remove what killed downloads left: the client starts a file anew under another name, and would keep them all."""
    for part in Path(HF_HUB_CACHE, repo_folder_name(repo_id=model, repo_type="model")).glob("blobs/*.incomplete"):
        with suppress(FileNotFoundError):  # another process has just removed it, or is done with it
            if time.time() - part.stat().st_mtime > _ABANDONED_S:
                part.unlink()


def _verify_download(folder: Path, wanted: Sequence[str]) -> None:
    """Compare large files with their SHA-256, which the hub's cache names them by; the client checks sizes alone.

    A file that differs is removed, so that it is downloaded again. The folder may have gigabytes that nobody wants now.
    """
    for path in {path for pattern in wanted for path in folder.glob(pattern)}:
        blob = path.resolve()
        if len(blob.name) == _SHA256_DIGITS and file_sha256(blob) != blob.name:
            path.unlink()
            blob.unlink()
            message = (
                f"{path.name} differs from its checksum on the hub: run the same command again to download it anew"
            )
            raise PrepareError(message)


def _first_line(error: Exception) -> str:
    return (str(error).strip() or "no reason given").splitlines()[0]
