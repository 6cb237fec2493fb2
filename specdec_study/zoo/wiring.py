"""Begins a model with heads that copy, so that a short training need not discover them.

Copying from the context takes two heads in a row (Olsson et al., In-context Learning and Induction
Heads, 2022): one that tells each place the token before it, and one that looks for places whose
previous token is the present one, and predicts what stands there. Training finds this pair late and
all at once; in an hour on a processor it may not find it at all. Here the first two layers get it
as their random weights' starting point. Nothing is fixed: training changes it like all else.
"""

import torch
from torch import Tensor

from specdec_study.zoo.model import Attention, Decoder

# Lanes of the rotary embedding by their angle per place, in radians: fast ones tell neighbours
# apart, slow ones compare content across hundreds of places.
FAST, SLOW = 0.05, 0.004
SHARPNESS = 2.0  # of both layers' attention, in the norms of queries and of keys
FLAG = 0.6  # of an embedding's length: its lane 0, which all tokens have in common
HANDED_ON, COPIED = 0.15, 5.0  # strengths of the two heads' outputs


def look_back(attention: Attention, angles: Tensor, key: slice, query: slice) -> None:
    """From lane 0 alone, a query that fits the key of the place before best."""
    fast = (angles > FAST).float() / 4
    attention.k_proj.weight[key, 0] = torch.cat([fast, 0 * fast])
    attention.q_proj.weight[query, 0] = torch.cat([fast * angles.cos(), -fast * angles.sin()])
    attention.v_proj.weight[key, 0] = 0


def look_up(
    attention: Attention, before: Attention, angles: Tensor, key: slice, query: slice
) -> None:
    """Keys read what the head before has handed on; queries read the present token likewise."""
    slow = (angles < SLOW).float().repeat(2)[:, None]
    attention.k_proj.weight[key] = slow * before.o_proj.weight[:, query].T / HANDED_ON
    attention.q_proj.weight[query] = slow * before.v_proj.weight[key]
    attention.v_proj.weight[key, 0] = 0
    attention.o_proj.weight[:, query] = attention.v_proj.weight[key].T * COPIED


@torch.no_grad()
def wire(model: Decoder) -> None:
    """One pair of heads for every key-value head, each for its own part of the embedding."""
    shape = model.shape
    if shape.n_layers < 2:
        return
    first, second = (model.model.layers[i].self_attn for i in range(2))
    angles, size = model.angles[1], shape.head_dim
    pairs = min(shape.n_kv_heads, shape.hidden // size)
    model.model.embed_tokens.weight[:, 0] = FLAG * 0.02 * shape.hidden**0.5
    places = torch.linalg.qr(torch.randn(shape.hidden, size * pairs))[0]
    places[0] = 0
    for pair in range(pairs):
        key = slice(pair * size, (pair + 1) * size)
        start = pair * size * (shape.n_heads // shape.n_kv_heads)
        query = slice(start, start + size)
        look_back(first, angles, key, query)
        first.o_proj.weight[:, query] = HANDED_ON * places[:, key]
        look_up(second, first, angles, key, query)
    for attention in (first, second):
        attention.q_norm.weight.fill_(SHARPNESS)
        attention.k_norm.weight.fill_(SHARPNESS)
