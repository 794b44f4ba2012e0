"""Serve a checkpoint with vLLM and compare it with transformers: `python probe.py MADE MODEL WAY`.

MADE is the folder that `material.py` wrote, MODEL one of its checkpoints. WAY is `eager` or `compiled` (`LLM.chat`), or
`server` (the OpenAI server, which is asked with the openai client). Where our package cannot be imported, the code of
the export is trusted; otherwise the plugin serves the model. Prints a line for each check, and fails if one of them
does. It imports none of our packages.
"""

import base64
import contextlib
import importlib.util
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

LENGTH = 20  # tokens of an answer
SQUARE = "not a full equirectangular panorama"  # what our message about a square image contains


def installed():
    return importlib.util.find_spec("panollava_hf") is not None


def messages(made, images, text):
    """A conversation as OpenAI clients send it, images first."""
    urls = ["data:image/png;base64," + base64.b64encode((made / name).read_bytes()).decode() for name in images]
    content = [*({"type": "image_url", "image_url": {"url": url}} for url in urls), {"type": "text", "text": text}]
    return [{"role": "user", "content": content}]


class Offline:
    """`LLM.chat`, with the engine in a process of its own."""

    def __init__(self, model, way):
        from vllm import LLM, SamplingParams

        self.settings = SamplingParams(temperature=0, max_tokens=LENGTH)
        self.engine = LLM(
            str(model),
            dtype="float32",
            max_model_len=1024,
            enforce_eager=way == "eager",
            **({} if installed() else {"trust_remote_code": True}),
        )

    def ask(self, conversation):
        output = self.engine.chat(conversation, self.settings, use_tqdm=False)[0]
        return list(output.prompt_token_ids), list(output.outputs[0].token_ids)

    def refusal(self, conversation):
        """The message, or None if the conversation is answered."""
        try:
            self.ask(conversation)
        except ValueError as error:
            return str(error)
        return None

    def close(self):
        del self.engine


class Server:
    """The OpenAI server on a loopback port, asked with the openai client."""

    def __init__(self, model, log):
        import openai

        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = str(free.getsockname()[1])
        options = ["--dtype", "float32", "--max-model-len", "1024", "--enforce-eager"]
        trust = [] if installed() else ["--trust-remote-code"]
        place = ["--host", "127.0.0.1", "--port", port, "--served-model-name", "panollava"]
        command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
        self.log = log.open("wb")
        self.process = subprocess.Popen([*command, *options, *trust, *place], stdout=self.log, stderr=self.log)
        self.client = openai.OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", max_retries=0)
        self._wait(f"http://127.0.0.1:{port}/health", log)

    def _wait(self, url, log, limit=1200):
        end = time.monotonic() + limit
        while time.monotonic() < end:
            if self.process.poll() is not None:
                break
            with contextlib.suppress(urllib.error.URLError, ConnectionError), urllib.request.urlopen(url, timeout=5):
                return
            time.sleep(2)
        self.close()
        raise SystemExit(f"the server did not start within {limit} s:\n{log.read_text()[-3000:]}")

    def ask(self, conversation):
        output = self.client.chat.completions.create(
            model="panollava",
            messages=conversation,
            temperature=0,
            max_tokens=LENGTH,
            extra_body={"return_token_ids": True},
        )
        return list(output.prompt_token_ids), list(output.choices[0].token_ids)

    def refusal(self, conversation):
        """The message of HTTP 400, or None if the conversation is answered."""
        import openai

        try:
            self.ask(conversation)
        except openai.BadRequestError as error:
            return str(error)
        return None

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.kill()
        self.log.close()


def complaint(found, case, reference):
    """How prompt and answer differ from transformers, in words; None if they do not."""
    prompt, answer = found
    count = prompt.count(reference["image_token_id"])
    if count != case["image_tokens"]:
        return f"{count} image tokens, transformers has {case['image_tokens']}"
    if prompt != case["prompt_ids"]:
        return f"{len(prompt)} prompt ids differ from the {len(case['prompt_ids'])} of transformers"
    wanted, given = (
        [token for token in ids if token not in reference["end_ids"]] for ids in (case["answer_ids"], answer)
    )
    return None if given == wanted else f"answer ids {given}, transformers has {wanted}"


def checks(model, made, reference):
    """Pairs of a title and a complaint or None."""
    for case in reference["cases"]:
        images = [f"panorama-{number}.png" for number in case["panoramas"]]
        title = f"{len(images)} panoramas, {case['image_tokens']} image tokens: {case['text']} {case['answer']}"
        yield title, complaint(model.ask(messages(made, images, case["text"])), case, reference)
    message = model.refusal(messages(made, ["square.png"], "What is ahead?"))
    problem = "answered" if message is None else None
    if installed() and SQUARE not in (message or ""):
        problem = f"the message is {message!r:.300}"
    yield f"a square image is refused: {message!s:.120}", problem
    case = reference["cases"][0]
    again = model.ask(messages(made, ["panorama-0.png"], case["text"]))
    yield "the next question after it is answered", complaint(again, case, reference)


def main(folder, name, way):
    os.environ |= {"VLLM_NO_USAGE_STATS": "1", "HF_HUB_OFFLINE": "1"}
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
    made = Path(folder)
    reference = json.loads((made / "reference.json").read_text())
    served = "through the plugin" if installed() else "with its own code"
    start = time.monotonic()
    model = Server(made / name, made / f"{name}-server.log") if way == "server" else Offline(made / name, way)
    print(f"{name}, {way}, {served}: started after {time.monotonic() - start:.0f} s", flush=True)
    failed = 0
    try:
        for title, problem in checks(model, made, reference):
            failed += problem is not None
            print(
                f"{'ok' if problem is None else 'FAILED'}  {title}{'' if problem is None else ': ' + problem}",
                flush=True,
            )
    finally:
        model.close()
    print(f"{name}, {way}, {served}: {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
