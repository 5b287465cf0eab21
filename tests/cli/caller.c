// SPDX-License-Identifier: Apache-2.0
// A host of the library with settings of its own: prunes one or two models, at the same time, each on a thread of its
// own.
//
//     caller THREADS MODEL DATA OUT [MODEL DATA OUT]
//
// Fails when a prune does, or when the host's settings are not what they were.
#include <cblas.h>
#include <fineprune/fineprune.h>
#include <locale.h>
#include <omp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { OMP = 3, BLAS = 2 }; // what the host wants of the runtimes

struct prune {
    int threads, status;
    char **paths; // model, data, out
    fineprune_error err;
};

static int write_pruned(fineprune_model *model, struct prune *p) {
    fineprune_data *data = NULL;
    fineprune_prune_options options = FINEPRUNE_PRUNE_OPTIONS_INIT;
    options.sparsity = 0.7;
    const char *page = getenv("CALLER_PAGE"); // where the report goes; the model then says how it was pruned, too
    fineprune_report *report = NULL;
    options.no_metadata = !page;
    options.run.threads = p->threads;
    int status = fineprune_data_open(&data, model, NULL, &p->err);
    if (!status) status = fineprune_data_add(data, p->paths[1], &p->err);
    if (!status) status = fineprune_prune(model, data, &options, &report, &p->err);
    fineprune_save_options save = FINEPRUNE_SAVE_OPTIONS_INIT;
    save.force = true;
    if (!status) status = fineprune_model_save(model, p->paths[2], &save, &p->err);
    if (!status && page) {
        char *text = fineprune_report_html(report);
        status = fineprune_text_save(page, text, true, NULL, &p->err);
        free(text);
    }
    fineprune_report_free(report);
    fineprune_data_free(data);
    return status;
}

static void *prune(void *which) {
    struct prune *p = which;
    fineprune_model *model = NULL;
    omp_set_num_threads(OMP);
    omp_set_dynamic(1);
    p->status = fineprune_model_open(&model, p->paths[0], NULL, &p->err);
    if (!p->status) p->status = write_pruned(model, p);
    fineprune_model_free(model);
    if (p->status) fprintf(stderr, "caller: %s\n", p->err.message);
    if (omp_get_max_threads() == OMP && omp_get_dynamic()) return NULL;
    fprintf(stderr, "caller: OpenMP has %d threads, dynamic %d\n", omp_get_max_threads(), omp_get_dynamic());
    p->status = FINEPRUNE_INTERNAL;
    return NULL;
}

int main(int argc, char **argv) {
    int n = (argc - 2) / 3;
    if ((n != 1 && n != 2) || argc != 2 + 3 * n) return FINEPRUNE_USAGE;
    setlocale(LC_ALL, "");
    openblas_set_num_threads(BLAS);
    struct prune prunes[2] = {{.threads = atoi(argv[1]), .paths = argv + 2},
                              {.threads = atoi(argv[1]), .paths = argv + 5}};
    pthread_t threads[2];
    for (int i = 0; i < n; i++)
        if (pthread_create(&threads[i], NULL, prune, &prunes[i])) abort();
    for (int i = 0; i < n; i++) pthread_join(threads[i], NULL);
    int blas = openblas_get_num_threads();
    if (blas == BLAS) return prunes[0].status ? prunes[0].status : prunes[1].status;
    fprintf(stderr, "caller: OpenBLAS has %d threads\n", blas);
    return FINEPRUNE_INTERNAL;
}
