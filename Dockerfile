# The service in a container. Needs BuildKit (docker build's default).
#   docker build -t gradus .                                                       Debian's libtorch on the CPU, Quartz
#   docker build -t gradus --build-arg PROFILE=official .                          TorchSharp on the CPU, Hangfire
#   docker build -t gradus --build-arg PROFILE=official --build-arg CUDA=true .    TorchSharp with CUDA (run with --gpus all)
ARG PROFILE=system

FROM mcr.microsoft.com/dotnet/sdk:10.0 AS sdk
FROM mcr.microsoft.com/dotnet/aspnet:10.0 AS aspnet

# System profile: Debian 12, because its libtorch-dev is the one that src/LibTorch is written for. .NET is brought in from Microsoft's images.
FROM debian:bookworm-slim AS debian
ENV DOTNET_ROOT=/usr/share/dotnet DOTNET_NOLOGO=1 DOTNET_CLI_TELEMETRY_OPTOUT=1 DOTNET_SYSTEM_GLOBALIZATION_INVARIANT=1 PATH=/usr/share/dotnet:$PATH
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates curl libssl3 libstdc++6 && rm -rf /var/lib/apt/lists/*

FROM debian AS build-system
RUN apt-get update && apt-get install -y --no-install-recommends libtorch-dev libopenblas0-pthread g++ npm && rm -rf /var/lib/apt/lists/*
COPY --from=sdk /usr/share/dotnet /usr/share/dotnet
WORKDIR /source
COPY . .
RUN ./configure.sh --torch System --jobs Quartz && dotnet publish src/Api/Api.csproj -c Release -o /app

FROM debian AS runtime-system
RUN apt-get update && apt-get install -y --no-install-recommends libtorch1.13 libopenblas0-pthread && rm -rf /var/lib/apt/lists/*
COPY --from=aspnet /usr/share/dotnet /usr/share/dotnet
COPY --from=build-system /app /app

# Official profile: the packages bring libtorch (and CUDA's libraries) with them.
FROM sdk AS build-official
ARG CUDA=false
RUN apt-get update && apt-get install -y --no-install-recommends npm gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN ./configure.sh --torch TorchSharp --jobs Hangfire $([ "$CUDA" = true ] && echo --cuda) && dotnet publish src/Api/Api.csproj -c Release -o /app

FROM aspnet AS runtime-official
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN apt-get update && apt-get install -y --no-install-recommends curl libgomp1 && rm -rf /var/lib/apt/lists/*
COPY --from=build-official /app /app

FROM runtime-${PROFILE}
RUN useradd --system --uid 10001 --no-create-home gradus && install -d -o gradus -g gradus /data
USER gradus
WORKDIR /app
VOLUME /data
# Others can reach a container: the service starts only with a key (Gradus__Keys) and a database (ConnectionStrings__Gradus).
ENV Gradus__Url=http://*:5080 Gradus__StateFolder=/data
EXPOSE 5080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 CMD curl -fsS http://localhost:5080/healthz/ready || exit 1
ENTRYPOINT ["dotnet", "Gradus.Api.dll"]
