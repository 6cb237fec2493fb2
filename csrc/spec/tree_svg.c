#include "spec/tree_svg.h"

#include <stdarg.h>
#include <stdio.h>

/* Lengths are whole numbers of a tenth of a pixel: fine enough to draw with, and the same text
 * whatever the locale's decimal point is. */
#define LABEL_HEIGHT 200
#define LABEL_PADDING 140 /* both sides of the digits */
#define DIGIT_WIDTH 62
#define LABEL_GAP_X 320
#define LABEL_GAP_Y 60
#define LABELLED_MAX 300 /* nodes */
#define DOT_RADIUS 35
#define DOT_COLUMN 400
#define DOT_ROW 100
#define DOTS_EXTENT 12000 /* a tree of dots is squeezed into this, each way by itself */
#define MARGIN 80

typedef struct {
    char *text;
    size_t capacity, length;
} writer;

typedef struct {
    int label_width; /* 0: no labels, dots alone */
    int column;      /* from one depth to the next */
    int row;         /* from one leaf to the next */
    int dot;         /* the radius of a dot */
    int left, top;   /* the first column and row */
} layout;

__attribute__((format(printf, 2, 3))) static void write_text(writer *w, const char *format, ...) {
    va_list arguments;
    size_t room = w->length < w->capacity ? w->capacity - w->length : 0;
    va_start(arguments, format);
    int n = vsnprintf(room != 0 ? w->text + w->length : NULL, room, format, arguments);
    va_end(arguments);
    w->length += (size_t)n;
}

static int smaller(int a, int b) {
    return a < b ? a : b;
}

/* Of the widest token; 0 if there is none. */
static int count_digits(const sd_tree *tree) {
    int digits = 0;
    int32_t largest = SD_NO_TOKEN;
    for (int i = 0; i < tree->n_nodes; i++)
        largest = tree->token[i] > largest ? tree->token[i] : largest;
    for (; largest > 0 || (largest == 0 && digits == 0); largest /= 10)
        digits++;
    return digits;
}

static layout plan(const sd_tree *tree) {
    int digits = tree->n_nodes <= LABELLED_MAX ? count_digits(tree) : 0;
    layout l = {.left = MARGIN + DOT_RADIUS, .top = MARGIN + DOT_RADIUS, .dot = DOT_RADIUS};
    if (digits > 0) {
        l.label_width = LABEL_PADDING + digits * DIGIT_WIDTH;
        l.column = l.label_width + LABEL_GAP_X;
        l.row = LABEL_HEIGHT + LABEL_GAP_Y;
        l.left = MARGIN + l.label_width / 2;
        l.top = MARGIN + LABEL_HEIGHT / 2;
    } else {
        l.column = smaller(DOT_COLUMN, DOTS_EXTENT / (tree->max_depth + 1));
        l.row = smaller(DOT_ROW, DOTS_EXTENT / tree->n_leaves);
        l.dot = smaller(DOT_RADIUS, 10 + smaller(l.column, l.row) / 3);
    }
    return l;
}

/* Leaves one below the other in the order of a walk, parents in the middle of their children. The
 * walk is done by counting: the leaves below a node take the next places of its parent's. */
static void place(const sd_tree *tree, const layout *l, int *y) {
    int n_leaves[SD_TREE_MAX_NODES], next[SD_TREE_MAX_NODES];
    for (int i = 0; i < tree->n_nodes; i++)
        n_leaves[i] = sd_tree_n_children(tree, i) == 0;
    for (int i = tree->n_nodes - 1; i > 0; i--)
        n_leaves[tree->parent[i]] += n_leaves[i];
    next[0] = 0;
    for (int i = 1; i < tree->n_nodes; i++) {
        next[i] = next[tree->parent[i]];
        next[tree->parent[i]] += n_leaves[i];
    }
    for (int i = tree->n_nodes - 1; i >= 0; i--) {
        int first = tree->child_start[i], end = tree->child_start[i + 1];
        y[i] = first == end ? l->top + next[i] * l->row
                            : (y[tree->child[first]] + y[tree->child[end - 1]]) / 2;
    }
}

static void draw_edges(writer *w, const sd_tree *tree, const layout *l, const int *y) {
    if (tree->n_nodes == 1)
        return;
    write_text(w, "<path fill=\"none\" stroke=\"#8593a1\" stroke-width=\"%d\" d=\"",
               l->label_width > 0 ? 13 : 10);
    for (int i = 1; i < tree->n_nodes; i++) {
        int from = l->left + (tree->depth[i] - 1) * l->column, to = from + l->column;
        int middle = (from + to) / 2, from_y = y[tree->parent[i]];
        write_text(w, "M%d %dC%d %d %d %d %d %d", from, from_y, middle, from_y, middle, y[i], to,
                   y[i]);
    }
    write_text(w, "\"/>");
}

/* The hidden title is what a pointer that rests on the node is told. */
static void draw_node(writer *w, const sd_tree *tree, const layout *l, int i, int y) {
    const char *fill = i == 0 ? "#f2c14e" : "#8cc0de";
    int x = l->left + tree->depth[i] * l->column;
    write_text(w, "<g><title>node %d</title>", i);
    if (l->label_width == 0 || tree->token[i] == SD_NO_TOKEN) {
        write_text(w, "<circle cx=\"%d\" cy=\"%d\" r=\"%d\" fill=\"%s\"/>", x, y, l->dot, fill);
    } else {
        write_text(w, "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"%d\" fill=\"%s\"/>",
                   x - l->label_width / 2, y - LABEL_HEIGHT / 2, l->label_width, LABEL_HEIGHT,
                   LABEL_HEIGHT / 2, fill);
        write_text(w, "<text x=\"%d\" y=\"%d\">%d</text>", x, y + LABEL_HEIGHT / 5, tree->token[i]);
    }
    write_text(w, "</g>");
}

size_t sd_tree_svg(const sd_tree *tree, char *text, size_t capacity) {
    writer w = {.text = text, .capacity = capacity};
    int y[SD_TREE_MAX_NODES];
    layout l = plan(tree);
    int width = 2 * l.left + tree->max_depth * l.column;
    int height = 2 * l.top + (tree->n_leaves - 1) * l.row;
    place(tree, &l, y);
    write_text(&w,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
               "viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"110\" "
               "text-anchor=\"middle\" fill=\"#1b2631\">",
               width / 10, height / 10, width, height);
    draw_edges(&w, tree, &l, y);
    for (int i = 0; i < tree->n_nodes; i++)
        draw_node(&w, tree, &l, i, y[i]);
    write_text(&w, "</svg>");
    return w.length;
}
