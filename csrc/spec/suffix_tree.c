/* Every suffix that occurred before has a cursor, and a node under it. A token moves all cursors:
 * into the child that the token begins, or, where there is none, to a new leaf, which from then on
 * needs no care. What a cursor leaves behind without need is taken away, so that there are fewer
 * than two nodes per token. */
#include "spec/suffix_tree.h"

#include <stdbool.h>

#include "core/memory.h"

#define TEXT_MAX ((size_t)1 << 30)
#define FIRST_CAPACITY 256

sd_status sd_suffix_depth_check(int max_depth) {
    SD_REQUIRE(max_depth >= 2 && max_depth <= SD_SUFFIX_MAX_DEPTH, BAD_ARGUMENT,
               "max_depth is %d: it must be from 2 to %d", max_depth, SD_SUFFIX_MAX_DEPTH);
    return SD_OK;
}

sd_status sd_suffix_tokens_check(const int32_t *tokens, size_t n_tokens) {
    for (size_t i = 0; i < n_tokens; i++)
        SD_REQUIRE(tokens[i] >= 0, BAD_ARGUMENT, "tokens[%zu] is %d: tokens are not negative", i,
                   tokens[i]);
    return SD_OK;
}

static uint64_t hash_of(uint32_t parent, int32_t token) {
    uint64_t h = ((uint64_t)parent << 32 | (uint32_t)token) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 29;
}

/* Where the edge is, or the empty slot where it belongs. */
static sd_suffix_edge *find_edge(sd_suffix_edge *edge, size_t capacity, uint32_t parent,
                                 int32_t token) {
    size_t mask = capacity - 1;
    for (size_t i = hash_of(parent, token) & mask;; i = (i + 1) & mask) {
        sd_suffix_edge *e = &edge[i];
        if (e->child == SD_SUFFIX_ROOT || (e->parent == parent && e->token == token))
            return e;
    }
}

static bool is_wide(const sd_suffix_node *node) {
    return node->n_children > SD_SUFFIX_MAX_BRANCH;
}

static int n_listed(const sd_suffix_node *node) {
    return is_wide(node) ? SD_SUFFIX_MAX_BRANCH : node->n_children;
}

uint32_t sd_suffix_tree_child(const sd_suffix_tree *tree, uint32_t node, int32_t token) {
    const sd_suffix_node *n = &tree->node[node];
    for (int k = 0; k < n_listed(n); k++)
        if (n->token[k] == token)
            return n->child[k];
    return is_wide(n) ? find_edge(tree->edge, tree->edge_capacity, node, token)->child
                      : SD_SUFFIX_ROOT;
}

static void enter_edge(sd_suffix_tree *tree, uint32_t parent, int32_t token, uint32_t child) {
    sd_suffix_edge *e = find_edge(tree->edge, tree->edge_capacity, parent, token);
    tree->n_edges += e->child == SD_SUFFIX_ROOT;
    *e = (sd_suffix_edge){parent, token, child};
}

static bool goes_before(const sd_suffix_tree *tree, uint32_t child, int32_t token,
                        uint32_t other_child, int32_t other_token) {
    uint32_t count = tree->node[child].count, other = tree->node[other_child].count;
    return count > other || (count == other && token < other_token);
}

/* Puts a child whose count has risen, or that is new, where it belongs in its parent's list. */
static void rank_child(sd_suffix_tree *tree, uint32_t parent, uint32_t child, int32_t token) {
    sd_suffix_node *p = &tree->node[parent];
    int k = 0, last = n_listed(p) - 1;
    while (k < last && p->child[k] != child)
        k++;
    if (p->child[k] != child && !goes_before(tree, child, token, p->child[k], p->token[k]))
        return;
    for (; k > 0 && goes_before(tree, child, token, p->child[k - 1], p->token[k - 1]); k--) {
        p->child[k] = p->child[k - 1];
        p->token[k] = p->token[k - 1];
    }
    p->child[k] = child;
    p->token[k] = token;
}

static void replace_child(sd_suffix_tree *tree, uint32_t parent, int32_t token, uint32_t child) {
    sd_suffix_node *p = &tree->node[parent];
    for (int k = 0; k < n_listed(p); k++)
        if (p->token[k] == token)
            p->child[k] = child;
    if (is_wide(p))
        enter_edge(tree, parent, token, child);
    tree->node[child].parent = parent;
}

