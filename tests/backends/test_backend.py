"""Backends of every kind: what is taken for one, that all of them sample the same circuits in the same bit order, what
they say about a circuit, and what they refuse before they run it."""

import numpy as np
import pytest
import qiskit
import torch
from qiskit.primitives import BackendSamplerV2, StatevectorEstimator, StatevectorSampler
from qiskit.providers.fake_provider import GenericBackendV2
from qiskit.quantum_info import Statevector
from scipy import stats

from qkdlib import Circuit, aer_import, backends, checks, circuits
from qkdlib.backends import Backend, Primitive, sampling
from qkdlib.backends.backend import Aer, _aer_model
from qkdlib.circuits import Gate, GateList
from qkdlib.noise import Noise

pytestmark = pytest.mark.filterwarnings("ignore:.*has no QubitProperties")  # Aer, of GenericBackendV2 without noise
SHOTS = 20_000
CIRCUITS = {n: circuits.join(circuits.amplitude_encoding(n), circuits.build("rx_ry_rz", n)) for n in (3, 4)}
BARE = GateList("bare", 3, (Gate("sx", (0,)), Gate("cx", (0, 2)), Gate("h", (0,)), Gate("sx", (0,)), Gate("h", (2,)),
                           Gate("cx", (2, 1))))  # fmt: skip


def named(each) -> str:
    """A name for a test's case that is the same in every process."""
    return getattr(each, "__name__", None) or repr(each).partition(" object at ")[0]


def simulator(**options):
    return aer_import.load().AerSimulator(**options)


def generic(qubits: int = 5, **options) -> GenericBackendV2:
    return GenericBackendV2(qubits, **{"noise_info": False, "seed": 1, **options})


def aer_sampler():
    aer_import.load()
    from qiskit_aer.primitives import SamplerV2

    return SamplerV2(seed=3)


IDEAL = {
    "nothing": lambda: None,
    "no noise": Noise,
    "AerSimulator": simulator,
    "GenericBackendV2": generic,
    "GenericBackendV2 in a line": lambda: generic(coupling_map=[[0, 1], [1, 2], [2, 3], [3, 4]]),
    "StatevectorSampler": lambda: StatevectorSampler(seed=np.random.default_rng(3)),  # 3 alone would repeat itself
    "BackendSamplerV2": lambda: BackendSamplerV2(backend=generic()),
    "Aer's SamplerV2": aer_sampler,
    "Backend": lambda: Primitive(StatevectorSampler(seed=np.random.default_rng(4)), name="mine"),
}
FLIPPING = Noise("readout", 0.1)
NOISY = {
    "read-out": (lambda: FLIPPING, FLIPPING),
    "AerSimulator with a noise model": (lambda: simulator(noise_model=_aer_model(FLIPPING)), FLIPPING),
    "depolarising": (lambda: Noise("depolarising", 0.1), Noise("depolarising", 0.1)),
    "amplitude damping": (lambda: Noise("amplitude_damping", 0.2), Noise("amplitude_damping", 0.2)),
}


def angles_of(circuit: GateList, rows: int = 2, seed: int = 2) -> np.ndarray:
    """All of them different, and such that every outcome is expected often enough for the chi-square test."""
    return np.random.default_rng([rows, seed]).uniform(0.4, 1.6, (rows, circuit.angles))


def exact(circuit: GateList, angles: np.ndarray) -> np.ndarray:
    quantum = circuits.to_qiskit(circuit, measure=False)
    return np.stack([Statevector(quantum.assign_parameters(row)).probabilities() for row in angles])


