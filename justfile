# Commands for contributors. `just` lists them. Durations are for two cores, after the dependencies are compiled once;
# the first build takes minutes more.

# List the commands.
default:
    @just --list

# Build the binary (debug). Minutes.
build:
    cargo build --locked

# Run all tests and doctests. Minutes.
test:
    cargo nextest run --workspace --locked
    cargo test --workspace --doc --locked

# Run the tests whose name contains NAME, for example `just test-one the_demo`. Minutes, mostly for the build.
test-one NAME:
    cargo nextest run --workspace --locked {{NAME}}

# Check format, lints and the documentation build. Minutes.
lint:
    cargo fmt --all -- --check
    cargo clippy --workspace --all-targets --locked -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked --quiet

# Run the tests, then review changed snapshots one by one. Minutes; needs cargo-insta.
snapshots:
    cargo insta test --workspace --review

# Run storms from seed 1 in an optimised build, whose profile is for them. The end prints how many ran a second.
storms COUNT="1000":
    LANDFALL_STORMS={{COUNT}} cargo test --profile soak --locked -p landfall-steps --test survival storms -- --nocapture

# Replay one storm and print what happens. Minutes, mostly for the build.
storm SEED:
    LANDFALL_STORM={{SEED}} cargo test --locked -p landfall-steps --test survival storms_pass -- --nocapture

# Continue from every crash point of an `up`, a `down` and two rotations. Minutes.
sweeps:
    cargo test --locked -p landfall-steps --test survival sweep -- --nocapture
    cargo test --locked -p landfall-steps --test survival rotations -- --nocapture

# Feed the corpus and INPUTS mutations to each fuzz target. 100 inputs: 4 s on an idle machine, a minute on a busy one.
fuzz-short INPUTS="100":
    LANDFALL_FUZZ={{INPUTS}} cargo test --release --locked --workspace --test short

# Build the API documentation and open it. Minutes.
docs:
    cargo doc --workspace --no-deps --locked --open

# Run the scripted demo, with time scaled 60x and pauses. Minutes.
demo:
    cargo build --release --locked
    LANDFALL="$PWD/target/release/landfall" examples/demo/run.sh

# Build the archive and, for Linux, the container image of a release into target/release-files. 15 minutes.
dist TARGET="x86_64-unknown-linux-musl":
    cargo build --profile dist --locked --target {{TARGET}} --bin landfall
    cargo build --locked -p landfall-packaging
    target/debug/landfall-packaging archive --program target/{{TARGET}}/dist/landfall --target {{TARGET}} --output target/release-files
    case {{TARGET}} in *linux*) target/debug/landfall-packaging image --program target/{{TARGET}}/dist/landfall --output target/release-files ;; esac

# Build the crates from their packages, as a registry would. Minutes.
package:
    cargo package --workspace --locked --exclude landfall-fuzz --exclude landfall-packaging