static void add_child(sd_suffix_tree *tree, uint32_t parent, int32_t token, uint32_t child) {
    sd_suffix_node *p = &tree->node[parent];
    int n = p->n_children++;
    if (n < SD_SUFFIX_MAX_BRANCH) {
        p->child[n] = child;
        p->token[n] = token;
    } else {
        for (int k = 0; n == SD_SUFFIX_MAX_BRANCH && k < n; k++)
            enter_edge(tree, parent, p->token[k], p->child[k]);
        enter_edge(tree, parent, token, child);
    }
    rank_child(tree, parent, child, token);
}

/* There is room: see reserve. */
static uint32_t new_node(sd_suffix_tree *tree, sd_suffix_node node) {
    uint32_t id = tree->spare;
    if (id != SD_SUFFIX_ROOT)
        tree->spare = tree->node[id].parent;
    else
        id = (uint32_t)tree->n_nodes++;
    tree->node[id] = node;
    return id;
}

/* The text's last token follows the string of `parent`, `depth` tokens long, for the first time. */
static void add_leaf(sd_suffix_tree *tree, uint32_t parent, int depth, int32_t token) {
    uint32_t leaf = new_node(tree, (sd_suffix_node){.start = (uint32_t)(tree->n_text - 1),
                                                    .length = tree->max_depth - depth,
                                                    .count = 1,
                                                    .parent = parent});
    tree->node[parent].followed++;
    add_child(tree, parent, token, leaf);
}

/* A node under the cursor that has come one token into the child's edge. */
static uint32_t split(sd_suffix_tree *tree, uint32_t parent, uint32_t child, int32_t token) {
    sd_suffix_node *c = &tree->node[child];
    uint32_t middle = new_node(tree, (sd_suffix_node){.start = c->start,
                                                      .length = 1,
                                                      .count = c->count + 1,
                                                      .followed = c->count,
                                                      .parent = parent,
                                                      .n_children = 1,
                                                      .child = {child},
                                                      .token = {tree->text[c->start + 1]}});
    c->start++;
    c->length--;
    c->parent = middle;
    replace_child(tree, parent, token, middle);
    tree->node[parent].followed++;
    rank_child(tree, parent, middle, token);
    return middle;
}

/* The cursor goes on inside the edge of the only child, and its node with it. */
static void shift(sd_suffix_tree *tree, uint32_t node, uint32_t child) {
    sd_suffix_node *n = &tree->node[node], *c = &tree->node[child];
    n->start = c->start - (uint32_t)n->length;
    n->length++;
    n->token[0] = tree->text[c->start + 1];
    c->start++;
    c->length--;
}

/* The cursor has reached the only child, and nothing else ends at the node it came from. */
static void merge(sd_suffix_tree *tree, uint32_t node, uint32_t child) {
    sd_suffix_node *n = &tree->node[node], *c = &tree->node[child];
    c->start -= (uint32_t)n->length;
    c->length += n->length;
    replace_child(tree, n->parent, tree->text[c->start], child);
    n->parent = tree->spare;
    tree->spare = node;
}

/* Where a cursor, `depth` tokens deep, gets to with the text's last token; SD_SUFFIX_ROOT if it
 * became a leaf. */
static uint32_t move(sd_suffix_tree *tree, uint32_t from, int depth, int32_t token) {
    uint32_t to = sd_suffix_tree_child(tree, from, token);
    if (to == SD_SUFFIX_ROOT) {
        add_leaf(tree, from, depth, token);
        return SD_SUFFIX_ROOT;
    }
    sd_suffix_node *n = &tree->node[from], *c = &tree->node[to];
    bool is_needless = n->n_children == 1 && n->count == c->count + 1; /* the root counts 0 */
    if (c->length > 1 && tree->text[c->start + 1] == SD_SUFFIX_SEPARATOR)
        c->length = 1; /* a leaf whose document ended */
    if (c->length > 1 && is_needless) {
        shift(tree, from, to);
        return from;
    }
    if (c->length > 1)
        return split(tree, from, to, token);
    c->count++;
    n->followed++;
    if (is_needless)
        merge(tree, from, to);
    else
        rank_child(tree, from, to, token);
    return to;
}

