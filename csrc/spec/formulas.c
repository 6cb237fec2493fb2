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

/* a^0 + .. + a^num_tokens. Written with expm1, the closed form is as good near a = 1 as elsewhere.
 */
static double sum_of_powers(double a, double num_tokens) {
    return a < 1 ? -expm1((num_tokens + 1) * log(a)) / (1 - a) : num_tokens + 1;
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
    *speedup = sum_of_powers(acceptance, num_tokens) / (num_tokens * cost_ratio + 1);
    return SD_OK;
}

/* From k to k + 1 tokens the speed-up s_k / (k c + 1), s_k the sum above, grows iff
 *
 *   a^(k+1) (k c + 1) > c s_k
 *
 * and the left side less the right one falls as k grows. So the best k is the first at which this
 * fails, and bisection finds it. */
sd_status sd_optimal_length(double acceptance, double cost_ratio, int max_tokens, int *num_tokens) {
    SD_TRY(check(acceptance, cost_ratio));
    SD_TRY(check_count("max_tokens", max_tokens));
    int least = 0, most = max_tokens;
    while (least < most) {
        int k = least + (most - least) / 2;
        double gain = pow(acceptance, k + 1.0) * (k * cost_ratio + 1);
        if (gain > cost_ratio * sum_of_powers(acceptance, k))
            least = k + 1;
        else
            most = k;
    }
    *num_tokens = least;
    return SD_OK;
}
