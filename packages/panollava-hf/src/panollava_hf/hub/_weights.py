"""Weights under the names that every supported release of transformers reads.

Between 4.57 and 5.x many vision towers were rewritten: SigLIP and CLIP lost the level `vision_model.`, ViT, DINOv2 and
Swin got other names for their attention layers. New releases read the old names; old releases do not read the new ones,
they load such a tower with random weights and a warning. So an export is always written under the old names. Which
those are, transformers itself knows: from its rules for reading them.
"""

from transformers import PreTrainedModel

TOWER = "vision_backbone.encoder"


def write_old_names(model: PreTrainedModel) -> None:
    """Make `save_pretrained` of this model write its vision tower under the names that 4.57 has."""
    try:
        from transformers.conversion_mapping import PrefixChange, get_model_conversion_mapping
    except ImportError:  # before 5.0 a model is written as it is called
        return
    rules = get_model_conversion_mapping(model, add_legacy=False)
    # Without being told, transformers leaves prefixes alone, since it cannot know whether the file had them.
    kept = [
        rule for rule in rules if not isinstance(rule, PrefixChange) or getattr(rule, "scope_prefix", None) == TOWER
    ]
    model._weight_conversions = kept or None
