#!/bin/sh
# Installs kvnet @VERSION@: downloads the archive of this machine, verifies it, and moves the program to its place.
# Needs curl or wget, tar, gzip and sha256sum (or shasum, or openssl). Does nothing as another user; no part of it is run by sudo.
#
# usage: install.sh [--version VERSION] [--dir DIR]
#   --version VERSION  this version instead of @VERSION@
#   --dir DIR          to this directory; default: /usr/local/bin if it is writable, else ~/.local/bin
#
# KVNET_REPOSITORY   where the releases are; default: @REPOSITORY@
set -eu

# The public key that signs releases; empty if this release is not signed.
signer='@SIGNER@'

main() {
    version='@VERSION@' dir=''
    repository=${KVNET_REPOSITORY:-'@REPOSITORY@'}
    read_options "$@"
    [ -n "$dir" ] || dir=$(default_dir)
    name=kvnet-v$version-$(target)
    base=$repository/releases/download/v$version
    mkdir -p "$dir" || fail "cannot create $dir"
    # On the file system of the program, so that the last move is atomic.
    work=$(mktemp -d "$dir/.kvnet.XXXXXX") || fail "cannot write to $dir; choose another directory with --dir"
    trap 'rm -rf "$work"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    download SHA256SUMS
    verify_signature
    download "$name.tar.gz"
    verify_sum "$name.tar.gz"
    unpack
    echo "kvnet $version is $dir/kvnet"
    case :$PATH: in
    *:"$dir":*) ;;
    *) echo "$dir is not in PATH" >&2 ;;
    esac
}

read_options() {
    while [ $# -gt 0 ]; do
        case $1 in
        --version | --dir)
            [ $# -ge 2 ] || fail "$1 needs a value"
            if [ "$1" = --dir ]; then dir=$2; else version=${2#v}; fi
            shift 2
            ;;
        --help | -h)
            echo 'usage: install.sh [--version VERSION] [--dir DIR]'
            exit 0
            ;;
        *) fail "unknown option $1; usage: install.sh [--version VERSION] [--dir DIR]" ;;
        esac
    done
    case $version in
    '' | *[!0-9A-Za-z.+-]*) fail "$version is not a version" ;;
    esac
}

fail() {
    echo "install.sh: $*" >&2
    exit 1
}

default_dir() {
    if [ -w /usr/local/bin ]; then
        echo /usr/local/bin
    else
        [ -n "${HOME:-}" ] || fail 'HOME is not set; choose a directory with --dir'
        echo "$HOME/.local/bin"
    fi
}

target() {
    [ "$(uname -s)" = Linux ] || fail "kvnet runs on Linux, and this is $(uname -s)"
    case $(uname -m) in
    x86_64 | amd64) echo x86_64-unknown-linux-musl ;;
    aarch64 | arm64) echo aarch64-unknown-linux-musl ;;
    *) fail "there is no kvnet for $(uname -m)" ;;
    esac
}

download() {
    if has curl; then
        curl --fail --silent --show-error --location --output "$work/$1" "$base/$1"
    elif has wget; then
        wget -q -O "$work/$1" "$base/$1"
    else
        fail 'neither curl nor wget is installed'
    fi || fail "cannot download $base/$1"
}

has() {
    command -v "$1" >/dev/null 2>&1
}

# A signature that is there and wrong ends it; without the tool to check it, that is said.
verify_signature() {
    if [ -z "$signer" ]; then
        echo 'this release is not signed; only its sum is verified' >&2
        return
    fi
    # Older versions of OpenSSH know no signatures of files.
    if ! has ssh-keygen || ssh-keygen -Y verify 2>&1 </dev/null | grep -q -e 'illegal option' -e 'unknown option'; then
        echo 'the signature is not verified: there is no ssh-keygen of OpenSSH 8.1 or newer' >&2
        return
    fi
    download SHA256SUMS.sig
    echo "$signer" >"$work/signers"
    ssh-keygen -q -Y verify -f "$work/signers" -I "${signer%% *}" -n "${signer%% *}" -s "$work/SHA256SUMS.sig" \
        <"$work/SHA256SUMS" >/dev/null || fail "the signature of $base/SHA256SUMS is wrong; nothing was installed"
}

verify_sum() {
    wanted=$(sed -n "s/^\([0-9a-f]\{64\}\)  $1\$/\1/p" "$work/SHA256SUMS")
    [ -n "$wanted" ] || fail "$base/SHA256SUMS does not name $1; nothing was installed"
    found=$(sum "$work/$1")
    [ "$found" = "$wanted" ] ||
        fail "$base/$1 is not what was released (sha256 $found, not $wanted); nothing was installed"
}

sum() {
    if has sha256sum; then
        sha256sum "$1"
    elif has shasum; then
        shasum -a 256 "$1"
    elif has openssl; then
        openssl dgst -r -sha256 "$1"
    else
        fail 'none of sha256sum, shasum and openssl is installed'
    fi | cut -d ' ' -f 1
}

unpack() {
    gzip -dc "$work/$name.tar.gz" >"$work/archive.tar" || fail "cannot unpack into $dir; nothing was installed"
    tar -x -f "$work/archive.tar" -C "$work" "$name/kvnet" || fail "cannot unpack into $dir; nothing was installed"
    chmod 755 "$work/$name/kvnet"
    mv -f "$work/$name/kvnet" "$dir/kvnet" || fail "cannot write $dir/kvnet"
}

main "$@"
