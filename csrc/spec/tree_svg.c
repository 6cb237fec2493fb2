#include "spec/tree_svg.h"

#include <stdarg.h>
#include <stdio.h>

#define COLUMN 84 /* from one depth to the next */
#define ROW 26    /* from one leaf to the next */
#define MARGIN 34
#define LABELLED 400 /* trees with more nodes are drawn as dots, closer together */

typedef struct {
    char *text;
    size_t capacity, length;
} writer;

static void write_text(writer *w, const char *format, ...) {
    va_list arguments;
    size_t room = w->length < w->capacity ? w->capacity - w->length : 0;
    va_start(arguments, format);
    int n = vsnprintf(room != 0 ? w->text + w->length : NULL, room, format, arguments);
    va_end(arguments);
    w->length += (size_t)n;
}

/* Leaves one below the other in the order of a walk, parents in the middle of their children.
 * Parents come before children, so a walk from the last node back has the children's places first;
 * the leaves' order needs the walk itself, done by counting the leaves below each node. */
static void place(const sd_tree *tree, int row, int *y) {
    int leaves[SD_TREE_MAX_NODES], first[SD_TREE_MAX_NODES];
    for (int i = tree->n_nodes - 1; i >= 0; i--) {
        leaves[i] = sd_tree_n_children(tree, i) == 0;
        for (int k = tree->child_start[i]; k < tree->child_start[i + 1]; k++)
            leaves[i] += leaves[tree->child[k]];
    }
    first[0] = 0;
    for (int i = 0; i < tree->n_nodes; i++) {
        int next = first[i];
        for (int k = tree->child_start[i]; k < tree->child_start[i + 1]; k++) {
            first[tree->child[k]] = next;
            next += leaves[tree->child[k]];
        }
    }
    for (int i = tree->n_nodes - 1; i >= 0; i--) {
        int begin = tree->child_start[i], end = tree->child_start[i + 1];
        y[i] = begin == end ? MARGIN + first[i] * row
                            : (y[tree->child[begin]] + y[tree->child[end - 1]]) / 2;
    }
}

static void draw_node(writer *w, const sd_tree *tree, int i, int x, int y) {
    const char *fill = i == 0 ? "#f2c14e" : "#7eb6d9";
    if (tree->n_nodes > LABELLED) {
        write_text(w, "<circle cx=\"%d\" cy=\"%d\" r=\"3\" fill=\"%s\"/>", x, y, fill);
        return;
    }
    write_text(w, "<rect x=\"%d\" y=\"%d\" width=\"52\" height=\"20\" rx=\"10\" fill=\"%s\"/>",
               x - 26, y - 10, fill);
    if (tree->token[i] == SD_NO_TOKEN)
        write_text(w, "<text x=\"%d\" y=\"%d\">&#183;</text>", x, y + 4);
    else
        write_text(w, "<text x=\"%d\" y=\"%d\">%d</text>", x, y + 4, tree->token[i]);
}

size_t sd_tree_svg(const sd_tree *tree, char *text, size_t capacity) {
    writer w = {.text = text, .capacity = capacity};
    int y[SD_TREE_MAX_NODES];
    int row = tree->n_nodes > LABELLED ? 8 : ROW;
    int width = 2 * MARGIN + tree->max_depth * COLUMN, height = 2 * MARGIN;
    place(tree, row, y);
    height += (tree->n_leaves - 1) * row;
    write_text(&w,
               "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
               "viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"11\" "
               "text-anchor=\"middle\" fill=\"#1b2631\"><g fill=\"none\" stroke=\"#8a97a3\">",
               width, height, width, height);
    for (int i = 1; i < tree->n_nodes; i++) {
        int from = MARGIN + tree->depth[tree->parent[i]] * COLUMN, to = from + COLUMN;
        write_text(&w, "<path d=\"M%d %dC%d %d %d %d %d %d\"/>", from, y[tree->parent[i]],
                   from + COLUMN / 2, y[tree->parent[i]], to - COLUMN / 2, y[i], to, y[i]);
    }
    write_text(&w, "</g>");
    for (int i = 0; i < tree->n_nodes; i++)
        draw_node(&w, tree, i, MARGIN + tree->depth[i] * COLUMN, y[i]);
    write_text(&w, "</svg>");
    return w.length;
}
