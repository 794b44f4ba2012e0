"""Run sections (all, or those named) and put their tables into docs/benchmarks.md.

`geometry:planning` runs one part of a section and prints it; the page keeps whole sections.
"""

import importlib
import sys

from tools.bench.harness import load, machine, write_section

SECTIONS = ("geometry", "losses", "core", "hf", "training", "embed")


def main(names: list[str]) -> None:
    """Run the named sections and parts, or all sections."""
    parts: dict[str, list[str]] = {}
    for name in names or SECTIONS:
        section, _, part = name.partition(":")
        if section not in SECTIONS:
            raise SystemExit(f"unknown section {section}: choose from {', '.join(SECTIONS)}")
        parts.setdefault(section, []).extend([part] if part else [])
    for section, chosen in parts.items():
        print(f"== {section}", flush=True)
        module = importlib.import_module(f"tools.bench.{section}")
        known = getattr(module, "PARTS", {})
        if unknown := set(chosen) - set(known):
            raise SystemExit(f"{section} has no part {', '.join(sorted(unknown))}: choose from {', '.join(known)}")
        if chosen:
            print(load(), module.run(chosen), machine(), sep="\n\n", flush=True)
            continue
        text = module.run()
        write_section(section, f"{text.rstrip()}\n\n{machine()}")
        print(text, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
