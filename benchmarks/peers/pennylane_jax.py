"""PennyLane on JAX: `default.qubit` by backpropagation, images as a broadcast dimension, the whole epoch compiled."""

import jax
import jax.numpy as jnp
import jax_jobs
import pennylane as qml
import students_jax


def expectations(amplitudes: jax.Array, angles: jax.Array) -> jax.Array:
    """<Z> (B, Q) on each wire. The library's wire 0 is the most significant one."""
    qubits = len(angles) // 3
    columns = angles.reshape(3, qubits)

    @qml.qnode(qml.device("default.qubit", wires=qubits), interface="jax", diff_method="backprop")
    def circuit(states: jax.Array, columns: jax.Array):
        qml.AmplitudeEmbedding(states, wires=range(qubits))
        for turn, of_wires in zip((qml.RX, qml.RY, qml.RZ), columns, strict=True):
            for wire in range(qubits):
                turn(of_wires[wire], wires=qubits - 1 - wire)
        return [qml.expval(qml.Z(qubits - 1 - wire)) for wire in range(qubits)]

    return jnp.stack(circuit(amplitudes, columns), -1)


if __name__ == "__main__":
    jax_jobs.main(students_jax.student(expectations), side_by_side=False)
