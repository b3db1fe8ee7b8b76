"""Looking inside: gradient checks, one step laid bare, backends side by side, summaries."""

from xpnn.diagnostics.compare import BackendGap, Comparison, Gap, LayerGap, compare_backends
from xpnn.diagnostics.explain import Explanation, LayerReport, ParameterReport, explain
from xpnn.diagnostics.gradcheck import GradientCheck, gradcheck
from xpnn.diagnostics.trace import Trace, Visit, trace

__all__ = [
    "BackendGap",
    "Comparison",
    "Explanation",
    "Gap",
    "GradientCheck",
    "LayerGap",
    "LayerReport",
    "ParameterReport",
    "Trace",
    "Visit",
    "compare_backends",
    "explain",
    "gradcheck",
    "trace",
]
