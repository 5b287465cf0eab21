// SPDX-License-Identifier: Apache-2.0
// The commands and the options of the program, once: what is not in these two tables does not exist.
#include "option_table.h"

#include <stddef.h>

const struct cli_command cli_commands[] = {
    {.name = "prune",
     .operands = "MODEL",
     .synopsis = "MODEL --data SRC -o OUT",
     .min_operands = 1,
     .max_operands = 1,
     .needs_output = true,
     .summary = "prune a model with your own data",
     .description =
         "Runs MODEL over the samples of SRC, finds the weights and outputs that these samples do not need, sets "
         "them to zero, repairs what is left and writes an ordinary ONNX file. No labels are needed and nothing "
         "leaves this computer.",
     .example = "fineprune prune model.onnx --data recordings.npz -s 70% -o pruned.onnx"},
    {.name = "score",
     .operands = "MODEL",
     .synopsis = "MODEL --data SRC -o STATS",
     .min_operands = 1,
     .max_operands = 1,
     .needs_output = true,
     .summary = "gather the statistics only; statistics of several runs can be merged",
     .description =
         "Runs MODEL over the samples of SRC and writes what pruning needs to know about them to the file STATS, for "
         "'merge' and 'apply'. STATS holds features and answers of single samples, and of a network of one layer the "
         "samples themselves: it is as private as they are, and readable by you alone.",
     .example = "fineprune score model.onnx --data monday.npz -o monday.stats"},
    {.name = "merge",
     .operands = "STATS...",
     .synopsis = "STATS... -o STATS",
     .min_operands = 1,
     .max_operands = -1,
     .needs_output = true,
     .summary = "add the statistics of disjoint data",
     .description =
         "Adds statistics of the same model that were gathered from different samples, on several days or several "
         "machines.",
     .example = "fineprune merge monday.stats tuesday.stats -o week.stats"},
    {.name = "apply",
     .operands = "MODEL",
     .synopsis = "MODEL --stats STATS -o OUT",
     .min_operands = 1,
     .max_operands = 1,
     .needs_output = true,
     .summary = "prune again, at another sparsity, without running the data again",
     .description = "Prunes MODEL from the statistics that 'score' or 'merge' wrote: in one round, and without "
                    "measuring what came of it.",
     .example = "fineprune apply model.onnx --stats week.stats -s 80% -o pruned80.onnx"},
    {.name = "compact",
     .operands = "MODEL",
     .synopsis = "MODEL -o OUT",
     .min_operands = 1,
     .max_operands = 1,
     .needs_output = true,
     .summary = "take channels that are all zero out of the model: smaller and faster, same outputs",
     .description =
         "Hidden channels that nothing reads any more leave the tensors of MODEL, whoever pruned them. The outputs are "
         "as before; every runtime is faster.",
     .example = "fineprune compact pruned.onnx -o small.onnx"},
    {.name = "run",
     .operands = "MODEL",
     .synopsis = "MODEL --data SRC -o OUT.npz",
     .min_operands = 1,
     .max_operands = 1,
     .needs_output = true,
     .summary = "run the model and keep its outputs",
     .description =
         "Runs MODEL over the samples of SRC and writes an .npz of its outputs, keyed by output name, axis 0 the "
         "samples.",
     .example = "fineprune run model.onnx --data recordings.npz -o answers.npz"},
    {.name = "compare",
     .operands = "A B",
     .synopsis = "A B --data SRC",
     .min_operands = 2,
     .max_operands = 2,
     .summary = "measure how far two models differ on your data",
     .description =
         "Runs both models over the samples of SRC and tells how far the outputs of B drift from those of A; with "
         "--labels also how often each is right.",
     .example = "fineprune compare model.onnx pruned.onnx --data test.npz --labels test_labels.npy"},
    {.name = "inspect",
     .operands = "MODEL",
     .synopsis = "MODEL",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "list inputs, outputs, operators, weights and their sparsity",
     .description =
         "Lists what is in MODEL: inputs, outputs, operators, and every weight with its sparsity and the pattern of "
         "its zeros, or the reason why it stays dense, with its multiply-adds where the inputs have fixed sizes; and "
         "what compact would leave. No data are needed.",
     .example = "fineprune inspect model.onnx"},
    {.name = "check",
     .operands = "MODEL",
     .synopsis = "MODEL [--data SRC]",
     .min_operands = 1,
     .max_operands = 1,
     .summary = "tell whether a model can be run and pruned, naming every obstacle",
     .description =
         "Names every operator, type and shape of MODEL that cannot be run, and with --data also what does not fit "
         "between the data and the model, all at once.",
     .example = "fineprune check model.onnx --data recordings.npz"},
    {.name = "show",
     .operands = "MODEL",
     .synopsis = "MODEL --data SRC -o FOLDER",
     .min_operands = 1,
     .max_operands = 1,
     .needs_output = true,
     .summary = "write what the model really sees of your data, to look at or listen to",
     .description =
         "Writes each sample of SRC as MODEL gets it into FOLDER, which is new or empty: PNG of what is laid out as a "
         "picture, WAV of waves from sound files, text of all other numbers. Photos are brought back to 0..255 by the "
         "inverse of their preparation; other values go from the least as black to the greatest as white.",
     .example = "fineprune show model.onnx --data photos --limit 20 -o seen"},
    {.name = NULL}};

