# whither without libpcap, replaying the simulated lab run: the service `demo` of compose.yml. It can read files and watches nothing.
FROM rust:1.91-slim-bookworm AS build
WORKDIR /whither
COPY . .
RUN cargo build --release --locked --no-default-features && target/release/whither simulate /lab.pcap

FROM debian:bookworm-slim
COPY --from=build /whither/target/release/whither /usr/local/bin/whither
COPY --from=build /lab.pcap /lab.pcap
USER nobody
ENTRYPOINT ["whither", "read", "--serve", "--speed", "600", "/lab.pcap"]
