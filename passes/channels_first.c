#include "job.h"
const struct fp_channels fp_channels_first = {"first", "x", 0, NULL};