// A bit per command, in the order above.
enum {
    PRUNE = 1,
    SCORE = 2,
    MERGE = 4,
    APPLY = 8,
    COMPACT = 16,
    RUN = 32,
    COMPARE = 64,
    INSPECT = 128,
    CHECK = 256,
    SHOW = 512,
    ALL = 1023,
    SAMPLES = PRUNE | SCORE | RUN | COMPARE | CHECK | SHOW,
    WRITES = PRUNE | APPLY | COMPACT,
    REPORTS = PRUNE | APPLY | COMPACT | RUN | COMPARE | INSPECT | CHECK | SHOW
};

#define FIELD(member) .field = offsetof(struct cli_options, member)
#define DATA .group = "Data"
#define PRUNING .group = "Pruning"
#define OUTPUT .group = "Output"
#define REPORT .group = "Reports"
#define RUNNING .group = "Running"

const struct cli_row cli_rows[] = {
    {"data", 0, CLI_PATHS, SAMPLES, FIELD(data), DATA, .argument = "[NAME=]SRC",
     .help =
         "your samples; repeatable. A .npz (keys are input names, axis 0 the samples, or the axis that the model calls "
         "its batch), a .npy (models of one input), a "
         "folder of either, of images or of sound files, with all folders below it (class folders, years), of ONNX "
         "test_data_set_* folders, @list.txt, or - for a .npz on standard input; of files of any kind, where the "
         "model's preparation says that it reads bytes. "
         "random[:SEED] makes noise, for trying things out. NAME= says which input a source is for"},
    {"labels", 0, CLI_PATH, COMPARE, FIELD(labels), DATA, .argument = "FILE|folders",
     .help =
         "what the samples really are: adds the accuracy of both models, and among the five best of more classes. "
         "Labels are only measured against. A .npy has class indices; a .csv has lines file,label: the file by its "
         "path below --data or its name, the label a class index or name, with or without a heading. "
         "folders: the names of the folders right below --data, matched to the names of the classes beside the "
         "model (labels.txt, config.json, ...) or in its metadata; without such names as many as classes, in order"},
    {"batch", 0, CLI_COUNT, PRUNE | SCORE | RUN | COMPARE, FIELD(batch), DATA, .argument = "N",
     .help = "the most samples run at once (fewer where that is faster)"},
    {"limit", 0, CLI_COUNT, SAMPLES, FIELD(limit), DATA, .argument = "N",
     .help = "use N samples at most, spread evenly over all of them"},
    {"reserve", 0, CLI_SHARE_OR_AUTO, PRUNE, FIELD(reserve), DATA, .argument = "SHARE|auto", .initial = "auto",
     .help =
         "share of the samples that is kept back to measure the result; auto: a tenth, but 20 samples at least and a "
         "fifth "
         "at most"},
    {"on-bad-file", 0, CLI_CHOICE, SAMPLES, FIELD(on_bad_file), DATA, .argument = "stop|skip", .initial = "stop",
     .choices = "stop|skip",
     .help = "what becomes of a file in a folder or list that cannot be used, such as a photo that is cut short: stop "
             "names all of them; skip leaves them out, which the summary and the report count with their reasons"},
    {"shape", 0, CLI_TEXTS, SAMPLES, FIELD(shape), DATA, .argument = "NAME:DIMS",
     .help = "fixes the symbolic dims of an input, as in image:1,3,224,224; repeatable"},
    {"preprocess", 0, CLI_PATH, SAMPLES, FIELD(preprocess), DATA, .argument = "FILE",
     .help = "how images, sound and files are prepared: a preprocessor_config.json, a timm config.json, Magika's "
             "config.min.json, or one of ours; one "
             "beside the "
             "model is found by itself. The options below win over it"},
    {"resize", 0, CLI_TEXT, SAMPLES, FIELD(resize), DATA, .argument = "N|WxH",
     .help = "resize images: shorter side N, or to WxH"},
    {"crop", 0, CLI_TEXT, SAMPLES, FIELD(crop), DATA, .argument = "N|none", .help = "then cut out the centre"},
    {"mean", 0, CLI_TEXT, SAMPLES, FIELD(mean), DATA, .argument = "R,G,B",
     .help = "subtracted from pixels scaled to 0..1"},
    {"std", 0, CLI_TEXT, SAMPLES, FIELD(std), DATA, .argument = "R,G,B", .help = "then divided by"},
    {"layout", 0, CLI_TEXT, SAMPLES, FIELD(layout), DATA, .argument = "nchw|nhwc", .help = "order of the image axes"},
    {"resample", 0, CLI_TEXT, SAMPLES, FIELD(resample), DATA, .argument = "FILTER",
     .help = "how images are resized: nearest, bilinear, bicubic or lanczos"},
    {"bgr", 0, CLI_FLAG, SAMPLES, FIELD(bgr), DATA,
     .help = "the model takes blue first, as those of OpenCV and Caffe do"},
    {"exif", 0, CLI_FLAG, SAMPLES, FIELD(exif), DATA, .initial = "true",
     .help = "turn photos upright as their EXIF orientation says, but leave them as they are stored"},
    {"rate", 0, CLI_TEXT, SAMPLES, FIELD(rate), DATA, .argument = "HZ",
     .help = "resample sound to this rate, as in 16000"},
    {"window", 0, CLI_TEXT, SAMPLES, FIELD(window), DATA, .argument = "TIME",
     .help = "cut recordings into samples of this length, as in 1s, 500ms or 16000 (samples at the model's rate): as "
             "many as fit in whole, so that what is left at the end belongs to none; a shorter recording is one, "
             "filled up with silence"},
    {"hop", 0, CLI_TEXT, SAMPLES, FIELD(hop), DATA, .argument = "TIME",
     .help = "from where one window begins to where the next does (as long as a window when not given)"},

    {"stats", 0, CLI_PATH, APPLY, FIELD(stats), PRUNING, .argument = "STATS", .help = "what 'score' or 'merge' wrote"},
    {"sparsity", 's', CLI_SHARE_OR_AUTO, PRUNE | APPLY, FIELD(sparsity), PRUNING, .argument = "SHARE|auto",
     .initial = "70%",
     .help = "share of zeros over all prunable weights; auto: as many as keep --min-agreement (or 95%)"},
    {"strict-sparsity", 0, CLI_FLAG, PRUNE, FIELD(strict_sparsity), PRUNING,
     .help = "as many zeros as were asked, also where they cost more than is learned or the samples are too few; "
             "otherwise some are given back"},
    {"target", 0, CLI_TEXT, PRUNE | APPLY, FIELD(target), PRUNING, .argument = "macs=SHARE|...",
     .help =
         "take whole channels out until so much of the multiply-adds stays, as in macs=0.5 or macs=50%, the file has "
         "so many bytes, as in size=10M, or a sample takes so much of the time, as in latency=0.6, measured here in "
         "one thread; auto: as few multiply-adds as keep --min-agreement (or 95%). Instead of --sparsity, or with it: "
         "then other zeros come on top. "
         "Implies --compact, as only smaller shapes save any; kept channels are multiples of --round. Exit code 5 "
         "where not enough channels can go, with those that stand in the way"},
    {"runtime-profile", 0, CLI_NAME, PRUNE | APPLY, FIELD(runtime_profile), PRUNING, .argument = "NAME",
     .choices = "runtime",
     .help = "where the result is to run: sets --pattern, --channels and --round to what that runtime rewards (and "
             "--compact where only smaller shapes do), as far as they are not given; the report says weight by weight "
             "what becomes faster, smaller or neither"},
    {"method", 0, CLI_NAME, PRUNE | APPLY, FIELD(method), PRUNING, .argument = "NAME", .choices = "method",
     .help =
         "a named set of the choices below; --list describes all names, and the parameters that most have: they are "
         "set behind the name, as in --score obs:ridge=0.1,prior=20"},
    {"score", 0, CLI_NAME, PRUNE | APPLY, FIELD(score), PRUNING, .argument = "NAME", .choices = "score",
     .help = "what a weight is worth"},
    {"allocation", 0, CLI_NAME, PRUNE | APPLY, FIELD(allocation), PRUNING, .argument = "NAME", .choices = "allocation",
     .help = "how the zeros are shared out among the weights"},
    {"pattern", 0, CLI_NAME, PRUNE | APPLY, FIELD(pattern), PRUNING, .argument = "NAME", .choices = "pattern",
     .help = "where zeros may lie"},
    {"repair", 0, CLI_NAME, PRUNE | APPLY, FIELD(repair), PRUNING, .argument = "NAME", .choices = "repair",
     .help = "how what remains makes up for what left"},
    {"channels", 0, CLI_NAME, PRUNE | APPLY, FIELD(channels), PRUNING, .argument = "NAME", .choices = "channels",
     .help = "whether whole channels go before single weights"},
    {"swaps", 0, CLI_NAME, PRUNE | APPLY, FIELD(swaps), PRUNING, .argument = "NAME", .choices = "swaps",
     .help = "whether kept and pruned weights change places where that lowers the error"},
    {"refit", 0, CLI_NAME, PRUNE, FIELD(refit), PRUNING, .argument = "NAME", .choices = "refit",
     .help = "whether each layer learns from what the pruned layers before it give"},
    {"outputs", 0, CLI_NAME, PRUNE | APPLY, FIELD(outputs), PRUNING, .argument = "NAME", .choices = "outputs",
     .help = "whether classes that your data never show are pruned too"},
    {"shrink-outputs", 0, CLI_FLAG, PRUNE | APPLY, FIELD(shrink_outputs), PRUNING,
     .help =
         "classes that --outputs prune removes leave the output, too: it has a column for each that stays, in their "
         "order, which metadata and report name. Exit code 5 where none is removed or the output cannot change"},
    {"readout", 0, CLI_NAME, PRUNE | APPLY, FIELD(readout), PRUNING, .argument = "NAME", .choices = "readout",
     .help = "whether the last layer learns from your data"},
    {"task", 0, CLI_CHOICE, PRUNE | APPLY | COMPARE, FIELD(task), PRUNING, .argument = "auto|classes|labels|other",
     .initial = "auto", .choices = "auto|classes|labels|other",
     .help = "what the outputs are. Only classes, one right for each sample, can be left out or learned, and are "
             "compared as answers; labels: several at "
             "once; other: values, boxes, embeddings. auto judges by evidence, which the report names, and learns "
             "nothing in doubt"},
    {"rounds", 0, CLI_COUNT, PRUNE, FIELD(rounds), PRUNING, .argument = "N",
     .help = "prune in N steps (when not given, the method's number for that sparsity)"},
    {"include", 0, CLI_TEXTS, PRUNE | APPLY, FIELD(include), PRUNING, .argument = "GLOB",
     .help = "prune only weights whose name matches; repeatable"},
    {"exclude", 0, CLI_TEXTS, PRUNE | APPLY, FIELD(exclude), PRUNING, .argument = "GLOB",
     .help = "leave weights whose name matches dense; repeatable"},
    {"keep-first", 0, CLI_FLAG, PRUNE | APPLY, FIELD(keep_first), PRUNING, .help = "leave the first weight dense"},
    {"keep-last", 0, CLI_FLAG, PRUNE | APPLY, FIELD(keep_last), PRUNING, .help = "leave the last weight dense"},
    {"min-agreement", 0, CLI_SHARE, PRUNE, FIELD(min_agreement), PRUNING, .argument = "SHARE",
     .help =
         "a gate: the share of answers, on the samples kept to measure with, that must stay as the model that came in "
         "gives them; exit code 5 when it is missed"},
    {"min-taught-agreement", 0, CLI_SHARE, PRUNE, FIELD(min_taught_agreement), PRUNING, .argument = "SHARE",
     .help =
         "another: the share that must stay as the dense model gives them once its last layer has learned the same: "
         "what the zeros alone change"},
    {"on-fail", 0, CLI_CHOICE, PRUNE, FIELD(on_fail), PRUNING, .argument = "keep|discard", .initial = "discard",
     .choices = "keep|discard", .help = "what becomes of a result that misses a gate"},

    {"output", 'o', CLI_PATH, PRUNE | SCORE | MERGE | APPLY | COMPACT | RUN | SHOW, FIELD(output), OUTPUT,
     .argument = "FILE|-",
     .help = "where the result goes; - is standard output. It appears whole or not at all. Of 'show' a folder"},
    {"force", 'f', CLI_FLAG, ALL, FIELD(force), OUTPUT, .help = "overwrite files that exist (never the input)"},
    {"external-data", 0, CLI_CHOICE, WRITES, FIELD(external_data), OUTPUT, .argument = "auto|always|never",
     .initial = "auto", .choices = "auto|always|never", .help = "put large tensors in a file beside the model"},
    {"sparse-initializers", 0, CLI_FLAG, WRITES, FIELD(sparse_initializers), OUTPUT,
     .help = "write tensors as sparse_initializer where that takes fewer bytes: float32 from some 67% zeros on. ONNX "
             "Runtime reads them; OpenVINO, TensorRT, "
             "XNNPACK, Core ML and many others do not"},
    {"metadata", 0, CLI_FLAG, PRUNE | APPLY, FIELD(metadata), OUTPUT, .initial = "true",
     .help = "note in the model's metadata_props how it was pruned"},
    {"compact", 0, CLI_FLAG, PRUNE | APPLY, FIELD(compact), OUTPUT,
     .help = "take channels that are all zero out of the shapes, as 'compact' does: every runtime is faster"},
    {"round", 0, CLI_COUNT, WRITES, FIELD(round), OUTPUT, .argument = "N",
     .help = "of compact: where channels leave, the number of those that stay is a multiple of N (16 when not given)"},
    {"dry-run", 0, CLI_FLAG, WRITES, FIELD(dry_run), OUTPUT, .help = "do everything but write the model"},

    {"layers", 0, CLI_FLAG, COMPARE, FIELD(layers), REPORT,
     .help = "how far what each layer of B gives is from A's, by the same name or at the same weight, in the order of "
             "the graph: the layers where it goes off first are named"},
    {"json", 0, CLI_MAYBE, REPORTS, FIELD(json), REPORT, .argument = "FILE|-", .choices = "-",
     .help = "the report as JSON, to standard output or FILE"},
    {"report", 0, CLI_PATH, REPORTS, FIELD(report), REPORT, .argument = "FILE.html",
     .help = "the report as one page that stands alone"},
    {"masks", 0, CLI_PATH, PRUNE | APPLY, FIELD(masks), REPORT, .argument = "FILE.npz",
     .help = "which elements were kept: a bool array per weight"},
    {"table", 0, CLI_CHOICE, PRUNE | APPLY | INSPECT, FIELD(table), REPORT, .argument = "auto|plain|none",
     .choices = "auto|plain|none", .first = CLI_TABLE_AUTO,
     .help = "one row per weight on standard output: auto fits a terminal, plain is never cut or coloured; 'inspect' "
             "shows it "
             "without being asked"},

    {"threads", 'j', CLI_COUNT, ALL, FIELD(threads), RUNNING, .argument = "N",
     .help = "use N threads (all cores when not given); the result is the same with any number"},
    {"max-memory", 0, CLI_SIZE, ALL, FIELD(max_memory), RUNNING, .argument = "SIZE",
     .help = "hold at most so much, as in 4G; without it a run ends that takes over half of what is free"},
    {"timeout", 0, CLI_DURATION, ALL, FIELD(timeout), RUNNING, .argument = "TIME",
     .help = "give up after so long, as in 90s, 10m or 2h; at the latest a second later"},
    {"isa", 0, CLI_CHOICE, ALL, FIELD(isa), RUNNING, .argument = "sse4|avx|avx2|avx512",
     .choices = "sse4|avx|avx2|avx512", .first = 1,
     .help = "use no newer instructions of x86-64 processors than these, so that machines whose newest differ write "
             "the same bytes; avx2 is what most have"},
    {"config", 0, CLI_PATH, ALL, FIELD(config), RUNNING, .argument = "FILE",
     .help =
         "a JSON object of option names and values; the command line wins. Options of other commands are passed over"},
    {"print-config", 0, CLI_SWITCH, ALL, FIELD(print_config), RUNNING,
     .help = "print such an object with the options as they are, and stop"},
    {"verbose", 'v', CLI_FLAG, ALL, FIELD(verbose), RUNNING,
     .help = "progress as plain lines where there is no terminal"},
    {"quiet", 'q', CLI_FLAG, ALL, FIELD(quiet), RUNNING, .help = "say nothing but errors"},
    {"progress", 0, CLI_CHOICE, ALL, FIELD(progress), RUNNING, .argument = "auto|always|never", .initial = "auto",
     .choices = "auto|always|never", .help = "the progress line on standard error"},
    {"color", 0, CLI_CHOICE, ALL, FIELD(color), RUNNING, .argument = "auto|always|never", .initial = "auto",
     .choices = "auto|always|never", .help = "colours; auto: on a terminal, unless NO_COLOR is set"},
    {"list", 0, CLI_MAYBE, 0, FIELD(list), RUNNING, .argument = "KIND", .choices = "",
     .help = "list the methods and everything else that can be named, and the operators"},
    {"schema", 0, CLI_SWITCH, 0, FIELD(schema), RUNNING, .help = "what --json writes, as JSON Schema"},
    {"version", 0, CLI_SWITCH, 0, FIELD(version), RUNNING, .help = "versions of the program and its libraries"},
    {"help", 'h', CLI_SWITCH, 0, FIELD(help), RUNNING, .help = "this text"},
    {"help-man", 0, CLI_SWITCH, 0, FIELD(help_man), .help = "the manual page, as troff"},
    {"completion", 0, CLI_TEXT, 0, FIELD(completion), .argument = "bash|zsh|fish", .help = "completions for a shell"},
    {.name = NULL}};
