/* Any bytes through the JSON reader: it must end, and every text it reports lies inside the input.
 */
#include <stdlib.h>

#include "io/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n_bytes) {
    sd_json json;
    sd_json_event event = SD_JSON_NULL;
    sd_json_init(&json, (const char *)bytes, n_bytes);
    for (size_t n_events = 0; event != SD_JSON_DONE; n_events++) {
        if (sd_json_next(&json, &event) != SD_OK)
            return 0;
        bool has_text = event == SD_JSON_KEY || event == SD_JSON_STRING || event == SD_JSON_NUMBER;
        const char *end = (const char *)bytes + n_bytes;
        if (has_text &&
            (json.text < (const char *)bytes || json.text_bytes > (size_t)(end - json.text)))
            abort();
        if (json.depth < 0 || json.depth > SD_JSON_MAX_DEPTH || n_events > 2 * n_bytes + 2)
            abort();
    }
    return 0;
}
