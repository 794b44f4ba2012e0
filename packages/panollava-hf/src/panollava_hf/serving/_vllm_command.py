"""The command of vLLM's server for a checkpoint."""

import importlib.util
import sys
from collections.abc import Mapping

from panollava_hf._errors import UsageError


def vllm_command(
    model: str,
    *,
    name: str,
    host: str,
    port: int,
    max_panoramas: int,
    api_key: str | None = None,
    dtype: str | None = None,
) -> tuple[list[str], Mapping[str, str]]:
    """The command, and what is added to its environment. A key goes into the environment: others can see commands.

    Args:
        model: Checkpoint folder or Hub id.
        name: Name of the model for clients.
        host: Address to listen at.
        port: Port to listen at.
        max_panoramas: Panoramas in one request.
        api_key: The key that requests need.
        dtype: Floating-point type of the model.

    Raises:
        UsageError: vLLM is not installed.
    """
    if importlib.util.find_spec("vllm") is None:
        raise UsageError("--engine vllm needs vLLM, which is not installed: pip install vllm; or leave --engine out")
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model]
    command += ["--served-model-name", name, "--host", host, "--port", str(port)]
    command += ["--limit-mm-per-prompt", f'{{"image": {max_panoramas}}}']
    if dtype is not None:
        command += ["--dtype", dtype]
    return command, {} if api_key is None else {"VLLM_API_KEY": api_key}
