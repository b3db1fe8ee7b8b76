"""Looking inside: gradient checks, summaries, a sweep of learning rates."""

from xpnn.diagnostics.find_lr import RateSweep, find_lr
from xpnn.diagnostics.gradcheck import GradientCheck, gradcheck

__all__ = ["GradientCheck", "RateSweep", "find_lr", "gradcheck"]
