// SPDX-License-Identifier: Apache-2.0
// The facts on every row agree with each other, and what has no row has no facts.
#include "exec/op_list.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

#define CHECK(op, good)                                                                                                \
    do {                                                                                                               \
        if (!(good)) fail_msg("%s.%s since %d: %s", (op)->domain, (op)->type, (op)->since, #good);                     \
    } while (0)

static bool same_name(const struct fp_op *a, const struct fp_op *b) {
    return !strcmp(a->type, b->type) && !strcmp(a->domain, b->domain);
}

static void rows_are_whole(void **state) {
    (void)state;
    size_t n = 0;
    for (const struct fp_op *op; (op = fp_op_at(n)); n++) {
        CHECK(op, op->since >= 1);
        CHECK(op, op->prepare);
        CHECK(op, op->arity && strchr(op->arity, '>'));
        CHECK(op, fp_op_find(op->domain, op->type, op->since) == op); // no other of the same name and opset
        CHECK(op, !(op->flags & FP_OP_FIRST_DECIDES) || op->flags & FP_OP_ROUNDS);
        CHECK(op, !(op->flags & FP_OP_IMPURE) || !(op->role || op->passage || op->weight.slots));
    }
    assert_true(n > 200);
}

// Weights have a view or a reason why they are left alone, and are not the bias.
static void weights_have_views(void **state) {
    (void)state;
    bool views[FP_VIEW_EINSUM + 1] = {false};
    for (size_t i = 0; fp_op_at(i); i++) {
        const struct fp_op *op = fp_op_at(i);
        const struct fp_op_weight *w = &op->weight;
        const bool recurrent = fp_view_is_recurrent(w->view);
        views[w->view] = true;
        CHECK(op, w->slots == (w->slots & (FP_IN_0 | FP_IN_1 | FP_IN_2)));
        CHECK(op, !w->slots || (w->view == FP_VIEW_NONE) == (op->left != NULL));
        CHECK(op, w->slots || (w->view == FP_VIEW_NONE && !w->bias));
        CHECK(op, !(w->slots >> w->bias & 1) || !w->bias);
        CHECK(op, w->view == FP_VIEW_NONE || w->slots & FP_IN_1);
        CHECK(op, !recurrent || w->slots == (FP_IN_1 | FP_IN_2));
        CHECK(op, recurrent || w->view == FP_VIEW_NONE || !(w->slots & FP_IN_2));
        CHECK(op, (recurrent || w->view == FP_VIEW_EINSUM) ==
                      (op->weight_input != NULL)); // others show an operand as it is
        CHECK(op, !(op->flags & FP_OP_FUSES) || w->view);
        CHECK(op, w->view == FP_VIEW_NONE || !op->role);
    }
    for (int v = 0; v <= FP_VIEW_EINSUM; v++) assert_true(views[v]);
}

// What moves elements computes nothing, so narrow numbers are rounded before it.
static void moves_round(void **state) {
    (void)state;
    for (size_t i = 0; fp_op_at(i); i++) {
        const struct fp_op *op = fp_op_at(i);
        const bool moves = op->role != FP_ROLE_OTHER && op->role <= FP_ROLE_MOVES_LAST;
        CHECK(op, !moves || op->flags & FP_OP_ROUNDS);
        CHECK(op, !moves || !(op->flags & (FP_OP_FUSES | FP_OP_FUSES_FUNCTIONS)));
        CHECK(op, op->role != FP_ROLE_JOINS || op->flags & FP_OP_FIRST_DECIDES);
        CHECK(op, op->role <= FP_ROLE_PICKS);
    }
}

static void passages_fit_roles(void **state) {
    (void)state;
    for (size_t i = 0; fp_op_at(i); i++) {
        const struct fp_op *op = fp_op_at(i);
        CHECK(op, op->passage <= FP_PASSAGE_COUNTS);
        CHECK(op, (op->passage == FP_PASSAGE_APPENDS) == (op->role == FP_ROLE_JOINS));
        CHECK(op, (op->passage == FP_PASSAGE_TAKES) == (op->role == FP_ROLE_LOOKS_UP));
        CHECK(op, (op->passage != FP_PASSAGE_PARTS && op->passage != FP_PASSAGE_CUTS) || op->role == FP_ROLE_ARRANGES);
        CHECK(op, (op->passage == FP_PASSAGE_RESHAPES) == (op->role == FP_ROLE_RESHAPES));
        CHECK(op, op->passage != FP_PASSAGE_FLATTENS || op->role == FP_ROLE_SETS_AXES);
        CHECK(op, op->passage != FP_PASSAGE_TURNS || op->role == FP_ROLE_ARRANGES);
        CHECK(op, op->passage != FP_PASSAGE_FILTERS || op->weight.view == FP_VIEW_CONV ||
                      op->weight.view == FP_VIEW_CONV_TRANSPOSE);
        CHECK(op, op->passage != FP_PASSAGE_MULTIPLIES || op->weight.view == FP_VIEW_MATRIX);
        CHECK(op, op->passage == FP_PASSAGE_NONE || op->passage == FP_PASSAGE_FILTERS ||
                      op->passage == FP_PASSAGE_MULTIPLIES || !op->weight.slots);
        CHECK(op, op->role != FP_ROLE_IDENTITY || op->passage == FP_PASSAGE_KEEPS);
        CHECK(op, op->role != FP_ROLE_BENDS || op->passage == FP_PASSAGE_KEEPS);
        CHECK(op, (op->role != FP_ROLE_ADDS && op->role != FP_ROLE_SUBTRACTS) || op->passage == FP_PASSAGE_SUMS);
    }
}

// A new opset of an operator changes what it computes, not what it is.
static void opsets_agree(void **state) {
    (void)state;
    for (size_t i = 0; fp_op_at(i); i++)
        for (size_t k = 0; k < i; k++) {
            const struct fp_op *a = fp_op_at(i), *b = fp_op_at(k);
            if (!same_name(a, b)) continue;
            CHECK(a,
                  a->role == b->role && a->passage == b->passage && !memcmp(&a->weight, &b->weight, sizeof(a->weight)));
            CHECK(a, (a->flags & FP_OP_ROUNDS) == (b->flags & FP_OP_ROUNDS));
        }
}

static void no_row_no_facts(void **state) {
    (void)state;
    struct fp_graph body = {0};
    struct fp_node node = {.type = "Identity", .domain = "", .opset = 13};
    assert_int_equal(fp_node_role(&node), FP_ROLE_IDENTITY);
    node.function = &body; // a function of the model that has an operator's name
    assert_null(fp_node_op(&node));
    assert_int_equal(fp_node_role(&node), FP_ROLE_OTHER);
    node = (struct fp_node){.type = "Identity", .domain = "nobody's", .opset = 13};
    assert_null(fp_node_op(&node));
    assert_int_equal(fp_node_role(&node), FP_ROLE_OTHER);
    assert_int_equal(fp_node_role(NULL), FP_ROLE_OTHER);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_whole),     cmocka_unit_test(weights_have_views), cmocka_unit_test(moves_round),
        cmocka_unit_test(passages_fit_roles), cmocka_unit_test(opsets_agree),       cmocka_unit_test(no_row_no_facts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
