/* Failures as values. Every function that can fail returns an sd_status and writes its results
 * through pointers; the sentence that explains the failure waits in a thread-local line until the
 * caller asks for it. Nothing in the library prints, exits or aborts. */
#ifndef SPECDEC_CORE_STATUS_H
#define SPECDEC_CORE_STATUS_H

/* name, what it means to a caller who has no detail */
#define SD_STATUS_LIST(X)                                                                          \
    X(OK, "no failure")                                                                            \
    X(BAD_ARGUMENT, "an argument has a value that is not allowed")                                 \
    X(BAD_FILE, "a file does not hold what it should")                                             \
    X(IO, "the operating system refused a read or a write")                                        \
    X(NO_MEMORY, "memory ran out")                                                                 \
    X(UNSUPPORTED, "this build or machine cannot do that")                                         \
    X(DEVICE, "a device failed")                                                                   \
    X(CALLBACK, "the caller's own code failed")

typedef enum {
#define SD_STATUS_ENUM(name, text) SD_##name,
    SD_STATUS_LIST(SD_STATUS_ENUM)
#undef SD_STATUS_ENUM
} sd_status;

#define SD_DETAIL_BYTES 512

/* Keeps the formatted sentence for sd_status_detail(), which may be one of its arguments, and
 * returns `status`. */
sd_status sd_fail(sd_status status, const char *format, ...)
    __attribute__((format(printf, 2, 3), cold));

/* The sentence of this thread's last failure. Valid until the next failure on this thread. */
const char *sd_status_detail(void);

/* What a status means in general. */
const char *sd_status_text(sd_status status);

/* For what a caller or a file can get wrong; `assert` is for what only this library can get wrong.
 */
#define SD_REQUIRE(condition, kind, ...)                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return sd_fail(SD_##kind, __VA_ARGS__);                                                \
    } while (0)

#define SD_TRY(call)                                                                               \
    do {                                                                                           \
        sd_status sd_try_status_ = (call);                                                         \
        if (sd_try_status_ != SD_OK)                                                               \
            return sd_try_status_;                                                                 \
    } while (0)

#endif
