"""Models on their way in and out: ONNX, the weights of other libraries, programs that stand alone."""

from xpnn.interchange.onnx_export import save_onnx

__all__ = ["save_onnx"]
