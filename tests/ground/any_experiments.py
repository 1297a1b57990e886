"""Experiments of all kinds, drawn by Hypothesis."""

from hypothesis import strategies as st

from qkdlib import experiment_checks
from qkdlib.experiment import Experiment, Teacher


def positive(limit: float):
    return st.floats(min_value=1e-6, max_value=limit)


CLASSES = st.lists(st.integers(0, 9), min_size=2, max_size=8, unique=True)
TRAININGS = {
    "epochs": st.integers(1, 50), "learning_rate": positive(1), "images_per_class": st.none() | st.integers(1, 5000),
    "ensemble": st.sampled_from(["mean_probabilities", "joint_logits"]), "seed": st.integers(0, 2**31),
}  # fmt: skip
SINGLE = st.builds(Teacher, architecture=st.sampled_from(["lenet", "alexnet", "custom:my net-1"]), **TRAININGS)
JOINT = st.builds(Teacher, architecture=st.just("ensemble"), **TRAININGS)
ENSEMBLES = st.builds(
    Teacher, architecture=st.just("ensemble"), epochs=st.integers(1, 50), members=st.lists(SINGLE, max_size=3)
)
TEACHERS = SINGLE | JOINT | ENSEMBLES
STUDENTS = st.sampled_from(
    [
        {},
        {"gradient": "published_shift"},
        {"gradient": "parameter_shift", "sampler": "multinomial"},
        {"reducer": "fully_connected", "encoder": "amplitude_tanh"},
        {"ansatz": "rx_ry_rz", "layers": 3},
        {"reducer": "avg_pool", "encoder": "angle", "layers": 2, "entangler": "ring_cnot", "tested": "at_end"},
        {"encoder": "amplitude", "readout": "pauli_z", "head": "linear"},
        {"encoder": "qubit", "tested": "at_end", "patience": 3, "learning_rates": [0.001, 1]},
    ]
)


@st.composite
def experiments_of_all_kinds(draw):
    teacher = draw(st.none() | TEACHERS)
    student = draw(STUDENTS)
    heads = [head for head in experiment_checks.HEADS if head != "linear" or "encoder" in student]
    student = {"head": draw(st.sampled_from(heads)), **student}
    return Experiment(
        dataset=draw(st.sampled_from([*experiment_checks.DATASETS, "imagefolder:some/where ü"])),
        classes=draw(CLASSES),
        train_per_class=draw(st.none() | st.integers(1, 500)),
        selection=draw(st.sampled_from(["first", "random", "each_seed"])),
        qubits=draw(st.integers(3, 10)),
        dropout=draw(st.floats(0, 0.99)),
        teacher=teacher,
        kd_weight=draw(st.floats(0, 10)) if teacher else 0.0,
        temperature=draw(positive(20)),
        learning_rate=draw(positive(1)),
        seeds=draw(st.integers(1, 40)),
        **student,
    )
