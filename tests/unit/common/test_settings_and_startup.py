"""From command line and environment to settings, and from a folder to the card of its model."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from services.common.artifact.manifest import Manifest, Source, verify
from services.common.artifact.writer import seal
from services.common.cpu import available_cores
from services.common.settings import MODELS, ServerSettings
from services.common.startup import model_card, read_settings
from tests.certificates import self_signed


class Settings(ServerSettings):
    model_config = SettingsConfigDict(env_prefix="TALLY_", cli_kebab_case=True, cli_prog_name="tally")

    model: str = "some/folder"
    sizes: dict[str, int] = {}  # noqa: RUF012 pydantic copies it


DEFAULTS: dict[str, Any] = {
    "model": "some/folder",
    "revision": None,
    "allow_unverified": False,
    "host": "127.0.0.1",
    "port": 8000,
    "timeout_s": 60.0,
    "max_requests": 64,
    "max_held_bytes": 256 << 20,
    "stuck_after_s": 30,
    "restart_worker": False,
    "drain_s": 2,
    "max_new_tokens": 64,
    "max_body_bytes": 16 * 1024 * 1024,
    "max_image_bytes": 10 * 1024 * 1024,
    "max_image_pixels": 32_000_000,
    "log_level": "info",
    "log_format": "auto",
    "log_questions": False,
    "objective_ms": None,
    "strict": False,
    "cors_origins": "",
    "api_keys_file": None,
    "open_metrics": False,
    "open_docs": False,
    "header_timeout_s": 10.0,
    "body_timeout_s": 60.0,
    "write_timeout_s": 60.0,
    "max_connections": 256,
    "image_hosts": "",
    "image_timeout_s": 10.0,
    "tls_cert": None,
    "tls_key": None,
    "sizes": {},
}


def test_by_default_only_loopback_is_served_and_everything_is_bounded() -> None:
    assert read_settings(Settings, []).model_dump(exclude={"threads"}) == DEFAULTS
    assert read_settings(Settings, []).threads == available_cores()


def test_there_is_no_model_unless_a_service_names_one() -> None:
    with pytest.raises(ValidationError, match="model"):
        ServerSettings()  # type: ignore[call-arg]  # that is the point
    assert (MODELS / "tiny-matcha" / "manifest.json").is_file()


BOUNDS: dict[str, tuple[list[Any], list[Any]]] = {
    "host": (["127.0.0.1", "0.0.0.0", "::"], ["localhost", "192.168.1.1", "::1"]),  # noqa: S104 as offered
    "port": ([1024, 65_535], [1023, 65_536, 80]),
    "threads": ([1, 256], [0, 257]),
    "timeout_s": ([0.001], [0, -1]),
    "max_requests": ([1, 10_000], [0, 10_001]),
    "max_held_bytes": ([1024], [1023]),
    "stuck_after_s": ([2], [1.9]),
    "drain_s": ([0, 600], [-0.1, 601]),
    "max_new_tokens": ([1, 512], [0, 513]),
    "max_body_bytes": ([1024], [1023]),
    "max_image_bytes": ([1024], [1023]),
    "max_image_pixels": ([1], [0]),
    "cors_origins": (
        ["", "*", "https://a.example, http://localhost:5173/", "null://x"],
        ["a.example", "https://a.example/page", "https://a.example,b"],
    ),
    "image_hosts": (
        ["", "a.example", "*.a.example, B.example:8443"],
        [
            "*",
            "*.",
            "localhost",
            "127.0.0.1",
            "0x7f.1",
            "[::1]",
            "https://a.example",
            "a.example/x",
            "a.example:",
            "a@b.c",
        ],
    ),
    "log_level": (["debug", "info", "warning", "error"], ["loud", "INFO"]),
}


@pytest.mark.parametrize("name", BOUNDS)
def test_settings_are_taken_up_to_their_bounds(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    option = "--" + name.replace("_", "-")
    taken, refused = BOUNDS[name]
    for value in taken:
        assert getattr(read_settings(Settings, [option, str(value)]), name) == value
    for value in refused:
        with pytest.raises(SystemExit) as ended:
            read_settings(Settings, [option, str(value)])
        assert ended.value.code == 2
        first, line = capsys.readouterr().err.splitlines()
        assert first == "invalid settings (see --help; each can also be set as TALLY_NAME):"
        assert line.startswith(f"  {name}: ")
        assert line.endswith(f", not {str(value)!r}")


def test_keys_and_certificates_are_refused_at_the_start_if_they_cannot_be_used(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    empty, (cert, key) = tmp_path / "empty", self_signed(tmp_path)
    empty.write_text("# none\n")
    for options, reason in (
        (["--tls-cert", cert], "set both --tls-cert and --tls-key, or neither"),
        (["--tls-key", key], "set both --tls-cert and --tls-key, or neither"),
        (["--tls-cert", cert, "--tls-key", tmp_path / "no.pem"], "no.pem cannot be read"),
        (["--tls-cert", cert, "--tls-key", cert], "are not a certificate and its key"),
        (["--tls-cert", empty, "--tls-key", key], "are not a certificate and its key"),
        (["--api-keys-file", empty], f"api_keys_file: Value error, {empty} has no key: write one a line"),
    ):
        with pytest.raises(SystemExit) as ended:
            read_settings(Settings, list(map(str, options)))
        assert ended.value.code == 2
        assert reason in capsys.readouterr().err
    assert read_settings(Settings, ["--tls-cert", str(cert), "--tls-key", str(key)]).tls_key == key


def test_every_wrong_setting_has_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        read_settings(Settings, ["--port", "1", "--threads", "0", "--log-level", "loud"])
    assert [line.split(":")[0].strip() for line in capsys.readouterr().err.splitlines()[1:]] == [
        "port",
        "threads",
        "log_level",
    ]


def test_a_setting_that_cannot_be_read_at_all_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TALLY_SIZES", "{")
    with pytest.raises(SystemExit) as ended:
        read_settings(Settings, [])
    assert ended.value.code == 2
    assert "sizes" in capsys.readouterr().err.splitlines()[1]


def test_the_command_line_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLY_PORT", "2001")
    monkeypatch.setenv("TALLY_TIMEOUT_S", "7.5")
    monkeypatch.setenv("PORT", "2003")
    settings = read_settings(Settings, ["--port", "2002"])
    assert (settings.port, settings.timeout_s) == (2002, 7.5)
    assert read_settings(Settings, []).port == 2001


def test_an_empty_variable_and_a_clusters_link_to_a_service_are_no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALLY_PORT", "")
    monkeypatch.setenv("TALLY_TIMEOUT_S", "")
    assert (read_settings(Settings, []).port, read_settings(Settings, []).timeout_s) == (8000, 60)
    monkeypatch.setenv("TALLY_PORT", "tcp://10.0.0.7:9000")
    assert read_settings(Settings, []).port == 8000
    assert read_settings(Settings, ["--port", "9000"]).port == 9000


def test_the_old_name_of_the_model_is_refused_with_the_new_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TALLY_MODEL_DIR", "/model")
    with pytest.raises(SystemExit) as ended:
        read_settings(Settings, [])
    assert ended.value.code == 2
    assert capsys.readouterr().err == "TALLY_MODEL_DIR is now TALLY_MODEL: rename it\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "weights").write_bytes(b"weights")
    manifest = Manifest(
        architecture="Pix2StructForConditionalGeneration",
        variant="bf16",
        source=Source(id="some/model", revision="r7"),
        tools={},
        sha256={},
    )
    seal(tmp_path, manifest)
    return tmp_path


def test_a_card_tells_what_is_served_and_from_which_manifest(folder: Path) -> None:
    manifest, card = model_card(folder, "Pix2StructForConditionalGeneration")
    assert manifest.variant == "bf16"
    digest = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
    assert (card.id, card.variant, card.revision, card.manifest_sha256) == ("some/model", "bf16", "r7", digest)


def test_a_folder_that_is_served_unverified_says_so(folder: Path, tmp_path: Path) -> None:
    stand_in = verify(folder, "Pix2StructForConditionalGeneration").model_copy(update={"variant": "onnx-fp32"})
    (folder / "manifest.json").unlink()
    manifest, card = model_card(tmp_path, "Pix2StructForConditionalGeneration", lambda _: stand_in)
    assert manifest is stand_in
    assert (card.variant, card.manifest_sha256) == ("onnx-fp32", "none")


def test_a_folder_that_is_not_whole_is_not_served(folder: Path) -> None:
    (folder / "weights").unlink()
    with pytest.raises(SystemExit, match=r"^cannot serve: .* lacks weights"):
        model_card(folder, "Pix2StructForConditionalGeneration")
    with pytest.raises(SystemExit, match=r"^cannot serve: .*needs a Qwen2VL"):
        model_card(folder, "Qwen2VLForConditionalGeneration")
