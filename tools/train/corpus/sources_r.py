"""Packages of R whose data sets are read: as tables, and their longer columns as numbers."""

R_PACKAGES = (
    "mass boot survival cluster rpart nlme lattice vcd cardata hsaur3 maps th.data spdata modeldata psych psychtools "
    "forecast lme4 dplyr multcomp ade4 kernlab gss lava mlbench mgcv quantreg vegan tseries aer".split())
