"""``python -m services.training``: train the embedded models and draw the samples, from a seed."""

from pathlib import Path
from typing import Annotated

import typer

from clients.terminal import commands, print_anything

ROOT = Path(__file__).parents[2]

app = commands("Train the embedded models and draw the samples, each from a seed.")
Seed = Annotated[int, typer.Option(help="Seed: the same gives the same data, and on one machine the same weights.")]


@app.command("tiny-matcha")
def tiny_matcha(
    out: Annotated[Path, typer.Option(help="Folder of the model.")] = ROOT / "models/tiny-matcha", seed: Seed = 0
) -> None:
    """Train the chart model: a Pix2Struct that reads the question out of its header."""
    from services.training.tiny_matcha.train import train  # noqa: PLC0415 torch, which takes seconds and --help does not need

    train(out, seed)
    typer.echo(f"written: {out}")


@app.command("tiny-qwen-vl")
def tiny_qwen_vl(
    out: Annotated[Path, typer.Option(help="Folder of the model.")] = ROOT / "models/tiny-qwen2-vl",
    seed: Seed = 0,
    *,
    every_form: Annotated[
        bool, typer.Option(help="Put the text first too, with system turns and second questions, in fp32.")
    ] = False,
) -> None:
    """Train the image model: a Qwen2-VL that counts coloured shapes in English and Chinese."""
    from services.training.tiny_qwen_vl.learning.settings import EVERY_FORM, Settings  # noqa: PLC0415 see above
    from services.training.tiny_qwen_vl.train import train  # noqa: PLC0415

    train(out, seed, EVERY_FORM if every_form else Settings())
    typer.echo(f"written: {out}")


@app.command()
def samples(
    out: Annotated[Path, typer.Option(help="Folder of the samples.")] = ROOT / "clients/samples", seed: Seed = 0
) -> None:
    """Draw the samples in the layouts of their datasets: RealCQA, RealCQA in unseen styles, and TallyQA."""
    from services.training.samples import realcqa, realcqa_shifted, tallyqa  # noqa: PLC0415 matplotlib

    realcqa.write(out / "realcqa", seed)
    realcqa_shifted.write(out / "realcqa-shifted", seed)
    tallyqa.write(out / "tallyqa", seed)


if __name__ == "__main__":
    print_anything()
    app()
