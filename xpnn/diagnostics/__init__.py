"""Diagnostics: gradient checks, one step explained, backends side by side, summaries, the learning-rate finder."""

from xpnn.diagnostics.compare import BackendGap, Comparison, Gap, LayerGap, compare_backends
from xpnn.diagnostics.explain import Explanation, LayerReport, ParameterReport, explain
from xpnn.diagnostics.find_lr import RateSweep, find_lr
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
    "RateSweep",
    "Trace",
    "Visit",
    "compare_backends",
    "explain",
    "find_lr",
    "gradcheck",
    "trace",
]
