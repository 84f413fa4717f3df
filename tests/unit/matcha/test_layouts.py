"""From checkpoints as they are on the hub to answers, against transformers' own ``generate`` on the same folder."""

import os
import random
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub
import matplotlib as mpl
import pytest
import torch
from huggingface_hub import constants
from PIL import Image, ImageFont
from pydantic_settings import CliApp
from tokenizers import Tokenizer
from transformers import Pix2StructForConditionalGeneration, Pix2StructProcessor
from transformers.models.pix2struct import image_processing_pil_pix2struct

from services.common.artifact.manifest import PIX2STRUCT, Manifest, verify
from services.matcha.backends import Backend, Hardware, load_backend
from services.matcha.engine import ChartQA
from services.matcha.header.fonts import load_font
from services.matcha.patches import Floats
from services.matcha.prepare.command import Prepare
from services.matcha.types import ChartAnswer, ChartQuestion, Limits
from tests.hub.matcha.layouts import BASE, CAPTIONS, LAYOUTS, Layout, write
from tests.hub.server import Hub, serving
from tests.images import encode

pytestmark = pytest.mark.slow

PROMPTS = int(os.environ.get("PROMPTS", "3"))
"""More of them take longer, and say more: PROMPTS=50."""
TOKENS = 12
WORDS = ["Which", "bar", "is the highest", "Столбец", "of", "2019?", "12.5%", "¿Cuántas?", "(in millions)", "é ﬁ"]
DEPLOT = "Generate underlying data table of the figure below:"
FONT = Path(mpl.__file__).parent / "mpl-data/fonts/ttf/DejaVuSerif.ttf"
"""In the place of Arial, which is not free."""

Case = tuple[Image.Image, str, int | None]
"""An image, a question and the most patches."""
EACH = [pytest.param(layout, id=layout.repository) for layout in LAYOUTS]


def cases() -> list[Case]:
    draw = random.Random(0)
    made: list[Case] = []
    for number in range(PROMPTS):
        size = draw.randint(20, 220), draw.randint(20, 220)
        noise = Image.frombytes("RGB", size, draw.randbytes(3 * size[0] * size[1]))
        text = " ".join(draw.choices(WORDS, k=draw.randint(1, 24)))  # some are wrapped
        made.append((noise, text if number else DEPLOT, draw.randint(20, 200) if number else None))
    return made


class Noting:
    """A backend that notes the tokens of each answer."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.positions, self.fixed_patches = backend.positions, backend.fixed_patches
        self.end_token_ids = backend.end_token_ids
        self.tokens: list[list[int]] = []

    def generate(self, patches: Sequence[Floats], limits: Sequence[int]) -> list[list[int]]:
        self.tokens += (answers := self._backend.generate(patches, limits))
        return answers


@pytest.fixture(scope="module")
def monkeymodule() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")
def repositories(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A folder for each model on the hub, and for the font."""
    root = tmp_path_factory.mktemp("repositories")
    folders = {layout.repository: root / layout.repository for layout in (*LAYOUTS, CAPTIONS)}
    for layout in (*LAYOUTS, CAPTIONS):
        write(layout, folders[layout.repository])
    folders["ybelkada/fonts"] = root / "ybelkada/fonts"
    folders["ybelkada/fonts"].mkdir(parents=True)
    shutil.copy(FONT, folders["ybelkada/fonts"] / "Arial.TTF")
    return folders


@pytest.fixture(scope="module", autouse=True)
def hub(
    repositories: dict[str, Path], tmp_path_factory: pytest.TempPathFactory, monkeymodule: pytest.MonkeyPatch
) -> Iterator[Hub]:
    """All of them on loopback, as the client in this process has it; a process of its own would import torch anew."""
    hub = Hub(repositories)
    with serving(hub) as endpoint:
        huggingface_hub.close_session()  # which may know of a proxy
        monkeymodule.setenv("NO_PROXY", "*")
        template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, endpoint)
        monkeymodule.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeymodule.setattr(constants, "ENDPOINT", endpoint)
        monkeymodule.setattr(constants, "HF_HUB_CACHE", str(tmp_path_factory.mktemp("cache")))
        monkeymodule.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeymodule.setattr(
            image_processing_pil_pix2struct, "hf_api", lambda: SimpleNamespace(hf_hub_download=lambda *_: str(FONT))
        )
        monkeymodule.setattr(ImageFont.core, "HAVE_RAQM", False)  # headers are always rendered without
        yield hub
    huggingface_hub.close_session()


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Layout], tuple[Path, Manifest]]:
    """A layout's artifact in fp32, made once from its id on the hub."""
    root = tmp_path_factory.mktemp("artifacts")

    @cache
    def made(layout: Layout) -> tuple[Path, Manifest]:
        out = root / layout.repository
        CliApp.run(Prepare, cli_args=[layout.repository, "--variant", "fp32", "--out", str(out)])
        return out, verify(out, PIX2STRUCT)

    return made


