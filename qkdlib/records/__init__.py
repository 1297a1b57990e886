"""Records: one small file per experiment, and what can be said of its seeds.

`find` and `complete` look for an experiment's record; `statistics` has means, intervals and paired gains; `arms` puts
records side by side, `compare` two of them seed by seed, `load` every seed of every record into one table; `recalls`
and `lost` say what became of each class; `paper` gives the study's own.
"""

from qkdlib.records.comparison import Comparison, compare
from qkdlib.records.confusion import confusions, has_confusions, lost, recalls, trains
from qkdlib.records.packed import paper
from qkdlib.records.record import Record, complete, find, read, read_all
from qkdlib.records.results import outcomes, rounded
from qkdlib.records.statistics import Gain, Summary, accuracies, paired_gain, summarise
from qkdlib.records.summary import arms, load

__all__ = [
    "Comparison", "Gain", "Record", "Summary", "accuracies", "arms", "compare", "complete", "confusions", "find",
    "has_confusions", "load", "lost", "outcomes", "paired_gain", "paper", "read", "read_all", "recalls", "rounded",
    "summarise", "trains",
]  # fmt: skip
