"""Plain JAX: the circuit as two matrices, of the lower and of the upper half of the wires, which is far less work than
one matrix where there are many wires."""

import jax
import jax.numpy as jnp
import jax_jobs
import plain_jax
import students_jax


def expectations(amplitudes: jax.Array, angles: jax.Array) -> jax.Array:
    """<Z> (B, Q) on each wire."""
    matrices = plain_jax.wires(angles)
    middle = len(matrices) // 2
    low, high = plain_jax.kron(matrices[:middle]), plain_jax.kron(matrices[middle:])
    states = amplitudes.reshape(len(amplitudes), len(high), len(low))
    real, imaginary = states @ low.real.T, states @ low.imag.T
    final_real = _times(high.real, real) - _times(high.imag, imaginary)
    final_imaginary = _times(high.real, imaginary) + _times(high.imag, real)
    chances = (final_real**2 + final_imaginary**2).reshape(amplitudes.shape)
    return chances @ plain_jax.signs(len(matrices))


def _times(matrix: jax.Array, states: jax.Array) -> jax.Array:
    return jnp.einsum("ij,bjl->bil", matrix, states)


if __name__ == "__main__":
    jax_jobs.main(students_jax.student(expectations), side_by_side=False)
