"""The small models that ship with the project: their text, training, benchmark and quality.

`sources` and `text` collect natural text, `tasks` makes exercises, `mixture` and `batches` put both
in order, `model` and `train` turn them into a target and `distill` into its draft; `bench` writes
prompts that neither has seen, and `quality` and `card` say how good they are. What needs the
packages of the extra `train` is imported only by what makes models.
"""
