// All steps of a recurrence, and their gradient.
//
// The formulas are in crates/engine/src/recurrent.rs. Reference: crates/engine/src/reference/recur.rs
//
// Grid: (samples); the threads of a block share the units, and wait for each other after each step. What one step hands
// to the next is in device memory, in the trace and in dz.

#include "activations.cuh"
#include "control.cuh"

enum Kind : unsigned { LSTM, GRU_RESET_AFTER, GRU_RESET_BEFORE };

struct Cell {
    unsigned kind, units, steps;
    unsigned activation;  // T
    float argument;
    unsigned recurrent_activation;  // S
    float recurrent_argument;

    __device__ unsigned gates() const { return kind == LSTM ? 4 : 3; }
    __device__ unsigned columns() const { return gates() * units; }
    // Of the trace.
    __device__ unsigned hidden() const { return (gates() + 1) * units; }
    __device__ bool keeps_inputs() const { return activation >= SILU || recurrent_activation >= SILU; }
    __device__ unsigned trace_channels() const { return hidden() + units + (keeps_inputs() ? columns() : 0); }
    // Of dz.
    __device__ unsigned gradient_channels() const { return kind == GRU_RESET_AFTER ? 2 * columns() : columns(); }

    // Gate number `gate`, of which the third is the candidate, from its input.
    __device__ float open(unsigned gate, float x) const {
        return gate == 2 ? activate(activation, argument, x) : activate(recurrent_activation, recurrent_argument, x);
    }
    // The gradient of the input of a gate, from that of the gate; `now` is the place of a row of the trace.
    __device__ float close(unsigned gate, unsigned j, In<float> trace, size_t now, float d) const {
        const unsigned function = gate == 2 ? activation : recurrent_activation;
        const size_t kept = function >= SILU ? hidden() + units : 0;
        const float at = trace[now + kept + gate * units + j];
        return activation_gradient(function, gate == 2 ? argument : recurrent_argument, at, d);
    }
};

// Column `column` of `v U`, with v in the trace from `from` on; `v` is zero before the first step.
__device__ inline float product(Cell cell, InOut<float> trace, size_t from, In<float> kernel, unsigned column, bool zero) {
    float sum = 0.0f;
    for (unsigned k = 0; !zero && k < cell.units; ++k) {
        const float v = trace[from + k], w = kernel[k * cell.columns() + column];
        sum = fmaf(v, w, sum);
    }
    return sum;
}

// z       (batch, z_steps, columns); z_steps is 1 if z is the same at all steps
// kernel  (units, columns)
// bias    (2, columns), of GRU_RESET_AFTER if `biased`
// trace   (batch, steps, trace channels), overwritten
extern "C" __global__ void recur(In<unsigned> control, unsigned within, Cell cell, unsigned z_steps, In<float> z,
                                 In<float> kernel, In<float> bias, unsigned biased, InOut<float> trace) {
    const size_t sample = blockIdx.x;
    if (sample >= batch_of(control, within).count) return;
    const unsigned u = cell.units, columns = cell.columns(), row = cell.trace_channels();
    for (unsigned t = 0; t < cell.steps; ++t) {
        const size_t now = (sample * cell.steps + t) * row;
        const size_t h = t == 0 ? 0 : now - row + cell.hidden();
        const size_t z_now = (sample * z_steps + (z_steps == 1 ? 0 : t)) * columns;
        for (unsigned j = threadIdx.x; j < u; j += blockDim.x) {
            if (cell.kind == LSTM) {
                float gates[4];
                for (unsigned gate = 0; gate < 4; ++gate) {
                    const float zv = z[z_now + gate * u + j];
                    const float x = zv + product(cell, trace, h, kernel, gate * u + j, t == 0);
                    if (cell.keeps_inputs()) trace[now + (6 + gate) * u + j] = x;
                    gates[gate] = cell.open(gate, x);
                    trace[now + gate * u + j] = gates[gate];
                }
                float c_before = 0.0f;
                if (t > 0) c_before = trace[now - row + 4 * u + j];
                const float c = fmaf(gates[1], c_before, gates[0] * gates[2]);
                trace[now + 4 * u + j] = c;
                trace[now + 5 * u + j] = gates[3] * activate(cell.activation, cell.argument, c);
            } else {
                for (unsigned gate = 0; gate < 2; ++gate) {
                    const unsigned column = gate * u + j;
                    float x = z[z_now + column];
                    if (biased) {
                        const float b = bias[column], b_recurrent = bias[columns + column];
                        x += b + b_recurrent;
                    }
                    x += product(cell, trace, h, kernel, column, t == 0);
                    if (cell.keeps_inputs()) trace[now + (5 + gate) * u + j] = x;
                    trace[now + column] = cell.open(gate, x);
                }
                float s = 0.0f;
                if (cell.kind == GRU_RESET_AFTER) {
                    s = product(cell, trace, h, kernel, 2 * u + j, t == 0);
                    if (biased) {
                        const float b = bias[columns + 2 * u + j];
                        s += b;
                    }
                } else if (t > 0) {
                    const float r = trace[now + u + j], h_before = trace[h + j];
                    s = r * h_before;
                }
                trace[now + 3 * u + j] = s;
            }
        }
        __syncthreads();
        if (cell.kind == LSTM) continue;
        for (unsigned j = threadIdx.x; j < u; j += blockDim.x) {
            const float q = trace[now + j], r = trace[now + u + j], s = trace[now + 3 * u + j];
            float x = z[z_now + 2 * u + j];
            if (biased) {
                const float b = bias[2 * u + j];
                x += b;
            }
            x += cell.kind == GRU_RESET_AFTER ? r * s : product(cell, trace, now + 3 * u, kernel, 2 * u + j, false);
            if (cell.keeps_inputs()) trace[now + 7 * u + j] = x;
            const float candidate = cell.open(2, x);
            trace[now + 2 * u + j] = candidate;
            float h_before = 0.0f;
            if (t > 0) h_before = trace[h + j];
            trace[now + 4 * u + j] = fmaf(q, h_before, (1.0f - q) * candidate);
        }
        __syncthreads();
    }
}

