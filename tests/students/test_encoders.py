"""Encoders: the formulas in numpy, Qiskit's states, norm 1 and finite gradients everywhere, also at zero vectors."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from qiskit.quantum_info import Statevector

from qkdlib import circuits
from qkdlib.circuits import product
from qkdlib.students.encoders import ENCODERS, Amplitude, AmplitudeTanh, Angle, Qubit, blanks

# Sizes from 1e-6 on: below 1e-22 the square of a number is no longer one in single precision.
NUMBERS = st.just(0.0) | st.floats(1e-6, 1e3) | st.floats(-1e3, -1e-6)
VECTORS = st.lists(NUMBERS, min_size=8, max_size=8)
AMPLITUDES = ("amplitude", "amplitude_tanh")
PRODUCTS = {"angle": Angle, "qubit": Qubit}
amplitude = Amplitude(3).state


def features_of(qubits: int, name: str, seeds: int = 2, batch: int = 2, seed: int = 0) -> torch.Tensor:
    """(S, B, F) from 0 to 1, as pixels are; other features may be any number."""
    shape = seeds, batch, ENCODERS[name].features(qubits)
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("qubits", range(1, 11))
def test_number_of_features(qubits):
    assert Amplitude.features(qubits) == AmplitudeTanh.features(qubits) == 2**qubits
    assert Qubit.features(qubits) == qubits
    angles = Angle.features(qubits)
    assert angles % qubits == 0 and 2**qubits <= angles < 2**qubits + qubits  # whole layers
    assert angles == 2**qubits or qubits not in (1, 2, 4, 8)


# Amplitude encoding


def in_numpy(name: str, features: np.ndarray) -> np.ndarray:
    """x / ||x||, after x' = pi tanh x where the encoder says so; |0...0> for the zero vector."""
    if not features.any():
        return np.eye(len(features))[0]
    x = math.pi * np.tanh(features) if name == "amplitude_tanh" else features
    return x / np.sqrt((x**2).sum())


@pytest.mark.parametrize("name", AMPLITUDES)
@settings(max_examples=40, database=None)
@given(vector=VECTORS)
def test_amplitudes_are_the_formula_and_have_norm_1(name, vector):
    encode = ENCODERS[name](3).state
    found = encode(torch.tensor(vector, dtype=torch.float64)).numpy()
    np.testing.assert_allclose(found, in_numpy(name, np.array(vector)), atol=1e-12)
    assert (found**2).sum() == pytest.approx(1, abs=1e-12)
    in_single_precision = encode(torch.tensor(vector))
    assert in_single_precision.square().sum().item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", AMPLITUDES)
