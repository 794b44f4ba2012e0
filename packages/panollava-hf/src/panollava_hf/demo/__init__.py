"""The page of `panollava demo`: look around in a panorama, ask about it, and see where the answer comes from.

The page and its server need the extra `[demo]`; importing this package needs neither Gradio nor torch.
`build_app` makes the page as a FastAPI application, `run_demo` serves it until Ctrl-C or SIGTERM.

Names for browser tests and other programs, which stay as they are:

| what | name |
|---|---|
| elements of the page (`id`) | see `ELEMENTS` in `demo/_names.py` |
| events for `gradio_client` (`api_name`) | `load_file`, `load_url`, `load_sample`, `ask`, `stop`, `new_chat`, `find`, \
`explain`, `choose` |
| the viewer in the page | `window.panollavaViewer`: `ready()`, `yaw()`, `pitch()`, `hfov()`, `image()`, `spots()`, \
`lookAt(yaw, pitch, hfov, animated)`, `snapshot()` |
| buttons that turn the viewer | `data-yaw`, `data-pitch` and `data-kind` (`spot`, `view`, `compass`) |
| one image of a session | `GET panollava/panorama/TOKEN.jpg`, status 404 after the session |
"""

from typing import TYPE_CHECKING

from panollava_hf._faces import lazy

if TYPE_CHECKING:
    from panollava_hf.demo._app import build_app
    from panollava_hf.demo._models import Models
    from panollava_hf.demo._run import run_demo
    from panollava_hf.demo._settings import DemoSettings

#: Module of each public name.
_HOMES = {
    "DemoSettings": "_settings",
    "Models": "_models",
    "build_app": "_app",
    "run_demo": "_run",
}

__all__ = ["DemoSettings", "Models", "build_app", "run_demo"]

__getattr__, __dir__ = lazy(__name__, _HOMES)
