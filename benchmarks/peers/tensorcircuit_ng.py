"""TensorCircuit-NG on JAX: a circuit of one image, vectorised over images, its outcomes from the final state."""

import jax
import jax_jobs
import plain_jax
import students_jax
import tensorcircuit as tc

tc.set_backend("jax")
tc.set_dtype("complex64")
FUSED = 5  # from so many wires on, one gate for the three of a wire is faster


def expectations(amplitudes: jax.Array, angles: jax.Array) -> jax.Array:
    """<Z> (B, Q) on each wire. The library's wire 0 is the most significant one."""
    qubits = len(angles) // 3
    columns = angles.reshape(3, qubits)

    def outcomes(state: jax.Array) -> jax.Array:
        circuit = tc.Circuit(qubits, inputs=state)
        for wire in range(qubits):
            x, y, z = columns[:, wire]
            place = qubits - 1 - wire
            if qubits < FUSED:
                circuit.rx(place, theta=x)
                circuit.ry(place, theta=y)
                circuit.rz(place, theta=z)
            else:
                gates = tc.gates.rz_gate(z), tc.gates.ry_gate(y), tc.gates.rx_gate(x)
                rz, ry, rx = (gate.tensor for gate in gates)
                circuit.any(place, unitary=rz @ ry @ rx)
        return circuit.probability()

    return tc.backend.vmap(outcomes)(amplitudes) @ plain_jax.signs(qubits)


def probabilities(angles: jax.Array) -> jax.Array:
    """Outcomes (..., 2^Q) of H and RY on each wire."""
    qubits = angles.shape[-1]

    def outcomes(row: jax.Array) -> jax.Array:
        circuit = tc.Circuit(qubits)
        for wire in range(qubits):
            circuit.h(qubits - 1 - wire)
            circuit.ry(qubits - 1 - wire, theta=row[wire])
        return circuit.probability()

    return tc.backend.vmap(outcomes)(angles.reshape(-1, qubits)).reshape(*angles.shape[:-1], -1)


if __name__ == "__main__":
    jax_jobs.main(students_jax.student(expectations, probabilities), side_by_side=False)
