"""Manual pages and Info manuals."""

LINES = [(p, "usr/share/man/man[1-9]/*.gz", limit, licence) for p, limit, licence in (
    ("manpages", 1250, "free, various"), ("manpages-dev", 1750, "free, various"), ("git-man", 900, "GPL-2"),
    ("tcl8.6-doc", 450, "Tcl"), ("tk8.6-doc", 350, "Tcl"), ("libx11-doc", 450, "MIT"), ("ncurses-doc", 450, "MIT"),
    ("libssl-doc", 750, "Apache-2.0"), ("gnutls-doc", 200, "LGPL-2.1+"), ("libcurl4-doc", 350, "curl"),
    ("openmpi-doc", 250, "BSD-3-Clause"), ("mpich-doc", 150, "MPICH"), ("systemd", 750, "LGPL-2.1+"),
    ("coreutils", 200, "GPL-3+"), ("util-linux", 300, "GPL-2+"), ("samba-common-bin", 250, "GPL-3+"),
    ("graphicsmagick", 150, "MIT"), ("groff", 250, "GPL-3+"),
    ("groff-base", 150, "GPL-3+"), ("zsh-common", 450, "Zsh"), ("netpbm", 300, "free, various"),
    ("xserver-xorg-core", 100, "MIT"), ("liblapack-doc", 350, "BSD-3-Clause"),
    ("ffmpeg", 250, "LGPL-2.1+"), ("openssh-client", 150, "BSD"), ("nmap", 100, "Nmap licence"),
    ("lvm2", 200, "GPL-2"), ("btrfs-progs", 100, "GPL-2"), ("qemu-system-common", 100, "GPL-2"),
    ("iproute2", 250, "GPL-2+"), ("nftables", 75, "GPL-2"), ("iptables", 75, "GPL-2+"), ("curl", 100, "curl"),
    ("rsync", 100, "GPL-3+"), ("tmux", 75, "ISC"), ("screen", 75, "GPL-3+"), ("xterm", 125, "MIT"),
    ("dpkg-dev", 125, "GPL-2+"), ("mandoc", 100, "ISC"), ("freebsd-manpages", 1250, "BSD"), ("gnupg", 100, "GPL-3+"),
    ("libmojolicious-perl", 100, "Artistic-2.0"), ("libmoose-perl", 150, "Artistic or GPL-1+"),
    ("libbio-perl-perl", 300, "Artistic or GPL-1+"), ("mutt", 100, "GPL-2+"), ("debhelper", 75, "GPL-2+"),
    ("alsa-utils", 75, "GPL-2"),
    ("primer3", 50, "GPL-2"), ("last-align", 50, "GPL-3+"), ("exonerate", 50, "GPL-3"), ("units", 50, "GPL-3+"),
)]

LINES += [
    ("perl-doc", "usr/share/perl/*.pod", 3500, "Artistic or GPL-1+"),
    ("perl-doc", "usr/share/man/*.gz", 1200, "Artistic or GPL-1+"),
    ("emacs-common", "usr/share/info/*.gz", 1500, "GFDL"), ("maxima-doc", "usr/share/info/*.gz", 800, "GPL-2+"),
    ("grub-common", "usr/share/info/*.gz usr/share/man/man*/*.gz", 300, "GPL-3+"),
    ("bash-doc", "usr/share/info/*.gz", 400, "GFDL"), ("auctex", "usr/share/info/*.gz", 300, "GFDL"),
    ("texinfo", "usr/share/info/*.gz usr/share/man/man*/*.gz", 600, "GFDL"),
    ("wget", "usr/share/info/*.gz", 200, "GFDL"),
    ("nettle-dev", "usr/share/info/*.gz", 200, "LGPL-3+"), ("zsh-doc", "usr/share/info/*.gz", 600, "Zsh"),
    ("slime", "usr/share/info/*.gz", 100, "GPL-2+"),
    ("octave-doc", "usr/share/info/*.gz", 600, "GPL-3+"),
    ("diffutils-doc", "usr/share/info/*.gz usr/share/doc/*", 200, "GFDL"),
]