static sd_status reserve(void **items, size_t n, size_t *capacity, size_t more, size_t item_bytes) {
    size_t next = *capacity == 0 ? FIRST_CAPACITY : *capacity;
    while (next < n + more)
        next *= 2;
    if (next == *capacity)
        return SD_OK;
    SD_TRY(sd_grow(items, n, next, item_bytes));
    *capacity = next;
    return SD_OK;
}

static sd_status reserve_edges(sd_suffix_tree *tree, size_t more) {
    size_t capacity = tree->edge_capacity == 0 ? 2 * FIRST_CAPACITY : tree->edge_capacity;
    while (capacity < 2 * (tree->n_edges + more))
        capacity *= 2;
    if (capacity == tree->edge_capacity)
        return SD_OK;
    void *edge;
    SD_TRY(sd_alloc_zeroed(&edge, capacity, sizeof *tree->edge));
    for (size_t i = 0; i < tree->edge_capacity; i++) {
        const sd_suffix_edge *e = &tree->edge[i];
        if (e->child != SD_SUFFIX_ROOT)
            *find_edge(edge, capacity, e->parent, e->token) = *e;
    }
    sd_free(tree->edge);
    tree->edge = edge;
    tree->edge_capacity = capacity;
    return SD_OK;
}

/* For one token and the separator that may follow: each move makes at most one node, and its parent
 * wide. */
static sd_status reserve_token(sd_suffix_tree *tree) {
    size_t n_moves = (size_t)tree->n_cursors + 1;
    void *text = tree->text, *node = tree->node;
    SD_REQUIRE(tree->n_text < TEXT_MAX, BAD_ARGUMENT, "a suffix tree holds at most %zu tokens",
               TEXT_MAX);
    SD_TRY(reserve(&text, tree->n_text, &tree->text_capacity, 2, sizeof *tree->text));
    tree->text = text;
    SD_TRY(reserve(&node, tree->n_nodes, &tree->node_capacity, n_moves, sizeof *tree->node));
    tree->node = node;
    return reserve_edges(tree, n_moves * (SD_SUFFIX_MAX_BRANCH + 1));
}

sd_status sd_suffix_tree_append(sd_suffix_tree *tree, int32_t token) {
    SD_TRY(reserve_token(tree));
    int deepest = tree->n_cursors < tree->max_depth ? tree->n_cursors : tree->max_depth - 1;
    tree->text[tree->n_text++] = token;
    tree->n_tokens++;
    tree->n_cursors = 0;
    for (int depth = deepest; depth >= 0; depth--) {
        uint32_t to = move(tree, tree->cursor[depth], depth, token);
        tree->cursor[depth + 1] = to;
        if (to != SD_SUFFIX_ROOT && tree->n_cursors == 0)
            tree->n_cursors = depth + 1;
    }
    return SD_OK;
}

void sd_suffix_tree_end_document(sd_suffix_tree *tree) {
    if (tree->n_text == 0 || tree->text[tree->n_text - 1] == SD_SUFFIX_SEPARATOR)
        return;
    tree->text[tree->n_text++] = SD_SUFFIX_SEPARATOR;
    tree->n_cursors = 0;
}

sd_status sd_suffix_tree_init(sd_suffix_tree *tree, int max_depth) {
    *tree = (sd_suffix_tree){.max_depth = max_depth};
    sd_status status = reserve_token(tree);
    if (status != SD_OK) {
        sd_suffix_tree_free(tree);
        return status;
    }
    tree->node[tree->n_nodes++] = (sd_suffix_node){0};
    return SD_OK;
}

void sd_suffix_tree_free(sd_suffix_tree *tree) {
    sd_free(tree->text);
    sd_free(tree->node);
    sd_free(tree->edge);
    *tree = (sd_suffix_tree){0};
}

size_t sd_suffix_tree_bytes(const sd_suffix_tree *tree) {
    return tree->text_capacity * sizeof *tree->text + tree->node_capacity * sizeof *tree->node +
           tree->edge_capacity * sizeof *tree->edge;
}
