"""The structs of csrc/backend/backend.h and the functions of its table, for ctypes."""

import ctypes
from typing import Any

F32, BF16, F16 = range(3)  # sd_dtype
STORE, ADD, GATED = range(3)  # sd_linear_kind
ALL_ROWS, OUTPUT_ROWS = range(2)  # sd_row_set

Int, Float, Bool, Size, Address = (
    ctypes.c_int, ctypes.c_float, ctypes.c_bool, ctypes.c_size_t, ctypes.c_void_p,
)  # fmt: skip


class Matrix(ctypes.Structure):  # sd_matrix
    _fields_ = [("dtype", Int), ("n_out", Int), ("n_in", Int), ("data", Address)]


class MatrixPart(ctypes.Structure):  # sd_matrix_part
    _fields_ = [
        ("rows", Address), ("dtype", Int), ("n_rows", Int), ("first_group", Int),
        ("group_step", Int),
    ]  # fmt: skip


class Drawn(ctypes.Structure):  # sd_drawn
    _fields_ = [
        ("seed", ctypes.c_uint64), ("tensor", ctypes.c_uint64), ("offset", Float),
        ("scale", Float),
    ]  # fmt: skip


class DrawnPart(ctypes.Structure):  # sd_drawn_part
    _fields_ = [("tensor", Drawn), ("n_rows", Int), ("first_group", Int), ("group_step", Int)]


class Linear(ctypes.Structure):  # sd_linear
    _fields_ = [
        ("matrix", ctypes.POINTER(Matrix)), ("bias", Address), ("input", Address),
        ("in_stride", Size), ("kind", Int), ("out", Address), ("out_stride", Size),
        ("out_width", Int),
    ]  # fmt: skip


class Head(ctypes.Structure):  # sd_head
    _fields_ = [
        ("matrix", ctypes.POINTER(Matrix)), ("input", Address), ("in_stride", Size),
        ("n_out", Int), ("logits", Address), ("k", Int), ("index", Address), ("value", Address),
    ]  # fmt: skip


class Shape(ctypes.Structure):  # sd_kv_shape
    _fields_ = [
        ("dtype", Int), ("n_heads", Int), ("n_kv_heads", Int), ("head_dim", Int),
        ("capacity", Int),
    ]  # fmt: skip


class Span(ctypes.Structure):  # sd_span
    _fields_ = [
        ("first_row", Int), ("n_rows", Int), ("kv", Address), ("n_all", Int),
        ("first_slot", Int), ("first", Address), ("visible", Address), ("n_words", Int),
    ]  # fmt: skip


class Step(ctypes.Structure):  # sd_step
    _fields_ = [
        ("kind", ctypes.c_uint64), ("n_rows", Int), ("token", Address), ("cosine", Address),
        ("sine", Address), ("n_spans", Int), ("spans", ctypes.POINTER(Span)),
        ("near_spans", ctypes.POINTER(Span)), ("n_outputs", Int), ("output_rows", Address),
        ("is_prompt", Bool),
    ]  # fmt: skip


class Place(ctypes.Structure):  # sd_place_in_cache
    _fields_ = [("shape", ctypes.POINTER(Shape)), ("kv_offset", Size), ("is_near", Bool)]


class Enter(ctypes.Structure):  # sd_enter
    _fields_ = [
        ("place", Place), ("qkv", Address), ("stride", Size), ("k_column", Int),
        ("v_column", Int), ("q_norm", Address), ("k_norm", Address), ("epsilon", Float),
        ("q", Address),
    ]  # fmt: skip


class Attention(ctypes.Structure):  # sd_attention
    _fields_ = [("place", Place), ("q", Address), ("out", Address), ("out_stride", Size)]


class Norm(ctypes.Structure):  # sd_norm
    _fields_ = [
        ("x", Address), ("x_stride", Size), ("rows", Int), ("weight", Address), ("width", Int),
        ("epsilon", Float), ("out", Address), ("dtype", Int), ("out_stride", Size),
    ]  # fmt: skip


class Layers(ctypes.Structure):  # sd_kv_layers
    _fields_ = [("shape", ctypes.POINTER(Shape)), ("n_layers", Int), ("layer_bytes", Size)]


class Limits(ctypes.Structure):  # sd_limits
    _fields_ = [
        ("shape", Shape), ("n_rows", Int), ("n_words", Int), ("n_spans", Int), ("vocab", Int),
        ("n_judged", Int),
    ]  # fmt: skip


