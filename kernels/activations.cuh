// Activation functions and their gradients.
//
// References: crates/engine/src/activations.rs; on the CPU: crates/cpu/src/simd/functions.rs, which has the errors, and
// where the constants are from. Every operation here is one of those there, in the same order, so the results are the
// same to the bit as on the CPU's paths with fused multiply-adds.

#pragma once

#include "dialect.cuh"

enum Activation : unsigned {
    RELU = 1,
    LEAKY_RELU,  // argument: the slope below 0
    ELU,         // argument: alpha
    SELU,
    TANH,
    SIGMOID,
    SOFTPLUS,
    SILU,
    GELU,
    GELU_APPROXIMATE,
};

constexpr float SELU_SCALE = 1.0507009873554805f, SELU_SCALE_ALPHA = 1.7580993408473769f;
// sqrt(2 / pi), and the factor of the cube.
constexpr float GELU_SCALE = 0.7978845608028654f, GELU_CUBIC = 0.044715f;

// x + rest = n log(2) + r with a whole number n; curve = exp(r) - 1 - r.
struct Reduced {
    float n, r, curve;
};

__device__ inline Reduced reduce(float x, float rest) {
    const float whole = 12582912.0f;
    // Of NaN, n is some number; r is NaN.
    const float n = fmaxf(x, -106.0f) * 1.44269504f + whole - whole;
    float r = fmaf(n, -0.693359375f, x);
    r = fmaf(n, 2.1219444e-4f, r) + rest;
    float curve = fmaf(1.991405e-4f, r, 1.3941008e-3f);
    curve = fmaf(curve, r, 8.333273e-3f);
    curve = fmaf(curve, r, 4.1666355e-2f);
    curve = fmaf(curve, r, 0.16666667f);
    curve = fmaf(curve, r, 0.5f);
    return {n, r, r * r * curve};
}

// x 2^n, in two factors, each of which has an exponent of 8 bits.
__device__ inline float scale(float x, float n) {
    const int whole = int(n), half = whole >> 1;
    return x * __uint_as_float(unsigned(half + 127) << 23) * __uint_as_float(unsigned(whole - half + 127) << 23);
}

// exp(x)
__device__ inline float exponential(float x) {
    x = x < -104.0f ? -104.0f : x;
    x = 89.0f < x ? 89.0f : x;
    const Reduced e = reduce(x, 0.0f);
    return scale(1.0f + (e.r + e.curve), e.n);
}

// exp(x) - 1, for x <= 0.
__device__ inline float exponential_minus_1(float x) {
    const Reduced e = reduce(x < -18.0f ? -18.0f : x, 0.0f);
    const float power = scale(1.0f, e.n);
    return fmaf(e.curve, power, fmaf(e.r, power, power - 1.0f));
}

// log(1 + x), for 0 <= x <= 1.
__device__ inline float logarithm_of_1_plus(float x) {
    const float s = x / (2.0f + x), z = s * s;
    const float half_square = 0.5f * x * x;
    float log = fmaf(0.28012666f, z, 0.28001678f);
    log = fmaf(log, z, 0.40021533f);
    log = fmaf(log, z, 0.6666642f);
    return x - (half_square - fmaf(z, log, half_square) * s);
}

__device__ inline float hyperbolic_tangent(float x) {
    const float a = fabsf(x), z = a * a;
    float curve = fmaf(-5.704987e-3f, z, 2.0639086e-2f);
    curve = fmaf(curve, z, -5.3739715e-2f);
    curve = fmaf(curve, z, 0.13331442f);
    curve = fmaf(curve, z, -0.3333328f);
    const float near_zero = fmaf(z * curve, a, a);
    const float e = exponential(a * -2.0f);
    const float far = 1.0f - (e + e) / (1.0f + e);
    return copysignf(a < 0.625f ? near_zero : far, x);
}

