"""What NumPy arrays get beyond NumPy: kernels that pass over memory fewer times, in NumPy and in numba (`fast`)."""