def answered(folder: Path, manifest: Manifest) -> list[tuple[list[int], str]]:
    """Tokens and texts, one question after another."""
    backend = Noting(load_backend("fp32", folder, Hardware(threads=1)))
    assert manifest.header_font
    assert manifest.max_patches
    limits = Limits(default_patches=manifest.max_patches)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    engine = ChartQA(backend, tokenizer, load_font(folder / manifest.header_font), limits)
    asked = [ChartQuestion(encode(image), text, TOKENS, patches) for image, text, patches in cases()]
    given = [engine.answer([question])[0] for question in asked]
    refused = [answer for answer in given if not isinstance(answer, ChartAnswer)]
    assert not refused
    texts = [answer.text for answer in given if isinstance(answer, ChartAnswer)]
    return list(zip(backend.tokens, texts, strict=True))


def generated(folder: Path, processor: Pix2StructProcessor) -> list[tuple[list[int], str]]:
    """What transformers answers greedily, from processor to text."""
    model = Pix2StructForConditionalGeneration.from_pretrained(folder, dtype=torch.float32).eval()
    ends = model.generation_config.eos_token_id
    model.generation_config = type(model.generation_config)(
        decoder_start_token_id=0, eos_token_id=ends, pad_token_id=0, max_new_tokens=TOKENS
    )

    def answer(case: Case) -> tuple[list[int], str]:
        image, text, patches = case
        inputs = processor(images=image, text=text, max_patches=patches or 2048, return_tensors="pt")
        ids: list[int] = model.generate(**inputs)[0, 1:].tolist()
        written: str = processor.decode(ids, skip_special_tokens=True)
        return ids, written.strip()

    return [answer(case) for case in cases()]


@pytest.mark.parametrize("layout", EACH)
def test_the_service_answers_as_transformers_does(
    layout: Layout, repositories: dict[str, Path], prepared: Callable[[Layout], tuple[Path, Manifest]]
) -> None:
    own = layout.processor is not None
    folder = repositories[layout.repository]
    processor = Pix2StructProcessor.from_pretrained(folder if own else repositories[BASE])
    out, manifest = prepared(layout)
    answers = answered(out, manifest)
    assert answers == generated(folder, processor)
    assert len({tuple(tokens) for tokens, _ in answers}) > PROMPTS / 2  # they depend on the prompt
    assert (manifest.source.id, manifest.processor and manifest.processor.id) == (
        layout.repository,
        None if own else BASE,
    )
    assert (manifest.header_font, manifest.stand_in_font, manifest.max_patches) == ("Arial.TTF", False, 2048)


def test_published_files_are_as_large_as_on_the_hub(repositories: dict[str, Path]) -> None:
    """So that the layouts here are those there; the configuration names smaller sizes."""
    folder = repositories[BASE]
    assert (folder / "preprocessor_config.json").stat().st_size == 249
    assert abs((folder / "config.json").stat().st_size - 4890) < 250


def test_weights_are_linked_from_the_cache_where_they_stay_as_they_are(
    prepared: Callable[[Layout], tuple[Path, Manifest]], hub: Hub
) -> None:
    for layout in LAYOUTS:
        out, _ = prepared(layout)
        linked = [path.name for path in out.glob("*.safetensors") if path.stat().st_nlink > 1]
        assert len(linked) == layout.shards
    asked = {Path(request.path).name for request in hub.requests if request.method == "GET"}
    assert "spiece.model" not in asked


def test_a_model_that_captions_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=f"cannot prepare: {CAPTIONS.repository} takes no questions: its image"):
        CliApp.run(Prepare, cli_args=[CAPTIONS.repository, "--variant", "fp32", "--out", str(tmp_path / "out")])
    assert not list(tmp_path.iterdir())


def test_without_the_font_on_the_hub_another_stands_in_loudly(
    hub: Hub, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(hub.repositories, "ybelkada/fonts")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    CliApp.run(Prepare, cli_args=["google/deplot", "--variant", "fp32", "--out", str(tmp_path / "out")])
    assert verify(tmp_path / "out", PIX2STRUCT).stand_in_font
    told = capfd.readouterr().err.splitlines()
    assert "not in the font the model was trained with" in told[-1]
