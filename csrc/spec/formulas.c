#include "spec/formulas.h"

#include <math.h>

static sd_status check(double acceptance, double cost_ratio) {
    SD_REQUIRE(acceptance >= 0 && acceptance <= 1, BAD_ARGUMENT,
               "acceptance is %g: a probability is from 0 to 1", acceptance);
    SD_REQUIRE(cost_ratio >= 0 && cost_ratio < INFINITY, BAD_ARGUMENT,
               "cost_ratio is %g: it must be finite and not negative", cost_ratio);
    return SD_OK;
}

static sd_status check_count(const char *name, int count) {
    SD_REQUIRE(count >= 0, BAD_ARGUMENT, "%s is %d: it cannot be negative", name, count);
    return SD_OK;
}

/* a^0 + .. + a^k. Written with expm1, the closed form is as good near a = 1 as elsewhere. */
static double sum_of_powers(double a, double k) {
    return a < 1 ? -expm1((k + 1) * log(a)) / (1 - a) : k + 1;
}

static double speedup_of(double a, double k, double cost_ratio) {
    return sum_of_powers(a, k) / (k * cost_ratio + 1);
}

sd_status sd_expected_tokens(double acceptance, int num_tokens, double *tokens) {
    SD_TRY(check(acceptance, 0));
    SD_TRY(check_count("num_tokens", num_tokens));
    *tokens = sum_of_powers(acceptance, num_tokens);
    return SD_OK;
}

sd_status sd_expected_speedup(double acceptance, int num_tokens, double cost_ratio,
                              double *speedup) {
    SD_TRY(check(acceptance, cost_ratio));
    SD_TRY(check_count("num_tokens", num_tokens));
    *speedup = speedup_of(acceptance, num_tokens, cost_ratio);
    return SD_OK;
}

/* With s_k the sum above and c the cost, one more token than k helps iff
 * a^(k+1) (k c + 1) > c s_k. The left side less the right one falls as k grows, so the speed-up
 * rises up to its best k and never again: bisection finds where it ends. */
sd_status sd_optimal_length(double acceptance, double cost_ratio, int max_tokens, int *num_tokens) {
    SD_TRY(check(acceptance, cost_ratio));
    SD_TRY(check_count("max_tokens", max_tokens));
    int least = 0, most = max_tokens;
    while (least < most) {
        int k = least + (most - least) / 2;
        if (speedup_of(acceptance, k + 1.0, cost_ratio) > speedup_of(acceptance, k, cost_ratio))
            least = k + 1;
        else
            most = k;
    }
    *num_tokens = least;
    return SD_OK;
}
