"""Records: one small file per experiment, and what can be said of its seeds.

`find` and `complete` look for an experiment's record; `statistics` has means, intervals and paired gains; `arms` puts
records side by side, `load` every seed of every record into one table.
"""

from qkdlib.records.recalls import confusions, lost, recalls
from qkdlib.records.record import Record, complete, find, read, read_all
from qkdlib.records.results import outcomes, rounded
from qkdlib.records.statistics import Gain, Summary, accuracies, paired_gain, summarise
from qkdlib.records.summary import arms, load

__all__ = [
    "Gain", "Record", "Summary", "accuracies", "arms", "complete", "confusions", "find", "load", "lost", "outcomes",
    "paired_gain", "read", "read_all", "recalls", "rounded", "summarise",
]  # fmt: skip
