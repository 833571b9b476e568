"""Prose and documentation."""

HTML = "html_text"

LINES = [
    ("anarchism", "usr/share/doc/anarchism/*.html", 7000, "GPL-2+ and GFDL", HTML),
    ("sword-text-web", "*/engWEB2015eb/?t.bzz", 5000, "public domain", "sword"),
    ("sword-text-kjv", "usr/share/sword/*.bzz", 3500, "public domain", "sword"),
    ("sword-comm-mhcc", "usr/share/sword/*.bzz", 6000, "public domain", "sword"),
    ("sword-comm-tdavid", "usr/share/sword/*.czz", 9000, "public domain", "sword"),
    ("sword-comm-scofield", "usr/share/sword/*.bzz", 2000, "public domain", "sword"),
    ("display-dhammapada", "*english-transl.txt *alternate.txt", 500, "free distribution"),
    ("dict-foldoc", "usr/share/dictd/*.dict.dz", 3000, "GFDL", "utf8"),
    ("dict-jargon", "usr/share/dictd/*.dict.dz", 1500, "public domain", "utf8"),
    ("dict-wn", "usr/share/dictd/*.dict.dz", 3000, "WordNet licence"),
    ("dict-vera", "usr/share/dictd/*.dict.dz", 500, "GFDL", "utf8"),
    ("fortunes", "usr/share/games/fortunes/* -*.dat -*.u8", 3000, "public domain", "utf8"),
    ("fortunes-min", "usr/share/games/fortunes/* -*.dat -*.u8", 500, "public domain", "utf8"),
    ("debian-handbook", "usr/share/doc/debian-handbook/html/en-US/*.html", 2500, "GPL-2+ or CC-BY-SA-3.0", HTML),
    ("debian-policy", "usr/share/doc/debian-policy/policy.html/*.html usr/share/doc/debian-policy/*.txt.gz", 1500,
     "GPL-2+", HTML),
    ("installation-guide-amd64", "usr/share/doc/installation-guide-amd64/en/*.html", 900, "GPL-2+", HTML),
    ("developers-reference", "usr/share/developers-reference/*.html usr/share/doc/developers-reference/*.html "
     "-*/de/* -*/fr/* -*/ja/* -*/ru/* -*/it/*", 1000, "GPL-2+", HTML),
    ("debian-reference-en", "usr/share/debian-reference/*.en.html", 1500, "GPL-2+", HTML),
    ("debian-faq", "usr/share/doc/debian/FAQ/*.en.txt* usr/share/doc/debian/FAQ/*.en.html", 500, "GPL-2+", HTML),
    ("debian-history", "usr/share/doc/debian-history/*.en.html", 300, "GPL-2+", HTML),
    ("debian-edu-doc-en", "usr/share/doc/debian-edu-doc-en/*.html", 1500, "GPL-2+", HTML),
    ("debmake-doc", "usr/share/doc/debmake-doc/*.html -*.zh*", 800, "Expat", HTML),
    ("aptitude-doc-en", "usr/share/doc/aptitude/html/en/*.html", 700, "GPL-2+", HTML),
    ("python3.11-doc", "usr/share/doc/python3.11/html/_sources/*.txt", 3000, "PSF"),
    ("postgresql-doc-15", "usr/share/doc/postgresql-doc-15/html/*.html", 3000, "PostgreSQL", HTML),
    ("linux-doc-6.1", "usr/share/doc/linux-doc-6.1/html/*.html -*/translations/*", 4000, "GPL-2", HTML),
    ("rust-doc", "usr/share/doc/rust-doc/html/book/*.html usr/share/doc/rust-doc/html/reference/*.html "
     "usr/share/doc/rust-doc/html/nomicon/*.html -*/print.html", 2500, "MIT or Apache-2.0", HTML),
    ("sqlite3-doc", "usr/share/doc/sqlite3/*.html", 2500, "public domain", HTML),
    ("c++-annotations-txt", "usr/share/doc/c++-annotations/*", 2200, "GPL"),
    ("gnome-user-docs", "usr/share/help/C/*.page", 1500, "CC-BY-SA-3.0", HTML),
    ("vim-runtime", "usr/share/vim/*/doc/*.txt", 2500, "Vim"),
    ("exim4-doc-html", "usr/share/doc/exim4-doc-html/*.html", 1500, "GPL-2+", HTML),
    ("git-doc", "usr/share/doc/git-doc/*.txt* usr/share/doc/git*/RelNotes/*", 2000, "GPL-2"),
    ("bash-doc", "usr/share/doc/bash/*", 1000, "GFDL"),
    ("user-mode-linux-doc", "usr/share/doc/user-mode-linux-doc/*.html", 700, "GPL-2", HTML),
    ("gretl-doc", "usr/share/doc/gretl/*.tex.gz", 800, "GFDL"),
    ("r-doc-html", "usr/share/R/doc/manual/*.html usr/share/doc/R/manual/*.html", 2000, "GPL-2+", HTML),
    ("octave-doc", "usr/share/doc/octave/*.html", 1500, "GPL-3+", HTML),
    ("maxima-doc", "usr/share/doc/maxima-doc/html/*.html", 2000, "GPL-2+", HTML),
    ("emacs-common", "usr/share/emacs/*/etc/NEWS* usr/share/emacs/*/etc/*.txt usr/share/emacs/*/etc/PROBLEMS "
     "usr/share/emacs/*/etc/tutorials/TUTORIAL usr/share/emacs/*/etc/ORG-NEWS", 3000, "GPL-3+"),
    ("crawl-common", "usr/share/crawl/dat/descript/*.txt usr/share/crawl/dat/database/*.txt usr/share/crawl/docs/*.txt "
     "-*/??/*", 2500,
     "GPL-2+"),
    ("endless-sky-data", "usr/share/games/endless-sky/data/*.txt", 5000, "GPL-3+", "backquoted"),
    ("gtypist", "usr/share/gtypist/gtypist.typ", 500, "GPL-3+"),
    ("angband-data", "usr/share/angband/*.txt usr/share/games/angband/*.txt", 1000, "GPL-2"),
    ("freeciv-data", "usr/share/games/freeciv/helpdata.txt usr/share/games/freeciv/*/game.ruleset", 700, "GPL-2+"),
    ("inform6-library", "usr/share/inform6/*.txt usr/share/doc/*", 400, "Artistic-2.0"),
    ("wesnoth-1.16-httt", "usr/share/games/wesnoth/*.cfg", 600, "GPL-2+", "quoted"),
    ("wesnoth-1.16-did", "usr/share/games/wesnoth/*.cfg", 600, "GPL-2+", "quoted"),
    ("wesnoth-1.16-dw", "usr/share/games/wesnoth/*.cfg", 600, "GPL-2+", "quoted"),
    ("wesnoth-1.16-l", "usr/share/games/wesnoth/*.cfg", 600, "GPL-2+", "quoted"),
    ("wesnoth-1.16-sof", "usr/share/games/wesnoth/*.cfg", 600, "GPL-2+", "quoted"),
    ("wesnoth-1.16-tsg", "usr/share/games/wesnoth/*.cfg", 600, "GPL-2+", "quoted"),
    ("wesnoth-1.16-sotbe", "usr/share/games/wesnoth/*.cfg", 600, "GPL-2+", "quoted"),
    ("wesnoth-1.16-nr", "usr/share/games/wesnoth/*.cfg", 600, "GPL-2+", "quoted"),
    ("wesnoth-1.16-trow", "usr/share/games/wesnoth/*.cfg", 600, "GPL-2+", "quoted"),
    ("wesnoth-1.16-utbs", "usr/share/games/wesnoth/*.cfg", 900, "GPL-2+", "quoted"),
    ("wesnoth-1.16-ei", "usr/share/games/wesnoth/*.cfg", 600, "GPL-2+", "quoted"),
    ("wesnoth-1.16-thot", "usr/share/games/wesnoth/*.cfg", 600, "GPL-2+", "quoted"),
    ("wesnoth-1.16-low", "usr/share/games/wesnoth/*.cfg", 600, "GPL-2+", "quoted"),
    ("wesnoth-1.16-dm", "usr/share/games/wesnoth/*.cfg", 600, "GPL-2+", "quoted"),
    ("wesnoth-1.16-sota", "usr/share/games/wesnoth/*.cfg", 600, "GPL-2+", "quoted"),
    ("vlc-data", "usr/share/doc/*", 400, "GPL-2+"),
    ("puredata-doc", "usr/share/*.txt usr/lib/*.txt usr/share/*.htm usr/lib/*.htm", 900, "BSD-3-Clause", HTML),
    ("python-biopython-doc", "usr/share/doc/python-biopython-doc/Doc/Tutorial.html", 1000, "Biopython", HTML),
    ("glibc-source", "usr/src/*/*.tar.xz!*/NEWS usr/src/*/*.tar.xz!*/manual/*.texi", 1500, "LGPL-2.1+"),
    ("gnulib", "*/gnulib.html */doc/*.texi */ChangeLog", 2000, "GPL-3+", HTML),
    ("linux-source-6.1", "usr/share/doc/*changelog*", 700, "GPL-2"),
    ("naev-data", "usr/share/*/dat/*.xml usr/share/*/dat/*.lua", 4000, "GPL-3+", "quoted"),
    ("naev-data", "usr/share/*/dat/*.xml -*/gfx/*", 1500, "GPL-3+", HTML),
    ("freedroidrpg-data", "usr/share/*.dialog usr/share/*.lua", 1500, "GPL-2+", "quoted"),
    ("gimp-help-en", "usr/share/gimp/2.0/help/en/*.html", 3000, "GFDL", HTML),
    ("gnucash-docs", "usr/share/*/C/*.xml usr/share/doc/gnucash-docs/*/C/*.html usr/share/gnome/help/*/C/*", 2500,
     "GFDL", HTML),
    ("libreoffice-help-en-us", "usr/*.html", 2500, "MPL-2.0", HTML),
]

