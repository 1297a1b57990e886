"""tables/answers, figures/controls and figures/data_scaling of synthetic records, against numpy and scipy."""

import numpy as np
import pytest
from intervals import by_flips, near_interval, near_p
from synthetic import controlled_records, holm, without

from qkdlib import records
from qkdlib.study.claims import Lacking
from qkdlib.study.controlled import answers, design
from qkdlib.study.controlled import figures as controlled_figures
from qkdlib.study.controlled import table as controlled_table

HELP, WHAT, QUANTUM, WHEN = (
    "does distillation help?", "what of it is knowledge?", "does the quantum layer add anything?", "when?",
)  # fmt: skip
TWIN, TAUGHT_TWIN = "classical twin", "classical twin, LeNet"
SPOKEN = {  # differences whose name is not that of both arms
    "quantum - twin": ("placebo", TWIN), "quantum - twin, both from LeNet": ("LeNet", TAUGHT_TWIN),
    "quantum - weak twin": ("placebo", "weak twin"), "twin: LeNet - placebo": (TAUGHT_TWIN, TWIN),
}  # fmt: skip
ASKED = {  # question: differences of both kinds of students
    HELP: ["LeNet - placebo", "AlexNet - placebo", "ensemble - placebo", "LeNet, chosen - placebo"],
    WHAT: ["smoothed labels - placebo", "shuffled logits - placebo", "LeNet of the same images - placebo",
           "LeNet - smoothed labels", "LeNet - shuffled logits", "LeNet - LeNet of the same images"],
    QUANTUM: list(SPOKEN),
}  # fmt: skip
RINGS = {"robust": ["two layers - placebo", "two layers, ring of CNOTs - two layers"],
         "revised": ["ring of CNOTs - placebo"]}  # fmt: skip
SIZES = {"robust": (10, 150), "revised": (10, 150, None)}
GROWING = ("LeNet - placebo", "twin: LeNet - placebo", "quantum - twin", "quantum - twin, both from LeNet")  # in order


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A workspace with all records of four tasks, its table of answers, and each record's kept accuracies. AlexNet's
    robust students are so bad that it shows in spite of the placebo's collapsed seed."""
    with controlled_records(tmp_path_factory.mktemp("made")) as (workspace, found):
        for arm in (task.arms["AlexNet"] for task in tasks_of("robust")):
            made = records.complete(arm, workspace)
            for results in made.seeds.values():
                results["test_accuracy"][-1] -= 0.15
            made.save(workspace)
            found[arm.name] = found[arm.name] - 15
        yield workspace, answers.table(workspace), found


def tasks_of(student: str, images: str = "150") -> list[design.Task]:
    """MNIST's and FashionMNIST's task of one kind of student, with so many images per class."""
    tasks = [task for task in design.tasks() if task.student == student]
    size = None if images == "all" else int(images)
    return tasks if size == 150 else [design.scaled(task, size) for task in tasks]


def differences(line, found) -> np.ndarray:
    """Points by task and seed, (2, S), from the records of both arms that a line names."""
    first, second = SPOKEN.get(line.difference) or line.difference.split(" - ")
    arms = [task.arms for task in tasks_of(line.student, line.images_per_class)]
    return np.array([found[each[first].name] - found[each[second].name] for each in arms])


# tables/answers


def test_every_question_has_its_differences_for_both_kinds_of_students(made):
    _, frame, _ = made
    assert frame.columns.tolist() == list(answers.COLUMNS)
    assert frame.question.drop_duplicates().tolist() == [HELP, WHAT, QUANTUM, WHEN]
    for (question, student), group in frame.groupby(["question", "student"]):
        asked = list(zip(group.difference, group.images_per_class, strict=True))
        if question == WHEN:
            sizes = [str(size or "all") for size in SIZES[student]]
            assert asked == [(name, size) for name in GROWING for size in sizes]
        else:
            names = ASKED[question] + (RINGS[student] if question == QUANTUM else [])
            assert asked == [(name, "150") for name in names]
    assert len(frame) == 2 * (4 + 6 + 4) + 2 + 1 + 4 * (2 + 3)
    assert set(frame.tasks) == {2}


