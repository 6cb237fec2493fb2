/* A stack machine for protocol 2. The stack holds values and, as NULL, marks; the memo keeps values
 * for BINGET. Slot i holds the i-th value, item, stack place and memo place: of none of them there
 * can be more than opcodes. */
#include "io/pickle.h"

#include <stdbool.h>
#include <string.h>

#include "core/memory.h"
#include "io/bytes.h"

typedef struct {
    sd_pickle_value value; /* first, so that a value's address is its slot's */
    sd_pickle_item *last;  /* of the value's items */
    bool is_inside;        /* another container */
    sd_pickle_item item;
    sd_pickle_value *stacked;
    sd_pickle_value *memo;
} slot;

struct sd_pickle {
    const uint8_t *bytes;
    size_t n_bytes, at;
    size_t opcode_at; /* for messages */
    size_t n_slots, n_values, n_items, n_stacked;
    slot slots[];
};

enum { REBUILD_TENSOR, LONG_STORAGE, FLOAT_STORAGE, ORDERED_DICT, N_GLOBALS };

/* As GLOBAL spells them. */
static const char *const globals[N_GLOBALS] = {
    [REBUILD_TENSOR] = "torch._utils\n_rebuild_tensor_v2\n",
    [LONG_STORAGE] = "torch\nLongStorage\n",
    [FLOAT_STORAGE] = "torch\nFloatStorage\n",
    [ORDERED_DICT] = "collections\nOrderedDict\n",
};

#define REFUSE_UNLESS(p, condition, text)                                                          \
    SD_REQUIRE(condition, BAD_FILE, "pickle: " text " at byte %zu", (p)->opcode_at)

static sd_status take(sd_pickle *p, size_t n, const uint8_t **bytes) {
    SD_REQUIRE(n <= p->n_bytes - p->at, BAD_FILE,
               "pickle: cut short: %zu bytes wanted at byte %zu, %zu are left", n, p->at,
               p->n_bytes - p->at);
    *bytes = p->bytes + p->at;
    p->at += n;
    return SD_OK;
}

static sd_status take_number(sd_pickle *p, int n, uint64_t *number) {
    const uint8_t *bytes = NULL;
    SD_TRY(take(p, (size_t)n, &bytes));
    *number = sd_little_endian(bytes, n);
    return SD_OK;
}

/* On top of the stack; zeros but for its kind. */
static sd_pickle_value *push_new(sd_pickle *p, sd_pickle_kind kind) {
    sd_pickle_value *value = &p->slots[p->n_values++].value;
    value->kind = kind;
    p->slots[p->n_stacked++].stacked = value;
    return value;
}

static sd_status pop(sd_pickle *p, sd_pickle_value **value) {
    REFUSE_UNLESS(p, p->n_stacked > 0 && p->slots[p->n_stacked - 1].stacked != NULL,
                  "a value is missing on the stack");
    *value = p->slots[--p->n_stacked].stacked;
    return SD_OK;
}

static sd_status push_integer(sd_pickle *p, int n_bytes) {
    uint64_t number = 0;
    SD_TRY(take_number(p, n_bytes, &number));
    push_new(p, SD_PICKLE_INT)->integer = n_bytes == 4 ? (int32_t)number : (int64_t)number;
    return SD_OK;
}

static sd_status push_string(sd_pickle *p) {
    uint64_t n;
    const uint8_t *bytes = NULL;
    SD_TRY(take_number(p, 4, &n));
    SD_TRY(take(p, (size_t)n, &bytes));
    sd_pickle_value *value = push_new(p, SD_PICKLE_STRING);
    value->text = (const char *)bytes;
    value->n_text = (size_t)n;
    return SD_OK;
}

static sd_status push_global(sd_pickle *p) {
    const uint8_t *name = p->bytes + p->at;
    size_t left = p->n_bytes - p->at;
    for (int i = 0; i < N_GLOBALS; i++) {
        size_t n = strlen(globals[i]);
        if (left >= n && memcmp(name, globals[i], n) == 0) {
            p->at += n;
            push_new(p, SD_PICKLE_GLOBAL)->integer = i;
            return SD_OK;
        }
    }
    const uint8_t *end = memchr(name, '\n', left);
    size_t n_module = end != NULL ? (size_t)(end - name) : left;
    const uint8_t *function = end != NULL ? end + 1 : name + left;
    size_t n_rest = left - (size_t)(function - name);
    const uint8_t *function_end = memchr(function, '\n', n_rest);
    size_t n_function = function_end != NULL ? (size_t)(function_end - function) : n_rest;
    return sd_fail(SD_BAD_FILE, "pickle: the name '%s.%s' at byte %zu is not allowed",
                   sd_show(name, n_module).text, sd_show(function, n_function).text, p->opcode_at);
}

