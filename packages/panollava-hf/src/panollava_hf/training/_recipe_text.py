"""What `panollava train --init` says in the comments of a recipe."""

from panollava_hf._image_tokens import image_tokens
from panollava_hf.configuration_panollava import PanoLLaVaConfig
from panollava_hf.training._recipe import Recipe
from panollava_hf.training._sizes import Workload

_HEAD = """\
# Two pretrained towers and a table of your own. Written by `panollava train --init` for this table
# ({table}) and this machine ({machine}).
#
#     {command}             about {time}, estimated
#     {command} --resume    go on with a run that was stopped
#
# Every value can be changed here, or for one run with --set, as in --set stages.finetune.epochs=3
"""
#: The end of a written recipe.
TAIL = """\
# Another stage, `vicreg`, can run before these. It trains the resampler without answers, on what neighbouring views
# both see; for it, add this line to `stages`:
#   vicreg: {epochs: 1, batch_size: 8, learning_rate: 1.0e-4}
"""


def heading(table: str, machine: str, command: str, time: str) -> str:
    """The first lines of a recipe.

    Args:
        table: Rows and panoramas of the table.
        machine: The machine.
        command: The command that trains the recipe.
        time: About how long that takes.
    """
    return _HEAD.format(table=table, machine=machine, command=command, time=time)


def comments(recipe: Recipe, config: PanoLLaVaConfig, work: Workload) -> dict[str, str]:
    """What each setting means, by its key.

    Args:
        recipe: The recipe.
        config: The config of its model.
        work: What is trained on what.
    """
    found = {
        "output": "one checkpoint folder per stage; paths start where the command is run",
        "model": "the towers are joined by a new connector, which these stages train",
        "model.vision": "vision tower: folder or Hub id",
        "model.text": "causal language model: folder or Hub id",
        "model.config": image_tokens(config),
        "model.config.view_size": "pixels per view; best the size that the vision tower was trained with",
        "model.config.resampler_type": "mlp keeps all tokens of a view, spatial_pool as many as num_latent_tokens",
        "data.source": "a table, a folder with train.csv, .jsonl or .parquet, or a dataset on the Hub",
        "data.workers": "processes that decode and cut panoramas",
        "data.validation": "panoramas that are held back, and asked about while the model is trained",
        "data.questions_per_panorama": f"questions that share one sequence; a panorama has up to {work.questions}",
        "stages.resampler": "first the connector alone, with a frozen language model",
        "stages.finetune": "then the projector and the language model",
        "stages.finetune.language_model": "lora trains small adapters, full all weights, frozen none",
        "seed": "the same seed gives the same weights",
        "bf16": "compute in bfloat16, on accelerators that can",
        "gradient_checkpointing": "trade time for memory",
    }
    for stage, settings in recipe.stages.items():
        per_step = settings.batch_size * settings.accumulation
        steps = settings.steps or max(1, -int(-(settings.epochs or 1) * work.panoramas // per_step))
        found |= {
            f"stages.{stage}.epochs": f"how often each panorama is seen; {steps:,} steps",
            f"stages.{stage}.batch_size": "panoramas that are computed together",
            f"stages.{stage}.accumulation": f"batches per step, so {per_step} panoramas",
            f"stages.{stage}.learning_rate": "the highest; it rises at first and then falls to 0",
            f"stages.{stage}.save_every": "steps between the checkpoints that --resume starts from",
            f"stages.{stage}.log_every": "steps between reports of the loss",
        }
    return found
