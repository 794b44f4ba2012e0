"""Run sections (all, or those named) and put their tables into docs/benchmarks.md."""

import importlib
import sys

from tools.bench.harness import machine, write_section

SECTIONS = ("geometry", "losses", "core", "hf", "training", "embed")


def main(names: list[str]) -> None:
    """Run the named sections, or all of them."""
    unknown = set(names) - set(SECTIONS)
    if unknown:
        raise SystemExit(f"unknown section {', '.join(sorted(unknown))}: choose from {', '.join(SECTIONS)}")
    for name in names or SECTIONS:
        print(f"== {name}", flush=True)
        text = importlib.import_module(f"tools.bench.{name}").run()
        write_section(name, f"{text.rstrip()}\n\n{machine()}")
        print(text, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
