"""Everything else: markup, other languages, programs, settings."""

HTML = "html_text"

LINES = [
    ("debian-handbook", "usr/share/doc/debian-handbook/html/*/*.html -*/en-US/*", 1500, "GPL-2+ or CC-BY-SA-3.0",
     HTML),
    ("debian-handbook", "usr/share/doc/debian-handbook/html/??-??/*.html", 900, "GPL-2+ or CC-BY-SA-3.0"),
    ("wordpress", "*.svg *.html *.json *.xml", 500, "GPL-2+"),
    ("gnome-user-docs", "usr/share/help/??/*.page -*/C/*", 900, "CC-BY-SA-3.0"),
    ("gnome-user-docs", "*.svg", 300, "CC-BY-SA-3.0"),
    ("inkscape-tutorials", "*.svg *.svgz", 500, "GPL-2+"),
    ("mediawiki", "usr/share/mediawiki/languages/i18n/*.json", 700, "GPL-2+"),
    ("postgresql-doc-15", "*.html", 900, "PostgreSQL"),
    ("python3.11-doc", "usr/share/doc/python3.11/html/*.html", 700, "PSF"),
    ("rust-doc", "usr/share/doc/rust-doc/html/book/*.html usr/share/doc/rust-doc/html/std/*.html", 700, "MIT or Apache-2.0"),
    ("linux-doc-6.1", "usr/share/doc/linux-doc-6.1/html/*.html", 700, "GPL-2"),
    ("sqlite3-doc", "usr/share/doc/sqlite3/*.html", 500, "public domain"),
    ("openms-common", "*.xml *.xsd", 200, "BSD-3-Clause"),
    ("sword-text-sparv", "usr/share/sword/*.bzz", 700, "public domain", "sword"),
    ("coreutils", "usr/bin/* bin/*", 1200, "GPL-3+"),
    ("rsync", "usr/bin/rsync", 250, "GPL-3+"), ("openssh-client", "usr/bin/*", 700, "BSD"),
    ("util-linux", "usr/bin/* bin/* usr/lib/*.so*", 700, "GPL-2+"),
    ("libpython3.11-stdlib", "*.so", 400, "PSF"), ("python3-numpy", "*.so", 500, "BSD-3-Clause"),
    ("libruby3.1", "*.so*", 400, "Ruby"), ("exonerate", "usr/bin/*", 300, "GPL-3"),
    ("screen", "usr/bin/*", 500, "GPL-3+"), ("tmux", "usr/bin/*", 500, "ISC"), ("wget", "usr/bin/*", 500, "GPL-3+"),
    ("webpack", "*.wasm *.json", 100, "MIT"), ("node-typescript", "*.json", 200, "Apache-2.0"),
    ("emacs-common", "*.ps *.eps *.tex *.xpm *.svg *.html */TUTORIAL.*", 800, "GPL-3+"),
    ("gnuplot-doc", "*.ps *.tex *.html", 200, "gnuplot"),
    ("groff", "*.ps *.mom *.ms *.me", 300, "GPL-3+"),
    ("hmmer-examples", "*.tex *.tex.gz *.eps.gz *.ai.gz", 500, "BSD-3-Clause"),
    ("sibelia-examples", "*.svg", 200, "GPL-2"),
    ("vim-runtime", "*/lang/*.po */spell/*.txt *tutor*", 500, "Vim"),
    ("crawl-common", "usr/share/crawl/dat/descript/??/*.txt", 700, "GPL-2+"),
    ("auctex", "*.tex *.sty *.pdf", 200, "GPL-3+"),
    ("r-base-core", "*.Rnw *.po *.mo *.css *.cls *.sty *.pdf", 300, "GPL-2+"),
    ("lmms-common", "*.mmp *.xpf *.xml", 300, "GPL-2+"),
]

# Pages in other languages than English, as they are marked up, and as a reader sees them.
LINES += [
    ("installation-guide-amd64", "usr/share/doc/installation-guide-amd64/??/*.html -*/en/*", 1500, "GPL-2+"),
    ("debian-reference-fr", "usr/share/debian-reference/*.html", 500, "GPL-2+"),
    ("debian-reference-ja", "usr/share/debian-reference/*.txt.gz", 250, "GPL-2+"),
    ("debian-reference-pt", "usr/share/debian-reference/*.txt.gz", 250, "GPL-2+"),
    ("debian-reference-de", "usr/share/debian-reference/*.html", 600, "GPL-2+"),
    ("developers-reference-de", "usr/share/*.html", 500, "GPL-2+"),
    ("debian-edu-doc-nl", "usr/share/doc/*.html", 300, "GPL-2+", HTML),
    ("aptitude-doc-es", "usr/share/doc/aptitude/html/*.html", 300, "GPL-2+", HTML),
    ("gimp-help-de", "usr/share/gimp/2.0/help/de/*.html", 900, "GFDL-1.2+"),
    ("gimp-help-fr", "usr/share/gimp/2.0/help/fr/*.html", 500, "GFDL-1.2+"),
    ("gimp-help-ru", "usr/share/gimp/2.0/help/ru/*.html", 500, "GFDL-1.2+"),
    ("libreoffice-help-de", "usr/share/libreoffice/help/de/*.html", 900, "MPL-2.0"),
    ("libreoffice-help-fr", "usr/share/libreoffice/help/fr/*.html", 400, "MPL-2.0", HTML),
    ("libreoffice-help-it", "usr/share/libreoffice/help/it/*.html", 400, "MPL-2.0", HTML),
    ("kicad-doc-de", "usr/share/doc/*.html", 500, "GPL-3+"),
    ("kicad-doc-pl", "usr/share/doc/*.html", 300, "GPL-3+"),
    ("lilypond-doc-html-de", "*/Documentation/*.de.html -*big-page*", 700, "GFDL-1.3+"),
    ("ubuntu-packaging-guide-html-de", "usr/share/doc/*.html", 300, "CC-BY-SA-3.0"),
    ("manpages-de", "usr/share/man/de/*.gz", 700, "GPL-3+"), ("manpages-fr", "usr/share/man/fr/*.gz", 400, "GPL-3+"),
    ("manpages-ru", "usr/share/man/ru/*.gz", 400, "GPL-3+"),
    ("dict-freedict-deu-eng", "usr/share/dictd/*.dict.dz", 500, "GPL-2+"),
    ("dict-freedict-fra-eng", "usr/share/dictd/*.dict.dz", 150, "GPL-2+"),
]

# Manuals as they are marked up.
LINES += [
    ("tomcat10-docs", "usr/share/*.html", 700, "Apache-2.0"),
    ("libapache2-mod-perl2-doc", "usr/share/doc/*.html", 500, "Apache-2.0"),
    ("haproxy-doc", "usr/share/doc/*.html", 400, "GPL-2+"),
    ("ant-doc", "usr/share/doc/ant/*.html -*/api/*", 500, "Apache-2.0"),
    ("erlang-doc", "usr/share/doc/erlang-doc/*/lib/*.html usr/share/doc/erlang-doc/doc/*.html", 900, "Apache-2.0"),
    ("docbook-xsl-doc-html", "usr/share/doc/*.html", 500, "Expat"),
    ("doxygen-doc", "usr/share/doc/*.html usr/share/doc/*.html.gz", 500, "GPL-2"),
]

LINES += [("ca-certificates", "*.crt", 120, "MPL-2.0")]
