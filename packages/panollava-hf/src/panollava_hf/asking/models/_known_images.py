"""Whether an image is like those that a checkpoint was trained on: a statistic of the features of its vision tower.

The means of the channels of some hidden states are normally distributed over the training images. The distance of an
image is the Mahalanobis distance to their centre, divided by the square root of the number of channels.
"""

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from panollava_hf._errors import ModelError

#: Least share of the average variance that a direction is given, so that noise of the estimate does not count.
_SHRINKAGE = 0.003


def channel_means(backbone: Any, views: Tensor, layers: Sequence[int]) -> np.ndarray:
    """The mean of each channel of some hidden states over all views and places, `[panoramas, channels]` float64.

    Args:
        backbone: The vision backbone of the model.
        views: Normalised views `[panoramas, views, 3, h, w]`.
        layers: Numbers of the hidden states.

    Raises:
        ValueError: The tower has no such layer.
    """
    with torch.inference_mode():
        states = backbone.encode(views.flatten(0, 1), output_hidden_states=True).hidden_states
        return means_of(states, len(views), layers)


def means_of(states: Sequence[Tensor], panoramas: int, layers: Sequence[int]) -> np.ndarray:
    """`channel_means` of hidden states that were computed for something else.

    Args:
        states: All hidden states of the tower, of all views: tokens or feature maps.
        panoramas: Number of panoramas whose views they are.
        layers: Numbers of the hidden states.

    Raises:
        ValueError: The tower has no such layer.
    """
    if not layers or max(layers) >= len(states) or min(layers) < 0:
        raise ValueError(f"layers {list(layers)} of {len(states)}")
    found = []
    for layer in layers:
        state = states[layer].float()
        by_place = state.flatten(2) if state.ndim == 4 else state.transpose(1, 2)
        found.append(by_place.mean(2).unflatten(0, (panoramas, -1)).mean(1))
    return torch.cat(found, 1).double().cpu().numpy()


class KnownImages:
    """What the training images have in common.

    Args:
        fields: The field `known_images` of a config.
        name: The checkpoint, for messages.

    Raises:
        ModelError: The fields do not fit together.
    """

    def __init__(self, fields: Mapping[str, Any], name: str) -> None:
        self.name = name
        try:
            self.layers = [int(layer) for layer in fields["layers"]]
            self.mean, self.scale = (np.asarray(fields[key], dtype=np.float64) for key in ("mean", "scale"))
            values = np.frombuffer(base64.b64decode(fields["whitening"], validate=True), dtype="<f2")
            size = len(self.mean)
            self.whitening = np.zeros((size, size))
            self.whitening[np.tril_indices(size)] = values
            self.threshold, self.description = float(fields["threshold"]), str(fields["description"])
            if (
                self.mean.shape != self.scale.shape
                or not np.isfinite(self.whitening).all()
                or not (self.scale > 0).all()
            ):
                raise ValueError("mean, scale and whitening must be finite and of one size")
        except (TypeError, ValueError, binascii.Error) as error:
            raise ModelError(
                f"{name}: known_images in its config.json is damaged ({error}); use the file that was saved with it"
            ) from error

    @classmethod
    def fit(cls, means: np.ndarray, layers: Sequence[int], threshold: float, description: str) -> dict[str, Any]:
        """The field `known_images` for images with these channel means, `[images, channels]`."""
        mean, scale = means.mean(0), means.std(0) + 1e-6
        size = means.shape[1]
        covariance = np.cov(((means - mean) / scale).T)
        whitening = np.linalg.inv(np.linalg.cholesky((1 - _SHRINKAGE) * covariance + _SHRINKAGE * np.eye(size)))
        rows = whitening[np.tril_indices(size)].astype("<f2")
        return {
            "layers": list(layers),
            "mean": [float(f"{value:.6g}") for value in mean],
            "scale": [float(f"{value:.6g}") for value in scale],
            "whitening": base64.b64encode(rows.tobytes()).decode(),
            "threshold": threshold,
            "description": description,
        }

    def distances(self, backbone: Any, views: Tensor) -> np.ndarray:
        """The distance of each panorama, `[panoramas]`.

        Args:
            backbone: The vision backbone of the model.
            views: Normalised views `[panoramas, views, 3, h, w]`.

        Raises:
            ModelError: The statistic is of another vision tower.
        """
        return self._checked(lambda: channel_means(backbone, views, self.layers))

    def distances_in(self, states: Sequence[Tensor], panoramas: int) -> np.ndarray:
        """`distances` of hidden states that were computed for something else; see `means_of`.

        Raises:
            ModelError: The statistic is of another vision tower.
        """
        return self._checked(lambda: means_of(states, panoramas, self.layers))

    def _checked(self, compute: Callable[[], np.ndarray]) -> np.ndarray:
        try:
            means = compute()
            if means.shape[1] != len(self.mean):
                raise ValueError(f"{means.shape[1]} channels, not {len(self.mean)}")
        except ValueError as error:
            raise ModelError(
                f"{self.name}: known_images in its config.json does not fit its vision tower ({error}); use the files "
                "that were saved together"
            ) from error
        return self.distances_of(means)

    def distances_of(self, means: np.ndarray) -> np.ndarray:
        """The distances of images with these channel means."""
        white = (means - self.mean) / self.scale @ self.whitening.T
        return np.asarray(np.sqrt((white**2).mean(1)))