def test_points_are_means_over_tasks_and_seeds_and_p_is_over_seeds(made):
    _, frame, found = made
    for line in frame.itertuples():
        points = differences(line, found)
        assert line.seeds == points.shape[1] == tasks_of(line.student)[0].placebo.seeds
        assert line.points == pytest.approx(points.mean())
        over_tasks = points.mean(axis=0)
        assert line.p == near_p(over_tasks)
        assert (line.ci_low, line.ci_high) == near_interval(over_tasks)
        assert line.ci_low < line.points < line.ci_high
        assert line.median == pytest.approx(np.median(over_tasks))


def test_better_and_worse_count_the_tasks_where_the_difference_is_significant(made):
    _, frame, found = made
    for line in frame.itertuples():
        points = differences(line, found)
        ps, means = np.array(holm([by_flips(each) for each in points])), points.mean(axis=1)
        reach = 0.01 if points.shape[1] > 15 else 0  # four standard errors of the draws; of 15 all flips are looked at
        for count, sign in ((line.better, 1), (line.worse, -1)):
            sure, possible = (((ps < limit) & (sign * means > 0)).sum() for limit in (0.05 - reach, 0.05 + reach))
            assert sure <= count <= possible
    assert set(frame.better) == {0, 1, 2} and set(frame.worse) >= {0, 2}


def test_p_is_corrected_over_the_lines_of_one_question_and_student(made):
    _, frame, _ = made
    groups = frame.groupby(["question", "student"])
    assert groups.ngroups == 4 * 2
    for _, group in groups:
        assert group.p_holm.tolist() == pytest.approx(holm(group.p.tolist()))
    assert (frame.p_holm > frame.p).any() and ((frame.p_holm < 0.05) & (frame.p < 0.05)).any()


def test_a_missing_record_empties_the_lines_that_need_it_and_no_other(made, tmp_path):
    """LeNet's twin of the robust student of FashionMNIST, and a placebo of the revised one of MNIST on 10 images."""
    workspace, before, _ = made
    gone = [tasks_of("robust")[1].arms[TAUGHT_TWIN], tasks_of("revised", "10")[0].placebo]
    now = answers.table(without(workspace, tmp_path, gone))
    of_twins, of_placebos = GROWING[1::2], GROWING[::2]
    robust = (before.student == "robust") & (before.images_per_class == "150") & before.difference.isin(of_twins)
    revised = (before.student == "revised") & (before.images_per_class == "10") & before.difference.isin(of_placebos)
    assert (robust.sum(), revised.sum()) == (2 * 2, 2)
    measured = ["seeds", "points", "ci_low", "ci_high", "p", "p_holm", "better", "worse"]
    empty = robust | revised
    assert now.loc[empty, measured].isna().all(axis=None) and now.loc[~empty, measured].notna().all(axis=None)
    for name in ("points", "ci_low", "ci_high", "p", "better", "worse"):
        assert now.loc[~empty, name].tolist() == before.loc[~empty, name].tolist()


def test_readable_answers_say_of_how_many_tasks(made, workspace):
    _, frame, _ = made
    shown = answers.readable(frame)
    assert shown["better"].tolist() == [f"{count} of 2" for count in frame.better]
    assert shown["points"].str.fullmatch(r"[+-]\d+\.\d\d \[[+-]\d+\.\d\d, [+-]\d+\.\d\d\]").all()
    empty = answers.readable(answers.table(workspace))
    assert empty[["question", "student", "difference"]].equals(shown[["question", "student", "difference"]])
    assert (empty[["points", "p (Holm)", "better", "worse"]] == "").all(axis=None)
    assert not empty.map(lambda cell: any(word in str(cell).lower() for word in ("nan", "none"))).any(axis=None)


