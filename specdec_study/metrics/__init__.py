"""From records to numbers: pure functions, which need neither a model nor a clock.

`schema` says what there is and how it is defined; `measure` makes the whole of metrics.json.
"""

from specdec_study.metrics.schema import Metrics
from specdec_study.metrics.whole import measure

__all__ = ["Metrics", "measure"]