def values(frequencies: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """p value of each row."""
    assert SHOTS * probabilities.min() > 5
    np.testing.assert_allclose(frequencies.sum(1), 1, atol=1e-12)
    return np.atleast_1d(stats.chisquare(SHOTS * frequencies, SHOTS * probabilities, axis=1).pvalue)


def check(circuit: GateList, frequencies: np.ndarray, probabilities: np.ndarray) -> None:
    assert values(frequencies, probabilities).min() > 1e-4
    reverse = circuits.reverse_wires(torch.from_numpy(probabilities), circuit.qubits).numpy()
    assert values(frequencies, reverse).max() < 1e-4  # so that a wrong bit order would be seen


# What is taken for a backend


@pytest.mark.parametrize(("kind", "name", "noise"), [
    ("nothing", "aer_simulator", "none"), ("no noise", "aer_simulator", "none"),
    ("AerSimulator", "aer_simulator", "none"), ("GenericBackendV2", "generic_backend_5q", "the backend's own"),
    ("StatevectorSampler", "StatevectorSampler", "none"), ("Backend", "mine", "unknown"),
    ("BackendSamplerV2", "generic_backend_5q", "the backend's own"), ("Aer's SamplerV2", "aer_simulator", "none"),
])  # fmt: skip
def test_every_kind_of_backend_is_taken_and_named(kind, name, noise):
    found = backends.get(IDEAL[kind]())
    assert isinstance(found, Backend)
    facts = found.facts(CIRCUITS[3])
    assert (found.name, found.noise) == (facts.backend, facts.noise) == (name, noise)


def test_noise_is_named_by_kind_and_level_and_a_model_of_ones_own_as_such():
    assert backends.get(Noise("depolarising", 0.01)).noise == "depolarising 0.01"
    assert backends.get(simulator(noise_model=_aer_model(FLIPPING))).noise == "a noise model"


def test_a_backend_is_taken_as_it_is_and_aer_is_made_once():
    mine = Primitive(StatevectorSampler())
    assert backends.get(mine) is mine
    assert backends.get(None) is backends.get() and backends.get(FLIPPING) is backends.get(Noise("readout", 0.1))


def test_circuits_are_transpiled_for_the_backend_behind_a_sampler():
    home = generic()

    class Provider(StatevectorSampler):
        def backend(self):  # a method, as IBM's sampler has it
            return home

    for sampler in (Provider(), BackendSamplerV2(backend=home), home):
        found = backends.get(sampler)
        assert found.target is home and found.name == home.name
        names = found.prepare(CIRCUITS[3]).count_ops()
        assert set(names) <= {"cx", "rz", "sx", "x", "measure", "barrier"}


def test_jobs_are_as_large_as_the_backend_allows():
    class Small(GenericBackendV2):
        max_circuits = 7

    assert backends.get(Small(3, noise_info=False)).rows_per_job == 7
    assert backends.get(generic()).rows_per_job == 300


@pytest.mark.parametrize("wrong", ["aer", 3, GenericBackendV2, StatevectorEstimator(), GateList, []], ids=named)
def test_anything_else_is_refused_by_name(wrong):
    with pytest.raises(ValueError, match="^backend=") as caught:
        backends.get(wrong)
    assert "is not allowed; allowed: None, a qkdlib.noise.Noise, an AerSimulator" in str(caught.value)
    assert len(str(caught.value)) < 250 and "\n" not in str(caught.value)


# Samples


@pytest.mark.parametrize("qubits", CIRCUITS)
@pytest.mark.parametrize("kind", IDEAL)
def test_all_backends_sample_the_exact_probabilities_in_one_bit_order(kind, qubits):
    circuit, angles = CIRCUITS[qubits], angles_of(CIRCUITS[qubits])
    found = backends.sample(circuit, angles, SHOTS, 5, IDEAL[kind]()).frequencies
    assert found.shape == (2, 2**qubits)
    check(circuit, found, exact(circuit, angles))


@pytest.mark.parametrize("kind", NOISY)
def test_noisy_backends_sample_the_exact_noisy_probabilities(kind):
    (make, noise), circuit = NOISY[kind], CIRCUITS[3]
    angles = angles_of(circuit)
    found = backends.sample(circuit, angles, SHOTS, 5, make()).frequencies
    check(circuit, found, circuits.exact(circuit, torch.from_numpy(angles), noise).numpy())
    assert values(found, exact(circuit, angles)).max() < 1e-4


@pytest.mark.parametrize("kind", IDEAL)
def test_circuits_without_angles_are_sampled_anew_for_each_row(kind):
    found = backends.sample(BARE, np.zeros((3, 0)), SHOTS, 6, IDEAL[kind]()).frequencies
    expected = np.repeat(exact(BARE, np.zeros((1, 0))), 3, axis=0)
    there = expected[0] > 1e-9
    assert found.shape == (3, 8) and (found[:, ~there] == 0).all()
    assert values(found[:, there], expected[:, there]).min() > 1e-4
    assert len({tuple(row) for row in found}) == 3


@pytest.mark.parametrize("kind", ["nothing", "AerSimulator", "GenericBackendV2", "BackendSamplerV2"])
def test_seed_decides_the_samples_and_equal_rows_are_samples_of_their_own(kind):
    circuit = CIRCUITS[3]
    angles = np.repeat(angles_of(circuit, rows=1), 3, axis=0)
    on = backends.get(IDEAL[kind]())
    first, again, other = (backends.sample(circuit, angles, 500, seed, on).frequencies for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert len({tuple(row) for row in [*first, *other]}) == 6


@pytest.mark.parametrize("kind", ["nothing", "StatevectorSampler", "BackendSamplerV2"])
def test_outcomes_of_more_than_eight_wires_keep_their_places(kind):
    # A sampler packs 8 bits into a byte.
    circuit, on = circuits.qubit_encoding(10), IDEAL[kind]() if kind != "BackendSamplerV2" else generic(10)
    for outcome in (1, 2**9, 2**8 + 2**2):
        angles = np.pi * np.array([[outcome >> wire & 1 for wire in range(10)]])
        assert backends.sample(circuit, angles, 20, 0, on).frequencies[0, outcome] == 1


def test_a_job_that_aer_does_not_finish_is_an_error():
    said = {"success": False, "status": "lost\n" * 10**4}  # Aer says it of each circuit

    class Broken:
        def run(self, *_circuits, **_options):
            return type("Job", (), {"result": lambda self: type("Result", (), said)})()

    broken = Aer(Broken(), "broken", "none", written=True)
    with pytest.raises(RuntimeError, match="^broken did not finish circuit h_ry: lost( lost){39} ?$"):
        broken.sample(broken.prepare(circuits.build("h_ry", 2)), np.zeros((1, 2)), 10, 0)


@pytest.mark.parametrize("given", [{"basis_gates": ["x", "h"]}, {"coupling_map": [[0, 1], [2, 3]]}])
def test_a_device_that_cannot_run_a_circuit_is_named(given):
    home = generic(4, **given)
    with pytest.raises(ValueError, match="^backend='generic_backend_4q' is not allowed.*can run circuit rx_ry_rz"):
        backends.sample(circuits.build("rx_ry_rz", 3, 1, "ring_cnot"), np.zeros((1, 9)), 10, 0, home)


# Facts and refusals


class Sampling(StatevectorSampler):
    """A sampler that shows no backend."""


@pytest.mark.parametrize(("on", "noise", "circuit"), [
    (None, "none", "as written"), (FLIPPING, "readout 0.1", "as written"),
    (generic(), "the backend's own", "transpiled"), (simulator(), "none", "transpiled"),
    (StatevectorSampler(), "none", "as written"),
    (Sampling(), "unknown", "unknown"), (Primitive(Sampling(), name="mine"), "unknown", "unknown"),
    (BackendSamplerV2(backend=generic()), "the backend's own", "transpiled"),
    (BackendSamplerV2(backend=simulator(noise_model=_aer_model(FLIPPING))), "a noise model", "transpiled"),
    (BackendSamplerV2(backend=simulator(), options={"run_options": {"noise_model": _aer_model(FLIPPING)}}),
     "a noise model", "transpiled"),
], ids=named)  # fmt: skip
def test_facts_say_what_is_known_of_noise_and_transpilation(on, noise, circuit):
    facts = backends.get(on).facts(circuits.build("h_ry", 3))
    assert (facts.noise, facts.circuit, facts.earlier_jobs) == (noise, circuit, 0)


class Hidden(Sampling):
    def backend(self):
        raise RuntimeError("no session")


@pytest.mark.parametrize("name", ["backend", "_backend"])
@pytest.mark.parametrize("method", [True, False])
def test_the_backend_behind_a_sampler_is_found_where_it_shows_it(name, method):
    home = generic()
    sampler = type("Shown", (Sampling,), {name: (lambda self: home) if method else home})()
    assert backends.get(sampler).target is home and backends.get(sampler).facts(CIRCUITS[3]).circuit == "transpiled"
    assert backends.get(Hidden()).target is None


def test_states_and_samples_that_do_not_fit_into_memory_are_refused_before_they_are_taken(monkeypatch):
    monkeypatch.setattr(checks, "available_memory", lambda: 16 * 2.0**8)
    few, many = circuits.build("h_ry", 4), circuits.build("h_ry", 5)
    noisy = Aer(simulator(method="density_matrix"), "noisy", "some", written=True)
    for on, circuit, wrong in ((noisy, few, None), (noisy, many, "qubits=5 .*a density matrix"),
                               (Aer(simulator(method="statevector"), "a", "none", written=True), many, None),
                               (StatevectorSampler(), few, "shots=2000 .*a job of 3 circuits")):  # fmt: skip
        angles = np.zeros((3, circuit.angles))
        if wrong is None:
            backends.sample(circuit, angles, 2000, 0, on)
        else:
            with pytest.raises(ValueError, match=f"^{wrong} fits into memory"):
                backends.sample(circuit, angles, 2000, 0, on)


@pytest.mark.parametrize("qubits", CIRCUITS)
def test_facts_are_those_of_the_transpiled_circuit(qubits):
    circuit, line = CIRCUITS[qubits], generic(coupling_map=[[0, 1], [1, 2], [2, 3], [3, 4]])
    for on, target in ((None, None), (line, line), (StatevectorSampler(), None)):
        quantum = circuits.to_qiskit(circuit)
        if target is not None:
            quantum = qiskit.transpile(quantum, target, optimization_level=1, seed_transpiler=sampling.SEED)
        rest = [step for step in quantum.data if step.operation.name not in ("measure", "barrier")]
        facts = backends.get(on).facts(circuit)
        assert facts.depth == quantum.depth(lambda step: step.operation.name not in ("measure", "barrier"))
        assert facts.gates == len(rest)
        assert facts.two_qubit_gates == sum(len(step.qubits) == 2 for step in rest)
        assert facts.two_qubit_gates >= 2**qubits - 2


def test_device_has_gates_of_its_own_between_neighbours_and_noise():
    device = backends.device(5)
    assert device is backends.device(5)
    circuit = CIRCUITS[4]
    quantum = device.prepare(circuit)
    wires = [[quantum.find_bit(bit).index for bit in step.qubits] for step in quantum.data if len(step.qubits) == 2]
    assert len(wires) == device.facts(circuit).two_qubit_gates > 14  # those of the circuit, and routing
    assert all(abs(one - other) == 1 for one, other in wires)
    assert set(quantum.count_ops()) - {"measure", "barrier"} <= {"cx", "rz", "sx", "x"}
    angles = angles_of(circuit)
    found, expected = backends.sample(circuit, angles, SHOTS, 1, device).frequencies, exact(circuit, angles)
    assert values(found, expected).max() < 1e-6
    assert np.abs(found - expected).sum(1).max() < 0.5  # noisy, and still of this circuit


@pytest.mark.parametrize("wrap", [lambda small: small, lambda small: BackendSamplerV2(backend=small)])
def test_too_few_qubits_are_refused_before_anything_runs(monkeypatch, wrap):
    calls, small = [], generic(2)
    monkeypatch.setattr(GenericBackendV2, "run", lambda *_arguments, **_options: calls.append("run"))
    monkeypatch.setattr(qiskit, "transpile", lambda *_arguments, **_options: calls.append("transpile"))
    with pytest.raises(ValueError, match="^qubits=3 is not allowed; allowed: at most 2 on backend generic_backend_2q$"):
        backends.sample(CIRCUITS[3], angles_of(CIRCUITS[3]), 10, 0, wrap(small))
    assert calls == []


def test_a_circuit_is_transpiled_once_for_all_its_jobs(monkeypatch):
    calls, transpile = [], qiskit.transpile
    monkeypatch.setattr(qiskit, "transpile", lambda *a, **options: calls.append(a[0].name) or transpile(*a, **options))
    on = backends.get(generic())
    for circuit in (CIRCUITS[3], CIRCUITS[3], CIRCUITS[4]):
        backends.sample(circuit, angles_of(circuit, rows=3), 10, 0, on, rows_per_job=1)
        on.facts(circuit)
    assert calls == [CIRCUITS[3].name, CIRCUITS[4].name]


TURNING = ["cp", "crx", "cry", "crz", "rxx", "ryy", "rzz"]


@pytest.mark.parametrize("kind", ["nothing", "AerSimulator", "GenericBackendV2", "Aer's SamplerV2", "Backend"])
@pytest.mark.parametrize("turns", [TURNING, *([name] for name in TURNING)], ids=lambda turns: "+".join(turns))
def test_gates_of_two_wires_have_the_angles_that_they_are_given(kind, turns):
    """Aer's own binding runs controlled ones with others."""
    plain = ["ry(x[0]) 0", "ry(x[1]) 1", "rx(x[2]) 1", "ry(x[0]) 2"]
    gates = [*plain, *(f"{name}(2*x[{place % 3}]) {place % 3} {(place + 1) % 3}" for place, name in enumerate(turns))]
    circuit, binding = circuits.compiled(Circuit(3, [*gates, *plain]))
    x = torch.rand(1, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 0.6 + 0.5
    angles = binding.angles(x, x.new_zeros(1, 0))[0].numpy()
    backend = backends.get(IDEAL[kind]())
    found = backend.sample(backend.prepare(circuit), angles, SHOTS, seed=1)
    probabilities = exact(circuit, angles)
    spread = np.sqrt(probabilities * (1 - probabilities) / SHOTS)
    assert (abs(found - probabilities) < 5 * spread + 1 / SHOTS).all()
