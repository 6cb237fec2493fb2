#include "spec/growmap_torch.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "core/memory.h"
#include "io/bytes.h"
#include "io/pickle.h"

enum { ROOTS, BRANCHES, SUCCESSORS, MASK, DEPTH, SIZE, N_KEYS };

static const struct {
    const char *name;
    sd_pickle_kind kind;
} keys[N_KEYS] = {
    [ROOTS] = {"roots", SD_PICKLE_LIST},           [BRANCHES] = {"branches", SD_PICKLE_LIST},
    [SUCCESSORS] = {"Successors", SD_PICKLE_LIST}, [MASK] = {"mask", SD_PICKLE_TENSOR},
    [DEPTH] = {"depth", SD_PICKLE_TENSOR},         [SIZE] = {"size", SD_PICKLE_INT},
};

typedef const sd_pickle_value *fields[N_KEYS];

/* N_KEYS if there is no such key. */
static int find_key(const sd_pickle_value *name) {
    int key = 0;
    while (key < N_KEYS && (name->n_text != strlen(keys[key].name) ||
                            memcmp(name->text, keys[key].name, name->n_text) != 0))
        key++;
    return key;
}

static sd_status read_fields(const sd_pickle_value *root, fields field) {
    SD_REQUIRE(root->kind == SD_PICKLE_DICT, BAD_FILE, "growmap: not a dict, but %s",
               sd_pickle_kind_name(root->kind));
    for (const sd_pickle_item *item = root->first; item != NULL; item = item->next->next) {
        const sd_pickle_value *name = item->value, *value = item->next->value;
        SD_REQUIRE(name->kind == SD_PICKLE_STRING, BAD_FILE, "growmap: a key is %s",
                   sd_pickle_kind_name(name->kind));
        int key = find_key(name);
        SD_REQUIRE(key < N_KEYS, BAD_FILE, "growmap: unknown key '%s'",
                   sd_show(name->text, name->n_text).text);
        SD_REQUIRE(field[key] == NULL, BAD_FILE, "growmap: '%s' stands there twice",
                   keys[key].name);
        SD_REQUIRE(value->kind == keys[key].kind, BAD_FILE, "growmap: '%s' is %s, not %s",
                   keys[key].name, sd_pickle_kind_name(value->kind),
                   sd_pickle_kind_name(keys[key].kind));
        field[key] = value;
    }
    for (int key = 0; key < N_KEYS; key++)
        SD_REQUIRE(field[key] != NULL, BAD_FILE, "growmap: '%s' is missing", keys[key].name);
    return SD_OK;
}

/* `value` is an entry of the list keys[key], or of the list keys[key][index]. */
static sd_status check_kind(const sd_pickle_value *value, sd_pickle_kind kind, int key, int index) {
    SD_REQUIRE(value->kind == kind, BAD_FILE, "growmap: %s[%d] %s %s, not %s", keys[key].name,
               index, kind == SD_PICKLE_LIST ? "is" : "holds", sd_pickle_kind_name(value->kind),
               sd_pickle_kind_name(kind));
    return SD_OK;
}

static sd_status check_child(const sd_pickle_value *child, int node, int next, int n_nodes) {
    SD_TRY(check_kind(child, SD_PICKLE_INT, SUCCESSORS, node));
    SD_REQUIRE(next < n_nodes, BAD_FILE,
               "growmap: Successors[%d] lists node %" PRId64 ", but all %d are listed before", node,
               child->integer, n_nodes);
    SD_REQUIRE(child->integer == next && next > node, BAD_FILE,
               "growmap: Successors[%d] lists node %" PRId64
               ": breadth-first the next one is %d, and it comes after its parent",
               node, child->integer, next);
    return SD_OK;
}

