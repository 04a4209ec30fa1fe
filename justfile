# Every routine of Loadbook, one line of documentation each. The logic lives in Rust: `experiments --help`, `setup --help`.

target := env('CARGO_TARGET_DIR', justfile_directory() / 'target')
experiments := target / 'release/experiments'

set positional-arguments

[private]
default:
    @"{{ just_executable() }}" --justfile "{{ justfile() }}" --list --unsorted

# Measure everything and compile results/report.pdf (names of steps limit it to them)
[group('notebook')]
[no-exit-message]
all *STEPS: setup _build
    @"{{ experiments }}" run --profile full "$@"

# The same in three minutes: small data, short windows, no verdict to rely on
[group('notebook')]
[no-exit-message]
quick *STEPS: setup _build
    @"{{ experiments }}" run --profile quick "$@"

# Compile results/report.pdf from the results that are there
[group('notebook')]
[no-exit-message]
report *ARGUMENTS: _build
    @"{{ experiments }}" report "$@"

# Write results/report.html: the same as one page for browsers, with everything in it
[group('notebook')]
[no-exit-message]
html *ARGUMENTS: _build
    @"{{ experiments }}" html "$@"

# Serve the notebook on http://127.0.0.1:8090: it follows the run and every edit of report-src/
[group('notebook')]
[no-exit-message]
notebook *ARGUMENTS: _build
    @"{{ experiments }}" notebook "$@"

# Print the summaries of the results as tables
[group('notebook')]
[no-exit-message]
results *ARGUMENTS: _build
    @"{{ experiments }}" results "$@"

# Say which steps are fresh, stale, failed or never run, and why
[group('notebook')]
[no-exit-message]
status *ARGUMENTS: _build
    @"{{ experiments }}" status "$@"

# Say what changed since a step was measured, with the old and the new
[group('notebook')]
[no-exit-message]
why STEP: _build
    @"{{ experiments }}" why "$@"

# Draw what the last run spent its time on, and how well it foresaw that
[group('notebook')]
[no-exit-message]
timeline *ARGUMENTS: _build
    @"{{ experiments }}" timeline "$@"

# Say where a number of the report comes from, by its key (cache.arms.all.p50_us), as it is printed, or all of a page (--page N)
[group('notebook')]
[no-exit-message]
trace *ARGUMENTS: _build
    @"{{ experiments }}" trace "$@"

# Hold a report against what is attached to it (exit code 15: something is not what its data make)
[group('notebook')]
[no-exit-message]
verify PDF *ARGUMENTS: _build
    @"{{ experiments }}" verify "$@"

# Make the report twenty times, in other folders, time zones and languages, and compare every byte (--builds N)
[group('notebook')]
[no-exit-message]
reproduce *ARGUMENTS: _build
    @"{{ experiments }}" reproduce "$@"

# Hold the claims of report-src/claims.toml against the results (exit code 15: one was overturned)
[group('notebook')]
[no-exit-message]
check-claims *ARGUMENTS: _build
    @"{{ experiments }}" check-claims "$@"

# Make the present full run the committed reference, and put its table into the README
[group('notebook')]
[no-exit-message]
bless: _build
    @"{{ experiments }}" bless

# Hold the present results against the reference, or two runs (folders, reports or git revisions) against each other
[group('notebook')]
[no-exit-message]
compare *ARGUMENTS: _build
    @"{{ experiments }}" compare "$@"

# Run the blog with its own servers and demo data until Ctrl-C
[group('app')]
[no-exit-message]
serve *ARGUMENTS: setup _build
    @"{{ experiments }}" serve "$@"

# Run the tests against a PostgreSQL and a Redis of their own (arguments go to the test runner)
[group('develop')]
[no-exit-message]
test *ARGUMENTS: (setup "--tests") _build
    @if cargo nextest --version >/dev/null 2>&1; then runner='nextest run'; else runner=test; fi; \
    exec "{{ experiments }}" stack exec -- cargo $runner --release --workspace "$@"

# The fault tests at full size: a million checked reads, a thousand readers of one cold page, services and whole runs killed
[group('develop')]
[no-exit-message]
torture *ARGUMENTS: (setup "--tests") _build
    @if cargo nextest --version >/dev/null 2>&1; then runner='nextest run'; else runner=test; fi; \
    TORTURE=full exec "{{ experiments }}" stack exec -- cargo $runner --release --workspace "$@" -- specimen torture

# Run the micro-benchmarks and print their table; `bench app` holds the blog against what its parts can do
[group('develop')]
[no-exit-message]
bench *ARGUMENTS:
    @if [ "${1:-}" = app ]; then shift; exec "{{ just_executable() }}" --justfile "{{ justfile() }}" _bench-app "$@"; \
    else exec cargo bench --workspace "$@"; fi

[no-exit-message]
_bench-app *ARGUMENTS: setup _build
    @cargo build --release --workspace --examples
    @"{{ experiments }}" bench app "$@"

# Format the code
[group('develop')]
fmt:
    cargo fmt --all

# Write results/README.md, the data dictionary, anew from the row structs
[group('develop')]
dictionary: _build
    "{{ experiments }}" dictionary

# Check format and lints; a warning is an error
[group('develop')]
[no-exit-message]
lint:
    cargo fmt --all --check
    cargo clippy --release --workspace --all-targets --locked -- --deny warnings

# Write app/.sqlx, what the database says about each query, anew after a change of app/queries or app/migrations
[group('develop')]
[no-exit-message]
sqlx-renew: setup
    @# An old build will do: it only lends its database, and a new one may not compile before this is done.
    @[ -x "{{ experiments }}" ] || cargo build --release --workspace
    "{{ experiments }}" stack exec -- app/renew-query-data

# Check that app/.sqlx is what the database says (the tests check it too)
[group('develop')]
[no-exit-message]
sqlx-check: (test "the_offline_data_are_current")

# Everything that has to pass before a change is merged
[group('develop')]
[no-exit-message]
ci: _build lint test

# Find or install PostgreSQL, Redis, NGINX and Typst (with --tests also the browser of the tests)
[group('machine')]
[no-exit-message]
setup *ARGUMENTS:
    @cargo run --quiet --release --package setup -- install "$@"

# Show which programs are there, in which version, and what to do about the others
[group('machine')]
[no-exit-message]
doctor:
    @cargo run --quiet --release --package setup -- doctor

# Remove what runs have made; the committed reference stays
[group('machine')]
clean:
    rm -rf .run
    git clean -fdXq -- results

# The same, and everything that was compiled or installed into this folder
[group('machine')]
clean-all: clean
    cargo clean --quiet
    rm -rf .tools

# The first build takes minutes, so it is announced; afterwards cargo has nothing to say.
[no-exit-message]
_build:
    @[ -x "{{ experiments }}" ] || echo "compiling everything; the first time this takes about ten minutes on two cores"
    @cargo build --release --workspace
