// SPDX-License-Identifier: Apache-2.0
// Activations by name.
#include "ops/activation.h"

#include <math.h>
#include <string.h>

#include "ops/loops.h"
#include "ops/vmath.h"

#define ACTIVATION(name, expression)                                                                                   \
    FP_VECTOR static void name(float *x, size_t n, float a, float b) {                                                 \
        (void)a, (void)b;                                                                                              \
        for (size_t i = 0; i < n; i++) {                                                                               \
            float v = x[i];                                                                                            \
            x[i] = expression;                                                                                         \
        }                                                                                                              \
    }
ACTIVATION(relu, v > 0 ? v : 0)
ACTIVATION(hyperbolic, fp_tanh(v))
ACTIVATION(sigmoid, fp_sigmoid(v))
ACTIVATION(affine, a *v + b)
ACTIVATION(leaky_relu, v >= 0 ? v : a * v)
ACTIVATION(thresholded_relu, v > a ? v : 0)
ACTIVATION(scaled_tanh, a *fp_tanh(b *v))
ACTIVATION(hard_sigmoid, fminf(fmaxf(a *v + b, 0), 1))
ACTIVATION(elu, v >= 0 ? v : a * (fp_exp(v) - 1))
ACTIVATION(selu, b *(v > 0 ? v : a * (fp_exp(v) - 1)))
ACTIVATION(softsign, v / (1 + fabsf(v)))
ACTIVATION(softplus, fp_softplus(v))
#undef ACTIVATION

static const struct fp_activation ACTIVATIONS[] = {
    {"Relu", relu, false, false, 0, 0},
    {"Tanh", hyperbolic, false, false, 0, 0},
    {"Sigmoid", sigmoid, false, false, 0, 0},
    {"Affine", affine, true, true, 1, 0},
    {"LeakyRelu", leaky_relu, true, false, 0.01f, 0},
    {"ThresholdedRelu", thresholded_relu, true, false, 1, 0},
    {"ScaledTanh", scaled_tanh, true, true, 1, 1},
    {"HardSigmoid", hard_sigmoid, true, true, 0.2f, 0.5f},
    {"Elu", elu, true, false, 1, 0},
    {"Selu", selu, true, true, 1.67326319217681884765625f, 1.05070102214813232421875f},
    {"Softsign", softsign, false, false, 0, 0},
    {"Softplus", softplus, false, false, 0, 0},
};

bool fp_same_word(const char *a, const char *b) {
    for (; *a && (*a | 32) == (*b | 32); a++) b++;
    return *a == *b;
}

const struct fp_activation *fp_activation_find(const char *name) {
    for (size_t i = 0; i < FP_COUNT(ACTIVATIONS); i++)
        if (fp_same_word(ACTIVATIONS[i].name, name)) return &ACTIVATIONS[i];
    return NULL;
}
