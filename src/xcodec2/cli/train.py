"""`xcodec2 train`: a recipe to a model."""

from __future__ import annotations

import click

from xcodec2.cli.terminal import say, say_lines


@click.command()
@click.argument("recipe")
@click.argument("changes", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--resume",
    is_flag=True,
    help="Resume from the newest checkpoint in the recipe's output folder.",
)
@click.option(
    "--export", is_flag=True, help="Write OUT/model from the newest checkpoint, and stop."
)
@click.option("--show", is_flag=True, help="Print the resolved recipe, and stop.")
def train(recipe: str, changes: tuple[str, ...], resume: bool, export: bool, show: bool) -> None:
    """Train or fine-tune a codec.

    RECIPE is a TOML file, or the name of a bundled recipe: finetune, decoder-24k, decoder-48k,
    nano, nano-3, nano-3-decoder, nano-3-gan, nano-gan, nano-gpu, nano-semantic, semantic-teacher,
    tokens-25, xcodec2-base. KEY=VALUE overrides a value. Every checkpoint writes the model to
    OUT/model, which every command accepts as --model; OUT is the recipe's run.out. For several
    processes, use accelerate's launcher or torchrun.

    \b
    Examples:
      xcodec2 train nano run.out=runs/mine
      xcodec2 train nano run.out=runs/mine --resume
      xcodec2 train nano run.out=runs/mine --export
      xcodec2 train finetune 'data.sources=[{path="recordings"}]' run.steps=500
      xcodec2 train nano run.steps=100 --show
      xcodec2 train nano-gpu graphs.seconds=325
      torchrun --nproc_per_node 2 -m xcodec2.cli train nano
    """
    from xcodec2.train.recipe import read_recipe, to_toml

    resolved = read_recipe(recipe, changes)
    if show:
        say_lines(to_toml(resolved))
        return
    from xcodec2.train.loop import export_newest
    from xcodec2.train.loop import train as run

    if export:
        say(f"model: {export_newest(resolved)}", err=True)
        return
    say(f"model: {run(resolved, resume=resume)}", err=True)
