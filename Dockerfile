# mrspipe as a BIDS App: docker run --rm -v STUDY:/data:ro -v OUT:/out mrspipe /data /out [participant|group]
# Versions are arguments, so that a build can be repeated: docker build --build-arg PYTHON=3.11.9-slim-bookworm .
ARG PYTHON=3.11-slim-bookworm

FROM python:${PYTHON} AS wheel
ARG HATCHLING=1.27.0
ARG BUILD=1.2.2
WORKDIR /source
RUN pip install --no-cache-dir "build==${BUILD}" "hatchling==${HATCHLING}"
COPY pyproject.toml README.md LICENSE ./
COPY configs configs
COPY synthetic_data synthetic_data
COPY mrspipe mrspipe
RUN python -m build --wheel --no-isolation --outdir /wheels

FROM python:${PYTHON}
LABEL org.opencontainers.image.title="mrspipe" \
      org.opencontainers.image.source="https://github.com/mrspipe/mrspipe" \
      org.opencontainers.image.licenses="BSD-3-Clause"
COPY --from=wheel /wheels /wheels
RUN pip install --no-cache-dir "$(echo /wheels/mrspipe-*.whl)[vendor]" && rm -r /wheels
# One thread for linear algebra in each process; caches where any user may write.
ENV OMP_NUM_THREADS=1 \
    OPENBLAS_NUM_THREADS=1 \
    MPLCONFIGDIR=/tmp/matplotlib \
    HOME=/tmp
RUN useradd --create-home --home-dir /home/mrspipe --uid 1000 mrspipe
USER mrspipe
WORKDIR /out
ENTRYPOINT ["mrspipe", "run"]
CMD ["--help"]
