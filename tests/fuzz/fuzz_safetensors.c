/* Any bytes as a safetensors file: what is accepted has tensors that lie inside, in the order of
 * their names, of the size that their shapes say, and they fill the data. The input is placed at an
 * odd address, at which its tensors may lie. */
#include <stdlib.h>
#include <string.h>

#include "io/bytes.h"
#include "io/safetensors.h"

static volatile float last_read;

static void check(const sd_tensor *tensor, const uint8_t *file, size_t n_file) {
    const uint8_t *bytes = tensor->bytes;
    size_t n = 1, name_bytes = strlen(tensor->name);
    if (name_bytes == 0 || name_bytes >= SD_TENSOR_NAME_BYTES || tensor->n_dims < 0 ||
        tensor->n_dims > SD_TENSOR_MAX_DIMS)
        abort();
    if (bytes < file || tensor->n_bytes > (size_t)(file + n_file - bytes))
        abort();
    for (int i = 0; i < tensor->n_dims; i++)
        n *= (size_t)tensor->dims[i];
    if (tensor->is_readable && n * sd_dtype_bytes(tensor->dtype) != tensor->n_bytes)
        abort();
    for (size_t i = 0; tensor->is_readable && i < n; i += 1 + n / 8)
        last_read = sd_number_at(bytes, tensor->dtype, i);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    uint8_t *room = malloc(n_bytes + 1);
    sd_safetensors file;
    if (room == NULL)
        return 0;
    if (n_bytes > 0)
        memcpy(room + 1, bytes, n_bytes);
    if (sd_safetensors_parse(room + 1, n_bytes, &file) == SD_OK) {
        size_t n_data = 0;
        for (int i = 0; i < file.n_tensors; i++) {
            check(&file.tensor[i], room + 1, n_bytes);
            n_data += file.tensor[i].n_bytes;
            if (i > 0 && strcmp(file.tensor[i - 1].name, file.tensor[i].name) >= 0)
                abort();
        }
        if (n_data != n_bytes - 8 - sd_little_endian(bytes, 8))
            abort();
        sd_safetensors_free(&file);
    }
    free(room);
    return 0;
}
