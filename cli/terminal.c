// SPDX-License-Identifier: Apache-2.0
// The side of the program that faces a person: messages, progress, signals.
#include "terminal.h"

#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define REDRAW_SECONDS 0.1
#define PLAIN_SECONDS 2.0

// A signal handler can reach nothing else.
static volatile sig_atomic_t caught;

static void on_signal(int number) {
    if (caught) {
        fineprune_emergency();
        _exit(128 + number);
    }
    caught = number;
}

// A file that is mapped has become shorter.
static void on_bus(int number) {
    static const char text[] = "fineprune: error: a file became shorter while it was read\n";
    (void)number;
    (void)!write(STDERR_FILENO, text, sizeof(text) - 1);
    fineprune_emergency();
    _exit(FINEPRUNE_IO);
}

// The reader of our output has gone: leave as any filter does, but leave no temporary file.
static void on_pipe(int number) {
    fineprune_emergency();
    signal(number, SIG_DFL);
    raise(number);
}

void terminal_catch_signals(void) {
    signal(SIGXFSZ, SIG_IGN); // a file that may not grow is an error of writing
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    struct sigaction action = {.sa_handler = on_signal}, old;
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN) sigaction(numbers[i], &action, NULL);
    action.sa_handler = on_bus;
    sigaction(SIGBUS, &action, NULL);
    action.sa_handler = on_pipe;
    action.sa_flags = SA_NODEFER;
    if (sigaction(SIGPIPE, NULL, &old) == 0 && old.sa_handler != SIG_IGN) sigaction(SIGPIPE, &action, NULL);
}

double terminal_clock(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static bool is_capable(int fd) {
    const char *name = getenv("TERM");
    return isatty(fd) && name && *name && strcmp(name, "dumb");
}

static bool wants_color(int when, int fd) {
    const char *no = getenv("NO_COLOR");
    if (when != CLI_AUTO) return when == CLI_ALWAYS;
    return is_capable(fd) && !(no && *no);
}

void terminal_init(struct terminal *terminal, const struct cli_options *options) {
    struct winsize size;
    *terminal = (struct terminal){
        .quiet = options->quiet, .started = terminal_clock(), .timeout = options->timeout, .columns = 80};
    terminal->color = wants_color(options->color, STDERR_FILENO);
    terminal->stdout_color = wants_color(options->color, STDOUT_FILENO);
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) terminal->columns = size.ws_col;
    if (options->quiet || options->progress == CLI_NEVER) return;
    terminal->line = options->progress == CLI_ALWAYS || is_capable(STDERR_FILENO);
    terminal->plain = !terminal->line && options->verbose;
}

// ---- stopping

static bool is_late(const struct terminal *terminal) {
    return terminal->timeout > 0 && terminal_clock() - terminal->started > terminal->timeout;
}

int terminal_stopped(struct terminal *terminal, fineprune_error *err) {
    if (!caught && !is_late(terminal)) return FINEPRUNE_OK;
    terminal_wipe(terminal);
    if (caught) {
        const char *name = "SIGHUP";
        if (caught == SIGINT) name = "SIGINT";
        if (caught == SIGTERM) name = "SIGTERM";
        return cli_fail(err, FINEPRUNE_CANCELLED, NULL, "stopped by %s", name);
    }
    return cli_fail(err, FINEPRUNE_CANCELLED, "raise --timeout, or use fewer samples with --limit",
                    "not done after %g seconds", terminal->timeout);
}

int terminal_exit_code(int status) {
    if (status != FINEPRUNE_CANCELLED) return status;
    if (!caught) return FINEPRUNE_LIMIT;
    return 128 + caught;
}

// ---- the watch

#define LOOK_EVERY 50 // ms; each look takes the core from who computes
#define LOOK_CLOSE 5  // where less than NEAR bytes are left of the memory: pages are filled at some GB/s
#define NEAR ((size_t)256 << 20)
#define AFTER_SIGNAL 2.0         // s
#define AFTER_TIMEOUT 0.7        // s
#define SLACK ((size_t)32 << 20) // of code's data, stacks and what is not counted
#define SHIELDED 2.0             // s at most

static atomic_bool shielded;

void terminal_shield(bool on) { atomic_store(&shielded, on); }

static size_t number_in(const char *path, const char *key) {
    char line[200];
    size_t value = 0;
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof(line), file))
        if (!strncmp(line, key, strlen(key))) value = strtoull(line + strlen(key), NULL, 10) << 10;
    if (file) fclose(file);
    return value;
}

