"""Stage 1 on kept tower features: the model, its loss and its pooled vectors are those of the library."""

import copy
from collections.abc import Iterator, Sequence
from typing import Any

import torch
from panollava_core import VisionOutput
from panollava_hf import PanoLLaVaConfig, PanoLLaVaForFeatureExtraction, PanoLLaVaForVICReg
from torch import Tensor, nn
from transformers import PretrainedConfig

from tools.stage_one.features import VIEWS, Features

#: Settings as in the stage `vicreg` of `panollava train`; after the warm-up the learning rate stays, so that the model
#: after n steps does not depend on how many follow.
BATCH, LEARNING_RATE, WEIGHT_DECAY, WARMUP, MAX_GRAD_NORM = 2, 1e-3, 0.05, 100, 1.0


class KeptTower(nn.Module):
    """Stands where the vision tower was: its "views" `[N, 1, 1 + patches, width]` are what the tower made of them."""

    def __init__(self, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid, self.encoder = grid, nn.Identity()
        self.dtype_of_views = nn.Parameter(torch.zeros(()), requires_grad=False)

    def token_grid(self, size: Any = None) -> tuple[int, int]:
        """The grid of the tower that made the features."""
        return self.grid

    def encode(self, views: Tensor, **options: Any) -> VisionOutput:
        """The features as the tower returned them."""
        tokens = views[:, 0]
        return VisionOutput(last_hidden_state=tokens[:, 1:], cls_token=tokens[:, 0])


def on_kept_features(model: Any) -> Any:
    """The model, with its vision tower replaced by `KeptTower`."""
    model.panollava.vision_backbone = KeptTower(model.config.token_grid())
    return model


def _without_blocks(tower: PretrainedConfig) -> PretrainedConfig:
    """The same grid and width; the tower is replaced, so its blocks are not built."""
    changed = copy.deepcopy(tower)
    changed.num_hidden_layers = 1
    return changed


def tower_alone(tower: PretrainedConfig, pooling: Any) -> PanoLLaVaForFeatureExtraction:
    """The vectors of the tower without a connector, as `panollava embed` makes them of a tower."""
    settings = {"resampler_type": "none", "latent_dimension": tower.hidden_size, "pooling": pooling}
    config = PanoLLaVaConfig(_without_blocks(tower), **settings, **VIEWS)
    return on_kept_features(PanoLLaVaForFeatureExtraction(config)).eval()


def new_model(tower: PretrainedConfig, settings: dict[str, Any], seed: int) -> PanoLLaVaForVICReg:
    """A new resampler and VICReg projector behind the tower."""
    torch.manual_seed(seed)
    config = PanoLLaVaConfig(_without_blocks(tower), **VIEWS, **settings)
    return on_kept_features(PanoLLaVaForVICReg(config))


def train(
    model: PanoLLaVaForVICReg, features: Features, panoramas: Sequence[int], checkpoints: Sequence[int], seed: int
) -> Iterator[tuple[int, float]]:
    """Train with VICReg on the rotations of some panoramas; yields steps and mean loss since the last checkpoint.

    Args:
        model: What `new_model` returned; it is trained in place.
        features: The features of all panoramas.
        panoramas: The places of those for training.
        checkpoints: Numbers of steps, ascending.
        seed: Seed of the batches.
    """
    parts = [p for p in model.parameters() if p.requires_grad]
    matrices, others = [p for p in parts if p.ndim > 1], [p for p in parts if p.ndim <= 1]
    groups = [{"params": matrices, "weight_decay": WEIGHT_DECAY}, {"params": others, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / WARMUP))
    draws = torch.Generator().manual_seed(seed)
    training, losses = torch.tensor(panoramas), []
    model.train()
    for step in range(checkpoints[-1] + 1):
        if step in checkpoints:
            yield step, sum(losses) / max(1, len(losses))
            losses.clear()
        if step == checkpoints[-1]:
            return
        chosen = training[torch.randint(len(training), (BATCH,), generator=draws)]
        rotation = torch.randint(features.rotated.shape[1], (BATCH,), generator=draws)
        loss = model(as_views(features.rotated[chosen, rotation])).loss
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parts, MAX_GRAD_NORM)
        optimizer.step()
        schedule.step()
        losses.append(float(loss.detach()))


def as_views(features: Tensor) -> Tensor:
    """`[..., views, 1 + patches, width]` → what `KeptTower` takes, `[panoramas, views, 1, 1 + patches, width]`."""
    return features.flatten(0, -4).float()[:, :, None]


@torch.inference_mode()
def vectors(extractor: PanoLLaVaForFeatureExtraction, features: Tensor) -> Tensor:
    """Unit vectors `[panoramas, width]` of kept features `[..., views, 1 + patches, width]`, as `embed` makes them."""
    made = [extractor(part).pooler_output for part in as_views(features).split(16)]
    return nn.functional.normalize(torch.cat(made), dim=-1)
