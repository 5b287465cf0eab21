// SPDX-License-Identifier: Apache-2.0
// Equal bytes on machines with other processors: the instructions that the libraries beneath may use.
#ifndef FP_ISA_H
#define FP_ISA_H

#include "fineprune/fineprune.h"

// Level 0 is none: nothing is done; others count the words of --isa from 1. Where the environment does not say it yet,
// starts the program again with one that does, and returns only if that fails. Errors: USAGE for a level that this
// processor lacks.
int isa_pin(int level, char **argv, fineprune_error *err);

#endif
