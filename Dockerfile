# Not built yet: no Docker daemon was at hand. Its pip commands, but for PyTorch's own index, were run on Debian 12, 2026-11-30.
#
# docker build -t rlparity .
# docker build -t rlparity:cuda --build-arg DEVICE=cuda .
# docker run --rm -v "$PWD:/work" rlparity run cartpole               # results and reports are made where you are
# docker run --rm --gpus all -v "$PWD:/work" rlparity:cuda run gpu

FROM python:3.11-slim-bookworm

# cpu: PyTorch's build for CPUs. cuda: that of PyPI, with CUDA's libraries.
ARG DEVICE=cpu

# EGL draws films and pictures of MuJoCo without a display.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends libegl1 libgl1-mesa-dri \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /opt/rlparity
COPY requirements.lock .
RUN if [ "$DEVICE" = cpu ]; then \
      pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu "$(grep '^torch==' requirements.lock)"; \
    fi \
 && pip install --no-cache-dir -r requirements.lock
COPY . .
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

# For users without a home folder, as with `docker run --user`.
ENV HOME=/tmp OMP_NUM_THREADS=1
WORKDIR /work
ENTRYPOINT ["rlparity"]
CMD ["--help"]
