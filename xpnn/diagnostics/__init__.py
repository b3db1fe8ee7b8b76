"""Looking inside: gradient checks, one step laid bare, summaries."""

from xpnn.diagnostics.explain import Explanation, LayerReport, ParameterReport, explain
from xpnn.diagnostics.gradcheck import GradientCheck, gradcheck
from xpnn.diagnostics.trace import Trace, Visit, trace

__all__ = [
    "Explanation",
    "GradientCheck",
    "LayerReport",
    "ParameterReport",
    "Trace",
    "Visit",
    "explain",
    "gradcheck",
    "trace",
]