/* Breadth-first numbers: the lists of children, one after the other, count from 1 to the last. */
static sd_status read_parents(const sd_pickle_value *successors, int n_nodes, int32_t *parent) {
    int next = 1, node = 0;
    SD_REQUIRE(successors->n_items == (size_t)n_nodes, BAD_FILE,
               "growmap: 'Successors' has %zu entries for %d nodes", successors->n_items, n_nodes);
    parent[0] = -1;
    for (const sd_pickle_item *item = successors->first; item != NULL; item = item->next, node++) {
        SD_TRY(check_kind(item->value, SD_PICKLE_LIST, SUCCESSORS, node));
        for (const sd_pickle_item *child = item->value->first; child != NULL; child = child->next) {
            SD_TRY(check_child(child->value, node, next, n_nodes));
            parent[next++] = node;
        }
    }
    SD_REQUIRE(next == n_nodes, BAD_FILE, "growmap: node %d of %d is in no list of 'Successors'",
               next, n_nodes);
    return SD_OK;
}

/* `levels` lists, level by level, one number for each node: its children or the node itself. */
static sd_status check_levels(const sd_pickle_value *levels, int key, const sd_tree *tree) {
    int level = 0, node = 0;
    for (const sd_pickle_item *item = levels->first; item != NULL; item = item->next, level++) {
        SD_TRY(check_kind(item->value, SD_PICKLE_LIST, key, level));
        for (const sd_pickle_item *one = item->value->first; one != NULL; one = one->next) {
            SD_REQUIRE(node < tree->n_nodes && tree->depth[node] == level, BAD_FILE,
                       "growmap: %s[%d] has more entries than there are nodes at depth %d",
                       keys[key].name, level, level);
            SD_TRY(check_kind(one->value, SD_PICKLE_INT, key, level));
            int wanted = key == ROOTS ? node : sd_tree_n_children(tree, node);
            SD_REQUIRE(one->value->integer == wanted, BAD_FILE,
                       "growmap: %s[%d] says %" PRId64 " of node %d, but 'Successors' says %d",
                       keys[key].name, level, one->value->integer, node, wanted);
            node++;
        }
        SD_REQUIRE(node == tree->n_nodes || tree->depth[node] > level, BAD_FILE,
                   "growmap: %s[%d] has no entry for node %d", keys[key].name, level, node);
    }
    SD_REQUIRE(level == tree->max_depth + 1, BAD_FILE, "growmap: '%s' has %d levels, not %d",
               keys[key].name, level, tree->max_depth + 1);
    return SD_OK;
}

/* The bytes of a tensor with n_nodes elements in each of its dimensions. */
static sd_status find_elements(const sd_zip *zip, int key, const sd_pickle_tensor *tensor, int rank,
                               int n_nodes, const uint8_t **elements) {
    const char *name = keys[key].name;
    bool is_square = tensor->rank == rank;
    for (int i = 0; i < rank; i++)
        is_square = is_square && tensor->shape[i] == n_nodes;
    SD_REQUIRE(is_square && tensor->element == SD_PICKLE_INT64, BAD_FILE,
               "growmap: '%s' is not an int64 tensor of %d dimensions of %d", name, rank, n_nodes);
    const sd_zip_entry *entry = sd_zip_find(zip, "data/", tensor->key, tensor->n_key);
    SD_REQUIRE(entry != NULL, BAD_FILE, "growmap: the archive has no 'data/%s' for '%s'",
               sd_show(tensor->key, tensor->n_key).text, name);
    SD_REQUIRE(entry->n_bytes == (uint64_t)tensor->n_stored * 8, BAD_FILE,
               "growmap: the storage of '%s' has %zu bytes, not %" PRId64 " times 8", name,
               entry->n_bytes, tensor->n_stored);
    *elements = entry->bytes + 8 * tensor->offset;
    return SD_OK;
}

static int64_t element_at(const uint8_t *elements, int64_t index) {
    return (int64_t)sd_little_endian(elements + 8 * index, 8);
}

