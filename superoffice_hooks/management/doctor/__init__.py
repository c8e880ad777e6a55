"""What ``superoffice_doctor`` asks: each module's questions yield findings."""
