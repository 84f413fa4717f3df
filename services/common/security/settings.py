"""Settings for who may ask, and for clients that are slow or hostile."""

import re
import ssl
from pathlib import Path
from typing import Final

from pydantic import Field, ValidationInfo, field_validator
from pydantic_settings import BaseSettings

from services.common.security.api_keys import KeyFile

_HTTPS: Final = 443
_HOST: Final = re.compile(r"(?P<name>(\*\.)?([a-z0-9_-]+\.)+[a-z][a-z0-9-]*)(:(?P<port>[0-9]{1,5}))?")
"""A name with a dot whose last part starts with a letter, as no address does."""


class SecuritySettings(BaseSettings):
    """All of it is off or bounded by default; what is wrong with a file is said when the service starts."""

    api_keys_file: Path | None = Field(
        default=None,
        description="File of API keys, one a line, of which every request needs one; it is read again when it changes.",
    )
    open_metrics: bool = Field(default=False, description="Serve /metrics without an API key.")
    open_docs: bool = Field(default=False, description="Serve /docs and /openapi.json without an API key.")

    header_timeout_s: float = Field(
        default=10.0,
        gt=0,
        le=600,
        description="Longest time in seconds for a request's header, since the connection or the last response, and "
        "longest pause within a body.",
    )
    body_timeout_s: float = Field(
        default=60.0, gt=0, le=3600, description="Longest time in seconds for a request's body; then 408."
    )
    write_timeout_s: float = Field(
        default=60.0, gt=0, le=3600, description="Longest wait in seconds for a client that does not read its response."
    )
    max_connections: int = Field(
        default=256, ge=1, le=65536, description="Most connections; more close those without a request, or get 503."
    )

    tls_cert: Path | None = Field(
        default=None, description="Certificate in PEM, with those that vouch for it, to serve HTTPS; needs --tls-key."
    )
    tls_key: Path | None = Field(
        default=None, validate_default=True, description="Private key of the certificate, in PEM, not encrypted."
    )

    image_hosts: str = Field(
        default="",
        description="Hosts to fetch images from over HTTPS, separated by commas: images.example, *.images.example, "
        "images.example:8443. None by default.",
    )
    image_timeout_s: float = Field(
        default=10.0, gt=0, le=600, description="Longest time in seconds to fetch all images of a request."
    )

    @property
    def allowed_image_hosts(self) -> list[tuple[str, int]]:
        """The hosts of ``image_hosts``, each with its port."""
        matches = [_HOST.fullmatch(host.strip().lower()) for host in self.image_hosts.split(",")]
        return [(match["name"], int(match["port"] or _HTTPS)) for match in matches if match]

    @field_validator("image_hosts")
    @classmethod
    def _are_hosts(cls, text: str) -> str:
        for host in filter(None, map(str.strip, text.split(","))):
            if not _HOST.fullmatch(host.lower()):
                message = (
                    f"{host!r} is not a host by name: write images.example, *.images.example or images.example:8443"
                )
                raise ValueError(message)
        return text

    @field_validator("api_keys_file")
    @classmethod
    def _has_keys(cls, path: Path | None) -> Path | None:
        if path is not None:
            KeyFile(path)
        return path

    @field_validator("tls_key")
    @classmethod
    def _matches_the_certificate(cls, key: Path | None, info: ValidationInfo) -> Path | None:
        cert: Path | None = info.data.get("tls_cert")
        if (cert is None) != (key is None):
            message = "a certificate and its key go together: set both --tls-cert and --tls-key, or neither"
            raise ValueError(message)
        if cert and key:
            for path in (cert, key):
                _require_readable(path)
            try:  # an empty password, as OpenSSL would ask the terminal for one
                ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(cert, key, "")
            except (ssl.SSLError, ValueError) as error:
                message = f"{cert} and {key} are not a certificate and its key, in PEM and not encrypted ({error})"
                raise ValueError(message) from error
        return key


def _require_readable(path: Path) -> None:
    try:
        path.open("rb").close()
    except OSError as error:
        message = f"{path} cannot be read ({error.strerror})"
        raise ValueError(message) from error
