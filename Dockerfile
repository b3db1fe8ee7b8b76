# xpnn in a container. Build and use:
#
#   docker build -t xpnn .                                                    # NumPy and numba, about 0.5 GB
#   docker build -t xpnn:cuda --build-arg BASE=nvidia/cuda:13.0.1-devel-ubuntu24.04 --build-arg EXTRAS=cuda13,plot .
#   docker run --rm -v "$PWD:/work" xpnn train                                # the README's commands, without `xpnn`
#   docker run --rm --gpus all -v "$PWD:/work" xpnn:cuda train --backend cupy
#
# CUDA's image has the headers and the compiler that CuPy's kernels are compiled with, and needs the NVIDIA Container
# Toolkit on the host. Neither image was built by the tests: they have no Docker.
ARG BASE=python:3.13-slim
FROM ${BASE}
ARG EXTRAS=fast,plot,tables

# CUDA's images have no Python of their own; python:slim has.
RUN command -v pip >/dev/null || \
    (apt-get update && apt-get install -y --no-install-recommends python3 python3-pip python3-venv && \
     rm -rf /var/lib/apt/lists/*)
RUN python3 -m venv /opt/xpnn
ENV PATH=/opt/xpnn/bin:$PATH PYTHONUNBUFFERED=1

COPY pyproject.toml README.md LICENSE /src/
COPY xpnn /src/xpnn
RUN pip install --no-cache-dir "/src[${EXTRAS}]"

RUN useradd --create-home xpnn && mkdir /work && chown xpnn /work
USER xpnn
WORKDIR /work
ENTRYPOINT ["xpnn"]
CMD ["--help"]
