"""Everything else: markup, other languages, programs, settings."""

HTML = "html_text"

LINES = [
    ("debian-handbook", "usr/share/doc/debian-handbook/html/*/*.html -*/en-US/*", 1500, "GPL-2+ or CC-BY-SA-3.0",
     HTML),
    ("debian-handbook", "usr/share/doc/debian-handbook/html/en-US/*.html", 300, "GPL-2+ or CC-BY-SA-3.0"),
    ("wordpress", "*.svg *.html *.json *.xml", 500, "GPL-2+"),
    ("gnome-user-docs", "usr/share/help/??/*.page -*/C/*", 900, "CC-BY-SA-3.0"),
    ("gnome-user-docs", "*.svg", 300, "CC-BY-SA-3.0"),
    ("inkscape-tutorials", "*.svg *.svgz", 500, "GPL-2+"),
    ("mediawiki", "usr/share/mediawiki/languages/i18n/*.json", 700, "GPL-2+"),
    ("postgresql-doc-15", "*.html", 400, "PostgreSQL"),
    ("python3.11-doc", "usr/share/doc/python3.11/html/*.html", 400, "PSF"),
    ("openms-common", "*.xml *.xsd", 200, "BSD-3-Clause"),
    ("sword-text-sparv", "usr/share/sword/*.bzz", 700, "public domain", "sword"),
    ("coreutils", "usr/bin/* bin/*", 500, "GPL-3+"),
    ("rsync", "usr/bin/rsync", 250, "GPL-3+"), ("openssh-client", "usr/bin/*", 300, "BSD"),
    ("util-linux", "usr/bin/* bin/* usr/lib/*.so*", 250, "GPL-2+"),
    ("libpython3.11-stdlib", "*.so", 200, "PSF"), ("python3-numpy", "*.so", 250, "BSD-3-Clause"),
    ("libruby3.1", "*.so*", 200, "Ruby"), ("exonerate", "usr/bin/*", 150, "GPL-3"),
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