def test_zero_vector_among_others_becomes_the_ground_state_and_leaves_them_alone(name):
    features = torch.randn(3, 5, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    features[1, 2] = 0
    found = ENCODERS[name](3).state(features)
    assert found[1, 2].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
    for place in np.ndindex(3, 5):
        np.testing.assert_allclose(found[place], in_numpy(name, features[place].numpy()), atol=1e-12)
    assert blanks(features).nonzero().tolist() == [[1, 2]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("place", [0, 5])
def test_norm_below_1e_15_counts_as_zero(dtype, place):
    features = torch.zeros(2, 8, dtype=dtype)
    features[:, place] = torch.tensor([-0.9e-15, -1.1e-15], dtype=dtype)
    found = amplitude(features)
    assert found[0].tolist() == [1, 0, 0, 0, 0, 0, 0, 0]
    assert found[1, place].item() == pytest.approx(-1, abs=1e-5)
    assert blanks(features).tolist() == [True, False]


@pytest.mark.parametrize("name", AMPLITUDES)
@settings(max_examples=30, database=None)
@given(vector=VECTORS, rest=VECTORS)
def test_gradient_is_finite_also_at_the_zero_vector_and_beside_it(name, vector, rest):
    for rows in ([vector, rest], [vector, [0.0] * 8]):
        features = torch.tensor(rows, requires_grad=True)
        (ENCODERS[name](3).state(features) * torch.arange(8.0)).sum().backward()
        assert torch.isfinite(features.grad).all()
        assert not features.grad[~features.any(-1)].any()  # a zero vector is encoded as a constant


@pytest.mark.parametrize("name", AMPLITUDES)
def test_gradient_of_amplitudes_passes_gradcheck(name):
    features = torch.randn(4, 8, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    assert torch.autograd.gradcheck(ENCODERS[name](3).state, features.requires_grad_())


@settings(max_examples=30, database=None)
@given(vector=VECTORS, factor=st.floats(0.01, 100))
def test_amplitude_forgets_the_length_of_a_vector(vector, factor):
    features = torch.tensor(vector, dtype=torch.float64)
    torch.testing.assert_close(amplitude(factor * features), amplitude(features), atol=1e-12, rtol=0)


@settings(max_examples=30, database=None)
@given(place=st.integers(0, 7), change=st.floats(0.05, 1), seed=st.integers(0, 2**31))
def test_one_feature_changes_the_amplitudes_by_the_angle_between_the_vectors(place, change, seed):
    features = torch.randn(8, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    changed = features.clone()
    changed[place] += change
    cosine = (features @ changed / features.norm() / changed.norm()).item()
    difference = (amplitude(features) - amplitude(changed)).norm().item()
    assert difference == pytest.approx(math.sqrt(2 - 2 * cosine), abs=1e-7)
    assert difference > 0


def test_signs_survive_which_a_probability_would_lose():
    found = AmplitudeTanh(2).state(torch.tensor([0.0, -20.0, 20.0, 0.0], dtype=torch.float64))
    assert found.tolist() == pytest.approx([0, -math.sqrt(0.5), math.sqrt(0.5), 0])


# Encodings that turn each wire by itself


def turned(angles: np.ndarray, qubits: int, columns: list[str]) -> np.ndarray:
    """Amplitudes of one image, each wire's spinor by matrices written out here; a later wire is more significant."""
    state = np.ones(1)
    for wire in range(qubits):
        spinor = np.array([1, 0], dtype=complex)
        for name, angle in zip(columns, angles[wire::qubits], strict=True):
            cos, sin = np.cos(angle / 2), np.sin(angle / 2)
            gate = {
                "rx": [[cos, -1j * sin], [-1j * sin, cos]],
                "ry": [[cos, -sin], [sin, cos]],
                "rz": [[cos - 1j * sin, 0], [0, cos + 1j * sin]],
            }[name]
            spinor = np.array(gate) @ spinor
        state = np.kron(spinor, state)
    return state


def as_complex(spinors: torch.Tensor) -> np.ndarray:
    """All amplitudes (S, B, 2^Q)."""
    return torch.view_as_complex(product.amplitudes(spinors)).detach().numpy()


def meant(name: str, pixels: bool, features: np.ndarray) -> np.ndarray:
    """The angles that the encoder's description means."""
    if pixels:
        return np.pi * features
    return np.pi * (np.tanh(features) if name == "angle" else 1 / (1 + np.exp(-features)))


@pytest.mark.parametrize("qubits", range(2, 11))
@pytest.mark.parametrize("pixels", [True, False], ids=["pixels", "features"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_states_are_qiskits_and_the_formula(name, pixels, qubits):
    encoder = PRODUCTS[name](qubits, pixels)
    features = features_of(qubits, name, seeds=2, batch=1)
    if not pixels:
        features = 6 * features - 3
    found, quantum = as_complex(encoder.state(features)), circuits.to_qiskit(encoder.circuit, measure=False)
    columns = ["ry"] if name == "qubit" else [("rx", "ry", "rz", "rx")[j % 4] for j in range(2**qubits)]
    for seed in range(2):
        angles = meant(name, pixels, features[seed, 0].double().numpy())
        expected = turned(angles, qubits, columns[: len(angles) // qubits])
        np.testing.assert_allclose(found[seed, 0], expected, atol=1e-5)
        np.testing.assert_allclose(Statevector(quantum.assign_parameters(angles)).data, expected, atol=1e-10)


@pytest.mark.parametrize("name", PRODUCTS)
def test_states_are_torchquantums(name):
    encoder, features = PRODUCTS[name](4), features_of(4, name, batch=3)
    angles = torch.from_numpy(meant(name, False, features.numpy())).flatten(0, 1)
    expected = circuits.to_torchquantum(encoder.circuit)(angles).view(2, 3, 16)
    np.testing.assert_allclose(np.abs(as_complex(encoder.state(features))) ** 2, expected, atol=1e-5)


def test_qubit_encoding_is_cosine_and_sine_of_half_a_turn_for_each_pixel():
    features = torch.tensor([[[0.0, 1.0, 0.5, 0.25]]])
    (real, imaginary) = Qubit(4, pixels=True).state(features).unbind(1)
    x = math.pi / 2 * features
    torch.testing.assert_close(real, torch.stack([x.cos(), x.sin()]), atol=1e-6, rtol=0)
    assert not imaginary.any()


@pytest.mark.parametrize("pixels", [True, False], ids=["pixels", "features"])
@pytest.mark.parametrize("name", PRODUCTS)
@settings(max_examples=15, database=None)
@given(qubits=st.integers(2, 8), seed=st.integers(0, 2**31), scale=st.sampled_from([1e-30, 1.0, 80.0, 1e30]))
def test_norm_is_1_and_gradients_are_finite_for_any_features(name, pixels, qubits, seed, scale):
    features = features_of(qubits, name, batch=1, seed=seed)
    features = (features if pixels else scale * (2 * features - 1)).requires_grad_()
    spinors = PRODUCTS[name](qubits, pixels).state(features)
    torch.testing.assert_close(spinors.square().sum((0, 1)), torch.ones(2, 1, qubits), atol=1e-5, rtol=0)
    (spinors * torch.randn(spinors.shape, generator=torch.Generator().manual_seed(seed))).sum().backward()
    assert torch.isfinite(features.grad).all()


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("pixels", [True, False], ids=["pixels", "features"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_constant_features_turn_all_wires_alike(name, pixels, value):
    features = torch.full((1, 1, ENCODERS[name].features(4)), value, requires_grad=True)
    spinors = PRODUCTS[name](4, pixels).state(features)
    assert torch.equal(spinors, spinors[..., :1].expand_as(spinors))
    if value == 0 and (pixels or name == "angle"):  # not sigmoid(0) = 1 / 2
        assert spinors[..., 0].flatten().tolist() == [1, 0, 0, 0]
    (spinors[0] + 3 * spinors[1]).sum().backward()  # nowhere stationary at these values
    assert torch.isfinite(features.grad).all() and features.grad.abs().max() > 0.05


@pytest.mark.parametrize("name", PRODUCTS)
@settings(max_examples=30, database=None)
@given(data=st.data(), qubits=st.integers(2, 6), change=st.floats(0.01, 0.5), seed=st.integers(0, 2**31))
def test_one_pixel_changes_the_state_by_its_share_of_a_turn(name, data, qubits, change, seed):
    # R(theta + delta) - R(theta) has the length 2 sin(delta / 4) on any state, whatever is turned before and after.
    features = features_of(qubits, name, seeds=1, batch=1, seed=seed).double()
    place = data.draw(st.integers(0, features.shape[2] - 1))
    features[0, 0, place] *= 0.5
    changed = features.clone()
    changed[0, 0, place] += change
    encoder = PRODUCTS[name](qubits, pixels=True)
    before, after = (as_complex(encoder.state(each)) for each in (features, changed))
    assert np.linalg.norm(after - before) == pytest.approx(2 * math.sin(math.pi * change / 4), abs=1e-9)


@pytest.mark.parametrize("pixels", [True, False], ids=["pixels", "features"])
@pytest.mark.parametrize("name", PRODUCTS)
def test_gradient_of_turned_wires_passes_gradcheck(name, pixels):
    features = features_of(3, name).double().requires_grad_()
    assert torch.autograd.gradcheck(PRODUCTS[name](3, pixels).state, features)
