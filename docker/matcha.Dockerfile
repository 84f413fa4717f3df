# Images of the MatCha service: targets torch, onnx, openvino and prepare. `make images` builds them; README.md tells the rest.
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

FROM build AS torch-venv
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=bind,from=wheels,target=/wheels \
    --mount=type=secret,id=ca,target=/run/secrets/ca.crt /install "matcha${EXTRAS:+,$EXTRAS}"

FROM build AS onnx-venv
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=bind,from=wheels,target=/wheels \
    --mount=type=secret,id=ca,target=/run/secrets/ca.crt /install "matcha-onnx${EXTRAS:+,$EXTRAS}"

FROM build AS openvino-venv
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=bind,from=wheels,target=/wheels \
    --mount=type=secret,id=ca,target=/run/secrets/ca.crt /install "matcha-openvino${EXTRAS:+,$EXTRAS}"

FROM torch-venv AS prepare-venv
ARG PREPARE=matcha-prepare
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=bind,from=wheels,target=/wheels \
    --mount=type=secret,id=ca,target=/run/secrets/ca.crt /install "$PREPARE"

# Attention in int8, compiled; the compiler stays here.
FROM build AS kernel
COPY services/matcha/attention /kernel
RUN --mount=type=cache,target=/root/.cache/pip --mount=type=bind,from=wheels,target=/wheels \
    --mount=type=secret,id=ca,target=/run/secrets/ca.crt \
    if [ -s /run/secrets/ca.crt ]; then export PIP_CERT=/run/secrets/ca.crt; fi \
    && pip install --find-links /wheels --constraint constraints.txt ziglang && python3 /kernel/build.py

# The code of this service and no other, byte-compiled.
FROM build AS app
COPY imaging /app/imaging
COPY services/__init__.py /app/services/
COPY services/wire /app/services/wire
COPY services/common /app/services/common
COPY services/torch_cpu /app/services/torch_cpu
COPY services/matcha /app/services/matcha
COPY --from=kernel /kernel /app/services/matcha/attention
RUN python3 -m compileall -q /app

FROM ${PYTHON} AS base
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="tallyglass-matcha" \
      org.opencontainers.image.description="Answers questions about charts over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --chmod=755 docker/strip /tmp/strip
RUN /tmp/strip && rm /tmp/strip
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    MATCHA_HOST=0.0.0.0 \
    MATCHA_PORT=8000 \
    MATCHA_MODEL=/model
WORKDIR /app
COPY --from=app /app /app
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=120s --start-interval=1s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f'http://127.0.0.1:{os.environ[\"MATCHA_PORT\"]}/ready', timeout=2)"]
CMD ["python", "-m", "services.matcha"]

# Makes artifacts: python -m services.matcha prepare MODEL --variant ... --out ...
FROM base AS prepare
# A volume mounted there takes over the owner.
RUN install --directory --owner=10001 --group=10001 /prepared
COPY --from=prepare-venv /opt/venv /opt/venv
RUN python -c "import services.matcha.prepare.command"
USER 10001:10001
HEALTHCHECK NONE
ENTRYPOINT ["python", "-m", "services.matcha", "prepare"]
CMD ["--help"]

# The embedded model in the forms of the images without PyTorch.
FROM prepare AS embedded
USER 0
COPY models/tiny-matcha /source
RUN python -m services.matcha prepare /source --variant onnx-fp32 --out /embedded/onnx-fp32 \
    && python -m services.matcha prepare /source --variant onnx-int8 --out /embedded/onnx-int8 \
    && chmod -R a+rX /embedded
USER 10001:10001

FROM base AS onnx
COPY --from=embedded /embedded/onnx-fp32 /embedded/onnx-fp32
COPY --from=embedded /embedded/onnx-int8 /model
COPY --from=onnx-venv /opt/venv /opt/venv
RUN python -c "import services.matcha.api, services.matcha.backends.onnx_backend"
USER 10001:10001

FROM base AS openvino
ENV MATCHA_VARIANT=openvino
COPY --from=embedded /embedded/onnx-fp32 /model
COPY --from=openvino-venv /opt/venv /opt/venv
RUN python -c "import services.matcha.api, services.matcha.backends.openvino_backend"
USER 10001:10001

FROM base AS torch
COPY models/tiny-matcha /model
COPY --from=torch-venv /opt/venv /opt/venv
RUN python -c "import services.matcha.api, services.matcha.backends.torch_backend"
USER 10001:10001