__device__ inline float sigmoid(float x) {
    const float e = exponential(0.0f - fabsf(x));
    const float t = e / (1.0f + e), most = x < 0.0f ? e : 1.0f;
    return fmaf(0.0f - t, most, most);
}

// The normal distribution: the probability of a value below x, and exp(-x^2 / 2).
struct Normal {
    float below, density;
};

__device__ inline Normal normal(float x) {
    float a = fabsf(x);
    a = 14.5f < a ? 14.5f : a;
    const float split = a * 4097.0f, high = split - (split - a);
    const Reduced e = reduce(high * high * -0.5f, (a - high) * (a + high) * -0.5f);
    float numerator = fmaf(4.116311e-3f, a, 4.0633235e-2f);
    numerator = fmaf(numerator, a, 0.18323515f);
    numerator = fmaf(numerator, a, 0.43829495f);
    numerator = fmaf(numerator, a, 0.5f);
    float denominator = fmaf(1.0317941e-2f, a, 0.10185886f);
    denominator = fmaf(denominator, a, 0.46947068f);
    denominator = fmaf(denominator, a, 1.2025032f);
    denominator = fmaf(denominator, a, 1.674475f);
    denominator = fmaf(denominator, a, 1.0f);
    const float density = 1.0f + (e.r + e.curve);
    const float tail = scale(numerator / denominator * density, e.n);
    return {x < 0.0f ? tail : 1.0f - tail, scale(density, e.n)};
}

// 2 u of the approximate GELU.
__device__ inline float twice_u(float x) { return 2.0f * GELU_SCALE * fmaf(x * x * x, GELU_CUBIC, x); }

// activation(x). NaN stays NaN.
__device__ inline float activate(unsigned function, float argument, float x) {
    switch (function) {
        // Not fmaxf, which would turn NaN into 0 and hide it.
        case RELU: return x < 0.0f ? 0.0f : x;
        case LEAKY_RELU: return x < 0.0f ? x * argument : x;
        case ELU: return x < 0.0f ? argument * exponential_minus_1(x) : x;
        case SELU: return x < 0.0f ? SELU_SCALE_ALPHA * exponential_minus_1(x) : SELU_SCALE * x;
        case TANH: return hyperbolic_tangent(x);
        case SIGMOID: return sigmoid(x);
        case SOFTPLUS: return (x < 0.0f ? 0.0f : x) + logarithm_of_1_plus(exponential(0.0f - fabsf(x)));
        case SILU: return x * sigmoid(x);
        case GELU: return x * normal(x).below;
        case GELU_APPROXIMATE: return x * sigmoid(twice_u(x));
        default: return x;
    }
}

// dy activation', from the value of the forward pass that the function keeps: x for silu and gelu, y for the others.
__device__ inline float activation_gradient(unsigned function, float argument, float at, float dy) {
    switch (function) {
        case RELU: return at > 0.0f ? dy : 0.0f;
        case LEAKY_RELU: return at > 0.0f ? dy : dy * argument;
        case ELU: return at > 0.0f ? dy : dy * (at + argument);
        case SELU: return at < 0.0f ? dy * (at + SELU_SCALE_ALPHA) : dy * SELU_SCALE;
        case TANH: return dy * (1.0f - at * at);
        case SIGMOID: return dy * (at * (1.0f - at));
        case SOFTPLUS: return dy * (0.0f - exponential_minus_1(0.0f - at));
        case SILU: {
            const float s = sigmoid(at);
            return dy * (s * fmaf(at, 1.0f - s, 1.0f));
        }
        case GELU: {
            const Normal n = normal(at);
            return dy * fmaf(at, n.density * (0.5f * GELU_SCALE), n.below);
        }
        case GELU_APPROXIMATE: {
            const float s = sigmoid(twice_u(at));
            const float slope = 2.0f * GELU_SCALE * fmaf(at * at, 3.0f * GELU_CUBIC, 1.0f);
            return dy * fmaf(at * (s * (1.0f - s)), slope, s);
        }
        default: return dy;
    }
}
