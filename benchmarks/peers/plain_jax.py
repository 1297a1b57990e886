"""Plain JAX: the circuit as one matrix, built in each step; and the published circuit's closed form."""

import functools

import jax
import jax.numpy as jnp
import jax_jobs
import students_jax


def wires(angles: jax.Array) -> jax.Array:
    """The matrices (Q, 2, 2) of RZ RY RX on each wire."""
    x, y, z = angles.reshape(3, -1) / 2
    (cx, sx), (cy, sy) = ((jnp.cos(each), jnp.sin(each)) for each in (x, y))
    real = jnp.stack([cy * cx, -sy * cx, sy * cx, cy * cx], -1)
    imaginary = jnp.stack([sy * sx, -cy * sx, -cy * sx, -sy * sx], -1)
    phases = jnp.exp(1j * jnp.stack([-z, z], -1))
    return phases[..., None] * jax.lax.complex(real, imaginary).reshape(-1, 2, 2)


def kron(matrices: jax.Array) -> jax.Array:
    """The Kronecker product of (q, 2, 2), the later wire the more significant one."""
    return functools.reduce(
        lambda low, wire: jnp.einsum("ij,kl->ikjl", wire, low).reshape(2 * len(low), -1), matrices[1:], matrices[0]
    )


def expectations(amplitudes: jax.Array, angles: jax.Array) -> jax.Array:
    """<Z> (B, Q) on each wire. The amplitudes are real: the product with a complex matrix is two real ones."""
    matrix = kron(wires(angles))
    real, imaginary = amplitudes @ matrix.real.T, amplitudes @ matrix.imag.T
    return (real**2 + imaginary**2) @ signs(len(angles) // 3)


def signs(qubits: int) -> jax.Array:
    """Outcome probabilities times them (2^Q, Q) are <Z> on each wire."""
    return 1.0 - 2.0 * (jnp.arange(2**qubits)[:, None] >> jnp.arange(qubits) & 1)


def probabilities(angles: jax.Array) -> jax.Array:
    """p(i) = prod_k (1 +- sin theta_k) / 2, (..., 2^Q)."""
    sine = jnp.sin(angles)
    wires = jnp.stack([1 - sine, 1 + sine], -1) / 2
    found = wires[..., 0, :]
    for wire in range(1, angles.shape[-1]):
        found = (wires[..., wire, :, None] * found[..., None, :]).reshape(*angles.shape[:-1], -1)
    return found


if __name__ == "__main__":
    jax_jobs.main(students_jax.student(expectations, probabilities), side_by_side=False)
