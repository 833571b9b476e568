"""Tables, lists and structured data."""

from corpus.sources_r import R_PACKAGES

LINES = [("r-base-core", "usr/lib/R/library/datasets/data/*.rd?", 800, "GPL-2+", "r_tables")]

LINES += [(f"r-cran-{p}", "usr/lib/R/*/data/*.rd?", 600, "GPL", "r_tables") for p in R_PACKAGES]

LINES += [
    ("python3-sklearn", "*.csv *.csv.gz", 600, "BSD-3-Clause"),
    ("python3-statsmodels", "*.csv */datasets/*.txt */results/*.txt", 1500, "BSD-3-Clause"),
    ("python-matplotlib-data", "*/sample_data/*.csv */sample_data/*.dat", 400, "Matplotlib"),
    ("python3-astropy", "*.dat *.txt *.csv *.ecsv *.rdb *.vot *.xml *.cds", 1200, "BSD-3-Clause"),
    ("iso-codes", "usr/share/iso-codes/json/* usr/share/xml/iso-codes/*", 1000, "LGPL-2.1+"),
    ("tzdata", "*.tab *.list *leap*", 200, "public domain"),
    ("unicode-data", "usr/share/unicode/*.txt usr/share/unicode/*.xml", 1800, "Unicode"),
    ("hwdata", "usr/share/hwdata/*", 500, "GPL-2+"),
    ("gnuplot-doc", "*.dat *.dem *.dat.gz *.cor *.bin", 800, "gnuplot"),
    ("gretl-common", "usr/share/gretl/*.gdt usr/share/gretl/*.xml usr/share/gretl/*.csv", 1500, "GPL-3+"),
    ("emboss-test", "*.ccf */pdb/*.ent *.pxyz */data/*", 1500, "GPL-2+"),
    ("python-biopython-doc", "*/Tests/PDB/*", 1000, "Biopython"),
    ("pymol-data", "*.pdb *.mol* *.sdf *.cif", 400, "PyMOL"),
    ("nwchem-data", "usr/share/nwchem/*", 700, "ECL-2.0"),
    ("bodr", "*.xml", 300, "Expat"),
    ("openms-common", "*.mzML *.xml *.csv *.tsv *.obo", 700, "BSD-3-Clause"),
    ("fail2ban", "*/tests/files/*", 500, "GPL-2+"),
    ("gnuchess-book", "*", 600, "GPL-3+"),
    ("kstars-data", "*.dat *.txt *.csv *.geojson", 800, "GPL-2+"),
    ("xtide-data", "*", 500, "public domain"),
    ("bedtools-test", "*/data/*.bed.gz */data/*.txt", 500, "MIT"),
    ("augustus-data", "*/config/*.pbl */config/*.txt", 500, "Artistic"),
    ("units", "usr/share/units/*", 200, "GPL-3+"),
    ("calendar", "*calendar*", 200, "BSD"),
    ("primer3", "*", 300, "GPL-2"),
    ("python3-mne", "*.txt *.csv *.sfp *.elc *.tsv *.json", 400, "BSD-3-Clause"),
    ("python3-sunpy", "*.csv *.txt *.dat *.json", 400, "BSD-2-Clause"),
    ("python3-skbio", "*.txt *.tsv *.csv", 300, "BSD-3-Clause"),
    ("ariba", "*/panel.20181115.txt", 400, "GPL-3"),
]

# Registries: names, places, numbers that were given out.
LINES += [
    ("hamradio-files", "*.csv *.dat *.txt *.SCP", 600, "MIT"),
    ("publicsuffix", "*.dat", 250, "MPL-2.0"),
    ("mobile-broadband-provider-info", "*.xml", 400, "public domain"),
    ("libgweather-4-common", "*/Locations.xml", 700, "GPL-2+"),
    ("pci.ids", "usr/share/misc/*", 1000, "GPL-2+"), ("usb.ids", "var/lib/usbutils/*", 500, "GPL-2+"),
    ("osinfo-db", "*.xml", 500, "GPL-2+"),
    ("texlive-bibtex-extra", "*.bib *.bib.gz", 1200, "LPPL and others"),
    ("python3-botocore", "*.json", 900, "Apache-2.0"),
    ("gnucash-common", "*.gnucash-xea", 400, "GPL-2+"),
    ("stellarium-data", "*/data/*.dat */data/*.ini */data/*.json */skycultures/*.fab", 900, "GPL-2+"),
    ("r-cran-isocodes", "usr/lib/R/*/data/*.rd?", 300, "GPL-2", "r_tables"),
]

# Of studies, and of simulations: what went in and the logs that came out.
LINES += [(f"r-cran-{p}", "usr/lib/R/*/data/*.rd?", 600, "GPL", "r_tables") for p in ("metadat", "epir", "kmsurv")]

LINES += [
    ("lammps-examples", "*/log.* *.log *.out", 1500, "GPL-2"),
    ("lammps-examples", "*/data.* *.data *.rdf *.profile *.xyz *.table", 1000, "GPL-2"),
    ("calculix-cgx-examples", "*.inp *.frd *.stp *.igs", 800, "GPL-2+"),
]