// Bytes of memory that are the process's own: pages of files come back by themselves.
static size_t own_memory(void) {
    char text[200];
    FILE *file = fopen("/proc/self/statm", "re");
    size_t size = 0, resident = 0, shared = 0;
    const bool read = file && fgets(text, sizeof(text), file) &&
                      sscanf(text, "%zu %zu %zu", &size, &resident, &shared) == 3;
    if (file) fclose(file);
    return read && resident > shared ? (resident - shared) * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

static void stop_now(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void stop_now(int code, const char *format, ...) {
    char text[300] = "fineprune: error: ";
    const size_t start = strlen(text);
    const double begin = terminal_clock();
    while (atomic_load(&shielded) && terminal_clock() - begin < SHIELDED) usleep(1000 * LOOK_CLOSE);
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(text + start, sizeof(text) - start, format, args);
    va_end(args);
    if (n > 0) (void)!write(STDERR_FILENO, text, strlen(text));
    fineprune_emergency();
    _exit(code);
}

static struct watch {
    double until; // 0: no end
    double timeout;
    size_t memory;
    bool asked;
} watched;

static void *keep_watch(void *user) {
    const struct watch *w = user;
    size_t own = 0;
    for (double signalled = 0;;) {
        usleep(1000 * (w->memory && own + NEAR > w->memory ? LOOK_CLOSE : LOOK_EVERY));
        const double now = terminal_clock();
        if (caught && signalled == 0) signalled = now;
        if (signalled > 0 && now - signalled > AFTER_SIGNAL)
            stop_now(128 + caught, "stopped by signal %d\n", (int)caught);
        if (w->until > 0 && now > w->until)
            stop_now(FINEPRUNE_LIMIT,
                     "not done after %g seconds\n  hint: raise --timeout, or use fewer samples with --limit\n",
                     w->timeout);
        if (w->memory) own = own_memory();
        if (own > w->memory)
            stop_now(FINEPRUNE_LIMIT,
                     "over %zu MB of memory were taken, which is %s\n"
                     "  hint: raise --max-memory, lower --batch, or use a machine with more memory\n",
                     w->memory / 1000000, w->asked ? "more than --max-memory allows" : "half of what was free");
    }
    return NULL;
}

void terminal_watch(struct terminal *terminal, size_t memory) {
    watched.timeout = terminal->timeout;
    if (terminal->timeout > 0) watched.until = terminal->started + terminal->timeout + AFTER_TIMEOUT;
    watched.asked = memory > 0;
    if (!memory) memory = number_in("/proc/meminfo", "MemAvailable:") / 2;
#ifndef __SANITIZE_ADDRESS__ // whose own memory is most of it
    if (memory) watched.memory = memory + SLACK;
#endif
    sigset_t all, before;
    pthread_t thread;
    sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before)) return;
    if (!pthread_create(&thread, NULL, keep_watch, &watched)) pthread_detach(thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

// ---- progress

void terminal_wipe(struct terminal *terminal) {
    if (!terminal->drawn_any) return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    terminal->drawn_any = false;
}

static void format_time(char *dst, size_t size, double seconds) {
    unsigned s = 0;
    if (seconds > 0 && seconds < 1e8) s = (unsigned)(seconds + 0.5);
    if (s >= 3600) snprintf(dst, size, "%u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
    else snprintf(dst, size, "%u:%02u", s / 60, s % 60);
}

static void format_progress(char *dst, size_t size, const struct terminal *terminal, size_t done, size_t total,
                            bool bar) {
    char rate[32] = "", left[48] = "", picture[32] = "", clock[32];
    double spent = terminal_clock() - terminal->stage_started, share = total ? (double)done / (double)total : 0;
    if (done > terminal->stage_first && spent > 0.05) {
        double per_second = (double)(done - terminal->stage_first) / spent;
        snprintf(rate, sizeof(rate), per_second < 10 ? "  %.1f/s" : "  %.0f/s", per_second);
        if (total > done) format_time(clock, sizeof(clock), (double)(total - done) / per_second);
        if (total > done) snprintf(left, sizeof(left), "  ETA %s", clock);
    }
    if (bar) {
        int full = (int)(share * 20 + 0.5);
        if (full > 20) full = 20;
        snprintf(picture, sizeof(picture), "  [%.*s%*s]", full, "####################", 20 - full, "");
    }
    snprintf(dst, size, "%-12s %zu/%zu%s %3.0f%%%s%s", terminal->stage, done, total, picture, 100 * share, rate, left);
}

static void show_progress(struct terminal *terminal, size_t done, size_t total) {
    char text[200];
    format_progress(text, sizeof(text), terminal, done, total, terminal->line && terminal->columns >= 70);
    terminal->drawn = terminal_clock();
    if (terminal->plain) {
        fprintf(stderr, "%s\n", text);
        return;
    }
    fprintf(stderr, "\r%.*s\033[K", terminal->columns > 1 ? terminal->columns - 1 : 1, text);
    fflush(stderr);
    terminal->drawn_any = true;
}

int terminal_progress(void *user, const char *stage, size_t done, size_t total) {
    struct terminal *terminal = user;
    if (total && (terminal->line || terminal->plain)) {
        double now = terminal_clock();
        bool fresh = !terminal->stage || done < terminal->stage_done || strcmp(terminal->stage, stage);
        terminal->stage_done = done;
        if (fresh) {
            terminal->stage = stage;
            terminal->stage_started = now;
            terminal->stage_first = done;
        }
        double pause = terminal->plain ? PLAIN_SECONDS : REDRAW_SECONDS;
        if (fresh || done == total || now - terminal->drawn >= pause) show_progress(terminal, done, total);
    }
    return caught || is_late(terminal);
}

// ---- messages

#define LABEL 9 // columns of the word that a line of a summary begins with, and of the blanks behind it

// Bytes that go on a character take no column.
static size_t columns_of(const char *text, size_t bytes) {
    size_t n = 0;
    for (size_t i = 0; i < bytes; i++) n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

// Columns of the terminal behind fd; 0: there is none.
static size_t width_of(int fd) {
    struct winsize size;
    if (!isatty(fd) || ioctl(fd, TIOCGWINSZ, &size) || size.ws_col <= 2 * LABEL) return 0;
    return size.ws_col;
}

// Whether a line of so many bytes is one of a summary: a word, blanks, text. Others are of tables.
static bool is_labelled(const char *line, size_t length) {
    const size_t word = strcspn(line, " \n");
    if (length <= LABEL || line[LABEL] == ' ' || line[LABEL - 1] != ' ') return false;
    return word + strspn(line + word, " ") == LABEL;
}

// A line, the first `bold` bytes set off, in as many as a width of columns needs (0: one), which begin below its text;
// a longer word stands alone.
static void print_line(FILE *file, const char *line, size_t length, size_t width, size_t bold) {
    size_t at = LABEL, i = width && is_labelled(line, length) ? LABEL : length;
    if (bold) fprintf(file, "\033[1m%.*s\033[0m", (int)bold, line);
    fprintf(file, "%.*s", (int)(i - bold), line + bold);
    while (i < length) {
        const size_t blanks = strspn(line + i, " ");
        size_t bytes = blanks + strcspn(line + i + blanks, " \n");
        if (i + bytes > length) bytes = length - i;
        const size_t columns = columns_of(line + i, bytes);
        const bool breaks = at > LABEL && at + columns > width;
        const size_t left_out = breaks ? blanks : 0;
        if (breaks) fprintf(file, "\n%*s", LABEL, "");
        fprintf(file, "%.*s", (int)(bytes - left_out), line + i + left_out);
        at = (breaks ? LABEL : at) + columns - left_out;
        i += bytes;
    }
    fputc('\n', file);
}

void terminal_print_lines(struct terminal *terminal, const char *text) {
    const size_t width = width_of(STDOUT_FILENO);
    terminal_wipe(terminal);
    while (*text) {
        const size_t length = strcspn(text, "\n");
        print_line(stdout, text, length, width, 0);
        text += length + (text[length] == '\n');
    }
}

void terminal_print_table(struct terminal *terminal, const char *text, bool fit) {
    struct winsize size;
    fit = fit && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 8;
    terminal_wipe(terminal);
    for (bool heading = true; *text; heading = false) {
        size_t length = strcspn(text, "\n"), shown = 0;
        for (size_t columns = 0; shown < length; shown++) { // bytes that go on a character take no column
            bool starts = ((unsigned char)text[shown] & 0xc0) != 0x80;
            if (starts && fit && columns == size.ws_col) break;
            columns += starts;
        }
        bool bold = heading && fit && terminal->stdout_color;
        printf(bold ? "\033[1m%.*s\033[0m\n" : "%.*s\n", (int)shown, text);
        text += length + (text[length] == '\n');
    }
}

void terminal_say(struct terminal *terminal, const char *text) {
    if (terminal->quiet) return;
    const size_t width = width_of(STDERR_FILENO);
    terminal_wipe(terminal);
    while (*text) {
        const size_t length = strcspn(text, "\n"), word = strcspn(text, " \n");
        print_line(stderr, text, length, width, terminal->color && word < length ? word : 0);
        text += length + (text[length] == '\n');
    }
}

void terminal_error(struct terminal *terminal, const fineprune_error *err) {
    terminal_wipe(terminal);
    const char *red = "", *dim = "", *off = "";
    if (terminal->color) red = "\033[1;31m", dim = "\033[36m", off = "\033[0m";
    fprintf(stderr, "fineprune: %serror:%s %s\n", red, off,
            err->message[0] ? err->message : "an error without a message");
    if (err->hint[0]) fprintf(stderr, "  %shint:%s %s\n", dim, off, err->hint);
}