static sd_status put_memo(sd_pickle *p, int n_bytes) {
    uint64_t index = 0;
    SD_TRY(take_number(p, n_bytes, &index));
    REFUSE_UNLESS(p, p->n_stacked > 0 && p->slots[p->n_stacked - 1].stacked != NULL,
                  "nothing on the stack to remember");
    REFUSE_UNLESS(p, index < p->n_slots, "a memo index beyond the number of opcodes");
    p->slots[index].memo = p->slots[p->n_stacked - 1].stacked;
    return SD_OK;
}

static sd_status get_memo(sd_pickle *p, int n_bytes) {
    uint64_t index = 0;
    SD_TRY(take_number(p, n_bytes, &index));
    REFUSE_UNLESS(p, index < p->n_slots && p->slots[index].memo != NULL,
                  "a memo index that nothing was remembered under");
    p->slots[p->n_stacked++].stacked = p->slots[index].memo;
    return SD_OK;
}

/* Moves the stack's last n values, which are no marks, to the end of a container's items. */
static sd_status move_items(sd_pickle *p, size_t n, sd_pickle_value *container) {
    slot *owner = (slot *)container;
    p->n_stacked -= n;
    for (size_t i = 0; i < n; i++) {
        sd_pickle_value *value = p->slots[p->n_stacked + i].stacked;
        sd_pickle_item *item = &p->slots[p->n_items++].item;
        ((slot *)value)->is_inside = true;
        item->value = value;
        if (owner->last != NULL)
            owner->last->next = item;
        else
            container->first = item;
        owner->last = item;
        container->n_items++;
    }
    REFUSE_UNLESS(p, !owner->is_inside, "a container that is inside another one grows");
    return SD_OK;
}

/* How many values lie above the last mark. */
static sd_status count_above_mark(const sd_pickle *p, size_t *n) {
    size_t bottom = p->n_stacked;
    while (bottom > 0 && p->slots[bottom - 1].stacked != NULL)
        bottom--;
    REFUSE_UNLESS(p, bottom > 0, "no mark on the stack");
    *n = p->n_stacked - bottom;
    return SD_OK;
}

static sd_status make_tuple(sd_pickle *p, size_t n, bool has_mark) {
    size_t n_below = has_mark ? 1 : 0;
    for (size_t i = 1; i <= n; i++)
        REFUSE_UNLESS(p, p->n_stacked >= i && p->slots[p->n_stacked - i].stacked != NULL,
                      "a value is missing on the stack");
    sd_pickle_value *tuple = &p->slots[p->n_values++].value;
    tuple->kind = SD_PICKLE_TUPLE;
    SD_TRY(move_items(p, n, tuple));
    p->n_stacked -= n_below;
    p->slots[p->n_stacked++].stacked = tuple;
    return SD_OK;
}

static sd_status make_marked_tuple(sd_pickle *p) {
    size_t n = 0;
    SD_TRY(count_above_mark(p, &n));
    return make_tuple(p, n, true);
}

/* APPENDS and SETITEMS: the container lies below the mark. */
static sd_status extend(sd_pickle *p, sd_pickle_kind kind) {
    size_t n = 0;
    SD_TRY(count_above_mark(p, &n));
    size_t below = p->n_stacked - n - 1;
    sd_pickle_value *container = below > 0 ? p->slots[below - 1].stacked : NULL;
    REFUSE_UNLESS(p, container != NULL && container->kind == kind,
                  "no container below the mark that takes such items");
    REFUSE_UNLESS(p, kind == SD_PICKLE_LIST || n % 2 == 0, "a key without a value");
    SD_TRY(move_items(p, n, container));
    p->n_stacked--; /* the mark */
    return SD_OK;
}

static sd_status append(sd_pickle *p) {
    sd_pickle_value *value = NULL;
    SD_TRY(pop(p, &value));
    sd_pickle_value *list = p->n_stacked > 0 ? p->slots[p->n_stacked - 1].stacked : NULL;
    REFUSE_UNLESS(p, list != NULL && list->kind == SD_PICKLE_LIST, "no list to append to");
    p->n_stacked++;
    return move_items(p, 1, list);
}

/* Copies a tuple's n items into an array; false if it is anything else. */
static bool unpack(const sd_pickle_value *tuple, size_t n, const sd_pickle_value **items) {
    if (tuple->kind != SD_PICKLE_TUPLE || tuple->n_items != n)
        return false;
    for (const sd_pickle_item *item = tuple->first; item != NULL; item = item->next)
        *items++ = item->value;
    return true;
}

static bool is_global(const sd_pickle_value *value, int which) {
    return value->kind == SD_PICKLE_GLOBAL && value->integer == which;
}

