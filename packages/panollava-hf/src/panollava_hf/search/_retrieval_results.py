"""What an evaluation of retrieval found: Recall@k with intervals, every query, and the tables that are printed."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from panollava_hf._files import write_whole

#: The k of Recall@k.
AT = (1, 5, 10)


@dataclass(frozen=True)
class Recall:
    """Share of queries whose place was among the first k.

    Attributes:
        method: How panoramas were compared.
        recall: Recall@k by k.
        interval: Its 95 % Wilson score interval by k, over the queries: what another seed would give with the same
            panoramas, not what other panoramas would.
    """

    method: str
    recall: dict[int, float]
    interval: dict[int, tuple[float, float]]

    @classmethod
    def of(cls, method: str, ranks: Sequence[int]) -> "Recall":
        """From the place of the right panorama for each query, counted from 0."""
        counts = {k: sum(rank < k for rank in ranks) for k in AT}
        return cls(
            method,
            {k: count / len(ranks) for k, count in counts.items()},
            {k: wilson(count, len(ranks)) for k, count in counts.items()},
        )


@dataclass(frozen=True)
class RetrievalResults:
    """What an evaluation found.

    Attributes:
        settings: Everything that determines the results.
        panoramas: Number of panoramas.
        queries: One record per query: its panorama, how it was changed, the rank of the right panorama from 1, what was
            found first, and the error of the heading in degrees.
        recalls: Recall of the search, of the panoramas' vectors alone, and of the baselines.
        self_similarity: Mean and minimum over panoramas of the similarity with their own rotation by a random yaw, a
            whole number of columns of the file, at the heading of the rotation; None without a ring of views.
        heading_error_deg: Median and 90th percentile where the right panorama was found first; None without a ring.
        failed: Panoramas that could not be read, with the reason.
        seconds: How long it took.
    """

    settings: dict[str, Any]
    panoramas: int
    queries: list[dict[str, Any]]
    recalls: list[Recall]
    self_similarity: dict[str, float] | None
    heading_error_deg: dict[str, float] | None
    failed: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """The results as JSON values."""
        return asdict(self)

    def write(self, folder: Path) -> Path:
        """Write `results.json`, whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "results.json"
        write_whole(path, json.dumps(self.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n")
        return path

    def table(self) -> str:
        """The results as a Markdown table and a few lines."""
        lines = [
            "| method | " + " | ".join(f"R@{k}" for k in AT) + " | 95 % interval of R@1 |",
            "|---|" + "---|" * (len(AT) + 1),
        ]
        for one in self.recalls:
            low, high = one.interval[1]
            values = " | ".join(f"{one.recall[k]:.3f}" for k in AT)
            lines.append(f"| {one.method} | {values} | {low:.3f} – {high:.3f} |")
        lines += ["", f"{len(self.queries)} queries, {self.panoramas} panoramas, seed {self.settings['seed']}."]
        if self.self_similarity is not None:
            lines.append(
                f"Similarity of a panorama with its own rotation: {self.self_similarity['mean']:.5f} on average, "
                f"{self.self_similarity['minimum']:.5f} at least ({self.self_similarity['panoramas']:.0f} panoramas)."
            )
        if self.heading_error_deg is not None:
            lines.append(
                f"Error of the heading: {self.heading_error_deg['median']:.1f}° (median), "
                f"{self.heading_error_deg['p90']:.1f}° (90th percentile)."
            )
        return "\n".join(lines)


def wilson(count: int, total: int) -> tuple[float, float]:
    """The 95 % score interval of a share (Wilson 1927).

    Example:
        >>> [round(bound, 4) for bound in wilson(10, 10)]
        [0.7225, 1.0]
    """
    z = 1.959963984540054
    share, scale = count / total, 1 + z * z / total
    middle = (share + z * z / (2 * total)) / scale
    half = z * math.sqrt(share * (1 - share) / total + z * z / (4 * total * total)) / scale
    return max(0.0, middle - half), min(1.0, middle + half)
