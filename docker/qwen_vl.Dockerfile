# Images of the Qwen2-VL service: targets cpu and cuda. `make images` builds them; README.md tells the rest.
ARG PYTHON=python:3.11-slim-bookworm

# Wheels to prefer over an index: --build-context wheels=FOLDER puts them here. Empty unless a builder brings some.
FROM scratch AS wheels

# The tools of a build, none of which reaches an image: /install EXTRAS puts what extras name into /opt/venv.
FROM ${PYTHON} AS build
ARG PIP_EXTRA_INDEX_URL
ARG PIP_NO_INDEX
ARG EXTRAS
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore
RUN python3 -m venv --without-pip /opt/venv
WORKDIR /project
COPY pyproject.toml constraints.txt ./
COPY --chmod=755 docker/install /install

# PyTorch for the CPU, if the wheels folder or PIP_EXTRA_INDEX_URL offers that build.
FROM build AS cpu-venv
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=bind,from=wheels,target=/wheels \
    --mount=type=secret,id=ca,target=/run/secrets/ca.crt /install "qwen-vl${EXTRAS:+,$EXTRAS}"

# PyPI's own build of PyTorch, which brings the CUDA libraries along: no wheels folder, no other index.
FROM build AS cuda-venv
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=secret,id=ca,target=/run/secrets/ca.crt \
    PIP_EXTRA_INDEX_URL='' /install "qwen-vl${EXTRAS:+,$EXTRAS}"

# The code of this service and no other, byte-compiled.
FROM build AS app
COPY imaging /app/imaging
COPY services/__init__.py /app/services/
COPY services/wire /app/services/wire
COPY services/common /app/services/common
COPY services/torch_cpu /app/services/torch_cpu
COPY services/qwen_vl /app/services/qwen_vl
RUN python3 -m compileall -q /app

FROM ${PYTHON} AS base
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="tallyglass-qwen-vl" \
      org.opencontainers.image.description="Answers questions about images over HTTP, with the lens trace" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --chmod=755 docker/strip /tmp/strip
RUN /tmp/strip && rm /tmp/strip
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    QWEN_VL_HOST=0.0.0.0 \
    QWEN_VL_PORT=8001 \
    QWEN_VL_MODEL=/model
WORKDIR /app
COPY --from=app /app /app
# `prepare` writes there; a volume mounted there takes over the owner
RUN install --directory --owner=10001 --group=10001 /prepared
EXPOSE 8001
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s --start-interval=1s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"QWEN_VL_PORT\"]}/ready', timeout=2)"]
CMD ["python", "-m", "services.qwen_vl"]

FROM base AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY models/tiny-qwen2-vl /model
COPY --from=cuda-venv /opt/venv /opt/venv
RUN python -c "import services.qwen_vl.api, services.qwen_vl.engine"
USER 10001:10001

FROM base AS cpu
COPY models/tiny-qwen2-vl /model
COPY --from=cpu-venv /opt/venv /opt/venv
RUN python -c "import services.qwen_vl.api, services.qwen_vl.engine"
USER 10001:10001
