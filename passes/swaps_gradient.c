#include "job.h"
const struct fp_swaps fp_swaps_gradient = {"gradient", "x", 0, NULL};
