"""The fields of the protocol, and what satisfies it."""

from types import SimpleNamespace

import torch
from panollava_losses import Correspondences, column_correspondences
from panollava_losses._protocols import FIELDS


def test_fields_are_those_of_the_protocol():
    assert set(FIELDS) == {name for name, value in vars(Correspondences).items() if isinstance(value, property)}


def test_any_object_with_the_fields_satisfies_the_protocol():
    tensors = {name: torch.zeros(2) for name in FIELDS}
    assert isinstance(SimpleNamespace(**tensors), Correspondences)
    assert isinstance(column_correspondences(2, (2, 2), 0.5), Correspondences)
    del tensors["weight"]
    assert not isinstance(SimpleNamespace(**tensors), Correspondences)
