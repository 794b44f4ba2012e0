"""`panollava serve MODEL`."""

import importlib.util
import ipaddress
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from panollava_hf import _console
from panollava_hf._errors import UsageError
from panollava_hf._shown import shortened
from panollava_hf.cli._model_options import (
    DTYPES,
    OTHER_DTYPES,
    DeviceOption,
    DTypeOption,
    ModelChoice,
    check_name,
    load,
)
from panollava_hf.cli._usage import check_device, check_model, check_panollava

if TYPE_CHECKING:
    from panollava_hf.serving._settings import ServerSettings

#: Environment variable with the key.
KEY_VARIABLE = "PANOLLAVA_API_KEY"
_PACKAGES = ("fastapi", "uvicorn", "pydantic")


def serve(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A PanoLLaVA checkpoint: a folder, a Hub id or embedded.")
    ],
    engine: Annotated[
        Literal["transformers", "vllm"],
        typer.Option("--engine", help="What runs the model; vllm must be installed."),
    ] = "transformers",
    host: Annotated[
        str, typer.Option("--host", metavar="ADDRESS", help="Address to listen at; 0.0.0.0 for all networks.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="Port; 0: any free one.")] = 8000,
    api_key: Annotated[
        str | None,
        typer.Option(
            "--api-key",
            metavar="KEY",
            help=f"Key that requests need; better the environment variable {KEY_VARIABLE}, since others can see "
            "command lines.",
        ),
    ] = None,
    name: Annotated[
        str | None,
        typer.Option("--name", metavar="NAME", help="Name of the model for clients; default: from MODEL."),
    ] = None,
    max_image_mb: Annotated[
        int, typer.Option("--max-image-mb", min=1, max=1024, help="Largest image file of a request, in MB.")
    ] = 64,
    max_panoramas: Annotated[
        int, typer.Option("--max-panoramas", min=0, max=64, help="Most panoramas in one request.")
    ] = 1,
    max_waiting: Annotated[
        int, typer.Option("--max-waiting", min=1, max=10_000, help="Most requests that wait; others get status 503.")
    ] = 32,
    device: DeviceOption = None,
    dtype: DTypeOption = None,
) -> None:
    """Serve a PanoLLaVA checkpoint to OpenAI clients.

    Addresses: POST /v1/chat/completions, GET /v1/models, GET /health. Ctrl-C ends it.
    """
    check_name("--dtype", dtype, DTYPES, OTHER_DTYPES)
    if device is not None:
        check_device(device)
    key = _checked_key(api_key)
    served = _served_name(model, name)
    if model != "embedded":
        check_model(model, "MODEL")
        check_panollava(model)
    if key is None and not _is_loopback(host):
        _console.note(f"without a key, everyone who reaches {host} can use this server; set {KEY_VARIABLE}")
    if engine == "vllm":
        if device is not None:
            raise UsageError("--device: vLLM chooses its device; leave it out")
        _run_vllm(model, served, host, port, max_panoramas, key, dtype)
        return
    missing = [package for package in _PACKAGES if importlib.util.find_spec(package) is None]
    if missing:
        raise UsageError(f"serve needs the package {missing[0]}: pip install 'panollava-hf[serve]'")
    from panollava_hf.serving._settings import ServerSettings

    settings = ServerSettings(key, max_image_mb << 20, max_panoramas, max_waiting)
    _run(ModelChoice(model, device=device, dtype=dtype, kind="panollava"), served, host, port, settings)


def _run(choice: ModelChoice, served: str, host: str, port: int, settings: "ServerSettings") -> None:
    from panollava_hf.serving._server import listen, run_server

    place = listen(host, port)
    with place:
        chat = load(choice).chat
        from panollava_hf.asking.models._panollava import PanoLLaVaChat
        from panollava_hf.serving._app import build_app

        if not isinstance(chat, PanoLLaVaChat):
            raise UsageError(f"{shortened(str(choice.model), 120)} is not a PanoLLaVA checkpoint")
        app = build_app(chat, served, settings)
        number = place.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        _console.say(f"Serving {served} at http://{shown}:{number}/v1 (Ctrl-C ends it)")
        run_server(app, place)
    _console.say("The server has stopped.")


def _run_vllm(
    model: str, served: str, host: str, port: int, max_panoramas: int, key: str | None, dtype: str | None
) -> None:
    """Become vLLM's server; signals then reach it directly."""
    from panollava_hf.serving._vllm_command import vllm_command

    if model == "embedded":
        from panollava_hf.asking._default_model import default_checkpoint

        model = str(default_checkpoint())
    command, more = vllm_command(
        model, name=served, host=host, port=port, max_panoramas=max_panoramas, api_key=key, dtype=dtype
    )
    os.execvpe(command[0], command, {**os.environ, **more})


def _checked_key(given: str | None) -> str | None:
    key = given if given is not None else os.environ.get(KEY_VARIABLE)
    if key is None:
        return None
    if not key or not key.isascii() or not key.isprintable() or " " in key:
        where = "--api-key" if given is not None else KEY_VARIABLE
        raise UsageError(f"{where} is empty or has blanks or special characters; use letters, digits and -_.")
    return key


def _served_name(model: str, name: str | None) -> str:
    """The name for clients. One that begins with panollava lets `ask --base-url` send the panorama itself."""
    if name is not None:
        if not name.strip() or len(name) > 200 or not name.isprintable():
            raise UsageError("--name must be a text of 1 to 200 printable characters")
        return name.strip()
    found = Path(model.rstrip("/")).name or model
    return found if found.lower().startswith("panollava") else f"panollava-{found}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
