"""Recordings, pictures, voxels and series of numbers."""

from corpus.sources_r import R_PACKAGES

LINES = [
    ("asterisk-core-sounds-en-wav", "*.wav", 2500, "CC-BY-SA-3.0", "sample"),
    ("asterisk-core-sounds-fr-wav", "*.wav", 800, "CC-BY-SA-3.0", "sample"),
    ("asterisk-core-sounds-es-wav", "*.wav", 800, "CC-BY-SA-3.0", "sample"),
    ("asterisk-moh-opsound-wav", "*.wav", 2000, "CC-BY-SA-2.5", "sample"),
    ("alsa-utils", "*.wav", 700, "GPL-2", "sample"),
    ("pidgin-data", "*.wav", 400, "GPL-2+", "sample"),
    ("pingus-data", "*.wav", 500, "GPL-3+", "sample"),
    ("tuxpaint-data", "*.wav", 600, "GPL-2+", "sample"),
    ("chromium-bsu-data", "*.wav", 400, "Artistic", "sample"),
    ("lbreakout2-data", "*.wav", 300, "GPL-2+", "sample"),
    ("ktuberling-data", "*.wav", 1200, "GPL-2+", "sample"),
    ("pocketsphinx-testdata", "*.raw *.wav", 700, "BSD-2-Clause"),
    ("hydrogen-data", "*.wav", 400, "GPL-2+", "sample"),
    ("lmms-common", "*.wav", 400, "GPL-2+", "sample"),
    ("puredata-doc", "*.wav", 300, "BSD-3-Clause", "sample"),
    ("freepats", "*.pat", 800, "GPL-2+", "patch"),
    ("timgm6mb-soundfont", "*.sf2", 1200, "GPL-2", "soundfont"),
    ("fluid-soundfont-gs", "*.sf2", 600, "MIT", "soundfont"),
    ("festvox-kallpc16k", "*group*", 700, "MIT"),
    ("python3-scipy", "*.wav", 300, "BSD-3-Clause", "sample"),
    ("python3-scipy", "*.npy *.npz", 800, "BSD-3-Clause", "arrays"),
    ("python-matplotlib-data", "*/topobathy.npz */goog.npz", 900, "public domain", "arrays"),
    ("python-matplotlib-data", "*/s1045.ima.gz */ct.raw.gz */eeg.dat */membrane.dat", 900, "Matplotlib"),
    ("python3-skimage", "*.npy *.npz", 500, "BSD-3-Clause", "arrays"),
    ("python3-skimage", "*/data/*.png", 5000, "CC0 and others", "picture"),
    ("python3-sklearn", "*/datasets/data/*.csv *.csv.gz", 900, "BSD-3-Clause", "columns"),
    ("python3-statsmodels", "*.csv", 900, "BSD-3-Clause", "columns"),
    ("python3-pywt", "*.npy *.npz *.csv", 800, "MIT", "arrays"),
    ("python3-nibabel", "*.nii *.nii.gz *.img", 900, "MIT", "nifti"),
    ("mricron-data", "*.nii.gz", 1800, "BSD", "nifti"),
    ("python3-astropy", "*.fits *.fits.gz", 500, "BSD-3-Clause", "fits"),
    ("python3-sunpy", "*.fits *.fits.gz", 500, "BSD-2-Clause", "fits"),
    ("python3-photutils", "*.fits *.fits.gz", 200, "BSD-3-Clause", "fits"),
    ("gnuplot-doc", "*.dat *.bin", 300, "gnuplot", "columns"),
    ("kstars-data", "*.png", 500, "GPL-2+", "picture"),
    ("python-biopython-doc", "*/Tests/Affy/*", 200, "Biopython"),
    ("r-base-core", "usr/lib/R/library/datasets/data/*.rd?", 400, "GPL-2+", "r_numbers"),
]

LINES += [(f"r-cran-{p}", "usr/lib/R/*/data/*.rd?", 300, "GPL", "r_numbers") for p in R_PACKAGES]

LINES += [
    ("eso-midas-testdata", "*.fits *.fit", 1500, "GPL-2+", "fits"),
    ("codec2-examples", "*/raw/*.raw", 1500, "LGPL-2.1"),
    ("csound-data", "*/hrtf-44100-*.dat", 400, "LGPL-2.1+"),
    ("mrpt-common", "*/datasets/*.rawlog -*simul*", 1500, "BSD-3-Clause", "gunzipped"),
]
