// SPDX-License-Identifier: Apache-2.0
// The version, and those of the libraries beneath.
#include <dnnl.h>
#include <protobuf-c/protobuf-c.h>
#include <stdio.h>

#include "base/base.h"

#ifndef FP_VERSION
#define FP_VERSION "0.0.0"
#endif

const char *fineprune_version(void) { return FP_VERSION; }

const char *fineprune_version_long(void) {
    static _Thread_local char text[160];
    const dnnl_version_t *dnnl = dnnl_version();
    snprintf(text, sizeof(text), "fineprune %s (oneDNN %d.%d.%d, protobuf-c %s)", FP_VERSION, dnnl->major, dnnl->minor,
             dnnl->patch, protobuf_c_version());
    return text;
}