// Unit k of `d U^T`, with d in dz from `from` on, of the columns from `first` to `end`.
__device__ inline float transposed(Cell cell, InOut<float> dz, size_t from, In<float> kernel, unsigned k, unsigned first,
                                   unsigned end) {
    float sum = 0.0f;
    for (unsigned column = first; column < end; ++column) {
        const float d = dz[from + column], w = kernel[k * cell.columns() + column];
        sum = fmaf(d, w, sum);
    }
    return sum;
}

// kernel  (units, columns)
// trace   (batch, steps, trace channels)
// dh      (batch, dh_steps, units): of all steps, or of the last
// dz      (batch, steps, gradient channels), overwritten
//
// Shared: what a step hands to the one before other than through dz, a number for each unit.
extern "C" __global__ void recur_gradient(In<unsigned> control, unsigned within, Cell cell, unsigned dh_steps,
                                          In<float> kernel, In<float> trace, In<float> dh, InOut<float> dz) {
    DYNAMIC_SHARED(float, passed);
    const size_t sample = blockIdx.x;
    if (sample >= batch_of(control, within).count) return;
    const unsigned u = cell.units, row = cell.trace_channels(), dz_row = cell.gradient_channels();
    // The columns of dz that the product with the transposed kernel reads.
    const unsigned after = cell.kind == GRU_RESET_AFTER ? 3 * u : 0;
    const unsigned end = cell.kind == GRU_RESET_BEFORE ? 2 * u : cell.columns();
    for (unsigned t = cell.steps; t-- > 0;) {
        const size_t now = (sample * cell.steps + t) * row, dz_now = (sample * cell.steps + t) * dz_row;
        const bool last = t + 1 == cell.steps;
        for (unsigned j = threadIdx.x; j < u; j += blockDim.x) {
            float d = 0.0f, direct = 0.0f;
            if (!last) {
                d = transposed(cell, dz, dz_now + dz_row + after, kernel, j, 0, end);
                direct = passed[j];
            }
            if (dh_steps > 1 || last) {
                const float given = dh[(sample * dh_steps + (dh_steps > 1 ? t : 0)) * u + j];
                d += given;
            }
            if (cell.kind == LSTM) {
                const float i = trace[now + j], f = trace[now + u + j], candidate = trace[now + 2 * u + j];
                const float o = trace[now + 3 * u + j], c = trace[now + 4 * u + j];
                float c_before = 0.0f;
                if (t > 0) {
                    const float v = trace[now - row + 4 * u + j];
                    c_before = v;
                }
                const float y = activate(cell.activation, cell.argument, c);
                const float at = cell.activation >= SILU ? c : y;
                const float dc = direct + activation_gradient(cell.activation, cell.argument, at, d * o);
                passed[j] = dc * f;
                dz[dz_now + j] = cell.close(0, j, trace, now, dc * candidate);
                dz[dz_now + u + j] = cell.close(1, j, trace, now, dc * c_before);
                dz[dz_now + 2 * u + j] = cell.close(2, j, trace, now, dc * i);
                dz[dz_now + 3 * u + j] = cell.close(3, j, trace, now, d * y);
            } else {
                d += direct;
                passed[j] = d;
                const float q = trace[now + j], candidate = trace[now + 2 * u + j];
                float h_before = 0.0f;
                if (t > 0) {
                    const float v = trace[now - row + 4 * u + j];
                    h_before = v;
                }
                dz[dz_now + j] = cell.close(0, j, trace, now, d * (h_before - candidate));
                dz[dz_now + 2 * u + j] = cell.close(2, j, trace, now, d * (1.0f - q));
            }
        }
        __syncthreads();
        if (cell.kind == LSTM) continue;
        for (unsigned j = threadIdx.x; j < u; j += blockDim.x) {
            const float q = trace[now + j], r = trace[now + u + j], d = passed[j];
            float dr = 0.0f, direct = d * q;
            if (cell.kind == GRU_RESET_AFTER) {
                const float dx = dz[dz_now + 2 * u + j], s = trace[now + 3 * u + j];
                dr = dx * s;
                const float dq = dz[dz_now + j];
                dz[dz_now + 3 * u + j] = dq;
                dz[dz_now + 5 * u + j] = dx * r;
            } else {
                const float ds = transposed(cell, dz, dz_now, kernel, j, 2 * u, 3 * u);
                float h_before = 0.0f;
                if (t > 0) {
                    const float v = trace[now - row + 4 * u + j];
                    h_before = v;
                }
                dr = ds * h_before;
                direct = fmaf(ds, r, direct);
            }
            passed[j] = direct;
            const float d_reset = cell.close(1, j, trace, now, dr);
            dz[dz_now + u + j] = d_reset;
            if (cell.kind == GRU_RESET_AFTER) dz[dz_now + 4 * u + j] = d_reset;
        }
        __syncthreads();
    }
}
