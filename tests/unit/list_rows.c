// SPDX-License-Identifier: Apache-2.0
// Prints what every operator's row says of inputs, outputs and attributes, for tests/signatures.py.
#include <stdio.h>

#include "exec/op_list.h"

int main(void) {
    const struct fp_op *op;
    for (size_t i = 0; (op = fp_op_at(i)); i++)
        printf("%s\t%s\t%d\t%s\t%s\n", op->domain, op->type, op->since, fp_or_empty(op->arity),
               fp_or_empty(op->attributes));
    return 0;
}
