# Sourced by the scripts that need more than a toolchain. `skip PART WHY` ends the script: well and aloud, or as a failure where
# SWEEP_REQUIRE names the part. `tests/require/parts.txt` lists the parts; tests in Rust follow the same variable.

# Whether SWEEP_REQUIRE names the part $1.
required() {
    local known name
    known=$(dirname "${BASH_SOURCE[0]}")/../tests/require/parts.txt
    grep -q "^$1 " "$known" || { echo "$1 is no part: see $known" >&2; exit 1; }
    for name in ${SWEEP_REQUIRE//,/ }; do
        [[ $name == all ]] || grep -q "^$name " "$known" || { echo "SWEEP_REQUIRE names $name, which is no part: see $known" >&2; exit 1; }
    done
    [[ ,${SWEEP_REQUIRE// /}, == *,all,* || ,${SWEEP_REQUIRE// /}, == *,"$1",* ]]
}

# Says that the part $1 is missing, and why: $2. Fails where it is required.
missing() {
    if required "$1"; then
        echo "SWEEP_REQUIRE asks for $1: $2" >&2
        exit 1
    fi
    echo "SKIPPED, as $1 is missing: $2"
}

# The same, and leaves.
skip() {
    missing "$1" "$2"
    exit 0
}
