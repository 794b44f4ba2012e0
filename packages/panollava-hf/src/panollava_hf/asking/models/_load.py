"""Find out what kind of model a name means, and load it."""

import logging
from typing import Any

from panollava_hf._errors import ModelError
from panollava_hf.asking._chat import Chat
from panollava_hf.asking._default_model import EMBEDDED, chosen_model, default_notice, named_model
from panollava_hf.outside._checkpoint_folder import without_config
from panollava_hf.outside._hub_source import find_source
from panollava_hf.outside._json_file import read_object


def load_chat(name: str | None = None, *, base_url: str | None = None, **options: Any) -> Chat:
    """A model as a `Chat`.

    Args:
        name: "embedded", a folder, a Hub id, or with `base_url` the name of a model at that endpoint; None is the
            environment's `PANOLLAVA_MODEL`, else the only model of the endpoint, or the default model.
        base_url: Address of an OpenAI-compatible endpoint.
        options: Arguments of the kind: `PanoLLaVaChat.load`, `TransformersChat.load` or `EndpointChat`.

    Raises:
        ModelError: There is no such model, or it cannot be loaded.
        ChatError: The endpoint cannot be used.
    """
    if base_url is not None:
        from panollava_hf.asking.models._endpoint import EndpointChat
        from panollava_hf.asking.models._served import only_model

        return EndpointChat(named_model(name) or only_model(base_url), base_url, **options)
    if named_model(name) is None:
        logging.getLogger(__name__).warning("%s", default_notice())
    name = chosen_model(name)
    if name == EMBEDDED or model_type(name) == "panollava":
        from panollava_hf.asking.models._panollava import PanoLLaVaChat

        return PanoLLaVaChat.load(name, **options)
    from panollava_hf.asking.models._transformers import TransformersChat

    return TransformersChat.load(name, **options)


def model_type(name: str) -> str | None:
    """The `model_type` in the config.json of a folder or Hub id; None if it has none.

    Raises:
        ModelError: There is no such folder or model, or its config cannot be read.
    """
    folder = find_source(name, "config")
    if not (folder / "config.json").exists():
        raise ModelError(f"{name}: {without_config(folder)}; expected a vision-language model or PanoLLaVA checkpoint")
    found = read_object(folder / "config.json").get("model_type")
    return found if isinstance(found, str) else None
