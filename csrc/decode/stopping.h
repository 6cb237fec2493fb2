/* Where a text ends. */
#ifndef SPECDEC_DECODE_STOPPING_H
#define SPECDEC_DECODE_STOPPING_H

#include <stdint.h>

#include "core/status.h"

typedef enum { SD_GOES_ON, SD_STOPPED, SD_AT_LENGTH } sd_finish;

/* What ends the texts of a call; arrays are borrowed. */
typedef struct {
    int max_tokens; /* generated; at least 1 */
    const int32_t *ids;
    int n_ids;
    const int32_t *sequence;       /* stop sequences, one after the other */
    const int32_t *sequence_start; /* [n_sequences + 1] */
    int n_sequences;
} sd_stopping;

sd_status sd_stopping_check(const sd_stopping *stopping);

/* The text's tokens from n_old on are new, n_prompt of all are the prompt. The number of tokens
 * that remain: up to and with what ends it, if anything does. */
int sd_stopping_find(const sd_stopping *stopping, const int32_t *text, int n_prompt, int n_old,
                     int n_text, sd_finish *finish);

#endif