static bool is_text(const sd_pickle_value *value, const char *text) {
    return value->kind == SD_PICKLE_STRING && value->n_text == strlen(text) &&
           memcmp(value->text, text, value->n_text) == 0;
}

/* BINPERSID: ("storage", element type, key, device, number of elements) names a storage. */
static sd_status make_storage(sd_pickle *p) {
    sd_pickle_value *tuple = NULL;
    const sd_pickle_value *field[5];
    SD_TRY(pop(p, &tuple));
    REFUSE_UNLESS(p,
                  unpack(tuple, 5, field) && is_text(field[0], "storage") &&
                      field[2]->kind == SD_PICKLE_STRING && field[3]->kind == SD_PICKLE_STRING &&
                      field[4]->kind == SD_PICKLE_INT && field[4]->integer >= 0,
                  "a persistent id that is not a storage's");
    bool is_long = is_global(field[1], LONG_STORAGE);
    REFUSE_UNLESS(p, is_long || is_global(field[1], FLOAT_STORAGE), "a storage of an unknown type");
    push_new(p, SD_PICKLE_STORAGE)->tensor = (sd_pickle_tensor){
        .element = is_long ? SD_PICKLE_INT64 : SD_PICKLE_FLOAT32,
        .key = field[2]->text,
        .n_key = field[2]->n_text,
        .n_stored = field[4]->integer,
    };
    return SD_OK;
}

/* Reads a shape or the strides: a tuple of as many integers as the tensor's rank, each >= least. */
static bool read_sizes(const sd_pickle_value *tuple, int rank, int64_t least, int64_t *sizes) {
    const sd_pickle_value *items[SD_PICKLE_MAX_RANK];
    if (!unpack(tuple, (size_t)rank, items))
        return false;
    for (int i = 0; i < rank; i++) {
        if (items[i]->kind != SD_PICKLE_INT || items[i]->integer < least)
            return false;
        sizes[i] = items[i]->integer;
    }
    return true;
}

/* (storage, offset, shape, strides, requires_grad, hooks) describe a tensor. Every integer has at
 * most 32 bits, so the index of the last element cannot overflow 64. */
static sd_status make_tensor(sd_pickle *p, const sd_pickle_value *arguments) {
    const sd_pickle_value *field[6];
    REFUSE_UNLESS(p,
                  unpack(arguments, 6, field) && field[0]->kind == SD_PICKLE_STORAGE &&
                      field[1]->kind == SD_PICKLE_INT && field[1]->integer >= 0 &&
                      field[2]->kind == SD_PICKLE_TUPLE && field[4]->kind == SD_PICKLE_BOOL &&
                      field[5]->kind == SD_PICKLE_DICT && field[5]->n_items == 0,
                  "arguments that do not describe a tensor");
    sd_pickle_tensor tensor = field[0]->tensor;
    REFUSE_UNLESS(p, field[2]->n_items <= SD_PICKLE_MAX_RANK,
                  "a tensor of more than two dimensions");
    tensor.rank = (int)field[2]->n_items;
    tensor.offset = field[1]->integer;
    REFUSE_UNLESS(p,
                  read_sizes(field[2], tensor.rank, 1, tensor.shape) &&
                      read_sizes(field[3], tensor.rank, 0, tensor.stride),
                  "a shape or strides that no tensor with elements has");
    int64_t last = tensor.offset;
    for (int i = 0; i < tensor.rank; i++)
        last += (tensor.shape[i] - 1) * tensor.stride[i];
    REFUSE_UNLESS(p, last < tensor.n_stored, "a tensor that reaches beyond its storage");
    push_new(p, SD_PICKLE_TENSOR)->tensor = tensor;
    return SD_OK;
}

/* REDUCE would call a function; two are known by what they leave behind. */
static sd_status reduce(sd_pickle *p) {
    sd_pickle_value *arguments = NULL, *function = NULL;
    SD_TRY(pop(p, &arguments));
    SD_TRY(pop(p, &function));
    if (is_global(function, REBUILD_TENSOR))
        return make_tensor(p, arguments);
    REFUSE_UNLESS(p, is_global(function, ORDERED_DICT) && unpack(arguments, 0, NULL),
                  "a call that is neither a tensor's nor an empty OrderedDict's");
    push_new(p, SD_PICKLE_DICT);
    return SD_OK;
}

