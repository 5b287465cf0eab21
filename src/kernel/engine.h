// SPDX-License-Identifier: Apache-2.0
// oneDNN's engine: one for all that compute at the same time, on any thread.
#ifndef FP_ENGINE_H
#define FP_ENGINE_H

#include <dnnl.h>

// The engine, made for the first who takes it; NULL when oneDNN cannot be started. It lasts until everybody who took
// it has dropped it, each once.
dnnl_engine_t fp_engine_take(void);
void fp_engine_drop(dnnl_engine_t engine); // accepts NULL

#endif
