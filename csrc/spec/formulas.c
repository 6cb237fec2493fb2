#include "spec/formulas.h"

static sd_status check(double acceptance, int num_tokens) {
    SD_REQUIRE(acceptance >= 0 && acceptance <= 1, BAD_ARGUMENT,
               "acceptance is %g: a probability is from 0 to 1", acceptance);
    SD_REQUIRE(num_tokens >= 0, BAD_ARGUMENT, "num_tokens is %d: it cannot be negative",
               num_tokens);
    return SD_OK;
}

static sd_status check_cost(double cost_ratio) {
    SD_REQUIRE(cost_ratio >= 0 && cost_ratio < 1e9, BAD_ARGUMENT,
               "cost_ratio is %g: it must be finite and not negative", cost_ratio);
    return SD_OK;
}

sd_status sd_expected_tokens(double acceptance, int num_tokens, double *tokens) {
    SD_TRY(check(acceptance, num_tokens));
    /* The sum a^0 + .. + a^K: exact at a = 1, where the closed form divides 0 by 0. */
    double sum = 1, power = 1;
    for (int i = 0; i < num_tokens && power > 0; i++) {
        power *= acceptance;
        sum += power;
    }
    *tokens = sum;
    return SD_OK;
}

sd_status sd_expected_speedup(double acceptance, int num_tokens, double cost_ratio,
                              double *speedup) {
    SD_TRY(check_cost(cost_ratio));
    SD_TRY(sd_expected_tokens(acceptance, num_tokens, speedup));
    *speedup /= num_tokens * cost_ratio + 1;
    return SD_OK;
}

sd_status sd_optimal_length(double acceptance, double cost_ratio, int max_tokens,
                            int *num_tokens) {
    SD_TRY(check(acceptance, max_tokens));
    SD_TRY(check_cost(cost_ratio));
    double best = 1, sum = 1, power = 1;
    *num_tokens = 0;
    for (int k = 1; k <= max_tokens; k++) {
        power *= acceptance;
        sum += power;
        double speedup = sum / (k * cost_ratio + 1);
        if (speedup > best) {
            best = speedup;
            *num_tokens = k;
        }
    }
    return SD_OK;
}
