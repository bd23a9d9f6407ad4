#!/bin/sh
# Puts the sources of one third-party library into the cache and prints the folder they are in.
#
#     sh third_party/fetch.sh <cache> <name> <version line> <archive> <url> <sha256> <debian source or package>
#
# Ways, in this order; the first that works is kept, and no later build needs the network again:
#   1. the cache already has it;
#   2. the upstream archive lies in <cache>/archives/ (dropped there by hand, or by an earlier build);
#   3. Debian 13's archive through apt, without root: apt tells its own mirror, its signature vouches;
#   4. the upstream archive, verified by its SHA-256.
# A version line such as 3.6 takes the newest 3.6.x that Debian has: mirrors drop older revisions.
set -eu

cache=$1 name=$2 line=$3 archive=$4 url=$5 sha256=$6 debian=$7
keyring=/usr/share/keyrings/debian-archive-trixie-stable.gpg
home=$cache/$name-$line
complete=.complete

say() { echo "third_party: $*" >&2; }
die() { say "$*"; exit 1; }

mkdir -p "$cache/archives"

# Several presets may be configured at the same time: one of them fetches, the others wait.
if [ "${QPROXY_FETCH_LOCKED:-}" != "$cache" ] && command -v flock >/dev/null 2>&1; then
    QPROXY_FETCH_LOCKED=$cache exec flock "$cache/.lock" sh "$0" "$@"
fi

if [ -f "$home/$complete" ]; then
    echo "$home"
    exit 0
fi

work=$(mktemp -d "$cache/.work.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

keep() { # keep <folder> <version>: what was unpacked becomes the cache's copy, all at once
    echo "$2" >"$1/$complete"
    rm -rf "$home"
    mv "$1" "$home"
    say "$name $2 is in the cache"
    echo "$home"
    exit 0
}

from_archive() {
    file=$cache/archives/$archive
    if [ ! -f "$file" ]; then
        [ -n "${1:-}" ] || return 1
        say "$name: fetching $url"
        if command -v curl >/dev/null 2>&1; then
            curl -fsSL --retry 2 -o "$work/archive" "$url" || return 1
        elif command -v wget >/dev/null 2>&1; then
            wget -q -O "$work/archive" "$url" || return 1
        else
            say "$name: neither curl nor wget is here"
            return 1
        fi
    else
        cp "$file" "$work/archive"
    fi
    if ! echo "$sha256  $work/archive" | sha256sum -c --status; then
        die "$name: the SHA-256 of $archive is wrong; it must be $sha256. Remove it and try again."
    fi
    [ -f "$file" ] || cp "$work/archive" "$file"
    mkdir "$work/out"
    case $archive in
    *.bz2) tar -xjf "$work/archive" -C "$work/out" --strip-components=1 || return 1 ;;
    *) tar -xzf "$work/archive" -C "$work/out" --strip-components=1 || return 1 ;;
    esac
    keep "$work/out" "$(echo "$archive" | sed 's/^[a-z-]*-*v*//; s/\.tar\..*//') (upstream)"
}

quiet() { # runs a command; its output is shown only if it fails
    if ! "$@" >"$work/log" 2>&1; then
        sed 's/^/third_party:   /' "$work/log" >&2
        return 1
    fi
}

apt() {
    tool=$1
    shift
    command "$tool" -q -o "Dir::Etc::sourcelist=$apt/sources.list" -o Dir::Etc::sourceparts=- \
        -o "Dir::State::Lists=$apt/lists" -o "Dir::Cache=$apt/cache" -o Debug::NoLocking=1 \
        -o Acquire::Retries=2 -o Acquire::http::Timeout=20 -o Acquire::Languages=none \
        -o "APT::Sandbox::User=$(id -un)" "$@"
}

# The lists are 40 MB and hold for an hour: long enough for one build, short enough never to be stale.
apt_lists() {
    apt=$cache/apt
    for tool in apt-get apt-cache dpkg-deb dpkg-source; do
        if ! command -v "$tool" >/dev/null 2>&1; then
            say "$name: no $tool here, so not from Debian"
            return 1
        fi
    done
    [ -f "$keyring" ] || return 1
    # shellcheck disable=SC1091
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    mirror=$(apt-get indextargets --format '$(ORIGIN) $(CODENAME) $(REPO_URI)' 'Created-By: Packages' |
        awk -v code="$codename" '$1 == "Debian" && $2 == code { print $3; exit }')
    if [ -z "$mirror" ]; then # its lists are empty (a fresh container): ask where it would get them
        mirror=$(apt-get update --print-uris | sed -n "s|^'\([^']*/\)dists/$codename/InRelease'.*|\1|p" | head -n 1)
    fi
    if [ -z "$mirror" ]; then
        say "$name: apt knows no Debian mirror, so not from Debian"
        return 1
    fi
    mkdir -p "$apt/lists/partial" "$apt/cache/archives/partial"
    for kind in deb deb-src; do
        echo "$kind [signed-by=$keyring] $mirror trixie main"
    done >"$apt/sources.list"
    if [ -z "$(find "$apt/lists" -maxdepth 1 -name '*Sources*' -mmin -60)" ]; then
        quiet apt apt-get update -o APT::Update::Error-Mode=any || return 1
        touch "$apt"/lists/*Sources*
    fi
}

at_least_line() { # 3.6.6-0.1 is of the line 3.6; 9.2.1 is of the line 9
    case $1 in "$line" | "$line".* | "$line"-*) return 0 ;; *) return 1 ;; esac
}

from_debian() {
    apt_lists || return 1
    say "$name: fetching it from Debian's archive"
    mkdir "$work/deb"
    case $debian in
    package:*)
        package=${debian#package:}
        version=$(apt apt-cache show "$package" 2>/dev/null | sed -n 's/^Version: //p' | head -n 1)
        at_least_line "$version" || { say "$name: Debian has '$version', not $line"; return 1; }
        (cd "$work/deb" && quiet apt apt-get download "$package") || return 1
        quiet dpkg-deb -x "$work"/deb/*.deb "$work/out" || return 1
        ;;
    source:*)
        package=${debian#source:}
        (cd "$work/deb" && quiet apt apt-get source --only-source --download-only "$package") || return 1
        version=$(sed -n 's/^Version: //p' "$work"/deb/*.dsc | head -n 1)
        at_least_line "$version" || { say "$name: Debian has '$version', not $line"; return 1; }
        # apt has verified the .dsc through the signed index; dpkg-source applies Debian's patches.
        quiet dpkg-source --no-check -x "$work"/deb/*.dsc "$work/out" || return 1
        ;;
    esac
    keep "$work/out" "$version (Debian)"
}

from_archive "" || true
[ "${QPROXY_OFFLINE:-}" = 1 ] || from_debian || from_archive download || true
die "$name could not be had. Put $archive (SHA-256 $sha256) from
third_party:   $url
third_party: into $cache/archives/ and configure again, or use the system's libraries: -DQPROXY_SYSTEM_LIBS=ON"
