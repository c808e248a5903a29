# A Debian with the package managers of other distributions (dnf 4, zypper, pacman) and a repository of small packages for
# each. The packages have the names of the distributions' Open vSwitch and no content.
#
#   openvswitch      needs unbound-libs; its installation waits at /tmp/hold while that is a pipe
#   network-scripts  needs openvswitch
#   old-switch       is taken away by new-switch
#   leaf             needs nothing, and nothing needs it

readonly MANAGER_PACKAGES=(dnf zypper pacman-package-manager createrepo-c rpm)
readonly STAND_IN_RELEASE=3.3.1

package_managers() {
    local key parts=(build_package_managers debian_tree rpm_side rpm_package pacman_side pacman_package)
    key=$(hash_of "${MANAGER_PACKAGES[*]}" "$STAND_IN_RELEASE" "$(declare -f "${parts[@]}")")
    artefact "$1" package-managers "$key" build_package_managers
}

build_package_managers() {
    debian_tree minbase "${MANAGER_PACKAGES[*]}" "$1"
    rpm_side "$1"
    pacman_side "$1"
}

# rpm_side ROOT: what dnf and zypper share.
rpm_side() {
    local root=$1
    mkdir -p "$root"/{specs,repo/rpm,etc/rpm,etc/yum.repos.d,etc/zypp/repos.d}
    # Debian's rpm looks into the home directory.
    echo '%_dbpath /var/lib/rpm' >"$root/etc/rpm/macros"
    rpm_package "$root" base-files 'Provides: /bin/sh' ''
    rpm_package "$root" unbound-libs '' ''
    rpm_package "$root" openvswitch 'Requires: unbound-libs' $'%post\n[ ! -p /tmp/hold ] || cat /tmp/hold'
    rpm_package "$root" network-scripts 'Requires: openvswitch' ''
    rpm_package "$root" leaf '' ''
    rpm_package "$root" old-switch '' ''
    rpm_package "$root" new-switch "Obsoletes: old-switch <= $STAND_IN_RELEASE" ''
    chroot "$root" createrepo_c --quiet /repo/rpm
    printf '[stand-ins]\nname=stand-ins\nbaseurl=file:///repo/rpm\ngpgcheck=0\nenabled=1\n' |
        tee "$root/etc/yum.repos.d/stand-ins.repo" >"$root/etc/zypp/repos.d/stand-ins.repo"
    # What was there before, and something that the package manager would take away.
    chroot "$root" rpm --initdb
    chroot "$root" rpm --install --nodeps "/repo/rpm/noarch/base-files-$STAND_IN_RELEASE-1.noarch.rpm" \
        "/repo/rpm/noarch/old-switch-$STAND_IN_RELEASE-1.noarch.rpm" 2>/dev/null
}

# rpm_package ROOT NAME HEADER SCRIPT
rpm_package() {
    cat >"$1/specs/$2.spec" <<EOF
Name: $2
Version: $STAND_IN_RELEASE
Release: 1
Summary: stand-in
License: Apache-2.0
BuildArch: noarch
$3
%description
A stand-in.
%install
mkdir -p %{buildroot}/usr/lib/stand-in
echo $2 >%{buildroot}/usr/lib/stand-in/$2
%files
/usr/lib/stand-in/$2
$4
EOF
    chroot "$1" rpmbuild -bb --quiet --define '_topdir /tmp/rpmbuild' --define '_rpmdir /repo/rpm' \
        "/specs/$2.spec" >/dev/null 2>&1 || die "rpmbuild of $2 failed"
}

pacman_side() {
    local root=$1
    mkdir -p "$root"/{repo/arch,pacman/db}
    pacman_package "$root" bash '' ''
    pacman_package "$root" unbound-libs '' ''
    pacman_package "$root" openvswitch 'depend = unbound-libs' 'post_install() { [ ! -p /tmp/hold ] || cat /tmp/hold; }'
    pacman_package "$root" network-scripts 'depend = openvswitch' ''
    pacman_package "$root" leaf '' ''
    pacman_package "$root" old-switch '' ''
    pacman_package "$root" new-switch 'conflict = old-switch' ''
    (cd "$root/pacman/db" && tar --create --gzip --file ../../repo/arch/extra.db -- *)
    printf '[options]\nHoldPkg = pacman glibc\nArchitecture = auto\nSigLevel = Never\n[extra]\nServer = file:///repo/arch\n' \
        >"$root/etc/pacman.conf"
    chroot "$root" pacman --upgrade --noconfirm "/repo/arch/bash-$STAND_IN_RELEASE-1-any.pkg.tar.gz" \
        "/repo/arch/old-switch-$STAND_IN_RELEASE-1-any.pkg.tar.gz" >/dev/null 2>&1
}

# pacman_package ROOT NAME FIELD SCRIPT: the archive, and its entry in the repository's database. Debian has no makepkg and a
# repo-add that lacks its helpers.
pacman_package() {
    local file=$2-$STAND_IN_RELEASE-1-any.pkg.tar.gz tree=$1/pacman/$2 entry=$1/pacman/db/$2-$STAND_IN_RELEASE-1 parts=(.PKGINFO)
    mkdir -p "$tree/usr/lib/stand-in" "$entry"
    echo "$2" >"$tree/usr/lib/stand-in/$2.arch"
    printf 'pkgname = %s\npkgver = %s-1\npkgdesc = stand-in\nbuilddate = 1\nsize = 1\narch = any\n%s\n' "$2" "$STAND_IN_RELEASE" "$3" \
        >"$tree/.PKGINFO"
    if [[ -n $4 ]]; then
        echo "$4" >"$tree/.INSTALL"
        parts+=(.INSTALL)
    fi
    tar --create --gzip --owner=0 --group=0 --directory "$tree" --file "$1/repo/arch/$file" "${parts[@]}" usr
    {
        printf '%%FILENAME%%\n%s\n\n%%NAME%%\n%s\n\n%%VERSION%%\n%s-1\n\n%%ARCH%%\nany\n\n' "$file" "$2" "$STAND_IN_RELEASE"
        printf '%%CSIZE%%\n%s\n\n' "$(stat --format %s "$1/repo/arch/$file")"
        printf '%%SHA256SUM%%\n%s\n\n' "$(sha256sum <"$1/repo/arch/$file" | cut -d' ' -f1)"
        [[ $3 != depend* ]] || printf '%%DEPENDS%%\n%s\n\n' "${3#* = }"
        [[ $3 != conflict* ]] || printf '%%CONFLICTS%%\n%s\n\n' "${3#* = }"
    } >"$entry/desc"
}