LINES += [(p, "usr/share/doc/*README* usr/share/doc/*NEWS* usr/share/doc/*FAQ* usr/share/doc/*changelog* "
               "usr/share/doc/*copyright usr/share/doc/*TODO* usr/share/doc/*HISTORY*", 200, "as the package")
              for p in ("git-doc", "emacs-common", "gnuplot-data", "ffmpeg", "wget", "rsync", "screen", "tmux",
                        "libruby3.1", "coreutils", "xterm", "debhelper", "systemd", "mutt", "python3-sympy",
                        "maxima-share", "openssh-client", "dpkg-dev", "samba-common-bin", "postgresql-15", "netpbm",
                        "groff", "perl-modules-5.36", "guile-3.0-libs", "racket-common", "hydrogen-data",
                        "tuxpaint-data", "freepats", "vim-runtime", "octave-common", "zsh-common",
                        "wordpress", "mediawiki", "phpmyadmin", "exonerate", "gretl-common", "mricron", "units",
                        "lvm2", "nmap", "qemu-system-common", "util-linux", "alsa-utils", "pidgin-data", "fortunes")]

LINES += [
    ("r-cran-janeaustenr", "usr/lib/R/*/data/*.rd?", 6000, "public domain", "r_texts"),
    ("ocaml-source", "usr/src/*.tar!*.tar.gz!*/manual/*.etex", 900, "LGPL-2.1+ with exception"),
    ("openvswitch-source", "usr/src/*/*.tar.gz!*.rst", 900, "Apache-2.0"),
    ("lilypond-doc-html", "*/Documentation/learning-big-page.html */Documentation/music-glossary-big-page.html "
     "*/Documentation/contributor-big-page.html */Documentation/essay-big-page.html */Documentation/web-big-page.html",
     2000, "GFDL", HTML),
    ("bind9-doc", "usr/share/doc/bind9-doc/arm/*.html", 1200, "MPL-2.0", HTML),
    ("nethack-common", "usr/share/doc/nethack-common/Guidebook.txt.gz", 300, "NetHack licence"),
    ("wesnoth-1.16-ttb", "usr/share/games/wesnoth/*.cfg", 600, "GPL-2+", "quoted"),
    ("npm", "usr/share/nodejs/*.md", 600, "Artistic-2.0"),
]

# Vignettes of R: articles on methods of statistics, in LaTeX or Markdown, with code between.
VIGNETTES = "kernlab quantreg zoo aer caret car phangorn spdep sp lme4 multcomp vcd vegan survival psych".split()
LINES += [(f"r-cran-{p}", "usr/lib/R/*/doc/*.Rnw usr/lib/R/*/doc/*.Rmd", 300, "GPL") for p in VIGNETTES]
