"""Try many inputs and print what they did: `python -m tools.attack --n 1200 --seed 0`."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

from tools.attack._all import find_run, load_kinds
from tools.attack._kinds import KINDS, Attempt, Kind
from tools.attack._pool import GOOD, Outcome, Pool

COLUMNS = {
    "result": "results",
    "our error": "our errors",
    "accepted": "accepted, must fail",
    "refused": "refused, must pass",
    "noise": "not one line",
    "traceback": "tracebacks",
    "crash": "crashes",
    "time": "over {seconds:g} s",
    "memory": "over 2 GB",
    "code": "code ran",
    "secret": "secret shown",
}
WARM = "tools.attack._warm"


def shares(kinds: Sequence[Kind], n: int) -> dict[str, int]:
    """How many inputs each kind gets, `n` in all, at least one."""
    total = sum(one.weight for one in kinds)
    found = {one.name: max(1, int(n * one.weight / total)) for one in kinds}
    for one in sorted(kinds, key=lambda one: -one.weight):
        if sum(found.values()) < n:
            found[one.name] += 1
    return found


def attempt_of(one: Kind, seed: int, number: int) -> Attempt:
    """The input of a kind, a seed and a number: always the same."""
    return one.make(Random(f"{one.name}/{seed}/{number}"), number)


def table(found: dict[str, list[Outcome]], seconds: float) -> Iterator[str]:
    """The outcomes as a Markdown table."""
    heads = [text.format(seconds=seconds) for text in COLUMNS.values()]
    yield f"| kind | inputs | {' | '.join(heads)} | longest s | most MB |"
    yield "|---|" + "---:|" * (len(heads) + 3)
    everything = [outcome for outcomes in found.values() for outcome in outcomes]
    for name, outcomes in [*found.items(), ("**all**", everything)]:
        counts = Counter(outcome.status for outcome in outcomes)
        longest = max((outcome.seconds for outcome in outcomes), default=0.0)
        most = max((outcome.megabytes for outcome in outcomes), default=0.0)
        cells = [str(counts[status]) for status in COLUMNS]
        yield f"| {name} | {len(outcomes)} | {' | '.join(cells)} | {longest:.1f} | {most:.0f} |"


def keep(folder: Path, name: str, number: int, attempt: Attempt, outcome: Outcome) -> None:
    """Write an input and what it did."""
    place = folder / f"{name}-{number}"
    place.mkdir(parents=True, exist_ok=True)
    for file, data in attempt.files.items():
        path = place / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    (place / "outcome.txt").write_text(f"{outcome.status}: {outcome.text}\n{attempt.values!r}\n", encoding="utf-8")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the attack; the exit code is 1 if an input did anything else than end in a result or in our error."""
    parser = argparse.ArgumentParser(prog="python -m tools.attack", description=__doc__)
    parser.add_argument("--n", type=int, default=1200, help="number of inputs")
    parser.add_argument("--seed", type=int, default=0, help="seed of the inputs")
    parser.add_argument("--only", action="append", default=[], metavar="KIND", help="a kind, or an area such as image")
    parser.add_argument("--index", type=int, help="try only the input of this number")
    parser.add_argument("--seconds", type=float, default=10.0, help="longest time for one input")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the inputs that failed")
    parser.add_argument("--verbose", action="store_true", help="print what every input did")
    parser.add_argument("--list", action="store_true", help="list the kinds")
    options = parser.parse_args(arguments)
    kinds = [
        one for name, one in load_kinds().items() if not options.only or {name, name.split(".")[0]} & {*options.only}
    ]
    if options.list or not kinds:
        print("\n".join(f"{one.name:20} {(one.make.__doc__ or '').splitlines()[0]}" for one in kinds or KINDS.values()))
        return 0 if kinds else 2
    print(f"seed {options.seed}, {options.n} inputs", file=sys.stderr, flush=True)
    found: dict[str, list[Outcome]] = {}
    failures: Counter[tuple[str, str]] = Counter()
    first: dict[tuple[str, str], str] = {}
    started = time.monotonic()
    with Pool(find_run, preload=(WARM,), seconds=options.seconds) as pool:
        for name, count in shares(kinds, options.n).items():
            one = KINDS[name]
            found[name] = []
            for number in range(count) if options.index is None else [options.index]:
                attempt = attempt_of(one, options.seed, number)
                outcome = pool.run(name, attempt)
                found[name].append(outcome)
                if options.verbose:
                    print(f"{name} {number}: {outcome.status}: {outcome.text}", flush=True)
                if outcome.status in GOOD:
                    continue
                key = (outcome.status, f"{name}: {outcome.text[:200]}")
                failures[key] += 1
                first.setdefault(key, f"--only {name} --index {number}")
                if options.keep is not None:
                    keep(options.keep, name, number, attempt, outcome)
            bad, seconds = (sum(values) for values in zip(*((not o.good, o.seconds) for o in found[name]), strict=True))
            print(f"{name}: {len(found[name])} inputs, {bad} failed, {seconds:.0f} s", file=sys.stderr, flush=True)
    print("\n".join(table(found, options.seconds)))
    for (status, text), count in sorted(failures.items(), key=lambda item: (item[0][0], -item[1])):
        print(f"\n{status} x{count} ({first[status, text]})\n    {text}")
    print(f"\n{sum(map(len, found.values()))} inputs in {time.monotonic() - started:.0f} s", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