static sd_status step(sd_pickle *p, uint8_t opcode) {
    switch (opcode) {
    case '(': /* MARK */
        p->slots[p->n_stacked++].stacked = NULL;
        return SD_OK;
    case '}': /* EMPTY_DICT */
        push_new(p, SD_PICKLE_DICT);
        return SD_OK;
    case ']': /* EMPTY_LIST */
        push_new(p, SD_PICKLE_LIST);
        return SD_OK;
    case ')': /* EMPTY_TUPLE */
        push_new(p, SD_PICKLE_TUPLE);
        return SD_OK;
    case 0x88: /* NEWTRUE */
    case 0x89: /* NEWFALSE */
        push_new(p, SD_PICKLE_BOOL)->integer = opcode == 0x88;
        return SD_OK;
    case 'K': /* BININT1 */
        return push_integer(p, 1);
    case 'M': /* BININT2 */
        return push_integer(p, 2);
    case 'J': /* BININT */
        return push_integer(p, 4);
    case 'X': /* BINUNICODE */
        return push_string(p);
    case 'c': /* GLOBAL */
        return push_global(p);
    case 'q': /* BINPUT */
        return put_memo(p, 1);
    case 'r': /* LONG_BINPUT */
        return put_memo(p, 4);
    case 'h': /* BINGET */
        return get_memo(p, 1);
    case 'j': /* LONG_BINGET */
        return get_memo(p, 4);
    case 0x85: /* TUPLE1 */
    case 0x86: /* TUPLE2 */
        return make_tuple(p, opcode == 0x85 ? 1 : 2, false);
    case 't': /* TUPLE */
        return make_marked_tuple(p);
    case 'a': /* APPEND */
        return append(p);
    case 'e': /* APPENDS */
        return extend(p, SD_PICKLE_LIST);
    case 'u': /* SETITEMS */
        return extend(p, SD_PICKLE_DICT);
    case 'Q': /* BINPERSID */
        return make_storage(p);
    case 'R': /* REDUCE */
        return reduce(p);
    default:
        return sd_fail(SD_BAD_FILE, "pickle: the opcode 0x%02x at byte %zu is not allowed", opcode,
                       p->opcode_at);
    }
}

static sd_status run(sd_pickle *p) {
    for (size_t n_opcodes = 0;; n_opcodes++) {
        uint64_t opcode = 0;
        p->opcode_at = p->at;
        SD_TRY(take_number(p, 1, &opcode));
        if (opcode == '.') /* STOP */
            return SD_OK;
        SD_REQUIRE(n_opcodes < SD_PICKLE_MAX_OPCODES, BAD_FILE, "pickle: more than %d opcodes",
                   SD_PICKLE_MAX_OPCODES);
        SD_TRY(step(p, (uint8_t)opcode));
    }
}

static sd_status run_whole(sd_pickle *p, const sd_pickle_value **root) {
    sd_pickle_value *top = NULL;
    SD_TRY(run(p));
    SD_TRY(pop(p, &top));
    REFUSE_UNLESS(p, p->n_stacked == 0, "the stack holds more than one value");
    SD_REQUIRE(p->at == p->n_bytes, BAD_FILE, "pickle: %zu bytes follow the end at byte %zu",
               p->n_bytes - p->at, p->opcode_at);
    *root = top;
    return SD_OK;
}

sd_status sd_pickle_parse(const uint8_t *bytes, size_t n_bytes, sd_pickle **pickle,
                          const sd_pickle_value **root) {
    static const uint8_t start[] = {0x80, 2}; /* PROTO */
    void *block;
    *pickle = NULL;
    SD_REQUIRE(n_bytes >= sizeof start && memcmp(bytes, start, sizeof start) == 0, BAD_FILE,
               "pickle: not of protocol 2, the only one that is read");
    size_t n_slots = n_bytes < SD_PICKLE_MAX_OPCODES ? n_bytes : SD_PICKLE_MAX_OPCODES;
    SD_TRY(sd_alloc_zeroed(&block, sizeof(sd_pickle) + n_slots * sizeof(slot), 1));
    *pickle = block;
    **pickle =
        (sd_pickle){.bytes = bytes, .n_bytes = n_bytes, .at = sizeof start, .n_slots = n_slots};
    sd_status status = run_whole(*pickle, root);
    if (status != SD_OK) {
        sd_pickle_free(*pickle);
        *pickle = NULL;
    }
    return status;
}

void sd_pickle_free(sd_pickle *pickle) {
    sd_free(pickle);
}

const char *sd_pickle_kind_name(sd_pickle_kind kind) {
    static const char *const names[SD_PICKLE_N_KINDS] = {
        [SD_PICKLE_BOOL] = "a bool",     [SD_PICKLE_INT] = "an int",
        [SD_PICKLE_STRING] = "a string", [SD_PICKLE_TUPLE] = "a tuple",
        [SD_PICKLE_LIST] = "a list",     [SD_PICKLE_DICT] = "a dict",
        [SD_PICKLE_GLOBAL] = "a global", [SD_PICKLE_STORAGE] = "a storage",
        [SD_PICKLE_TENSOR] = "a tensor",
    };
    return names[kind];
}
