# Sourced by scripts that need tools: what is missing is installed by root, and named to everybody else.
#
#     . third_party/prerequisites.sh
#     qp_prerequisites "cmake:cmake" "/usr/include/cmocka.h:libcmocka-dev" "python3 -c 'import ssl':python3"
#
# Each argument is <check>:<Debian package>. A check with a slash in front is a file that must exist, one with a space is
# a command that must succeed, any other is a command that must be found. POSIX sh.

qp_has() {
    case $1 in
    /*) [ -e "$1" ] ;;
    *' '*) sh -c "$1" >/dev/null 2>&1 ;;
    *) command -v "$1" >/dev/null 2>&1 ;;
    esac
}

# Prints the packages whose check fails, each once.
qp_missing() {
    missing=
    for pair in "$@"; do
        package=${pair##*:}
        case " $missing " in *" $package "*) continue ;; esac
        qp_has "${pair%:*}" || missing="$missing${missing:+ }$package"
    done
    echo "$missing"
}

# As root; says what went wrong.
qp_install() {
    echo "Installing: $*" >&2
    log=$(mktemp)
    if { DEBIAN_FRONTEND=noninteractive apt-get -q update &&
        DEBIAN_FRONTEND=noninteractive apt-get -q install --no-install-recommends -y "$@"; } >"$log" 2>&1; then
        rm -f "$log"
        return 0
    fi
    cat "$log" >&2
    rm -f "$log"
    echo "apt-get could not install: $*" >&2
    return 1
}

qp_prerequisites() {
    missing=$(qp_missing "$@")
    [ -n "$missing" ] || return 0
    if ! command -v apt-get >/dev/null 2>&1; then
        echo "Missing here (names of Debian's packages): $missing" >&2
        exit 69
    fi
    if [ "$(id -u)" -ne 0 ]; then
        echo "Some tools are missing. Install them, then run this again:" >&2
        echo "sudo apt-get install --no-install-recommends -y $missing" >&2
        exit 69
    fi
    # shellcheck disable=SC2086
    qp_install $missing || exit 69
    missing=$(qp_missing "$@")
    if [ -n "$missing" ]; then
        echo "Still missing after apt-get installed them: $missing" >&2
        exit 69
    fi
}

# What a build of qproxy needs; tests need more (tests/run.sh). dpkg-dev and Debian 13's key are for the libraries.
qp_build_prerequisites() {
    set -- "cmake:cmake" "ninja:ninja-build" "gcc:gcc" "/usr/include/stdio.h:libc6-dev" "$@"
    if command -v apt-get >/dev/null 2>&1; then
        set -- "dpkg-source:dpkg-dev" "xz:xz-utils" "bzip2:bzip2" "patch:patch" \
            "/usr/share/keyrings/debian-archive-trixie-stable.gpg:debian-archive-keyring" "$@"
    fi
    qp_prerequisites "$@"
}

# For the tests: the second compiler with its sanitizers, the tools that read the source, the end-to-end suite's Python.
qp_test_prerequisites() {
    qp_build_prerequisites "clang:clang" "clang-format:clang-format" "clang-tidy:clang-tidy" \
        "echo 'int main(void){return 0;}' | clang -fsanitize=address,undefined -x c - -o /dev/null:libclang-rt-dev" \
        "llvm-symbolizer:llvm" "/usr/include/cmocka.h:libcmocka-dev" "python3:python3" "openssl:openssl" "curl:curl" \
        "setarch:util-linux" "flock:util-linux" "/etc/ssl/certs/ca-certificates.crt:ca-certificates" "$@"
}

# For the tests with a browser, which skip without one: nothing here ends the run.
qp_browser_prerequisites() {
    missing=$(qp_missing "chromium:chromium" "chromedriver:chromium-driver" \
        "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf:fonts-dejavu-core")
    [ -n "$missing" ] || return 0
    # shellcheck disable=SC2086
    if [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1 && qp_install $missing; then
        return 0
    fi
    echo "The tests with a browser are skipped, or their screenshots lack text; they want Debian's packages:" >&2
    echo "sudo apt-get install --no-install-recommends -y $missing" >&2
}
