#include "core/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char detail[SD_DETAIL_BYTES];

sd_status sd_fail(sd_status status, const char *format, ...) {
    char text[SD_DETAIL_BYTES]; /* an argument may be the last detail itself */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    memcpy(detail, text, sizeof detail);
    return status;
}

const char *sd_status_detail(void) {
    return detail;
}

const char *sd_status_text(sd_status status) {
    static const char *const texts[] = {
#define SD_STATUS_TEXT(name, text) text,
        SD_STATUS_LIST(SD_STATUS_TEXT)
#undef SD_STATUS_TEXT
    };
    return texts[status];
}
