"""Looking inside: gradient checks and summaries."""

from xpnn.diagnostics.gradcheck import GradientCheck, gradcheck

__all__ = ["GradientCheck", "gradcheck"]
