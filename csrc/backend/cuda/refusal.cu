/* The refusal of first children, for dense drafts, ahead of the walk: on a chain these are all
 * refusals there can be. */
#include "backend/cuda/refusal.cuh"

#define THREADS SD_STAGE_THREADS

/* The probability with which the path of first children to `node` is to be kept, for block
 * verification (csrc/spec/verify_block.c). 0 where it is not known. For the block's threads. */
static __device__ __forceinline__ double block_worth(const sd_cuda_laws &w, const sd_cuda_tree &t,
                                                     int node) {
    __shared__ double p[THREADS], q[THREADS], worth;
    int depth = t.depth[node], i = (int)threadIdx.x;
    if (i < depth && depth <= THREADS) {
        const sd_cuda_finding &n = w.notes[t.first_item + t.first_path[i]];
        p[i] = n.p_first;
        q[i] = n.has_mass ? n.q_first : 0;
    }
    __syncthreads();
    if (i == 0) {
        double r = depth <= THREADS ? 1 : 0;
        for (int d = 0; d < depth && r > 0; d++) {
            double next = q[d] > 0 ? r * p[d] / q[d] : 0;
            r = next < 1 ? next : 1;
        }
        worth = r;
    }
    __syncthreads();
    return worth;
}

static __device__ __forceinline__ void note_refusal(const sd_cuda_laws &w, const sd_cuda_task &k,
                                                    double unit) {
    size_t first = (size_t)k.item * w.n_blocks;
    double left = sd_ordered_sum<THREADS>(w.block_left + first, w.n_blocks);
    double q = sd_ordered_sum<THREADS>(w.block_q + first, w.n_blocks);
    if (threadIdx.x != 0)
        return;
    sd_cuda_finding &n = w.notes[k.item];
    n.unit = unit;
    n.left = left;
    n.is_q_good = sd_is_q_sum(q);
    n.has_left = true;
}

static __global__ void __launch_bounds__(THREADS) refuse(sd_cuda_laws w, const sd_cuda_job *jobs) {
    sd_wait_for_previous();
    sd_cuda_task k = sd_task_of(w, jobs);
    if (k.node < 0 || sd_n_children(*k.tree, k.node) == 0)
        return;
    const sd_cuda_tree &t = *k.tree;
    const sd_cuda_finding &n = w.notes[k.item];
    if (!n.has_spread || !(n.q_first > 0))
        return;
    double r = t.method == SD_METHOD_BLOCK ? block_worth(w, t, k.node) : 1;
    if (!(r > 0))
        return;
    double unit = n.spread / r;
    sd_block_refused b =
        sd_refuse_block(n, k.row, sd_q_row(t, k.node), w.rows.vocab, k.block, &unit, 1);
    if (sd_is_writer(w, k)) {
        w.block_left[k.at] = (double)b.left;
        w.block_q[k.at] = sd_q_of(b);
    }
    if (sd_is_last_part(w, k))
        note_refusal(w, k, unit);
}

void sd_stage_refusal(sd_cuda_stages *s, const sd_cuda_laws *w, sd_cuda_jobs jobs) {
    dim3 grid((unsigned)jobs.n, (unsigned)w->n_parts);
    if (jobs.n > 0)
        sd_stage_launch(s, refuse, grid, THREADS, *w, jobs.list);
}
