"""What the recorded facts of the paper's rows say: gains taken again, heads that differ, rows that distil nothing, and
what would have been printed after the last epoch.

Nothing is trained for these: it is arithmetic on the printed and the recorded accuracies of `paper.all_rows`.
"""

from collections.abc import Mapping

import pandas as pd

from qkdlib.study.v1 import paper

ROUNDING = 0.011  # points by which a printed gain may miss the difference of two printed accuracies


def distilled() -> pd.DataFrame:
    """The 18 distilled rows of Tables 1 and 2, by id, each beside the direct row of its images and qubits.

    Columns: `dataset`, `teacher`; in points `printed`, the gain as the paper prints it, `gain`, the difference of the
    printed accuracies, `last_gain`, that of the accuracies recorded after the last epoch; `distils`: its notebook has
    a distillation loss that acts; `same_head`: it has the head of its direct row.
    """
    rows = paper.all_rows()
    direct = {row.task: row for row in rows if row.category == "Student"}
    taught = [row for row in rows if row.category == "Distillation"]
    found = [
        {
            "id": row.id, "dataset": row.dataset, "teacher": row.teacher, "printed": row.paper_delta,
            "gain": round(row.paper_accuracy - direct[row.task].paper_accuracy, 2),
            "last_gain": row.recorded_last - direct[row.task].recorded_last, "distils": row.distils,
            "same_head": row.experiment.head == direct[row.task].experiment.head,
        }
        for row in taught
    ]  # fmt: skip
    return pd.DataFrame(found).set_index("id")


def misprinted(rows: pd.DataFrame) -> pd.DataFrame:
    """Those whose printed gain is not the difference of the printed accuracies."""
    return rows[(rows.gain - rows.printed).abs() > ROUNDING]


def averages(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean gain of each data set in points: as printed, taken again, and after the last epoch."""
    return rows.groupby("dataset")[["printed", "gain", "last_gain"]].mean()


def by_teacher(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean gain by teacher and data set, and of `both` data sets, in points."""
    found = rows.pivot_table("gain", "teacher", "dataset", margins=True, margins_name="both")
    return found.drop("both").round(2)


def share_of_gain(rows: pd.DataFrame, dataset: str) -> float:
    """The share of a data set's summed printed gain that comes from rows whose head is not that of their direct row."""
    of_it = rows[rows.dataset == dataset]
    return float(of_it[~of_it.same_head].printed.sum() / of_it.printed.sum())


def fair(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean `gain` in points and number of `rows`, by data set, of the rows that distil and have their direct row's
    head."""
    return rows[rows.distils & rows.same_head].groupby("dataset").gain.agg(gain="mean", rows="size")


def best_epochs() -> tuple[int, int, int, int]:
    """How many rows there are in the tables, in how many the best epoch's accuracy is the printed one; how many of
    them are students, and how many of these end elsewhere than at their best."""
    rows = paper.all_rows()
    students = [row for row in rows if row.category != "Teacher"]
    printed = sum(row.paper_accuracy == row.recorded_best for row in rows)
    return len(rows), printed, len(students), sum(row.recorded_best != row.recorded_last for row in students)


def statements(rows: pd.DataFrame) -> dict[str, str]:
    """What the distilled `rows` and the recorded epochs say, in short: statement and number, gains in points."""
    means, empty, other = averages(rows), rows[~rows.distils], rows[~rows.same_head]
    gain, last = means.gain, means.last_gain
    everything, best, students, elsewhere = best_epochs()
    right = len(rows) - len(misprinted(rows))
    return {
        "printed gains that are the difference of the printed accuracies": f"{right} of {len(rows)}",
        "average gain, MNIST (paper: 0.80)": f"{gain['mnist']:.3f}",
        "average gain, FashionMNIST (paper: 5.40)": f"{gain['fashion_mnist']:.3f}",
        f"rows in which nothing is distilled, of {len(rows)}": f"{len(empty)}",
        "mean gain of these rows": f"{empty.gain.mean():.2f}",
        f"rows with another head than their direct row, of {len(rows)}": f"{len(other)}",
        "share of FashionMNIST's gain in rows with another head": f"{share_of_gain(rows, 'fashion_mnist'):.0%}",
        "printed accuracies that are the best epoch's": f"{best} of {everything}",
        "students that end elsewhere": f"{elsewhere} of {students}",
        "average gain after the last epoch: MNIST, FashionMNIST": f"{last['mnist']:.2f}, {last['fashion_mnist']:.2f}",
    }


def note(found: dict[str, str], said: Mapping[str, object]) -> None:
    """Print statements with their numbers, and keep them among those `found`."""
    for statement, number in said.items():
        found[statement] = str(number)
        print(f"{statement}: {number}")


def table(found: Mapping[str, str]) -> pd.DataFrame:
    """The statements `found`, a row each."""
    return pd.Series(found, name="number").rename_axis("statement").to_frame()
