"""What CuPy arrays get beyond CuPy: CUDA kernels, matrix products by cuBLASLt, and whole steps recorded as graphs."""
