import random
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from services.training.tiny_matcha.data.charts import sample_chart
from services.training.tiny_matcha.data.questions import ask, kinds_for
from services.training.tiny_matcha.model.tokenizer import EOS, PAD, as_pretrained, build_tokenizer


def test_the_ids_that_pix2struct_expects() -> None:
    tokenizer = build_tokenizer()
    assert (tokenizer.token_to_id(PAD), tokenizer.token_to_id(EOS)) == (0, 1)


def test_every_answer_survives_a_round_trip() -> None:
    tokenizer, rng = build_tokenizer(), random.Random(0)
    for _ in range(200):
        chart = sample_chart(rng)
        for kind in kinds_for(chart):
            answer = ask(chart, kind, rng).answer
            ids = tokenizer.encode(answer).ids
            assert ids[-1] == tokenizer.token_to_id(EOS)
            assert tokenizer.decode([0, *ids, 0], skip_special_tokens=True) == answer


@pytest.mark.parametrize("text", ["Bar chart", "Yes", "42", "Oslo, Rome, Lima"])
def test_loads_alone_and_with_transformers(text: str, tmp_path: Path) -> None:
    as_pretrained(build_tokenizer()).save_pretrained(tmp_path)
    alone = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    ids = alone.encode(text).ids
    assert loaded(text).input_ids == ids
    assert loaded.decode(ids, skip_special_tokens=True) == text
    assert (loaded.pad_token_id, loaded.eos_token_id) == (0, 1)
