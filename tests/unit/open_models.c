// SPDX-License-Identifier: Apache-2.0
// Opens each model that is named and prints its status and message, for tests/hostile: one process for many models.
#include <stdio.h>

#include "fineprune/fineprune.h"

int main(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        fineprune_error err = {0};
        fineprune_model *model = NULL;
        int status = fineprune_model_open(&model, argv[i], NULL, &err);
        printf("%d\t%s\n", status, err.message);
        fflush(stdout);
        fineprune_model_free(model);
    }
    return 0;
}