# Figures


def test_the_controls_are_points_at_their_difference_full_where_it_is_significant(made, tmp_path):
    """Without one arm of the first task, which then has no point."""
    lost = design.tasks()[0].arms["AlexNet"]
    workspace = without(made[0], tmp_path, [lost])
    figure, found = controlled_figures.controls(workspace), made[2]
    table = controlled_table.table(workspace, design.tasks(), ())
    names = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(names) == len(set(names)) == 13 and "placebo" not in names  # 12 of robust ones, and a ring alone
    panels = {axis.get_title(): axis for axis in figure.axes}
    for task in design.tasks():
        images = {"mnist": "MNIST", "fashion_mnist": "FashionMNIST"}[task.placebo.dataset]
        title = f"{task.student}, {images}\n0-{task.placebo.classes[-1]}, {task.placebo.qubits} qubits"
        same = (table.student == task.student) & (table.dataset == task.placebo.dataset)
        ps = table[same].set_index("control").p_holm
        arms = {name: arm for name, arm in task.arms.items() if name != "placebo" and arm != lost}
        points = [line for line in panels.pop(title).lines if line.get_marker() == "o"]
        assert [names[int(point.get_ydata()[0])] for point in points] == list(arms)
        for point, (name, arm) in zip(points, arms.items(), strict=True):
            difference = (found[arm.name] - found[task.placebo.name]).mean()
            assert point.get_xdata() == pytest.approx([difference])
            assert (point.get_markerfacecolor() != "white") == (ps[name] < 0.05)
        assert (ps < 0.05).any() and (ps >= 0.05).any()
    assert panels == {}  # there is no other


def test_curves_of_the_number_of_images_are_means_over_seeds(made, tmp_path):
    """Without one arm of all images of the last task, whose curves then end before."""
    lost = tasks_of("revised", "all")[1].arms[TWIN]
    workspace, found = without(made[0], tmp_path, [lost]), made[2]
    axes = np.reshape(controlled_figures.data_scaling(workspace).axes, (3, 4))
    rows = [[("placebo",), ("LeNet",), (TWIN,), (TAUGHT_TWIN,)], [("LeNet", "placebo"), (TAUGHT_TWIN, TWIN)],
            [("placebo", TWIN), ("LeNet", TAUGHT_TWIN)]]  # fmt: skip
    for column, task in zip(axes.T, design.tasks(), strict=True):
        sizes = [size for size in SIZES[task.student] if size or task is not design.tasks()[-1]]
        arms = [design.scaled(task, size).arms for size in sizes]
        for axis, expected in zip(column, rows, strict=True):
            curves = [line for line in axis.lines if line.get_marker() == "."]
            for curve, (one, *other) in zip(curves, expected, strict=True):
                assert curve.get_xdata().tolist() == [size or 6000 for size in sizes]
                means = [found[each[one].name].mean() - sum(found[each[name].name].mean() for name in other)
                         for each in arms]  # fmt: skip
                assert curve.get_ydata() == pytest.approx(means)
        assert column[0].get_title().startswith(f"{task.student}, ") and column[0].get_xscale() == "log"


def test_without_records_there_are_no_figures(made, workspace):
    for draw in (controlled_figures.controls, controlled_figures.data_scaling):
        with pytest.raises(Lacking, match="^records of its experiments$"):
            draw(workspace)


def test_every_arm_that_a_difference_names_is_an_arm_of_every_task():
    """A name that no task has would drop its line without a word."""
    for task in design.tasks():
        entanglers = [name for each in design.entangled(task.student) for name in each[:2]]
        named = {arm for each in answers.DIFFERENCES for arm in each.arms} | set(entanglers)
        assert named <= task.arms.keys()
    for task, sizes in design.scaled_tasks():
        assert {arm for each in answers.SCALED for arm in each.arms} <= design.scaled(task, sizes[0]).arms.keys()
