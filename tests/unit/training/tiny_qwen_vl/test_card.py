from services.training.tiny_qwen_vl.results.card import rise_of
from services.training.tiny_qwen_vl.results.evaluate import LayerScore


def test_the_rise_of_the_lens_is_told_by_its_steps() -> None:
    """From 5 to 65; a step of 3 points counts, one of 2.9 or one downwards does not."""
    told = [5.0, 15, 45, 47.9, 50.9, 50, 65]
    rise = rise_of(tuple(LayerScore(index, accuracy, 0.0, 0.0) for index, accuracy in enumerate(told)))
    assert (rise.total, rise.largest_step, rise.largest_share) == (60.0, 30.0, 50.0)
    assert rise.rising_layers == 4
