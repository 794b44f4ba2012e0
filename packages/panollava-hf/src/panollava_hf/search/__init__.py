"""Search among vectors of panoramas, and how well it finds the same place again.

Importing the package is cheap: pyarrow, FAISS and torch are imported when they are used.
"""

from typing import TYPE_CHECKING

from panollava_hf._faces import lazy

if TYPE_CHECKING:
    from panollava_hf.search._embedding import QueryEmbedder
    from panollava_hf.search._query import Query
    from panollava_hf.search._retrieval import evaluate_retrieval
    from panollava_hf.search._retrieval_results import RetrievalResults
    from panollava_hf.search._search import Hit, search
    from panollava_hf.search._table import VectorTable, read_vectors

#: Module of each public name.
_HOMES = {
    "Hit": "_search",
    "Query": "_query",
    "QueryEmbedder": "_embedding",
    "RetrievalResults": "_retrieval_results",
    "VectorTable": "_table",
    "evaluate_retrieval": "_retrieval",
    "read_vectors": "_table",
    "search": "_search",
}

__all__ = [
    "Hit",
    "Query",
    "QueryEmbedder",
    "RetrievalResults",
    "VectorTable",
    "evaluate_retrieval",
    "read_vectors",
    "search",
]

__getattr__, __dir__ = lazy(__name__, _HOMES)