static sd_status check_depth(const sd_zip *zip, const sd_pickle_tensor *depth,
                             const sd_tree *tree) {
    const uint8_t *elements = NULL;
    SD_TRY(find_elements(zip, DEPTH, depth, 1, tree->n_nodes, &elements));
    for (int i = 0; i < tree->n_nodes; i++) {
        int64_t said = element_at(elements, i * depth->stride[0]);
        SD_REQUIRE(said == tree->depth[i], BAD_FILE,
                   "growmap: depth[%d] is %" PRId64 ", but 'Successors' puts node %d at depth %d",
                   i, said, i, tree->depth[i]);
    }
    return SD_OK;
}

static sd_status check_mask_row(const sd_pickle_tensor *mask, const uint8_t *elements,
                                const uint64_t *bits, int row, int n_nodes) {
    for (int j = 0; j < n_nodes; j++) {
        int64_t said = element_at(elements, row * mask->stride[0] + j * mask->stride[1]);
        int wanted = (int)(bits[j / 64] >> (j % 64) & 1);
        SD_REQUIRE(said == wanted, BAD_FILE,
                   "growmap: mask[%d][%d] is %" PRId64 ", but 'Successors' makes it %d", row, j,
                   said, wanted);
    }
    return SD_OK;
}

static sd_status check_mask(const sd_zip *zip, const sd_pickle_tensor *mask, const sd_tree *tree) {
    const uint8_t *elements = NULL;
    void *bits;
    size_t n_words = (size_t)sd_tree_mask_words(tree);
    SD_TRY(find_elements(zip, MASK, mask, 2, tree->n_nodes, &elements));
    SD_TRY(sd_alloc(&bits, (size_t)tree->n_nodes * n_words, sizeof(uint64_t)));
    sd_tree_mask_bits(tree, bits);
    sd_status status = SD_OK;
    for (int i = 0; i < tree->n_nodes && status == SD_OK; i++)
        status = check_mask_row(mask, elements, (const uint64_t *)bits + (size_t)i * n_words, i,
                                tree->n_nodes);
    sd_free(bits);
    return status;
}

static sd_status check_rest(const sd_zip *zip, const fields field, const sd_tree *tree) {
    SD_TRY(check_levels(field[ROOTS], ROOTS, tree));
    SD_TRY(check_levels(field[BRANCHES], BRANCHES, tree));
    SD_TRY(check_depth(zip, &field[DEPTH]->tensor, tree));
    return check_mask(zip, &field[MASK]->tensor, tree);
}

static sd_status from_dict(const sd_zip *zip, const sd_pickle_value *root, sd_growmap *growmap) {
    fields field = {NULL};
    sd_tree tree;
    SD_TRY(read_fields(root, field));
    int64_t size = field[SIZE]->integer;
    SD_REQUIRE(size >= 1 && size <= SD_TREE_MAX_NODES, BAD_FILE,
               "growmap: 'size' is %" PRId64 ": it must be from 1 to %d", size, SD_TREE_MAX_NODES);
    growmap->n_nodes = (int)size;
    SD_TRY(read_parents(field[SUCCESSORS], growmap->n_nodes, growmap->parent));
    SD_TRY(sd_tree_new(&tree, growmap->n_nodes, NULL, growmap->parent));
    sd_status status = check_rest(zip, field, &tree);
    sd_tree_free(&tree);
    return status;
}

sd_status sd_growmap_from_archive(const sd_zip *zip, sd_growmap *growmap) {
    sd_pickle *pickle;
    const sd_pickle_value *root;
    const sd_zip_entry *order = sd_zip_find(zip, "byteorder", "", 0);
    const sd_zip_entry *data = sd_zip_find(zip, "data.pkl", "", 0);
    SD_REQUIRE(order == NULL || (order->n_bytes == 6 && memcmp(order->bytes, "little", 6) == 0),
               BAD_FILE, "growmap: the archive's 'byteorder' is '%s', not 'little'",
               sd_show(order->bytes, order->n_bytes).text);
    SD_REQUIRE(data != NULL, BAD_FILE, "growmap: the archive has no 'data.pkl'");
    SD_TRY(sd_pickle_parse(data->bytes, data->n_bytes, &pickle, &root));
    sd_status status = from_dict(zip, root, growmap);
    sd_pickle_free(pickle);
    return status;
}
