import pytest

from services.training.shared.progress import TrainingProgress


def test_without_a_terminal_each_report_is_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    with TrainingProgress(40) as progress:
        progress.show(7, "loss 0.5")
        progress.show(40, "loss 0.25")
    assert capsys.readouterr().out.split("\n") == ["step 7 of 40, 0 s: loss 0.5", "step 40 of 40, 0 s: loss 0.25", ""]
