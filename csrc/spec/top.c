#include "spec/top.h"

/* list[0 .. count) is sorted; the entry is better than the last one or there is room. */
static int insert(const float *row, int32_t *list, int count, int k, int32_t entry) {
    int i = count < k ? count : k - 1;
    for (; i > 0 && row[entry] > row[list[i - 1]]; i--)
        list[i] = list[i - 1];
    list[i] = entry;
    return count < k ? count + 1 : k;
}

void sd_row_top(const sd_rows *rows, const float *row, int n, int k, float *block_max,
                int32_t *index) {
    sd_row_max max;
    int count = 0;
    rows->max(row, n, block_max, &max);
    for (int block = 0; block < sd_row_blocks(n); block++) {
        if (count == k && !(block_max[block] > row[index[k - 1]]))
            continue;
        int end = (block + 1) * SD_ROW_BLOCK < n ? (block + 1) * SD_ROW_BLOCK : n;
        for (int i = block * SD_ROW_BLOCK; i < end; i++)
            if (row[i] > (count < k ? -__builtin_inff() : row[index[k - 1]]))
                count = insert(row, index, count, k, i);
    }
    for (; count < k; count++)
        index[count] = -1;
}