class Tree(ctypes.Structure):  # sd_tree
    _fields_ = [
        ("n_nodes", Int), ("n_leaves", Int), ("max_depth", Int), ("token", Address),
        ("parent", Address), ("depth", Address), ("child_start", Address), ("child", Address),
    ]  # fmt: skip


class Sampling(ctypes.Structure):  # sd_sampling
    _fields_ = [("temperature", Float), ("top_k", Int), ("top_p", Float), ("min_p", Float)]


class Rule(ctypes.Structure):  # sd_rule
    _fields_ = [
        ("method", Int), ("sampling", Sampling), ("replacement", Bool), ("epsilon", Float),
        ("delta", Float), ("seed", ctypes.c_uint64),
    ]  # fmt: skip


class Draft(ctypes.Structure):  # sd_draft
    _fields_ = [
        ("kind", Int), ("probs", Address), ("ids", Address), ("probs_stride", ctypes.c_ssize_t),
        ("ids_stride", ctypes.c_ssize_t), ("width", Int), ("n_rows", Int),
    ]  # fmt: skip


class VerifyInput(ctypes.Structure):  # sd_verify_input
    _fields_ = [
        ("tree", ctypes.POINTER(Tree)), ("logits", Address),
        ("logits_stride", ctypes.c_ssize_t), ("vocab", Int), ("draft", Draft),
        ("request", ctypes.c_uint64), ("position", ctypes.c_uint32),
        ("first_row", ctypes.c_long),
    ]  # fmt: skip


class Verdict(ctypes.Structure):  # sd_verdict
    _fields_ = [
        ("n_accepted", Int), ("bonus", Int), ("path", Address), ("outcome", Address),
        ("p", Address),
    ]  # fmt: skip


class Judged(ctypes.Structure):  # sd_judged
    _fields_ = [
        ("rule", ctypes.POINTER(Rule)), ("input", ctypes.POINTER(VerifyInput)),
        ("first_row", Int), ("verdict", ctypes.POINTER(Verdict)),
    ]  # fmt: skip


def function(result: Any, *arguments: Any) -> Any:
    return ctypes.CFUNCTYPE(result, *arguments)


P = ctypes.POINTER


class Table(ctypes.Structure):  # sd_backend
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("prompt_rows", Int),
        ("prompt_rows_fixed", Bool),
        ("close", Address),
        ("alloc", function(Int, Address, Size, P(Address))),
        ("release", function(None, Address, Address)),
        ("upload", function(None, Address, Address, Address, Size)),
        ("reserve", function(Int, Address, P(Limits))),
        ("matrix_bytes", function(Size, P(Matrix))),
        ("fill", function(Int, Address, P(Matrix), P(MatrixPart))),
        ("draw", function(Int, Address, P(Matrix), P(DrawnPart))),
        ("kv_bytes", function(Size, P(Shape))),
        ("query_bytes", function(Size, P(Shape), Int)),
        ("begin", function(Int, Address, P(Step))),
        ("end", function(None, Address)),
        ("finish", function(Int, Address)),
        ("embed", function(None, Address, P(Matrix), Address, Size)),
        ("norm", function(None, Address, P(Norm))),
        ("linear", function(None, Address, P(Linear))),
        ("head", function(None, Address, P(Head))),
        ("enter", function(None, Address, P(Enter))),
        ("attention", function(None, Address, P(Attention))),
        ("write_rows", function(None, Address, Address, Size, Address, Int)),
        ("read_rows", function(None, Address, Address, Address, Size, Int, Int)),
        ("verify", function(None, Address, P(Judged), Int)),
        ("move", function(None, Address, P(Layers), Address, Address, Address, Int)),
        ("copy", function(None, Address, P(Layers), Address, Address, Int)),
    ]


SIZES = {
    "sd_backend": Table, "sd_matrix": Matrix, "sd_matrix_part": MatrixPart, "sd_linear": Linear,
    "sd_head": Head, "sd_kv_shape": Shape, "sd_span": Span, "sd_step": Step,
    "sd_place_in_cache": Place, "sd_enter": Enter, "sd_attention": Attention, "sd_norm": Norm,
    "sd_kv_layers": Layers, "sd_limits": Limits, "sd_drawn": Drawn, "sd_drawn_part": DrawnPart,
    "sd_tree": Tree, "sd_rule": Rule, "sd_verify_input": VerifyInput, "sd_verdict": Verdict,
    "sd_judged": Judged,
}  # fmt: skip
