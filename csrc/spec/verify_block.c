/* Block verification (Sun et al., 2024), carried to trees leaves first (traversal verification,
 * Weng et al., 2025). Going down, the path to a node is worth r = min(r(parent) p / q, 1). Coming
 * back from a child that was not kept, p becomes the residual of r p - q, and r = S / (S + 1 - r)
 * with S its mass. When all children are gone the node itself is kept with probability r, and the
 * round ends with a draw from what p has become. On a chain these are Sun's h_i. */
#include "spec/verify_law.h"

static sd_status push(const sd_verification *v, int node, double r, int depth) {
    sd_frame *f = &v->scratch->frame[depth];
    f->r = r;
    f->n_seen = 0;
    return sd_law_open(v, node, &f->law);
}

static sd_status refuse(const sd_verification *v, sd_frame *f) {
    double mass;
    SD_TRY(sd_law_refuse(v, &f->law, f->n_seen, f->r, &mass));
    double rest = mass + 1 - f->r;
    f->r = rest > 0 ? mass / rest : 1;
    f->n_seen++;
    return SD_OK;
}

/* All of f's children are refused: is it kept itself? The root always is. */
static bool is_kept(const sd_verification *v, const sd_frame *f, int depth) {
    return depth == 0 || sd_verification_uniform(v, f->law.node, SD_FOR_ACCEPT) < f->r;
}

static void finish(const sd_verification *v, int depth) {
    for (int d = 1; d <= depth; d++)
        sd_verification_accept(v, v->scratch->frame[d].law.node);
    v->verdict->bonus = sd_law_draw(v, &v->scratch->frame[depth].law);
}

sd_status sd_verify_block(const sd_verification *v) {
    int depth = 0;
    SD_TRY(push(v, 0, 1, 0));
    for (;;) {
        sd_frame *f = &v->scratch->frame[depth];
        if (f->n_seen < sd_tree_n_children(v->tree, f->law.node)) {
            int child = sd_verification_child(v, f->law.node, f->n_seen);
            double q, p = sd_law_p(v, &f->law, v->tree->token[child]);
            SD_TRY(sd_law_q(v, &f->law, f->n_seen, &q));
            v->verdict->outcome[child] = SD_NODE_REJECTED; /* unless finish says otherwise */
            if (!(q > 0)) {
                f->n_seen++;
                continue;
            }
            double r = f->r * p / q;
            SD_TRY(push(v, child, r < 1 ? r : 1, ++depth));
        } else if (is_kept(v, f, depth)) {
            finish(v, depth);
            return SD_OK;
        } else {
            sd_law_close(v, &f->law);
            SD_TRY(refuse(v, &v->scratch->frame[--depth]));
        }
    }
}
