// SPDX-License-Identifier: Apache-2.0
// What the program does on a terminal: errors, remarks, the progress line, colours, signals and the time limit. Not
// part of the library.
#ifndef FP_TERMINAL_H
#define FP_TERMINAL_H

#include "options.h"

struct terminal {
    bool quiet, color, stdout_color;
    bool line, plain; // progress is one line that is drawn over, or a line now and then
    int columns;
    double started, timeout;
    const char *stage; // of the progress now on display
    double stage_started, drawn;
    size_t stage_first, stage_done; // done when the stage came up, and last
    bool drawn_any;                 // a line is on display and must be wiped before other text
};

// options may be half filled, as after a usage error.
void terminal_init(struct terminal *terminal, const struct cli_options *options);
// Catches SIGINT, SIGTERM and SIGHUP: the first asks the running call to stop, the second cleans up and ends the
// process.
void terminal_catch_signals(void);
// A fineprune_progress; `user` is the terminal. Non-zero when a signal came or the time is up.
// A thread that looks after the limits where no call is asked: it ends the process, temporary files first, 2 s after a
// signal, 0.7 s after the time is up, or when the process has more memory of its own than `memory` bytes and SLACK; 0:
// than half of what the machine has free now.
void terminal_watch(struct terminal *terminal, size_t memory);
// Between true and false the watch waits (2 s at most): files are put in place.
void terminal_shield(bool on);
int terminal_progress(void *user, const char *stage, size_t done, size_t total);
// FINEPRUNE_CANCELLED with a message when it is time to stop, for use between two calls.
int terminal_stopped(struct terminal *terminal, fineprune_error *err);
// Text for people, to standard error, unless -q. The word before the first blanks of each line is set off where colours
// are on; on a terminal lines are broken at its width.
void terminal_say(struct terminal *terminal, const char *text);
// The same lines to standard output, -q or not, among tables, which stay as they are.
void terminal_print_lines(struct terminal *terminal, const char *text);
// A table to standard output; fit: where that is a terminal, lines are cut to its width and the heading is bold.
void terminal_print_table(struct terminal *terminal, const char *text, bool fit);
// "fineprune: error: ..." and its hint.
void terminal_error(struct terminal *terminal, const fineprune_error *err);
// The program's exit code for a status: the number itself, 128 + signal, or LIMIT when the time was up.
int terminal_exit_code(int status);
void terminal_wipe(struct terminal *terminal);
double terminal_clock(void);

#endif
