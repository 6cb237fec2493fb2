/* Functions over lanes, for files that have included one of the lanes_*.h. */
#ifndef SPECDEC_CORE_LANES_MATH_H
#define SPECDEC_CORE_LANES_MATH_H

/* 2^t for t in [-125, 125]: 2^f = 1 + f P(f) on [-1/2, 1/2], relative error below 1e-7. */
static inline vf vf_exp2(vf t) {
    vf n = vf_round(t), f = vf_sub(t, n);
    vf y = vf_set(0x1.5bba14p-10f);
    y = vf_fma(y, f, vf_set(0x1.3cea88p-7f));
    y = vf_fma(y, f, vf_set(0x1.c6b752p-5f));
    y = vf_fma(y, f, vf_set(0x1.ebf9bcp-3f));
    y = vf_fma(y, f, vf_set(0x1.62e42ap-1f));
    y = vf_fma(y, f, vf_set(1.0f));
    return vf_scale(y, n);
}

/* As vf_exp2 for t up to 125, 0 below -125, NaN for a NaN. */
static inline vf vf_exp2_or_0(vf t) {
    return vf_select(vf_gt(vf_set(-125.0f), t), vf_set(0), vf_exp2(t));
}

#endif
