#include "spec/length.h"

#include <stdbool.h>
#include <string.h>

#define FADE 0.98
/* Somebody may hold the processor up in the middle of what is measured. Such a time must not keep a
 * length out for good: it counts as OFF times what was usual, it is corrected by the first that is
 * OFF times shorter, and what was not tried for long is FORGOTTEN. */
#define OFF 2
#define FORGOTTEN 0.3

sd_status sd_length_schedule_find(const char *name, sd_length_schedule *schedule) {
    static const char *const names[] = {"constant", "heuristic", "adaptive"};
    for (int i = 0; i < 3; i++)
        if (strcmp(name, names[i]) == 0) {
            *schedule = (sd_length_schedule)i;
            return SD_OK;
        }
    return sd_fail(SD_BAD_ARGUMENT, "schedule '%s': use constant, heuristic or adaptive", name);
}

sd_status sd_length_options_check(const sd_length_options *o) {
    SD_REQUIRE(o->num_tokens >= 1 && o->num_tokens <= SD_LENGTH_MAX, BAD_ARGUMENT,
               "num_tokens is %d: it must be from 1 to %d", o->num_tokens, SD_LENGTH_MAX);
    SD_REQUIRE(o->most >= o->num_tokens && o->most <= SD_LENGTH_MAX, BAD_ARGUMENT,
               "max_tokens is %d: it must be from num_tokens, %d, to %d", o->most, o->num_tokens,
               SD_LENGTH_MAX);
    return SD_OK;
}

void sd_length_start(sd_length *l, const sd_length_options *options) {
    memset(l, 0, sizeof *l);
    l->options = *options;
    l->now = options->num_tokens;
}

/* Seconds of a round with that many rows: measured, or as the nearest that was, fewer rows first.
 */
static double seconds_of(const sd_length *l, int rows) {
    for (int n = rows; n > 0; n--)
        if (l->rounds[n] > FORGOTTEN)
            return l->round_seconds[n] / l->rounds[n];
    for (int n = rows + 1; n <= l->options.most + 1; n++)
        if (l->rounds[n] > FORGOTTEN)
            return l->round_seconds[n] / l->rounds[n];
    return 1;
}

static int best_length(const sd_length *l) {
    double tokens = 1, reach = 1, best_rate = 0;
    double step = l->steps > 0 ? l->step_seconds / l->steps : 0;
    int best = 1;
    for (int n = 1; n <= l->options.most; n++) {
        reach *= (l->kept[n - 1] + 1) / (l->tried[n - 1] + 1.25); /* unknown: 0.8 */
        tokens += reach;
        double rate = tokens / (seconds_of(l, n + 1) + n * step);
        if (rate > best_rate) {
            best_rate = rate;
            best = n;
        }
    }
    return best;
}

/* n more steps that took `seconds` together. */
static void measure(double *sum_seconds, double *sum, int n, double seconds) {
    double usual = *sum_seconds > 0 ? *sum_seconds / *sum * n : seconds;
    if (seconds * OFF < usual)
        *sum = *sum_seconds = 0;
    *sum += n;
    *sum_seconds += seconds < usual * OFF ? seconds : usual * OFF;
}

static void count(sd_length *l, int n_drafted, int n_accepted, double draft_seconds,
                  double target_seconds) {
    for (int i = 0; i < l->options.most; i++) {
        bool was_tried = i < n_drafted && i <= n_accepted;
        l->tried[i] = l->tried[i] * (was_tried ? FADE : 1) + was_tried;
        l->kept[i] = l->kept[i] * (was_tried ? FADE : 1) + (was_tried && i < n_accepted);
    }
    for (int n = 1; n <= l->options.most + 1; n++) {
        l->rounds[n] *= FADE;
        l->round_seconds[n] *= FADE;
    }
    l->steps *= FADE;
    l->step_seconds *= FADE;
    measure(&l->round_seconds[n_drafted + 1], &l->rounds[n_drafted + 1], 1, target_seconds);
    measure(&l->step_seconds, &l->steps, n_drafted, draft_seconds);
}

void sd_length_observe(sd_length *l, int n_drafted, int n_accepted, double draft_seconds,
                       double target_seconds) {
    const sd_length_options *o = &l->options;
    if (n_drafted < 1 || n_drafted > o->most || o->schedule == SD_LENGTH_CONSTANT)
        return;
    if (o->schedule == SD_LENGTH_HEURISTIC) {
        int next = n_accepted == n_drafted ? l->now + 2 : l->now - 1;
        l->now = next < 1 ? 1 : next < o->most ? next : o->most;
        return;
    }
    count(l, n_drafted, n_accepted, draft_seconds, target_seconds);
    l->now = best_length(l);
}
